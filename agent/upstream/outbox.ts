/**
 * Sends what the store holds and upstream has no receipt for: per device in the order of its sequence, in batches, with a
 * window over all devices. Nothing is published while there is no connection, and nothing is forgotten before a receipt
 * covers it; a PUBACK is only noted as progress (reference: mqtt, findings 2-5).
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import { EVENT_BATCH_LIMIT, eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { bodyToWire } from "../store/event-body.ts";

/** Publishes one batch of a device upstream; rejected when the connection is gone. */
export type PublishBatch = (device: DeviceId, payload: string) => Promise<void>;

interface Lane {
  receipted: number;
  /** Whether `receipted` is what the store says, and not only what was there before the first event of this lane. */
  isReceiptKnown: boolean;
  last: number;
  /** Everything up to here was published on this connection. */
  cursor: number;
  /** Last sequences of the messages that were published and are not covered yet, oldest first. */
  readonly unreceipted: number[];
  /** When the oldest of them is given up and sent again, on the monotonic clock. */
  resendAtMs: number;
  resends: number;
}

export class Outbox {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #laneByDevice = new Map<DeviceId, Lane>();
  /** Of devices that have no lane at the moment, as far as it was heard since the start. */
  readonly #receiptedByDevice = new Map<DeviceId, number>();
  #publish: PublishBatch | undefined;
  #pumping = false;
  #pumpAgain = false;
  #cancelTimer: () => void = () => undefined;

  constructor(options: {
    readonly store: Store;
    readonly clock: Clock;
    /** A store that fails while reading. */
    readonly onError: (error: unknown) => void;
  }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#onError = options.onError;
  }

  /** A connection is there: begins again behind the receipts. */
  async start(publish: PublishBatch): Promise<void> {
    this.stop();
    for (const { device, receipted, last } of await this.#store.outbox()) {
      this.#laneByDevice.set(device, newLane(receipted, last, true));
    }
    this.#publish = publish;
    this.pump();
  }

  stop(): void {
    this.#publish = undefined;
    this.#laneByDevice.clear();
    this.#cancelTimer();
  }

