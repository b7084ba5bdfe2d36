/** What is asked for a beat, and that systemd hears nothing good when one of them does not give it. */

import { Aedes } from "aedes";
import { describe, expect, it } from "vitest";
import { createAedesBeat } from "../../../agent/broker/aedes-beat.ts";
import { SelfCare } from "../../../agent/machine/self-care.ts";
import { type VitalPart, Vitals, vitalParts } from "../../../agent/machine/vitals.ts";
import { serviceManagerOf, Watchdog } from "../../../agent/machine/watchdog.ts";
import { watchTransport } from "../../../agent/machine/watched-transport.ts";
import { StoreError } from "../../../agent/ports/store.ts";
import type { UpstreamConnection, UpstreamListener } from "../../../agent/ports/upstream.ts";
import { UpstreamError } from "../../../agent/ports/upstream.ts";
import { gatewayId, memoryLog } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const hangs = (): Promise<void> => new Promise(() => undefined);
const beats = async (): Promise<void> => undefined;

interface Fed {
  readonly clock: SteppedClock;
  readonly said: string[];
  readonly logged: { readonly level: string; readonly text: string }[];
  readonly watchdog: Watchdog;
  /** From now on this part hangs. */
  hang(part: VitalPart): void;
  /** It gives its beat again, and those that it owes. */
  recover(part: VitalPart): void;
}

async function feed(options: { readonly notify?: boolean } = {}): Promise<Fed> {
  const clock = new SteppedClock();
  const said: string[] = [];
  const logged: { level: string; text: string }[] = [];
  const owed = new Map<VitalPart, (() => void)[]>();
  const beatOf = (part: VitalPart) => (): Promise<void> =>
    owed.has(part) ? new Promise((resolve) => owed.get(part)?.push(resolve)) : beats();
  const vitals = new Vitals({
    clock,
    limitMs: 4_000,
    beats: { store: beatOf("store"), broker: beatOf("broker"), upstream: beatOf("upstream") },
  });
  const watchdog = new Watchdog({
    manager: {
      watchdogMs: 20_000,
      notify: async (assignments) => {
        said.push(...assignments);
        return options.notify ?? true;
      },
    },
    check: () => vitals.check(),
    status: () => "3 devices",
    clock,
    log: memoryLog(logged),
  });
  await watchdog.start();
  return {
    ...{ clock, said, logged, watchdog },
    hang: (part) => owed.set(part, []),
    recover: (part) => {
      for (const resolve of owed.get(part) ?? []) resolve();
      owed.delete(part);
    },
  };
}

const feeds = (said: readonly string[]): number => said.filter((each) => each === "WATCHDOG=1").length;

describe("the watchdog", () => {
  it("[G31] row 132: says READY once, feeds twice in the time that systemd gives, and says STOPPING", async () => {
    const { clock, said, watchdog } = await feed();
    await clock.advance(60_000);
    expect(said[0]).toBe("READY=1");
    expect(feeds(said)).toBe(6);
    expect(said).toContain("STATUS=3 devices");
    await watchdog.stop();
    await clock.advance(60_000);
    expect(said.at(-1)).toBe("STOPPING=1");
    expect(feeds(said)).toBe(6);
  });

  it.each(vitalParts)(
    "[G31] row 132: a %s that hangs stops the feeding, is named, and feeds again when it beats",
    async (part) => {
      const world = await feed();
      await world.clock.advance(20_000);
      world.hang(part);
      const before = feeds(world.said);
      await world.clock.advance(60_000);
      expect(feeds(world.said)).toBe(before);
      expect(world.said.at(-1)).toBe(`STATUS=not fed: ${part}: no beat within 4000 ms`);
      // Named once, however long it lasts.
      expect(world.logged.filter(({ level }) => level === "error")).toEqual([
        { level: "error", text: expect.stringContaining(`"parts":"${part}"`) },
      ]);
      world.recover(part);
      await world.clock.advance(60_000);
      expect(feeds(world.said)).toBeGreaterThan(before);
    },
  );

  it("[G31] a hung part is asked once and not again and again", async () => {
    const clock = new SteppedClock();
    let asked = 0;
    const store = (): Promise<void> => {
      asked += 1;
      return hangs();
    };
    const vitals = new Vitals({ clock, limitMs: 1_000, beats: { store, broker: beats, upstream: beats } });
    for (let round = 0; round < 5; round++) {
      const looking = vitals.check();
      await clock.advance(1_000);
      expect((await looking).map((vital) => vital.beats)).toEqual([false, true, true]);
    }
    expect(asked).toBe(1);
  });

  it("[G31] a word that cannot be said is warned of once", async () => {
    const { clock, logged } = await feed({ notify: false });
    await clock.advance(60_000);
    expect(logged.filter(({ text }) => text.startsWith("systemd could not be told"))).toHaveLength(1);
  });

  it.each([
    ["nobody asked", {}, undefined],
    ["told, not watched", { NOTIFY_SOCKET: "/run/n" }, null],
    ["watched", { NOTIFY_SOCKET: "/run/n", WATCHDOG_USEC: "30000000", WATCHDOG_PID: "42" }, 30_000],
    ["another process is watched", { NOTIFY_SOCKET: "/run/n", WATCHDOG_USEC: "30000000", WATCHDOG_PID: "43" }, null],
    ["nonsense", { NOTIFY_SOCKET: "/run/n", WATCHDOG_USEC: "soon" }, null],
  ])("[G31] what systemd wants: %s", (_what, environment, expected) => {
    expect(serviceManagerOf(environment, 42)?.watchdogMs).toBe(expected);
  });
});

