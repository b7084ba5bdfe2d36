/** Time as the agent needs it. The real one is made in the composition root; tests step theirs by hand. */
import type { MonotonicMs, UnixMs } from "../../protocol/base/units.ts";
import type { Timers } from "../base/deadline.ts";

export interface Clock extends Timers {
  /** Wall time; may jump either way, so it names moments for people and never orders events. */
  nowMs(): UnixMs;
  /** For ages, deadlines and round trips. */
  monotonicMs(): MonotonicMs;
}
