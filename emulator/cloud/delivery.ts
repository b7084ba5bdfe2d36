/**
 * Doorcodes on their way to whoever they are for: an emulated mail server and text-message service (rows 80-82; SPEC C11, C12).
 *
 * Theory of operation. The code stands in the message and nowhere else. Messages, on their way or in a mailbox, live in memory
 * alone; what is written down is the record of a delivery: issuer, door, day, channel, redacted recipient and state. A message moves
 * when somebody looks, by the time that has passed since it was sent, so there is no timer to lose. Whether it arrives, bounces
 * or is stuck follows from the cloud's seed and the number of the delivery.
 */
import { z } from "zod";
import { bytesToHex, readU32, utf8 } from "../../protocol/base/bytes.ts";
import { assert, ok, type Result } from "../../protocol/base/result.ts";
import { type LocalDay, type UnixMs, unixSeconds } from "../../protocol/base/units.ts";
import { hmacSha256 } from "../../protocol/crypto.ts";
import {
  advanceDelivery,
  type DeliveryFault,
  type DeliveryRecord,
  type DeliveryState,
  type DeliveryStatus,
  deliveryStatus,
  openDelivery,
} from "../../protocol/doorcode/delivery.ts";
import { localDayText } from "../../protocol/site/zone.ts";
import { unixTime } from "../../protocol/wire/messages/fields.ts";
import type { CloudKeys } from "./authority-keys.ts";
import type { Documents } from "./documents.ts";
import type { CloudLog } from "./log.ts";
import type { CloudPorts } from "./ports.ts";

export type SendChannel = Extract<DeliveryRecord["channel"], "email" | "phone-message">;

export interface DeliveryOrder {
  readonly issuer: string;
  readonly door: string;
  readonly channel: SendChannel;
  readonly recipient: string;
  readonly slot: DeliveryRecord["slot"];
  /** What is sent, the code in it. */
  readonly text: string;
}

export interface DeliveryView {
  readonly delivery: string;
  readonly issuer: string;
  readonly door: string;
  readonly validOn: string;
  readonly mode: string;
  readonly channel: SendChannel;
  /** Redacted. */
  readonly recipient: string;
  readonly status: DeliveryStatus;
  readonly why: FailureWhy | null;
  readonly changedAt: number;
}

export type FailureWhy = "refused-by-recipient" | "not-delivered-in-time" | "lost-at-restart";

/** How the emulated services behave; percents of deliveries. */
export interface OutboxFaults {
  readonly bouncePercent: number;
  readonly stuckPercent: number;
  readonly delayMs: number;
}

export interface MailboxMessage {
  readonly delivery: string;
  readonly text: string;
  readonly at: UnixMs;
}

interface Travelling {
  readonly order: DeliveryOrder;
  readonly sentAt: UnixMs;
  readonly endsAt: UnixMs;
  readonly fate: "delivered" | FailureWhy;
}

