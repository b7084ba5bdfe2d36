/** The authority's broker in memory: a link that a test takes down and up, everything that was published on it, and a voice back. */
import {
  type UpstreamConnection,
  UpstreamError,
  type UpstreamListener,
  type UpstreamTransport,
} from "../../agent/ports/upstream.ts";
import { utf8 } from "../../protocol/base/bytes.ts";

export interface Published {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

export class MemoryUpstream implements UpstreamTransport {
  /** Whether a connection can be made; taking it away cuts the one there is. */
  #up: boolean;
  #listener: UpstreamListener | undefined;
  readonly published: Published[] = [];
  subscribed: readonly string[] = [];
  attempts = 0;
  /** False: a published message is never acknowledged, as on a link that went dead without a word. */
  acknowledges = true;
  /** Hears each published message, to answer it. */
  onPublish: (message: Published) => void = () => undefined;

  constructor(options: { readonly up: boolean }) {
    this.#up = options.up;
  }

  async connect(listener: UpstreamListener): Promise<UpstreamConnection> {
    this.attempts += 1;
    if (!this.#up) throw new UpstreamError("unreachable", "the link is down");
    this.#listener = listener;
    const isCurrent = (): boolean => this.#listener === listener;
    return {
      publish: async (topic, payload, { retain }) => {
        if (!isCurrent()) throw new UpstreamError("closed", "not connected");
        this.published.push({ topic, payload, retain });
        if (!this.acknowledges) return new Promise(() => undefined);
        this.onPublish({ topic, payload, retain });
      },
      subscribe: async (filters) => {
        if (!isCurrent()) throw new UpstreamError("closed", "not connected");
        this.subscribed = filters;
      },
      close: async () => {
        if (isCurrent()) this.#cut("closed here");
      },
    };
  }

  get connected(): boolean {
    return this.#listener !== undefined;
  }

  setLink(up: boolean): void {
    this.#up = up;
    if (!up) this.#cut("the link is cut");
  }

  say(topic: string, message: object | string): void {
    const payload = typeof message === "string" ? message : JSON.stringify(message);
    this.#listener?.message(topic, utf8(payload));
  }

  /** Any bytes on any topic, as a broker may bring them. */
  sayBytes(topic: string, payload: Uint8Array): void {
    this.#listener?.message(topic, payload);
  }

  /** Messages of topics that end so, parsed. */
  messages(topicEnd: string): readonly Record<string, unknown>[] {
    return this.published.filter(({ topic }) => topic.endsWith(topicEnd)).map(({ payload }) => JSON.parse(payload));
  }

  latest(topicEnd: string): Record<string, unknown> | undefined {
    return this.messages(topicEnd).at(-1);
  }

  #cut(reason: string): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.closed(reason);
  }
}
