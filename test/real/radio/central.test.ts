import { createBluetooth } from "node-ble";
import { afterEach, describe, expect, it } from "vitest";
import { useSystemBus } from "../../../agent/ble/bus-address.ts";
import { createBleRadio } from "../../../agent/ble/central.ts";
import { RadioError, type RadioErrorCode } from "../../../agent/ports/radio.ts";
import { startFakeBluez } from "../../../emulator/radio/fake-bluez.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { type Air, addLock, clock, deadlines, frameOf, listener, numberOf, openAir, until } from "./air.ts";

let air: Air | undefined;

afterEach(async () => {
  await air?.close();
  air = undefined;
});

async function open(...options: Parameters<typeof openAir>): Promise<Air> {
  air = await openAir(...options);
  return air;
}

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function codeOf(work: Promise<unknown>): Promise<RadioErrorCode | "nothing thrown" | "another error"> {
  const error = await errorOf(work);
  if (error === undefined) return "nothing thrown";
  return error instanceof RadioError ? error.code : "another error";
}

const untilHeard = { durationMs: 5_000, enough: (heard: readonly unknown[]) => heard.length > 0 };
/** So fast that nothing waits; for tests about counts. */
const FAST = { timeScale: 0.002 };

describe("scan", () => {
  it("[R5] gives each lock once, with the name, signal and service data that are on the air", async () => {
    const world = await open(FAST);
    for (const number of [1, 2, 3]) addLock(world, number);
    const heard = await world.radio.scan({ durationMs: 5_000, enough: (sightings) => sightings.length === 3 });
    expect(heard.map(({ address, name }) => [address, name])).toEqual([
      ["C0:FF:EE:00:00:01", "lock-1"],
      ["C0:FF:EE:00:00:02", "lock-2"],
      ["C0:FF:EE:00:00:03", "lock-3"],
    ]);
    expect(heard.map(({ advertisement }) => [...advertisement])).toEqual([
      [1, 1, 0, 0, 1, 0],
      [1, 1, 0, 0, 2, 0],
      [1, 1, 0, 0, 3, 0],
    ]);
    for (const { rssi } of heard) expect(rssi).toBeLessThan(0);
  });

  it("[R5] a lock that left is not heard, though BlueZ goes on listing it", async () => {
    const world = await open(FAST);
    const [left, stays] = [addLock(world, 1), addLock(world, 2)];
    const both = await world.radio.scan({ durationMs: 5_000, enough: (sightings) => sightings.length === 2 });
    expect(both).toHaveLength(2);
    left.handle.setPresent(false);
    const heard = await world.radio.scan({ durationMs: 200 });
    expect(heard.map(({ address }) => address)).toEqual([stays.address]);
  });

  it("[R5] shows what is advertised now, not what BlueZ remembers", async () => {
    const world = await open(FAST);
    let version = 1;
    world.bluez.addPeripheral({
      address: "C0:FF:EE:00:00:01",
      name: "lock-1",
      advertisement: () => new Uint8Array([1, 0, 0, 0, version, 0]),
      onConnection: () => ({ frame: () => undefined, ended: () => undefined }),
    });
    const first = await world.radio.scan(untilHeard);
    version = 9;
    const second = await world.radio.scan(untilHeard);
    expect([first, second].map((heard) => heard[0]?.advertisement[4])).toEqual([1, 9]);
  });

  it("ends early when its signal is aborted, with what was heard so far", async () => {
    const world = await open(FAST);
    addLock(world);
    const abort = new AbortController();
    const scanning = world.radio.scan({ durationMs: 600_000, signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    expect((await scanning).length).toBeLessThanOrEqual(1);
    expect(await codeOf(world.radio.scan({ durationMs: 1 }))).toBe("nothing thrown");
  });

  it("works while another program keeps a discovery running", async () => {
    const world = await open(FAST);
    addLock(world);
    const { bluetooth, destroy } = createBluetooth();
    await (await bluetooth.defaultAdapter()).startDiscovery();
    expect(await world.radio.scan(untilHeard)).toHaveLength(1);
    destroy();
  });
});

describe("frames", () => {
  it.each([1, 20, 243, 244])("[R4] frames of %d bytes arrive whole, both ways", async (length) => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    const sent = Array.from({ length: 12 }, (_, index) => new Uint8Array(length).fill(index + 1));
    await Promise.all(sent.map((frame) => link.send(frame)));
    await until("the echoes", () => hears.frames.length === sent.length);
    expect(lock.heard).toEqual(sent);
    expect(hears.frames.map((frame) => [...frame])).toEqual(sent.map((frame) => [...frame]));
    await link.close();
  });

  it.each([0, 245, 510, 511])(
    "[R4] a frame of %d bytes is refused on our side, and the link lives on",
    async (length) => {
      const world = await open();
      const lock = addLock(world);
      await world.radio.scan(untilHeard);
      const link = await world.radio.connect(lock.address, listener());
      const error = await errorOf(link.send(new Uint8Array(length)));
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(RadioError);
      await link.send(frameOf(7));
      await until("the next frame", () => lock.heard.length === 1);
      expect(world.bluez.statistics.commandsLost).toBe(0);
      await link.close();
    },
  );

  it("[R4] a whole visit makes no request while another is under way", async () => {
    const world = await open({ extraCharacteristics: 6 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    await Promise.all(Array.from({ length: 60 }, (_, index) => link.send(frameOf(index))));
    await until("the echoes", () => hears.frames.length === 60);
    await link.close();
    expect(world.bluez.statistics).toMatchObject({ requestsRefused: 0, commandsLost: 0, framesIn: 60, framesOut: 60 });
  });

  it("[R9] reordered delivery is visible in both directions, bounded by its depth, and loses nothing", async () => {
    const depth = 8;
    const world = await open({ reorderDepth: depth }, { seed: 5 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    const count = 120;
    await Promise.all(Array.from({ length: count }, (_, index) => link.send(frameOf(index))));
    await until("the echoes", () => hears.frames.length === count);
    const inOrder = Array.from({ length: count }, (_, index) => index);
    const inward = lock.heard.map(numberOf);
    const outward = hears.frames.map(numberOf);
    expect(inward).not.toEqual(inOrder);
    expect(outward).not.toEqual(inward);
    expect(inward.toSorted((a, b) => a - b)).toEqual(inOrder);
    expect(outward.toSorted((a, b) => a - b)).toEqual(inOrder);
    inward.forEach((number, place) => {
      const overtakenBy = inward.slice(0, place).filter((other) => other > number).length;
      expect(overtakenBy).toBeLessThanOrEqual(depth);
    });
    await link.close();
  });

  it("[R9] doubled and silently lost frames reach the session as they are", async () => {
    const world = await open({ duplicateShare: 0.5, silentLossShare: 0.2 }, { seed: 3 });
    const lock = addLock(world, 1, { echo: false });
    await world.radio.scan(untilHeard);
    const link = await world.radio.connect(lock.address, listener());
    await Promise.all(Array.from({ length: 100 }, (_, index) => link.send(frameOf(index))));
    // The last frame may be one of the lost; close() lets what is on the air arrive.
    await link.close();
    const numbers = lock.heard.map(numberOf);
    expect(new Set(numbers).size).toBeLessThan(100);
    expect(numbers.length).toBeGreaterThan(new Set(numbers).size);
  });
});

describe("a link that goes", () => {
  it("[R8] lost under a write: the write fails with link-lost, closed comes once, and the radio is free", async () => {
    const world = await open({ linkLossAtFrame: 5 });
    const lock = addLock(world, 1, { echo: false });
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    const codes: string[] = [];
    for (let index = 1; index <= 8; index++) codes.push(await codeOf(link.send(frameOf(index))));
    expect(codes).toEqual([...Array(4).fill("nothing thrown"), ...Array(4).fill("link-lost")]);
    expect(hears.ends).toEqual([{ reason: "link-lost" }]);
    expect(lock.ends).toEqual(["link-lost"]);
    await link.close();
    world.bluez.setProfile({ linkLossAtFrame: undefined });
    const again = await world.radio.connect(lock.address, listener());
    await again.send(frameOf(1));
    await again.close();
    expect(hears.ends).toHaveLength(1);
  });

  it("[R8] lost while many frames wait: every send settles with link-lost", async () => {
    const world = await open({ linkLossAtFrame: 10 });
    const lock = addLock(world, 1, { echo: false });
    await world.radio.scan(untilHeard);
    const link = await world.radio.connect(lock.address, listener());
    const codes = await Promise.all(Array.from({ length: 100 }, (_, index) => codeOf(link.send(frameOf(index)))));
    expect(codes.filter((code) => code !== "nothing thrown" && code !== "link-lost")).toEqual([]);
    // Until BlueZ notices it goes on acknowledging; the tenth, under which the link broke, and the last cannot go through.
    expect([codes[9], codes.at(-1)]).toEqual(["link-lost", "link-lost"]);
  });

  it("[R8] lost while idle: closed comes without anybody asking", async () => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    await world.radio.connect(lock.address, hears);
    lock.handle.breakLink();
    await until("closed", () => hears.ends.length === 1);
    expect(hears.ends).toEqual([{ reason: "link-lost" }]);
  });

  it("[R7] the lock closes: its last frames arrive first, and BlueZ is not asked to disconnect", async () => {
    const world = await open();
    const lock = addLock(world, 1, { echo: false });
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    for (let index = 0; index < 6; index++) lock.connection?.notify(frameOf(index));
    lock.connection?.close();
    await link.close({ waitForPeerMs: 5_000 });
    expect(hears.frames.map(numberOf)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(hears.ends).toEqual([{ reason: "link-lost" }]);
    expect(lock.ends).toEqual(["closed-by-lock"]);
    expect(world.bluez.statistics.disconnects).toBe(0);
  });

  it("[R7] closed here: once however often asked, and the next visit can begin at once", async () => {
    const world = await open({ timeScale: 0.02 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    for (let visit = 1; visit <= 3; visit++) {
      const hears = listener();
      const link = await world.radio.connect(lock.address, hears);
      await Promise.all([link.close(), link.close()]);
      expect(hears.ends).toEqual([{ reason: "closed-here" }]);
      expect(await codeOf(link.send(frameOf(1)))).toBe("link-lost");
    }
    expect(world.bluez.statistics).toMatchObject({ connections: 3, disconnects: 3 });
  });
});

describe("connect", () => {
  it("[R2] an absent lock is cut by the deadline and the attempt taken back, so that the next one goes through", async () => {
    const world = await open({
      timeScale: 1,
      connectMs: 1,
      servicesMs: 1,
      advertisingIntervalMs: 20,
      disconnectMs: 20,
    });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    lock.handle.setPresent(false);
    const error = await errorOf(world.radio.connect(lock.address, listener(), deadlines({ connectMs: 150 })));
    expect(error).toMatchObject({ name: "RadioError", code: "connect-timeout", operation: "connect" });
    lock.handle.setPresent(true);
    const link = await world.radio.connect(lock.address, listener(), deadlines({ connectMs: 5_000 }));
    await link.close();
  });

  it("[R8] BlueZ gives up first: connect-failed", async () => {
    const world = await open({ timeScale: 0.002 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    lock.handle.setPresent(false);
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe("connect-failed");
  });

  it("[R3] services that are resolved late are waited for", async () => {
    const world = await open({ servicesMs: 12_000 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const link = await world.radio.connect(lock.address, listener());
    await link.send(frameOf(1));
    await until("the frame", () => lock.heard.length === 1);
    await link.close();
  });

  it("[R3] services that never come: services-timeout, and the lock is let go", async () => {
    const world = await open({ servicesNeverShare: 1 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const connecting = world.radio.connect(lock.address, listener(), deadlines({ servicesMs: 100 }));
    expect(await codeOf(connecting)).toBe("services-timeout");
    expect(lock.ends).toEqual(["closed-by-central"]);
  });

  it("[R3] ServicesResolved that is true too early: the service is looked for again", async () => {
    const world = await open({ servicesResolved: "early", servicesMs: 3_000 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    await link.send(frameOf(3));
    await until("the echo", () => hears.frames.length === 1);
    await link.close();
  });

  it("[R3] resolved, but our service is not there: wrong-services", async () => {
    const world = await open({ servicesResolved: "early", servicesMs: 20_000 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const connecting = world.radio.connect(lock.address, listener(), deadlines({ servicesMs: 1_200 }));
    expect(await codeOf(connecting)).toBe("wrong-services");
    expect(lock.ends).toEqual(["closed-by-central"]);
  });

  it.each([
    { mtu: 23, tellsMtu: true, code: "mtu-too-small" },
    { mtu: 246, tellsMtu: true, code: "mtu-too-small" },
    { mtu: 247, tellsMtu: true, code: "nothing thrown" },
    { mtu: 247, tellsMtu: false, code: "nothing thrown" },
    { mtu: 23, tellsMtu: false, code: "nothing thrown" },
  ])("[R10] an MTU of $mtu, told: $tellsMtu: $code", async ({ mtu, tellsMtu, code }) => {
    const world = await open({ mtu, tellsMtu });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe(code);
  });

  it("[R6] a connection that outlived a killed agent is closed before a new one is made", async () => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const { bluetooth, destroy } = createBluetooth();
    await (await (await bluetooth.defaultAdapter()).getDevice(lock.address)).connect();
    destroy();
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    expect(lock.ends).toEqual(["closed-by-central"]);
    expect(world.bluez.statistics.connections).toBe(2);
    await link.send(frameOf(4));
    await until("the echo", () => hears.frames.length === 1);
    await link.close();
  });

  it("a lock that BlueZ has forgotten is listened for first; one that is not there is not found", async () => {
    const world = await open(FAST);
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    lock.handle.forget();
    const link = await world.radio.connect(lock.address, listener());
    await link.close();
    const nobody = world.radio.connect("C0:FF:EE:00:00:99", listener(), deadlines({ findMs: 60 }));
    expect(await codeOf(nobody)).toBe("not-found");
  });

  it("[R11] one thing at a time: a second scan or visit is told busy", async () => {
    const world = await open(FAST);
    const lock = addLock(world);
    const scanning = world.radio.scan(untilHeard);
    expect(await codeOf(world.radio.scan(untilHeard))).toBe("busy");
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe("busy");
    await scanning;
    const link = await world.radio.connect(lock.address, listener());
    expect(await codeOf(world.radio.scan(untilHeard))).toBe("busy");
    await link.close();
    expect(await codeOf(world.radio.scan(untilHeard))).toBe("nothing thrown");
  });

  it("closing the radio stops a connect and leaves no lock connected", async () => {
    const world = await open({ servicesMs: 10_000_000 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const connecting = codeOf(world.radio.connect(lock.address, listener()));
    await until("the connection", () => lock.connection !== undefined);
    await world.radio.close();
    expect(await connecting).toBe("closed");
    expect(lock.ends).toEqual(["closed-by-central"]);
    expect(await codeOf(world.radio.scan(untilHeard))).toBe("closed");
  });
});

describe("what stands below fails", () => {
  it("[R2] the bus daemon is killed in the middle of a visit: everything ends with no-bus", async () => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    await link.send(frameOf(1));
    world.bus.crash();
    await until("closed", () => hears.ends.length === 1);
    expect(hears.ends[0]).toMatchObject({ reason: "radio-failed", error: { code: "no-bus" } });
    expect(await codeOf(link.send(frameOf(2)))).not.toBe("nothing thrown");
    await link.close();
    expect(await codeOf(world.radio.scan({ durationMs: 50 }))).toBe("no-bus");
    expect(await codeOf(world.radio.connect(lock.address, listener()))).toBe("no-bus");
  });

  it("[R2] the bus daemon is killed while a connect is under way: it fails with no-bus", async () => {
    const world = await open({ servicesMs: 10_000_000 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const connecting = codeOf(world.radio.connect(lock.address, listener()));
    await until("the connection", () => lock.connection !== undefined);
    world.bus.crash();
    expect(await connecting).toBe("no-bus");
  });

  it("[R2] a bus that stands still: the call is cut by its deadline with no-answer", async () => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    process.kill(world.bus.pid, "SIGSTOP");
    const connecting = world.radio.connect(lock.address, listener(), deadlines({ callMs: 120, disconnectMs: 120 }));
    expect(await codeOf(connecting)).toBe("no-answer");
    process.kill(world.bus.pid, "SIGCONT");
    const link = await world.radio.connect(lock.address, listener());
    await link.close();
  });

  it("[R8] bluetoothd dies in the middle of a visit and comes back: no-bluetooth, then the next visit works", async () => {
    const world = await open();
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const hears = listener();
    const link = await world.radio.connect(lock.address, hears);
    world.bluez.close();
    await until("the link's end", () => hears.ends.length === 1);
    await link.close();
    expect(await codeOf(world.radio.scan({ durationMs: 50 }))).toBe("no-bluetooth");
    const restarted = await startFakeBluez({
      busAddress: world.bus.address,
      clock,
      random: seededRandom(2, "air").next,
    });
    if (!restarted.ok) throw new Error("the second BlueZ did not start");
    const second = addLock({ ...world, bluez: restarted.value }, 2);
    await world.radio.scan(untilHeard);
    await (await world.radio.connect(second.address, listener())).close();
    restarted.value.close();
  });

  it("[R8] an adapter that is off, or is not there, is told so", async () => {
    const world = await open(FAST);
    world.bluez.setPowered(false);
    expect(await codeOf(world.radio.scan({ durationMs: 50 }))).toBe("adapter-off");
    const other = createBleRadio({ clock, adapter: "hci7" });
    expect(await codeOf(other.scan({ durationMs: 50 }))).toBe("no-adapter");
    await other.close();
  });

  it("[R8] no bus at the address: no-bus", async () => {
    const used = useSystemBus("unix:path=/nowhere/bus.sock");
    expect(used.ok).toBe(true);
    const radio = createBleRadio({ clock });
    expect(await codeOf(radio.scan({ durationMs: 50 }))).toBe("no-bus");
    await radio.close();
  });
});

describe("many visits in one process", () => {
  it("[R1] 120 visits to a lock with 14 characteristics: none fails, none hangs, every frame comes back", async () => {
    const world = await open({ ...FAST, extraCharacteristics: 12 });
    const lock = addLock(world);
    await world.radio.scan(untilHeard);
    const visits = 120;
    for (let visit = 0; visit < visits; visit++) {
      const hears = listener();
      const link = await world.radio.connect(lock.address, hears);
      await Promise.all([link.send(frameOf(visit, 244)), link.send(frameOf(visit, 20))]);
      await until(`the echoes of visit ${visit}`, () => hears.frames.length === 2);
      await link.close();
      expect(hears.ends).toEqual([{ reason: "closed-here" }]);
    }
    expect(world.bluez.statistics).toMatchObject({ connections: visits, framesIn: 2 * visits, framesOut: 2 * visits });
  }, 120_000);
});