export interface OutboxOptions {
  readonly keys: Pick<CloudKeys, "deliveryAudit" | "outbox">;
  readonly documents: Documents;
  readonly ports: CloudPorts;
  readonly log: CloudLog;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #travelling = new Map<string, Travelling>();
  readonly #mailboxes = new Map<string, readonly MailboxMessage[]>();
  #faults: OutboxFaults = { bouncePercent: 0, stuckPercent: 0, delayMs: usualDelayMs };
  #book: Book;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#book = options.documents.get(documentName, bookSchema)?.body ?? { sent: 0, deliveries: [] };
    // What was on its way when the process ended is gone with its memory, and is said so.
    for (const { id, record } of this.#book.deliveries) {
      if (deliveryStatus(record.state) === "pending") this.#advance(id, "failed", "lost-at-restart");
    }
  }

  set faults(faults: OutboxFaults) {
    this.#faults = faults;
  }

  /** Sends a message. The record is on disk before it is on its way. Fault: not-an-address. */
  send(order: DeliveryOrder): Result<DeliveryView, DeliveryFault> {
    const { ports, keys, log } = this.#options;
    const now = ports.clock.nowMs();
    const { issuer: issuerId, door: doorId, channel, recipient, slot } = order;
    const opened = openDelivery({ issuerId, doorId, channel, recipient, slot }, keys.deliveryAudit, this.#nowSeconds());
    if (!opened.ok) return opened;
    const id = bytesToHex(ports.random(idBytes));
    const number = this.#book.sent + 1;
    const kept = [...this.#book.deliveries, { id, record: opened.value, why: null }].slice(-recordsKept);
    this.#write({ sent: number, deliveries: kept });
    this.#advance(id, "sent", null);
    this.#travelling.set(id, this.#travel(order, number, now));
    log.info({ delivery: id, issuer: issuerId, door: doorId, channel, recipient: opened.value.recipient }, "code sent");
    const view = this.view(id);
    assert(view !== undefined, "what was just written is there");
    return ok(view);
  }

  view(id: string): DeliveryView | undefined {
    this.#settle();
    const kept = this.#book.deliveries.find((each) => each.id === id);
    return kept === undefined ? undefined : viewOf(kept);
  }

  /** The audit record, oldest first. */
  list(): readonly DeliveryView[] {
    this.#settle();
    return this.#book.deliveries.map(viewOf);
  }

  /** What arrived at an address or a number; for the bench alone, because the code stands in it. */
  mailbox(channel: SendChannel, recipient: string): readonly MailboxMessage[] {
    this.#settle();
    return this.#mailboxes.get(mailboxName(channel, recipient)) ?? [];
  }

  #travel(order: DeliveryOrder, number: number, sentAt: UnixMs): Travelling {
    const { bouncePercent, stuckPercent, delayMs } = this.#faults;
    const drawn = (readU32(hmacSha256(this.#options.keys.outbox, utf8(`delivery/${number}`)), 0) / 2 ** 32) * 100;
    const endsAt = (sentAt + delayMs) as UnixMs;
    if (drawn < bouncePercent) return { order, sentAt, endsAt, fate: "refused-by-recipient" };
    if (drawn >= bouncePercent + stuckPercent) return { order, sentAt, endsAt, fate: "delivered" };
    return { order, sentAt, endsAt: (sentAt + giveUpMs) as UnixMs, fate: "not-delivered-in-time" };
  }

  /** Ends the journey of whatever has come to its end by now. */
  #settle(): void {
    const now = this.#options.ports.clock.nowMs();
    for (const [id, { order, endsAt, fate }] of this.#travelling) {
      if (now < endsAt) continue;
      this.#travelling.delete(id);
      if (fate !== "delivered") {
        this.#advance(id, "failed", fate);
        continue;
      }
      this.#advance(id, "delivered", null);
      this.#putIntoMailbox(order, { delivery: id, text: order.text, at: endsAt });
    }
  }

  #putIntoMailbox({ channel, recipient }: DeliveryOrder, message: MailboxMessage): void {
    const name = mailboxName(channel, recipient);
    const messages = [...(this.#mailboxes.get(name) ?? []), message].slice(-messagesKept);
    // Set anew, so that the mailbox that was quiet longest comes first and goes first.
    this.#mailboxes.delete(name);
    this.#mailboxes.set(name, messages);
    const [oldest] = this.#mailboxes.keys();
    if (this.#mailboxes.size > mailboxesKept && oldest !== undefined) this.#mailboxes.delete(oldest);
  }

  #advance(id: string, to: DeliveryState, why: FailureWhy | null): void {
    const deliveries = this.#book.deliveries.map((each) => {
      if (each.id !== id) return each;
      const next = advanceDelivery(each.record, to, this.#nowSeconds());
      assert(next.ok, "a delivery moves forward only");
      return { id, record: next.value, why };
    });
    this.#write({ ...this.#book, deliveries });
    if (why !== null) this.#options.log.warn({ delivery: id, why }, "code not delivered");
  }

  #write(book: Book): void {
    this.#book = book;
    this.#options.documents.put(documentName, book, this.#options.ports.clock.nowMs());
  }

  #nowSeconds() {
    return unixSeconds(Math.floor(this.#options.ports.clock.nowMs() / 1000));
  }
}

function viewOf({ id, record, why }: Kept): DeliveryView {
  const { issuerId, doorId, slot, channel, recipient, state, changedAt } = record;
  assert(channel !== "call-screen", "only what is sent is in the book");
  return {
    delivery: id,
    issuer: issuerId,
    door: doorId,
    validOn: localDayText(slot.localDay),
    mode: slot.mode,
    channel,
    recipient,
    status: deliveryStatus(state),
    why,
    changedAt,
  };
}

/** Numbers are the same number with and without spaces; e-mail is not told apart by case. */
function mailboxName(channel: SendChannel, recipient: string): string {
  return `${channel}/${channel === "email" ? recipient.toLowerCase() : recipient.replace(/[ ()-]/g, "")}`;
}

const recordSchema = z.object({
  issuerId: z.string(),
  doorId: z.string(),
  slot: z.object({
    localDay: z
      .number()
      .int()
      .transform((day) => day as LocalDay),
    mode: z.enum(["single-use", "all-day"]),
    slot: z.number().int(),
  }),
  channel: z.enum(["email", "phone-message"]),
  recipient: z.string(),
  recipientTag: z.string(),
  state: z.enum(["queued", "sent", "delivered", "failed"]),
  changedAt: unixTime,
});
const bookSchema = z.object({
  /** Ever sent; the number of a delivery decides its fate. */
  sent: z.number().int(),
  deliveries: z.array(
    z.object({
      id: z.string(),
      record: recordSchema,
      why: z.enum(["refused-by-recipient", "not-delivered-in-time", "lost-at-restart"]).nullable(),
    }),
  ),
});
interface Kept {
  readonly id: string;
  readonly record: DeliveryRecord;
  readonly why: FailureWhy | null;
}
interface Book {
  readonly sent: number;
  readonly deliveries: readonly Kept[];
}

const documentName = "deliveries";
const idBytes = 8;
/** A season's visitors of a busy house. */
const recordsKept = 2_000;
const messagesKept = 100;
const mailboxesKept = 500;
/** A text message is there in a moment. */
const usualDelayMs = 200;
/** A code is for today; after a quarter of an hour the visitor stands at the door without it. */
const giveUpMs = 15 * 60_000;
