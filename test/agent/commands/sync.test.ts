/** `doorlink sync` against a real HTTP API, with scripted visits: the round, its order, its progress and its exit codes. */
import { afterEach, describe, expect, it } from "vitest";
import { createAgentClient } from "../../../agent/commands/agent-client.ts";
import type { CommandContext } from "../../../agent/commands/command.ts";
import { progressText } from "../../../agent/commands/output.ts";
import { runStatus } from "../../../agent/commands/status.ts";
import { runSync, type SyncChoice } from "../../../agent/commands/sync.ts";
import { syncWayOut } from "../../../agent/commands/sync-way-out.ts";
import { type HttpServer, openHttpServer } from "../../../agent/http/listen.ts";
import { createProgram } from "../../../agent/main.ts";
import type { RunVisit, VisitOutcome } from "../../../agent/ports/visit.ts";
import {
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockDesired,
  panel,
  site,
  startGateway,
  visitOutcome,
} from "../../world/gateway-builder.ts";

const locks = ["lock-a", "lock-b", "lock-c", "lock-d"];
const versionOf = (device: string) => ({ "lock-a": 1, "lock-b": 2, "lock-c": 2, "lock-d": 2 })[device] ?? 0;

let world: GatewayWorld;
let server: HttpServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** lock-a is urgent since later, lock-c since earlier; lock-b has something to come that can wait; lock-d holds the newest. */
async function startHouse(runVisit: RunVisit = arrives): Promise<void> {
  world = await startGateway({ automatic: false, runVisit });
  const devices = [...locks.map((id, index) => bleLock({ id, address: `C0:FF:EE:00:00:0${index}` })), panel()];
  say(gatewayId, gatewayDesired({ devices }));
  await world.clock.advance(0);
  say("lock-d", lockDesired({ device: "lock-d", version: 2 }));
  await world.clock.advance(0);
  const going = world.gateway.requestSync("lock-d" as never);
  await world.clock.advance(0);
  await going;
  world.visits.splice(0);
  for (const [device, urgent] of [
    ["lock-b", null],
    ["lock-c", "keycard"],
    ["lock-a", "keycard"],
  ] as const) {
    say(device, lockDesired({ device, version: versionOf(device), urgent }));
    await world.clock.advance(60_000);
  }
  server = await openHttpServer(0, world);
}

function say(device: string, message: object): void {
  world.upstream.say(`dl/1/${site}/${device}/desired`, message);
}

const arrives: RunVisit = async ({ lock }) => visitOutcome({ version: versionOf(lock.device) });

function missing(): VisitOutcome {
  const { reported: _reported, ...facts } = visitOutcome({});
  return { ...facts, ok: false, fault: { code: "not-found" }, reported: null, from: null, bytes: 0 };
}

interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly warned: string;
  readonly progress: readonly string[];
}

async function run(
  choice: SyncChoice,
  options: { readonly json?: boolean; readonly stop?: AbortController; readonly url?: string } = {},
): Promise<Ran> {
  const { json = false, stop = new AbortController(), url = `http://127.0.0.1:${server?.port}` } = options;
  let out = "";
  let warned = "";
  const progress: string[] = [];
  const context: CommandContext = {
    client: createAgentClient(url),
    json,
    write: (text) => {
      out += text;
    },
    warn: (text) => {
      warned += text;
    },
  };
  const exitCode = await runSync(choice, context, { progress: (line) => progress.push(line), stop: stop.signal });
  return { exitCode, out, warned, progress };
}

const visited = (): readonly string[] => world.visits.map(({ lock }) => lock.device);