  /** Events of `device` from `first` to `last` came onto the disk. */
  stored(device: DeviceId, first: number, last: number): void {
    if (this.#publish === undefined) return;
    const lane = this.#laneByDevice.get(device) ?? this.#newLane(device, first, last);
    this.#laneByDevice.set(device, lane);
    lane.last = Math.max(lane.last, last);
    // A hole that was filled late: what follows is sent again, and upstream drops the doubles by name.
    if (first <= lane.cursor) lane.cursor = Math.max(lane.receipted, first - 1);
    this.pump();
  }

  /** The events of `device` from this sequence on are not on the disk any more. */
  dropped(device: DeviceId, from: number): void {
    const lane = this.#laneByDevice.get(device);
    if (lane === undefined || lane.last < from) return;
    lane.last = from - 1;
    while ((lane.unreceipted.at(-1) ?? -1) >= from) lane.unreceipted.pop();
    if (lane.receipted >= lane.last) this.#laneByDevice.delete(device);
  }

  /** Upstream has been sent all of this device more than once over this connection and has not taken all of it. */
  isUntaken(device: DeviceId): boolean {
    return (this.#laneByDevice.get(device)?.resends ?? 0) > 0;
  }

  /** Upstream has everything up to and with `through`. Fulfilled when that is on disk. */
  async receipt(device: DeviceId, through: number): Promise<void> {
    await this.#store.recordReceipt(device, through);
    this.#receiptedByDevice.set(device, Math.max(through, this.#receiptedByDevice.get(device) ?? through));
    const lane = this.#laneByDevice.get(device);
    if (lane === undefined) return;
    if (through > lane.receipted) {
      lane.receipted = through;
      lane.cursor = Math.max(lane.cursor, through);
      lane.resends = 0;
      lane.resendAtMs = this.#clock.monotonicMs() + RECEIPT_WAIT_MS;
    }
    while ((lane.unreceipted[0] ?? Number.POSITIVE_INFINITY) <= through) lane.unreceipted.shift();
    if (lane.receipted >= lane.last) this.#laneByDevice.delete(device);
    this.pump();
  }

  /** Sends while the window has room. One pump runs at a time; a call during it makes it look once more. */
  pump(): void {
    if (this.#pumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = true;
    this.#pumpAll()
      .catch(this.#onError)
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
      for (const [device, lane] of [...this.#laneByDevice]) {
        if (this.#windowUsed() >= WINDOW_MESSAGES) break;
        if (await this.#sendNext(device, lane)) sent = true;
      }
    }
    this.#setTimer();
  }

  /** What came first after a start may lie far behind what is receipted; what fills the hole later must not count as receipted with it. */
  async #learnReceipts(): Promise<void> {
    const unknown = [...this.#laneByDevice].filter(([, lane]) => !lane.isReceiptKnown);
    if (unknown.length === 0) return;
    const waiting = await this.#store.outbox();
    for (const [device, lane] of unknown) {
      lane.receipted = Math.min(
        lane.receipted,
        waiting.find((entry) => entry.device === device)?.receipted ?? lane.receipted,
      );
      lane.isReceiptKnown = true;
    }
  }

  /** All before `first` was published before, or is not here. */
  #newLane(device: DeviceId, first: number, last: number): Lane {
    const known = this.#receiptedByDevice.get(device);
    const lane = newLane(Math.min(first - 1, known ?? first - 1), last, known !== undefined);
    return { ...lane, cursor: first - 1 };
  }

  async #sendNext(device: DeviceId, lane: Lane): Promise<boolean> {
    if (lane.cursor >= lane.last || lane.unreceipted.length >= DEVICE_WINDOW_MESSAGES) return false;
    const publish = this.#publish;
    const events = await this.#store.readEvents(device, lane.cursor, EVENT_BATCH_LIMIT);
    const newest = events.at(-1);
    // The connection may have gone, or the lane have been started anew, while the store was read.
    if (publish === undefined || publish !== this.#publish || this.#laneByDevice.get(device) !== lane) return false;
    if (newest === undefined) {
      lane.cursor = lane.last;
      return false;
    }
    lane.cursor = newest.sequence;
    if (lane.unreceipted.push(newest.sequence) === 1) {
      lane.resendAtMs = this.#clock.monotonicMs() + RECEIPT_WAIT_MS * 2 ** Math.min(lane.resends, RESEND_DOUBLINGS);
    }
    const batch = { v: 1 as const, device, events: events.map(({ body }) => bodyToWire(body)) };
    // Rejected means that the connection is gone, and its end starts the outbox anew.
    publish(device, formatPayload(eventBatchSchema, batch)).catch(() => undefined);
    return true;
  }

  /**
   * Receipts that are overdue no longer hold the window. What follows is sent first, because a hole that nobody can fill must
   * not keep later events from upstream; then the lane starts again behind its last receipt, each time after a longer wait.
   */
  #giveUpWaiting(): void {
    const now = this.#clock.monotonicMs();
    for (const lane of this.#laneByDevice.values()) {
      if (lane.unreceipted.length === 0 || lane.resendAtMs > now) continue;
      lane.unreceipted.length = 0;
      if (lane.cursor < lane.last) continue;
      lane.cursor = lane.receipted;
      lane.resends += 1;
    }
  }

  #setTimer(): void {
    this.#cancelTimer();
    const due = [...this.#laneByDevice.values()].filter(({ unreceipted }) => unreceipted.length > 0);
    if (due.length === 0) return;
    const next = Math.min(...due.map(({ resendAtMs }) => resendAtMs));
    this.#cancelTimer = this.#clock.after(Math.max(0, next - this.#clock.monotonicMs()), () => this.pump());
  }

  #windowUsed(): number {
    let used = 0;
    for (const { unreceipted } of this.#laneByDevice.values()) used += unreceipted.length;
    return used;
  }
}

function newLane(receipted: number, last: number, isReceiptKnown: boolean): Lane {
  return { receipted, isReceiptKnown, last, cursor: receipted, unreceipted: [], resendAtMs: 0, resends: 0 };
}

/** Messages without a receipt, over all devices: 64 of 64 events fill 150 ms at 27,000 events a second. */
const WINDOW_MESSAGES = 64;
/** One device that gets no receipts must leave room for the others. */
const DEVICE_WINDOW_MESSAGES = 16;
/** A receipt is one round trip and one commit away; ten seconds say that the batch or the receipt was lost. */
const RECEIPT_WAIT_MS = 10_000;
/** 10 s doubled five times: a device that upstream cannot place is tried every 5 minutes. */
const RESEND_DOUBLINGS = 5;
