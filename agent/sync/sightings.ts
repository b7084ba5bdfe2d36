/**
 * What was heard on the air: each lock's latest advertisement for the schedule, when it was last heard for people, and how long the
 * gateway has listened in vain. Nobody signed any of it.
 */
import type { DeviceId, MonotonicMs, UnixMs } from "../../protocol/base/units.ts";
import { type Advertisement, decodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import type { Clock } from "../ports/clock.ts";
import type { Sighting } from "../ports/radio.ts";

export interface Seen {
  readonly atMs: MonotonicMs;
  readonly rssi: number;
  readonly advertisement: Advertisement;
}

export interface Heard {
  readonly atMs: MonotonicMs;
  readonly unixMs: UnixMs;
  /** dBm; null: it spoke in a visit and was not heard on the air. */
  readonly rssi: number | null;
}

export class Sightings {
  readonly #clock: Clock;
  readonly #seenById = new Map<DeviceId, Seen>();
  readonly #heardById = new Map<DeviceId, Heard>();
  #listeningSinceMs: MonotonicMs | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(
    sightings: readonly Sighting[],
    locks: readonly { readonly id: DeviceId; readonly address?: string | undefined }[],
  ) {
    const atMs = this.#clock.monotonicMs();
    const unixMs = this.#clock.nowMs();
    for (const { address, rssi, advertisement } of sightings) {
      const lock = locks.find((known) => known.address === address);
      const read = decodeAdvertisement(advertisement);
      if (lock === undefined || !read.ok) continue;
      this.#seenById.set(lock.id, { atMs, rssi, advertisement: read.value });
      this.#heardById.set(lock.id, { atMs, unixMs, rssi });
    }
  }

  /** After a visit: what was heard before it is about the lock as it was. */
  forget(device: DeviceId): void {
    this.#seenById.delete(device);
  }

  /** A visit in which the lock spoke is a hearing too. */
  spoke(device: DeviceId): void {
    const rssi = this.#heardById.get(device)?.rssi ?? null;
    this.#heardById.set(device, { atMs: this.#clock.monotonicMs(), unixMs: this.#clock.nowMs(), rssi });
  }

  /** Silence means something only from now on, or nothing any more. */
  listens(isListening: boolean): void {
    if (isListening) this.#listeningSinceMs ??= this.#clock.monotonicMs();
    else this.#listeningSinceMs = null;
  }

  seen(device: DeviceId): Seen | null {
    return this.#seenById.get(device) ?? null;
  }

  /** Null: not since the start. */
  heard(device: DeviceId): Heard | null {
    return this.#heardById.get(device) ?? null;
  }

  /** Null: the gateway does not listen. */
  silentSeconds(device: DeviceId): number | null {
    if (this.#listeningSinceMs === null) return null;
    const sinceMs = Math.max(this.#listeningSinceMs, this.#heardById.get(device)?.atMs ?? 0);
    return Math.max(0, Math.floor((this.#clock.monotonicMs() - sinceMs) / 1000));
  }
}
