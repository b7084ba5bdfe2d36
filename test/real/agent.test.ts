/** The command `doorlink` as an operator meets it: its own process, its exit codes and its one clear line. */
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { gatewayDesired, gatewayId, lockDesired, lockId } from "../world/gateway-builder.ts";
import { freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";

let folder: string;
let occupied: Server;
let occupiedPort: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-agent-"));
  occupied = createServer();
  await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
  const address = occupied.address();
  occupiedPort = typeof address === "object" && address !== null ? address.port : 0;
});

afterEach(async () => {
  await new Promise<void>((resolve) => occupied.close(() => resolve()));
  await rm(folder, { recursive: true, force: true });
});

async function configOf(changed: Readonly<Record<string, string>> = {}): Promise<string> {
  const lines = {
    site: "maple-court",
    gateway: "gateway-main",
    stateDir: "state",
    broker: `{port: ${await freePort()}}`,
    http: `{port: ${await freePort()}}`,
    // Nobody listens there: the agent has no link from the start.
    upstream: `{url: "mqtt://127.0.0.1:${await freePort()}"}`,
    bluetooth: `{busAddress: "unix:path=${folder}/no-bus"}`,
    ...changed,
  };
  const path = join(folder, "agent.yaml");
  await writeFile(
    path,
    Object.entries(lines)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
  return path;
}

/** What an earlier run of the agent would have left: the authority's word on the site. */
async function seedSite(): Promise<void> {
  await mkdir(join(folder, "state"));
  const store = await openSqliteStore(join(folder, "state", "agent.db"), () => undefined);
  await store.putDocuments([
    { kind: "desired", device: gatewayId, body: JSON.stringify(gatewayDesired()) },
    { kind: "desired", device: lockId, body: JSON.stringify(lockDesired({ version: 1 })) },
  ]);
  await store.close();
}

describe("doorlink run", () => {
  it("runs with no link, no radio and no site; stops in order; keeps its state to itself", async () => {
    const agent = await startAgent(await configOf());
    expect(await (await fetch(`${agent.http}/healthz`)).json()).toEqual({ ok: true });
    const seen = await runDoorlink("status", "--agent", agent.http);
    // 1: the machine that runs this test has something wrong with it, such as a clock that nobody keeps.
    expect([seen.stderr, [0, 1].includes(seen.code ?? 3)]).toEqual(["", true]);
    expect(seen.stdout).toMatch(/^upstream +no link/m);
    expect(await agent.stop("SIGTERM")).toBe(0);
    expect((await stat(join(folder, "state"))).mode & 0o077).toBe(0);
    for (const file of ["agent.db", "courier.key"]) {
      expect((await stat(join(folder, "state", file))).mode & 0o077, file).toBe(0);
    }
  });

  it("says once that there is no bus, names it to who asks for a visit, and everything else goes on", async () => {
    const path = await configOf();
    await seedSite();
    const agent = await startAgent(path);
    await waitFor("the radio to be tried", () => agent.stderr().includes("the radio does not work"));
    const { stdout } = await runDoorlink("status", "--agent", agent.http);
    expect(stdout).toMatch(/^radio +does not work for \d+ s: no-bus$/m);
    expect(stdout).toMatch(/^lock-c1 +C1 +1A +no +never +pending/m);
    const sync = await runDoorlink("sync", "lock-c1", "--agent", agent.http);
    expect(sync).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^doorlink: radio: no-bus\ndoorlink: start the system bus/),
    });
    expect(await (await fetch(`${agent.http}/healthz`)).json()).toEqual({ ok: true });
    await agent.stop("SIGTERM");
    expect(agent.stderr().split("the radio does not work").length).toBe(2);
  });

  it.each(["broker", "http"])("a port in use (%s): one line, exit 3, and nothing left running", async (which) => {
    const run = await runDoorlink("run", "--config", await configOf({ [which]: `{port: ${occupiedPort}}` }));
    expect(run.code).toBe(3);
    expect(run.stdout).toBe("");
    const lines = run.stderr.split("\n").filter((line) => line.startsWith("doorlink:"));
    expect(lines).toEqual([expect.stringMatching(new RegExp(`port ${occupiedPort} is in use$`))]);
  });

  it("a state directory that cannot be used: one line, exit 3", async () => {
    await writeFile(join(folder, "state"), "a file where a folder should be");
    const run = await runDoorlink("run", "--config", await configOf());
    expect(run).toMatchObject({ code: 3, stdout: "" });
    expect(run.stderr).toContain("doorlink: store: cannot make the state directory");
  });

  it("a configuration with mistakes: all of them, exit 2, and nothing started", async () => {
    const run = await runDoorlink("run", "--config", await configOf({ site: "X", gateway: "main" }));
    expect(run).toMatchObject({ code: 2, stdout: "" });
    expect(run.stderr.split("\n").slice(0, 3)).toEqual([
      expect.stringMatching(/has 2 mistakes:$/),
      '  1:7 site: expected a site id of [a-z0-9-]{3,32}, came "X"',
      expect.stringMatching(/^ {2}2:10 gateway: expected a gateway id/),
    ]);
  });

  it("a configuration that is not there: one line, exit 2", async () => {
    const run = await runDoorlink("run", "--config", "/nowhere/agent.yaml");
    expect(run).toMatchObject({
      code: 2,
      stderr:
        "doorlink: the configuration /nowhere/agent.yaml is not there: name the file that is, with run --config FILE, or write it: it needs site, gateway, stateDir and upstream.url\n",
    });
  });
});

