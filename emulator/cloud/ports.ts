/** What the emulated cloud needs from outside: time and randomness. Tests step the one and repeat the other. */
import type { WorldClock } from "../world/clock.ts";

export interface CloudPorts {
  readonly clock: WorldClock;
  /** Fresh random bytes: call ids, bearer tokens, pairing ids. */
  readonly random: (length: number) => Uint8Array;
}