describe("doorlink sync", () => {
  it("[G2] --all visits every BLE lock once, one after the other, the urgent first, and says what came of each", async () => {
    let under = 0;
    let most = 0;
    await startHouse(async (options) => {
      under += 1;
      most = Math.max(most, under);
      await Promise.resolve();
      under -= 1;
      return arrives(options);
    });
    const { exitCode, out, warned } = await run("all");
    expect(visited()).toEqual(["lock-c", "lock-a", "lock-b", "lock-d"]);
    expect([exitCode, warned, most]).toEqual([0, "", 1]);
    expect(out).toBe(
      "LOCK    DOOR  RESULT   POLICY     LOG  TOOK\n" +
        "lock-c  1A    in sync  none -> 2  0    0.9 s\n" +
        "lock-a  1A    in sync  none -> 1  0    0.9 s\n" +
        "lock-b  1A    in sync  none -> 2  0    0.9 s\n" +
        "lock-d  1A    in sync  none -> 2  0    0.9 s\n" +
        "\n4 of 4 in sync\n",
    );
  });

  it("[M16] --urgent visits only those with an urgent reason, and afterwards there is none", async () => {
    await startHouse();
    expect((await run("urgent")).exitCode).toBe(0);
    expect(visited()).toEqual(["lock-c", "lock-a"]);
    expect(await run("urgent")).toMatchObject({ exitCode: 0, out: "no lock is urgent\n" });
    expect(visited()).toHaveLength(2);
  });

  it("a lock that cannot be visited does not end the round, and is a finding", async () => {
    await startHouse(async (options) => (options.lock.device === "lock-a" ? missing() : arrives(options)));
    const { exitCode, out, warned } = await run("all");
    expect(exitCode).toBe(1);
    expect(visited()).toHaveLength(4);
    expect(warned).toMatch(/^doorlink: lock-a: go near it, .*\(doorlink sync lock-a\)/);
    expect(out).toMatch(/^lock-a +1A +not-found +- +- +-$/m);
    expect(out).toMatch(/^3 of 4 in sync$/m);
    const { out: text } = await run("urgent", { json: true });
    const answer = JSON.parse(text);
    expect(answer).toEqual({
      locks: [{ device: "lock-a", fault: { code: "not-found" } }],
      inSync: 0,
      of: 1,
      notVisited: [],
    });
  });

  it("--json is one object with each lock's own answer, as for one lock", async () => {
    await startHouse();
    const { out } = await run("all", { json: true });
    expect(out.trim().split("\n")).toHaveLength(1);
    const { locks: answers, ...rest } = JSON.parse(out);
    expect(rest).toEqual({ inSync: 4, of: 4, notVisited: [] });
    expect(answers[0]).toMatchObject({
      device: "lock-c",
      outcome: "in-sync",
      to: { epoch: 1, version: 2 },
      bytes: 4_096,
    });
    const { out: alone } = await run({ device: "lock-c" }, { json: true });
    expect(JSON.parse(alone)).toMatchObject({ device: "lock-c", outcome: "in-sync" });
  });

  it("stops after the lock under way when somebody wants it to, and says which were not visited", async () => {
    const stop = new AbortController();
    await startHouse(async (options) => {
      if (options.lock.device === "lock-c") stop.abort();
      return arrives(options);
    });
    const { exitCode, out } = await run("all", { stop });
    expect(exitCode).toBe(1);
    expect(visited()).toEqual(["lock-c"]);
    expect(out).toMatch(/^lock-c +1A +in sync/m);
    expect(out).toMatch(/\n1 of 4 in sync, not visited: lock-a, lock-b, lock-d\n$/);
  });

  it("says its steps while a visit goes on, each once, with the lock's place in the round", async () => {
    let finish: () => void = () => undefined;
    await startHouse(async (options) => {
      if (options.lock.device !== "lock-c") return arrives(options);
      options.onProgress({ step: "policy", done: 2_048, of: 9_120 });
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return arrives(options);
    });
    const running = run("urgent");
    // The command looks by the wall clock: what it says ends the wait, a deadline of the test bounds it.
    const seen = await Promise.race([running, until(() => world.visits.length > 0)]);
    expect(seen).toBe(true);
    await looksAtLeast(3);
    finish();
    const { progress } = await running;
    expect(progress.slice(0, 2)).toEqual(["[1/2] lock-c: visit", "[1/2] lock-c: policy 2048 of 9120 bytes"]);
    expect(progress.at(-1)).toBe("[2/2] lock-a: visit");
    expect(new Set(progress).size).toBe(progress.length);
  });

  it("row 62: one lock is guided through its steps, and done is a check mark with the lock's own report and its time", async () => {
    await startHouse();
    const { exitCode, out } = await run({ device: "lock-c" });
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^lock +lock-c: in-sync$/m);
    expect(out).toMatch(/^report +\u2713 the lock's own, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m);
    const sync = (await createProgram(() => undefined)).commands.find((command) => command.name() === "sync");
    expect(sync?.aliases()).toEqual(["update"]);
  });

  it.each([
    [
      "not-found",
      undefined,
      /^go near it, wake it .*doorlink sync lock-a.* fresh batteries .* supply.* jumpstarted do that last$/,
    ],
    ["radio", "link-lost", /from nearer \(doorlink sync lock-a\)/],
    ["radio", "no-bluetooth", /systemctl start bluetooth/],
    ["radio", "adapter-off", /bluetoothctl power on/],
    ["handshake", "no-progress", /doorlink device add lock-a --ble/],
    ["not-paired", undefined, /doorlink device add lock-a --ble/],
    ["refused", "rollback", /doorlink status/],
    ["refused", "time: round-trip-too-long", /later than 2 s; the rest went through.*doorlink sync lock-a.*is slow/],
    ["refused", "time: stale-nonce", /clock stays as it is and the rest went through/],
    ["refused", "policy: bad-policy", /keeps the policy it has.*doorlink firmware/],
    ["refused", "release: chain-mismatch", /not as the authority has it/],
    ["protocol", "report-of-another-policy", /cannot be true.*reset it.*doorlink device add lock-a --ble/],
    ["protocol", "log-not-taken", /cannot be true/],
    ["protocol", "bad-answer", /doorlink firmware/],
  ])("row 71: a lock that does not respond: %s %s has a way out", (code, reason, way) => {
    expect(syncWayOut(code, reason, "lock-a")).toMatch(way);
  });

  it("row 71: the way out is said in a line of its own, beside the fault", async () => {
    await startHouse(async () => missing());
    const { exitCode, out, warned } = await run({ device: "lock-a" });
    expect([exitCode, out]).toEqual([1, ""]);
    expect(warned).toMatch(/^doorlink: not-found\ndoorlink: go near it, .*\n$/);
  });

  it("words for a visit's steps", () => {
    const standing = { active: true, step: "policy", done: 2_048, of: 9_120 };
    expect(progressText(standing)).toBe("policy 2048 of 9120 bytes");
    expect(progressText({ ...standing, step: "log", done: 12, of: null })).toBe("log 12 entries");
    expect(progressText({ ...standing, step: "handshake", done: null, of: null })).toBe("handshake");
    expect(progressText({ ...standing, active: false })).toBe("waits for the radio");
  });

  it("an agent that is not there is the environment's fault, also in the middle of a round", async () => {
    await startHouse(async (options) => {
      await server?.close();
      server = undefined;
      return arrives(options);
    });
    const { exitCode, out, warned } = await run("all");
    expect(exitCode).toBe(3);
    expect(out).toContain("not visited: lock-c, lock-a, lock-b, lock-d");
    expect(warned).toMatch(/^doorlink: no agent answers/);
  });

  it.each([[[]], [["lock-a", "--all"]], [["--all", "--urgent"]]])(
    "takes one lock, or --all, or --urgent: not %j",
    async (given) => {
      let finished: number | undefined;
      const program = await createProgram((code) => {
        finished = code;
      });
      program.configureOutput({ writeErr: () => undefined });
      for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
      await expect(program.parseAsync(["sync", ...given], { from: "user" })).rejects.toMatchObject({ exitCode: 2 });
      expect(finished).toBeUndefined();
    },
  );
});

