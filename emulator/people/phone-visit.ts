/**
 * A phone's visit to a lock as a courier: the link below, the secure session and the courier's end of the sync above, joined here.
 * Everything between is a fed-and-drained machine; what drives it are frames, the session's own wake, and the deadlines of this file.
 */
import { equalBytes } from "../../protocol/base/bytes.ts";
import type { MonotonicMs } from "../../protocol/base/units.ts";
import { Session, type SessionEvent } from "../../protocol/session/session.ts";
import {
  type CourierEvent,
  type CourierLoad,
  type CourierStep,
  CourierSync,
} from "../../protocol/sync/courier-sync.ts";
import { lockReport, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Refusal } from "../../protocol/wire/sync-message.ts";
import type { ConnectionListener } from "../radio/air.ts";
import type { PhoneLink } from "../radio/phone-link.ts";
import type { WorldClock } from "../world/clock.ts";
import { PhonePump } from "./phone-pump.ts";

/** Opens a link of the phone's own radio. It says `connected` or `ended`; after `ended` nothing. */
export type ConnectLink = (heard: ConnectionListener & { connected(): void }) => PhoneLink;

export interface PhoneVisitOptions {
  readonly connect: ConnectLink;
  readonly clock: WorldClock;
  readonly staticPrivateKey: Uint8Array;
  /** 32 fresh bytes, never used for another session. */
  readonly ephemeralPrivateKey: Uint8Array;
  readonly lock: { readonly staticPublicKey: Uint8Array; readonly pairingId: Uint8Array };
  readonly load: CourierLoad;
  /** The authority's answer to the lock's nonce; undefined: none can be had, and the visit goes on without. */
  readonly askTime: (nonce: Uint8Array) => Promise<SignedBlob | undefined>;
  /** Keeps a batch of the lock's log on the phone; false: it has no room, and the visit ends there. */
  readonly keepBatch: (batch: CarriedBatch) => boolean;
  /** So many bytes of the bundle were handed to the session, of so many. */
  readonly onPage?: (sentBytes: number, totalBytes: number) => void;
}

/** Entries `from` to `from + count - 1` of a lock's log, sealed for the authority. */
export interface CarriedBatch {
  readonly from: number;
  readonly count: number;
  readonly batch: Uint8Array;
}

export type PhoneVisitFault =
  /** The link ended before anything was said: a lock takes one visit at a time. */
  | { readonly code: "lock-busy" }
  /** No answer, or none any more: out of range, not this pairing's lock, or the link was lost. */
  | { readonly code: "lock-silent" }
  /** The first step that the lock refused; the others were gone through, unless it was the greeting. */
  | { readonly code: "lock-refused"; readonly step: CourierStep; readonly refusal: Refusal }
  | { readonly code: "lock-broke-protocol" }
  | { readonly code: "phone-full" };

/** The lock's last word. `report` and `mac` are its own bytes, for the authority to check. */
export interface CarriedReport {
  readonly policy: { readonly epoch: number; readonly version: number };
  readonly logNext: number;
  readonly report: Uint8Array;
  readonly mac: Uint8Array;
}

export interface PhoneVisitOutcome {
  /** Undefined: everything went through, and there is a report. */
  readonly fault: PhoneVisitFault | undefined;
  /** What the lock held when it was met; null: it did not come to that. */
  readonly from: { readonly epoch: number; readonly version: number } | null;
  readonly clock: { readonly oldMs: number | null; readonly newMs: number; readonly written: boolean } | null;
  readonly battery: { readonly millivolts: number; readonly percent: number } | null;
  readonly firmware: string | null;
  readonly logEntries: number;
  readonly reported: CarriedReport | null;
  readonly durationMs: number;
  /** Over the air, both directions. */
  readonly bytes: number;
}

/** Ends when the lock has closed the link, or at a deadline. Never throws. */
export function visitByPhone(options: PhoneVisitOptions): Promise<PhoneVisitOutcome> {
  return new Promise((resolve) => new PhoneVisit(options, resolve));
}

