/**
 * The courier's end of a door sync: carries what the authority signed to a lock, and what the lock says back.
 *
 * Theory of operation. One request at a time, in a fixed order: greet, keyset, time, policy, release, log, finish. A step that has
 * nothing to carry is left out; a step that the lock refuses is noted and the next one goes on, because a lock whose policy
 * was refused still has a log to give and a clock to set. Two refusals are answered by what helps: a lock that does not know the
 * courier's signature is offered the keyset and greeted again, and one that cannot use a delta gets the snapshot. Entries are handed out and the next are asked for only when the
 * caller says that they are on its disk. The machine never calls back and holds no clock; deadlines are the session's and
 * the caller's. Source: SPEC Y1-Y9, Y15, Y16; PROTOCOL parts 3-5.
 */
import { comparePolicyOrder } from "../access/policy.ts";
import { equalBytes } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import { auditBatch } from "../wire/sealing.ts";
import { PAGE_BYTES, policyManifest, type SignedBlob } from "../wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type Hello,
  type LockMessage,
  lockMessage,
  type Refusal,
} from "../wire/sync-message.ts";
import { bundlePages } from "./authority.ts";
import { type ClaimFault, judgeReport, type LockClaims } from "./lock-claims.ts";

/** What there is to carry to this lock. */
export interface CourierLoad {
  readonly certificate: SignedBlob;
  /** The newest keyset, which a lock that holds an older one needs first. */
  readonly keyset?: { readonly epoch: number; readonly blob: SignedBlob };
  readonly policy?: {
    readonly epoch: number;
    readonly version: number;
    /** Ways to that version: deltas from versions of its epoch, and the snapshot, whose `from` is 0. */
    readonly bundles: readonly CarriedBundle[];
  };
  readonly release?: SignedBlob;
  /** First log sequence that the courier does not have on its disk, or wants again. */
  readonly logFrom: number;
  /** Where it reads if the log ends before that, so that what it has there is not the lock's. Absent: at the log's end. */
  readonly logAgainFrom?: number;
  /** False: the courier has no room for more of this log. */
  readonly readsLog?: boolean;
}

/** A sealed bundle with its signed manifest. */
export interface CarriedBundle {
  readonly from: number;
  readonly manifest: SignedBlob;
  readonly bytes: Uint8Array;
}

/**
 * Most batches that are read in one visit: 1 MiB, more than a lock's ring holds and as much as a minute brings over the air. A lock
 * that makes up entries without end keeps its courier from the others no longer than that; what is left comes with the next visit.
 */
export const LOG_BATCHES_LIMIT = 256;

export type CourierStep = "greet" | "keyset" | "time" | "policy" | "release" | "log" | "finish";

export type CourierEvent =
  | { readonly kind: "hello"; readonly hello: Hello }
  /** -> provideTime or skipTime, within the lock's round-trip limit. */
  | { readonly kind: "time-wanted"; readonly nonce: Uint8Array; readonly pairingId: Uint8Array }
  | {
      readonly kind: "time-handled";
      readonly oldUnixMs?: number;
      readonly newUnixMs: number;
      readonly written: boolean;
    }
  | { readonly kind: "page-sent"; readonly sentBytes: number; readonly totalBytes: number }
  | { readonly kind: "committed"; readonly epoch: number; readonly version: number }
  | { readonly kind: "released"; readonly through: number }
  /** -> entriesStored, once the batch is on disk. `from` above what was asked says how many the lock no longer has. */
  | {
      readonly kind: "entries";
      readonly from: number;
      readonly count: number;
      /** The encoded `auditBatch`, which only the authority can open. */
      readonly batch: Uint8Array;
    }
  | { readonly kind: "report"; readonly report: Uint8Array; readonly mac: Uint8Array }
  | { readonly kind: "refused"; readonly step: CourierStep; readonly refusal: Refusal }
  /** The delta that stands on version `from` did not help and the snapshot follows: no fault of the sync, but its bytes were spent. */
  | { readonly kind: "delta-refused"; readonly refusal: Refusal; readonly from: number }
  /** Nothing more will come. `complete` is false when the greeting was refused or the lock broke the protocol; `claim`: how its report did. */
  | {
      readonly kind: "finished";
      readonly complete: boolean;
      readonly fault?: CourierFault;
      readonly claim?: ClaimFault["code"];
    };

