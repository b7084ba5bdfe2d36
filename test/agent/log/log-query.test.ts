import { describe, expect, it } from "vitest";
import { type KnownToLog, type LogWords, parseLogRequest, readSince } from "../../../agent/log/log-query.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";

const nowMs = unixMs(Date.UTC(2026, 10, 20, 12, 0, 0));
const known: KnownToLog = {
  nowMs,
  devices: [
    { id: "lobby-lock" as DeviceId, door: "lobby", doorName: "Lobby" },
    { id: "lobby-link" as DeviceId, door: "lobby", doorName: "Lobby" },
    { id: "gate-r29" as DeviceId, door: "gate", doorName: "Street gate" },
  ],
  views: ["manager", "technician"],
};

function filterOf(words: LogWords) {
  const read = parseLogRequest(words, known);
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}

function mistakesOf(words: LogWords): readonly string[] {
  const read = parseLogRequest(words, known);
  return read.ok || read.fault.code !== "bad-query" ? [] : read.fault.mistakes.map(({ word }) => word);
}

describe("what is asked of the door log", () => {
  it("row 91: a door by its id or name, or one device", () => {
    expect(filterOf({ door: "lobby" }).filter.devices).toEqual(["lobby-lock", "lobby-link"]);
    expect(filterOf({ door: "Street gate" }).filter.devices).toEqual(["gate-r29"]);
    expect(filterOf({ door: "lobby-lock" }).filter.devices).toEqual(["lobby-lock"]);
    expect(filterOf({}).filter).toEqual({ viewer: { role: "manager" } });
  });

  it.each([
    ["2h", Date.UTC(2026, 10, 20, 10)],
    ["3d", Date.UTC(2026, 10, 17, 12)],
    ["90s", Date.UTC(2026, 10, 20, 11, 58, 30)],
    ["1w", Date.UTC(2026, 10, 13, 12)],
    ["2026-11-20", Date.UTC(2026, 10, 20)],
    ["08:00", Date.UTC(2026, 10, 20, 8)],
    ["08:00:30", Date.UTC(2026, 10, 20, 8, 0, 30)],
    ["2026-11-19T23:30", Date.UTC(2026, 10, 19, 23, 30)],
    ["2026-11-19 23:30:15", Date.UTC(2026, 10, 19, 23, 30, 15)],
    ["2026-11-20T08:00-05:00", undefined],
    ["2026-11-20T06:00-05:00", Date.UTC(2026, 10, 20, 11)],
    ["2026-02-30", undefined],
    ["2026-13-01", undefined],
    ["25:00", undefined],
    ["13:00", undefined],
    ["2026-11-21", undefined],
    ["yesterday", undefined],
    ["2", undefined],
    ["-2h", undefined],
    ["999999w", 0],
    ["", undefined],
  ])("row 91: since %j", (text, expected) => {
    const read = readSince(text, nowMs);
    expect(read.ok ? read.value : undefined).toBe(expected);
  });

  it("row 91: all mistakes are named at once, each with what was expected and what came", () => {
    const words = {
      door: "roof",
      person: "Alice Ames",
      reason: "nope",
      since: "never",
      role: "owner",
      limit: "0",
      cursor: "x",
    };
    const read = parseLogRequest(words, known);
    expect(read).toMatchObject({ ok: false, fault: { code: "bad-query" } });
    expect(mistakesOf(words)).toEqual(["door", "person", "reason", "since", "role", "limit", "cursor"]);
    if (read.ok || read.fault.code !== "bad-query") return;
    expect(read.fault.mistakes[0]).toEqual({
      word: "door",
      expected: "a door or device of this site (doors: gate, lobby)",
      came: '"roof"',
    });
    for (const { expected, came } of read.fault.mistakes) expect(`${expected}${came}`.length).toBeLessThan(1_200);
    expect(mistakesOf({ person: "x".repeat(5_000) })).toEqual(["person"]);
    expect(mistakesOf({ cursor: "ab".repeat(16), door: "lobby" })).toEqual(["door"]);
  });

  it("[M21] row 90: a role must be one that may be asked for here; a resident's own view is not unless the configuration says so", () => {
    expect(filterOf({ role: "technician" }).filter.viewer).toEqual({ role: "technician" });
    const own = { role: "resident:alice" };
    expect(parseLogRequest(own, known)).toEqual({
      ok: false,
      fault: { code: "role-not-allowed", role: "resident", allowed: ["manager", "technician"] },
    });
    const opened = parseLogRequest(own, { ...known, views: ["manager", "resident"] });
    expect(opened).toMatchObject({ ok: true, value: { filter: { viewer: { role: "resident", person: "alice" } } } });
    for (const role of ["resident", "resident:", "manager:alice", "resident:a:b", "authority", "MANAGER"]) {
      expect(mistakesOf({ role }), role).toEqual(["role"]);
    }
  });

  it("a reason in capitals or not, with dashes or not", () => {
    for (const reason of ["OUT_OF_SCHEDULE", "out-of-schedule", "Out_Of-Schedule"]) {
      expect(filterOf({ reason }).filter.reason).toBe("OUT_OF_SCHEDULE");
    }
  });
});
