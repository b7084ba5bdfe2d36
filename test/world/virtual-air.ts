/**
 * The air of the sync world: locks on one side, the agent's radio port on the other, and between them everything a real link does
 * wrong. All of it is drawn from one seed and moves by one stepped clock.
 *
 * Theory of operation. A `VirtualAir` knows which peripherals are powered and in reach. Each gateway life gets a `VirtualRadio`; a link
 * outlives the life that opened it, as in BlueZ, until the lock ends it or the next connect takes it down. What shall go wrong is
 * either a condition of the air (loss, order, doubles) or a fault that waits for the next connect of a radio.
 */
import {
  DEFAULT_CONNECT_DEADLINES,
  type LinkEnd,
  type LinkListener,
  type Radio,
  RadioError,
  type RadioErrorCode,
  type RadioLink,
  type ScanOptions,
  type Sighting,
} from "../../agent/ports/radio.ts";
import type { AirConnection, ConnectionEnd, ConnectionListener, Peripheral } from "../../emulator/radio/air.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { readU32 } from "../../protocol/base/bytes.ts";
import { ATT_MTU_FLOOR_BYTES } from "../../protocol/wire/ble-service.ts";
import { LossyLink } from "./lossy-link.ts";
import type { SteppedClock } from "./stepped-clock.ts";

/** How the air treats every frame of a link that begins now. */
export interface AirConditions {
  readonly loss: number;
  readonly duplication: number;
  readonly reorderDepth: number;
  readonly intervalMs: number;
  readonly framesPerEvent: number;
}

/** What waits for the next connect of a radio. */
export type LinkFault =
  /** Connect takes 40 s: it is cut at the agent's own deadline. */
  | { readonly kind: "slow-connect" }
  /** The link drops when so many bytes have crossed it, both directions counted. */
  | { readonly kind: "cut"; readonly atByte: number }
  /** So many writes from the n-th on are acknowledged by BlueZ and lost. */
  | { readonly kind: "swallow"; readonly from: number; readonly count: number }
  /** An ATT MTU below what a frame needs; an old BlueZ does not tell it. */
  | { readonly kind: "small-mtu"; readonly mtu: number; readonly told: boolean }
  /** bluetoothd, or the bus under it, dies when so many bytes have crossed the link, and is back after `downMs`. */
  | { readonly kind: "daemon-dies" | "bus-dies"; readonly atByte: number; readonly downMs: number }
  /** Another program is at it: BlueZ refuses with InProgress. */
  | { readonly kind: "in-progress" }
  /** The services come so late, though in time. */
  | { readonly kind: "services-late"; readonly delayMs: number }
  /** The services never come, or ServicesResolved was true without them. */
  | { readonly kind: "services-never"; readonly code: "services-timeout" | "wrong-services" };

/** Half of the cuts fall into handshake, clock and log, which every visit has; half anywhere in a bundle of so many bytes. */
export function drawLinkFault(random: SeededRandom, bundleBytes: number): LinkFault {
  const atByte = 1 + random.integer(random.next() < 0.5 ? SHORT_VISIT_BYTES : bundleBytes + SHORT_VISIT_BYTES);
  const kind = random.integer(14);
  if (kind < 6) return { kind: "cut", atByte };
  if (kind < 7) return { kind: "slow-connect" };
  if (kind < 8) return { kind: "daemon-dies", atByte, downMs: 1_000 + random.integer(20_000) };
  if (kind < 9) return { kind: "bus-dies", atByte, downMs: 1_000 + random.integer(20_000) };
  if (kind < 10) return { kind: "swallow", from: 1 + random.integer(30), count: 1 + random.integer(12) };
  if (kind < 11) return { kind: "small-mtu", mtu: 23 + random.integer(495), told: random.next() < 0.5 };
  if (kind < 12) return { kind: "in-progress" };
  if (kind < 13) return { kind: "services-late", delayMs: 500 + random.integer(9_000) };
  return { kind: "services-never", code: random.next() < 0.5 ? "services-timeout" : "wrong-services" };
}

export const kindAir: AirConditions = { loss: 0, duplication: 0, reorderDepth: 0, intervalMs: 30, framesPerEvent: 6 };

export class VirtualAir {
  readonly clock: SteppedClock;
  readonly random: SeededRandom;
  conditions: AirConditions = kindAir;
  /** Disconnect of our own takes this long; the radio is busy meanwhile. */
  disconnectMs = 2_000;
  readonly #peripheralByAddress = new Map<string, () => Peripheral | undefined>();
  readonly #links = new Set<VirtualLink>();
  /** Hears every frame that arrives, for a digest of the whole run. */
  onFrame: (direction: "to-lock" | "to-courier", frame: Uint8Array) => void = () => undefined;

