/**
 * `scripts/install-gateway` below a folder of its own: installed twice, upgraded, rolled back, taken off, and the unit before systemd's own
 * judges. Its payload here is a made-up bundle of a few lines, so that there are two versions of it; packed.test.ts installs the real one.
 */
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";

const scripts = fileURLToPath(new URL("../../scripts", import.meta.url));

let folder: string;
let machine: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-gateway-"));
  machine = join(folder, "machine");
  for (const version of ["1.0.0", "1.1.0", "1.2.0"]) await makePackage(version);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("install-gateway", () => {
  it("is a script without a finding of shellcheck", async () => {
    expect(await run("shellcheck", [join(scripts, "install-gateway")])).toMatchObject({ code: 0, stdout: "" });
  });

  it("says what it would do, and does nothing", async () => {
    const said = await install("1.0.0", "--dry-run");
    expect(said).toMatchObject({ code: 0, stderr: "" });
    expect(said.stdout).toContain(`would: ${machine}/etc/doorlink/gateway.yaml`);
    expect(said.stdout).toContain("none was");
    expect(await readdir(folder)).not.toContain("machine");
  });

  it("installs version, unit, bus policy and a first configuration; a second run changes nothing at all", async () => {
    const form = ["--site", "maple-court", "--gateway", "gateway-main", "--upstream", "mqtts://cloud.example:8883"];
    expect(await install("1.0.0", ...form)).toMatchObject({ code: 0, stderr: "" });
    expect(await readlink(join(machine, "opt/doorlink/current"))).toBe("1.0.0");
    const modes = { "etc/doorlink": 0o750, "var/lib/doorlink": 0o700, "etc/doorlink/upstream-password": 0o640 };
    for (const [path, mode] of Object.entries(modes)) {
      expect((await stat(join(machine, path))).mode & 0o777, path).toBe(mode);
    }
    expect(await readFile(join(machine, "etc/doorlink/gateway.yaml"), "utf8")).toContain("\nsite: maple-court\n");
    const before = await snapshot();
    const again = await install("1.0.0", ...form);
    expect(again.stdout).toMatch(/\nnothing to change\n$/);
    expect(await snapshot()).toEqual(before);
  });

  it("repairs what is not as it should be, and leaves alone what is the operator's", async () => {
    const config = join(machine, "etc/doorlink/gateway.yaml");
    await writeFile(config, `${await readFile(config, "utf8")}log: { level: debug }\n`);
    await chmod(join(machine, "var/lib/doorlink"), 0o755);
    await rm(join(machine, "etc/dbus-1/system.d/doorlink.conf"));
    const repaired = await install("1.0.0");
    expect(repaired.stdout).toContain("\n2 changes\n");
    expect((await stat(join(machine, "var/lib/doorlink"))).mode & 0o777).toBe(0o700);
    expect(await readFile(config, "utf8")).toContain("level: debug");
  });

  it("row 132: the unit is clean for systemd-analyze verify, and its exposure is at most 2.0", async () => {
    const unit = join(machine, "etc/systemd/system/doorlink.service");
    // It wants to see the program that the unit names.
    const here = join(folder, "doorlink.service");
    const text = await readFile(unit, "utf8");
    expect(text).toContain("Type=notify");
    await writeFile(here, text);
    expect(await run("systemd-analyze", ["verify", here])).toEqual({ code: 0, stdout: "", stderr: "" });
    const judged = await run("systemd-analyze", ["security", "--offline=true", "--threshold=20", "--no-pager", here]);
    expect(judged.stdout).toMatch(/Overall exposure level for doorlink.service: [01]\.\d/);
    expect(judged.code).toBe(0);
  });

  it("an upgrade is asked for by name, and keeps configuration, data and a copy of the database", async () => {
    await fillDatabase();
    const plain = await install("1.1.0");
    expect(plain).toMatchObject({ code: 1, stderr: expect.stringContaining("--upgrade") });
    expect(await readlink(join(machine, "opt/doorlink/current"))).toBe("1.0.0");
    expect(await install("1.1.0", "--upgrade")).toMatchObject({ code: 0, stderr: "" });
    expect(await readlink(join(machine, "opt/doorlink/current"))).toBe("1.1.0");
    expect(await readlink(join(machine, "opt/doorlink/previous"))).toBe("1.0.0");
    expect(countEvents("before-1.1.0/agent.db")).toBe(3);
    expect(await readFile(join(machine, "etc/doorlink/gateway.yaml"), "utf8")).toContain("level: debug");
  });

  it("a configuration that the new version does not take stops the upgrade before anything is changed", async () => {
    const before = await snapshot();
    await writeFile(join(folder, "1.2.0/refuses"), "");
    const refused = await install("1.2.0", "--upgrade");
    await rm(join(folder, "1.2.0/refuses"));
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("1.1.0 goes on") });
    expect(await snapshot()).toEqual(before);
  });

  it("goes back with the data as it is while the older version can read it", async () => {
    const gone = await install("1.1.0", "--rollback");
    expect(gone).toMatchObject({ code: 0, stderr: "" });
    expect(await readlink(join(machine, "opt/doorlink/current"))).toBe("1.0.0");
    expect(countEvents("agent.db")).toBe(3);
    expect((await readdir(join(machine, "var/lib/doorlink"))).filter((name) => name.startsWith("after-"))).toEqual([]);
    const twice = await install("1.1.0", "--rollback");
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringContaining("no version to go back to") });
  });

  it("goes back to the database of before when the newer one is unreadable to it, and never drops an event unasked", async () => {
    await install("1.1.0", "--upgrade");
    migrate();
    const refused = await install("1.1.0", "--rollback");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/ 3 events .*--leave-events/) });
    expect(await readlink(join(machine, "opt/doorlink/current"))).toBe("1.1.0");
    expect(await install("1.1.0", "--rollback", "--leave-events")).toMatchObject({ code: 0, stderr: "" });
    expect([storeVersion("agent.db"), storeVersion("after-1.1.0/agent.db")]).toEqual([startVersion, startVersion + 1]);
    expect([countEvents("agent.db"), countEvents("after-1.1.0/agent.db")]).toEqual([3, 3]);
  });

  it("keeps what --rollback can need and no more", async () => {
    await install("1.1.0", "--upgrade");
    await install("1.2.0", "--upgrade");
    expect((await readdir(join(machine, "opt/doorlink"))).sort()).toEqual(["1.1.0", "1.2.0", "current", "previous"]);
    const kept = (await readdir(join(machine, "var/lib/doorlink"))).sort();
    expect(kept.filter((name) => !name.startsWith("agent.db"))).toEqual(["after-1.1.0", "before-1.2.0"]);
  });

  it("takes itself off only when somebody says so; data and configuration only when that is said too", async () => {
    const asked = await install("1.2.0", "--uninstall");
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") });
    expect(await install("1.2.0", "--uninstall", "--yes")).toMatchObject({ code: 0, stderr: "" });
    const left = (await snapshot()).map(([path]) => path).filter((path) => path.includes("doorlink"));
    expect(left.every((path) => /^(etc|var\/lib)\/doorlink/.test(path))).toBe(true);
    expect(countEvents("agent.db")).toBe(3);
    await install("1.2.0", "--uninstall", "--yes", "--purge");
    expect((await snapshot()).filter(([path]) => path.includes("doorlink"))).toEqual([]);
  });

  it.each([
    [["--frob"], 2, "--frob is not known"],
    [["--site"], 2, "--site needs a value"],
    [["--site", 'x"\ny: 1'], 2, "letters"],
    [["--upgrade", "--rollback"], 2, "cannot both be meant"],
    [["--rollback"], 1, "not installed"],
    [["--upgrade"], 1, "run it without --upgrade"],
  ])("%j: exit %i and one clear line", async (options, code, words) => {
    const ended = await install("1.0.0", ...options);
    expect(ended.code).toBe(code);
    expect(ended.stderr.trimEnd().split("\n")).toEqual([expect.stringContaining(words)]);
  });

  it("a Node that is too old is named with the way out", async () => {
    const bin = join(folder, "old-bin");
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, "node"), "#!/bin/sh\necho v20.1.0\n", { mode: 0o755 });
    const script = join(folder, "1.0.0/install-gateway");
    const ended = await run("bash", [script, "--root", join(folder, "old"), "--node", join(bin, "node")]);
    expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining("nodejs.org") });
  });
});

