/**
 * A D-Bus of our own: a `dbus-daemon` with its configuration and socket in a directory given by the caller, on which
 * the emulated BlueZ owns `org.bluez`. Limits are those of a system bus, so that a leak shows here as it would there.
 *
 * The daemon ends with the process that started it, also when that one is killed: a shell keeps the other end of a
 * pipe and ends the daemon when the pipe closes, then gives its place to the daemon (so the child's pid is the daemon's).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { WorldClock } from "../world/clock.ts";

export interface PrivateBusOptions {
  /** Absolute; made when it is not there. Holds `bus.conf` and `bus.sock` while the bus runs. */
  readonly directory: string;
  readonly clock: WorldClock;
  /** How long the daemon may take until it listens. */
  readonly startLimitMs?: number;
  /** Where executables are looked for; the PATH of the process and Debian's places when absent. */
  readonly searchPath?: string;
  /** For one connection to the bus; those of a system bus when absent. */
  readonly limits?: BusLimits;
}

export interface BusLimits {
  readonly matchRules: number;
  /** Calls that wait for their answer. */
  readonly replies: number;
}

/** What Debian's system bus allows one connection. */
export const SYSTEM_BUS_LIMITS: BusLimits = { matchRules: 512, replies: 128 };

export type PrivateBusFault =
  | { readonly code: "no-dbus-daemon"; readonly searched: string; readonly remedy: string }
  | { readonly code: "directory-not-absolute"; readonly actual: string }
  | { readonly code: "path-not-plain"; readonly expected: string; readonly actual: string }
  | { readonly code: "socket-path-too-long"; readonly limitBytes: number; readonly actualBytes: number }
  | { readonly code: "directory-not-writable"; readonly directory: string; readonly systemCode: string }
  | { readonly code: "bus-not-started"; readonly exitCode: number | null; readonly output: string }
  | { readonly code: "bus-start-timeout"; readonly limitMs: number; readonly output: string };

export interface PrivateBus {
  /** `unix:path=...`, for DBUS_SYSTEM_BUS_ADDRESS. */
  readonly address: string;
  /** Of the daemon itself. */
  readonly pid: number;
  /** Fulfilled when the daemon has ended, however it came to it. */
  readonly ended: Promise<void>;
  /** Ends the daemon as a power cut would. */
  crash(): void;
  /** Ends the daemon and removes its files; fulfilled when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts the daemon and waits until it listens.
 * Faults: no-dbus-daemon (with the way out), directory-not-absolute, path-not-plain, socket-path-too-long,
 * directory-not-writable, bus-not-started (it ended by itself; `output` is what it said), bus-start-timeout.
 */
export async function startPrivateBus(options: PrivateBusOptions): Promise<Result<PrivateBus, PrivateBusFault>> {
  const { directory } = options;
  const checked = checkDirectory(directory);
  if (!checked.ok) return checked;
  const executable = await findExecutable(options.searchPath);
  if (!executable.ok) return executable;
  const socketPath = join(directory, SOCKET_NAME);
  const configurationPath = join(directory, CONFIGURATION_NAME);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await rm(socketPath, { force: true });
    await writeFile(configurationPath, configurationOf(socketPath, options.limits ?? SYSTEM_BUS_LIMITS));
  } catch (error) {
    return failed({ code: "directory-not-writable", directory, systemCode: systemCodeOf(error) });
  }
  return launch(executable.value, configurationPath, socketPath, options);
}

