import { beforeEach, describe, expect, it } from "vitest";
import { createAgentClient } from "../../../agent/commands/agent-client.ts";
import { runLog } from "../../../agent/commands/log.ts";
import { openHttpServer } from "../../../agent/http/listen.ts";
import type { LogAnswer, LogEntryView } from "../../../agent/http/views.ts";
import { DoorLog } from "../../../agent/log/door-log.ts";
import type { LogWords } from "../../../agent/log/log-query.ts";
import { eventToStored } from "../../../agent/store/event-body.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import type { ViewerRole } from "../../../protocol/wire/log-privacy.ts";
import type { DeviceEvent } from "../../../protocol/wire/messages/event.ts";
import {
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  panel,
  site,
  startGateway,
  twin,
} from "../../world/gateway-builder.ts";

const gate = "panel-r20" as DeviceId;
const home = "home-r29" as DeviceId;
const lock = "lock-c1" as DeviceId;

let world: GatewayWorld;

beforeEach(async () => {
  world = await startGateway({ automatic: false });
  const atHome = {
    ...panel({ id: home, model: "R29" }),
    door: "apartment-1a",
    doorName: "1A",
    doorKind: "RESIDENCE",
    doorUnit: "unit-1a",
  };
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, {
    ...gatewayDesired({ devices: [bleLock(), panel(), atHome, twin()] }),
    people: [
      { id: "alice", name: "Alice Ames" },
      { id: "bob", name: "Bob Boone", role: "NON_RESIDENT" },
      { id: "gina", name: "Gina Guest", role: "GUEST" },
    ],
  });
  await world.clock.advance(0);
});

async function store(
  device: DeviceId,
  events: readonly (Partial<DeviceEvent> & { readonly sequence: number })[],
): Promise<void> {
  const at = { unixSeconds: null, quality: "unset" } as const;
  await world.store.appendEvents({
    device,
    receivedAtMs: world.clock.nowMs(),
    events: events.map((event) => eventToStored({ boot: 1, at, kind: "access-granted", ...event })),
  });
}

function doorLog(views?: readonly ViewerRole[]): DoorLog {
  const { table, clock } = world;
  return new DoorLog({ store: world.store, table, clock, ...(views === undefined ? {} : { views: () => views }) });
}

async function read(words: LogWords = {}, log = doorLog()): Promise<LogAnswer> {
  const answer = await log.read(words);
  if (!answer.ok) throw new Error(JSON.stringify(answer.fault));
  return answer.value;
}

/** `device sequence kind`, of what is numbered. */
function names(entries: readonly LogEntryView[]): readonly string[] {
  return entries.map(({ device, sequence, kind, facts }) =>
    kind === "hole"
      ? `${device} hole ${facts?.["first"] ?? "?"}-${facts?.["last"] ?? "?"}`
      : `${device} ${sequence} ${kind}`,
  );
}

