import { Message, sessionBus } from "@jellybrick/dbus-next";
import { afterEach, describe, expect, it } from "vitest";
import { type BluezAdapter, openBluezAdapter } from "../../../emulator/radio/bluez-peripheral.ts";
import { variant } from "../../../emulator/radio/bus-objects.ts";
import { realClock, SteppedClock, type WorldClock } from "../../../emulator/world/clock.ts";
import {
  ADVERTISEMENT_UUID,
  FRAMES_IN_UUID,
  FRAMES_OUT_UUID,
  LOCK_SERVICE_UUID,
} from "../../../protocol/wire/ble-service.ts";
import { frameOf, numberOf, until } from "../radio/air.ts";
import {
  adapterAddress,
  advertisementPath,
  BluezSide,
  type BluezSideOptions,
  devicePath,
  framesInPath,
  framesOutPath,
  testPeripheral,
} from "./bluez-side.ts";

const courier = "C0_FF_EE_00_00_01";
const stranger = "C0_FF_EE_00_00_02";

let stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function startSide(options: BluezSideOptions = {}): Promise<BluezSide> {
  const side = await BluezSide.start(options);
  stops.push(() => side.stop());
  return side;
}

async function openAdapter(side: BluezSide, clock: WorldClock = realClock): Promise<BluezAdapter> {
  const opened = await openBluezAdapter({ adapter: "hci0", busAddress: side.address, clock });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  stops.push(() => opened.value.close());
  return opened.value;
}

async function onAir(clock: WorldClock = realClock, advertisement?: () => Uint8Array) {
  const side = await startSide();
  const adapter = await openAdapter(side, clock);
  const test = testPeripheral(advertisement);
  const put = await adapter.addPeripheral(test.peripheral);
  if (!put.ok) throw new Error(JSON.stringify(put.fault));
  return { ...test, side, adapter, handle: put.value };
}

/** Registers an advertisement with so many bytes of service data, by hand; undefined: one that answers nothing. */
async function register(side: BluezSide, dataBytes: number | undefined): Promise<void> {
  const bus = sessionBus({ busAddress: side.address });
  stops.push(async () => bus.disconnect());
  bus.addMethodHandler((message) => {
    const properties = {
      ServiceUUIDs: variant("as", [LOCK_SERVICE_UUID]),
      ServiceData: variant("a{sv}", { [ADVERTISEMENT_UUID]: variant("ay", Buffer.alloc(dataBytes ?? 0)) }),
    };
    bus.send(
      dataBytes === undefined
        ? Message.newError(message, "org.freedesktop.DBus.Error.InvalidArgs", "cannot be marshalled")
        : Message.newMethodReturn(message, "a{sv}", [properties]),
    );
    return true;
  });
  await bus.call(
    new Message({
      destination: "org.bluez",
      path: "/org/bluez/hci0",
      interface: "org.bluez.LEAdvertisingManager1",
      member: "RegisterAdvertisement",
      signature: "oa{sv}",
      body: ["/by/hand", {}],
    }),
  );
}

describe("opening an adapter", () => {
  it("gives the address that a central connects to", async () => {
    expect((await openAdapter(await startSide())).address).toBe(adapterAddress);
  });

  it("names each thing that is missing, and the way out", async () => {
    const open = (busAddress: string, adapter = "hci0") => openBluezAdapter({ adapter, busAddress, clock: realClock });
    const fault = (code: string, facts: object = {}) => ({
      ok: false,
      fault: { code, remedy: expect.stringMatching(/.{10}/), ...facts },
    });
    expect(await open("unix:path=/nowhere/bus.sock")).toMatchObject(fault("bus-unreachable", { systemCode: "ENOENT" }));
    const side = await startSide();
    expect(await open(side.address, "hci7")).toMatchObject(fault("no-adapter", { adapter: "hci7", found: ["hci0"] }));
    side.die();
    expect(await open(side.address)).toMatchObject(fault("no-bluetooth"));
    const old = await startSide({ hasManagers: false });
    expect(await open(old.address)).toMatchObject(fault("no-peripheral-role", { adapter: "hci0" }));
    const off = await startSide({ powered: false });
    expect(await open(off.address)).toMatchObject(fault("adapter-off", { adapter: "hci0" }));
  });

  it("takes down a central that an earlier life left behind", async () => {
    const side = await startSide();
    side.setConnected(courier, true);
    await openAdapter(side);
    expect(side.calls).toEqual([`Disconnect ${devicePath(courier)}`]);
  });
});

