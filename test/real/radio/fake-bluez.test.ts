/**
 * The emulated BlueZ as an unmodified node-ble sees it that takes none of our precautions: each trap of real BlueZ
 * must be there to fall into, or the tests of the agent's radio would prove nothing.
 */
import { EventEmitter } from "node:events";
import { type Adapter, createBluetooth, type Device, type GattServer } from "node-ble";
import { afterEach, describe, expect, it } from "vitest";
import { busErrorName } from "../../../agent/ble/bluez-errors.ts";
import { startFakeBluez } from "../../../emulator/radio/fake-bluez.ts";
import { SteppedClock } from "../../../emulator/world/clock.ts";
import { FRAMES_IN_UUID, FRAMES_OUT_UUID, LOCK_SERVICE_UUID } from "../../../protocol/wire/ble-service.ts";
import { type Air, addLock, clock, openAir, type TestLock, until } from "./air.ts";

let air: Air | undefined;
let leave: (() => void)[] = [];
const listenersAllowed = EventEmitter.defaultMaxListeners;

afterEach(async () => {
  EventEmitter.defaultMaxListeners = listenersAllowed;
  for (const one of leave) one();
  leave = [];
  await air?.close();
  air = undefined;
});

interface Plain {
  readonly air: Air;
  readonly adapter: Adapter;
  readonly lock: TestLock;
  /** What the bus connection emitted as "error", by D-Bus name. */
  readonly busErrors: (string | undefined)[];
}

async function open(...options: Parameters<typeof openAir>): Promise<Plain> {
  air = await openAir(...options);
  const lock = addLock(air);
  const { adapter, busErrors } = await plainAdapter();
  return { air, adapter, lock, busErrors };
}

async function plainAdapter(): Promise<{ adapter: Adapter; busErrors: (string | undefined)[]; leaveNow: () => void }> {
  const { bluetooth, destroy } = createBluetooth();
  leave.push(destroy);
  const busErrors: (string | undefined)[] = [];
  const bus: unknown = Reflect.get(bluetooth, "dbus");
  if (bus instanceof EventEmitter) bus.on("error", (error: unknown) => busErrors.push(busErrorName(error)));
  return { adapter: await bluetooth.defaultAdapter(), busErrors, leaveNow: destroy };
}

async function discover({ adapter, lock }: Plain): Promise<Device> {
  await adapter.startDiscovery();
  const device = await adapter.waitDevice(lock.address, 5_000, 10);
  await adapter.stopDiscovery();
  return device;
}

async function connect(plain: Plain): Promise<GattServer> {
  const device = await discover(plain);
  await device.connect();
  await untilResolved(device);
  return device.gatt();
}

async function untilResolved(device: Device): Promise<void> {
  let resolved: unknown = false;
  while (resolved !== true) resolved = await Reflect.get(device, "helper").prop("ServicesResolved");
}

async function nameOf(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => "nothing thrown",
    (error: unknown) => busErrorName(error),
  );
}