describe("doorlink status", () => {
  it("[G10] shows each lock's state with its reason, its own report's moment, and what the next visit waits for", async () => {
    await startHouse();
    let text = "";
    const context: CommandContext = {
      client: createAgentClient(`http://127.0.0.1:${server?.port}`),
      json: false,
      write: (more) => {
        text += more;
      },
      warn: () => undefined,
    };
    expect(await runStatus(context)).toBe(1);
    const lines = text
      .slice(text.indexOf("\nLOCK ") + 1)
      .trimEnd()
      .split("\n");
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ["LOCK", "SYNC", "WHY", "FOR", "ITS OWN REPORT (UTC)", "HEARD", "VISIT BY (UTC)", "NEXT VISIT"],
      ["lock-a", "pending", "keycard", "60 s", "never reported", "never", "-", "keycard, when somebody asks"],
      ["lock-b", "pending", "never-met", "3 min", "never reported", "never", "-", "never-met, when somebody asks"],
      ["lock-c", "pending", "keycard", "2 min", "never reported", "never", "-", "keycard, when somebody asks"],
      ["lock-d", "in-sync", "-", "3 min", "version 2 at 2026-11-20 08:00:00", "3 min", "-", "-"],
    ]);
  });
});

/** True as soon as `holds`; throws when a deadline passes before. */
async function until(holds: () => boolean): Promise<true> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error("it never held");
    await new Promise((resolve) => setImmediate(resolve));
  }
  return true;
}

/** Lets the command look at the progress so often. */
async function looksAtLeast(times: number): Promise<void> {
  let looks = 0;
  const trace = world.gateway.visits.trace.bind(world.gateway.visits);
  world.gateway.visits.trace = (device) => {
    looks += 1;
    return trace(device);
  };
  await until(() => looks >= times);
}