export type CourierFault = "bad-answer" | "greeting-refused";

export class CourierSync {
  readonly #load: CourierLoad;
  #step: CourierStep = "greet";
  #asked: CourierMessage["kind"] = "greet";
  #waitingFor: "lock" | "time" | "storage" | "nothing" = "lock";
  #hello: Hello | undefined;
  #committed: LockClaims["committed"];
  /** The highest that the lock said its log would give next. */
  #logNext = 0;
  #askedFrom: number;
  #storedNext: number | undefined;
  #batches = 0;
  #isKeysetOffered = false;
  /** The bundles that may still be tried, the best first; the first is the one that is being carried. */
  #bundles: readonly CarriedBundle[] = [];
  #messages: Uint8Array[] = [];
  #events: CourierEvent[] = [];

  /** Starts at once: the greeting is the first message to take. */
  constructor(load: CourierLoad) {
    this.#load = load;
    this.#askedFrom = load.logFrom;
    this.#greet();
  }

  /** Takes one whole message of the session. What is no answer to the request that stands ends the sync as `bad-answer`. */
  receive(bytes: Uint8Array): void {
    if (this.#waitingFor === "nothing") return;
    const read = lockMessage.decode(bytes);
    if (!read.ok || this.#waitingFor !== "lock") return this.#end("bad-answer");
    if (read.value.kind === "refused") return this.#refused(read.value.request, read.value.refusal);
    const answer = read.value;
    const take = answersTo[this.#asked];
    if (!take.some((kind) => kind === answer.kind)) return this.#end("bad-answer");
    this.#take(answer);
  }

  /**
   * With `delegate`, the certificate of who answered in the authority's place. This, `skipTime` and `entriesStored` come from outside and
   * take a while; if the lock has ended the sync meanwhile they change nothing.
   */
  provideTime(answer: SignedBlob, delegate?: SignedBlob): void {
    if (this.#waitingFor === "nothing") return;
    assert(this.#waitingFor === "time", "time is provided when it is wanted");
    const certified = delegate === undefined ? {} : { delegate: delegate.bytes, delegateSignature: delegate.signature };
    this.#request({ kind: "time", answer: answer.bytes, signature: answer.signature, ...certified });
  }

  /** No time can be had now (the link upstream is down): the rest of the sync goes on without. */
  skipTime(): void {
    if (this.#waitingFor === "nothing") return;
    assert(this.#waitingFor === "time", "time is skipped when it is wanted");
    this.#next("policy");
  }

  entriesStored(): void {
    if (this.#waitingFor === "nothing") return;
    assert(this.#waitingFor === "storage" && this.#storedNext !== undefined, "entries are stored when they were given");
    this.#askedFrom = this.#storedNext;
    this.#storedNext = undefined;
    this.#next(this.#batches < LOG_BATCHES_LIMIT ? "log" : "finish");
  }

  takeMessages(): readonly Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  takeEvents(): readonly CourierEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #take(answer: Exclude<LockMessage, { kind: "refused" }>): void {
    switch (answer.kind) {
      case "hello":
        this.#hello = answer;
        this.#logNext = answer.logNext;
        // SPEC Y9: what lies beyond the log's end came from nobody's log.
        if (answer.logNext < this.#askedFrom) {
          this.#askedFrom = Math.min(this.#load.logAgainFrom ?? answer.logNext, answer.logNext);
        }
        this.#events.push({ kind: "hello", hello: answer });
        return this.#next("keyset");
      case "keyset-held":
        if (answer.epoch !== this.#load.keyset?.epoch) return this.#end("bad-answer");
        // SPEC Y15: the lock knows this courier's signature now.
        return this.#step === "greet" ? this.#greet() : this.#next("time");
      case "time-handled": {
        this.#events.push(answer);
        return this.#next("policy");
      }
      case "send-pages":
        return this.#sendPages(answer.offset);
      case "committed":
        if (!this.#isCarried(answer)) return this.#end("bad-answer");
        this.#committed = { epoch: answer.epoch, version: answer.version, root: this.#carriedRoot() };
        this.#events.push({ kind: "committed", epoch: answer.epoch, version: answer.version });
        return this.#next("release");
      case "released":
        this.#events.push(answer);
        return this.#next("log");
      case "log":
        return this.#takeLog(answer);
      case "report":
        return this.#takeReport(answer);
    }
  }

  /** Goes to `step`, or past it when there is nothing to carry. */
  #next(step: CourierStep): void {
    this.#step = step;
    const { keyset, release } = this.#load;
    const held = this.#hello;
    assert(held !== undefined, "the lock has said hello");
    if (step === "keyset") {
      if (keyset === undefined || this.#isKeysetOffered || keyset.epoch <= held.keysetEpoch) return this.#next("time");
      return this.#offerKeyset(keyset.blob);
    }
    if (step === "time") {
      this.#events.push({ kind: "time-wanted", nonce: held.nonce, pairingId: held.pairingId });
      this.#waitingFor = "time";
      return;
    }
    if (step === "policy") {
      this.#bundles = this.#bundlesFor(held);
      return this.#sendManifest();
    }
    if (step === "release") {
      if (release === undefined) return this.#next("log");
      return this.#request({ kind: "release", release: release.bytes, signature: release.signature });
    }
    if (step === "log") {
      if (this.#load.readsLog === false) return this.#next("finish");
      return this.#request({ kind: "read-log", from: this.#askedFrom });
    }
    this.#request({ kind: "finish" });
  }

  #greet(): void {
    const { bytes, signature } = this.#load.certificate;
    this.#request({ kind: "greet", certificate: bytes, signature });
  }

  #offerKeyset({ bytes, signature }: SignedBlob): void {
    this.#isKeysetOffered = true;
    this.#request({ kind: "keyset", keyset: bytes, signature });
  }

  /** What brings this lock to something newer: the delta from what it holds, and the snapshot. */
  #bundlesFor(held: Hello): readonly CarriedBundle[] {
    const { policy } = this.#load;
    if (policy === undefined || comparePolicyOrder(policy, held) <= 0) return [];
    const fits = ({ from }: CarriedBundle) => from !== 0 && from === held.version && policy.epoch === held.epoch;
    return [...policy.bundles.filter(fits), ...policy.bundles.filter(({ from }) => from === 0)];
  }

  #sendManifest(): void {
    const [bundle] = this.#bundles;
    if (bundle === undefined) return this.#next("release");
    const { manifest, bytes } = bundle;
    // SPEC O3: a bundle of one page rides along.
    const rides = bytes.length <= PAGE_BYTES;
    const riding = rides ? { bundle: bytes } : {};
    this.#request({ kind: "manifest", manifest: manifest.bytes, signature: manifest.signature, ...riding });
    if (rides) this.#events.push({ kind: "page-sent", sentBytes: bytes.length, totalBytes: bytes.length });
  }

  #isCarried({ epoch, version }: { readonly epoch: number; readonly version: number }): boolean {
    const { policy } = this.#load;
    return policy !== undefined && policy.epoch === epoch && policy.version === version;
  }

  /** The root of what was confirmed, as the authority signed it; what cannot be read no lock confirms. */
  #carriedRoot(): Uint8Array {
    const manifest = this.#bundles[0]?.manifest;
    const read = manifest === undefined ? undefined : policyManifest.decode(manifest.bytes);
    return read?.ok === true ? read.value.root : new Uint8Array(0);
  }

  #takeReport({ report, mac }: Extract<LockMessage, { kind: "report" }>): void {
    assert(this.#hello !== undefined, "the lock has said hello");
    const committed = this.#committed === undefined ? {} : { committed: this.#committed };
    // SPEC Y19: who contradicts itself is not believed.
    const judged = judgeReport({ hello: this.#hello, ...committed, logNext: this.#logNext }, report);
    if (!judged.ok) return this.#end("bad-answer", judged.fault.code);
    this.#events.push({ kind: "report", report, mac });
    this.#end(undefined);
  }

  #sendPages(offset: number): void {
    const bundle = this.#bundles[0]?.bytes;
    if (bundle === undefined || offset % PAGE_BYTES !== 0 || offset > bundle.length) {
      // A lock that has every page already names the bundle's own length, which need not be a page's.
      if (bundle === undefined || offset !== bundle.length) return this.#end("bad-answer");
    }
    let sentBytes = offset;
    for (const page of bundlePages(bundle.subarray(offset))) {
      this.#messages.push(courierMessage.encode({ kind: "page", offset: sentBytes, bytes: page }));
      sentBytes += page.length;
      this.#events.push({ kind: "page-sent", sentBytes, totalBytes: bundle.length });
    }
    this.#asked = "page";
    this.#waitingFor = "lock";
  }

  #takeLog(answer: Extract<LockMessage, { kind: "log" }>): void {
    const read = auditBatch.decode(answer.batch);
    if (!read.ok || this.#hello === undefined) return this.#end("bad-answer");
    const { pairingId, from, count } = read.value;
    const isOrdered = from >= this.#askedFrom && answer.next >= from + count;
    if (!isOrdered || !equalBytes(pairingId, this.#hello.pairingId)) return this.#end("bad-answer");
    this.#logNext = Math.max(this.#logNext, answer.next);
    if (count === 0) return this.#next("finish");
    this.#batches += 1;
    this.#events.push({ kind: "entries", from, count, batch: answer.batch });
    this.#storedNext = from + count;
    this.#waitingFor = "storage";
  }

  #refused(request: CourierMessage["kind"], refusal: Refusal): void {
    if (request !== this.#asked) return this.#end("bad-answer");
    const step = this.#step;
    const { keyset } = this.#load;
    if (step === "greet" && refusal === "bad-signature" && keyset !== undefined && !this.#isKeysetOffered) {
      return this.#offerKeyset(keyset.blob);
    }
    const [bundle, ...others] = this.#bundles;
    if (step === "policy" && deltaRefusals.has(refusal) && bundle !== undefined && others.length > 0) {
      this.#bundles = others;
      this.#events.push({ kind: "delta-refused", refusal, from: bundle.from });
      return this.#sendManifest();
    }
    // A keyset that should have helped a greeting is the one that was refused.
    this.#events.push({ kind: "refused", step: request === "keyset" ? "keyset" : step, refusal });
    if (step === "greet") return this.#end("greeting-refused");
    const following = stepAfter[step];
    if (following === undefined) return this.#end("bad-answer");
    this.#next(following);
  }

  #request(message: CourierMessage): void {
    this.#asked = message.kind;
    this.#messages.push(courierMessage.encode(message));
    this.#waitingFor = "lock";
  }

  #end(fault: CourierFault | undefined, claim?: ClaimFault["code"]): void {
    this.#waitingFor = "nothing";
    const why = { ...(fault === undefined ? {} : { fault }), ...(claim === undefined ? {} : { claim }) };
    this.#events.push({ kind: "finished", complete: fault === undefined, ...why });
  }
}

const answersTo: Readonly<Record<CourierMessage["kind"], readonly LockMessage["kind"][]>> = {
  greet: ["hello"],
  keyset: ["keyset-held"],
  time: ["time-handled"],
  manifest: ["send-pages", "committed"],
  page: ["committed"],
  release: ["released"],
  "read-log": ["log"],
  finish: ["report"],
  // An app's requests, which a courier never makes.
  "app-greet": [],
  "access-request": [],
};

/** What a lock says of a delta that it cannot use, or that was damaged here; a snapshot stands on nothing and helps. SPEC Y16. */
const deltaRefusals: ReadonlySet<Refusal> = new Set([
  "unknown-base",
  "bad-policy",
  "root-mismatch",
  "malformed-message",
  "page-mismatch",
  "seal-does-not-open",
]);

/** Where a refused step leads. A refused greeting ends the sync, a refused finish breaks the protocol. */
const stepAfter: Readonly<Record<CourierStep, CourierStep | undefined>> = {
  greet: undefined,
  keyset: "time",
  time: "policy",
  policy: "release",
  release: "log",
  log: "finish",
  finish: undefined,
};
