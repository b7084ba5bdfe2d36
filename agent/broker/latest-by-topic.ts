/**
 * What goes out to an external broker: of each topic one message under way and the latest one behind it, so that a broker that is slow
 * is owed as many messages as there are topics and no more. Lives as long as one link. SPEC B15.
 */

export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

export class LatestByTopic {
  readonly #send: (message: OutgoingMessage) => Promise<void>;
  readonly #window: number;
  readonly #waitingByTopic = new Map<string, OutgoingMessage>();
  readonly #underWay = new Set<string>();

  /** `send` is fulfilled when the broker has taken it; when it is rejected the link is over, and with it this. */
  constructor(send: (message: OutgoingMessage) => Promise<void>, window: number) {
    this.#send = send;
    this.#window = window;
  }

  put(message: OutgoingMessage): void {
    this.#waitingByTopic.set(message.topic, message);
    this.#pump();
  }

  #pump(): void {
    for (const message of this.#waitingByTopic.values()) {
      if (this.#underWay.size >= this.#window) return;
      if (this.#underWay.has(message.topic)) continue;
      this.#waitingByTopic.delete(message.topic);
      this.#underWay.add(message.topic);
      this.#send(message).then(
        () => {
          this.#underWay.delete(message.topic);
          this.#pump();
        },
        // What was not taken is said again on the next link, or comes again by itself.
        () => undefined,
      );
    }
  }
}
