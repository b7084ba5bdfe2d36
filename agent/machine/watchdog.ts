/**
 * What systemd is told: ready, alive, stopping. Alive only while the event loop runs this very code and every vital part beats; whoever
 * does not is named in the log and in `systemctl status`, and systemd ends the process when its time is up. SPEC G31.
 *
 * Node has no datagram sockets of the unix kind, so `systemd-notify` carries the word: one short process for each, which is
 * why the unit says NotifyAccess=all. sd_notify(3), sd_watchdog_enabled(3), systemd-notify(1).
 */
import { execFile } from "node:child_process";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Vital } from "./vitals.ts";

/** Says these assignments to the service manager, such as `READY=1`. False: it could not be said. */
export type Notify = (assignments: readonly string[]) => Promise<boolean>;

export interface ServiceManager {
  readonly notify: Notify;
  /** How often at least it wants to hear from us; null: it does not watch. */
  readonly watchdogMs: number | null;
}

/** Who started this process, by its environment; undefined: nobody who wants to be told. */
export function serviceManagerOf(environment: NodeJS.ProcessEnv, pid: number): ServiceManager | undefined {
  const socket = environment["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return undefined;
  const microseconds = Number(environment["WATCHDOG_USEC"]);
  const watchedPid = environment["WATCHDOG_PID"];
  const isMeant = watchedPid === undefined || watchedPid === String(pid);
  const isWatched = isMeant && Number.isSafeInteger(microseconds) && microseconds >= LEAST_WATCHDOG_MS * 1000;
  return {
    notify: (assignments) => runNotify(socket, environment["PATH"] ?? DEFAULT_PATH, assignments),
    watchdogMs: isWatched ? microseconds / 1000 : null,
  };
}

export interface WatchdogOptions {
  readonly manager: ServiceManager;
  readonly check: () => Promise<readonly Vital[]>;
  /** One line for `systemctl status`. */
  readonly status: () => string;
  readonly clock: Clock;
  readonly log: Log;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  #cancel: () => void = () => undefined;
  #stopped = false;
  #saidFailing = "";
  #couldSay = true;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** Says that the service is ready, and from then on that it lives, twice as often as is asked. */
  async start(): Promise<void> {
    await this.#say(["READY=1"]);
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#say(["STOPPING=1"]);
  }

  #schedule(): void {
    const { clock, manager } = this.#options;
    if (this.#stopped || manager.watchdogMs === null) return;
    this.#cancel = clock.after(manager.watchdogMs / 2, () => {
      this.#beat().finally(() => this.#schedule());
    });
  }

  async #beat(): Promise<void> {
    const { check, log, status } = this.#options;
    const silent = (await check()).filter(({ beats }) => !beats);
    if (this.#stopped) return;
    const failing = silent.map(({ part, why }) => `${part}: ${why}`).join("; ");
    if (failing !== "" && failing !== this.#saidFailing) {
      log.error({ parts: silent.map(({ part }) => part).join(" "), fault: failing }, "the watchdog is not fed");
    }
    this.#saidFailing = failing;
    const line = failing === "" ? status() : `not fed: ${failing}`;
    await this.#say([...(failing === "" ? ["WATCHDOG=1"] : []), `STATUS=${line.replaceAll("\n", " ")}`]);
  }

  async #say(assignments: readonly string[]): Promise<void> {
    const said = await this.#options.manager.notify(assignments);
    if (!said && this.#couldSay)
      this.#options.log.warn({}, "systemd could not be told: systemd-notify is missing or failed");
    this.#couldSay = said;
  }
}

function runNotify(socket: string, path: string, assignments: readonly string[]): Promise<boolean> {
  const env = { NOTIFY_SOCKET: socket, PATH: path };
  return new Promise((resolve) => {
    execFile(
      "systemd-notify",
      ["--", ...assignments],
      { env, timeout: NOTIFY_LIMIT_MS, killSignal: "SIGKILL" },
      (error) => resolve(error === null),
    );
  });
}

const DEFAULT_PATH = "/usr/bin:/bin";
/** It waits up to 5 s by itself for the manager to have read its word. */
const NOTIFY_LIMIT_MS = 7_000;
/** More often than this would be a mistake in the unit. */
const LEAST_WATCHDOG_MS = 200;
