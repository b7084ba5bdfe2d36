/** This run of the program by the machine's own uptime, which Linux counts through sleep, unlike the clock that timers go by. */
import { randomBytes } from "node:crypto";
import { uptime } from "node:os";
import type { Boot } from "../ports/boot.ts";

export function thisBoot(): Boot {
  const beganSeconds = uptime();
  return {
    id: randomBytes(16).toString("hex"),
    uptimeMs: () => Math.max(0, Math.round((uptime() - beganSeconds) * 1000)),
  };
}