describe("the door log", () => {
  it("[M22] row 92: keeps the Detail as the device said it beside the canonical reason, all failed checks, and what the device's clock was worth", async () => {
    const detail = "No access permission or door license is not available";
    const at = { unixSeconds: world.clock.nowMs() / 1000 - 30, quality: "lower-bound" } as never;
    const failedChecks = ["NO_ACCESS_RIGHTS", "OUT_OF_SCHEDULE"] as const;
    await store(gate, [
      {
        sequence: 1,
        kind: "access-denied",
        person: "bob",
        reason: "NO_ACCESS_RIGHTS",
        failedChecks: [...failedChecks],
        detail,
        at,
      },
    ]);
    const [entry] = (await read()).entries;
    expect(entry).toMatchObject({
      device: gate,
      door: "gate",
      doorName: "Gate",
      boot: 1,
      sequence: 1,
      personName: "Bob Boone",
    });
    expect(entry).toMatchObject({ reason: "NO_ACCESS_RIGHTS", failedChecks, detail, at });
    expect(entry?.receivedAt).toBe(world.clock.nowMs() / 1000);
  });

  it("[M22] row 91: stands in the order of each device's own sequence, whatever came late; holes and declared losses stand in their place", async () => {
    await store(gate, [{ sequence: 1 }, { sequence: 2 }, { sequence: 6 }]);
    await world.clock.advance(60_000);
    await store(gate, [{ sequence: 12, kind: "log-gap", facts: { before: 7, after: 11 } }, { sequence: 15 }]);
    await store(gate, [{ sequence: 4, person: "bob" }]);
    const expected = [
      `${gate} 15 access-granted`,
      `${gate} hole 13-14`,
      `${gate} 12 log-gap`,
      `${gate} 6 access-granted`,
      `${gate} hole 5-5`,
      `${gate} 4 access-granted`,
      `${gate} hole 3-3`,
      `${gate} 2 access-granted`,
      `${gate} 1 access-granted`,
    ];
    expect(names((await read()).entries)).toEqual(expected);
    // A filter hides no hole: what is missing could have matched.
    expect(names((await read({ person: "bob" })).entries)).toEqual([
      `${gate} hole 13-14`,
      `${gate} hole 5-5`,
      `${gate} 4 access-granted`,
      `${gate} hole 3-3`,
    ]);
  });

  it("row 91: pages lead on to one another, each entry and each hole once, and a cursor says nothing", async () => {
    await store(
      gate,
      [1, 2, 3, 5, 8, 9].map((sequence) => ({ sequence })),
    );
    await world.clock.advance(60_000);
    // Its entries are on the first page, and the hole at its beginning is shown on the last.
    await store("lobby-link" as DeviceId, [{ sequence: 3, kind: "scan" }]);
    const log = doorLog();
    const whole = names((await read({}, log)).entries);
    const paged: string[] = [];
    let cursor: string | null = null;
    do {
      const page: LogAnswer = await read(cursor === null ? { limit: "2" } : { cursor, limit: "2" }, log);
      expect(page.entries.filter(({ kind }) => kind !== "hole").length).toBeLessThanOrEqual(2);
      paged.push(...names(page.entries));
      cursor = page.next;
      if (cursor !== null) expect(cursor).toMatch(/^[0-9a-f]{32}$/);
    } while (cursor !== null);
    expect(paged).toEqual(whole);
    expect(paged).toHaveLength(10);
    expect(paged.at(-1)).toBe("lobby-link hole 1-2");
    expect(await log.read({ cursor: "0".repeat(32) })).toEqual({ ok: false, fault: { code: "cursor-expired" } });
  });

  it("row 91: filters by door, person, reason and since, together", async () => {
    await store(gate, [{ sequence: 1, kind: "access-denied", person: "bob", reason: "OUT_OF_SCHEDULE" }]);
    await world.clock.advance(3_600_000);
    await store(gate, [
      { sequence: 2, kind: "access-denied", person: "bob", reason: "OUT_OF_SCHEDULE" },
      { sequence: 3, kind: "access-denied", person: "bob", reason: "NO_ACCESS_RIGHTS" },
      { sequence: 4, kind: "access-denied", person: "gina", reason: "OUT_OF_SCHEDULE" },
    ]);
    await store("lobby-link" as DeviceId, [{ sequence: 1, kind: "scan" }]);
    const sequences = async (words: LogWords) =>
      (await read(words)).entries.map(({ device, sequence }) => `${device} ${sequence}`);
    expect(await sequences({ door: "gate", person: "bob", reason: "out-of-schedule", since: "30m" })).toEqual([
      `${gate} 2`,
    ]);
    expect(await sequences({ door: "gate", since: "30m" })).toEqual([`${gate} 4`, `${gate} 3`, `${gate} 2`]);
    expect(await sequences({ person: "bob", reason: "OUT_OF_SCHEDULE" })).toEqual([`${gate} 2`, `${gate} 1`]);
    expect(await sequences({ door: "lobby" })).toEqual(["lobby-link 1"]);
  });

  it("[M18] row 90: [M20] at the door of a home who manages the house sees others than who lives there, without numbers", async () => {
    await store(home, [
      { sequence: 1, person: "alice" },
      { sequence: 2, kind: "door", facts: { open: 1 } },
      { sequence: 3, person: "bob", credential: "bob-card" },
      { sequence: 4, kind: "access-denied", reason: "CREDENTIAL_UNKNOWN" },
      { sequence: 8, kind: "log-gap", facts: { before: 5, after: 7 } },
      { sequence: 9 },
      { sequence: 12, person: "alice" },
      { sequence: 13, kind: "boot" },
    ]);
    await store(lock, [{ sequence: 3, kind: "sealed-log", facts: { first: 1, last: 3 }, raw: new Uint8Array([1]) }]);
    const { entries, role } = await read();
    expect(role).toBe("manager");
    expect(entries.map(({ kind, person, sequence, facts }) => [kind, person, sequence, facts])).toEqual([
      ["boot", undefined, null, undefined],
      ["hole", undefined, null, { missing: 2 }],
      ["log-gap", undefined, null, { missing: 3 }],
      ["access-denied", undefined, null, undefined],
      ["access-granted", "bob", null, undefined],
    ]);
    // What follows the hole is alice, coming home: its time is hers.
    expect(entries[1]?.receivedAt).toBe(Date.UTC(2026, 10, 20) / 1000);
    const technician = (await read({ role: "technician" })).entries;
    expect(
      technician.map(({ kind, person, personName, credential }) => [kind, person, personName, credential]),
    ).toEqual([
      ["boot", undefined, null, undefined],
      ["hole", undefined, null, undefined],
      ["log-gap", undefined, null, undefined],
      ["access-denied", undefined, null, undefined],
      ["access-granted", undefined, null, undefined],
    ]);
    const own = (await read({ role: "resident:alice" }, doorLog(["resident"]))).entries;
    expect(own.map(({ kind, person, sequence }) => [kind, person, sequence])).toEqual([
      ["access-granted", "alice", 12],
      ["access-granted", "alice", 1],
    ]);
    expect(await doorLog().read({ role: "resident:alice" })).toMatchObject({ fault: { code: "role-not-allowed" } });
  });

  it("[M22] says whether anything keeps the gateway's own clock, by which entries were received", async () => {
    const { store: kept, table, clock } = world;
    for (const known of [true, false, null]) {
      const log = new DoorLog({ store: kept, table, clock, clockSynchronised: () => known });
      expect(await read({}, log)).toMatchObject({ clockSynchronised: known });
    }
    expect(await read()).toMatchObject({ clockSynchronised: null });
  });

  it("[M18] of a device that the site does not list any more, and of people nobody knows, only what is nobody's is shown", async () => {
    await store("gone-r29" as DeviceId, [
      { sequence: 1, person: "bob" },
      { sequence: 2, person: "zoe" },
      { sequence: 3, kind: "boot" },
    ]);
    expect((await read()).entries.map(({ kind, person }) => [kind, person])).toEqual([
      ["boot", undefined],
      ["access-granted", "bob"],
    ]);
  });

  it("row 91: one call looks at a bounded number of events, however many are hidden, and goes on behind them", async () => {
    const all = Array.from({ length: 400 }, (_, at) => ({ sequence: at + 2, person: "alice" }));
    await store(home, [{ sequence: 1, person: "bob" }, ...all]);
    let looks = 0;
    const counting = {
      readLog: (query: Parameters<typeof world.store.readLog>[0]) => {
        looks += 1;
        return world.store.readLog({ ...query, limit: 10 });
      },
      coverage: world.store.coverage.bind(world.store),
    };
    const log = new DoorLog({ store: counting, table: world.table, clock: world.clock });
    const first = await read({ limit: "5" }, log);
    expect([first.entries.length, looks]).toEqual([0, 16]);
    let page = first;
    for (let more = 0; more < 10 && page.next !== null; more++)
      page = await read({ cursor: page.next, limit: "5" }, log);
    expect(page).toMatchObject({ next: null, entries: [{ person: "bob" }] });
  });

  it("rows 90-92: the command asks page by page, says all mistakes in one line, and writes the same as CSV and JSON", async () => {
    const detail = "@Invalid PIN";
    await store(
      gate,
      Array.from({ length: 1_200 }, (_, at) => ({ sequence: at + 1, kind: "access-denied" as const, detail })),
    );
    const server = await openHttpServer(0, world);
    let text = "";
    const write = (more: string): void => {
      text += more;
    };
    const context = { client: createAgentClient(`http://127.0.0.1:${server.port}`), json: false, write, warn: write };
    const run = async (command: Partial<Parameters<typeof runLog>[0]>, json = false) => {
      text = "";
      return runLog({ words: {}, limit: "50", csv: false, ...command }, { ...context, json });
    };
    try {
      expect(await run({ limit: "1150" }, true)).toBe(0);
      expect(JSON.parse(text).entries).toHaveLength(1_150);
      expect(await run({ limit: "1150", csv: true })).toBe(0);
      const lines = text.split("\r\n");
      expect(lines).toHaveLength(1_152);
      expect(lines[1]).toMatch(
        /^2026-11-20T08:00:00Z,panel-r20,gate,Gate,1,1200,access-denied,,unset,.*,'@Invalid PIN,$/,
      );
      expect(await run({})).toBe(0);
      expect(text.split("\n")[1]).toMatch(
        /^2026-11-20 08:00:00 +clock unset +panel-r20 +1200 +Gate +access-denied +- +\S.* +@Invalid PIN$/,
      );
      expect(await run({ words: { since: "never", reason: "why" }, limit: "many" })).toBe(2);
      expect(text).toMatch(/--limit: expected .*\n.*reason: expected .*since: expected .*"never"\n$/s);
      expect(await run({ words: { role: "resident:alice" } })).toBe(2);
      expect(text).toContain("role-not-allowed");
    } finally {
      await server.close();
    }
  });
});
