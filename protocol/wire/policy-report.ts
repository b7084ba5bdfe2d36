/**
 * What a networked device says of the policy that it decides by, MACed under the key that its enrolment gave it: the gateway in between
 * can hold the report back and cannot make it up, so a revocation is believed to be there only when the device itself says so.
 * Source: SPEC M14.
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { type CborTypeOf, cborBytes, cborRecord, cborUint, field } from "../base/cbor-record.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { hmacSha256 } from "../crypto.ts";

const uint32 = cborUint(0xffffffff);

/** `epoch` and `version` 0: the policy that the device was installed with. Boot count and uptime order the reports of a device. */
export const policyReport = cborRecord({
  pairingId: field(1, cborBytes(16)),
  epoch: field(2, uint32),
  version: field(3, uint32),
  root: field(4, cborBytes(32)),
  bootCount: field(5, uint32),
  uptimeMs: field(6, cborUint(2 ** 53 - 1)),
});
export type PolicyReport = CborTypeOf<typeof policyReport>;

export type PolicyReportFault = { readonly code: "bad-mac" | "malformed-report" | "wrong-pairing" };

/** 32 bytes of HMAC-SHA-256 over a name of its own, a zero byte and the report's bytes. */
export function macPolicyReport(reportKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hmacSha256(reportKey, concatBytes(utf8("doorlink/1/policy-report"), Uint8Array.of(0), bytes));
}

/** Reads a report that the device itself made. Faults, in the order of the checks: bad-mac, malformed-report, wrong-pairing. */
export function verifyPolicyReport(
  facts: { readonly reportKey: Uint8Array; readonly pairingId: Uint8Array },
  bytes: Uint8Array,
  mac: Uint8Array,
): Result<PolicyReport, PolicyReportFault> {
  if (!equalBytes(macPolicyReport(facts.reportKey, bytes), mac)) return failed({ code: "bad-mac" });
  const read = policyReport.decode(bytes);
  if (!read.ok) return failed({ code: "malformed-report" });
  if (!equalBytes(read.value.pairingId, facts.pairingId)) return failed({ code: "wrong-pairing" });
  return ok(read.value);
}