  constructor(clock: SteppedClock, random: SeededRandom) {
    this.clock = clock;
    this.random = random;
  }

  /** `peripheral` gives undefined while the lock has no power or is out of reach. */
  put(address: string, peripheral: () => Peripheral | undefined): void {
    this.#peripheralByAddress.set(address, peripheral);
  }

  peripheral(address: string): Peripheral | undefined {
    return this.#peripheralByAddress.get(address)?.();
  }

  /** The lock is gone: whoever is linked to it notices. */
  drop(address: string): void {
    for (const link of [...this.#links]) if (link.address === address) link.drop();
  }

  sightings(): readonly Sighting[] {
    return [...this.#peripheralByAddress].flatMap(([address, find]) => {
      const peripheral = find();
      if (peripheral === undefined) return [];
      return [{ address, name: peripheral.name, rssi: -60, advertisement: peripheral.advertisement() }];
    });
  }

  open(address: string, peripheral: Peripheral, listener: LinkListener, fault: LinkFault | undefined): VirtualLink {
    const link = new VirtualLink(this, address, peripheral, listener, fault);
    this.#links.add(link);
    return link;
  }

  forget(link: VirtualLink): void {
    this.#links.delete(link);
  }
}

/** One link, both ends of it. */
export class VirtualLink {
  readonly address: string;
  /** What the lock holds of it. */
  readonly lockEnd: AirConnection;
  /** How far the courier's stream of this session has been put on the air, in bytes (SPEC S7 shows it in clear). */
  courierStreamBytes = 0;
  /** How much of it the courier has been told has arrived without a gap (SPEC S8, in clear too). */
  courierAckedBytes = 0;
  onDaemonDeath: (downMs: number, code: RadioErrorCode) => void = () => undefined;
  readonly #air: VirtualAir;
  readonly #toLock: LossyLink;
  readonly #toCourier: LossyLink;
  readonly #fault: LinkFault | undefined;
  readonly #central: LinkListener;
  readonly #lock: ConnectionListener;
  #isOpen = true;
  /** False when the program that opened it was killed. */
  #isHeard = true;
  #cancelTick: () => void = () => undefined;
  #bytesCrossed = 0;
  #writes = 0;

