/** The link to the site's authority as the agent needs it: an MQTT connection that may be gone at any time. */
export interface UpstreamTransport {
  /** Connects once. Throws UpstreamError: unreachable, refused. */
  connect(listener: UpstreamListener): Promise<UpstreamConnection>;
}

export interface UpstreamListener {
  message(topic: string, payload: Uint8Array): void;
  /** Heard once, and only if `connect` was fulfilled. */
  closed(reason: string): void;
}

export interface UpstreamConnection {
  /** Where it goes, where there are several ways. */
  readonly url?: string;
  /** Fulfilled with the broker's PUBACK, which says that the broker took it and nothing about a disk. Throws UpstreamError. */
  publish(topic: string, payload: string, options: { readonly retain: boolean }): Promise<void>;
  /** Throws UpstreamError. */
  subscribe(filters: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export type UpstreamErrorCode = "unreachable" | "refused" | "timeout" | "closed";

/** The one class a transport throws. */
export class UpstreamError extends Error {
  readonly code: UpstreamErrorCode;

  constructor(code: UpstreamErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(`upstream: ${message}`, options);
    this.name = "UpstreamError";
    this.code = code;
  }
}
