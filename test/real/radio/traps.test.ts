/**
 * The agent's radio against each trap of real BlueZ that `central.test.ts` does not set already. That the traps are there to fall into
 * is shown by `fake-bluez.test.ts`, with a plain node-ble; the table that joins them is in `emulator/radio/README.md`.
 */
import { createBluetooth } from "node-ble";
import { afterEach, describe, expect, it } from "vitest";
import { createBleRadio } from "../../../agent/ble/central.ts";
import type { Clock } from "../../../agent/ports/clock.ts";
import { RadioError, type RadioErrorCode } from "../../../agent/ports/radio.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { decodeAdvertisement } from "../../../protocol/wire/advertisement.ts";
import {
  type Air,
  addLock,
  clock,
  deadlines,
  frameOf,
  listener,
  numberOf,
  openAir,
  type TestLock,
  until,
} from "./air.ts";

let air: Air | undefined;

afterEach(async () => {
  await air?.close();
  air = undefined;
});

async function open(...options: Parameters<typeof openAir>): Promise<{ world: Air; lock: TestLock }> {
  const world = await openAir(...options);
  air = world;
  return { world, lock: addLock(world) };
}

async function codeOf(work: Promise<unknown>): Promise<RadioErrorCode | "nothing thrown" | "another error"> {
  return work.then(
    () => "nothing thrown" as const,
    (error: unknown) => (error instanceof RadioError ? error.code : ("another error" as const)),
  );
}

/** A visit that sends so many frames and hears their echoes: what must go through when nothing is wrong. */
async function visit(world: Air, lock: TestLock, frames = 4): Promise<void> {
  const hears = listener();
  const link = await world.radio.connect(lock.address, hears);
  await Promise.all(Array.from({ length: frames }, (_, index) => link.send(frameOf(index))));
  await until("the echoes", () => hears.frames.length === frames);
  await link.close();
  expect(hears.ends).toEqual([{ reason: "closed-here" }]);
}

const untilHeard = { durationMs: 5_000, enough: (heard: readonly unknown[]) => heard.length > 0 };
const FAST = { timeScale: 0.002 };
const HASTE = 25;
/** Real time, so many times as fast. */
const hastyClock: Clock = {
  nowMs: () => clock.nowMs(),
  monotonicMs: () => monotonicMs(clock.monotonicMs() * HASTE),
  after: (delayMs, action) => clock.after(delayMs / HASTE, action),
};

describe("the library's traps", () => {
  it("[R1] trap 1: a bus that allows few match rules carries visit after visit", async () => {
    const limits = { matchRules: 64, replies: 128 };
    const { world, lock } = await open({ ...FAST, extraCharacteristics: 6 }, { limits });
    await world.radio.scan(untilHeard);
    for (let round = 0; round < 25; round++) await visit(world, lock, 2);
    expect(world.bluez.statistics.connections).toBe(25);
  });

  it("[R3] trap 2: services that are resolved just after the question are found", async () => {
    const { world, lock } = await open({ ...FAST, servicesResolved: "when-asked" });
    await world.radio.scan(untilHeard);
    for (let round = 0; round < 20; round++) await visit(world, lock, 1);
  });

  it("[R4] traps 3 and 8: a visit writes nothing reliably and asks for no pairing", async () => {
    const { world, lock } = await open(FAST);
    await world.radio.scan(untilHeard);
    await visit(world, lock, 30);
    expect(world.bluez.statistics).toMatchObject({ reliableWrites: 0, pairings: 0, framesIn: 30 });
  });

  it("[R8] trap 9: an end that BlueZ tells three times is told once, and so is each frame", async () => {
    const { world, lock } = await open({ changesTold: 3 });
    await world.radio.scan(untilHeard);
    for (let round = 0; round < 3; round++) await visit(world, lock, 3);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    lock.handle.breakLink();
    await until("closed", () => hears.ends.length > 0);
    await link.close();
    await visit(world, lock);
    expect(hears.ends).toEqual([{ reason: "link-lost" }]);
  });

  it("[R1] trap 18: never more calls in flight than a bus with few of them allows", async () => {
    const { world, lock } = await open({}, { limits: { matchRules: 512, replies: 8 } });
    await world.radio.scan(untilHeard);
    await visit(world, lock, 120);
  });
});