describe("the beat of the store", () => {
  it.each([
    ["full", true],
    ["failed", true],
    ["closed", false],
  ] as const)(
    "[G31] a store that answers %s: goes round %s, because a restart mends no disk",
    async (code, expected) => {
      const store = new MemoryStore();
      store.coverage = async () => {
        throw new StoreError(code, "no");
      };
      const refuse = async (): Promise<never> => {
        throw new UpstreamError("unreachable", "nobody there");
      };
      const care = new SelfCare({
        ...{ gateway: gatewayId, stateDir: ".", store, transport: { connect: refuse }, environment: {} },
        ...{ clock: new SteppedClock(), log: memoryLog([]) },
        rules: { backoffCapMs: () => 60_000, announceMs: () => 60_000 },
      });
      const vitals = await care.check();
      await care.end();
      expect(vitals.map(({ part, beats }) => [part, beats])).toEqual([
        ["store", expected],
        ["broker", true],
        ["upstream", true],
      ]);
    },
  );
});

describe("the beat of the upstream state machine", () => {
  const rules = { backoffCapMs: () => 60_000, announceMs: () => 60_000 };
  const connection: UpstreamConnection = { publish: beats, subscribe: beats, close: beats };
  const isBeating = async (beat: () => Promise<void>): Promise<boolean> =>
    beat().then(
      () => true,
      () => false,
    );

  it("[G31] being offline is fine for as long as it tries again within its back-off", async () => {
    const clock = new SteppedClock();
    const refuse = async (): Promise<never> => {
      throw new UpstreamError("unreachable", "nobody there");
    };
    const { transport, beat } = watchTransport({ connect: refuse }, rules, clock);
    const listener: UpstreamListener = { message: () => undefined, closed: () => undefined };
    for (let round = 0; round < 100; round++) {
      await transport.connect(listener).catch(() => undefined);
      await clock.advance(60_000);
      expect(await isBeating(beat)).toBe(true);
    }
    await clock.advance(31_000);
    expect(await isBeating(beat)).toBe(false);
  });

  it("[G31] linked it must speak; one that only sits there does not beat", async () => {
    const clock = new SteppedClock();
    const { transport, beat } = watchTransport({ connect: async () => connection }, rules, clock);
    const linked = await transport.connect({ message: () => undefined, closed: () => undefined });
    for (let round = 0; round < 10; round++) {
      await linked.publish("a", "", { retain: true });
      await clock.advance(120_000);
      expect(await isBeating(beat)).toBe(true);
    }
    await clock.advance(60_000);
    expect(await isBeating(beat)).toBe(false);
  });

  it("[G31] after a link ended, closing that never comes back is no beat", async () => {
    const clock = new SteppedClock();
    let heard: UpstreamListener | undefined;
    const connect = async (listener: UpstreamListener): Promise<UpstreamConnection> => {
      heard = listener;
      return { ...connection, close: hangs };
    };
    const { transport, beat } = watchTransport({ connect }, rules, clock);
    const linked = await transport.connect({ message: () => undefined, closed: () => undefined });
    heard?.closed("gone");
    linked.close().catch(() => undefined);
    await clock.advance(90_000);
    expect(await isBeating(beat)).toBe(true);
    await clock.advance(1_000);
    expect(await isBeating(beat)).toBe(false);
  });
});

describe("the beat of the embedded broker", () => {
  it("[G31] comes back through the broker, and does not while it routes nothing", async () => {
    const aedes = await Aedes.createBroker();
    const beat = createAedesBeat(aedes);
    await beat();
    await beat();
    // What a frozen subscriber does to everybody once all of the broker's places are taken.
    const publish = aedes.publish.bind(aedes);
    aedes.publish = () => undefined;
    const settled = await Promise.race([
      beat().then(() => "beats"),
      new Promise((resolve) => setImmediate(resolve, "hangs")),
    ]);
    expect(settled).toBe("hangs");
    aedes.publish = publish;
    await beat();
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
  });
});