describe("putting a lock on the air", () => {
  it("shows one service with two characteristics", async () => {
    const { side } = await onAir();
    const [tree] = await side.call("/", "GetManagedObjects");
    const uuidOf = (path: string, interfaceName: string) => Reflect.get(Object(tree), path)[interfaceName];
    expect(uuidOf("/doorlink/lock", "org.bluez.GattService1")).toMatchObject({
      UUID: { value: LOCK_SERVICE_UUID },
      Primary: { value: true },
    });
    expect(uuidOf(framesInPath, "org.bluez.GattCharacteristic1")).toMatchObject({
      UUID: { value: FRAMES_IN_UUID },
      Service: { value: "/doorlink/lock" },
      Flags: { value: ["write-without-response"] },
    });
    expect(uuidOf(framesOutPath, "org.bluez.GattCharacteristic1")).toMatchObject({
      UUID: { value: FRAMES_OUT_UUID },
      Flags: { value: ["notify"] },
    });
  });

  it("traps 14 and 15: the advertisement reads whenever BlueZ asks, and fills the 31 bytes of a packet exactly", async () => {
    const { side } = await onAir();
    expect(side.packetBytes).toBe(31);
  });

  it("trap 14: an advertisement that cannot be read is empty on the air, though BlueZ reports success", async () => {
    const side = await startSide();
    await expect(register(side, undefined)).resolves.toBeUndefined();
    expect(side.packetBytes).toBe(0);
  });

  it("trap 15: a byte more than fits is refused", async () => {
    const side = await startSide();
    await expect(register(side, 6)).resolves.toBeUndefined();
    await expect(register(side, 7)).rejects.toMatchObject({ type: "org.bluez.Error.Failed" });
  });

  it("says so when BlueZ refuses, and when it does not answer", async () => {
    const refusing = await openAdapter(await startSide({ register: "refuse" }));
    expect(await refusing.addPeripheral(testPeripheral().peripheral)).toMatchObject({
      ok: false,
      fault: { code: "not-registered", errorName: "org.bluez.Error.NotPermitted", what: "the lock's service" },
    });
    const clock = new SteppedClock(0);
    const silentSide = await startSide({ register: "silence" });
    const silent = await openAdapter(silentSide, clock);
    const put = silent.addPeripheral(testPeripheral().peripheral);
    await until("BlueZ was asked", () => silentSide.calls.length > 0);
    clock.advance(7_999);
    clock.advance(1);
    // Taking back what may have been registered is not answered either.
    await until("the goodbye was said", () => silentSide.calls.length === 3);
    clock.advance(1_000);
    expect(await put).toMatchObject({ ok: false, fault: { code: "no-answer", limitMs: 8_000 } });
  });

  it("changes its six bytes while it is on the air", async () => {
    const clock = new SteppedClock(0);
    let version = 1;
    const { side, handle } = await onAir(clock, () => Uint8Array.of(1, 0, 0, 0, version, 0));
    clock.advance(1_000);
    expect(handle.statistics.advertisementUpdates).toBe(0);
    version = 2;
    clock.advance(1_000);
    expect(handle.statistics.advertisementUpdates).toBe(1);
    await until("BlueZ was told", () => side.changes.length > 0);
    expect(side.changes[0]?.path).toBe(advertisementPath);
    expect(side.changes[0]?.values.get("ServiceData")).toMatchObject({
      [ADVERTISEMENT_UUID]: { value: Buffer.from([1, 0, 0, 0, 2, 0]) },
    });
  });
});

