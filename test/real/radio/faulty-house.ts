/**
 * A lock and a gateway over real D-Bus, with every fault of the air, of bluetoothd and of the bus on them by seed. The lock is its real
 * firmware, the courier the agent's own visit; each visit brings a policy that was not there before, and takes the log.
 *
 * All of them live in one time that runs `HASTE` times as fast as the machine's, so that the air keeps the proportions of life (40 s for
 * a slow Connect, 2 s for a Disconnect) and every deadline of the agent is met as it would be there.
 */
import { EventEmitter } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBluetooth } from "node-ble";
import { useSystemBus } from "../../../agent/ble/bus-address.ts";
import { createBleRadio } from "../../../agent/ble/central.ts";
import { runVisit } from "../../../agent/ble/visit.ts";
import type { Clock } from "../../../agent/ports/clock.ts";
import { type Radio, RadioError } from "../../../agent/ports/radio.ts";
import type { SealedRun } from "../../../agent/ports/visit.ts";
import { benchCourierCertificate, benchPairing, lockStaticKey } from "../../../emulator/bench-pairing.ts";
import { benchBundle } from "../../../emulator/bench-policy.ts";
import { Battery } from "../../../emulator/device/battery.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { LockFirmware } from "../../../emulator/device/lock.ts";
import { LockHost } from "../../../emulator/device/lock-host.ts";
import { drawAirFaults, withoutAirFaults } from "../../../emulator/radio/air-faults.ts";
import { type FakeBluez, startFakeBluez } from "../../../emulator/radio/fake-bluez.ts";
import { type PrivateBus, startPrivateBus } from "../../../emulator/radio/private-bus.ts";
import { realClock } from "../../../emulator/world/clock.ts";
import { type SeededRandom, seededRandom } from "../../../emulator/world/random.ts";
import { decodePolicy } from "../../../protocol/access/policy.ts";
import { monotonicMs, parseDeviceId, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { answerTime, type SealedBundle, sealBundle } from "../../../protocol/sync/authority.ts";
import { auditBatch, openAuditBatch } from "../../../protocol/wire/sealing.ts";

const HASTE = 8;
const ADDRESS = "C0:FF:EE:00:00:01";
/** Some pages of policy. */
const CREDENTIALS = 300;
const ORPHAN_MS = 100;
const benchSeed = 4;
const benchDevice = parseDeviceId("bench-lock") ?? failHere();
const benchBond = benchPairing(benchSeed, benchDevice);
const courierKey = new Uint8Array(32).fill(2);
const startedAtMs = realClock.monotonicMs();

export const hastyClock: Clock = {
  nowMs: () => unixMs(START_UNIX_MS + Math.round((realClock.monotonicMs() - startedAtMs) * HASTE)),
  monotonicMs: () => monotonicMs(realClock.monotonicMs() * HASTE),
  after: (delayMs, action) => realClock.after(delayMs / HASTE, action),
};

export class FaultyHouse {
  readonly radio: Radio = createBleRadio({ clock: hastyClock });
  /** The lock's log as far as it was stored, opened: entry n at n - 1. */
  readonly log: Uint8Array[] = [];
  /** Connections of the lock that have not ended. */
  openAtLock = 0;
  readonly #directory: string;
  readonly #random: SeededRandom;
  #bus: PrivateBus;
  #bluez: FakeBluez;
  readonly #firmware: LockFirmware;
  readonly #host: LockHost;
  /** Of the policy that is brought now. */
  #version = 1;
  #cancelCrash: () => void = () => undefined;

  private constructor(directory: string, random: SeededRandom, bus: PrivateBus, bluez: FakeBluez) {
    this.#directory = directory;
    this.#random = random;
    this.#bus = bus;
    this.#bluez = bluez;
    this.#firmware = new LockFirmware(
      {
        device: benchDevice,
        model: modelByName.C1,
        firmware: "1.4.2",
        hardware: "bench",
        door: "communal",
        driftPpm: 0,
        battery: new Battery(100),
        factoryKey: lockStaticKey(benchSeed, benchDevice),
      },
      new MemoryFlash(),
      hastyClock.monotonicMs(),
    );
    this.#host = new LockHost({
      firmware: this.#firmware,
      address: ADDRESS,
      clock: hastyClock,
      random: (length) => random.bytes(length),
      onChange: () => undefined,
      onTimeout: () => undefined,
      onVisit: () => undefined,
    });
    this.#host.pair(benchBond.record, hastyClock.nowMs());
    this.#putLock();
  }

  /** The version that the lock decides by. */
  get version(): number {
    return this.#firmware.policy.version;
  }

  /** The version that is brought from now on, and something for the log. */
  publish(version: number): void {
    this.#version = version;
    this.#host.present({ kind: "token", tokenKind: "keycard", value: "0", authentic: true });
  }

  static async open(seed: number): Promise<FaultyHouse> {
    const directory = await mkdtemp(join(tmpdir(), "doorlink-faults-"));
    const random = seededRandom(seed, "faulty-house");
    const { bus, bluez } = await startBoth(directory, random);
    const used = useSystemBus(bus.address);
    if (!used.ok) throw new Error(used.fault.code);
    return new FaultyHouse(directory, random, bus, bluez);
  }

  async close(): Promise<void> {
    await this.radio.close();
    this.#host.stop();
    this.#bluez.close();
    await this.#bus.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Puts faults on by their own chance (1: all at once) and gives their names, for a failure to show. */
  trouble(share: number): readonly string[] {
    const { names, profile } = drawAirFaults(this.#random, share);
    this.#bluez.setProfile(profile);
    const others: string[] = [];
    if (this.#random.next() < share / 2) {
      others.push("bus-dies");
      this.#cancelCrash = hastyClock.after(this.#random.integer(4_000), () => this.#bus.crash());
    }
    return [...names, ...others];
  }

  /** Every fault is over; a bus that died is started again, as systemd would. */
  async calm(): Promise<void> {
    this.#bluez.setProfile(withoutAirFaults());
    this.#cancelCrash();
    await this.#turns(10);
    if (await this.#isBusAlive()) return;
    this.#bluez.close();
    await this.#bus.stop();
    const { bus, bluez } = await startBoth(this.#directory, this.#random);
    this.#bus = bus;
    this.#bluez = bluez;
    this.openAtLock = 0;
    this.#putLock();
  }

  /** An agent that takes no precautions was connecting, or was connected, and is killed before it can say goodbye. */
  async leaveOrphan(): Promise<void> {
    const { bluetooth, destroy } = createBluetooth();
    const bus: unknown = Reflect.get(bluetooth, "dbus");
    if (bus instanceof EventEmitter) bus.on("error", () => undefined);
    const connected = bluetooth
      .defaultAdapter()
      .then((adapter) => adapter.getDevice(ADDRESS))
      .then((device) => device.connect())
      .catch(() => undefined);
    await Promise.race([connected, this.#turns(ORPHAN_MS)]);
    destroy();
  }

  async scan(): Promise<boolean> {
    const heard = await this.radio
      .scan({ durationMs: 5_000, enough: (sightings) => sightings.length > 0 })
      .catch((error: unknown) => {
        if (error instanceof RadioError) return [];
        throw error;
      });
    return heard.some(({ address }) => address === ADDRESS);
  }

  /** One visit of the agent: "went through", or the code and reason of its fault. */
  async visit(): Promise<string> {
    const { authority, record, lockStaticPublicKey } = benchBond;
    const { pairingId } = record;
    const now = unixSeconds(Math.floor(hastyClock.nowMs() / 1000));
    const outcome = await runVisit({
      radio: this.radio,
      address: ADDRESS,
      courier: {
        staticPrivateKey: courierKey,
        certificate: benchCourierCertificate(benchBond, x25519PublicKey(courierKey), now),
      },
      lock: { device: benchDevice, staticPublicKey: lockStaticPublicKey, pairingId },
      desired: {
        policy: { epoch: 1, version: this.#version },
        keyset: { epoch: 1, blob: record.keyset },
        bundles: [snapshotOf(this.#version)],
        release: null,
      },
      logFrom: this.log.length + 1,
      askTime: async (nonce) => ({
        answer: answerTime(authority, { pairingId, nonce, unixMs: hastyClock.nowMs(), radiusMs: 20 }),
      }),
      storeRun: async (run) => this.#store(run),
      onProgress: () => undefined,
      clock: hastyClock,
      random: { bytes: (length) => this.#random.bytes(length), fraction: () => this.#random.next() },
    });
    return outcome.ok ? "went through" : `${outcome.fault.code}: ${outcome.fault.reason ?? ""}`;
  }

  #store({ batch }: SealedRun): void {
    const read = auditBatch.decode(batch);
    const opened = read.ok ? openAuditBatch(benchBond.keys.audit, read.value) : read;
    if (!read.ok || !opened.ok) throw new Error("a batch of the log does not open");
    const { from } = read.value;
    if (from !== this.log.length + 1) throw new Error(`a run from ${from} after ${this.log.length} entries`);
    this.log.push(...opened.value);
  }

  #putLock(): void {
    const { peripheral } = this.#host;
    this.#bluez.addPeripheral({
      ...peripheral,
      onConnection: (connection) => {
        this.openAtLock++;
        const listener = peripheral.onConnection(connection);
        return {
          frame: (bytes) => listener.frame(bytes),
          ended: (reason) => {
            this.openAtLock--;
            listener.ended(reason);
          },
        };
      },
    });
  }

  async #isBusAlive(): Promise<boolean> {
    let hasEnded = false;
    void this.#bus.ended.then(() => {
      hasEnded = true;
    });
    await this.#turns(2);
    return !hasEnded;
  }

  #turns(count: number): Promise<void> {
    return new Promise((resolve) => realClock.after(count, resolve));
  }
}

async function startBoth(directory: string, random: SeededRandom): Promise<{ bus: PrivateBus; bluez: FakeBluez }> {
  const bus = await startPrivateBus({ directory, clock: realClock });
  if (!bus.ok) throw new Error(JSON.stringify(bus.fault));
  for (;;) {
    const bluez = await startFakeBluez({
      busAddress: bus.value.address,
      clock: hastyClock,
      random: () => random.next(),
      profile: { timeScale: 1 },
    });
    if (bluez.ok) return { bus: bus.value, bluez: bluez.value };
    // Five seconds are short at this pace, on a machine that has other things to do.
    if (bluez.fault.code !== "bus-timeout") throw new Error(JSON.stringify(bluez.fault));
  }
}

const START_UNIX_MS = 1_790_000_000_000;
const NOT_AFTER = unixSeconds(START_UNIX_MS / 1000 + 30 * 86_400);

/** A bench policy of some pages, sealed for the lock. */
function snapshotOf(version: number): SealedBundle {
  const { authority, keys, record } = benchBond;
  const policy = decodePolicy(benchBundle(benchBond, { device: benchDevice, version, credentials: CREDENTIALS }));
  if (!policy.ok) return failHere();
  const next = { policy: policy.value, notAfter: NOT_AFTER };
  return sealBundle(authority, keys.bundle, record.pairingId, next) ?? failHere();
}

function failHere(): never {
  throw new Error("the bench has a device, and reads and seals its own policies");
}
