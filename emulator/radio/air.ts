/** What meets on the air: a peripheral, the central's BlueZ, and between them a connection. */
import type { WorldClock } from "../world/clock.ts";
import type { AirProfile } from "./air-profile.ts";
import type { BusObjects } from "./bus-objects.ts";

/** What stands behind a radio: a lock's firmware, given the bytes and nothing else. */
export interface Peripheral {
  /** Upper-case hex pairs with colons. */
  readonly address: string;
  readonly name: string;
  /** The service data, asked at each advertisement. */
  readonly advertisement: () => Uint8Array;
  /** A central connected. What is given back hears the connection from its first frame. */
  readonly onConnection: (connection: AirConnection) => ConnectionListener;
}

/** The lock's end of a link. */
export interface AirConnection {
  /** Sends one notification; false when nobody is subscribed or the link has ended, and then nothing is sent. */
  notify(frame: Uint8Array): boolean;
  /** Ends the link from the lock's side, after what was notified has gone out. */
  close(): void;
}

export interface ConnectionListener {
  frame(bytes: Uint8Array): void;
  /** Once; nothing comes after it. */
  ended(reason: ConnectionEnd): void;
}

export type ConnectionEnd = "closed-by-lock" | "closed-by-central" | "link-lost";

/** Counted since the fake was started; what a test or a demo wants to see of the air. */
export interface AirStatistics {
  connections: number;
  /** Disconnects asked for by the central, each of which costs it 2 s. */
  disconnects: number;
  framesIn: number;
  framesOut: number;
  /** Requests refused with InProgress. */
  requestsRefused: number;
  /** Commands that were acknowledged and lost: above the limit, longer than the link carries, or swallowed. */
  commandsLost: number;
  /** Writes of type "reliable", which many firmwares refuse. */
  reliableWrites: number;
  /** Pair was called. */
  pairings: number;
}

/** What every part of the emulated BlueZ needs. */
export interface AirContext {
  /** Of the bluetoothd that lives now. */
  readonly objects: BusObjects;
  readonly clock: WorldClock;
  readonly random: () => number;
  readonly profile: () => AirProfile;
  readonly statistics: AirStatistics;
  readonly adapterPath: string;
  /** bluetoothd dies, and is back after so many milliseconds of the profile. */
  readonly dieFor: (downMs: number) => void;
}
