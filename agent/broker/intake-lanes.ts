/**
 * What came from an external broker and is not dealt with yet: each device's messages in their order, those of different devices and
 * those that may be together side by side, so that one commit takes many of them. Bounded: a device that sends more than its share is not heard further, and
 * when all of it is full nothing more is read from the broker. SPEC B13.
 */
import type { DeviceId } from "../../protocol/base/units.ts";

export interface LaneLimits {
  readonly messages: number;
  readonly bytes: number;
  readonly messagesPerDevice: number;
}

export interface LaneWork {
  readonly bytes: number;
  /** Whether it may be under way together with its neighbours, begun in their order; else it waits for all before it, and all behind it for it. */
  readonly isShared: boolean;
  /** Never rejected. */
  readonly run: () => Promise<void>;
}

export class IntakeLanes {
  readonly #limits: LaneLimits;
  readonly #laneByDevice = new Map<DeviceId, LaneWork[]>();
  #messages = 0;
  #bytes = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** Does the work when everything of this device before it is done; false: the device has too much waiting, and this is not done. */
  offer(device: DeviceId, work: LaneWork): boolean {
    const lane = this.#laneByDevice.get(device) ?? [];
    if (lane.length >= this.#limits.messagesPerDevice) return false;
    lane.push(work);
    this.#messages += 1;
    this.#bytes += work.bytes;
    if (lane.length === 1) {
      this.#laneByDevice.set(device, lane);
      void this.#run(device, lane);
    }
    return true;
  }

  /** Undefined while there is room; else fulfilled when there is again. */
  room(): Promise<void> | undefined {
    if (this.#hasRoom()) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Fulfilled when nothing waits. */
  idle(): Promise<void> {
    if (this.#messages === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers<void>();
    return this.#idle.promise;
  }

  get waiting(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#messages, bytes: this.#bytes };
  }

  async #run(device: DeviceId, lane: LaneWork[]): Promise<void> {
    while (lane.length > 0) {
      const group = nextGroup(lane);
      await Promise.all(group.map(({ run }) => run()));
      lane.splice(0, group.length);
      this.#messages -= group.length;
      this.#bytes -= group.reduce((sum, { bytes }) => sum + bytes, 0);
      if (lane.length === 0) this.#laneByDevice.delete(device);
      this.#tell();
    }
  }

  #tell(): void {
    if (this.#hasRoom()) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    if (this.#messages === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }

  #hasRoom(): boolean {
    return this.#messages < this.#limits.messages && this.#bytes < this.#limits.bytes;
  }
}

/** What is under way next: everything shared up to the first that is not, or that one. */
function nextGroup(lane: readonly LaneWork[]): readonly LaneWork[] {
  const alone = lane.findIndex(({ isShared }) => !isShared);
  return alone === 0 ? lane.slice(0, 1) : lane.slice(0, alone === -1 ? lane.length : alone);
}
