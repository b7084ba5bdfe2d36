/**
 * The radio as the gateway needs it: listen for a while, then visit one lock at a time.
 *
 * A radio does one thing at a time. Scanning during a connection starves both on common controllers, and two
 * connections from one controller were seen to hang; so `scan` and `connect` refuse with "busy" while either is under
 * way, and the gateway plans the visits. What breaks is thrown as RadioError; what a lock *says* is not judged here.
 */

export interface Radio {
  /**
   * Listens for `durationMs`, or until `enough` is satisfied with what was heard or `signal` is aborted, and gives each lock heard
   * in this very scan once, with its latest advertisement. A lock that the Bluetooth daemon merely remembers is not
   * among them.
   * Throws RadioError: no-bus, no-bluetooth, no-adapter, adapter-off, access-denied, busy, no-answer, closed, unexpected.
   */
  scan(options: ScanOptions): Promise<readonly Sighting[]>;

  /**
   * Connects and makes the link ready for frames in both directions. `listener` hears every frame from the first one,
   * and hears `closed` exactly once if, and only if, this promise was fulfilled.
   * Throws RadioError, after the half-made connection was taken down again.
   */
  connect(address: string, listener: LinkListener, deadlines?: ConnectDeadlines): Promise<RadioLink>;

  /** Ends what is under way (its callers see "closed") and refuses everything afterwards. */
  close(): Promise<void>;
}

export interface ScanOptions {
  readonly durationMs: number;
  readonly signal?: AbortSignal;
  /** Asked each time the radio has looked; true ends the scan early. */
  readonly enough?: (sightings: readonly Sighting[]) => boolean;
}

export interface Sighting {
  /** Bluetooth address as BlueZ writes it: upper-case hex pairs with colons. */
  readonly address: string;
  readonly name: string | undefined;
  /** Received signal strength in dBm. */
  readonly rssi: number;
  /** The service data as it was on the air: not yet read, any length, not trusted. */
  readonly advertisement: Uint8Array;
}

export interface LinkListener {
  /** One notification, whole; order is not kept by every Bluetooth daemon, and any bytes may come. */
  frame(bytes: Uint8Array): void;
  closed(end: LinkEnd): void;
}

export interface LinkEnd {
  /** `closed-here`: close() was called. `link-lost`: the lock closed the link or left; BlueZ does not tell which. */
  readonly reason: "closed-here" | "link-lost" | "radio-failed";
  /** What failed when the reason is radio-failed. */
  readonly error?: RadioError;
}

export interface RadioLink {
  readonly address: string;
  /**
   * Hands one frame of 1 to 244 bytes to the radio. Fulfilled means "taken by the Bluetooth daemon", not "arrived".
   * Frames are taken in the order of the calls, a few at a time; the rest wait.
   * Throws RadioError: link-lost, no-answer, no-bus, no-bluetooth, closed. Another length is our own mistake: an assertion.
   */
  send(frame: Uint8Array): Promise<void>;
  /**
   * Ends the link and gives everything back. Fulfilled when the radio is free for the next visit; never throws.
   * `waitForPeerMs`: how long to let the lock close first, because a disconnect of our own costs BlueZ 2 seconds.
   */
  close(options?: { readonly waitForPeerMs?: number }): Promise<void>;
}

export interface ConnectDeadlines {
  /** For hearing a lock that the Bluetooth daemon has forgotten. */
  readonly findMs: number;
  readonly connectMs: number;
  /** From connected until the lock's service can be used. */
  readonly servicesMs: number;
  /** For every other single call. */
  readonly callMs: number;
  readonly disconnectMs: number;
}

/** An absent lock costs BlueZ 40.5 s and a disconnect 2 s: the first is cut at 10 s, the second is let happen. */
export const DEFAULT_CONNECT_DEADLINES: ConnectDeadlines = {
  findMs: 10_000,
  connectMs: 10_000,
  servicesMs: 10_000,
  callMs: 5_000,
  disconnectMs: 5_000,
};

export type RadioErrorCode =
  /** The D-Bus socket is not there, or the connection to it ended. */
  | "no-bus"
  /** Nobody owns org.bluez: bluetoothd does not run, or died. */
  | "no-bluetooth"
  | "no-adapter"
  | "adapter-off"
  /** The bus policy does not let this user talk to BlueZ. */
  | "access-denied"
  /** Another scan or visit is under way, here or in BlueZ. */
  | "busy"
  | "not-found"
  | "connect-timeout"
  | "connect-failed"
  | "services-timeout"
  /** Connected, but our service or one of its characteristics is not there. */
  | "wrong-services"
  /** The link's MTU cannot carry the longest frame, which would be lost in silence. */
  | "mtu-too-small"
  | "link-lost"
  /** A call got no answer in its time. */
  | "no-answer"
  /** close() of the radio came first. */
  | "closed"
  | "unexpected";

/** The one class a radio throws. `operation` names the step; `cause` is what the library threw, for the log. */
export class RadioError extends Error {
  readonly code: RadioErrorCode;
  readonly operation: string;

  constructor(code: RadioErrorCode, operation: string, options: { readonly cause?: unknown } = {}) {
    super(`radio: ${code} during ${operation}`, options);
    this.name = "RadioError";
    this.code = code;
    this.operation = operation;
  }
}
