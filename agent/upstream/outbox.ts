/**
 * Sends what the store holds and upstream has no receipt for: per device in the order of its sequence, in batches, with a window over all
 * devices. What happens now goes first; what had waited goes at a stated rate; what a receipt names as missing goes again. Nothing is
 * published while there is no connection, and nothing is forgotten before a receipt covers it; a PUBACK is only noted as progress
 * (reference: mqtt, findings 2-5).
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import { EVENT_BATCH_LIMIT } from "../../protocol/wire/messages/event.ts";
import type { Receipt } from "../../protocol/wire/messages/receipt.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store, StoredEvent } from "../ports/store.ts";
import { storedCovers } from "../store/event-body.ts";
import { lostGap } from "../store/telemetry.ts";
import { AskedAgain, type AskedRange } from "./asked-again.ts";
import { eventMessage, holesBetween } from "./event-message.ts";
import { Lane, type NextPiece } from "./lane.ts";
import { Rate } from "./rate.ts";

/** Publishes one batch of a device upstream; rejected when the connection is gone. */
export type PublishBatch = (device: DeviceId, payload: string) => Promise<void>;

export interface OutboxOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** A store that fails while reading. */
  readonly onError: (error: unknown) => void;
  /** Of what had waited for a link; infinite when absent. */
  readonly backlogEventsPerSecond?: () => number;
  /** Whether the gateway may say of this device's log what is lost: of a sealed one only the lock can. All when absent. */
  readonly mayDeclareLost?: (device: DeviceId) => boolean;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #laneByDevice = new Map<DeviceId, Lane>();
  readonly #asked = new AskedAgain();
  readonly #rate: Rate;
  /** Of devices that have no lane at the moment, as far as it was heard since the start. */
  readonly #receiptedByDevice = new Map<DeviceId, number>();
  /** Receipts that are not on disk yet. */
  readonly #unsaved = new Map<DeviceId, number>();
  #saving: Promise<void> | undefined;
  #publish: PublishBatch | undefined;
  /** Receipts come on this connection. */
  #isProven = false;
  #pumping = false;
  #pumpAgain = false;
  #cancelTimer: () => void = () => undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#rate = new Rate(options.backlogEventsPerSecond ?? (() => Number.POSITIVE_INFINITY));
  }

  /** A connection is there: begins again behind the receipts. */
  async start(publish: PublishBatch): Promise<void> {
    this.stop();
    for (const { device, receipted, last } of await this.#options.store.outbox()) {
      const at = { receipted, last, cursor: receipted, backlogEnd: last, isReceiptKnown: true };
      this.#laneByDevice.set(device, new Lane(at));
    }
    this.#publish = publish;
    this.pump();
  }

  stop(): void {
    this.#publish = undefined;
    this.#isProven = false;
    this.#laneByDevice.clear();
    this.#asked.clear();
    this.#cancelTimer();
  }

  /** Events of `device` from `first` to `last` came onto the disk; `live` ones may go before what still waits of the device. */
  stored(device: DeviceId, first: number, last: number, order: "live" | "in-order" = "live"): void {
    if (this.#publish === undefined) return;
    const lane = this.#laneByDevice.get(device) ?? this.#newLane(device, first, last);
    this.#laneByDevice.set(device, lane);
    lane.stored(first, last, order === "live");
    this.pump();
  }

  /** The events of `device` from this sequence on are not on the disk any more. */
  dropped(device: DeviceId, from: number): void {
    const lane = this.#laneByDevice.get(device);
    if (lane === undefined || lane.last < from) return;
    lane.dropped(from);
    if (lane.isDone) this.#laneByDevice.delete(device);
  }

  /** Upstream has been sent all of this device more than once over this connection and has not taken all of it. */
  isUntaken(device: DeviceId): boolean {
    return (this.#laneByDevice.get(device)?.resends ?? 0) > 0;
  }

  /** The lowest sequence of this device that receipts on this connection ask for; undefined: none. */
  askedFrom(device: DeviceId): number | undefined {
    return this.#asked.lowest(device);
  }

  /** Upstream has everything up to and with `through`, and misses what is named. Fulfilled when the first is on disk. */
  async receipt(device: DeviceId, through: number | null, missing: Receipt["missing"] = []): Promise<void> {
    const lane = this.#laneByDevice.get(device);
    const now = this.#options.clock.monotonicMs();
    if (through !== null)
      this.#receiptedByDevice.set(device, Math.max(through, this.#receiptedByDevice.get(device) ?? through));
    // Without a lane everything was published and receipted once: whatever is asked for of that is asked for again. A hole that reaches to
    // what was published last or beyond is no hole yet: what went ahead came, and the rest is on its way.
    const published = lane?.cursor ?? (this.#receiptedByDevice.get(device) ?? -1) + 1;
    const holes = missing.filter(({ to }) => to < published);
    if (this.#publish !== undefined) this.#asked.heard(device, holes, now);
    if (through !== null) {
      if (lane !== undefined) {
        this.#isProven = true;
        if (through > lane.receipted) lane.resendAtMs = now + RECEIPT_WAIT_MS;
        lane.receipt(through);
        if (lane.isDone) this.#laneByDevice.delete(device);
      }
      this.#unsaved.set(device, Math.max(through, this.#unsaved.get(device) ?? through));
    }
    this.pump();
    await this.#saveReceipts();
  }

  /** One write at a time, each with the latest of every device: a hundred receipts a second are no hundred writes. */
  async #saveReceipts(): Promise<void> {
    if (this.#unsaved.size > 0) this.#saving ??= this.#saveAll();
    await this.#saving;
  }

  async #saveAll(): Promise<void> {
    try {
      while (this.#unsaved.size > 0) {
        const latest = [...this.#unsaved];
        this.#unsaved.clear();
        await Promise.all(latest.map(([device, through]) => this.#options.store.recordReceipt(device, through)));
      }
    } finally {
      this.#saving = undefined;
    }
  }

  /** Sends while the window has room. One pump runs at a time; a call during it makes it look once more. */
  pump(): void {
    if (this.#pumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = true;
    this.#pumpAll()
      .catch((error: unknown) => {
        this.#options.onError(error);
        // A disk without room passes; the connection may stay as it is meanwhile.
        this.#pumpIn(STORE_RETRY_MS);
      })
      .finally(() => {
        this.#pumping = false;
        if (this.#pumpAgain) {
          this.#pumpAgain = false;
          this.pump();
        }
      });
  }

  async #pumpAll(): Promise<void> {
    await this.#learnReceipts();
    this.#giveUpWaiting();
    let sent = true;
    while (sent && this.#publish !== undefined) {
      sent = false;
      for (const [device, lane] of [...this.#laneByDevice]) if (await this.#sendLive(device, lane)) sent = true;
      if (await this.#sendAsked()) sent = true;
      for (const [device, lane] of [...this.#laneByDevice]) {
        if (await this.#sendBacklog(device, lane)) sent = true;
        // What has happened meanwhile does not wait until every device had its turn.
        if (this.#pumpAgain) break;
      }
      if (this.#pumpAgain) {
        this.#pumpAgain = false;
        this.#giveUpWaiting();
        await this.#learnReceipts();
        sent = true;
      }
    }
    this.#setTimer();
  }

  /** What came first after a start may lie far behind what is receipted; what fills the hole later must not count as receipted with it. */
  async #learnReceipts(): Promise<void> {
    const unknown = [...this.#laneByDevice].filter(([, lane]) => !lane.isReceiptKnown);
    if (unknown.length === 0) return;
    const waiting = await this.#options.store.outbox();
    for (const [device, lane] of unknown) {
      const known = waiting.find((entry) => entry.device === device)?.receipted ?? lane.receipted;
      lane.receipted = Math.min(lane.receipted, known);
      lane.isReceiptKnown = true;
    }
  }

  /** All before `first` was published before, or is not here. */
  #newLane(device: DeviceId, first: number, last: number): Lane {
    const known = this.#receiptedByDevice.get(device);
    const receipted = Math.min(first - 1, known ?? first - 1);
    const cursor = first - 1;
    return new Lane({ receipted, last, cursor, backlogEnd: cursor, isReceiptKnown: known !== undefined });
  }

  async #sendLive(device: DeviceId, lane: Lane): Promise<boolean> {
    const piece = lane.nextLive();
    if (piece === undefined) return false;
    const isAhead = piece.kind === "ahead";
    if (isAhead && lane.aheadUnderway >= DEVICE_AHEAD_MESSAGES) return false;
    if (!isAhead && !this.#hasRoom(lane, "live")) return false;
    return this.#send(device, lane, piece, EVENT_BATCH_LIMIT);
  }

  async #sendBacklog(device: DeviceId, lane: Lane): Promise<boolean> {
    const piece = lane.nextBacklog();
    if (piece === undefined || !this.#hasRoom(lane, "backlog")) return false;
    const allowed = this.#rate.allowed(this.#options.clock.monotonicMs(), EVENT_BATCH_LIMIT);
    if (allowed === 0) return false;
    const sent = await this.#send(device, lane, piece, allowed);
    // Behind the others, so that each has its turn.
    if (sent && this.#laneByDevice.delete(device)) this.#laneByDevice.set(device, lane);
    return sent;
  }

  /** False: there was nothing to do. */
  async #send(device: DeviceId, lane: Lane, piece: NextPiece, limit: number): Promise<boolean> {
    const publish = this.#publish;
    const read = await this.#options.store.readEvents(device, piece.after, limit);
    const events = read.filter(({ sequence }) => sequence <= piece.through);
    // The connection may have gone, or the lane have been started anew or moved, while the store was read.
    if (publish === undefined || publish !== this.#publish || this.#laneByDevice.get(device) !== lane) return false;
    if (lane.nextLive()?.after !== piece.after && lane.nextBacklog()?.after !== piece.after) return true;
    const last = events.at(-1)?.sequence ?? piece.through;
    if (events.length > 0) {
      const payload = eventMessage(device, events);
      const sent = publish(device, payload);
      if (piece.kind === "ahead") this.#countAhead(lane, sent);
      else lane.awaitReceipt({ last, bytes: payload.length }, this.#resendAtMs(lane));
      if (piece.kind === "backlog") this.#rate.take(events.length);
      // Rejected means that the connection is gone, and its end starts the outbox anew.
      sent.catch(() => undefined);
    }
    lane.published(piece.kind, last, this.#resendAtMs(lane));
    return true;
  }

  #resendAtMs({ resends }: Lane): number {
    return this.#options.clock.monotonicMs() + RECEIPT_WAIT_MS * 2 ** Math.min(resends, RESEND_DOUBLINGS);
  }

  #countAhead(lane: Lane, sent: Promise<void>): void {
    lane.aheadUnderway += 1;
    const count = (): void => {
      lane.aheadUnderway -= 1;
      this.pump();
    };
    sent.then(count, count);
  }

  /** Some of what a receipt names as missing. */
  async #sendAsked(): Promise<boolean> {
    const { clock, store } = this.#options;
    const publish = this.#publish;
    const due = this.#asked.due(clock.monotonicMs());
    if (due === undefined || publish === undefined || this.#windowUsed() >= WINDOW_MESSAGES) return false;
    const allowed = this.#rate.allowed(clock.monotonicMs(), EVENT_BATCH_LIMIT);
    if (allowed === 0) return false;
    const { device, range } = due;
    const read = await store.readEvents(device, range.next - 1, allowed);
    const events = read.filter((event) => (storedCovers(event.body)?.first ?? event.sequence) <= range.to);
    const isEnd = events.length < read.length || read.length < allowed || (read.at(-1)?.sequence ?? 0) >= range.to;
    const through = isEnd ? range.to : (events.at(-1)?.sequence ?? range.to);
    const lost = await this.#lostIn(device, read, { ...range, to: through });
    if (publish !== this.#publish) return false;
    const all = [...events, ...lost].sort((left, right) => left.sequence - right.sequence).slice(0, EVENT_BATCH_LIMIT);
    if (all.length > 0) publish(device, eventMessage(device, all)).catch(() => undefined);
    this.#rate.take(all.length);
    if (isEnd) this.#asked.roundDone(range, clock.monotonicMs());
    else range.next = through + 1;
    return true;
  }

  /** SPEC U12: what was here once and is not any more is said to be lost, so that nobody asks for it for ever. */
  async #lostIn(device: DeviceId, read: readonly StoredEvent[], range: AskedRange): Promise<readonly StoredEvent[]> {
    if (this.#options.mayDeclareLost?.(device) === false) return [];
    const holes = holesBetween(read, range.next, range.to);
    if (holes.length === 0) return [];
    const had = await this.#options.store.coverage(device);
    const boot = read[0]?.boot ?? 0;
    return holes.flatMap((hole) =>
      had
        .map(({ first, last }) => ({ first: Math.max(first, hole.first), last: Math.min(last, hole.last) }))
        .filter(({ first, last }) => first <= last)
        .map(({ first, last }) => lostGap(first, last, boot)),
    );
  }

  #giveUpWaiting(): void {
    const now = this.#options.clock.monotonicMs();
    for (const lane of this.#laneByDevice.values()) {
      if (lane.unreceipted.length > 0 && lane.resendAtMs <= now) lane.giveUpWaiting();
    }
  }

  #setTimer(): void {
    this.#cancelTimer();
    const now = this.#options.clock.monotonicMs();
    const lanes = [...this.#laneByDevice.values()];
    const waits = lanes.filter(({ unreceipted }) => unreceipted.length > 0).map(({ resendAtMs }) => resendAtMs - now);
    const isHeldByRate = lanes.some((lane) => lane.hasBacklog && this.#hasRoom(lane, "backlog"));
    if (isHeldByRate && this.#publish !== undefined) waits.push(Math.max(1, this.#rate.waitMs(EVENT_BATCH_LIMIT)));
    const askedMs = this.#asked.nextDueMs();
    if (askedMs !== undefined) waits.push(Math.max(1, askedMs - now, this.#rate.waitMs(EVENT_BATCH_LIMIT)));
    if (waits.length > 0) this.#pumpIn(Math.max(0, Math.min(...waits)));
  }

  #pumpIn(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.pump());
  }

  /**
   * A device that gets its receipts may use the window; one that has had none yet leaves it to others. Before the first receipt of a
   * connection nobody knows that there will be one, and little is read.
   */
  #hasRoom(lane: Lane, kind: "backlog" | "live"): boolean {
    const limit = lane.isProven ? WINDOW_MESSAGES : UNPROVEN_MESSAGES;
    if (lane.unreceipted.length >= limit || this.#bytesUsed() >= WINDOW_BYTES) return false;
    const window = this.#isProven ? WINDOW_MESSAGES : UNPROVEN_MESSAGES;
    return this.#windowUsed() < window + (kind === "live" ? LIVE_MESSAGES : 0);
  }

  #windowUsed(): number {
    let used = 0;
    for (const { unreceipted } of this.#laneByDevice.values()) used += unreceipted.length;
    return used;
  }

  #bytesUsed(): number {
    let used = 0;
    for (const { unreceipted } of this.#laneByDevice.values()) for (const { bytes } of unreceipted) used += bytes;
    return used;
  }
}

/** Messages without a receipt, over all devices: 64 of 64 events fill 150 ms at 27,000 events a second. */
const WINDOW_MESSAGES = 64;
/** Beyond the window, for what happens now. */
const LIVE_MESSAGES = 16;
/** All that wait for a receipt together: batches of sealed logs are twenty times as large as others. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** One device that gets no receipts must leave room for the others, and a connection without any is not worth a full window. */
const UNPROVEN_MESSAGES = 16;
const DEVICE_AHEAD_MESSAGES = 4;
/** A receipt is one round trip and one commit away; ten seconds say that the batch or the receipt was lost. */
const RECEIPT_WAIT_MS = 10_000;
/** 10 s doubled five times: a device that upstream cannot place is tried every 5 minutes. */
const RESEND_DOUBLINGS = 5;
const STORE_RETRY_MS = 5_000;