  constructor(
    air: VirtualAir,
    address: string,
    peripheral: Peripheral,
    listener: LinkListener,
    fault: LinkFault | undefined,
  ) {
    this.#air = air;
    this.address = address;
    this.#central = listener;
    this.#fault = fault;
    const path = (): LossyLink => new LossyLink({ ...air.conditions, seed: air.random.integer(2 ** 31) });
    this.#toLock = path();
    this.#toCourier = path();
    this.lockEnd = this.#connection();
    this.#lock = peripheral.onConnection(this.lockEnd);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(frame: Uint8Array): void {
    if (!this.#isOpen) throw new RadioError("link-lost", "send");
    this.#writes += 1;
    this.#noteStream(frame);
    if (!this.#isSwallowed(frame)) this.#toLock.push(frame, this.#now());
    this.#schedule();
  }

  /** Ended by the courier's side; the lock hears it at once. */
  close(): void {
    this.#end("closed-by-central", { reason: "closed-here" });
  }

  /** The link breaks; both ends notice when the supervision time is over. */
  drop(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#toLock.cut();
    this.#toCourier.cut();
    this.#cancelTick();
    this.#air.clock.after(SUPERVISION_MS, () => {
      this.#air.forget(this);
      this.#lock.ended("link-lost");
      if (this.#isHeard) this.#central.closed({ reason: "link-lost" });
    });
  }

  /** The program on the courier's side is gone; BlueZ keeps the link. */
  orphan(): void {
    this.#isHeard = false;
  }

  #connection(): AirConnection {
    return {
      notify: (frame) => {
        if (!this.#isOpen) return false;
        this.#toCourier.push(frame, this.#now());
        this.#schedule();
        return this.#isOpen;
      },
      // What was notified goes out first, as far as the air lets it through.
      close: () => {
        if (!this.#isOpen) return;
        const last = this.#toCourier.nextMs();
        const waitMs = last === undefined ? 0 : FLUSH_MS;
        this.#air.clock.after(waitMs, () => this.#end("closed-by-lock", { reason: "link-lost" }));
      },
    };
  }

  #end(lockHears: ConnectionEnd, courierHears: LinkEnd): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#cancelTick();
    this.#air.forget(this);
    this.#lock.ended(lockHears);
    if (this.#isHeard) this.#central.closed(courierHears);
  }

  #now(): number {
    return this.#air.clock.monotonicMs();
  }

  /** Frames that arrive within one short interval are handed over together, which saves a timer each. */
  #schedule(): void {
    this.#cancelTick();
    const due = [this.#toLock.nextMs(), this.#toCourier.nextMs()].filter((moment) => moment !== undefined);
    if (due.length === 0 || !this.#isOpen) return;
    const at = Math.ceil(Math.min(...due) / HAND_OVER_MS) * HAND_OVER_MS;
    this.#cancelTick = this.#air.clock.after(at - this.#now(), () => this.#handOver());
  }

  #handOver(): void {
    for (const frame of this.#toLock.take(this.#now())) {
      if (!this.#isOpen) return;
      this.#air.onFrame("to-lock", frame);
      this.#lock.frame(frame);
      this.#count(frame.length);
    }
    for (const frame of this.#toCourier.take(this.#now())) {
      if (!this.#isOpen) return;
      this.#air.onFrame("to-courier", frame);
      this.#noteAcknowledgement(frame);
      if (this.#isHeard) this.#central.frame(frame);
      this.#count(frame.length);
    }
    this.#schedule();
  }

  #isSwallowed(frame: Uint8Array): boolean {
    const fault = this.#fault;
    if (fault?.kind === "swallow") return this.#writes >= fault.from && this.#writes < fault.from + fault.count;
    return fault?.kind === "small-mtu" && frame.length > fault.mtu - ATT_HEADER_BYTES;
  }

  #count(bytes: number): void {
    this.#bytesCrossed += bytes;
    const fault = this.#fault;
    if (fault?.kind !== "cut" && fault?.kind !== "daemon-dies" && fault?.kind !== "bus-dies") return;
    if (this.#bytesCrossed < fault.atByte) return;
    if (fault.kind === "cut") return this.drop();
    const { downMs } = fault;
    const code = fault.kind === "bus-dies" ? "no-bus" : "no-bluetooth";
    this.#isOpen = false;
    this.#cancelTick();
    this.#air.clock.after(SUPERVISION_MS, () => {
      this.#air.forget(this);
      this.#lock.ended("link-lost");
    });
    this.#air.clock.after(0, () => {
      this.onDaemonDeath(downMs, code);
      const error = new RadioError(code, "use the link");
      if (this.#isHeard) this.#central.closed({ reason: "radio-failed", error });
    });
  }

  #noteStream(frame: Uint8Array): void {
    if (frame.length < FRAME_OVERHEAD_BYTES) return;
    const [nonce, word] = [readU32(frame, 0), readU32(frame, 4)];
    if (nonce === HANDSHAKE_NONCE || word >= ACKNOWLEDGEMENT_BIT) return;
    this.courierStreamBytes = Math.max(this.courierStreamBytes, word + frame.length - FRAME_OVERHEAD_BYTES);
  }

  #noteAcknowledgement(frame: Uint8Array): void {
    if (frame.length < FRAME_OVERHEAD_BYTES) return;
    const [nonce, word] = [readU32(frame, 0), readU32(frame, 4)];
    if (nonce === HANDSHAKE_NONCE || word < ACKNOWLEDGEMENT_BIT) return;
    this.courierAckedBytes = Math.max(this.courierAckedBytes, word - ACKNOWLEDGEMENT_BIT);
  }
}

/** What outlives the agent's process: BlueZ and the link that it holds. */
export interface Adapter {
  link: VirtualLink | undefined;
  brokenUntilMs: number;
  /** What a caller is told until then. */
  brokenBy: RadioErrorCode;
  /** The next connect meets this. */
  armed: LinkFault | undefined;
}

export function newAdapter(): Adapter {
  return { link: undefined, brokenUntilMs: 0, brokenBy: "no-bluetooth", armed: undefined };
}

/** The agent's radio for one life of its process. */
export class VirtualRadio implements Radio {
  readonly #air: VirtualAir;
  readonly #adapter: Adapter;
  readonly #isAlive: () => boolean;
  #busy = false;
  #closed = false;

  /** When `isAlive` is false, nothing that this radio promised is ever kept. */
  constructor(air: VirtualAir, adapter: Adapter, isAlive: () => boolean = () => true) {
    this.#air = air;
    this.#adapter = adapter;
    this.#isAlive = isAlive;
  }

