/**
 * The courier's end of a door sync: carries what the authority signed to a lock, and what the lock says back.
 *
 * Theory of operation. One request at a time, in a fixed order: greet, time, policy, release, log, finish. A step that has
 * nothing to carry is left out; a step that the lock refuses is noted and the next one goes on, because a lock whose policy
 * was refused still has a log to give and a clock to set. Entries are handed out and the next are asked for only when the
 * caller says that they are on its disk. The machine never calls back and holds no clock; deadlines are the session's and
 * the caller's. Source: SPEC Y1-Y9; PROTOCOL parts 3-5.
 */
import { comparePolicyOrder } from "../access/policy.ts";
import { assert } from "../base/result.ts";
import { PAGE_BYTES, type SignedBlob } from "../wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type Hello,
  type LockMessage,
  lockMessage,
  type Refusal,
} from "../wire/sync-message.ts";
import { bundlePages } from "./authority.ts";

/** What there is to carry to this lock. */
export interface CourierLoad {
  readonly certificate: SignedBlob;
  readonly policy?: {
    readonly epoch: number;
    readonly version: number;
    readonly manifest: SignedBlob;
    readonly bundle: Uint8Array;
  };
  readonly release?: SignedBlob;
  /** First log sequence that the courier does not have on its disk. */
  readonly logFrom: number;
}

export type CourierStep = "greet" | "time" | "policy" | "release" | "log" | "finish";

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
  /** -> entriesStored, once they are on disk. `from` above what was asked says how many the lock no longer has. */
  | { readonly kind: "entries"; readonly from: number; readonly entries: readonly Uint8Array[] }
  | { readonly kind: "report"; readonly report: Uint8Array; readonly mac: Uint8Array }
  | { readonly kind: "refused"; readonly step: CourierStep; readonly refusal: Refusal }
  /** Nothing more will come. `complete` is false when the greeting was refused or the lock broke the protocol. */
  | { readonly kind: "finished"; readonly complete: boolean; readonly fault?: "bad-answer" | "greeting-refused" };

export class CourierSync {
  readonly #load: CourierLoad;
  #step: CourierStep = "greet";
  #waitingFor: "lock" | "time" | "storage" | "nothing" = "lock";
  #hello: Hello | undefined;
  #askedFrom: number;
  #storedNext: number | undefined;
  #messages: Uint8Array[] = [];
  #events: CourierEvent[] = [];

  /** Starts at once: the greeting is the first message to take. */
  constructor(load: CourierLoad) {
    this.#load = load;
    this.#askedFrom = load.logFrom;
    const { bytes, signature } = load.certificate;
    this.#request({ kind: "greet", certificate: bytes, signature });
  }

