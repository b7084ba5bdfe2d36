/**
 * The record of a doorcode that was handed to somebody (SPEC C11; rows 80-82): who issued it, for which door and day, to whom, by
 * which way, and whether it arrived. The code is not in it, and the recipient only so far as the issuer can recognise them.
 */
import { bytesToHex, utf8 } from "../base/bytes.ts";
import { failed, ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { hmacSha256 } from "../crypto.ts";
import type { DailySlot } from "./daily-code.ts";

export type DeliveryChannel = "email" | "phone-message" | "call-screen";
export type DeliveryState = "queued" | "sent" | "delivered" | "failed";

export interface DeliveryRecord {
  readonly issuerId: string;
  readonly doorId: string;
  readonly slot: DailySlot;
  readonly channel: DeliveryChannel;
  /** `m***@example.org`, `***42`; whoever was on the call screen has no address. */
  readonly recipient: string;
  /** The same recipient has the same tag, under a key of the authority; nobody else can tell who it is. */
  readonly recipientTag: string;
  readonly state: DeliveryState;
  readonly changedAt: UnixSeconds;
}

export type DeliveryFault =
  | { readonly code: "not-an-address"; readonly channel: DeliveryChannel; readonly length: number }
  | { readonly code: "state-not-next"; readonly from: DeliveryState; readonly to: DeliveryState };

/** A new record, queued. The recipient need not be anybody the site knows. Faults: not-an-address. */
export function openDelivery(
  request: {
    readonly issuerId: string;
    readonly doorId: string;
    readonly slot: DailySlot;
    readonly channel: DeliveryChannel;
    readonly recipient: string;
  },
  auditKey: Uint8Array,
  now: UnixSeconds,
): Result<DeliveryRecord, DeliveryFault> {
  const { channel, recipient, slot, issuerId, doorId } = request;
  if (!isRecipient(channel, recipient)) {
    return failed({ code: "not-an-address", channel, length: recipient.length });
  }
  const { localDay, mode } = slot;
  const tag = hmacSha256(auditKey, utf8(`doorlink/1/recipient/${recipient.toLowerCase()}`));
  return ok({
    issuerId,
    doorId,
    // Taken apart, so that an allotment given here leaves its code behind.
    slot: { localDay, mode, slot: slot.slot },
    channel,
    recipient: redacted(channel, recipient),
    recipientTag: bytesToHex(tag.slice(0, 8)),
    state: "queued",
    changedAt: now,
  });
}

/** Whether a message could go there; asked before a slot is given out, so that a slip of the finger uses up none. */
export function isRecipient(channel: DeliveryChannel, recipient: string): boolean {
  return addressPattern[channel].test(recipient) && recipient.length <= recipientCharactersMax;
}

/** What whoever sent a code needs to know of it. */
export type DeliveryStatus = "pending" | "delivered" | "bounced";

export function deliveryStatus(state: DeliveryState): DeliveryStatus {
  if (state === "delivered") return "delivered";
  return state === "failed" ? "bounced" : "pending";
}

/** Moves on: queued -> sent -> delivered; to failed from both. Faults: state-not-next. */
export function advanceDelivery(
  record: DeliveryRecord,
  to: DeliveryState,
  now: UnixSeconds,
): Result<DeliveryRecord, DeliveryFault> {
  if (!nextStates[record.state].includes(to)) return failed({ code: "state-not-next", from: record.state, to });
  return ok({ ...record, state: to, changedAt: now });
}

function redacted(channel: DeliveryChannel, recipient: string): string {
  if (channel === "call-screen") return "at the door";
  if (channel === "phone-message") return `***${recipient.slice(-2)}`;
  const at = recipient.lastIndexOf("@");
  return `${recipient.slice(0, 1)}***${recipient.slice(at)}`;
}

const nextStates: Readonly<Record<DeliveryState, readonly DeliveryState[]>> = {
  queued: ["sent", "failed"],
  sent: ["delivered", "failed"],
  delivered: [],
  failed: [],
};
const addressPattern: Readonly<Record<DeliveryChannel, RegExp>> = {
  email: /^[^\s@]+@[^\s@]+\.[^\s@]+$/,
  "phone-message": /^\+?[0-9][0-9 ()-]{4,30}$/,
  "call-screen": /^$/,
};
const recipientCharactersMax = 254;
