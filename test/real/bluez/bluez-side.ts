/**
 * The side of BlueZ that a peripheral talks to, on a private bus: an adapter with its two managers, centrals that come and go, and
 * calls into the application as BlueZ makes them. What it does is what BlueZ 5.66 was seen to do in the virtual machine.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Message, type MessageBus, MessageType, sessionBus } from "@jellybrick/dbus-next";
import type { Peripheral } from "../../../emulator/radio/air.ts";
import { type BusCall, type BusObjects, serveObjects, variant } from "../../../emulator/radio/bus-objects.ts";
import { type PrivateBus, startPrivateBus } from "../../../emulator/radio/private-bus.ts";
import { realClock } from "../../../emulator/world/clock.ts";

export interface BluezSideOptions {
  readonly powered?: boolean;
  readonly hasManagers?: boolean;
  /** What RegisterApplication and RegisterAdvertisement do. */
  readonly register?: "take" | "refuse" | "silence";
}

export const adapterAddress = "00:AA:01:00:00:42";
const adapterPath = "/org/bluez/hci0";

export class BluezSide {
  readonly bus: PrivateBus;
  readonly address: string;
  /** D-Bus names of the calls that came, in order: `Disconnect /org/bluez/hci0/dev_...`. */
  readonly calls: string[] = [];
  /** PropertiesChanged of the application: path and the changed properties. */
  readonly changes: { readonly path: string; readonly values: ReadonlyMap<string, unknown> }[] = [];
  /** What BlueZ made of the advertisement it was given last; bytes of the packet, 0 for an empty one that nobody can connect to. */
  packetBytes: number | undefined;
  readonly #directory: string;
  readonly #objects: BusObjects;
  readonly #client: MessageBus;
  readonly #connected = new Map<string, boolean>();
  #application = "";

  private constructor(bus: PrivateBus, directory: string, objects: BusObjects, client: MessageBus) {
    this.bus = bus;
    this.address = bus.address;
    this.#directory = directory;
    this.#objects = objects;
    this.#client = client;
  }

  static async start(options: BluezSideOptions = {}): Promise<BluezSide> {
    const directory = await mkdtemp(join(tmpdir(), "doorlink-bluez-side-"));
    const bus = await startPrivateBus({ directory, clock: realClock });
    if (!bus.ok) throw new Error(`no bus: ${JSON.stringify(bus.fault)}`);
    const served = await serveObjects({ busAddress: bus.value.address, name: "org.bluez", clock: realClock });
    if (!served.ok) throw new Error(`no BlueZ: ${JSON.stringify(served.fault)}`);
    const client = sessionBus({ busAddress: bus.value.address });
    const side = new BluezSide(bus.value, directory, served.value, client);
    await side.#listen();
    side.#show(options);
    return side;
  }