  /** Takes one whole message of the session. What is no answer to the request that stands ends the sync as `bad-answer`. */
  receive(bytes: Uint8Array): void {
    if (this.#waitingFor === "nothing") return;
    const read = lockMessage.decode(bytes);
    if (!read.ok || this.#waitingFor !== "lock") return this.#end("bad-answer");
    if (read.value.kind === "refused") return this.#refused(read.value.request, read.value.refusal);
    const answer = read.value;
    const take = answers[this.#step];
    if (!take.some((kind) => kind === answer.kind)) return this.#end("bad-answer");
    this.#take(answer);
  }

  provideTime(answer: SignedBlob): void {
    assert(this.#waitingFor === "time", "time is provided when it is wanted");
    this.#request({ kind: "time", answer: answer.bytes, signature: answer.signature });
  }

  /** No time can be had now (the link upstream is down): the rest of the sync goes on without. */
  skipTime(): void {
    assert(this.#waitingFor === "time", "time is skipped when it is wanted");
    this.#next("policy");
  }

  entriesStored(): void {
    assert(this.#waitingFor === "storage" && this.#storedNext !== undefined, "entries are stored when they were given");
    this.#askedFrom = this.#storedNext;
    this.#storedNext = undefined;
    this.#next("log");
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
        this.#events.push({ kind: "hello", hello: answer });
        this.#events.push({ kind: "time-wanted", nonce: answer.nonce, pairingId: answer.pairingId });
        this.#step = "time";
        this.#waitingFor = "time";
        return;
      case "time-handled": {
        this.#events.push(answer);
        return this.#next("policy");
      }
      case "send-pages":
        return this.#sendPages(answer.offset);
      case "committed":
        this.#events.push({ kind: "committed", epoch: answer.epoch, version: answer.version });
        return this.#next("release");
      case "released":
        this.#events.push(answer);
        return this.#next("log");
      case "log":
        return this.#takeLog(answer);
      case "report":
        this.#events.push({ kind: "report", report: answer.report, mac: answer.mac });
        return this.#end(undefined);
    }
  }

  /** Goes to `step`, or past it when there is nothing to carry. */
  #next(step: CourierStep): void {
    this.#step = step;
    const { policy, release } = this.#load;
    if (step === "policy") {
      if (policy === undefined || !this.#isNewer(policy)) return this.#next("release");
      return this.#request({ kind: "manifest", manifest: policy.manifest.bytes, signature: policy.manifest.signature });
    }
    if (step === "release") {
      if (release === undefined) return this.#next("log");
      return this.#request({ kind: "release", release: release.bytes, signature: release.signature });
    }
    if (step === "log") return this.#request({ kind: "read-log", from: this.#askedFrom });
    this.#request({ kind: "finish" });
  }

  #isNewer(policy: { readonly epoch: number; readonly version: number }): boolean {
    const held = this.#hello;
    assert(held !== undefined, "the lock has said hello");
    return comparePolicyOrder(policy, held) > 0;
  }

  #sendPages(offset: number): void {
    const bundle = this.#load.policy?.bundle;
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
    this.#waitingFor = "lock";
  }

  #takeLog(answer: Extract<LockMessage, { kind: "log" }>): void {
    const { from, entries, next } = answer;
    if (from < this.#askedFrom || next < from + entries.length) return this.#end("bad-answer");
    if (entries.length === 0) return this.#next("finish");
    this.#events.push({ kind: "entries", from, entries });
    this.#storedNext = from + entries.length;
    this.#waitingFor = "storage";
  }

  #refused(request: CourierMessage["kind"], refusal: Refusal): void {
    const step = this.#step;
    if (!requests[step].some((kind) => kind === request)) return this.#end("bad-answer");
    this.#events.push({ kind: "refused", step, refusal });
    if (step === "greet") return this.#end("greeting-refused");
    const following = stepAfter[step];
    if (following === undefined) return this.#end("bad-answer");
    this.#next(following);
  }

  #request(message: CourierMessage): void {
    this.#messages.push(courierMessage.encode(message));
    this.#waitingFor = "lock";
  }

  #end(fault: "bad-answer" | "greeting-refused" | undefined): void {
    this.#waitingFor = "nothing";
    this.#events.push({ kind: "finished", complete: fault === undefined, ...(fault === undefined ? {} : { fault }) });
  }
}

const answers: Readonly<Record<CourierStep, readonly LockMessage["kind"][]>> = {
  greet: ["hello"],
  time: ["time-handled"],
  policy: ["send-pages", "committed"],
  release: ["released"],
  log: ["log"],
  finish: ["report"],
};

const requests: Readonly<Record<CourierStep, readonly CourierMessage["kind"][]>> = {
  greet: ["greet"],
  time: ["time"],
  policy: ["manifest", "page"],
  release: ["release"],
  log: ["read-log"],
  finish: ["finish"],
};

/** Where a refused step leads. A refused greeting ends the sync, a refused finish breaks the protocol. */
const stepAfter: Readonly<Record<CourierStep, CourierStep | undefined>> = {
  greet: undefined,
  time: "policy",
  policy: "release",
  release: "log",
  log: "finish",
  finish: undefined,
};
