import { describe, expect, it } from "vitest";
import { concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { hmacSha256 } from "../../../protocol/crypto.ts";
import { macPolicyReport, policyReport, verifyPolicyReport } from "../../../protocol/wire/policy-report.ts";

const reportKey = new Uint8Array(32).fill(5);
const pairingId = new Uint8Array(16).fill(1);
const said = { pairingId, epoch: 1, version: 7, root: new Uint8Array(32).fill(2), bootCount: 3, uptimeMs: 4_000 };

describe("a policy report", () => {
  const bytes = policyReport.encode(said);
  const mac = macPolicyReport(reportKey, bytes);

  it("[M14] is MACed under a name of its own and reads back", () => {
    expect(mac).toEqual(hmacSha256(reportKey, concatBytes(utf8("doorlink/1/policy-report\0"), bytes)));
    expect(verifyPolicyReport({ reportKey, pairingId }, bytes, mac)).toEqual({ ok: true, value: said });
  });

  it("[M14] is nobody else's word: another key, another MAC, altered bytes, another device", () => {
    const code = (...[facts, changed, by]: Parameters<typeof verifyPolicyReport>) => {
      const read = verifyPolicyReport(facts, changed, by);
      return read.ok ? "ok" : read.fault.code;
    };
    expect(code({ reportKey: pairingId, pairingId }, bytes, mac)).toBe("bad-mac");
    expect(code({ reportKey, pairingId }, bytes, hmacSha256(reportKey, bytes))).toBe("bad-mac");
    for (let index = 0; index < bytes.length; index++) {
      const altered = bytes.with(index, (bytes[index] ?? 0) ^ 1);
      expect(code({ reportKey, pairingId }, altered, mac)).toBe("bad-mac");
    }
    const junk = utf8("open");
    expect(code({ reportKey, pairingId }, junk, macPolicyReport(reportKey, junk))).toBe("malformed-report");
    expect(code({ reportKey, pairingId: new Uint8Array(16) }, bytes, mac)).toBe("wrong-pairing");
  });
});
