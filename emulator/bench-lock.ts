/**
 * One emulated lock on a real radio: its firmware and flash, its pairing, its place on the air, and an engineer's hand at it.
 * Everything that happens is told as one JSON object a line; codes that are typed are never among it.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { bytesToBase64 } from "../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import type { DeviceId } from "../protocol/base/units.ts";
import { x25519PublicKey } from "../protocol/crypto.ts";
import type { DeviceModel } from "../protocol/firmware/models.ts";
import { benchPairing, lockStaticKey } from "./bench-pairing.ts";
import { Battery } from "./device/battery.ts";
import { FileFlash, MemoryFlash } from "./device/flash.ts";
import { keysOfCode } from "./device/keypad.ts";
import { type BenchGrant, LockFirmware, type LockOutcome } from "./device/lock.ts";
import { LockHost } from "./device/lock-host.ts";
import { type CloudFault, pairLock } from "./people/cloud-client.ts";
import type { AirConnection, ConnectionListener, Peripheral } from "./radio/air.ts";
import type { BluezFault } from "./radio/bluez-bus.ts";
import { FrameOrder } from "./radio/bluez-frame-order.ts";
import { type BluezAdapter, type BluezPeripheral, openBluezAdapter } from "./radio/bluez-peripheral.ts";
import { realClock } from "./world/clock.ts";

export interface BenchLockSettings {
  readonly adapter: string;
  readonly model: DeviceModel;
  readonly device: DeviceId;
  readonly door: "communal" | "residence";
  readonly seed: number;
  /** Undefined: the lock forgets everything with its process. */
  readonly stateFolder: string | undefined;
  /** Undefined: a test authority derived from the seed. */
  readonly cloudUrl: string | undefined;
  readonly busAddress: string | undefined;
}

export type BenchLockFault = BluezFault | CloudFault;

export interface BenchLock {
  /** Fulfilled with the fault when the radio went away, with undefined after `stop()`. */
  readonly ended: Promise<BluezFault | undefined>;
  /** Takes the engineer's lines; fulfilled when one says quit. The end of the lines ends nothing. */
  serve(lines: Readable): Promise<undefined>;
  stop(): Promise<void>;
}

/** Opens the radio, boots the lock, pairs it if it is not, puts it on the air, and says so. Faults: of the radio and the cloud. */
export async function startBenchLock(
  settings: BenchLockSettings,
  tell: (line: object) => void,
): Promise<Result<BenchLock, BenchLockFault>> {
  const opened = await openBluezAdapter({
    adapter: settings.adapter,
    busAddress: settings.busAddress,
    clock: realClock,
  });
  if (!opened.ok) return opened;
  const adapter = opened.value;
  const host = bootHost(settings, adapter.address, tell);
  const put = await pairAndAdvertise(settings, adapter, host, tell);
  if (put.ok) return ok(new LockOnBench(adapter, host, put.value, tell));
  host.stop();
  await adapter.close();
  return put;
}

async function pairAndAdvertise(
  settings: BenchLockSettings,
  adapter: BluezAdapter,
  host: LockHost,
  tell: (line: object) => void,
): Promise<Result<BluezPeripheral, BenchLockFault>> {
  const { device, model, seed, cloudUrl, stateFolder } = settings;
  const { firmware } = host;
  if (!firmware.paired) {
    const record = await benchGrant(settings, adapter.address);
    if (!record.ok) return record;
    host.pair(record.value, realClock.nowMs());
  }
  const put = await adapter.addPeripheral(counted(host.peripheral, tell));
  if (!put.ok) return put;
  const { pairing } = firmware;
  tell({
    ready: "lock",
    device,
    model: model.name,
    adapter: settings.adapter,
    address: adapter.address,
    staticPublicKey: bytesToBase64(x25519PublicKey(firmware.staticPrivateKey)),
    pairingId: pairing === undefined ? null : bytesToBase64(pairing.pairingId),
    authority: cloudUrl === undefined ? { fromSeed: seed } : { cloud: cloudUrl },
    bootCount: firmware.bootCount,
    state: stateFolder ?? null,
  });
  return put;
}

async function benchGrant(settings: BenchLockSettings, address: string): Promise<Result<BenchGrant, CloudFault>> {
  const { seed, device, cloudUrl } = settings;
  if (cloudUrl === undefined) return ok(benchPairing(seed, device).record);
  const answer = await pairLock(cloudUrl, {
    device,
    staticPublicKey: x25519PublicKey(lockStaticKey(seed, device)),
    address,
  });
  if (!answer.ok) return failed(answer.fault);
  const { pairingId, root, keyset, dailyKeys, keyEpoch, firstSequence } = answer.value;
  return ok({
    pairingId,
    root,
    keyset,
    dailyKeys: dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key })),
    firstSequence,
  });
}

