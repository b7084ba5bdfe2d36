/**
 * `doorlink-emulator lock --adapter hci0`: one emulated lock on a real radio, for a bench. Reads the command line, says every mistake at
 * once, prints JSON lines, and takes an engineer's hand at the lock as lines on standard input (`radio/README.md` lists them).
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../protocol/base/units.ts";
import { type DeviceModel, modelByName, modelNames } from "../protocol/firmware/models.ts";
import type { BenchLockFault, BenchLockSettings } from "./bench-lock.ts";

export function registerLockCommand(program: Command, setExitCode: (code: number) => void): void {
  program
    .command("lock")
    .description(
      "Run one emulated lock on a real Bluetooth adapter (Linux with BlueZ), for a bench with a second radio",
    )
    .option("--adapter <name>", "the adapter that the lock speaks through", "hci0")
    .option("--model <model>", `what it is: ${lockModels.join(", ")}`, "C1")
    .option("--device <id>", "its device id", "bench-lock")
    .option(
      "--door <kind>",
      "communal or residence; a residence door shows no comings and goings on the air",
      "communal",
    )
    .option("--state <folder>", "where its flash is kept; without it everything is forgotten at the end")
    .option("--seed <number>", "whole number; its key, and without --cloud its test authority, derive from it", "1")
    .option("--cloud <url>", "pair it with this emulated cloud, whose site must know the device")
    .option(
      "--bus <address>",
      "D-Bus address, such as unix:path=/run/dbus/system_bus_socket; the system bus when absent",
    )
    .action(async (flags: Flags) => setExitCode(await runLock(flags)));
}

interface Flags {
  readonly adapter: string;
  readonly model: string;
  readonly device: string;
  readonly door: string;
  readonly state?: string;
  readonly seed: string;
  readonly cloud?: string;
  readonly bus?: string;
}

async function runLock(flags: Flags): Promise<number> {
  const settings = readFlags(flags);
  if (!settings.ok) return complain(settings.fault.lines, EXIT_USAGE);
  // Loaded when it is wanted: the other commands need no D-Bus.
  const { startBenchLock } = await import("./bench-lock.ts");
  const started = await startBenchLock(settings.value, writeLine);
  if (!started.ok) return complain([describe(started.fault)], EXIT_ENVIRONMENT);
  const lock = started.value;
  const end = await Promise.race([untilSignal(), lock.ended, lock.serve(process.stdin)]);
  // A bus that does not answer must not keep the process.
  setTimeout(() => process.exit(end === undefined ? 0 : EXIT_ENVIRONMENT), STOP_LIMIT_MS).unref();
  await lock.stop();
  process.stdin.destroy();
  return end === undefined ? 0 : complain([describe(end)], EXIT_ENVIRONMENT);
}

function untilSignal(): Promise<undefined> {
  return new Promise((resolvePromise) => {
    process.once("SIGTERM", () => resolvePromise(undefined));
    process.once("SIGINT", () => resolvePromise(undefined));
  });
}

type FlagFault = { readonly code: "usage"; readonly lines: readonly string[] };

function readFlags(flags: Flags): Result<BenchLockSettings, FlagFault> {
  const lines: string[] = [];
  const expect = <Value>(value: Value | undefined, name: string, expected: string, came: string): Value | undefined => {
    if (value === undefined) lines.push(`${name}: expected ${expected}, came ${JSON.stringify(came)}`);
    return value;
  };
  const adapter = expect(match(flags.adapter, /^hci[0-9]{1,3}$/), "--adapter", "a name such as hci0", flags.adapter);
  const model = expect(lockModel(flags.model), "--model", `one of ${lockModels.join(", ")}`, flags.model);
  const device: DeviceId | undefined = parseDeviceId(flags.device);
  expect(device, "--device", "3 to 32 of a-z, 0-9 and -", flags.device);
  const door = expect(doorKind(flags.door), "--door", "communal or residence", flags.door);
  const seed = expect(wholeNumber(flags.seed), "--seed", "a whole number", flags.seed);
  const cloud =
    flags.cloud === undefined ? undefined : expect(httpUrl(flags.cloud), "--cloud", "an http address", flags.cloud);
  const bus =
    flags.bus === undefined ? undefined : expect(match(flags.bus, busPattern), "--bus", "unix:path=/...", flags.bus);
  if (lines.length > 0 || adapter === undefined || model === undefined || device === undefined) {
    return failed({ code: "usage", lines });
  }
  return ok({
    adapter,
    model,
    device,
    door: door ?? "communal",
    seed: seed ?? 1,
    stateFolder: flags.state === undefined ? undefined : resolve(flags.state),
    cloudUrl: cloud,
    busAddress: bus,
  });
}

function describe({ code, ...facts }: BenchLockFault): string {
  const { remedy, ...rest } = { remedy: undefined, ...facts };
  const words = Object.entries(rest).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") : String(value)}`,
  );
  return [code, ...words].join(", ") + (remedy === undefined ? "" : `: ${remedy}`);
}

function complain(lines: readonly string[], exitCode: number): number {
  for (const line of lines) process.stderr.write(`doorlink-emulator lock: ${line}\n`);
  return exitCode;
}

function writeLine(object: object): void {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}

function lockModel(text: string): DeviceModel | undefined {
  const name = modelNames.find((each) => each === text);
  const model = name === undefined ? undefined : modelByName[name];
  return model?.network === "ble" ? model : undefined;
}

function doorKind(text: string): "communal" | "residence" | undefined {
  return text === "communal" || text === "residence" ? text : undefined;
}

function match(text: string, pattern: RegExp): string | undefined {
  return pattern.test(text) ? text : undefined;
}

function wholeNumber(text: string): number | undefined {
  return /^-?[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

function httpUrl(text: string): string | undefined {
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol) ? text : undefined;
}

const lockModels = modelNames.filter((name) => modelByName[name].network === "ble");
/** Addresses of D-Bus escape other characters, which the library does not undo. */
const busPattern = /^unix:path=\/[A-Za-z0-9_./-]+$/;
const EXIT_USAGE = 2;
const EXIT_ENVIRONMENT = 3;
const STOP_LIMIT_MS = 4_000;
