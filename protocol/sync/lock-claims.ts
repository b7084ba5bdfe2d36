/**
 * What a lock says of itself in one visit must hang together: its report at the end is of this visit, of the pairing that it greeted with,
 * and names what it greeted with or what it has confirmed since. A courier cannot check the report's MAC; this it can, and a lock that
 * contradicts itself is not believed by its courier either. Source: SPEC Y19.
 */
import { equalBytes } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { failed, ok, type Result } from "../base/result.ts";
import { type LockReport, lockReport } from "../wire/signed-objects.ts";
import type { Hello } from "../wire/sync-message.ts";

/** What the lock has said until its report. */
export interface LockClaims {
  readonly hello: Hello;
  /** What it has confirmed in this visit; absent: it was brought nothing, or refused it. */
  readonly committed?: { readonly epoch: number; readonly version: number; readonly root: Uint8Array };
  /** The highest sequence that it said its log would give next. */
  readonly logNext: number;
}

export type ClaimFault = CborFault | { readonly code: ClaimFaultCode };
export type ClaimFaultCode =
  | "report-of-another-pairing"
  /** Not of this visit: its nonce is another, or its boot. */
  | "report-of-another-visit"
  | "report-of-another-policy"
  | "report-of-another-root"
  | "report-log-went-back"
  | "report-log-ran-ahead";

/** The report, as far as a courier can judge it. Faults: those of the codec, and those of ClaimFaultCode. Never throws. */
export function judgeReport(
  { hello, committed, logNext }: LockClaims,
  bytes: Uint8Array,
): Result<LockReport, ClaimFault> {
  const read = lockReport.decode(bytes);
  if (!read.ok) return read;
  const report = read.value;
  const held = committed ?? hello;
  if (!equalBytes(report.pairingId, hello.pairingId)) return failed({ code: "report-of-another-pairing" });
  const isOfThisVisit = equalBytes(report.nonce, hello.nonce) && report.bootCount === hello.bootCount;
  if (!isOfThisVisit) return failed({ code: "report-of-another-visit" });
  const isOfPolicy = report.epoch === held.epoch && report.version === held.version;
  if (!isOfPolicy) return failed({ code: "report-of-another-policy" });
  if (!equalBytes(report.root, held.root)) return failed({ code: "report-of-another-root" });
  if (report.logNext < logNext) return failed({ code: "report-log-went-back" });
  if (report.logNext > logNext + REPORT_LOG_AHEAD_LIMIT) return failed({ code: "report-log-ran-ahead" });
  return ok(report);
}

/** A lock goes on logging while it is visited; its whole ring is more than a visit's worth of comings and goings. */
const REPORT_LOG_AHEAD_LIMIT = 1_024;
