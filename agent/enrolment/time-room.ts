/**
 * Trusted time for `doorlink run`. Where nothing that the configuration asks for judges a certificate (no `broker.tls`, no
 * `upstream.caFile`), the system is not asked either.
 */
import type { Config } from "../config.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import { SystemClockWatch } from "./system-clock.ts";
import { type KnownTime, TrustedTime } from "./trusted-time.ts";

export interface TimeRoom {
  readonly trusted: TrustedTime;
  readonly now: () => KnownTime;
  /** Whether anything here depends on it. */
  readonly isAsked: boolean;
  readonly close: () => void;
}

export interface TimeRoomOptions {
  readonly config: Config;
  readonly store: Store;
  readonly clock: Clock;
  readonly onFatal: (error: unknown) => void;
}

export async function openTimeRoom({ config, store, clock, onFatal }: TimeRoomOptions): Promise<TimeRoom> {
  const isAsked = config.broker.tls !== undefined || config.upstream.caFile !== undefined;
  const watch = new SystemClockWatch(clock);
  const systemClock = (): SystemClockWatch["state"] => (isAsked ? watch.state : "unknown");
  const trusted = new TrustedTime({ clock, store, gateway: config.gateway, systemClock });
  const room = { trusted, isAsked, now: () => trusted.now() };
  if (!isAsked) return { ...room, close: () => undefined };
  await trusted.load();
  // Before anybody looks at the time, who would else come too early for a machine whose clock is right.
  await watch.start();
  await trusted.start(onFatal);
  return {
    ...room,
    close: () => {
      watch.stop();
      trusted.stop();
    },
  };
}