  async scan(options: ScanOptions): Promise<readonly Sighting[]> {
    this.#enter("scan");
    try {
      const endsAt = this.#air.clock.monotonicMs() + options.durationMs;
      // The first advertisement falls somewhere into the first interval.
      await this.#wait(Math.min(options.durationMs, 1 + this.#air.random.integer(ADVERTISING_MS)), options.signal);
      for (;;) {
        const sightings = this.#air.sightings();
        if (options.enough?.(sightings) === true || options.signal?.aborted === true) return sightings;
        const leftMs = endsAt - this.#air.clock.monotonicMs();
        if (leftMs <= 0 || this.#closed) return sightings;
        await this.#wait(Math.min(leftMs, ADVERTISING_MS), options.signal);
      }
    } finally {
      this.#busy = false;
    }
  }

  async connect(address: string, listener: LinkListener): Promise<RadioLink> {
    this.#enter("connect");
    try {
      const fault = this.#adapter.armed;
      this.#adapter.armed = undefined;
      const standing = this.#adapter.link;
      if (standing?.isOpen === true) await this.#takeDown(standing);
      if (fault?.kind === "in-progress") throw new RadioError("busy", "connect");
      const peripheral = fault?.kind === "slow-connect" ? undefined : this.#air.peripheral(address);
      if (peripheral === undefined) {
        await this.#wait(DEFAULT_CONNECT_DEADLINES.connectMs);
        throw new RadioError("connect-timeout", "connect");
      }
      await this.#wait(CONNECT_MS);
      if (fault?.kind === "small-mtu" && fault.told && fault.mtu < ATT_MTU_FLOOR_BYTES) {
        throw new RadioError("mtu-too-small", "read the MTU");
      }
      const there = this.#air.peripheral(address);
      if (there === undefined) {
        await this.#wait(DEFAULT_CONNECT_DEADLINES.connectMs);
        throw new RadioError("connect-timeout", "connect");
      }
      if (fault?.kind === "services-late") await this.#wait(fault.delayMs);
      if (fault?.kind === "services-never") await this.#stallWithoutServices(there, fault.code);
      return this.#opened(address, there, listener, fault);
    } catch (error) {
      this.#busy = false;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#adapter.link?.close();
  }

  /** The lock sees a connection on which nothing ever comes. */
  async #stallWithoutServices(peripheral: Peripheral, code: RadioErrorCode): Promise<never> {
    const lock = peripheral.onConnection({ notify: () => false, close: () => undefined });
    await this.#wait(DEFAULT_CONNECT_DEADLINES.servicesMs);
    lock.ended("closed-by-central");
    await this.#wait(this.#air.disconnectMs);
    throw new RadioError(code, "resolve the services");
  }

  #opened(address: string, peripheral: Peripheral, listener: LinkListener, fault: LinkFault | undefined): RadioLink {
    const closed = (end: LinkEnd): void => {
      if (end.reason !== "closed-here") this.#busy = false;
      listener.closed(end);
    };
    const link = this.#air.open(address, peripheral, { frame: (bytes) => listener.frame(bytes), closed }, fault);
    this.#adapter.link = link;
    link.onDaemonDeath = (downMs, code) => {
      this.#adapter.brokenUntilMs = this.#air.clock.monotonicMs() + downMs;
      this.#adapter.brokenBy = code;
    };
    return {
      address,
      send: async (frame) => link.send(frame),
      close: async () => {
        if (!link.isOpen) return;
        await this.#takeDown(link);
        this.#busy = false;
      },
    };
  }

  /** BlueZ's Disconnect returns long after the link is down, and no connect may come in between. */
  async #takeDown(link: VirtualLink): Promise<void> {
    link.close();
    await this.#wait(this.#air.disconnectMs);
  }

  #enter(operation: string): void {
    if (this.#closed) throw new RadioError("closed", operation);
    if (this.#air.clock.monotonicMs() < this.#adapter.brokenUntilMs)
      throw new RadioError(this.#adapter.brokenBy, operation);
    if (this.#busy) throw new RadioError("busy", operation);
    this.#busy = true;
  }

  #wait(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        if (this.#isAlive()) resolve();
      };
      const cancel = this.#air.clock.after(delayMs, settle);
      signal?.addEventListener(
        "abort",
        () => {
          cancel();
          settle();
        },
        { once: true },
      );
    });
  }
}

const SHORT_VISIT_BYTES = 1_700;
const ATT_HEADER_BYTES = 3;
/** SPEC S5: 8 bytes of header and 16 of tag. */
const FRAME_OVERHEAD_BYTES = 24;
const HANDSHAKE_NONCE = 0xffff_ffff;
const ACKNOWLEDGEMENT_BIT = 0x8000_0000;
const ADVERTISING_MS = 1_000;
const CONNECT_MS = 120;
const SUPERVISION_MS = 420;
/** Two connection events for what a lock said before it closed. */
const FLUSH_MS = 100;
const HAND_OVER_MS = 15;
