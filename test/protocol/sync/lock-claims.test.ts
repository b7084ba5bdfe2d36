/** What a courier finds false in a lock's report, although it cannot check the report's MAC. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeReport, type LockClaims } from "../../../protocol/sync/lock-claims.ts";
import type { LockReport } from "../../../protocol/wire/signed-objects.ts";
import { reportAfter } from "../../world/sync-pair.ts";
import { almost, fuzzRuns } from "../fuzz.ts";
import { lockMessageValues } from "../sync-message-samples.ts";

const { hello } = lockMessageValues;
const root = new Uint8Array(32).fill(3);
const committed = { epoch: hello.epoch, version: hello.version + 1, root };

function judged(said: Partial<LockReport>, claims: Partial<LockClaims> = {}): string {
  const report = reportAfter(hello, said);
  if (report.kind !== "report") throw new Error("a report is a report");
  const result = judgeReport({ hello, logNext: hello.logNext, ...claims }, report.report);
  return result.ok ? "ok" : result.fault.code;
}

describe("a lock's report beside what it said before", () => {
  it("[Y19] is of what it greeted with, or of what it has confirmed", () => {
    expect(judged({})).toBe("ok");
    expect(judged({ version: committed.version, root }, { committed })).toBe("ok");
    expect(judged({}, { committed })).toBe("report-of-another-policy");
    expect(judged({ version: committed.version })).toBe("report-of-another-policy");
    expect(judged({ version: hello.version - 1 })).toBe("report-of-another-policy");
    expect(judged({ epoch: hello.epoch + 1 })).toBe("report-of-another-policy");
    expect(judged({ root })).toBe("report-of-another-root");
    expect(judged({ version: committed.version }, { committed })).toBe("report-of-another-root");
  });

  it("[Y19] is of this visit and this pairing", () => {
    expect(judged({ pairingId: new Uint8Array(16) })).toBe("report-of-another-pairing");
    expect(judged({ nonce: new Uint8Array(16) })).toBe("report-of-another-visit");
    expect(judged({ bootCount: hello.bootCount + 1 })).toBe("report-of-another-visit");
  });

  it("[Y19] has a log that goes on from what it gave, and no further than a visit's worth", () => {
    const { logNext } = hello;
    expect(judged({ logNext: logNext + 1_024 })).toBe("ok");
    expect(judged({ logNext: logNext + 1_025 })).toBe("report-log-ran-ahead");
    expect(judged({ logNext: logNext - 1 })).toBe("report-log-went-back");
    expect(judged({ logNext: logNext + 5 }, { logNext: logNext + 6 })).toBe("report-log-went-back");
  });

  it("[Y19] that cannot be read is none: any bytes give a report or a fault", () => {
    const whole = reportAfter(hello);
    if (whole.kind !== "report") throw new Error("a report is a report");
    let taken = 0;
    fc.assert(
      fc.property(almost([whole.report]), (bytes) => {
        const judged = judgeReport({ hello, logNext: hello.logNext }, bytes);
        if (judged.ok) taken += 1;
        else expect(judged.fault.code).not.toBe("");
      }),
      fuzzRuns(300),
    );
    expect(taken).toBeLessThan(300);
  });
});
