/**
 * Inside the virtual machine: bluetoothd in one configuration after the other, the emulated lock as a process of its own on hci1,
 * and the agent's central with its visits on hci0. Says facts on standard output (facts.ts); what they are worth is judged outside.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { release, uptime } from "node:os";
import { useSystemBus } from "../../agent/ble/bus-address.ts";
import { createBleRadio } from "../../agent/ble/central.ts";
import { runVisit } from "../../agent/ble/visit.ts";
import type { Sighting } from "../../agent/ports/radio.ts";
import type { VisitOptions, VisitOutcome } from "../../agent/ports/visit.ts";
import { benchCourierCertificate } from "../../emulator/bench-pairing.ts";
import { codeOfVersion } from "../../emulator/bench-policy.ts";
import { connectBluezBus } from "../../emulator/radio/bluez-bus.ts";
import { variant } from "../../emulator/radio/bus-objects.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { base64ToBytes, bytesToBase64, bytesToHex } from "../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { answerTime, auditChainHead, signRelease } from "../../protocol/sync/authority.ts";
import { decodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import { auditChainStart } from "../../protocol/wire/audit-entry.ts";
import { type BenchVersion, benchBond, benchDevice, benchSeed, carriedTo, openBatch } from "./bench.ts";
import { CountingRadio } from "./counting-radio.ts";
import type { Fact } from "./facts.ts";
import { LineReader, untilExit } from "./lines.ts";

type VisitName = "full" | "interrupted" | "resumed";
interface Mode {
  /** Of ATT, as bluetoothd is configured. */
  readonly channels: number;
  /** How the link of the interrupted visit is cut. */
  readonly cut: "lock-disconnects" | "radio-goes-off";
}

/** BlueZ's default, which opens three channels to a peer that can, and the setting that keeps frames in order. */
const modes: readonly Mode[] = [
  { channels: 3, cut: "lock-disconnects" },
  { channels: 1, cut: "radio-goes-off" },
];
/** Its snapshot is one page, which rides in the manifest's message. */
const FULL_CREDENTIALS = 200;
/** The delta to it from the former is fifteen pages. */
const INTERRUPTED_CREDENTIALS = 3_900;
/** Of about 150 that the interrupted policy takes. */
const CUT_AT_FRAME = 90;
const RIGHT_CODES = 4;
const SCAN_MS = 6_000;
const SCANS_MAX = 4;

async function main(): Promise<void> {
  tell({ fact: "guest", node: process.version, kernel: release(), upSeconds: uptime() });
  const used = useSystemBus(BUS_ADDRESS);
  if (!used.ok) throw new Error(used.fault.code);
  const courier = new Courier();
  for (const mode of modes) await courier.runMode(mode, mode === modes.at(-1));
  tell({ fact: "end", seconds: uptime() });
}

class Courier {
  readonly #privateKey = new Uint8Array(randomBytes(32));
  /** Of the lock's log: entry n at n - 1. */
  readonly #entries: Uint8Array[] = [];
  #version = 0;
  /** What the lock holds for certain, after a visit that went through. */
  #held: BenchVersion | null = null;
  #address = "";
  #lock: LockProcess | undefined;

