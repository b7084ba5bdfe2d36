/** What systemd hears of the agent, over a real datagram socket and Debian's systemd-notify: a real process, and each part that hangs. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aedes } from "aedes";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAedesBeat } from "../../agent/broker/aedes-beat.ts";
import { type Beat, type VitalPart, Vitals, vitalParts } from "../../agent/machine/vitals.ts";
import { serviceManagerOf, Watchdog } from "../../agent/machine/watchdog.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { readExposition } from "../agent/http/exposition-format.ts";
import { gatewayId, memoryLog } from "../world/gateway-builder.ts";
import { freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";

/** Perl is part of every Debian; Node has no datagram sockets of the unix kind. */
const receiver = `
  use Socket; $| = 1;
  socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die;
  print "bound\\n";
  while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n" }`;

let folder: string;
let perl: ChildProcess;
let heard: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-notify-"));
  heard = [];
  perl = spawn("perl", ["-e", receiver, join(folder, "notify")], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  perl.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    heard = text.split("\n").slice(0, -1);
  });
  await waitFor("the receiver", () => heard.includes("bound"));
});

afterEach(async () => {
  perl.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const count = (what: string): number => heard.filter((line) => line.includes(what)).length;

const realClock = {
  nowMs: () => unixMs(Date.now()),
  monotonicMs: () => monotonicMs(performance.now()),
  after: (delayMs: number, action: () => void) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

async function writeConfig(more: readonly string[] = []): Promise<string> {
  const config = join(folder, "agent.yaml");
  const lines = [
    "site: maple-court",
    "gateway: gateway-main",
    "stateDir: state",
    `broker: {port: ${await freePort()}}`,
    `http: {port: ${await freePort()}}`,
    `upstream: {url: "mqtt://127.0.0.1:${await freePort()}"}`,
    `bluetooth: {busAddress: "unix:path=${folder}/no-bus"}`,
    ...more,
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  return config;
}

describe("an operator's firmware table", () => {
  it("[F7] with mistakes starts nothing: all of them with their lines, exit 2, and check-config says the same", async () => {
    const table =
      "floors:\n  - {model: R21, version: 1.2, source: a letter, readOn: 2027-01}\n  - {model: R20, version: new, source: a letter, readOn: 2027}\n";
    await writeFile(join(folder, "floors.yaml"), table);
    const config = await writeConfig(["firmware: {tableFile: floors.yaml}"]);
    for (const command of [
      ["run", "--config", config],
      ["check-config", config],
    ]) {
      const { code, stdout, stderr } = await runDoorlink(...command);
      expect([code, stdout]).toEqual([2, ""]);
      const places = stderr.split("\n").flatMap((line) => /^ {2}([0-9]+:[0-9]+ [^:]+):/.exec(line)?.[1] ?? []);
      // 1.2 and 2027 are numbers to YAML, which a version and a month are not.
      expect(places, stderr).toEqual([
        "2:13 floors[0].model",
        "2:27 floors[0].version",
        "3:27 floors[1].version",
        "3:58 floors[1].readOn",
      ]);
    }
  });
});

describe("systemd's watchdog", () => {
  it("[G31] row 132: hears READY, then WATCHDOG while the process runs, nothing while its loop stands still, and STOPPING", async () => {
    const config = await writeConfig();
    process.env["NOTIFY_SOCKET"] = join(folder, "notify");
    process.env["WATCHDOG_USEC"] = "600000";
    const agent = await startAgent(config).finally(() => {
      delete process.env["NOTIFY_SOCKET"];
      delete process.env["WATCHDOG_USEC"];
    });
    await waitFor("three beats", () => count("WATCHDOG=1") >= 3);
    expect(heard[1]).toBe("READY=1");
    expect(heard).toContain("WATCHDOG=1 STATUS=0 devices, no link upstream");
    // Without a link upstream and without a radio it is alive, and not ready.
    const ready = await fetch(`${agent.http}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      notReady: ["upstream"],
      parts: { store: { state: "ready" }, broker: { state: "ready" }, radio: { state: "not needed" } },
    });
    const { samples } = readExposition(await (await fetch(`${agent.http}/metrics`)).text());
    expect(samples.get("doorlink_store_bytes")).toBeGreaterThan(4_000);
    expect(samples.get("doorlink_disk_free_bytes")).toBeGreaterThan(0);
    if (agent.pid === undefined) throw new Error("no process");
    process.kill(agent.pid, "SIGSTOP");
    // One that was on its way may still arrive; after it there is silence for twice the time that systemd would wait.
    const stoppedAt = performance.now();
    let last = count("WATCHDOG=1");
    let lastAt = stoppedAt;
    await waitFor("a second of silence", () => {
      if (count("WATCHDOG=1") !== last) lastAt = performance.now();
      last = count("WATCHDOG=1");
      return performance.now() - lastAt > 1_200;
    });
    expect(lastAt - stoppedAt).toBeLessThan(1_000);
    process.kill(agent.pid, "SIGCONT");
    await waitFor("another beat", () => count("WATCHDOG=1") > last);
    expect(await agent.stop("SIGTERM")).toBe(0);
    await waitFor("the last word", () => heard.includes("STOPPING=1"));
  });

  it("[G31] row 132: a store, broker or upstream that hangs is not fed for, and is named", async () => {
    const store = await openSqliteStore(join(folder, "agent.db"), () => undefined);
    const aedes = await Aedes.createBroker();
    const real: Readonly<Record<VitalPart, Beat>> = {
      store: async () => {
        await store.coverage(gatewayId);
      },
      broker: createAedesBeat(aedes),
      upstream: async () => undefined,
    };
    let hung: VitalPart | undefined;
    let release: () => void = () => undefined;
    const beatOf =
      (part: VitalPart): Beat =>
      async () => {
        if (hung !== part) return real[part]();
        return new Promise((resolve) => {
          release = resolve;
        });
      };
    const beats = { store: beatOf("store"), broker: beatOf("broker"), upstream: beatOf("upstream") };
    const vitals = new Vitals({ clock: realClock, limitMs: 100, beats });
    const environment = { NOTIFY_SOCKET: join(folder, "notify"), WATCHDOG_USEC: "300000" };
    const manager = serviceManagerOf(environment, process.pid);
    if (manager === undefined) throw new Error("no manager");
    const watchdog = new Watchdog({
      ...{ manager, check: () => vitals.check(), status: () => "well" },
      ...{ clock: realClock, log: memoryLog([]) },
    });
    await watchdog.start();
    for (const part of vitalParts) {
      const fed = count("WATCHDOG=1");
      await waitFor("a beat", () => count("WATCHDOG=1") > fed);
      hung = part;
      const named = `STATUS=not fed: ${part}: no beat within 100 ms`;
      await waitFor(`${part} to be named`, () => count(named) >= 1);
      const before = count("WATCHDOG=1");
      await waitFor(`${part} to be named again`, () => count(named) >= 2);
      expect(count("WATCHDOG=1"), part).toBe(before);
      hung = undefined;
      release();
    }
    await watchdog.stop();
    await store.close();
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
  });
});
