/**
 * A lock of the sync world: real firmware on emulated flash behind a real host, with a hand on its power. It keeps what the lock
 * itself cannot: every entry that its log ever showed, so that what reached the authority can be held against it.
 */
import { Battery } from "../../emulator/device/battery.ts";
import { MemoryFlash, PowerLost } from "../../emulator/device/flash.ts";
import type { Keycard } from "../../emulator/device/keycard.ts";
import { type KeypadKey, keysOfCode } from "../../emulator/device/keypad.ts";
import { type BenchGrant, LockFirmware, type LockHardware, type LockOutcome } from "../../emulator/device/lock.ts";
import { LockHost } from "../../emulator/device/lock-host.ts";
import type { AirConnection, ConnectionListener, Peripheral } from "../../emulator/radio/air.ts";
import type { WorldClock } from "../../emulator/world/clock.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { equalBytes } from "../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { type ModelName, modelByName } from "../../protocol/firmware/models.ts";
import { auditChainNext, auditChainStart } from "../../protocol/wire/audit-entry.ts";
import type { LockMessage } from "../../protocol/wire/sync-message.ts";
import type { Lie } from "./lock-lies.ts";
import { type FrameLie, LyingSession, LyingVisit } from "./lying-visit.ts";
import type { SteppedClock } from "./stepped-clock.ts";

export interface LockBoxOptions {
  readonly device: DeviceId;
  readonly model: ModelName;
  readonly address: string;
  readonly door: "communal" | "residence";
  readonly driftPpm: number;
  /** Of a world that stands still between steps, or the machine's own. */
  readonly clock: Pick<SteppedClock, "nowMs" | "monotonicMs" | "after">;
  readonly random: SeededRandom;
  /** Something that must never be true of a lock is. */
  readonly onBroken: (what: string) => void;
  /** The lock lost its power; the world says when it comes back. */
  readonly onPowerLost: (box: LockBox, region: string) => void;
  /** After everything that the firmware did: a place to look at it. */
  readonly onActed: (box: LockBox) => void;
}

/** How one connection was lied to. */
export interface ToldLie {
  readonly name: string;
  readonly kind: Lie["kind"];
  readonly connection: AirConnection;
  /** How many messages or frames were lies. */
  told: number;
}

/** While it gives a lie, the lock is hostile to whoever connects; undefined: honest to this one. */
export type DrawLie = () => { readonly lie: Lie | FrameLie; readonly otherPairingId: Uint8Array } | undefined;

interface Power {
  readonly firmware: LockFirmware;
  readonly host: LockHost;
}

export class LockBox {
  readonly device: DeviceId;
  readonly address: string;
  readonly staticPrivateKey: Uint8Array;
  /** False: nobody hears it, though it works. */
  inReach = true;
  /** Entries that its log has ever shown, oldest first; the first has sequence 1. */
  readonly entries: Uint8Array[] = [];
  flash = new MemoryFlash();
  drawLie: DrawLie = () => undefined;
  /** One for each connection that it lied to, oldest first. */
  readonly lies: ToldLie[] = [];
  onLie: (lie: ToldLie) => void = () => undefined;
  readonly #said = new Map<LockMessage["kind"], LockMessage>();
  #isLying = false;
  readonly #options: LockBoxOptions;
  readonly #battery = new Battery(90);
  #power: Power | undefined;
  #chain: { readonly key: Uint8Array; head: Uint8Array } | undefined;

  constructor(options: LockBoxOptions) {
    this.#options = options;
    this.device = options.device;
    this.address = options.address;
    this.staticPrivateKey = options.random.bytes(32);
    this.powerOn();
  }

  get firmware(): LockFirmware | undefined {
    return this.#power?.firmware;
  }

