/** The broker that the site's networked devices talk to, as the gateway needs it. */
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import type { Channel, Topic } from "../../protocol/wire/topics.ts";

export interface SiteBroker {
  /** Where devices connect, on this machine or on the external broker's. */
  readonly port: number;
  /** Gives a message to the device, now if it listens; retained where the channel is. A command is given now or never. */
  publish(topic: Topic, payload: string): void;
  /** Ends the connection of a device that may no longer be here. */
  disconnect(device: DeviceId): void;
  /** Devices connected now; on an external broker those whose last word was not that they are gone. */
  connected(): readonly DeviceId[];
  /** How the link to an external broker stands; null: the broker is in this process, and sees itself who is connected. */
  linkState(): BrokerLink | null;
  /**
   * Fulfilled when the broker goes round: a message went through it, or the link's own state machine makes its steps in time. That an
   * external broker is not there is no reason to reject. Absent: nothing of it can stop by itself. SPEC G31.
   */
  beat?(): Promise<void>;
  close(): Promise<void>;
}

/** SPEC B16. */
export interface BrokerLink {
  /** Without a user or password in it. */
  readonly url: string;
  /** True: what is published comes back, so devices are heard and hear. */
  readonly connected: boolean;
  /** Since when it is as it is. */
  readonly sinceMs: UnixMs;
  /** Why the last attempt or the last link ended; null: none has. */
  readonly lastFault: string | null;
}

/** What the broker asks of the gateway. */
export interface SiteIntake {
  /** Deny by default: only networked devices of this site are let in. */
  admits(device: DeviceId): boolean;
  /** Whether this is the device's password; false for a device of which the authority gave none. */
  isPasswordOf(device: DeviceId, password: Uint8Array): boolean;
  /**
   * One message of a device on its own topic. Fulfilled when it was dealt with: an event is on disk then, and a message at fault
   * was counted and dropped. Rejected when it could not be kept: the device must not be acknowledged, and is disconnected.
   * `from`: a word out of an external broker's memory was said at some earlier time, so nobody was heard now (SPEC B14).
   */
  take(device: DeviceId, channel: IntakeChannel, payload: Uint8Array, from?: "device" | "memory"): Promise<void>;
  /** Tells a device again how far its events are in the store: its gateway was away, and it does not know. SPEC B13. */
  remind(device: DeviceId): Promise<void>;
  /** Something that is no message was refused: counted and logged with its name. */
  refuse(refusal: BrokerRefusal): void;
}

export type IntakeChannel = Extract<Channel, "birth" | "state" | "health" | "reported" | "event" | "result">;

export interface BrokerRefusal {
  readonly code:
    | "packet-too-large"
    | "bad-remaining-length"
    | "not-admitted"
    | "wrong-password"
    | "foreign-topic"
    | "foreign-subscription"
    /** More connect at once than are served in turn (SPEC B9). */
    | "too-many-connections"
    | "too-many-requests"
    | "handshake-failed"
    | "wrong-name"
    | "clock-not-trusted"
    | "certificate-unreadable"
    | "certificate-foreign"
    | "certificate-not-for-clients"
    | "certificate-without-name"
    | "certificate-not-yet-valid"
    | "certificate-expired"
    | "certificate-revoked"
    | "certificate-unknown"
    | "connection-error"
    /** From an external broker: a topic that is none of ours, more at once than one device may have, one that could not be kept. */
    | "not-a-topic"
    | "too-many-at-once"
    | "not-kept"
    /** There is no room on this machine's disk for what came. */
    | "store-full";
  /** What the peer called itself; absent before it did. */
  readonly client?: string;
  readonly detail?: string;
}

export type BrokerErrorCode = "port-in-use" | "unavailable";

/** The one class a broker throws, and only when it is opened. */
export class BrokerError extends Error {
  readonly code: BrokerErrorCode;

  constructor(code: BrokerErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = "BrokerError";
    this.code = code;
  }
}
