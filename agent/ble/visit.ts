/**
 * One visit to one BLE lock: the radio below, the secure session and the courier's end of the sync above, joined here.
 *
 * Everything between is a fed-and-drained machine, so this file is one pump: what came from the radio, the store or the
 * authority is fed in, what comes out is sent or acted on, and the session's own next wake is the only timer besides the
 * deadline of the whole visit. Entries are acknowledged to the sync only when they are on disk.
 */
import { equalBytes } from "../../protocol/base/bytes.ts";
import { Session, type SessionEvent } from "../../protocol/session/session.ts";
import { type CourierEvent, CourierSync } from "../../protocol/sync/courier-sync.ts";
import { lockReport } from "../../protocol/wire/signed-objects.ts";
import type { LinkEnd, RadioLink } from "../ports/radio.ts";
import { RadioError } from "../ports/radio.ts";
import type {
  LockReport,
  RunVisit,
  SealedRun,
  VisitFacts,
  VisitFault,
  VisitOptions,
  VisitOutcome,
} from "../ports/visit.ts";
import { SessionPump } from "./session-pump.ts";

/** A full snapshot of 5,000 credentials takes 8 s at 20 kB/s (reference: physics); ten times that is a visit gone wrong. */
const VISIT_LIMIT_MS = 90_000;
/** The lock refuses round trips over 2 s, so a later answer is worth nothing. */
const TIME_LIMIT_MS = 1_900;
/** The lock closes when it is done, which saves BlueZ's 2 s of our own disconnect; this long it may take. */
export const PEER_CLOSE_MS = 1_500;

/** Often enough for people: one page. */
const PROGRESS_BYTES = 2_048;

export const runVisit: RunVisit = (options) => new Visit(options).run();