function bootHost(settings: BenchLockSettings, address: string, tell: (line: object) => void): LockHost {
  const { device, model, door, seed, stateFolder } = settings;
  const firmware = new LockFirmware(
    {
      device,
      model,
      firmware: FIRMWARE_VERSION,
      hardware: HARDWARE_VERSION,
      door,
      driftPpm: 0,
      battery: model.power === "battery" ? new Battery(100) : undefined,
      factoryKey: lockStaticKey(seed, device),
    },
    stateFolder === undefined ? new MemoryFlash() : new FileFlash(join(stateFolder, device)),
    realClock.monotonicMs(),
  );
  return new LockHost({
    firmware,
    address,
    clock: realClock,
    // On the air, unlike in the emulated world, an ephemeral key is nobody's to foresee.
    random: (length) => new Uint8Array(randomBytes(length)),
    onChange: () => undefined,
    onTimeout: (_, outcome) => tell({ event: "attempt", ...outcomeFacts(outcome) }),
    onVisit: (_, end) => tell({ event: "visit", end, ...stateOf(firmware) }),
  });
}

/** Tells of each connection what crossed it, and in what order. */
function counted(peripheral: Peripheral, tell: (line: object) => void): Peripheral {
  return {
    ...peripheral,
    onConnection: (connection): ConnectionListener => {
      const order = new FrameOrder();
      const counts = { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 };
      const startedAt = realClock.monotonicMs();
      tell({ event: "connected" });
      const listener = peripheral.onConnection(countOutward(connection, counts));
      return {
        frame: (bytes) => {
          counts.framesIn++;
          counts.bytesIn += bytes.length;
          order.see(bytes);
          listener.frame(bytes);
        },
        ended: (reason) => {
          listener.ended(reason);
          const { late, deepest } = order.count;
          const milliseconds = Math.round(realClock.monotonicMs() - startedAt);
          tell({ event: "disconnected", reason, milliseconds, ...counts, late, deepest });
        },
      };
    },
  };
}

function countOutward(connection: AirConnection, counts: { framesOut: number; bytesOut: number }): AirConnection {
  return {
    notify: (frame) => {
      const isTaken = connection.notify(frame);
      if (isTaken) {
        counts.framesOut++;
        counts.bytesOut += frame.length;
      }
      return isTaken;
    },
    close: () => connection.close(),
  };
}

class LockOnBench implements BenchLock {
  readonly ended: Promise<BluezFault | undefined>;
  readonly #adapter: BluezAdapter;
  readonly #host: LockHost;
  readonly #peripheral: BluezPeripheral;
  readonly #tell: (line: object) => void;

  constructor(adapter: BluezAdapter, host: LockHost, peripheral: BluezPeripheral, tell: (line: object) => void) {
    this.#adapter = adapter;
    this.#host = host;
    this.#peripheral = peripheral;
    this.#tell = tell;
    this.ended = adapter.ended;
  }

  serve(lines: Readable): Promise<undefined> {
    return new Promise((resolve) => {
      createInterface({ input: lines, crlfDelay: Number.POSITIVE_INFINITY }).on("line", (line) => {
        if (line.trim() === "quit") resolve(undefined);
        else this.#obey(line.trim());
      });
    });
  }

  async stop(): Promise<void> {
    this.#host.stop();
    await this.#adapter.close();
  }

  #obey(line: string): void {
    const [word = "", argument = ""] = line.split(/\s+/, 2);
    switch (word) {
      case "":
        return;
      case "type":
        return this.#type(argument);
      case "card":
        return this.#present(argument);
      case "cut":
        return this.#peripheral.breakLink();
      case "state":
        return this.#tell({ event: "state", ...stateOf(this.#host.firmware), radio: this.#peripheral.statistics });
      default:
        // What was typed may be half a code: it is not repeated.
        return this.#tell({ event: "not-understood", expected: ["type CODE", "card NUMBER", "cut", "state", "quit"] });
    }
  }

  #type(code: string): void {
    const keys = keysOfCode(code, this.#host.keypadAsleep);
    if (keys === undefined) return this.#tell({ event: "not-understood", expected: ["type CODE, in digits"] });
    void this.#host.press(keys).then((outcome) => this.#tell({ event: "attempt", ...outcomeFacts(outcome) }));
  }

  #present(number: string): void {
    const outcome = this.#host.present({ kind: "token", tokenKind: "keycard", value: number, authentic: true });
    this.#tell({ event: "attempt", ...outcomeFacts(outcome) });
  }
}

function outcomeFacts({ granted, reason, sequence }: LockOutcome): object {
  return { granted, reason: reason ?? null, sequence: sequence ?? null };
}

/** What the lock holds; nothing of it is secret. */
function stateOf(firmware: LockFirmware): object {
  const { epoch, version, root } = firmware.policy;
  const facts = firmware.paired ? firmware.facts(realClock.monotonicMs()) : undefined;
  return {
    epoch,
    version,
    root: bytesToBase64(root),
    stagedBytes: facts?.staged?.bytes.length ?? 0,
    logFirst: facts?.log.first ?? 0,
    logNext: facts?.log.next ?? 0,
    clock: facts?.clock.state.quality ?? "unset",
    batteryPercent: facts?.battery.percent ?? null,
  };
}

const FIRMWARE_VERSION = "1.4.2";
const HARDWARE_VERSION = "bench";