const device = "panel-r20" as DeviceId;
let startVersion = 0;

async function makePackage(version: string): Promise<void> {
  const target = join(folder, version);
  await mkdir(target);
  const head = `#!/usr/bin/env node\n/* doorlink ${version}, Apache-2.0. A stand-in. */\n`;
  const refuses = `process.exit(require("node:fs").existsSync(__dirname + "/refuses") ? 2 : 0);\n`;
  await writeFile(join(target, "doorlink.cjs"), head + refuses, { mode: 0o755 });
  await writeFile(join(target, "doorlink.THIRD-PARTY.txt"), "nobody's\n");
  await cp(join(scripts, "install-gateway"), join(target, "install-gateway"));
  await cp(join(scripts, "gateway"), join(target, "gateway"), { recursive: true });
}

function install(version: string, ...options: readonly string[]): Promise<Ended> {
  const script = join(folder, version, "install-gateway");
  return run("bash", [script, "--root", machine, "--node", process.execPath, ...options]);
}

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, argv: readonly string[]): Promise<Ended> {
  const env = { ...process.env, SYSTEMD_COLORS: "0" };
  return new Promise((resolve) => {
    const child = execFile(command, [...argv], { env, timeout: 30_000 }, (fault, stdout, stderr) =>
      resolve({ code: fault === null ? 0 : (fault.code ?? fault.signal), stdout, stderr }),
    );
    child.stdin?.end();
  });
}

/** Every path with what would change if it were written: kind, mode, size and moment. */
async function snapshot(): Promise<readonly (readonly [path: string, seen: string])[]> {
  const paths = (await readdir(machine, { recursive: true })).sort();
  return Promise.all(
    paths.map(async (path) => {
      const { mode, size, mtimeMs, ino } = await stat(join(machine, path));
      return [path, `${mode} ${size} ${mtimeMs} ${ino}`] as const;
    }),
  );
}

/** Three events that nobody upstream has taken. */
async function fillDatabase(): Promise<void> {
  const store = await openSqliteStore(statePath("agent.db"), () => undefined);
  const events = [1, 2, 3].map((sequence) => {
    const body = JSON.stringify({ boot: 1, sequence, at: { unixSeconds: 1, quality: "set" }, kind: "door" });
    return { sequence, boot: 1, body };
  });
  await store.appendEvents({ device, receivedAtMs: 1_000 as UnixMs, events });
  await store.close();
  startVersion = storeVersion("agent.db");
}

/** What a newer version would do to the database. */
function migrate(): void {
  const database = new DatabaseSync(statePath("agent.db"));
  database.exec(`PRAGMA user_version = ${startVersion + 1}`);
  database.close();
}

function storeVersion(name: string): number {
  const database = new DatabaseSync(statePath(name), { readOnly: true });
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  database.close();
  return version;
}

function countEvents(name: string): number {
  const database = new DatabaseSync(statePath(name));
  const count = Number(database.prepare("SELECT count(*) AS count FROM events").get()?.["count"]);
  database.close();
  return count;
}

function statePath(name: string): string {
  return join(machine, "var/lib/doorlink", name);
}