class Visit {
  readonly #options: VisitOptions;
  readonly #startedAt: number;
  #session: Session | undefined;
  #pump: SessionPump | undefined;
  #sync: CourierSync | undefined;
  #link: RadioLink | undefined;
  #fault: VisitFault | undefined;
  #settle: () => void = () => undefined;
  #settled = false;
  /** The sync has said all; only the lock's closing of the link is awaited. */
  #isFinishing = false;
  #facts: { -readonly [Fact in keyof VisitFacts]: VisitFacts[Fact] } = {
    from: null,
    battery: null,
    firmware: null,
    hardware: null,
    bootCount: null,
    uptimeSeconds: null,
    clock: null,
    logEntries: 0,
    deltaRefused: null,
    durationMs: 0,
    bytes: 0,
  };
  #reported: LockReport | null = null;
  /** The bundle on its way: where it stands in the session's stream, of how many bytes, and how much of it was told. */
  #carried: { readonly from: number; until: number; readonly of: number; told: number } | undefined;

  constructor(options: VisitOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonicMs();
  }

  async run(): Promise<VisitOutcome> {
    const { clock, radio, address, onProgress, limitMs = VISIT_LIMIT_MS } = this.#options;
    const done = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    const cancelLimit = clock.after(Math.min(limitMs, VISIT_LIMIT_MS), () =>
      this.#end({ code: "timeout", reason: "visit" }),
    );
    onProgress({ step: "connecting" });
    try {
      this.#link = await radio.connect(address, {
        frame: (bytes) => this.#frame(bytes),
        closed: (end) => this.#linkClosed(end),
      });
      this.#begin();
      await done;
    } catch (error) {
      this.#end(radioFault(error));
    } finally {
      cancelLimit();
      this.#pump?.stop();
      await this.#link?.close();
    }
    this.#facts.durationMs = clock.monotonicMs() - this.#startedAt;
    const reported = this.#reported;
    if (this.#fault === undefined && reported !== null) return { ok: true, ...this.#facts, reported };
    const fault = this.#fault ?? { code: "protocol", reason: "no report" };
    return { ok: false, fault, ...this.#facts, reported };
  }

  #begin(): void {
    const { courier, lock, random, clock, onProgress } = this.#options;
    onProgress({ step: "handshake" });
    const session = new Session({
      role: "courier",
      staticPrivateKey: courier.staticPrivateKey,
      ephemeralPrivateKey: random.bytes(32),
      remoteStaticPublicKey: lock.staticPublicKey,
      prologue: lock.pairingId,
      nowMs: clock.monotonicMs(),
    });
    this.#session = session;
    this.#pump = new SessionPump({
      session,
      clock,
      onEvent: (event) => this.#sessionEvent(event),
      drain: () => this.#drainSync(),
      send: (frame) => this.#send(frame),
    });
    this.#pump.pump();
  }

  #frame(bytes: Uint8Array): void {
    this.#facts.bytes += bytes.length;
    this.#pump?.receive(bytes);
  }

  #sessionEvent(event: SessionEvent): void {
    if (event.kind === "established") {
      const { courier, desired, logFrom, logAgainFrom, readsLog = true } = this.#options;
      this.#sync = new CourierSync({
        certificate: courier.certificate,
        logFrom,
        readsLog,
        ...(logAgainFrom === undefined ? {} : { logAgainFrom }),
        ...(desired === undefined
          ? {}
          : { keyset: desired.keyset, policy: { ...desired.policy, bundles: desired.bundles } }),
        ...(desired === undefined || desired.release === null ? {} : { release: desired.release }),
      });
    } else if (event.kind === "message") {
      this.#sync?.receive(event.bytes);
    } else if (!this.#isFinishing) {
      this.#end(sessionFault(event.reason, this.#sync !== undefined));
    }
  }

  #drainSync(): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    for (const event of sync.takeEvents()) this.#syncEvent(event, sync);
    for (const message of sync.takeMessages()) {
      // The session's queue holds sixteen of the largest bundles, so a refusal means that the session is over.
      if (this.#session?.send(message) === false) this.#end({ code: "protocol", reason: "session over" });
    }
    // All of a bundle is queued in one turn, and nothing else is.
    if (this.#carried?.until === 0) this.#carried.until = this.#session?.progress().bytesQueued ?? 0;
  }

  /**
   * How much of the bundle has gone out at least once. The machine queues all of it at once, so only the session knows; while a byte of
   * it has not gone out, the lock cannot have it whole.
   */
  #tellPolicy(): void {
    const [progress, carried] = [this.#session?.progress(), this.#carried];
    if (progress === undefined || carried === undefined || carried.told === carried.of) return;
    const { from, until, of, told } = carried;
    const sent = Math.max(0, progress.bytesQueued - progress.bytesUnsent - from);
    const done = Math.min(of, Math.floor((sent / (until - from)) * of));
    if (done - told < PROGRESS_BYTES && done !== of) return;
    carried.told = done;
    this.#options.onProgress({ step: "policy", done, of });
  }

  #syncEvent(event: CourierEvent, sync: CourierSync): void {
    const { onProgress } = this.#options;
    switch (event.kind) {
      case "hello": {
        const { hello } = event;
        if (!equalBytes(hello.pairingId, this.#options.lock.pairingId)) {
          return this.#end({ code: "protocol", reason: "another pairing" });
        }
        this.#facts.from = { epoch: hello.epoch, version: hello.version };
        this.#facts.battery = { millivolts: hello.batteryMillivolts, percent: hello.batteryPercent };
        this.#facts.firmware = hello.firmware;
        this.#facts.hardware = hello.hardware;
        this.#facts.bootCount = hello.bootCount;
        this.#facts.uptimeSeconds = hello.uptimeSeconds;
        return;
      }
      case "time-wanted":
        onProgress({ step: "clock" });
        return this.#askTime(event.nonce, sync);
      case "time-handled":
        this.#facts.clock = { oldMs: event.oldUnixMs ?? null, newMs: event.newUnixMs, written: event.written };
        return;
      case "page-sent":
        if (this.#carried?.until === 0) return;
        this.#carried = { from: this.#session?.progress().bytesQueued ?? 0, until: 0, of: event.totalBytes, told: 0 };
        return onProgress({ step: "policy", done: 0, of: event.totalBytes });
      case "entries":
        return this.#storeRun({ boot: this.#facts.bootCount ?? 0, ...event }, sync);
      case "report":
        onProgress({ step: "report" });
        return this.#takeReport(event.report, event.mac);
      case "refused":
        // The sync goes on after a refusal; the first one is what the operator must know.
        this.#fault ??= { code: "refused", reason: `${event.step}: ${event.refusal}` };
        return;
      case "delta-refused":
        // The snapshot follows: what came of that is the visit's outcome.
        this.#facts.deltaRefused = { refusal: event.refusal, from: event.from };
        return;
      case "finished":
        if (event.fault !== "bad-answer") return this.#finish();
        return this.#end({ code: "protocol", reason: event.claim ?? event.fault });
      case "committed":
      case "released":
        return;
    }
  }

  /** Says good-bye and goes on pumping, so that the lock hears that its last words came through and closes the link. */
  #finish(): void {
    this.#isFinishing = true;
    this.#session?.finish();
    this.#options.onProgress({ step: "closing" });
    this.#options.clock.after(PEER_CLOSE_MS, () => this.#end(undefined));
  }

  #askTime(nonce: Uint8Array, sync: CourierSync): void {
    const { clock, askTime } = this.#options;
    let open = true;
    const close = (act: () => void): void => {
      if (!open || this.#settled) return;
      open = false;
      cancel();
      act();
      this.#pump?.pump();
    };
    const cancel = clock.after(TIME_LIMIT_MS, () => close(() => sync.skipTime()));
    askTime(nonce).then(
      (answer) =>
        close(() => (answer === undefined ? sync.skipTime() : sync.provideTime(answer.answer, answer.delegate))),
      () => close(() => sync.skipTime()),
    );
  }

  #storeRun({ boot, from, count, batch }: SealedRun, sync: CourierSync): void {
    this.#options.storeRun({ boot, from, count, batch }).then(
      () => {
        if (this.#settled) return;
        this.#facts.logEntries += count;
        this.#options.onProgress({ step: "log", done: this.#facts.logEntries });
        sync.entriesStored();
        this.#pump?.pump();
      },
      (error: unknown) => this.#end({ code: "protocol", reason: `entries not stored: ${errorName(error)}` }),
    );
  }

  #takeReport(report: Uint8Array, mac: Uint8Array): void {
    const read = lockReport.decode(report);
    if (!read.ok) return this.#end({ code: "protocol", reason: "unreadable report" });
    const { epoch, version, clock, logNext } = read.value;
    this.#reported = { policy: { epoch, version }, clock, logNext, report, mac };
  }

  #send(frame: Uint8Array): void {
    this.#facts.bytes += frame.length;
    this.#tellPolicy();
    this.#link?.send(frame).catch((error: unknown) => this.#end(radioFault(error)));
  }

  #linkClosed(end: LinkEnd): void {
    if (end.reason === "closed-here") return;
    this.#end(this.#isFinishing ? undefined : { code: "radio", reason: end.error?.code ?? end.reason });
  }

  /** The first fault stands; a lock that closes after its report ends a visit that is already settled. */
  #end(fault: VisitFault | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#pump?.stop();
    this.#fault ??= fault;
    this.#settle();
  }
}

export function sessionFault(reason: string, established: boolean): VisitFault {
  if (!established) return { code: "handshake", reason };
  return { code: reason === "no-progress" ? "timeout" : "protocol", reason };
}

export function radioFault(error: unknown): VisitFault {
  if (!(error instanceof RadioError)) return { code: "radio", reason: errorName(error) };
  const absent = error.code === "not-found" || error.code === "connect-timeout";
  return { code: absent ? "not-found" : "radio", reason: error.code };
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : "unknown error";
}