describe("operator's commands", () => {
  it.each([["status"], ["sync", "lock-c1"], ["exposure"], ["log"], ["firmware"], ["sticker", "list"]])(
    "%s without an agent: one clear line with the way out, exit 3",
    async (...command) => {
      const url = `http://127.0.0.1:${await freePort()}`;
      const run = await runDoorlink(...command, "--agent", url);
      expect(run.code).toBe(3);
      expect(run.stdout).toBe("");
      expect(run.stderr.trimEnd().split("\n")).toEqual([expect.stringContaining("doorlink run --config FILE")]);
    },
  );

  it("what answers is no agent: said so, exit 3", async () => {
    const agent = await startAgent(await configOf());
    const run = await runDoorlink("status", "--agent", agent.mqtt.replace("mqtt:", "http:"));
    expect(run.code).toBe(3);
    await agent.stop("SIGTERM");
  });

  it("each speaks JSON, and a device that is not there is the caller's mistake", async () => {
    const agent = await startAgent(await configOf());
    const json = async (...command: string[]): Promise<unknown> =>
      JSON.parse((await runDoorlink(...command, "--json", "--agent", agent.http)).stdout);
    expect(await json("status")).toMatchObject({ gateway: "gateway-main", site: null, devices: [] });
    expect(await json("exposure")).toMatchObject({ exposures: [] });
    expect(await json("log")).toMatchObject({ entries: [] });
    expect(await json("firmware")).toMatchObject({ devices: [] });
    const sync = await runDoorlink("sync", "lock-zz", "--json", "--agent", agent.http);
    expect(sync.code).toBe(2);
    expect(JSON.parse(sync.stdout)).toEqual({ device: "lock-zz", fault: { code: "unknown-device" } });
    await waitFor("the agent to stop", async () => (await agent.stop("SIGTERM")) === 0);
  });

  it.each([[["frob"]], [["status", "--frob"]], [["run"]], [["sync"]]])(
    "%j is a usage mistake: exit 2",
    async (command) => {
      expect((await runDoorlink(...command)).code).toBe(2);
    },
  );

  it("help is no mistake", async () => {
    const help = await runDoorlink("--help");
    expect(help.code).toBe(0);
    for (const command of [
      "run",
      "status",
      "sync",
      "exposure",
      "log",
      "firmware",
      "bundle",
      "sticker",
      "decide",
      "odds",
    ]) {
      expect(help.stdout).toContain(`  ${command}`);
    }
  });
});
