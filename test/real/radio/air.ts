/** A private bus with an emulated BlueZ on it and the agent's radio in front of it: the real code path, nothing replaced. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useSystemBus } from "../../../agent/ble/bus-address.ts";
import { createBleRadio } from "../../../agent/ble/central.ts";
import type { Clock } from "../../../agent/ports/clock.ts";
import type { ConnectDeadlines, LinkEnd, LinkListener, Radio } from "../../../agent/ports/radio.ts";
import { DEFAULT_CONNECT_DEADLINES } from "../../../agent/ports/radio.ts";
import type { AirConnection, ConnectionEnd } from "../../../emulator/radio/air.ts";
import type { AirProfile } from "../../../emulator/radio/air-profile.ts";
import { type AirHandle, type FakeBluez, startFakeBluez } from "../../../emulator/radio/fake-bluez.ts";
import { type BusLimits, type PrivateBus, startPrivateBus } from "../../../emulator/radio/private-bus.ts";
import { realClock, type WorldClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

export interface Air {
  readonly bus: PrivateBus;
  readonly bluez: FakeBluez;
  readonly radio: Radio;
  readonly close: () => Promise<void>;
}

export const clock: Clock = realClock;

export interface AirOptions {
  readonly seed?: number;
  /** The clock of the emulated BlueZ alone. */
  readonly airClock?: WorldClock;
  /** Of the bus; those of a system bus when absent. */
  readonly limits?: BusLimits;
}

/** Starts all three; every test closes what it opened. */
export async function openAir(
  profile: Partial<AirProfile> = {},
  { seed = 1, airClock = realClock, limits }: AirOptions = {},
): Promise<Air> {
  const directory = await mkdtemp(join(tmpdir(), "doorlink-air-"));
  const bus = await startPrivateBus({ directory, clock, ...(limits === undefined ? {} : { limits }) });
  if (!bus.ok) throw new Error(`no bus: ${JSON.stringify(bus.fault)}`);
  const bluez = await startFakeBluez({
    busAddress: bus.value.address,
    clock: airClock,
    random: seededRandom(seed, "air").next,
    profile,
  });
  if (!bluez.ok) throw new Error(`no BlueZ: ${JSON.stringify(bluez.fault)}`);
  const used = useSystemBus(bus.value.address);
  if (!used.ok) throw new Error(`no address: ${JSON.stringify(used.fault)}`);
  const radio = createBleRadio({ clock });
  const close = async (): Promise<void> => {
    await radio.close();
    bluez.value.close();
    await bus.value.stop();
    await rm(directory, { recursive: true, force: true });
  };
  return { bus: bus.value, bluez: bluez.value, radio, close };
}

/** A lock that writes down what it hears and, unless told otherwise, sends every frame back. */
export interface TestLock {
  readonly address: string;
  readonly handle: AirHandle;
  readonly heard: Uint8Array[];
  readonly ends: ConnectionEnd[];
  connection: AirConnection | undefined;
}

export function addLock(air: Air, number = 1, options: { readonly echo?: boolean } = {}): TestLock {
  const heard: Uint8Array[] = [];
  const ends: ConnectionEnd[] = [];
  const address = `C0:FF:EE:00:00:${number.toString(16).padStart(2, "0").toUpperCase()}`;
  const handle = air.bluez.addPeripheral({
    address,
    name: `lock-${number}`,
    advertisement: () => new Uint8Array([1, 1, 0, 0, number, 0]),
    onConnection: (connection) => {
      lock.connection = connection;
      return {
        frame: (bytes) => {
          heard.push(bytes);
          if (options.echo !== false) connection.notify(bytes);
        },
        ended: (reason) => ends.push(reason),
      };
    },
  });
  const lock: TestLock = { address, handle, heard, ends, connection: undefined };
  return lock;
}

/** Hears a link and lets a test wait for what it hears. */
export interface TestListener extends LinkListener {
  readonly frames: Uint8Array[];
  readonly ends: LinkEnd[];
}

export function listener(): TestListener {
  const frames: Uint8Array[] = [];
  const ends: LinkEnd[] = [];
  return { frames, ends, frame: (bytes) => frames.push(bytes), closed: (end) => ends.push(end) };
}

export function deadlines(changes: Partial<ConnectDeadlines> = {}): ConnectDeadlines {
  return { ...DEFAULT_CONNECT_DEADLINES, ...changes };
}

/** A frame of any length with a number in its first four bytes. */
export function frameOf(number: number, length = 20): Uint8Array {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0);
}

/** Polls until the condition holds; a test fails when it does not within its limit. */
export async function until(what: string, condition: () => boolean, limitMs = 8_000): Promise<void> {
  const endsAtMs = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endsAtMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