  /** Codes that are denied come in the last configuration only: a lock that boots after one may make its keypad wait. */
  async runMode({ channels, cut }: Mode, isLast: boolean): Promise<void> {
    during = `bluetoothd with ${channels} channels`;
    const bluetoothd = await startBluetoothd(channels);
    const lock = await LockProcess.start();
    this.#lock = lock;
    this.#address = lock.address;
    await this.#discover("first", this.#version === 0 ? null : this.#version);

    await this.#visit("full", this.#version + 1, FULL_CREDENTIALS);
    this.#version++;
    for (let tries = 0; tries < RIGHT_CODES; tries++) await this.#attempt("full", this.#version);
    if (isLast) await this.#attempt("full", null);
    await this.#discover("after-sync", this.#version);

    let radioGone: Promise<void> | undefined;
    const cutNow = (): void => {
      if (cut === "lock-disconnects") lock.say("cut");
      else {
        radioGone = setPowered(false);
        // Heard where it is awaited, after the visit.
        radioGone.catch(() => undefined);
      }
    };
    await this.#visit("interrupted", this.#version + 1, INTERRUPTED_CREDENTIALS, cutNow);
    if (radioGone !== undefined) {
      await radioGone;
      await setPowered(true);
    }
    await this.#attempt("interrupted", this.#version);

    await this.#visit("resumed", this.#version + 1, INTERRUPTED_CREDENTIALS);
    this.#version++;
    await this.#attempt("resumed", this.#version);
    if (isLast) await this.#attempt("resumed", this.#version - 1);

    during = "stop";
    // Once it is told to go; once bluetoothd goes before it, which it must notice by itself.
    if (!isLast) tell({ fact: "stopped", first: "lock", lockExitCode: await lock.stop() });
    bluetoothd.kill("SIGTERM");
    await untilExit(bluetoothd, 5_000);
    if (isLast) tell({ fact: "stopped", first: "bluetoothd", lockExitCode: await lock.exit() });
  }

  /**
   * Listens until the lock is heard with at least this version. A virtual controller sends an advertisement once, when a scan begins
   * or the advertisement changes, and not again and again as a radio does; and the kernel throws away what comes before it has
   * marked the scan as begun. So the lock is given something to advertise while the scan runs: an attempt moves its log head.
   */
  async #discover(when: "first" | "after-sync", codeOf: number | null): Promise<void> {
    const startedAt = performance.now();
    const radio = createBleRadio({ clock: realClock, adapter: "hci0" });
    const isIt = ({ address, advertisement }: Sighting): boolean => {
      const read = decodeAdvertisement(advertisement);
      return address === this.#address && read.ok && read.value.versionBits === this.#version;
    };
    for (let scans = 1; scans <= SCANS_MAX; scans++) {
      during = `discover ${when}`;
      const scanning = radio.scan({ durationMs: SCAN_MS, enough: (sightings) => sightings.some(isIt) });
      const [heard] = await Promise.all([scanning, this.#attemptSoon(when === "first" ? "boot" : "full", codeOf)]);
      const lock = heard.find(isIt);
      if (lock === undefined) continue;
      const ms = performance.now() - startedAt;
      return tell({ fact: "discovered", when, ms, scans, advertisement: bytesToHex(lock.advertisement) });
    }
    throw new Error("the lock was not heard");
  }

  /** Well after a scan has begun. */
  async #attemptSoon(after: VisitName | "boot", codeOf: number | null): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await this.#attempt(after, codeOf);
  }