  async stop(): Promise<void> {
    this.#client.disconnect();
    this.#objects.close();
    await this.bus.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** bluetoothd ends. */
  die(): void {
    this.#objects.close();
  }

  /** A central connects, or its link goes down; `quietly`: the signal is lost. */
  setConnected(device: string, connected: boolean, quietly = false): void {
    const path = devicePath(device);
    const isNew = !this.#connected.has(path);
    this.#connected.set(path, connected);
    if (isNew) this.#objects.add(path, [this.#deviceInterface(path)]);
    else if (!quietly) this.#objects.changed(path, "org.bluez.Device1", ["Connected"]);
  }

  /** BlueZ forgets the central. */
  forget(device: string): void {
    this.#connected.delete(devicePath(device));
    this.#objects.remove(devicePath(device));
  }

  /** Calls the application as BlueZ does. Gives the reply's body; an error reply is thrown by its name. */
  async call(path: string, member: string, signature = "", body: unknown[] = []): Promise<readonly unknown[]> {
    const interfaceName = member === "GetManagedObjects" ? "org.freedesktop.DBus.ObjectManager" : CHARACTERISTIC;
    const message = new Message({
      destination: this.#application,
      path,
      interface: interfaceName,
      member,
      signature,
      body,
    });
    const reply = await this.#client.call(message);
    return reply?.body ?? [];
  }

  write(device: string, frame: Uint8Array, options: Record<string, unknown> = {}): Promise<readonly unknown[]> {
    const extra = { device: variant("o", devicePath(device)), type: variant("s", "command"), ...options };
    return this.call(framesInPath, "WriteValue", "aya{sv}", [Buffer.from(frame), extra]);
  }

  #show({ powered = true, hasManagers = true, register = "take" }: BluezSideOptions): void {
    const registered = (call: BusCall, what: string): void => {
      this.calls.push(`${what} ${String(call.arguments[0])}`);
      this.#application = call.sender;
      if (register === "take" && what === "RegisterAdvertisement") void this.#advertise(call);
      else if (register === "take") call.reply();
      else if (register === "refuse") call.refuse("org.bluez.Error.NotPermitted", "Maximum advertisements reached");
    };
    const manager = (name: string, ...members: readonly (readonly [string, readonly string[]])[]) => ({
      name,
      signatures: {},
      read: () => ({}),
      methods: Object.fromEntries(
        members.map(([member, takes]) => [
          member,
          { takes, gives: [], run: (call: BusCall) => registered(call, member) },
        ]),
      ),
    });
    this.#objects.add(adapterPath, [
      {
        name: "org.bluez.Adapter1",
        signatures: { Address: "s", Powered: "b" },
        read: () => ({ Address: adapterAddress, Powered: powered }),
        methods: {},
      },
      ...(hasManagers
        ? [
            manager(
              "org.bluez.GattManager1",
              ["RegisterApplication", ["o", "a{sv}"]],
              ["UnregisterApplication", ["o"]],
            ),
            manager(
              "org.bluez.LEAdvertisingManager1",
              ["RegisterAdvertisement", ["o", "a{sv}"]],
              ["UnregisterAdvertisement", ["o"]],
            ),
          ]
        : []),
    ]);
  }

  /** BlueZ reads the object; what it cannot read it puts on the air as an empty packet, and reports success (trap 14). */
  async #advertise(call: BusCall): Promise<void> {
    const message = new Message({
      destination: call.sender,
      path: String(call.arguments[0]),
      interface: "org.freedesktop.DBus.Properties",
      member: "GetAll",
      signature: "s",
      body: ["org.bluez.LEAdvertisement1"],
    });
    const properties = await this.#client.call(message).then(
      (reply): object => Object(reply?.body[0]),
      () => ({}),
    );
    this.packetBytes = packetBytesOf(properties);
    // Trap 15: a legacy advertisement has 31 bytes.
    if (this.packetBytes > LEGACY_PACKET_BYTES) {
      call.refuse("org.bluez.Error.Failed", "Failed to register advertisement");
    } else call.reply();
  }

  #deviceInterface(path: string) {
    return {
      name: "org.bluez.Device1",
      signatures: { Connected: "b" },
      read: () => ({ Connected: this.#connected.get(path) ?? false }),
      methods: {
        Disconnect: {
          takes: [],
          gives: [],
          run: (call: BusCall) => {
            this.calls.push(`Disconnect ${path}`);
            call.reply();
          },
        },
      },
    };
  }

  async #listen(): Promise<void> {
    this.#client.on("message", (message) => {
      if (message.type !== MessageType.SIGNAL || message.member !== "PropertiesChanged") return;
      const [, changed] = message.body;
      const values = Object.entries(typeof changed === "object" && changed !== null ? changed : {}).map(
        ([name, value]) => [name, Reflect.get(Object(value), "value")] as const,
      );
      this.changes.push({ path: message.path, values: new Map(values) });
    });
    await this.#client.call(
      new Message({
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "AddMatch",
        signature: "s",
        body: ["type='signal',member='PropertiesChanged',path_namespace='/doorlink'"],
      }),
    );
  }
}

/** Flags, 128-bit UUIDs and service data under 16-bit UUIDs, each with its length and type; the name goes into the scan response. */
function packetBytesOf(properties: object): number {
  const entry = (name: string): object => Object(Reflect.get(Object(Reflect.get(properties, name)), "value"));
  const uuids = Object.values(entry("ServiceUUIDs")).length;
  const data: unknown[] = Object.values(entry("ServiceData")).map((each) => Reflect.get(Object(each), "value"));
  const dataBytes = data.reduce<number>((sum, each) => sum + 4 + (each instanceof Uint8Array ? each.length : 0), 0);
  return uuids + data.length === 0 ? 0 : 3 + (uuids > 0 ? 2 + uuids * 16 : 0) + dataBytes;
}

export function devicePath(device: string): string {
  return `${adapterPath}/dev_${device}`;
}

/** A lock's radio end that writes down what it hears. */
export function testPeripheral(advertisement: () => Uint8Array = () => Uint8Array.of(1, 0, 0, 0, 0, 0)) {
  const heard: Uint8Array[] = [];
  const ends: string[] = [];
  const connections: Parameters<Peripheral["onConnection"]>[0][] = [];
  const peripheral: Peripheral = {
    address: adapterAddress,
    name: "bench-lock",
    advertisement,
    onConnection: (connection) => {
      connections.push(connection);
      return { frame: (bytes) => heard.push(bytes), ended: (reason) => ends.push(reason) };
    },
  };
  return { peripheral, heard, ends, connections };
}

export const framesInPath = "/doorlink/lock/framesin";
export const framesOutPath = "/doorlink/lock/framesout";
export const advertisementPath = "/doorlink/advertisement";
const LEGACY_PACKET_BYTES = 31;
const CHARACTERISTIC = "org.bluez.GattCharacteristic1";
