/**
 * A courier's and a lock's sync machine, joined message by message, with the least firmware a lock can have. The lock's
 * policy, staging, log, clock and keyset are plain fields that a test reads and sets.
 */
import { decodePolicy, encodePolicy, type LockPolicy, policyRoot } from "../../protocol/access/policy.ts";
import {
  type MonotonicMs,
  monotonicMs,
  type UnixMs,
  type UnixSeconds,
  unixMs,
  unixSeconds,
} from "../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import {
  type AuthorityKeys,
  answerTime,
  authorityKeysFromSeed,
  derivePairingKeys,
  issueCourierCertificate,
  keysetOf,
  macReport,
  sealBundle,
  verifyReport,
} from "../../protocol/sync/authority.ts";
import {
  type CarriedBundle,
  type CourierEvent,
  type CourierLoad,
  CourierSync,
} from "../../protocol/sync/courier-sync.ts";
import type { HeldKeyset } from "../../protocol/sync/keyset.ts";
import { type LockClock, readClock, takeTime } from "../../protocol/sync/lock-clock.ts";
import { type LockAction, type LockFacts, type LockPairing, LockSync } from "../../protocol/sync/lock-sync.ts";
import { auditChainNext, auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import { rootPublicKey, signKeyset } from "../../protocol/wire/keyset.ts";
import { auditBatch, openAuditBatch } from "../../protocol/wire/sealing.ts";
import { type LockReport, lockReport, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { courierMessage, type Hello, type LockMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import { buildPolicy } from "./policy-builder.ts";

export const startMs = unixMs(1_790_000_000_000);
const daySeconds = 86_400;
/** When the lock's firmware was made: the least floor that it can have. */
const builtAt = unixSeconds(startMs / 1000 - 100 * daySeconds);
/** The moment of the lock's own counter at which a run begins. */
export const startsAt = monotonicMs(1_000);

export const rootSeed = new Uint8Array(32).fill(8);
export const authorityKeys = authorityKeysFromSeed(new Uint8Array(32).fill(1));
/** The keys of epoch 2, after the authority changed all of them. */
export const nextKeys = authorityKeysFromSeed(new Uint8Array(32).fill(21));
export const pairingId = new Uint8Array(16).fill(0x11);
export const courierKey = x25519PublicKey(new Uint8Array(32).fill(2));
export const lockPrivateKey = new Uint8Array(32).fill(3);

function derivedKeys() {
  const keys = derivePairingKeys(authorityKeys.static, x25519PublicKey(lockPrivateKey), pairingId);
  if (keys === undefined) throw new Error("the lock's key is of low order");
  return keys;
}
export const pairingKeys = derivedKeys();
export const reportKey = pairingKeys.report;

/** The report of a lock that was honest in its hello and has held the same since; `change`: what it says otherwise. */
export function reportAfter(hello: Hello, change: Partial<LockReport> = {}): LockMessage {
  const { epoch, version, root, bootCount, clock, logNext, logFirst, nonce, keysetEpoch } = hello;
  const head = new Uint8Array(32);
  const report = lockReport.encode({
    ...{ pairingId: hello.pairingId, epoch, version, root, bootCount, clock, logNext, chainHead: head },
    ...{ nonce, logFirst, headBefore: head, keysetEpoch, ...change },
  });
  return { kind: "report", report, mac: macReport(reportKey, report) };
}

/** The keyset of an epoch, as the root signs it. */
export function signedKeyset(
  epoch: number,
  keys: AuthorityKeys = epoch === 1 ? authorityKeys : nextKeys,
  notAfter: UnixSeconds = unixSeconds(startMs / 1000 + 30 * daySeconds),
  seed = rootSeed,
): NonNullable<CourierLoad["keyset"]> {
  return { epoch, blob: signKeyset(seed, keysetOf(keys, epoch, notAfter)) };
}

function heldKeyset(epoch: number): HeldKeyset {
  const keys = epoch === 1 ? authorityKeys : nextKeys;
  return {
    keyset: keysetOf(keys, epoch, unixSeconds(startMs / 1000 + 30 * daySeconds)),
    bytes: signedKeyset(epoch).blob.bytes,
  };
}

/** The lock's pairing with the keyset of an epoch. */
export function pairingOfEpoch(epoch: number): LockPairing {
  return { pairingId, root: rootPublicKey(rootSeed), keyset: heldKeyset(epoch), keys: pairingKeys };
}
export const pairing = pairingOfEpoch(1);

export function certificateFor(
  overrides: Partial<Parameters<typeof issueCourierCertificate>[1]> = {},
  keys = authorityKeys,
): SignedBlob {
  return issueCourierCertificate(keys, {
    staticPublicKey: courierKey,
    holder: "gateway-maple",
    role: "courier",
    locks: [],
    notAfter: unixSeconds(startMs / 1000 + daySeconds),
    ...overrides,
  });
}

/** A policy with keycards that have nothing in common, so that a bundle of it has a size. */
export function policyOf(version: number, credentials = 200, epoch = 1): LockPolicy {
  return buildPolicy({
    epoch,
    version,
    rights: [[]],
    credentials: Array.from({ length: credentials }, (_, index) => ({
      id: `card-${index.toString().padStart(5, "0")}`,
      kind: "keycard" as const,
      state: "active" as const,
      assigned: true,
      rights: 0,
      tokenLookup: sha256(Uint8Array.of(index >> 8, index & 0xff)).subarray(0, 8),
      cardKey: sha256(Uint8Array.of(1, index >> 8, index & 0xff)).subarray(0, 16),
    })),
  });
}

export function rootOf(policy: LockPolicy): Uint8Array {
  return policyRoot(encodePolicy(policy));
}

/** The sealed bundle that brings this lock to `policy`: a delta from `held`, or a snapshot. */
export function bundleOf(policy: LockPolicy, held?: LockPolicy, overrides: Partial<BundleOptions> = {}): CarriedBundle {
  const {
    keys = policy.epoch === 1 ? authorityKeys : nextKeys,
    forPairing = pairingId,
    notAfter = unixSeconds(startMs / 1000 + daySeconds),
  } = overrides;
  const bundle = sealBundle(keys, pairingKeys.bundle, forPairing, { policy, notAfter }, held);
  if (bundle === undefined) throw new Error("larger than a bundle may be");
  return bundle;
}

export interface BundleOptions {
  readonly keys: AuthorityKeys;
  readonly forPairing: Uint8Array;
  readonly notAfter: UnixSeconds;
}

/** A signed snapshot with enough credentials to need several pages. */
export function policyFor(version: number, credentials = 200): NonNullable<CourierLoad["policy"]> {
  return loadOf(bundleOf(policyOf(version, credentials)), version);
}

/** What a courier carries when this bundle is all that it has of a version. */
export function loadOf(bundle: CarriedBundle, version: number, epoch = 1): NonNullable<CourierLoad["policy"]> {
  return { epoch, version, bundles: [bundle] };
}

/** The one bundle of a load that has one. */
export function onlyBundle({ bundles }: NonNullable<CourierLoad["policy"]>): CarriedBundle {
  const [bundle] = bundles;
  if (bundle === undefined) throw new Error("no bundle is carried");
  return bundle;
}

/** A clock that was never set, or one that the authority set to `shows` at the moment when a run begins. */
export function clockThat({
  shows,
  floor = builtAt,
}: {
  readonly shows?: UnixMs;
  readonly floor?: UnixSeconds;
}): LockClock {
  const unset: LockClock = {
    quality: "unset",
    marks: { authority: floor },
    floor,
    poweredUnsetSeconds: 0,
    unsetSince: startsAt,
  };
  if (shows === undefined) return unset;
  const taken = takeTime(unset, { source: "authority", unixMs: shows, roundTripMs: 0 }, startsAt);
  if (!taken.ok) throw new Error(taken.fault.code);
  return taken.value.clock;
}

export class TinyLock {
  pairing = pairing;
  /** The policy that decides; undefined: none came yet. */
  held: LockPolicy | undefined = policyOf(1, 0);
  staged: { manifestHash: Uint8Array; bytes: Uint8Array } | undefined;
  clock: LockClock = clockThat({ shows: startMs });
  log: Uint8Array[] = [];
  logFirst = 0;
  headBefore = auditChainStart(pairingKeys.chain, pairingId);
  failsToCommit = false;
  failsToKeepKeyset = false;
  readonly actions: LockAction[] = [];

  get policy(): LockFacts["policy"] {
    if (this.held === undefined) return { epoch: 0, version: 0, root: new Uint8Array(32) };
    const { epoch, version } = this.held;
    return { epoch, version, root: rootOf(this.held) };
  }

  /** What the clock shows at a moment of the lock's counter. */
  shows(now: MonotonicMs = startsAt): UnixMs | undefined {
    return readClock(this.clock, now);
  }

  /** `names` is how many of an entry's three names are there, 32 characters each, to give it a size. */
  addEntries(count: number, names = 0): void {
    for (let index = 0; index < count; index++) {
      const sequence = this.logFirst + this.log.length;
      const entry = { sequence, boot: 1, clock: "unset", kind: "boot" } as const;
      const [person, credential, credentialType] = Array.from({ length: names }, () => "n".repeat(32));
      this.log.push(
        auditEntry.encode({
          ...entry,
          ...(person === undefined ? {} : { person }),
          ...(credential === undefined ? {} : { credential }),
          ...(credentialType === undefined ? {} : { credentialType }),
        }),
      );
    }
  }

  facts(now: MonotonicMs = startsAt): LockFacts {
    return {
      model: "C1",
      firmware: "1.4.2",
      hardware: "rev-b",
      bootCount: 2,
      uptimeSeconds: 77,
      policy: this.policy,
      ...(this.held === undefined ? {} : { heldPolicy: this.held }),
      ...(this.staged === undefined ? {} : { staged: this.staged }),
      log: {
        first: this.logFirst,
        next: this.logFirst + this.log.length,
        headBefore: this.headBefore,
        chainHead: this.log.reduce(chainNext, this.headBefore),
      },
      clock: { state: this.clock, now },
      battery: { millivolts: 5_600, percent: 80 },
    };
  }

  carryOut(action: LockAction, sync: LockSync): void {
    this.actions.push(action);
    switch (action.kind) {
      case "set-clock":
        this.clock = action.clock;
        return;
      case "keep-keyset":
        if (this.failsToKeepKeyset) return sync.keysetNotKept();
        this.pairing = { ...this.pairing, keyset: action.keyset };
        return sync.keysetKept();
      case "begin-staging":
        this.staged = { manifestHash: action.manifestHash, bytes: new Uint8Array(0) };
        return;
      case "stage": {
        // What stands behind the offset is rotten or of nobody.
        const kept = this.staged?.bytes.subarray(0, action.offset) ?? new Uint8Array(0);
        const manifestHash = this.staged?.manifestHash ?? new Uint8Array(32);
        this.staged = { manifestHash, bytes: new Uint8Array(Buffer.concat([kept, action.bytes])) };
        return;
      }
      case "commit":
        return this.#commit(action, sync);
      case "read-log": {
        const from = Math.max(action.from, this.logFirst);
        const entries = this.log.slice(from - this.logFirst, from - this.logFirst + action.limitEntries);
        return sync.logRead(from, entries, this.logFirst + this.log.length);
      }
      case "free-log": {
        const freed = this.log.splice(0, action.through - this.logFirst + 1);
        const head = freed.reduce(chainNext, this.headBefore);
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

  #commit(action: Extract<LockAction, { kind: "commit" }>, sync: LockSync): void {
    if (this.failsToCommit) return sync.commitFailed();
    const read = decodePolicy(action.bundle);
    if (!read.ok) throw new Error(`what is committed is a policy: ${read.fault.code}`);
    this.held = read.value;
    this.staged = undefined;
    sync.commitDone({ epoch: action.epoch, version: action.version });
  }
}

const chainNext = (head: Uint8Array, entry: Uint8Array) => auditChainNext(pairingKeys.chain, head, entry);

/** A lock's end of one session that is told what no honest courier says, and carries out what comes of it. */
export class HostileVisit {
  readonly lock: TinyLock;
  readonly sync: LockSync;
  readonly nonce = new Uint8Array(16).fill(9);
  now = startsAt;

  constructor(lock = new TinyLock(), courierPublicKey = courierKey) {
    this.lock = lock;
    this.sync = new LockSync(lock.pairing, courierPublicKey, this.nonce);
  }

  /** What the lock answers to these bytes. */
  tell(...messages: readonly Uint8Array[]): readonly LockMessage[] {
    return messages.flatMap((message) => {
      this.sync.receive(message, this.lock.facts(this.now), this.now);
      for (let actions = this.sync.takeActions(); actions.length > 0; actions = this.sync.takeActions()) {
        for (const action of actions) this.lock.carryOut(action, this.sync);
      }
      return this.sync.takeMessages().map(readAnswer);
    });
  }

  /** Begins as an honest courier does; the answer is `hello`. */
  greet(certificate = certificateFor()): readonly LockMessage[] {
    return this.tell(
      courierMessage.encode({ kind: "greet", certificate: certificate.bytes, signature: certificate.signature }),
    );
  }

  /** The names of the refusals among the answers, `request: refusal`. */
  refusals(...messages: readonly Uint8Array[]): readonly string[] {
    return this.tell(...messages).flatMap((answer) =>
      answer.kind === "refused" ? [`${answer.request}: ${answer.refusal}`] : [],
    );
  }
}

function readAnswer(bytes: Uint8Array): LockMessage {
  const read = lockMessage.decode(bytes);
  if (!read.ok) throw new Error("a lock says what can be read");
  return read.value;
}

export interface SyncRun {
  readonly events: readonly CourierEvent[];
  /** Messages in the order they crossed, for a test that replays or counts them. */
  readonly toLock: readonly Uint8Array[];
  readonly toCourier: readonly Uint8Array[];
}

export interface SyncOptions {
  readonly load?: Partial<CourierLoad>;
  /** How the authority answers for the time; undefined: it cannot be reached. */
  readonly time?: ((nonce: Uint8Array) => SignedBlob) | undefined;
  /** The certificate of who answers in the authority's place. */
  readonly delegate?: SignedBlob;
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
  const sync = new LockSync(lock.pairing, options.courierPublicKey ?? courierKey, nonce);
  const time = "time" in options ? options.time : honestTime;
  const [events, toLock, toCourier]: [CourierEvent[], Uint8Array[], Uint8Array[]] = [[], [], []];
  let now = startsAt;
  for (let moved = true; moved; ) {
    moved = false;
    for (const event of courier.takeEvents()) {
      moved = true;
      events.push(event);
      if (event.kind === "time-wanted") {
        now = monotonicMs(now + roundTripMs);
        if (time === undefined) courier.skipTime();
        else courier.provideTime(time(event.nonce), options.delegate);
      }
      if (event.kind === "entries") courier.entriesStored();
    }
    for (const message of courier.takeMessages()) {
      moved = true;
      if (options.cutAfter !== undefined && toLock.length >= options.cutAfter) return { events, toLock, toCourier };
      const sent = tamper(message, toLock.length);
      toLock.push(sent);
      sync.receive(sent, lock.facts(now), now);
      for (const action of sync.takeActions()) lock.carryOut(action, sync);
    }
    for (const answer of sync.takeMessages()) {
      moved = true;
      toCourier.push(answer);
      courier.receive(answer);
    }
  }
  return { events, toLock, toCourier };
}

/** What the courier asked, in order. */
export function asked({ toLock }: SyncRun): readonly string[] {
  return toLock.map((bytes) => {
    const read = courierMessage.decode(bytes);
    return read.ok ? read.value.kind : "unreadable";
  });
}

/** What the lock refused, `step: refusal`. */
export function refusalsOf({ events }: SyncRun): readonly string[] {
  return events.flatMap((event) => (event.kind === "refused" ? [`${event.step}: ${event.refusal}`] : []));
}

/** What the lock reports at the end, with its MAC checked. */
export function reportOf({ events }: SyncRun): LockReport {
  const event = events.find(({ kind }) => kind === "report");
  if (event?.kind !== "report") throw new Error("the lock gave no report");
  const report = verifyReport(reportKey, event.report, event.mac);
  if (!report.ok) throw new Error(report.fault.code);
  return report.value;
}

/** The lock's hello, as the courier heard it. */
export function helloOf({ events }: SyncRun): Hello {
  const event = events.find(({ kind }) => kind === "hello");
  if (event?.kind !== "hello") throw new Error("the lock said no hello");
  return event.hello;
}

/** The entries that a courier was given, opened as only the authority can. */
export function openedEntries({ events }: SyncRun): readonly Uint8Array[] {
  return events.flatMap((event) => {
    if (event.kind !== "entries") return [];
    const batch = auditBatch.decode(event.batch);
    const opened = batch.ok ? openAuditBatch(pairingKeys.audit, batch.value) : batch;
    if (!opened.ok) throw new Error(opened.fault.code);
    return opened.value;
  });
}
