import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startPrivateBus } from "../../../emulator/radio/private-bus.ts";
import { realClock as clock } from "../../../emulator/world/clock.ts";
import { until } from "./air.ts";

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "doorlink-bus-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("startPrivateBus", () => {
  it("starts a daemon on a socket in the directory, and leaves nothing behind", async () => {
    const bus = await startPrivateBus({ directory: join(directory, "made", "here"), clock });
    if (!bus.ok) throw new Error(JSON.stringify(bus.fault));
    expect(bus.value.address).toBe(`unix:path=${directory}/made/here/bus.sock`);
    expect(isAlive(bus.value.pid)).toBe(true);
    await bus.value.stop();
    expect(isAlive(bus.value.pid)).toBe(false);
    expect(await readdir(join(directory, "made", "here"))).toEqual([]);
  });

  it("starts again where one was killed and left its socket", async () => {
    const first = await startPrivateBus({ directory, clock });
    if (!first.ok) throw new Error(JSON.stringify(first.fault));
    first.value.crash();
    await first.value.ended;
    expect(await readdir(directory)).toContain("bus.sock");
    const second = await startPrivateBus({ directory, clock });
    expect(second.ok).toBe(true);
    if (second.ok) await second.value.stop();
  });

  it("says so, with the way out, when there is no dbus-daemon", async () => {
    expect(await startPrivateBus({ directory, clock, searchPath: directory })).toEqual({
      ok: false,
      fault: { code: "no-dbus-daemon", searched: directory, remedy: "apt-get install dbus-daemon" },
    });
  });

  it("reports a daemon that ends at once, with what it said", async () => {
    await writeFile(join(directory, "dbus-daemon"), "#!/bin/sh\necho 'cannot do it' >&2\nexit 7\n", { mode: 0o755 });
    expect(await startPrivateBus({ directory, clock, searchPath: directory })).toEqual({
      ok: false,
      fault: { code: "bus-not-started", exitCode: 7, output: "cannot do it\n" },
    });
  });

  it("cuts the waiting for a daemon that never listens", async () => {
    await writeFile(join(directory, "dbus-daemon"), "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    expect(await startPrivateBus({ directory, clock, searchPath: directory, startLimitMs: 50 })).toEqual({
      ok: false,
      fault: { code: "bus-start-timeout", limitMs: 50, output: "" },
    });
  });

  it.each([
    { given: "relative/path", code: "directory-not-absolute" },
    { given: "/run/with space", code: "path-not-plain" },
    { given: "/run/a=b,c", code: "path-not-plain" },
    { given: `/run/${"x".repeat(100)}`, code: "socket-path-too-long" },
    { given: "/dev/null/is-a-file", code: "directory-not-writable" },
  ])("refuses the directory $given: $code", async ({ given, code }) => {
    const bus = await startPrivateBus({ directory: given, clock });
    expect(bus.ok ? "started" : bus.fault.code).toBe(code);
  });

  it("ends with the process that started it, also when that one is killed", async () => {
    const file = (path: string): string => JSON.stringify(resolve(import.meta.dirname, "../../../emulator", path));
    const program = `
      import { startPrivateBus } from ${file("radio/private-bus.ts")};
      import { realClock } from ${file("world/clock.ts")};
      const bus = await startPrivateBus({ directory: ${JSON.stringify(directory)}, clock: realClock });
      process.stdout.write(String(bus.value.pid));
    `;
    const parent = spawn(process.execPath, ["--input-type=module-typescript", "--eval", program]);
    let pid = 0;
    parent.stdout.on("data", (chunk) => {
      pid = Number(String(chunk));
    });
    await until("the daemon", () => pid > 0);
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until("its end", () => !isAlive(pid));
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}