describe("trap 13: what is not answered", () => {
  // Each call that a visit makes, in their order; the link is made ready with all but the last two.
  const members = ["Introspect", "Get", "GetAll", "Connect", "StartNotify", "WriteValue", "Disconnect"];

  it.each(members)(
    "[R2] trap 13: %s is never answered: the visit ends by itself, and the next one goes through",
    async (member) => {
      const { world, lock } = await open(FAST);
      await world.radio.scan(untilHeard);
      world.bluez.setProfile({ unanswered: [member] });
      const short = deadlines({ callMs: 150, connectMs: 150, servicesMs: 150, disconnectMs: 150, findMs: 150 });
      const hears = listener();
      const code = await codeOf(
        world.radio.connect(lock.address, hears, short).then(async (link) => {
          const sent = await codeOf(link.send(frameOf(1)));
          await link.close();
          expect([sent, hears.ends.length]).toEqual([member === "WriteValue" ? "no-answer" : "nothing thrown", 1]);
        }),
      );
      const expected = { WriteValue: "nothing thrown", Disconnect: "nothing thrown", Connect: "connect-timeout" };
      expect(code).toBe(Reflect.get(expected, member) ?? "no-answer");
      world.bluez.setProfile({ unanswered: [] });
      await world.radio.scan(untilHeard);
      await visit(world, lock);
    },
  );

  it.each(["GetManagedObjects", "StartDiscovery", "StopDiscovery"])(
    "[R2] trap 13: %s is never answered: the scan ends by itself, and the next one hears",
    async (member) => {
      const { world } = await open({ ...FAST, unanswered: [member] });
      // A scan takes no deadlines, so this radio's time runs fast instead.
      const radio = createBleRadio({ clock: hastyClock });
      expect(await codeOf(radio.scan({ ...untilHeard, durationMs: 1_000 }))).toBe("no-answer");
      world.bluez.setProfile({ unanswered: [] });
      expect(await world.radio.scan(untilHeard)).toHaveLength(1);
      await radio.close();
    },
  );

  it.each([1, 90, 700])(
    "[R8] trap 13: bluetoothd restarts when %d bytes have crossed: the link ends once, and the same radio goes on",
    async (atByte) => {
      const { world, lock } = await open({ ...FAST, daemonDeath: { atByte, downMs: 60_000 } });
      await world.radio.scan(untilHeard);
      const hears = listener();
      const link = await world.radio.connect(lock.address, hears);
      const codes = await Promise.all(Array.from({ length: 40 }, (_, index) => codeOf(link.send(frameOf(index)))));
      await link.close();
      await until("closed", () => hears.ends.length > 0);
      expect(codes.at(-1)).not.toBe("nothing thrown");
      expect(codes).not.toContain("another error");
      expect(hears.ends).toHaveLength(1);
      expect(lock.ends).toEqual(["link-lost"]);
      world.bluez.setProfile({ daemonDeath: undefined });
      let heard: readonly unknown[] = [];
      while (heard.length === 0) heard = await world.radio.scan({ durationMs: 200 }).catch(() => []);
      await visit(world, lock);
    },
  );
});