describe("a link", () => {
  it("carries frames both ways in the order of their calls", async () => {
    const { side, heard, connections } = await onAir();
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    expect(connections[0]?.notify(frameOf(0))).toBe(false);
    await side.call(framesOutPath, "StartNotify");
    for (let number = 1; number <= 50; number++) expect(connections[0]?.notify(frameOf(number, 244))).toBe(true);
    await until("notified", () => side.changes.length === 50);
    const sent = side.changes.map(({ values }) => values.get("Value"));
    expect(sent.map((value) => (value instanceof Uint8Array ? numberOf(value) : -1))).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
    await Promise.all([1, 2, 3].map((number) => side.write(courier, frameOf(number, 244))));
    expect(heard.map(numberOf)).toEqual([1, 2, 3]);
  });

  it("takes no more than a frame, and that whole", async () => {
    const { side, heard, connections } = await onAir();
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    const refusal = (name: string) => ({ type: `org.bluez.Error.${name}` });
    await expect(side.write(courier, frameOf(1, 245))).rejects.toMatchObject(refusal("InvalidValueLength"));
    await expect(side.write(courier, new Uint8Array(0))).rejects.toMatchObject(refusal("InvalidValueLength"));
    const rest = { offset: variant("q", 20) };
    await expect(side.write(courier, frameOf(1), rest)).rejects.toMatchObject(refusal("InvalidOffset"));
    expect(heard).toEqual([]);
  });

  it("is closed by the lock after its last frame, and the next visitor finds it free", async () => {
    const { side, heard, ends, connections, handle } = await onAir();
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    await side.call(framesOutPath, "StartNotify");
    connections[0]?.notify(frameOf(9));
    connections[0]?.close();
    expect(ends).toEqual(["closed-by-lock"]);
    expect(connections[0]?.notify(frameOf(10))).toBe(false);
    await until("disconnected", () => side.calls.includes(`Disconnect ${devicePath(courier)}`));
    expect(side.changes).toHaveLength(1);
    // Until BlueZ says that it is down, 2 s later, what still comes is not heard.
    await side.write(courier, frameOf(11));
    expect([heard.length, handle.connected]).toEqual([0, false]);
    side.setConnected(courier, false);
    side.setConnected(courier, true);
    await until("connected again", () => connections.length === 2);
    await side.write(courier, frameOf(12));
    expect([heard.map(numberOf), ends]).toEqual([[12], ["closed-by-lock"]]);
  });

  it("ends when the central vanishes: by signal, by being forgotten, and when the signal was lost", async () => {
    const clock = new SteppedClock(0);
    const { side, ends, connections } = await onAir(clock);
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    side.setConnected(courier, false);
    await until("vanished", () => ends.length === 1);
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 2);
    side.forget(courier);
    await until("forgotten", () => ends.length === 2);
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 3);
    side.setConnected(courier, false, true);
    clock.advance(5_000);
    await until("asked", () => ends.length === 3);
    expect(ends).toEqual(["link-lost", "link-lost", "link-lost"]);
  });

  it("is one for each central, and a frame can be the first news of it", async () => {
    const { side, heard, ends, connections } = await onAir();
    await side.write(courier, frameOf(1));
    side.setConnected(courier, true);
    side.setConnected(stranger, true);
    await until("both connected", () => connections.length === 2);
    connections[1]?.close();
    await until("the stranger is sent away", () => side.calls.includes(`Disconnect ${devicePath(stranger)}`));
    await side.write(courier, frameOf(2));
    await side.write(stranger, frameOf(3));
    expect([heard.map(numberOf), ends]).toEqual([[1, 2], ["closed-by-lock"]]);
  });

  it("is cut by the bench like a lost one", async () => {
    const { side, ends, connections, handle } = await onAir();
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    handle.breakLink();
    expect([ends, handle.connected]).toEqual([["link-lost"], false]);
    await until("BlueZ was told", () => side.calls.includes(`Disconnect ${devicePath(courier)}`));
  });
});

describe("the end", () => {
  it("takes everything back", async () => {
    const { side, adapter } = await onAir();
    await adapter.close();
    expect(side.calls).toEqual([
      "RegisterApplication /",
      `RegisterAdvertisement ${advertisementPath}`,
      `UnregisterAdvertisement ${advertisementPath}`,
      "UnregisterApplication /",
    ]);
    expect(await adapter.ended).toBeUndefined();
  });

  it("is told when bluetoothd dies, with every link", async () => {
    const { side, adapter, ends, connections } = await onAir();
    side.setConnected(courier, true);
    await until("connected", () => connections.length === 1);
    side.die();
    expect(await adapter.ended).toMatchObject({ code: "no-bluetooth" });
    await until("the host heard", () => ends.length === 1);
    expect(ends).toEqual(["link-lost"]);
  });

  it("is told when the bus dies", async () => {
    const { side, adapter } = await onAir();
    side.bus.crash();
    expect(await adapter.ended).toMatchObject({ code: "bus-lost" });
  });
});
