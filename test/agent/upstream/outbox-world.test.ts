/**
 * The outbox against an authority that loses messages and receipts, over a link that goes and comes, with events that come meanwhile, holes that
 * are filled late and a stated rate: whatever the order of all this, in the end the authority has every event once by its name.
 */
import { expect, it } from "vitest";
import { addRange, type Coverage, coverageToReceipt } from "../../../agent/store/coverage.ts";
import { Outbox } from "../../../agent/upstream/outbox.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const lock = "lock-c1" as DeviceId;
const devices = [lock, "panel-r20" as DeviceId, "panel-r29" as DeviceId];

class World {
  readonly store = new MemoryStore();
  readonly clock = new SteppedClock();
  readonly outbox: Outbox;
  readonly taken = new Map<DeviceId, Coverage>();
  readonly lastByDevice = new Map<DeviceId, number>();
  doubles = 0;
  lossOneIn = 6;
  isUp = false;
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
    const perSecond = [60, 500, Number.POSITIVE_INFINITY][seed % 3] ?? 60;
    this.outbox = new Outbox({
      store: this.store,
      clock: this.clock,
      backlogEventsPerSecond: () => perSecond,
      onError: (error) => {
        throw error;
      },
    });
  }

  /** A whole number from 0 below `below`, the same for the same seed. */
  draw(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }

  async step(): Promise<void> {
    const what = this.draw(10);
    if (what < 5) await this.happen();
    else if (what === 5) await this.setLink(!this.isUp);
    else await this.clock.advance(this.draw(1_500));
  }

  /** Some events of a device come onto the disk; now and then what comes first is behind a hole. */
  async happen(): Promise<void> {
    const device = devices[this.draw(devices.length)] ?? lock;
    const first = (this.lastByDevice.get(device) ?? 0) + 1;
    const count = 1 + this.draw(this.draw(4) === 0 ? 300 : 5);
    const order = device === lock ? "in-order" : "live";
    const cut = this.draw(3) === 0 && count > 2 ? Math.floor(count / 2) : 0;
    await this.#append(device, first + cut, first + count - 1, order);
    if (cut > 0) {
      await this.clock.advance(this.draw(2_000));
      await this.#append(device, first, first + cut - 1, order);
    }
    this.lastByDevice.set(device, first + count - 1);
  }

  async setLink(up: boolean): Promise<void> {
    this.isUp = up;
    if (up) await this.outbox.start((device, payload) => this.#published(device, payload));
    else this.outbox.stop();
  }

  async #append(device: DeviceId, first: number, last: number, order: "live" | "in-order"): Promise<void> {
    const events = Array.from({ length: last - first + 1 }, (_, index) => {
      const sequence = first + index;
      const said = { boot: 1, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "door" };
      return { boot: 1, sequence, body: JSON.stringify(said) };
    });
    await this.store.appendEvents({ device, receivedAtMs: this.clock.nowMs(), events });
    this.outbox.stored(device, first, last, order);
  }

  async #published(device: DeviceId, payload: string): Promise<void> {
    if (this.draw(this.lossOneIn) === 0) return;
    const { events }: { events: { sequence: number; kind: string }[] } = JSON.parse(payload);
    let coverage = this.taken.get(device) ?? [];
    for (const { sequence, kind } of events) {
      expect(kind).toBe("door");
      if (coverage.some(({ first, last }) => first <= sequence && sequence <= last)) this.doubles += 1;
      coverage = addRange(coverage, { first: sequence, last: sequence });
    }
    this.taken.set(device, coverage);
    if (this.draw(this.lossOneIn) === 0) return;
    const { through, missing } = coverageToReceipt(coverage);
    this.clock.after(20 + this.draw(200), () => {
      if (this.isUp) void this.outbox.receipt(device, through, missing);
    });
  }
}

it("[U9] [U10] [U11] whatever is lost on the way, in the end the authority has every event", async () => {
  for (let seed = 1; seed <= 80; seed++) {
    const world = new World(seed);
    for (let step = 0; step < 40; step++) await world.step();
    world.lossOneIn = Number.POSITIVE_INFINITY;
    // Half of them must get there on the connection that they have.
    if (seed % 2 === 0 || !world.isUp) {
      await world.setLink(false);
      await world.setLink(true);
    }
    await world.clock.advance(900_000);
    const had = [...world.lastByDevice].map(([device, last]) => [device, [{ first: 1, last }]] as const).sort();
    expect([...world.taken].sort(), `seed ${seed}`).toEqual(had);
    expect(await world.store.outbox(), `seed ${seed}`).toEqual([]);
  }
}, 60_000);