async function launch(
  executable: string,
  configurationPath: string,
  socketPath: string,
  options: PrivateBusOptions,
): Promise<Result<PrivateBus, PrivateBusFault>> {
  const { clock, startLimitMs = START_LIMIT_MS } = options;
  const child = spawn("/bin/sh", ["-c", LAUNCHER, "sh", executable, configurationPath], {
    stdio: ["pipe", "pipe", "pipe"],
    // In its own group, so that a Ctrl-C at the terminal lets the emulator say goodbye to its peers first.
    detached: true,
  });
  let output = "";
  child.stderr.on("data", (chunk) => {
    output = (output + String(chunk)).slice(-OUTPUT_LIMIT_CHARACTERS);
  });
  const ended = endOf(child);
  const address = `unix:path=${socketPath}`;
  const outcome = await new Promise<"listening" | "ended" | "late">((resolve) => {
    const cancel = clock.after(startLimitMs, () => resolve("late"));
    // --print-address writes one line when the daemon listens.
    child.stdout.once("data", () => resolve("listening"));
    void ended.then(() => resolve("ended"));
    void ended.then(cancel);
    child.stdout.once("data", cancel);
  });
  const pid = child.pid;
  if (outcome === "listening" && pid !== undefined) {
    const stop = async (): Promise<void> => {
      child.kill("SIGTERM");
      await endOrKill(child, ended, clock);
      await Promise.all([socketPath, configurationPath].map((path) => rm(path, { force: true })));
    };
    return ok({ address, pid, ended, stop, crash: () => child.kill("SIGKILL") });
  }
  child.kill("SIGKILL");
  return outcome === "late"
    ? failed({ code: "bus-start-timeout", limitMs: startLimitMs, output })
    : failed({ code: "bus-not-started", exitCode: child.exitCode, output });
}

/** Fulfilled at the end of the child; then its watcher is told that nothing is left to be ended. */
function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      child.stdin?.end("ended\n");
      resolve();
    };
    child.stdin?.on("error", () => resolve());
    child.once("exit", finish);
    child.once("error", finish);
  });
}

async function endOrKill(child: ChildProcess, ended: Promise<void>, clock: WorldClock): Promise<void> {
  const cancel = clock.after(STOP_LIMIT_MS, () => child.kill("SIGKILL"));
  await ended;
  cancel();
}

function checkDirectory(directory: string): Result<void, PrivateBusFault> {
  if (!directory.startsWith("/")) return failed({ code: "directory-not-absolute", actual: directory });
  // D-Bus addresses escape other characters with %, which the client library does not undo.
  if (!/^[A-Za-z0-9_./-]+$/.test(directory)) {
    return failed({ code: "path-not-plain", expected: "letters, digits and _ . / -", actual: directory });
  }
  const actualBytes = join(directory, SOCKET_NAME).length;
  if (actualBytes > SOCKET_PATH_LIMIT_BYTES) {
    return failed({ code: "socket-path-too-long", limitBytes: SOCKET_PATH_LIMIT_BYTES, actualBytes });
  }
  return ok(undefined);
}

async function findExecutable(searchPath: string | undefined): Promise<Result<string, PrivateBusFault>> {
  const searched = searchPath ?? [process.env["PATH"] ?? "", "/usr/bin", "/bin"].join(delimiter);
  for (const directory of searched.split(delimiter)) {
    if (directory === "") continue;
    const path = join(directory, "dbus-daemon");
    if (await isExecutable(path)) return ok(path);
  }
  return failed({ code: "no-dbus-daemon", searched, remedy: "apt-get install dbus-daemon" });
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function systemCodeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

function configurationOf(socketPath: string, limits: BusLimits): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <keep_umask/>
  <listen>unix:path=${socketPath}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="*" eavesdrop="false"/>
  </policy>
  <limit name="max_match_rules_per_connection">${limits.matchRules}</limit>
  <limit name="max_replies_per_connection">${limits.replies}</limit>
</busconfig>
`;
}

const SOCKET_NAME = "bus.sock";
const CONFIGURATION_NAME = "bus.conf";
/** Linux: sun_path holds 108 bytes with the closing zero. */
const SOCKET_PATH_LIMIT_BYTES = 107;
const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 3_000;
const OUTPUT_LIMIT_CHARACTERS = 2_000;

/**
 * `read` fails when the pipe closes without a line: then whoever started us is gone, and the daemon ($$ by then) is ended.
 * A line says that the daemon ended first, so that its number, which may be somebody else's by then, is left alone.
 */
const LAUNCHER = `
exec 3<&0 </dev/null
(read -r line <&3 || kill "$$") >/dev/null 2>&1 &
exec 3<&-
exec "$1" --config-file="$2" --nofork --nopidfile --print-address=1
`;
