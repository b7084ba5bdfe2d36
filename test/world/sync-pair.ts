/**
 * A courier's and a lock's sync machine, joined message by message, with the least firmware a lock can have. The lock's
 * policy, staging, log and clock are plain fields that a test reads and sets.
 */
import { monotonicMs, type UnixMs, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import {
  answerTime,
  authorityKeysFromSeed,
  authorityPublicKeys,
  derivePairingKeys,
  issueCourierCertificate,
  signManifest,
} from "../../protocol/sync/authority.ts";
import { type CourierEvent, type CourierLoad, CourierSync } from "../../protocol/sync/courier-sync.ts";
import { type LockAction, type LockFacts, type LockPairing, LockSync } from "../../protocol/sync/lock-sync.ts";
import { auditChainNext, auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { buildBundle } from "./policy-builder.ts";

export const startMs = unixMs(1_790_000_000_000);
export const authorityKeys = authorityKeysFromSeed(new Uint8Array(32).fill(1));
export const pairingId = new Uint8Array(16).fill(0x11);
export const courierKey = x25519PublicKey(new Uint8Array(32).fill(2));
export const lockPrivateKey = new Uint8Array(32).fill(3);
const pairingKeys = derivePairingKeys(authorityKeys.static, x25519PublicKey(lockPrivateKey), pairingId);
export const reportKey = pairingKeys?.report ?? new Uint8Array(0);
export const pairing: LockPairing = { pairingId, authority: authorityPublicKeys(authorityKeys), reportKey };

export function certificateFor(overrides: Partial<Parameters<typeof issueCourierCertificate>[1]> = {}): SignedBlob {
  return issueCourierCertificate(authorityKeys, {
    staticPublicKey: courierKey,
    holder: "gateway-maple",
    role: "courier",
    locks: [],
    notAfter: unixSeconds(startMs / 1000 + 86_400),
    ...overrides,
  });
}

/** A signed snapshot with enough credentials to need several pages. */
export function policyFor(version: number, credentials = 200): NonNullable<CourierLoad["policy"]> {
  const bundle = buildBundle(version, credentials);
  const notAfter = unixSeconds(startMs / 1000 + 86_400);
  const manifest = signManifest(authorityKeys, { pairingId, epoch: 1, version, bundle, notAfter });
  return { epoch: 1, version, manifest, bundle };
}

export class TinyLock {
  policy: LockFacts["policy"] = { epoch: 1, version: 1, root: sha256(buildBundle(1)) };
  staged: { manifestHash: Uint8Array; bytes: Uint8Array } | undefined;
  clock: { quality: "set" | "lower-bound" | "unset"; unixMs?: UnixMs; floor: ReturnType<typeof unixSeconds> } = {
    quality: "set",
    unixMs: startMs,
    floor: unixSeconds(startMs / 1000),
  };
  log: Uint8Array[] = [];
  logFirst = 0;
  headBefore = auditChainStart(pairingId);
  failsToCommit = false;
  readonly actions: LockAction[] = [];

  addEntries(count: number): void {
    for (let index = 0; index < count; index++) {
      const sequence = this.logFirst + this.log.length;
      this.log.push(auditEntry.encode({ sequence, boot: 1, clock: "unset", kind: "boot" }));
    }
  }

  facts(): LockFacts {
    return {
      model: "C1",
      firmware: "1.4.2",
      hardware: "rev-b",
      bootCount: 2,
      uptimeSeconds: 77,
      policy: this.policy,
      ...(this.staged === undefined ? {} : { staged: this.staged }),
      log: {
        first: this.logFirst,
        next: this.logFirst + this.log.length,
        headBefore: this.headBefore,
        chainHead: this.log.reduce(auditChainNext, this.headBefore),
      },
      clock: this.clock,
      battery: { millivolts: 5_600, percent: 80 },
    };
  }

  carryOut(action: LockAction, sync: LockSync): void {
    this.actions.push(action);
    switch (action.kind) {
      case "set-clock":
        if (action.written) this.clock = { ...this.clock, quality: "set", unixMs: action.newUnixMs };
        return;
      case "begin-staging":
        this.staged = { manifestHash: action.manifestHash, bytes: new Uint8Array(0) };
        return;
      case "stage": {
        const bytes = Buffer.concat([this.staged?.bytes ?? new Uint8Array(0), action.bytes]);
        this.staged = { manifestHash: this.staged?.manifestHash ?? new Uint8Array(32), bytes };
        return;
      }
      case "commit":
        if (this.failsToCommit) return sync.commitFailed();
        this.policy = { epoch: action.epoch, version: action.version, root: action.root };
        this.staged = undefined;
        return sync.commitDone(this.policy);
      case "read-log": {
        const from = Math.max(action.from, this.logFirst);
        const entries = this.log.slice(from - this.logFirst, from - this.logFirst + action.limitEntries);
        return sync.logRead(from, entries, this.logFirst + this.log.length);
      }
      case "free-log": {
        const freed = this.log.splice(0, action.through - this.logFirst + 1);
        const head = freed.reduce(auditChainNext, this.headBefore);
        if (Buffer.compare(head, action.chainHead) !== 0) {
          this.log.unshift(...freed);
          return sync.logFreed({ refusal: "chain-mismatch" });
        }
        this.headBefore = head;
        this.logFirst = action.through + 1;
        return sync.logFreed({ through: action.through });
      }
      case "end":
        return;
    }
  }
}

export interface SyncRun {
  readonly events: readonly CourierEvent[];
  /** Messages in the order they crossed, for a test that replays or counts them. */
  readonly toLock: readonly Uint8Array[];
}

export interface SyncOptions {
  readonly load?: Partial<CourierLoad>;
  /** How the authority answers for the time; undefined: it cannot be reached. */
  readonly time?: ((nonce: Uint8Array) => SignedBlob) | undefined;
  /** Emulated milliseconds between the lock's question for the time and the answer. */
  readonly roundTripMs?: number;
  readonly courierPublicKey?: Uint8Array;
  readonly nonce?: Uint8Array;
  /** The link is cut after so many messages to the lock. */
  readonly cutAfter?: number;
  /** A courier in the middle may change what goes to the lock. */
  readonly tamper?: (message: Uint8Array, index: number) => Uint8Array;
}

export const honestTime = (nonce: Uint8Array): SignedBlob =>
  answerTime(authorityKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 20 });

/** Runs a sync until nothing moves any more. */
export function runSync(lock: TinyLock, options: SyncOptions = {}): SyncRun {
  const { roundTripMs = 100, nonce = new Uint8Array(16).fill(9), tamper = (message) => message } = options;
  const courier = new CourierSync({ certificate: certificateFor(), logFrom: 0, ...options.load });
  const sync = new LockSync(pairing, options.courierPublicKey ?? courierKey, nonce);
  const time = "time" in options ? options.time : honestTime;
  const events: CourierEvent[] = [];
  const toLock: Uint8Array[] = [];
  let now = monotonicMs(1_000);
  for (let moved = true; moved; ) {
    moved = false;
    for (const event of courier.takeEvents()) {
      moved = true;
      events.push(event);
      if (event.kind === "time-wanted") {
        now = monotonicMs(now + roundTripMs);
        if (time === undefined) courier.skipTime();
        else courier.provideTime(time(event.nonce));
      }
      if (event.kind === "entries") courier.entriesStored();
    }
    for (const message of courier.takeMessages()) {
      moved = true;
      if (options.cutAfter !== undefined && toLock.length >= options.cutAfter) return { events, toLock };
      const sent = tamper(message, toLock.length);
      toLock.push(sent);
      sync.receive(sent, lock.facts(), now);
      for (const action of sync.takeActions()) lock.carryOut(action, sync);
    }
    for (const answer of sync.takeMessages()) {
      moved = true;
      courier.receive(answer);
    }
  }
  return { events, toLock };
}
