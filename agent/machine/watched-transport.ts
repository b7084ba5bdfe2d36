/**
 * The upstream transport, watched: from outside one sees whether the state machine behind it goes round. Without a link it must try again
 * within its back-off; with one it must say something at least as often as the gateway announces itself. That nothing upstream
 * answers is fine; that nobody asks any more is not. SPEC G31.
 */
import type { Clock } from "../ports/clock.ts";
import type { UpstreamConnection, UpstreamListener, UpstreamTransport } from "../ports/upstream.ts";

export interface WatchedTransport {
  readonly transport: UpstreamTransport;
  /** Rejected when the next step is overdue. */
  beat(): Promise<void>;
}

export interface WatchRules {
  /** The longest wait between two tries. */
  readonly backoffCapMs: () => number;
  /** How often the gateway says something while it is linked. */
  readonly announceMs: () => number;
}

export function watchTransport(inner: UpstreamTransport, rules: WatchRules, clock: Clock): WatchedTransport {
  let step = "start";
  let dueMs = clock.monotonicMs() + START_MS;
  const expect = (next: string, withinMs: number): void => {
    step = next;
    dueMs = clock.monotonicMs() + withinMs + GRACE_MS;
  };
  const again = (): void => expect("connect", rules.backoffCapMs());
  const speak = (): void => expect("publish", 2 * rules.announceMs());
  const watched = (connection: UpstreamConnection): UpstreamConnection => ({
    ...connection,
    publish: (topic, payload, options) => {
      speak();
      return connection.publish(topic, payload, options);
    },
    subscribe: (filters) => {
      speak();
      return connection.subscribe(filters);
    },
    close: () => {
      again();
      return connection.close();
    },
  });
  return {
    transport: {
      connect: async (listener) => {
        expect("connect", CONNECT_MS);
        try {
          const connection = await inner.connect(relay(listener, again));
          speak();
          return watched(connection);
        } catch (error) {
          again();
          throw error;
        }
      },
    },
    beat: async () => {
      const lateMs = Math.floor(clock.monotonicMs() - dueMs);
      if (lateMs > 0) throw new Error(`${step} is overdue by ${Math.ceil(lateMs / 1000)} s`);
    },
  };
}

function relay(listener: UpstreamListener, closed: () => void): UpstreamListener {
  return {
    message: (topic, payload) => listener.message(topic, payload),
    closed: (reason) => {
      closed();
      listener.closed(reason);
    },
  };
}

const START_MS = 30_000;
/** The machine gives up a connection after 10 s, and a list of brokers one after the other. */
const CONNECT_MS = 60_000;
/** Closing, greeting and a PUBACK that does not come have deadlines of their own below this. */
const GRACE_MS = 30_000;