describe("BlueZ's traps", () => {
  it("[R8] trap 4: another program is at it: scan and connect are told busy, and go through afterwards", async () => {
    const { world, lock } = await open({ ...FAST, busyShare: 1 });
    expect(await codeOf(world.radio.scan(untilHeard))).toBe("busy");
    world.bluez.setProfile({ busyShare: 0 });
    await world.radio.scan(untilHeard);
    world.bluez.setProfile({ busyShare: 1 });
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe("busy");
    world.bluez.setProfile({ busyShare: 0 });
    await visit(world, lock);
  });

  it("[R9] trap 5: commands that BlueZ swallows are missing and nothing else", async () => {
    const { world, lock } = await open({ swallowedCommands: { from: 3, count: 2 } });
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    for (let index = 1; index <= 8; index++) await link.send(frameOf(index));
    await until("the echoes", () => hears.frames.length === 6);
    await link.close();
    expect(hears.frames.map(numberOf)).toEqual([1, 2, 5, 6, 7, 8]);
    expect(world.bluez.statistics.commandsLost).toBe(2);
  });

  it("[R10] trap 6: a small MTU that BlueZ does not tell loses long frames and cuts long answers; the link stays sound", async () => {
    const { world, lock } = await open({ mtu: 100, tellsMtu: false });
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    for (const [index, length] of [244, 97, 98, 20].entries()) await link.send(frameOf(index, length));
    await until("the short ones", () => hears.frames.length === 2);
    lock.connection?.notify(frameOf(9, 244));
    await until("the answer that is cut", () => hears.frames.length === 3);
    await link.close();
    expect(hears.frames.map((frame) => [numberOf(frame), frame.length])).toEqual([
      [1, 97],
      [3, 20],
      [9, 97],
    ]);
  });

  it("[R8] trap 7: characteristics that another program has acquired: the link is refused and the lock let go", async () => {
    const { world, lock } = await open({ ...FAST, acquiredByAnother: true });
    await world.radio.scan(untilHeard);
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe("busy");
    expect(lock.ends).toEqual(["closed-by-central"]);
    world.bluez.setProfile({ acquiredByAnother: false });
    await visit(world, lock);
  });

  it("[R2] trap 11: a Connect that takes 40 s is cut and taken back, and the next one goes through", async () => {
    const { world, lock } = await open({ ...FAST, absentConnectMs: 20_250_000, slowConnectShare: 1 });
    await world.radio.scan(untilHeard);
    const connecting = world.radio.connect(lock.address, listener(), deadlines({ connectMs: 100 }));
    expect(await codeOf(connecting)).toBe("connect-timeout");
    world.bluez.setProfile({ slowConnectShare: 0 });
    await visit(world, lock);
    expect(world.bluez.statistics.connections).toBe(1);
  });

  it("[R7] trap 11: an agent killed in its 2 s of Disconnect: the next one's first connect hangs, is cut, and the second goes", async () => {
    const { world, lock } = await open({ ...FAST, disconnectMs: 150_000 });
    await world.radio.scan(untilHeard);
    const { bluetooth, destroy } = createBluetooth();
    const device = await (await bluetooth.defaultAdapter()).getDevice(lock.address);
    await device.connect();
    void device.disconnect().catch(() => undefined);
    await until("the link is down", () => lock.ends.length === 1);
    destroy();
    const first = world.radio.connect(lock.address, listener(), deadlines({ servicesMs: 100 }));
    expect(await codeOf(first)).toBe("services-timeout");
    await visit(world, lock);
  });

  it.each([1, 20, 21, 300, 555])(
    "[R8] trap 12: a link that breaks at byte %d ends once, and the next one is whole",
    async (atByte) => {
      const { world, lock } = await open({ ...FAST, linkLossAtByte: atByte });
      await world.radio.scan(untilHeard);
      const hears = listener();
      const link = await world.radio.connect(lock.address, hears);
      const codes = await Promise.all(Array.from({ length: 40 }, (_, index) => codeOf(link.send(frameOf(index)))));
      await link.close();
      expect(codes.filter((code) => code !== "nothing thrown" && code !== "link-lost")).toEqual([]);
      expect(hears.ends).toEqual([{ reason: "link-lost" }]);
      const crossed = lock.heard.length + hears.frames.length;
      expect(crossed * 20).toBeLessThan(atByte);
      world.bluez.setProfile({ linkLossAtByte: undefined });
      await visit(world, lock);
    },
  );

  it("[R5] traps 14 and 15: packets without data are nobody's, and a cut advertisement is given as it is, and does not read", async () => {
    const { world, lock } = await open({ ...FAST, advertisements: "empty" });
    expect(await world.radio.scan({ durationMs: 150 })).toEqual([]);
    world.bluez.setProfile({ advertisements: "cut" });
    const [cut] = await world.radio.scan(untilHeard);
    expect(cut).toMatchObject({ address: lock.address });
    expect(decodeAdvertisement(cut?.advertisement ?? new Uint8Array(0)).ok).toBe(false);
    world.bluez.setProfile({ advertisements: "whole" });
    const [whole] = await world.radio.scan(untilHeard);
    expect(whole?.advertisement).toHaveLength(6);
  });
});