  async #visit(name: VisitName, version: number, credentials: number, cutNow?: () => void): Promise<void> {
    during = `visit ${name}`;
    const measured: Measured = { startedAt: performance.now(), eattChannels: 0, stored: [] };
    const cutLink = (): void => {
      measured.eattChannels = countEattChannels();
      cutNow?.();
    };
    const radio = new CountingRadio(
      createBleRadio({ clock: realClock, adapter: "hci0" }),
      cutNow === undefined ? {} : { atFrame: { count: CUT_AT_FRAME, act: cutLink } },
    );
    const released = name === "resumed" ? this.#entries.length : undefined;
    const base = this.#held;
    const outcome = await runVisit({
      ...this.#load({ version, credentials }, base, released),
      radio,
      address: this.#address,
      logFrom: this.#entries.length + 1,
      storeRun: async ({ batch }) => {
        const run = openBatch(batch);
        if (run === undefined) throw new Error("the lock's log opens");
        measured.stored.push(batch);
        this.#entries.push(...run.entries);
      },
      onProgress: ({ step }) => {
        if (step !== "report") return;
        measured.reportedAt = performance.now();
        measured.eattChannels = countEattChannels();
      },
      clock: realClock,
      random: { bytes: (length) => new Uint8Array(randomBytes(length)), fraction: () => 0.5 },
    });
    await radio.close();
    if (outcome.ok) this.#held = { version, credentials };
    const facts = { name, version, credentials, base, released: released ?? null, ...radio.counts };
    tell({ fact: "visit", ...facts, ...outcomeFacts(outcome), ...measuredFacts(measured, radio.readyAt) });
    await this.#lockState(name);
  }

  /** What the authority would have given this gateway. */
  #load(
    next: BenchVersion,
    base: BenchVersion | null,
    released: number | undefined,
  ): Pick<VisitOptions, "courier" | "lock" | "desired" | "askTime"> {
    const { authority, record, lockStaticPublicKey } = benchBond;
    const { pairingId } = record;
    const now = unixSeconds(Date.now() / 1000);
    // One manifest for one version: a fresh signature with another date would be another transfer to the lock.
    const notAfter = unixSeconds(Math.ceil(now / 86_400 + 1) * 86_400);
    return {
      courier: {
        staticPrivateKey: this.#privateKey,
        certificate: benchCourierCertificate(benchBond, x25519PublicKey(this.#privateKey), now),
      },
      lock: { device: benchDevice, staticPublicKey: lockStaticPublicKey, pairingId },
      desired: {
        policy: { epoch: 1, version: next.version },
        keyset: { epoch: 1, blob: record.keyset },
        bundles: [carriedTo(next, base, notAfter)],
        release:
          released === undefined
            ? null
            : signRelease(authority, { pairingId, through: released, chainHead: this.#chainHead() }),
      },
      askTime: async (nonce) => ({
        answer: answerTime(authority, { pairingId, nonce, unixMs: unixMs(Date.now()), radiusMs: 20 }),
      }),
    };
  }

  async #attempt(after: VisitName | "boot", codeOf: number | null): Promise<void> {
    during = `attempt after ${after}`;
    const lock = this.#lockOnAir();
    lock.say(`type ${codeOf === null ? "9999999" : codeOfVersion(codeOf)}`);
    const line = await lock.take("the outcome of an attempt", (each) => each["event"] === "attempt");
    tell({ fact: "attempt", after, codeOf, granted: line["granted"] === true });
  }

  async #lockState(after: VisitName): Promise<void> {
    const lock = this.#lockOnAir();
    const link = await lock.take("the lock's end of the visit", (each) => each["event"] === "disconnected");
    relay("lock-link", link);
    lock.say("state");
    relay("state", { ...(await lock.take("the lock's state", (each) => each["event"] === "state")), after });
  }

  #lockOnAir(): LockProcess {
    if (this.#lock === undefined) throw new Error("the lock runs");
    return this.#lock;
  }

  #chainHead(): Uint8Array {
    const { keys, record } = benchBond;
    return auditChainHead(keys.chain, auditChainStart(keys.chain, record.pairingId), this.#entries);
  }
}

interface Measured {
  readonly startedAt: number;
  readonly stored: Uint8Array[];
  eattChannels: number;
  reportedAt?: number;
}

function measuredFacts({ startedAt, stored, eattChannels, reportedAt }: Measured, readyAt?: number) {
  return {
    connectMs: readyAt === undefined ? null : readyAt - startedAt,
    syncMs: readyAt === undefined || reportedAt === undefined ? null : reportedAt - readyAt,
    eattChannels,
    batches: stored.map(bytesToBase64),
  };
}

function outcomeFacts(outcome: VisitOutcome) {
  const { reported, from, clock, durationMs, bytes } = outcome;
  return {
    ok: outcome.ok,
    fault: outcome.ok ? null : `${outcome.fault.code}: ${outcome.fault.reason ?? ""}`,
    fromVersion: from?.version ?? null,
    clockWritten: clock?.written ?? null,
    durationMs,
    bytes,
    report: reported === null ? null : { bytes: bytesToBase64(reported.report), mac: bytesToBase64(reported.mac) },
  };
}

class LockProcess {
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #lines: LineReader;

  constructor(child: ChildProcess, lines: LineReader, address: string) {
    this.#child = child;
    this.#lines = lines;
    this.address = address;
  }

  static async start(): Promise<LockProcess> {
    during = "start the lock";
    const startedAt = performance.now();
    const options = ["--adapter", "hci1", "--model", "C1", "--device", benchDevice, "--seed", String(benchSeed)];
    const child = spawn(
      process.execPath,
      ["/app/lock.cjs", "lock", ...options, "--state", "/run/lock-state", "--bus", BUS_ADDRESS],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const lines = new LineReader(child.stdout);
    const ready = await lines.take("the lock", (line) => line["ready"] === "lock", 30_000);
    relay("lock", { ...ready, readyMs: performance.now() - startedAt });
    const address = ready["address"];
    if (typeof address !== "string" || base64ToBytes(String(ready["pairingId"])) === undefined) {
      throw new Error("the lock says where it is");
    }
    return new LockProcess(child, lines, address);
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  take(what: string, fits: (line: Readonly<Record<string, unknown>>) => boolean) {
    return this.#lines.take(what, fits, 15_000);
  }

  stop(): Promise<number | null> {
    this.say("quit");
    return this.exit();
  }

  exit(): Promise<number | null> {
    return untilExit(this.#child, 10_000);
  }
}

async function startBluetoothd(channels: number): Promise<ChildProcess> {
  const startedAt = performance.now();
  const configuration = `/run/main-${channels}.conf`;
  writeFileSync(configuration, `[GATT]\nChannels=${channels}\n[Policy]\nAutoEnable=true\n`);
  const child = spawn("/usr/libexec/bluetooth/bluetoothd", ["-n", "-f", configuration], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const endsAt = performance.now() + 30_000;
  for (;;) {
    if (await bothPowered()) break;
    if (performance.now() > endsAt) throw new Error("bluetoothd did not turn both controllers on");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  tell({ fact: "bluetoothd", channels, readyMs: performance.now() - startedAt });
  return child;
}

/**
 * L2CAP channels of the whole machine that carry ATT beside its own: connected ones with the PSM of EATT, both ends counted.
 * Columns of the kernel's list: source, its type, destination, its type, state, PSM, ...
 */
function countEattChannels(): number {
  const rows = readFileSync("/sys/kernel/debug/bluetooth/l2cap", "utf8").trim().split("\n");
  return rows.map((row) => row.split(/\s+/)).filter(([, , , , state, psm]) => state === "1" && psm === "39").length;
}

async function bothPowered(): Promise<boolean> {
  const bus = await connectBluezBus({ busAddress: BUS_ADDRESS, clock: realClock });
  if (!bus.ok) return false;
  const objects = await bus.value.managedObjects();
  bus.value.close();
  return (
    objects.ok &&
    ["hci0", "hci1"].every(
      (name) => objects.value.get(`/org/bluez/${name}`)?.get("org.bluez.Adapter1")?.["Powered"] === true,
    )
  );
}

/** The courier's own radio. BlueZ answers Busy while an earlier change is under way, and then it is asked again. */
async function setPowered(powered: boolean): Promise<void> {
  const bus = await connectBluezBus({ busAddress: BUS_ADDRESS, clock: realClock });
  if (!bus.ok) throw new Error(bus.fault.code);
  const endsAt = performance.now() + 10_000;
  for (;;) {
    const set = await bus.value.call({
      what: "turn the courier's radio on or off",
      path: "/org/bluez/hci0",
      interfaceName: "org.freedesktop.DBus.Properties",
      member: "Set",
      signature: "ssv",
      body: ["org.bluez.Adapter1", "Powered", variant("b", powered)],
    });
    if (set.ok) break;
    if (performance.now() > endsAt) throw new Error(JSON.stringify(set.fault));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  bus.value.close();
}

/** The lock's own words, under the name of a fact; outside they are checked like every other. */
function relay(fact: "lock" | "lock-link" | "state", line: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ ...line, fact })}\n`);
}

function tell(fact: Fact): void {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}

const BUS_ADDRESS = "unix:path=/run/dbus/system_bus_socket";

let during = "start";
main().then(
  () => process.exit(0),
  (error: unknown) => {
    tell({
      fact: "gave-up",
      during,
      message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    });
    process.exit(1);
  },
);