class PhoneVisit {
  readonly #options: PhoneVisitOptions;
  readonly #resolve: (outcome: PhoneVisitOutcome) => void;
  readonly #session: Session;
  readonly #pump: PhonePump;
  readonly #link: PhoneLink;
  readonly #startedAt: MonotonicMs;
  readonly #cancelDeadline: () => void;
  readonly #facts: { -readonly [Fact in keyof PhoneVisitOutcome]: PhoneVisitOutcome[Fact] } = {
    fault: undefined,
    from: null,
    clock: null,
    battery: null,
    firmware: null,
    logEntries: 0,
    reported: null,
    durationMs: 0,
    bytes: 0,
  };
  #sync: CourierSync | undefined;
  #heardFrames = 0;
  /** The sync has said all; only the lock's closing of the link is awaited. */
  #isFinishing = false;
  #isOver = false;

  constructor(options: PhoneVisitOptions, resolve: (outcome: PhoneVisitOutcome) => void) {
    const { clock, connect, staticPrivateKey, ephemeralPrivateKey, lock } = options;
    this.#options = options;
    this.#resolve = resolve;
    this.#startedAt = clock.monotonicMs();
    this.#session = new Session({
      role: "courier",
      staticPrivateKey,
      ephemeralPrivateKey,
      remoteStaticPublicKey: lock.staticPublicKey,
      prologue: lock.pairingId,
      nowMs: clock.monotonicMs(),
    });
    this.#pump = new PhonePump({
      session: this.#session,
      clock,
      onEvent: (event) => this.#sessionEvent(event),
      drain: () => this.#drainSync(),
      send: (frame) => this.#send(frame),
    });
    this.#cancelDeadline = clock.after(VISIT_LIMIT_MS, () => this.#link.close());
    this.#link = connect({
      connected: () => this.#pump.pump(),
      frame: (bytes) => {
        this.#heardFrames += 1;
        this.#facts.bytes += bytes.length;
        this.#pump.receive(bytes);
      },
      ended: () => this.#finish(),
    });
  }

  #send(frame: Uint8Array): void {
    this.#facts.bytes += frame.length;
    this.#link.send(frame);
  }

  #sessionEvent(event: SessionEvent): void {
    if (event.kind === "established") this.#sync = new CourierSync(this.#options.load);
    else if (event.kind === "message") this.#sync?.receive(event.bytes);
    // The lock closes the link; one that ended out of order is closed from here.
    else if (event.reason !== "finished") this.#leave(undefined);
  }

  #drainSync(): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    // Keeping a batch is done at once and leads to the next request: until nothing more comes.
    for (let events = sync.takeEvents(); events.length > 0; events = sync.takeEvents()) {
      for (const event of events) this.#syncEvent(event, sync);
    }
    for (const message of sync.takeMessages()) this.#session.send(message);
  }

  #syncEvent(event: CourierEvent, sync: CourierSync): void {
    const { lock, keepBatch, onPage } = this.#options;
    switch (event.kind) {
      case "hello": {
        const { hello } = event;
        if (!equalBytes(hello.pairingId, lock.pairingId)) return this.#leave({ code: "lock-broke-protocol" });
        this.#facts.from = { epoch: hello.epoch, version: hello.version };
        this.#facts.battery = { millivolts: hello.batteryMillivolts, percent: hello.batteryPercent };
        this.#facts.firmware = hello.firmware;
        return;
      }
      case "time-wanted":
        return this.#askTime(event.nonce, sync);
      case "time-handled":
        this.#facts.clock = { oldMs: event.oldUnixMs ?? null, newMs: event.newUnixMs, written: event.written };
        return;
      case "page-sent":
        return onPage?.(event.sentBytes, event.totalBytes);
      case "entries":
        if (!keepBatch(event)) return this.#leave({ code: "phone-full" });
        this.#facts.logEntries += event.count;
        return sync.entriesStored();
      case "report":
        return this.#takeReport(event.report, event.mac);
      case "refused":
        this.#facts.fault ??= { code: "lock-refused", step: event.step, refusal: event.refusal };
        return;
      case "finished":
        return event.fault === "bad-answer" ? this.#leave({ code: "lock-broke-protocol" }) : this.#sayGoodbye();
      case "committed":
      case "released":
      case "delta-refused":
        return;
    }
  }

  #askTime(nonce: Uint8Array, sync: CourierSync): void {
    const { clock, askTime } = this.#options;
    let isOpen = true;
    const close = (answer: SignedBlob | undefined): void => {
      if (!isOpen || this.#isOver) return;
      isOpen = false;
      cancel();
      if (answer === undefined) sync.skipTime();
      else sync.provideTime(answer);
      this.#pump.pump();
    };
    const cancel = clock.after(TIME_LIMIT_MS, () => close(undefined));
    askTime(nonce).then(close, () => close(undefined));
  }

  #takeReport(report: Uint8Array, mac: Uint8Array): void {
    const read = lockReport.decode(report);
    if (!read.ok) return this.#leave({ code: "lock-broke-protocol" });
    const { epoch, version, logNext } = read.value;
    this.#facts.reported = { policy: { epoch, version }, logNext, report, mac };
  }

  /** Goes on pumping, so that the lock hears that its last words came through and closes the link. */
  #sayGoodbye(): void {
    this.#isFinishing = true;
    this.#session.finish();
    this.#options.clock.after(PEER_CLOSE_MS, () => this.#link.close());
  }

  /** Ends the link from here; not at once, because the link may be in the middle of its own callback. */
  #leave(fault: PhoneVisitFault | undefined): void {
    this.#facts.fault ??= fault;
    this.#options.clock.after(0, () => this.#link.close());
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pump.stop();
    this.#cancelDeadline();
    const durationMs = this.#options.clock.monotonicMs() - this.#startedAt;
    const isWhole = this.#isFinishing && this.#facts.reported !== null;
    const silent: PhoneVisitFault =
      this.#heardFrames === 0 && durationMs < BUSY_WITHIN_MS ? { code: "lock-busy" } : { code: "lock-silent" };
    this.#facts.fault ??= isWhole ? undefined : silent;
    this.#resolve({ ...this.#facts, durationMs });
  }
}

/** A full snapshot of 5,000 credentials takes 8 s at 20 kB/s; ten times that is a visit gone wrong. */
const VISIT_LIMIT_MS = 90_000;
/** The lock refuses round trips over 2 s, so a later answer is worth nothing. */
const TIME_LIMIT_MS = 1_900;
const PEER_CLOSE_MS = 1_500;
/** A busy lock closes at once, one that does not understand only after its own 10 s. */
const BUSY_WITHIN_MS = 2_000;
