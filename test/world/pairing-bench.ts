/**
 * An unpaired lock with its setup card, a radio with that lock in reach, and an authority of pure functions: everything of a pairing
 * through a gateway but HTTP and broker. The lock's host, firmware and flash are the emulator's own; everything moves by the stepped clock.
 */
import { runPairing } from "../../agent/ble/pairing-visit.ts";
import type { PairingOptions, PairingOutcome } from "../../agent/ports/pairing.ts";
import { type LinkListener, type Radio, RadioError, type RadioLink } from "../../agent/ports/radio.ts";
import { MemoryFlash } from "../../emulator/device/flash.ts";
import { LockFirmware, type LockSetup } from "../../emulator/device/lock.ts";
import { LockHost } from "../../emulator/device/lock-host.ts";
import type { ConnectionEnd } from "../../emulator/radio/air.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { type DeviceId, unixSeconds } from "../../protocol/base/units.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { authorityKeysFromSeed, keysetOf, type PairingKeys } from "../../protocol/sync/authority.ts";
import { isPairingConfirmed, sealDailyKeys, verifyPairingStatement } from "../../protocol/sync/pairing.ts";
import { rootPublicKey, signKeyset } from "../../protocol/wire/keyset.ts";
import { LossyLink, type LossyLinkOptions, seededBytes } from "./lossy-link.ts";
import { SteppedClock } from "./stepped-clock.ts";

const TICK_MS = 5;
export const setupSecret = seededBytes(90, 16);
export const rootSeed = seededBytes(91, 32);
export const pairingRoot = rootPublicKey(rootSeed);
export const pairingAuthority = authorityKeysFromSeed(seededBytes(92, 32));
export const pairingKeyset = signKeyset(rootSeed, keysetOf(pairingAuthority, 1, unixSeconds(4_000_000_000)));
export const dailyKeys = { keys: [{ keyId: 1, key: seededBytes(93, 32) }] };

/** What a lock is made with, the parts that tests of pairing choose. */
export function buildLock(
  flash: MemoryFlash,
  options: { readonly setup?: LockSetup | undefined; readonly factoryKey?: Uint8Array } = {},
): LockFirmware {
  const { setup = { secret: setupSecret }, factoryKey = seededBytes(94, 32) } = options;
  return new LockFirmware(
    {
      device: "lock-c2" as DeviceId,
      model: modelByName.C2,
      firmware: "2.3.1",
      hardware: "rev-c",
      door: "communal",
      driftPpm: 0,
      battery: undefined,
      factoryKey,
      setup,
    },
    flash,
    new SteppedClock().monotonicMs(),
  );
}

export interface PairingRadioOptions {
  readonly link?: Partial<LossyLinkOptions>;
  /** The link is lost instead of carrying this frame (from 1) to the lock, or from it. */
  readonly cutAt?: { readonly to: "lock" | "courier"; readonly frame: number };
  readonly absent?: boolean;
}

/** One lock in reach, as the gateway's radio port. */
class PairingRadio implements Radio {
  readonly frames = { lock: 0, courier: 0 };
  /** Everything that was on the air, in both directions. */
  readonly heard: Uint8Array[] = [];
  open = 0;
  readonly #clock: SteppedClock;
  readonly #host: LockHost;
  readonly #options: PairingRadioOptions;

  constructor(clock: SteppedClock, host: LockHost, options: PairingRadioOptions) {
    this.#clock = clock;
    this.#host = host;
    this.#options = options;
  }

  async scan(): Promise<readonly never[]> {
    return [];
  }

  async close(): Promise<void> {
    return undefined;
  }

