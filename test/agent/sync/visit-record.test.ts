import { describe, expect, it } from "vitest";
import type { VisitOutcome } from "../../../agent/ports/visit.ts";
import {
  documentToVisitRecord,
  noVisit,
  recordAfterVisit,
  recordOfPairing,
  type VisitEnd,
  type VisitRecord,
  visitRecordToDocument,
  visitsToday,
} from "../../../agent/sync/visit-record.ts";
import { type DeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { visitOutcome } from "../../world/gateway-builder.ts";

const at = unixSeconds(1_795_000_000);
const version = (number: number) => ({ epoch: 1, version: number });
const overAt = (number: number) => ({ ...version(number), at: unixSeconds(at - 60) });

function failedAt(options: {
  readonly from?: number;
  readonly bytes?: number;
  readonly code?: "radio" | "not-found";
}): VisitOutcome {
  const { reported: _reported, ...facts } = visitOutcome({});
  const { from, bytes = 900, code = "radio" } = options;
  return {
    ...facts,
    ok: false,
    fault: { code },
    reported: null,
    from: from === undefined ? null : version(from),
    bytes,
  };
}

function after(record: Partial<VisitRecord>, end: Partial<VisitEnd>): VisitRecord {
  return recordAfterVisit(
    { ...noVisit, ...record },
    {
      at,
      isAutomatic: true,
      outcome: visitOutcome({ version: 2 }),
      brought: { policy: version(2), visitBy: null },
      handedOver: null,
      reportedBefore: version(1),
      isNewest: false,
      fraction: 0.5,
      ...end,
    },
  );
}

describe("what a gateway remembers of its visits", () => {
  it("a record that the disk has spoilt says nothing, and the gateway starts all the same", () => {
    const stored = visitRecordToDocument("lock-a" as DeviceId, { ...noVisit, failures: 3 });
    for (const body of ["", "{", stored.body.slice(0, -1), `${stored.body}}`, "[]", "null"]) {
      expect(documentToVisitRecord({ ...stored, body })).toEqual(noVisit);
    }
    expect(documentToVisitRecord(stored)).toEqual({ ...noVisit, failures: 3 });
  });

  it("[G11] a policy that went over without a report stays unconfirmed, also across a restart", () => {
    const record = after({}, { outcome: failedAt({ from: 1 }), handedOver: overAt(2) });
    expect(record.handedOver).toEqual(overAt(2));
    const stored = visitRecordToDocument("lock-a" as DeviceId, record);
    expect(documentToVisitRecord(stored)).toEqual(record);
  });

  it.each<[string, Partial<VisitEnd>, VisitRecord["handedOver"]]>([
    ["a report of it settles it", { outcome: visitOutcome({ version: 2 }) }, null],
    ["a report of less settles it too", { outcome: visitOutcome({ version: 1 }) }, null],
    ["a hello with less: it never arrived", { outcome: failedAt({ from: 1 }) }, null],
    ["a hello with it is no report: still open", { outcome: failedAt({ from: 2 }) }, overAt(2)],
    ["no hello: still open", { outcome: failedAt({}) }, overAt(2)],
    ["a hello with less, and handed over anew", { outcome: failedAt({ from: 1 }), handedOver: overAt(3) }, overAt(3)],
  ])("[G11] the next contact settles it: %s", (_what, end, expected) => {
    expect(after({ handedOver: overAt(2) }, end).handedOver).toEqual(expected);
  });

  it("[G14] a pause is drawn once for each failed visit, and none after one that went through", () => {
    const failing = { outcome: failedAt({}) };
    const first = after({}, failing);
    expect(first).toMatchObject({ failures: 1, pauseMs: 5_000, lastFault: { code: "radio" } });
    expect(recordAfterVisit(first, { ...endOf(failing), fraction: 0.25 })).toMatchObject({
      failures: 2,
      pauseMs: 5_000,
    });
    expect(after(first, {})).toMatchObject({ failures: 0, pauseMs: 0, lastFault: null });
    // It let everything happen, and still holds the old one.
    expect(after({}, { outcome: visitOutcome({ version: 1 }) })).toMatchObject({ failures: 1, pauseMs: 5_000 });
  });

  it("[G15] counts the visits that reached the lock and nobody asked for, by days", () => {
    const one = after({}, {});
    expect(visitsToday(one, at)).toBe(1);
    expect(visitsToday(after(one, { outcome: failedAt({}) }), at)).toBe(2);
    expect(visitsToday(after(one, { isAutomatic: false }), at)).toBe(1);
    expect(visitsToday(after(one, { outcome: failedAt({ bytes: 0, code: "not-found" }) }), at)).toBe(1);
    const tomorrow = unixSeconds(at + 86_400);
    expect(visitsToday(one, tomorrow)).toBe(0);
    expect(visitsToday(after(one, { at: tomorrow }), tomorrow)).toBe(1);
  });

  it("[J8] half of the lease is that of the policy that the lock reported", () => {
    const lease = unixSeconds(at + 5_000);
    const brought = { policy: version(2), visitBy: lease };
    const held = after({}, { brought });
    expect(held.visitBy).toBe(lease);
    // Something newer is published, and the visit does not bring it there: the old lease runs on.
    const newer = { policy: version(3), visitBy: unixSeconds(at + 9_000) };
    expect(after(held, { brought: newer, outcome: failedAt({ from: 2 }), reportedBefore: version(2) }).visitBy).toBe(
      lease,
    );
    const same = { brought: newer, outcome: visitOutcome({ version: 2 }), reportedBefore: version(2) };
    expect(after(held, same).visitBy).toBe(lease);
    // It holds something that this gateway never had in hand: no lease is known.
    expect(
      after(held, { brought, outcome: visitOutcome({ version: 7 }), reportedBefore: version(2) }).visitBy,
    ).toBeNull();
  });

  it("[G10] a lock that reports less than before has gone back, until it reports that much again", () => {
    const back = after({}, { outcome: visitOutcome({ version: 1 }), reportedBefore: version(4) });
    expect(back.wentBack).toEqual({ ...version(4), at });
    const again = { outcome: visitOutcome({ version: 1 }), reportedBefore: version(1), at: unixSeconds(at + 60) };
    expect(after(back, again).wentBack).toEqual({ ...version(4), at });
    expect(after(back, { outcome: failedAt({}) }).wentBack).toEqual({ ...version(4), at });
    expect(after(back, { outcome: visitOutcome({ version: 4 }), reportedBefore: version(1) }).wentBack).toBeNull();
    expect(after({}, { reportedBefore: null }).wentBack).toBeNull();
  });

  it("[G18] what a lock claimed beyond all that was published, it has not gone back from", () => {
    const lied = { outcome: visitOutcome({ version: 2 }), reportedBefore: version(1_000) };
    expect(after({}, { ...lied, isNewest: true }).wentBack).toBeNull();
    expect(after({ wentBack: { ...version(1_000), at } }, { ...lied, isNewest: true }).wentBack).toBeNull();
    // A gateway that may have missed something cannot tell the lie from a policy that another courier brought.
    expect(after({}, { ...lied, isNewest: false }).wentBack).toEqual({ ...version(1_000), at });
  });

  it("[G10] what a lock did before it was reset and paired again says nothing of it now", () => {
    const [one, other] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
    const wentBack = { ...version(9), at };
    const record = {
      ...recordOfPairing(noVisit, one),
      failures: 3,
      wentBack,
      pendingSince: at,
      reached: { day: 7, visits: 2 },
    };
    expect(recordOfPairing(record, one)).toBe(record);
    const anew = recordOfPairing(record, other);
    expect(anew).toEqual({ ...noVisit, pairingId: "02".repeat(16), pendingSince: at, reached: { day: 7, visits: 2 } });
  });

  it("a record of an older version of doorlink is read", () => {
    const stored = { pendingSince: 5, lastVisitAt: 6, lastFault: null, failures: 2 };
    const document = { kind: "visit" as const, device: "lock-a" as DeviceId, body: JSON.stringify(stored) };
    expect(documentToVisitRecord(document)).toEqual({ ...noVisit, ...stored });
  });
});

function endOf(end: Pick<VisitEnd, "outcome">): VisitEnd {
  const brought = { policy: version(2), visitBy: null };
  return {
    at,
    isAutomatic: true,
    brought,
    handedOver: null,
    reportedBefore: version(1),
    isNewest: true,
    fraction: 0.5,
    ...end,
  };
}
