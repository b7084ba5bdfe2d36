/** An external broker in memory: lets a gateway in or not, keeps or forgets, delivers or swallows, as a test wants it. */
import {
  type BrokerConnection,
  BrokerLinkError,
  type BrokerListener,
  type BrokerTransport,
} from "../../agent/ports/broker-transport.ts";
import { utf8 } from "../../protocol/base/bytes.ts";

export interface SaidToBroker {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

export class MemorySiteBroker implements BrokerTransport {
  readonly url = "mqtts://broker.example:8883";
  readonly port = 8883;
  /** Everything that was published, over all connections. */
  readonly said: SaidToBroker[] = [];
  /** How often somebody connected. */
  attempts = 0;
  /** What connecting ends with instead of a connection. */
  refusal: BrokerLinkError | undefined;
  /** Pending: whoever connects now waits for it. */
  opening: Promise<void> | undefined;
  /** Connections that were closed and never used. */
  closedLate = 0;
  grantsSubscriptions = true;
  /** False: PUBLISH is never acknowledged. */
  acknowledges = true;
  /** False: what was subscribed to is not delivered, though everything is acknowledged. */
  delivers = true;
  /** What it gives back by that it holds back what would come next. */
  held: Promise<void> | undefined;
  readonly #retained = new Map<string, string>();
  readonly #unanswered: (() => void)[] = [];
  #listener: BrokerListener | undefined;
  #will: { readonly topic: string; readonly payload: string } | undefined;

  get linked(): boolean {
    return this.#listener !== undefined;
  }

  get will(): { readonly topic: string; readonly payload: string } | undefined {
    return this.#will;
  }

  async connect(
    listener: BrokerListener,
    will: { readonly topic: string; readonly payload: string },
  ): Promise<BrokerConnection> {
    this.attempts += 1;
    if (this.refusal !== undefined) throw this.refusal;
    const isLate = this.opening !== undefined;
    await this.opening;
    if (!isLate) this.#listener = listener;
    this.#will = will;
    const check = (): void => {
      if (this.#listener !== listener) throw new BrokerLinkError("closed", "not connected");
    };
    return {
      publish: async (topic, payload, { qos, retain }) => {
        check();
        this.said.push({ topic, payload, qos, retain });
        if (retain) this.#keep(topic, payload);
        if (!this.acknowledges && qos === 1) {
          await new Promise<void>((resolve) => this.#unanswered.push(resolve));
        }
        if (this.delivers && topic.endsWith("/state")) this.say(topic, payload);
      },
      subscribe: async () => {
        check();
        if (!this.grantsSubscriptions) throw new BrokerLinkError("refused", "the broker refuses a subscription");
        for (const [topic, payload] of this.#retained) this.say(topic, payload, { retained: true });
      },
      close: async () => {
        if (isLate) this.closedLate += 1;
        if (this.#listener === listener) this.#listener = undefined;
      },
    };
  }

  /** Gives the gateway a message; what comes back is pending while it wants no more. */
  say(topic: string, message: object | string | Uint8Array, options: { readonly retained?: boolean } = {}): void {
    const payload =
      message instanceof Uint8Array ? message : utf8(typeof message === "string" ? message : JSON.stringify(message));
    this.held = this.#listener?.message({ topic, payload, retained: options.retained ?? false });
  }

  /** In its memory, to be given to who subscribes. */
  remember(topic: string, message: object): void {
    this.#keep(topic, JSON.stringify(message));
  }

  /** Answers everything that it has not yet. */
  acknowledge(): void {
    for (const resolve of this.#unanswered.splice(0)) resolve();
  }

  /** The connection ends; `forget`: what it kept is gone as well. */
  cut(options: { readonly forget?: boolean } = {}): void {
    if (options.forget === true) this.#retained.clear();
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.closed("the line was cut");
  }

  saidOn(topicEnd: string): readonly string[] {
    return this.said.filter(({ topic }) => topic.endsWith(topicEnd)).map(({ payload }) => payload);
  }

  #keep(topic: string, payload: string): void {
    if (payload === "") this.#retained.delete(topic);
    else this.#retained.set(topic, payload);
  }
}