  async connect(address: string, listener: LinkListener): Promise<RadioLink> {
    if (this.#options.absent === true) throw new RadioError("connect-timeout", "connect");
    const seed = this.#options.link?.seed ?? 1;
    const toLock = new LossyLink({ intervalMs: 15, ...this.#options.link, seed });
    const toCourier = new LossyLink({ intervalMs: 15, ...this.#options.link, seed: seed + 1 });
    let isOpen = true;
    let lockClosesAtMs = Number.POSITIVE_INFINITY;
    this.open += 1;
    const end = (courier: "closed-here" | "link-lost", lock: ConnectionEnd): void => {
      if (!isOpen) return;
      isOpen = false;
      this.open -= 1;
      heardByLock.ended(lock);
      listener.closed({ reason: courier });
    };
    const carry = (to: "lock" | "courier", frame: Uint8Array): void => {
      const { cutAt } = this.#options;
      this.frames[to] += 1;
      this.heard.push(frame.slice());
      if (cutAt?.to === to && cutAt.frame === this.frames[to]) return end("link-lost", "link-lost");
      (to === "lock" ? toLock : toCourier).push(frame, this.#clock.monotonicMs());
    };
    const heardByLock = this.#host.peripheral.onConnection({
      notify: (frame) => {
        if (isOpen) carry("courier", frame);
        return isOpen;
      },
      // What was notified goes out first.
      close: () => {
        lockClosesAtMs = this.#clock.monotonicMs() + LOCK_CLOSES_MS;
      },
    });
    const tick = (): void => {
      if (!isOpen) return;
      const now = this.#clock.monotonicMs();
      for (const frame of toLock.take(now)) heardByLock.frame(frame);
      for (const frame of toCourier.take(now)) if (isOpen) listener.frame(frame);
      if (now >= lockClosesAtMs) end("link-lost", "closed-by-lock");
      this.#clock.after(TICK_MS, tick);
    };
    this.#clock.after(TICK_MS, tick);
    return {
      address,
      send: async (frame) => {
        if (!isOpen) throw new RadioError("link-lost", "send");
        carry("lock", frame);
      },
      close: async () => end("closed-here", "closed-by-central"),
    };
  }
}

export interface Tried {
  readonly outcome: PairingOutcome;
  readonly radio: PairingRadio;
  /** The authority sealed something before it was over. */
  readonly isHandedOver: boolean;
  readonly durationMs: number;
}

export class PairingBench {
  readonly clock = new SteppedClock();
  readonly flash: MemoryFlash;
  readonly firmware: LockFirmware;
  readonly host: LockHost;
  /** How each connection ended, as the lock sees it. */
  readonly ends: string[] = [];
  /** What the authority keeps as pending, by pairing id in hex. */
  readonly pending = new Map<string, { readonly keys: PairingKeys; readonly sealed: Uint8Array }>();
  readonly random = { bytes: (length: number) => this.#bytes(length), fraction: () => 0.5 };
  #randomCalls = 0;

  constructor(options: NonNullable<Parameters<typeof buildLock>[1]> & { readonly flash?: MemoryFlash } = {}) {
    this.flash = options.flash ?? new MemoryFlash();
    this.firmware = buildLock(this.flash, options);
    this.host = new LockHost({
      firmware: this.firmware,
      address: "C0:FF:EE:00:00:02",
      clock: this.clock,
      random: (length) => this.#bytes(length),
      onChange: () => undefined,
      onTimeout: () => undefined,
      onVisit: (_device, end, purpose) => this.ends.push(`${purpose}: ${end}`),
    });
  }

  /** With this lock in reach. */
  radio(options: PairingRadioOptions = {}): PairingRadio {
    return new PairingRadio(this.clock, this.host, options);
  }

  /** One pairing, to its end. */
  async pair(radioOptions: PairingRadioOptions = {}, overrides: Partial<PairingOptions> = {}): Promise<Tried> {
    const { clock } = this;
    const radio = this.radio(radioOptions);
    const startedAt = clock.monotonicMs();
    let isHandedOver = false;
    const running = runPairing({
      radio,
      address: "C0:FF:EE:00:00:02",
      courierStaticPrivateKey: seededBytes(95, 32),
      setupSecret,
      root: pairingRoot,
      keyset: pairingKeyset,
      onAccepted: async (statement, mac) => {
        isHandedOver = true;
        return { sealed: this.accept(statement, mac) };
      },
      clock,
      random: this.random,
      ...overrides,
    });
    const outcome = await this.finish(running);
    return { outcome, radio, isHandedOver, durationMs: clock.monotonicMs() - startedAt };
  }

  /** Lets time pass until `work` is done; twice the longest limit that anything has. */
  async finish<Value>(work: Promise<Value>): Promise<Value> {
    const done: Value[] = [];
    const settled = work.then((value) => done.push(value));
    for (let step = 0; step < 360 && done.length === 0; step++) await this.clock.advance(500);
    if (done.length === 0) throw new Error("it never ended");
    await settled;
    return work;
  }

  /** The authority's first step, kept as pending. */
  accept(statement: Uint8Array, mac: Uint8Array): Uint8Array {
    const verified = verifyPairingStatement(pairingAuthority.static, statement, mac);
    if (!verified.ok) throw new Error(verified.fault.code);
    const { pairingId } = verified.value.statement;
    const sealed = sealDailyKeys(verified.value.keys, pairingId, dailyKeys);
    this.pending.set(bytesToHex(pairingId), { keys: verified.value.keys, sealed });
    return sealed;
  }

  /** Whether this is the lock's word, for the authority, that it holds the pairing that it now has. */
  isConfirmed(mac: Uint8Array): boolean {
    const pairingId = this.firmware.pairing?.pairingId;
    const pending = pairingId === undefined ? undefined : this.pending.get(bytesToHex(pairingId));
    return (
      pairingId !== undefined &&
      pending !== undefined &&
      isPairingConfirmed(pending.keys, pairingId, pending.sealed, mac)
    );
  }

  #bytes(length: number): Uint8Array {
    return seededBytes(1_000 + ++this.#randomCalls, length);
  }
}

const LOCK_CLOSES_MS = 40;