/** Steps the clock until the promise settles, and gives how far it came. */
async function millisecondsUntilSettled(
  stepped: SteppedClock,
  work: Promise<unknown>,
  stepMs: number,
): Promise<number> {
  let settled = false;
  void work.then(
    () => (settled = true),
    () => (settled = true),
  );
  const startMs = stepped.monotonicMs();
  while (!settled) {
    stepped.advance(stepMs);
    // Real time only so that the bytes on the socket can move.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return stepped.monotonicMs() - startMs;
}

const EXTRA_SERVICE = "0000180a-0000-1000-8000-00805f9b34fb";
const EXTRA_CHARACTERISTIC = "00002a00-0000-1000-8000-00805f9b34fb";

describe("the emulated BlueZ, met by plain node-ble", () => {
  it("is found, connected, read, and echoes frames both ways", async () => {
    const plain = await open();
    const gatt = await connect(plain);
    expect(await gatt.services()).toEqual([LOCK_SERVICE_UUID]);
    const service = await gatt.getPrimaryService(LOCK_SERVICE_UUID);
    expect((await service.characteristics()).toSorted()).toEqual([FRAMES_IN_UUID, FRAMES_OUT_UUID]);
    const framesOut = await service.getCharacteristic(FRAMES_OUT_UUID);
    const echoes: number[][] = [];
    framesOut.on("valuechanged", (value) => echoes.push([...value]));
    await framesOut.startNotifications();
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    await framesIn.writeValueWithoutResponse(Buffer.from([1, 2, 3]));
    await until("the echo", () => echoes.length === 1);
    expect(echoes).toEqual([[1, 2, 3]]);
  });

  it("trap 4: a second request on one characteristic is refused with InProgress", async () => {
    const plain = await open({ extraCharacteristics: 1 });
    const service = await (await connect(plain)).getPrimaryService(EXTRA_SERVICE);
    const characteristic = await service.getCharacteristic(EXTRA_CHARACTERISTIC);
    const names = await Promise.all(
      [1, 2, 3].map((byte) => nameOf(characteristic.writeValueWithResponse(Buffer.from([byte])))),
    );
    expect(names).toEqual(["nothing thrown", "org.bluez.Error.InProgress", "org.bluez.Error.InProgress"]);
    expect([...(await characteristic.readValue())]).toEqual([1]);
  });

  it("trap 3: writeValue() without a type makes a reliable write, which the firmware refuses", async () => {
    const service = await (await connect(await open())).getPrimaryService(LOCK_SERVICE_UUID);
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    expect(await nameOf(framesIn.writeValue(Buffer.from([1])))).toBe("org.bluez.Error.Failed");
  });

  it("traps 5 and 16: a command above 510 bytes is acknowledged and lost, one of 510 arrives", async () => {
    const plain = await open();
    const service = await (await connect(plain)).getPrimaryService(LOCK_SERVICE_UUID);
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    for (const length of [510, 511, 512]) await framesIn.writeValueWithoutResponse(Buffer.alloc(length));
    await framesIn.writeValueWithoutResponse(Buffer.from([9]));
    await until("the last one", () => plain.lock.heard.at(-1)?.[0] === 9);
    expect(plain.lock.heard.map(({ length }) => length)).toEqual([510, 1]);
    expect(plain.air.bluez.statistics.commandsLost).toBe(2);
  });

  it("trap 10: RSSI vanishes when the discovery stops, and a device that left stays listed", async () => {
    const plain = await open();
    await plain.adapter.startDiscovery();
    const device = await plain.adapter.waitDevice(plain.lock.address, 5_000, 10);
    expect(Number(await device.getRSSI())).toBeLessThan(0);
    await plain.adapter.stopDiscovery();
    expect(await nameOf(device.getRSSI())).toBe("org.freedesktop.DBus.Error.InvalidArgs");
    plain.lock.handle.setPresent(false);
    expect(await plain.adapter.devices()).toEqual([plain.lock.address]);
  });

  it("trap 11: connecting to an absent device takes 40.5 s and fails", async () => {
    const airClock = new SteppedClock(0);
    const plain = await open({ timeScale: 1 }, { airClock });
    const discovering = discover(plain);
    await millisecondsUntilSettled(airClock, discovering, 500);
    plain.lock.handle.setPresent(false);
    const connecting = (await discovering).connect();
    const tookMs = await millisecondsUntilSettled(airClock, connecting, 500);
    expect(await nameOf(connecting)).toBe("org.bluez.Error.Failed");
    expect(tookMs).toBeGreaterThanOrEqual(40_500);
    expect(tookMs).toBeLessThan(60_000);
  });

  it("trap 11: Disconnect returns 2 s after the link is down", async () => {
    const airClock = new SteppedClock(0);
    const plain = await open({ timeScale: 1 }, { airClock });
    const discovering = discover(plain);
    await millisecondsUntilSettled(airClock, discovering, 500);
    const device = await discovering;
    await millisecondsUntilSettled(airClock, device.connect(), 20);
    const disconnecting = device.disconnect();
    await until("the lock's end of it", () => plain.lock.ends.length === 1);
    expect(await millisecondsUntilSettled(airClock, disconnecting, 100)).toBeGreaterThanOrEqual(2_000);
  });

  it("trap 17: ServicesResolved may be true before the objects are there", async () => {
    const gatt = await connect(await open({ servicesResolved: "early", servicesMs: 2_000 }));
    expect(await gatt.services()).toEqual([]);
  });

  it("trap 12: link loss under a write is Failed, and the next call finds no object", async () => {
    const plain = await open({ linkLossAtFrame: 2 });
    const service = await (await connect(plain)).getPrimaryService(LOCK_SERVICE_UUID);
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    const names: (string | undefined)[] = [];
    for (let index = 0; index < 3; index++) {
      names.push(await nameOf(framesIn.writeValueWithoutResponse(Buffer.from([index]))));
    }
    expect(names).toEqual(["nothing thrown", "org.bluez.Error.Failed", "org.freedesktop.DBus.Error.UnknownObject"]);
    expect(plain.lock.ends).toEqual(["link-lost"]);
  });

  it("trap 1: one session used for many visits leaks match rules until the bus refuses", async () => {
    const plain = await open({ timeScale: 0.002, extraCharacteristics: 12 });
    const device = await discover(plain);
    // The leak shows on the listeners too, from the eleventh visit on; the refusal is what this test is about.
    EventEmitter.defaultMaxListeners = 0;
    let visits = 0;
    while (plain.busErrors.length === 0 && visits < 60) {
      await device.connect();
      await untilResolved(device);
      await device.gatt();
      await device.disconnect();
      visits++;
    }
    expect(plain.busErrors[0]).toBe("org.freedesktop.DBus.Error.LimitsExceeded");
    expect(visits).toBeLessThan(40);
  }, 30_000);

  it("trap 2: gatt() misses the change that comes just after it asked, and waits for ever", async () => {
    const plain = await open({ timeScale: 0.002, servicesResolved: "when-asked" });
    const device = await discover(plain);
    // Each connection leaves listeners behind (trap 9), of which the library would warn.
    EventEmitter.defaultMaxListeners = 0;
    let hangs = 0;
    for (let visit = 0; visit < 30 && hangs === 0; visit++) {
      await device.connect();
      let settled = false;
      void device.gatt().then(() => (settled = true));
      // Whoever asks for ServicesResolved now would be told true: the change is long delivered.
      for (let turn = 0; turn < 100 && !settled; turn++) await device.isConnected();
      if (!settled) hangs++;
      await device.disconnect();
    }
    expect(hangs).toBe(1);
  });

  it("trap 6: an old BlueZ tells no MTU, and what the link does not carry is acknowledged and lost, or cut off", async () => {
    const plain = await open({ mtu: 23, tellsMtu: false });
    const service = await (await connect(plain)).getPrimaryService(LOCK_SERVICE_UUID);
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    expect(await nameOf(Reflect.get(framesIn, "helper").prop("MTU"))).toBe("org.freedesktop.DBus.Error.InvalidArgs");
    const framesOut = await service.getCharacteristic(FRAMES_OUT_UUID);
    const notified: number[] = [];
    framesOut.on("valuechanged", (value) => notified.push(value.length));
    await framesOut.startNotifications();
    for (const length of [21, 20]) await framesIn.writeValueWithoutResponse(Buffer.alloc(length));
    plain.lock.connection?.notify(new Uint8Array(100));
    await until("both echoes", () => notified.length === 2);
    expect(plain.lock.heard.map(({ length }) => length)).toEqual([20]);
    expect(notified.toSorted((a, b) => a - b)).toEqual([20, 20]);
    expect(plain.air.bluez.statistics.commandsLost).toBe(1);
  });

  it("trap 7: what another program has acquired may be neither written nor subscribed to", async () => {
    const plain = await open({ acquiredByAnother: true });
    const service = await (await connect(plain)).getPrimaryService(LOCK_SERVICE_UUID);
    const framesIn = await service.getCharacteristic(FRAMES_IN_UUID);
    const framesOut = await service.getCharacteristic(FRAMES_OUT_UUID);
    const names = [
      await nameOf(framesIn.writeValueWithoutResponse(Buffer.from([1]))),
      await nameOf(framesOut.startNotifications()),
      await nameOf(Reflect.get(framesIn, "helper").callMethod("AcquireWrite")),
    ];
    expect(names.slice(0, 2)).toEqual(["org.bluez.Error.NotPermitted", "org.bluez.Error.NotPermitted"]);
    // And no descriptor is to be had: the library does not even know the member.
    expect(names[2]).not.toBe("nothing thrown");
  });

  it("trap 8: without an agent pairing is refused", async () => {
    const plain = await open();
    const device = await discover(plain);
    await device.connect();
    expect(await nameOf(device.pair())).toBe("org.bluez.Error.AuthenticationFailed");
    plain.air.bluez.setProfile({ pairsWithoutAgent: true });
    expect(await nameOf(device.pair())).toBe("nothing thrown");
    expect(plain.air.bluez.statistics.pairings).toBe(2);
  });

  it("trap 9: one Device object tells each connection once more than the one before, and BlueZ may repeat itself too", async () => {
    const plain = await open({ timeScale: 0.002 });
    const device = await discover(plain);
    const told = { connect: 0, disconnect: 0 };
    device.on("connect", () => told.connect++);
    device.on("disconnect", () => told.disconnect++);
    const connects: number[] = [];
    for (let visit = 1; visit <= 3; visit++) {
      told.connect = 0;
      await device.connect();
      await until("told", () => told.connect >= visit);
      connects.push(told.connect);
      plain.lock.connection?.close();
      await until("taken down", () => told.disconnect >= visit);
      told.disconnect = 0;
    }
    expect(connects).toEqual([1, 2, 3]);
    plain.air.bluez.setProfile({ changesTold: 2 });
    told.connect = 0;
    await device.connect();
    await until("told twice as often", () => told.connect === 8);
  });

  it("trap 11: a connect while a disconnect has not returned is connected and never gets its services", async () => {
    const plain = await open({ timeScale: 0.002, disconnectMs: 200_000 });
    const device = await discover(plain);
    await device.connect();
    await untilResolved(device);
    const disconnecting = device.disconnect();
    await until("the link is down", () => plain.lock.ends.length === 1);
    // The same program asks again, through an object of its own.
    const again = await plain.adapter.getDevice(plain.lock.address);
    await again.connect();
    await disconnecting;
    const resolved: unknown[] = [];
    for (let turn = 0; turn < 100; turn++) resolved.push(await Reflect.get(again, "helper").prop("ServicesResolved"));
    expect([await again.isConnected(), new Set(resolved)]).toEqual([true, new Set([false])]);
  });

  it("trap 13: a call that is not answered has no deadline, and does not settle when the bus is gone either", async () => {
    const plain = await open({ unanswered: ["Connect"] });
    const device = await discover(plain);
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    void device.connect().then(settle, settle);
    for (let turn = 0; turn < 100; turn++) await plain.adapter.isDiscovering();
    plain.air.bus.crash();
    await plain.air.bus.ended;
    await until("the library heard of it", () => plain.busErrors.length > 0 || !plain.lock.handle.connected);
    expect(settled).toBe(false);
  });

  it("trap 13: after a restart of bluetoothd nothing is remembered, and who asks anew is served", async () => {
    const plain = await open({ timeScale: 0.002 });
    const device = await discover(plain);
    await device.connect();
    plain.air.bluez.restart(200_000);
    expect(plain.lock.ends).toEqual(["link-lost"]);
    const names = [await nameOf(device.isConnected()), await nameOf(device.isConnected())];
    // The first may have reached the one that died.
    expect(names[0]).toMatch(/(NoReply|ServiceUnknown)$/);
    expect(names[1]).toBe("org.freedesktop.DBus.Error.ServiceUnknown");
    let name = names[1];
    while (name === "org.freedesktop.DBus.Error.ServiceUnknown") name = await nameOf(device.isConnected());
    expect(name).toBe("org.freedesktop.DBus.Error.UnknownObject");
    const { adapter } = await plainAdapter();
    expect(await adapter.devices()).toEqual([]);
    await discover({ ...plain, adapter });
    expect(await adapter.devices()).toEqual([plain.lock.address]);
  });

  it("traps 14 and 15: an advertisement that could not be read is empty and from nowhere, one that does not fit is cut", async () => {
    const plain = await open({ timeScale: 0.002, advertisements: "empty" });
    await plain.adapter.startDiscovery();
    let devices: string[] = [];
    while (devices.length < 3) devices = await plain.adapter.devices();
    expect(devices).not.toContain(plain.lock.address);
    const phantom = await plain.adapter.getDevice(devices[0] ?? "");
    expect(await nameOf(phantom.getServiceData())).toBe("org.freedesktop.DBus.Error.InvalidArgs");
    expect(await nameOf(phantom.connect())).not.toBe("nothing thrown");
    plain.air.bluez.setProfile({ advertisements: "cut" });
    const device = await plain.adapter.waitDevice(plain.lock.address, 5_000, 10);
    const data: unknown = Object.values(await device.getServiceData())[0];
    expect(data).toMatchObject({ length: 5 });
  });

  it("trap 18: more calls in flight than the bus allows are refused", async () => {
    const plain = await open({ unanswered: ["Pair"] }, { limits: { matchRules: 512, replies: 16 } });
    const device = await discover(plain);
    const names: (string | undefined)[] = [];
    for (let call = 0; call < 20; call++) void nameOf(device.pair()).then((name) => names.push(name));
    await until("the refusals", () => names.length === 4);
    expect(new Set(names)).toEqual(new Set(["org.freedesktop.DBus.Error.LimitsExceeded"]));
  });

  it("a discovery ends with the client that asked for it, a connection does not", async () => {
    const plain = await open();
    const device = await discover(plain);
    const other = await plainAdapter();
    await other.adapter.startDiscovery();
    await device.connect();
    expect(await plain.adapter.isDiscovering()).toBe(true);
    other.leaveNow();
    let discovering: unknown = true;
    while (discovering === true) discovering = await plain.adapter.isDiscovering();
    leave[0]?.();
    const third = await plainAdapter();
    expect(await (await third.adapter.getDevice(plain.lock.address)).isConnected()).toBe(true);
    expect(plain.lock.handle.connected).toBe(true);
  });

  it("a lock can tell that nobody is subscribed, and that its link has ended", async () => {
    const plain = await open();
    const device = await discover(plain);
    await device.connect();
    expect(plain.lock.connection?.notify(new Uint8Array([1]))).toBe(false);
    plain.lock.connection?.close();
    expect(plain.lock.ends).toEqual(["closed-by-lock"]);
    expect(plain.lock.connection?.notify(new Uint8Array([1]))).toBe(false);
    expect(plain.lock.handle.connected).toBe(false);
  });

  it("one org.bluez on a bus: a second is refused, and so is a bus that is not there", async () => {
    const plain = await open();
    const second = await startFakeBluez({ busAddress: plain.air.bus.address, clock, random: () => 0 });
    expect(second).toEqual({ ok: false, fault: { code: "name-taken", name: "org.bluez" } });
    const nowhere = await startFakeBluez({ busAddress: "unix:path=/nowhere/bus.sock", clock, random: () => 0 });
    expect(nowhere).toEqual({ ok: false, fault: { code: "bus-unreachable", systemCode: "ENOENT" } });
  });

  it("outlives its bus: nothing is thrown when answers come due afterwards", async () => {
    const plain = await open({ servicesMs: 2_000 });
    const device = await discover(plain);
    await device.connect();
    plain.air.bus.crash();
    await plain.air.bus.ended;
    plain.lock.connection?.notify(new Uint8Array([1]));
    plain.lock.connection?.close();
    expect(plain.lock.ends).toEqual(["closed-by-lock"]);
  });
});
