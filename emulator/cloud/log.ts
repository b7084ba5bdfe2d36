/** The cloud's log: JSON lines on stderr. No route is logged with its parameters: tokens and calls stand in them. */
import { destination, type Logger, pino } from "pino";

export type CloudLog = Pick<Logger, "debug" | "info" | "warn" | "error">;

export function createCloudLog(level: "debug" | "info" | "silent" = "info"): Logger {
  return pino({ name: "cloud", level }, destination({ dest: 2, sync: true }));
}