  /** What a radio finds at its address. */
  peripheral(): Peripheral | undefined {
    const power = this.#power;
    if (power === undefined || !this.inReach) return undefined;
    const { peripheral } = power.host;
    return {
      ...peripheral,
      onConnection: (connection) => {
        const listener = this.#while(
          power,
          () => this.#lieTo(power, connection) ?? peripheral.onConnection(connection),
        );
        return {
          frame: (bytes) => {
            this.#while(power, () => listener?.frame(bytes));
          },
          ended: (reason) => {
            this.#while(power, () => listener?.ended(reason));
          },
        };
      },
    };
  }

  /** `chainKey` is the pairing's, as the authority derives it. */
  pair(grant: BenchGrant, chainKey: Uint8Array, time: UnixMs): void {
    this.#chain = { key: chainKey, head: auditChainStart(chainKey, grant.pairingId) };
    this.act(({ host }) => host.pair(grant, time));
  }

  card(card: Keycard): LockOutcome | undefined {
    return this.act(({ host }) => host.presentCard(card));
  }

  /** Types a code as fast as one can, waking the keypad first; undefined when the power went meanwhile. */
  type(code: string): LockOutcome | undefined {
    const isAsleep = this.act(({ host }) => host.keypadAsleep) ?? false;
    for (const key of keysOfCode(code, isAsleep) ?? []) {
      const outcomes = this.act(({ host }) => host.pressOne(key as KeypadKey));
      if (outcomes === undefined) return undefined;
      const last = outcomes.at(-1);
      if (last !== undefined) return last;
    }
    return undefined;
  }

  /** The end of a hostile visit; undefined: this one is honest, or another visit goes on. */
  #lieTo({ firmware, host }: Power, connection: AirConnection): ConnectionListener | undefined {
    const pairing = firmware.pairing;
    if (pairing === undefined || host.visited) return undefined;
    if (this.#isLying) {
      this.#options.clock.after(0, () => connection.close());
      return { frame: () => undefined, ended: () => undefined };
    }
    const drawn = this.drawLie();
    if (drawn === undefined) return undefined;
    const { lie, otherPairingId } = drawn;
    const isFrameLie = typeof lie === "string";
    const told: ToldLie = {
      name: isFrameLie ? lie : lie.name,
      kind: isFrameLie ? "contradicted" : lie.kind,
      connection,
      told: 0,
    };
    this.lies.push(told);
    this.#isLying = true;
    const options = {
      firmware,
      pairing,
      otherPairingId,
      connection,
      clock: this.#clockWhile(() => this.#power?.firmware === firmware),
      random: this.#options.random,
      kept: this.#said,
      onLie: () => {
        told.told += 1;
        this.onLie(told);
      },
      onEnd: () => {
        this.#isLying = false;
      },
    };
    return isFrameLie ? new LyingSession(options, lie) : new LyingVisit(options, lie);
  }

  /** The lie that was told over this connection. */
  lieOver(connection: AirConnection | undefined): ToldLie | undefined {
    return this.lies.find((lie) => lie.connection === connection && lie.told > 0);
  }

  /** Pulls the battery. */
  powerOff(): void {
    this.#power = undefined;
    this.#isLying = false;
    this.flash = new MemoryFlash(this.flash.image());
  }

  /** Puts it back in; the lock boots on what flash holds. */
  powerOn(): void {
    if (this.#power !== undefined) return;
    const { clock, random, address } = this.#options;
    try {
      const firmware = new LockFirmware(this.#hardware(), this.flash, clock.monotonicMs());
      const host = new LockHost({
        firmware,
        address,
        clock: this.#clockWhile(() => this.#power?.firmware === firmware),
        random: (length) => random.bytes(length),
        onChange: () => undefined,
        onTimeout: () => undefined,
        onVisit: () => undefined,
      });
      this.#power = { firmware, host };
    } catch (error) {
      return this.#failed(error);
    }
    this.act(() => undefined);
  }

  /** Runs something on the lock while it has power; a power cut in the middle of it ends the lock. */
  act<Value>(what: (power: Power) => Value): Value | undefined {
    const power = this.#power;
    return power === undefined ? undefined : this.#while(power, () => what(power));
  }

  #while<Value>(power: Power, what: () => Value): Value | undefined {
    if (this.#power !== power) return undefined;
    try {
      const value = what();
      this.#readLog();
      this.#options.onActed(this);
      return value;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof PowerLost)) throw error;
    this.powerOff();
    this.#options.onPowerLost(this, error.region);
  }

  /** Takes down what the log shows beyond what it showed before; nothing of that may ever change or go. */
  #readLog(): void {
    const log = this.firmware?.log;
    const chain = this.#chain;
    if (log === undefined || chain === undefined) return;
    const known = this.entries.length + 1;
    if (log.next < known) return this.#options.onBroken(`the log went back from ${known} to ${log.next}`);
    for (const entry of log.read(known, log.next - known)) {
      this.entries.push(entry);
      chain.head = auditChainNext(chain.key, chain.head, entry);
    }
    if (this.entries.length + 1 !== log.next) this.#options.onBroken("the log lost entries before anybody read them");
    if (!equalBytes(chain.head, log.head)) this.#options.onBroken("the log's chain is not that of its entries");
  }

  #hardware(): LockHardware {
    const { device, model, door, driftPpm } = this.#options;
    return {
      device,
      model: modelByName[model],
      firmware: "2.3.1",
      hardware: "rev-c",
      door,
      driftPpm,
      battery: this.#battery,
      factoryKey: this.staticPrivateKey,
    };
  }

  /** Timers of a lock without power never fire. */
  #clockWhile(isOn: () => boolean): WorldClock {
    const { clock } = this.#options;
    return {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) =>
        clock.after(delayMs, () => {
          if (isOn()) this.act(callback);
        }),
    };
  }
}
