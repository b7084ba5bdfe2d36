/** Whether messages still go through the embedded broker: one of our own, in and out again. SPEC G31. */
import type { Aedes } from "aedes";

/**
 * Fulfilled when a message that was published here has come back. Never settled while the broker routes nothing: the caller has a deadline.
 * No device may subscribe to the topic, and publishing it ends a device's connection like any foreign topic (SPEC B2).
 */
export function createAedesBeat(aedes: Aedes): () => Promise<void> {
  let subscribed: Promise<void> | undefined;
  let heard: () => void = () => undefined;
  const subscribe = (): Promise<void> =>
    new Promise((resolve) => {
      const deliver = (_packet: unknown, done: () => void): void => {
        heard();
        done();
      };
      aedes.subscribe(BEAT_TOPIC, deliver, () => resolve());
    });
  return async () => {
    subscribed ??= subscribe();
    await subscribed;
    const returned = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const packet = {
      cmd: "publish" as const,
      topic: BEAT_TOPIC,
      payload: "",
      qos: 0 as const,
      retain: false,
      dup: false,
    };
    aedes.publish(packet, () => undefined);
    await returned;
  };
}

const BEAT_TOPIC = "beat";
