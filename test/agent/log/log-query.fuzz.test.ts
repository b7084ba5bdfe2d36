import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csvCell } from "../../../agent/commands/log-csv.ts";
import { type KnownToLog, logWords, parseLogRequest, readSince } from "../../../agent/log/log-query.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";

const nowMs = unixMs(Date.UTC(2026, 10, 20, 12));
const known: KnownToLog = {
  nowMs,
  devices: [{ id: "lobby-lock" as DeviceId, door: "lobby", doorName: "Lobby" }],
  views: ["manager", "technician", "resident"],
};
const almost = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.stringMatching(/^[0-9]{0,7}[smhdw]?$/),
  fc.stringMatching(/^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?$/),
  fc.constantFrom("manager", "resident:alice", "resident:", "OUT_OF_SCHEDULE", "lobby", "50", "ab".repeat(16)),
);

describe("any words", () => {
  it("are a request within its limits, or mistakes that name their word and keep what came short", () => {
    const words = fc.record(Object.fromEntries(logWords.map((word) => [word, almost])), { requiredKeys: [] });
    fc.assert(
      fc.property(words, (asked) => {
        const read = parseLogRequest(asked, known);
        if (read.ok) {
          expect(read.value.limit).toBeGreaterThanOrEqual(1);
          expect(read.value.limit).toBeLessThanOrEqual(1_000);
          expect(read.value.filter.sinceMs ?? 0).toBeLessThanOrEqual(nowMs);
        } else if (read.fault.code === "bad-query") {
          expect(read.fault.mistakes.length).toBeGreaterThan(0);
          for (const { word, came } of read.fault.mistakes) {
            expect(asked).toHaveProperty(word);
            expect(came.length).toBeLessThan(500);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("a moment is one of the past, or is said to be none", () => {
    fc.assert(
      fc.property(almost, (text) => {
        const read = readSince(text, nowMs);
        if (read.ok) expect(read.value).toSatisfy((ms: number) => Number.isSafeInteger(ms) && ms >= 0 && ms <= nowMs);
      }),
      { numRuns: 1_000 },
    );
  });

  it("as a cell they end neither the cell nor the line, and begin no formula", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."=+-@,\"'\r\n\t ;ab") }), (text) => {
        const cell = csvCell(text);
        const inside = cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', "") : cell;
        expect(inside).not.toContain('"');
        if (!cell.startsWith('"')) expect(cell).not.toMatch(/[,\r\n]/);
        expect(cell.replace(/^"/, "").trimStart()).not.toMatch(/^[=+\-@]/);
      }),
      { numRuns: 1_000 },
    );
  });
});
