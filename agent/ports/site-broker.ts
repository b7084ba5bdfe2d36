/** The broker that the site's networked devices talk to, as the gateway needs it. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { Channel, Topic } from "../../protocol/wire/topics.ts";

export interface SiteBroker {
  readonly port: number;
  /** Gives a message to the device, now if it listens; retained where the channel is. A command is given now or never. */
  publish(topic: Topic, payload: string): void;
  /** Ends the connection of a device that may no longer be here. */
  disconnect(device: DeviceId): void;
  /** Devices connected now. */
  connected(): readonly DeviceId[];
  close(): Promise<void>;
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
   */
  take(device: DeviceId, channel: IntakeChannel, payload: Uint8Array): Promise<void>;
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
    | "connection-error";
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
