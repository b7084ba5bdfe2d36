/**
 * One visit to one BLE lock: connect, session, clock, policy, log, report, close. The gateway loop decides whom to visit and
 * when; `agent/ble/visit.ts` does it; tests of the loop put a scripted one in its place.
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { ClockQuality } from "../../protocol/wire/messages/fields.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Clock } from "./clock.ts";
import type { Radio } from "./radio.ts";
import type { Random } from "./random.ts";

export type RunVisit = (options: VisitOptions) => Promise<VisitOutcome>;

export interface PolicyVersion {
  readonly epoch: number;
  readonly version: number;
}

export interface VisitOptions {
  readonly radio: Radio;
  readonly address: string;
  readonly courier: { readonly staticPrivateKey: Uint8Array; readonly certificate: SignedBlob };
  readonly lock: { readonly device: DeviceId; readonly staticPublicKey: Uint8Array; readonly pairingId: Uint8Array };
  /** What to bring; absent when this gateway holds nothing for the lock. A lock that holds the version already takes none of it. */
  readonly desired?: {
    readonly policy: PolicyVersion;
    readonly keyset: { readonly epoch: number; readonly blob: SignedBlob };
    /** Sealed for this lock: deltas and the snapshot, whose `from` is 0. */
    readonly bundles: readonly { readonly from: number; readonly manifest: SignedBlob; readonly bytes: Uint8Array }[];
    readonly release: SignedBlob | null;
  };
  /** First log sequence that this gateway does not have on disk, or wants again. */
  readonly logFrom: number;
  /** Where to read instead if the lock's log ends before `logFrom`: the first sequence that upstream has not taken. */
  readonly logAgainFrom?: number;
  /** False: there is no room for more of this lock's log. */
  readonly readsLog?: boolean;
  /** The answer to the lock's nonce (16 bytes), of the authority or its delegate; undefined when it cannot be had in time, and the visit goes on without. */
  readonly askTime: (nonce: Uint8Array) => Promise<GivenTime | undefined>;
  /** Resolves when the run, as the lock sealed it, is on disk; only then may the visit tell the lock so. Runs come in order. */
  readonly storeRun: (run: SealedRun) => Promise<void>;
  readonly onProgress: (progress: VisitProgress) => void;
  /** The visit is given up after so long, if that is shorter than its own limit. */
  readonly limitMs?: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** A signed time answer; with the certificate of whoever gave it in the authority's place. */
export interface GivenTime {
  readonly answer: SignedBlob;
  readonly delegate?: SignedBlob;
}

/** Entries `from` to `from + count - 1` of a lock's log, sealed for the authority. */
export interface SealedRun {
  /** The lock's boot count when it gave them. */
  readonly boot: number;
  readonly from: number;
  readonly count: number;
  /** The encoded `auditBatch`. */
  readonly batch: Uint8Array;
}

export interface VisitProgress {
  readonly step: "connecting" | "handshake" | "clock" | "policy" | "log" | "report" | "closing";
  /** Of this step, where it has a measure: bytes of the bundle, entries of the log. */
  readonly done?: number;
  readonly of?: number;
}

/** A visit that went through, or the fault that ended it with what had been learned and stored until then. */
export type VisitOutcome =
  | ({ readonly ok: true } & VisitFacts & { readonly reported: LockReport })
  | ({ readonly ok: false; readonly fault: VisitFault } & VisitFacts & { readonly reported: LockReport | null });

export interface VisitFacts {
  /** What the lock held when it was met; null: it did not come to that. */
  readonly from: PolicyVersion | null;
  readonly battery: { readonly millivolts: number; readonly percent: number } | null;
  readonly firmware: string | null;
  readonly hardware: string | null;
  readonly bootCount: number | null;
  readonly uptimeSeconds: number | null;
  /** The lock's clock before and after; null: time was not asked for or not answered. */
  readonly clock: { readonly oldMs: number | null; readonly newMs: number; readonly written: boolean } | null;
  readonly logEntries: number;
  /** A delta that the lock could not use, which the snapshot replaced in the same visit; null: none. */
  readonly deltaRefused: { readonly refusal: string; readonly from: number } | null;
  readonly durationMs: number;
  /** Over the air, both directions. */
  readonly bytes: number;
}

/** The lock's last word in this visit. `report` and `mac` are its own bytes, for the authority alone to check. */
export interface LockReport {
  readonly policy: PolicyVersion;
  readonly clock: ClockQuality;
  readonly logNext: number;
  readonly report: Uint8Array;
  readonly mac: Uint8Array;
}

/**
 * `code` is closed for the operator: not-found (never came on the air), radio (the adapter or the link failed), timeout (no
 * progress within its deadline), handshake (the peer is not this lock), refused (the lock said no: `reason`), protocol (the
 * peer broke the rules: `reason`).
 */
export interface VisitFault {
  readonly code: "not-found" | "radio" | "timeout" | "handshake" | "refused" | "protocol";
  readonly reason?: string;
}
