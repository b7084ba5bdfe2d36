/** A connection to an external broker as the agent needs it: one that may be gone at any time, and whose word proves nothing. */

export interface BrokerTransport {
  /** Where, without a user or password. */
  readonly url: string;
  readonly port: number;
  /** Connects once. `will` is said by the broker, retained, when the connection is gone without a word. Throws BrokerLinkError: unreachable, refused. */
  connect(
    listener: BrokerListener,
    will: { readonly topic: string; readonly payload: string },
  ): Promise<BrokerConnection>;
}

export interface BrokerListener {
  /** While what it gives back is pending nothing more is read from the broker. */
  message(message: BrokerMessage): Promise<void> | undefined;
  /** Heard once, and only if `connect` was fulfilled. */
  closed(reason: string): void;
}

export interface BrokerMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Out of the broker's memory, because of a subscription. */
  readonly retained: boolean;
}

export interface BrokerConnection {
  /** At QoS 1 fulfilled with the PUBACK, which says that the broker took it and nothing else. Throws BrokerLinkError. */
  publish(topic: string, payload: string, options: { readonly qos: 0 | 1; readonly retain: boolean }): Promise<void>;
  /** Throws BrokerLinkError: refused when the broker grants one of them not. */
  subscribe(filters: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export type BrokerLinkErrorCode =
  | "unreachable"
  | "refused"
  | "timeout"
  | "closed"
  /** It took a message and did not give it back to its subscriber. */
  | "no-echo";

/** The one class a transport throws. */
export class BrokerLinkError extends Error {
  readonly code: BrokerLinkErrorCode;

  constructor(code: BrokerLinkErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = "BrokerLinkError";
    this.code = code;
  }
}
