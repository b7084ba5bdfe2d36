/** Asks the system whether anybody has set its clock: systemd's word for it, because Node cannot ask the kernel itself. */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import type { Clock } from "../ports/clock.ts";
import type { SystemClockState } from "./trusted-time.ts";

/** Asks until it is synchronised, and then now and then. */
export class SystemClockWatch {
  readonly #clock: Clock;
  #state: SystemClockState = "asking";
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get state(): SystemClockState {
    return this.#state;
  }

  /** Fulfilled when the system has answered for the first time, within `ASK_LIMIT_MS`; never rejected. */
  async start(): Promise<void> {
    this.#state = await askSystemClock();
    if (this.#stopped) return;
    const againMs = this.#state === "not-synchronised" ? SOON_MS : LATER_MS;
    // A question that fails is answered `unknown`, so nothing is rejected here.
    this.#cancel = this.#clock.after(againMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }
}

export async function askSystemClock(): Promise<Exclude<SystemClockState, "asking">> {
  // systemd-timesyncd touches this file at each answer of a time server.
  const byFile = await access(TIMESYNC_FILE).then(
    () => true,
    () => false,
  );
  if (byFile) return "synchronised";
  return new Promise((resolve) => {
    const options = { timeout: ASK_LIMIT_MS, maxBuffer: 4096 };
    execFile("timedatectl", ["show", "--property=NTPSynchronized", "--value"], options, (error, stdout) => {
      if (error !== null) return resolve("unknown");
      const word = stdout.trim();
      resolve(word === "yes" ? "synchronised" : word === "no" ? "not-synchronised" : "unknown");
    });
  });
}

const TIMESYNC_FILE = "/run/systemd/timesync/synchronized";
const ASK_LIMIT_MS = 2_000;
const SOON_MS = 15_000;
const LATER_MS = 10 * 60_000;
