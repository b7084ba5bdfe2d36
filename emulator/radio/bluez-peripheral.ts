/**
 * The emulated lock's radio on real BlueZ: a GATT server and an advertisement on one adapter, over the system bus. A lock's
 * host meets the same `Peripheral`, `AirConnection` and `ConnectionListener` as with the emulated BlueZ, so the same lock code runs
 * on the air.
 *
 * BlueZ tells an application who writes, but neither who connected nor who left; both are seen from the central's Device1 object
 * under our adapter (`Connected`), by signal, and by asking while a link is up, in case a signal was lost.
 */
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { WorldClock } from "../world/clock.ts";
import type { ConnectionEnd, ConnectionListener, Peripheral } from "./air.ts";
import { ADVERTISEMENT_PATH, BluezAdvertisement } from "./bluez-advertisement.ts";
import { type BluezBus, type BluezCall, type BluezFault, type BluezSignal, connectBluezBus } from "./bluez-bus.ts";
import { BluezGattApplication, GATT_ROOT } from "./bluez-gatt.ts";
import { variant } from "./bus-objects.ts";

export interface BluezAdapterOptions {
  /** Such as `hci0`. */
  readonly adapter: string;
  readonly clock: WorldClock;
  /** Such as `unix:path=/run/dbus/system_bus_socket`; the system bus when absent. */
  readonly busAddress?: string | undefined;
}

/** Counted since the peripheral was put on the air. */
export interface BluezStatistics {
  connections: number;
  framesIn: number;
  framesOut: number;
  /** Advertisements that were changed while on the air. */
  advertisementUpdates: number;
}

export interface BluezPeripheral {
  readonly connected: boolean;
  readonly statistics: Readonly<BluezStatistics>;
  /** Drops every link, as when somebody pulls the lock's battery; the host hears link-lost. */
  breakLink(): void;
  /** Takes the peripheral off the air; fulfilled when BlueZ has forgotten it, or did not answer in time. */
  remove(): Promise<void>;
}

/**
 * Opens one adapter and turns it on if it is off.
 * Faults: bus-unreachable, no-bluetooth, access-denied, no-adapter, no-peripheral-role, adapter-off, no-answer, call-refused.
 */
export async function openBluezAdapter(options: BluezAdapterOptions): Promise<Result<BluezAdapter, BluezFault>> {
  const { adapter, clock, busAddress } = options;
  const connected = await connectBluezBus({ busAddress, clock });
  if (!connected.ok) return connected;
  const bus = connected.value;
  const opened = await openOn(bus, adapter, clock);
  if (!opened.ok) bus.close();
  return opened;
}

async function openOn(bus: BluezBus, adapter: string, clock: WorldClock): Promise<Result<BluezAdapter, BluezFault>> {
  const path = `/org/bluez/${adapter}`;
  const watching = await bus.watch(path);
  if (!watching.ok) return watching;
  const objects = await bus.managedObjects();
  if (!objects.ok) return objects;
  const interfaces = objects.value.get(path);
  const address = interfaces?.get(ADAPTER)?.["Address"];
  if (interfaces === undefined || typeof address !== "string") {
    const found = [...objects.value]
      .filter(([, each]) => each.has(ADAPTER))
      .map(([each]) => each.slice(BLUEZ_ROOT.length));
    const remedy = "plug the radio in, or name another with --adapter; hciconfig -a lists what the kernel sees";
    return failed({ code: "no-adapter", adapter, found, remedy });
  }
  if (!interfaces.has(GATT_MANAGER) || !interfaces.has(ADVERTISING_MANAGER)) {
    return failed({
      code: "no-peripheral-role",
      adapter,
      remedy: "use an adapter with Bluetooth Low Energy, BlueZ 5.50 or newer",
    });
  }
  if (interfaces.get(ADAPTER)?.["Powered"] !== true) {
    const powered = await powerOn(bus, adapter, path);
    if (!powered.ok) return powered;
  }
  const left = [...objects.value].filter(
    ([each, its]) => isDevice(path, each) && its.get(DEVICE)?.["Connected"] === true,
  );
  // A central that an earlier life of ours left behind waits for a lock that forgot it.
  for (const [each] of left) await bus.call(disconnectCall(each));
  return ok(new BluezAdapter(bus, path, address, clock));
}

async function powerOn(bus: BluezBus, adapter: string, path: string): Promise<Result<void, BluezFault>> {
  const set = await bus.call({
    what: "turn the adapter on",
    path,
    interfaceName: PROPERTIES,
    member: "Set",
    signature: "ssv",
    body: [ADAPTER, "Powered", variant("b", true)],
  });
  if (set.ok) return ok(undefined);
  if (set.fault.code !== "call-refused") return set;
  const { errorName } = set.fault;
  return failed({ code: "adapter-off", adapter, errorName, remedy: "rfkill unblock bluetooth; bluetoothctl power on" });
}

export class BluezAdapter {
  /** Upper-case hex pairs with colons: what a central connects to. */
  readonly address: string;
  /** Fulfilled once: with the fault when BlueZ or the bus went away, with undefined after `close()`. */
  readonly ended: Promise<BluezFault | undefined>;
  readonly #bus: BluezBus;
  readonly #path: string;
  readonly #clock: WorldClock;
  #onAir: OnAir | undefined;

  constructor(bus: BluezBus, path: string, address: string, clock: WorldClock) {
    this.#bus = bus;
    this.#path = path;
    this.address = address;
    this.#clock = clock;
    this.ended = bus.ended;
    bus.onSignal((signal) => this.#onAir?.hear(signal));
    void bus.ended.then(() => this.#onAir?.lost());
  }

  /**
   * Puts the lock on the air; an adapter carries one. Its address must be the adapter's.
   * Faults: not-registered (BlueZ refused the service or the advertisement), and those of every call.
   */
  async addPeripheral(peripheral: Peripheral): Promise<Result<BluezPeripheral, BluezFault>> {
    assert(this.#onAir === undefined, "an adapter carries one peripheral");
    assert(peripheral.address === this.address, `on this adapter the lock has the address ${this.address}`);
    const onAir = new OnAir(this.#bus, this.#path, peripheral, this.#clock);
    this.#onAir = onAir;
    const registered = await onAir.register();
    if (registered.ok) return ok(onAir);
    await onAir.remove();
    this.#onAir = undefined;
    return registered;
  }

  async close(): Promise<void> {
    await this.#onAir?.remove();
    this.#bus.close();
  }
}

interface Link {
  readonly listener: ConnectionListener;
  /** The host has heard `ended`; only BlueZ's own word that it is down is awaited. */
  isOver: boolean;
}

class OnAir implements BluezPeripheral {
  readonly statistics: BluezStatistics = { connections: 0, framesIn: 0, framesOut: 0, advertisementUpdates: 0 };
  readonly #bus: BluezBus;
  readonly #path: string;
  readonly #peripheral: Peripheral;
  readonly #clock: WorldClock;
  readonly #gatt: BluezGattApplication;
  readonly #advertisement: BluezAdvertisement;
  readonly #linkByDevice = new Map<string, Link>();
  #isRemoved = false;
  #cancelRefresh: () => void = () => undefined;
  #cancelWatch: () => void = () => undefined;

  constructor(bus: BluezBus, path: string, peripheral: Peripheral, clock: WorldClock) {
    this.#bus = bus;
    this.#path = path;
    this.#peripheral = peripheral;
    this.#clock = clock;
    const { objects } = bus;
    this.#gatt = new BluezGattApplication({ objects, onFrame: (device, frame) => this.#frame(device, frame) });
    this.#advertisement = new BluezAdvertisement({
      objects,
      name: peripheral.name,
      read: () => peripheral.advertisement(),
    });
  }

  get connected(): boolean {
    return [...this.#linkByDevice.values()].some(({ isOver }) => !isOver);
  }

  async register(): Promise<Result<void, BluezFault>> {
    const service = await this.#registration("the lock's service", GATT_MANAGER, "RegisterApplication", GATT_ROOT);
    if (!service.ok) return service;
    const shown = await this.#registration(
      "the advertisement",
      ADVERTISING_MANAGER,
      "RegisterAdvertisement",
      ADVERTISEMENT_PATH,
    );
    if (!shown.ok) return shown;
    this.#keepFresh();
    return ok(undefined);
  }

  breakLink(): void {
    for (const [device, link] of this.#linkByDevice) this.#disconnect(device, link, "link-lost");
  }

  async remove(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#cancelRefresh();
    this.#cancelWatch();
    const taken = { path: this.#path, signature: "o", limitMs: GOODBYE_LIMIT_MS } as const;
    // Their answers do not matter: BlueZ drops both with our connection to the bus as well.
    await Promise.all([
      this.#bus.call({
        ...taken,
        what: "take the advertisement back",
        interfaceName: ADVERTISING_MANAGER,
        member: "UnregisterAdvertisement",
        body: [ADVERTISEMENT_PATH],
      }),
      this.#bus.call({
        ...taken,
        what: "take the service back",
        interfaceName: GATT_MANAGER,
        member: "UnregisterApplication",
        body: [GATT_ROOT],
      }),
      ...[...this.#linkByDevice.keys()].map((device) =>
        this.#bus.call({ ...disconnectCall(device), limitMs: GOODBYE_LIMIT_MS }),
      ),
    ]);
    this.lost();
    this.#advertisement.remove();
    this.#gatt.remove();
  }

  /** BlueZ is gone, and with it every link. */
  lost(): void {
    this.#cancelRefresh();
    for (const device of [...this.#linkByDevice.keys()]) this.#linkDown(device);
  }

  hear({ path, interfaceName, member, body }: BluezSignal): void {
    const [subject, changes] = body;
    if (
      interfaceName === PROPERTIES &&
      member === "PropertiesChanged" &&
      subject === DEVICE &&
      isDevice(this.#path, path)
    ) {
      this.#deviceChanged(path, changes);
    } else if (interfaceName === OBJECT_MANAGER && typeof subject === "string" && isDevice(this.#path, subject)) {
      if (member === "InterfacesAdded") this.#deviceChanged(subject, propertyOf(changes, DEVICE));
      else if (member === "InterfacesRemoved") this.#linkDown(subject);
    }
  }

  #deviceChanged(device: string, changes: unknown): void {
    const connected = propertyOf(changes, "Connected");
    if (connected === true) this.#linkUp(device);
    else if (connected === false) this.#linkDown(device);
  }

  #linkUp(device: string): Link | undefined {
    const there = this.#linkByDevice.get(device);
    if (there !== undefined || this.#isRemoved) return there;
    this.statistics.connections++;
    let link: Link | undefined;
    const listener = this.#peripheral.onConnection({
      notify: (frame) => {
        if (link === undefined || link.isOver || !this.#gatt.notify(Uint8Array.from(frame))) return false;
        this.statistics.framesOut++;
        return true;
      },
      close: () => {
        if (link !== undefined) this.#disconnect(device, link, "closed-by-lock");
      },
    });
    link = { listener, isOver: false };
    this.#linkByDevice.set(device, link);
    this.#watchLinks();
    return link;
  }

  #linkDown(device: string): void {
    const link = this.#linkByDevice.get(device);
    if (link === undefined) return;
    this.#linkByDevice.delete(device);
    if (this.#linkByDevice.size === 0) this.#gatt.forgetSubscription();
    this.#endFor(link, "link-lost");
  }

  /** What was notified before went to BlueZ on the same connection and is therefore taken first. */
  #disconnect(device: string, link: Link, reason: ConnectionEnd): void {
    if (link.isOver) return;
    this.#endFor(link, reason);
    // When BlueZ refuses, the central has left by itself; when it does not answer, the watch asks again.
    void this.#bus.call(disconnectCall(device));
  }

  #endFor(link: Link, reason: ConnectionEnd): void {
    if (link.isOver) return;
    link.isOver = true;
    link.listener.ended(reason);
  }

  #frame(device: string, frame: Uint8Array): void {
    // The first frame and the news of the connection come by different ways.
    const link = isDevice(this.#path, device) ? this.#linkUp(device) : undefined;
    if (link === undefined || link.isOver) return;
    this.statistics.framesIn++;
    link.listener.frame(frame);
  }

  #keepFresh(): void {
    this.#cancelRefresh = this.#clock.after(REFRESH_MS, () => {
      if (this.#advertisement.refresh()) this.statistics.advertisementUpdates++;
      if (!this.#isRemoved) this.#keepFresh();
    });
  }

  #watchLinks(): void {
    this.#cancelWatch();
    this.#cancelWatch = this.#clock.after(WATCH_MS, () => void this.#askAll());
  }

  async #askAll(): Promise<void> {
    for (const device of [...this.#linkByDevice.keys()]) {
      const answer = await this.#bus.call({
        what: "ask if connected",
        path: device,
        interfaceName: PROPERTIES,
        member: "Get",
        signature: "ss",
        body: [DEVICE, "Connected"],
      });
      const isGone = answer.ok ? answer.value[0] !== true : answer.fault.code === "call-refused";
      if (isGone) this.#linkDown(device);
    }
    if (this.#linkByDevice.size > 0 && !this.#isRemoved) this.#watchLinks();
  }

  async #registration(
    what: string,
    interfaceName: string,
    member: string,
    path: string,
  ): Promise<Result<void, BluezFault>> {
    const asked = await this.#bus.call({
      what: `register ${what}`,
      path: this.#path,
      interfaceName,
      member,
      signature: "oa{sv}",
      body: [path, {}],
    });
    if (asked.ok) return ok(undefined);
    if (asked.fault.code !== "call-refused") return asked;
    const remedy = "another program may hold the adapter's advertisements: stop it, then systemctl restart bluetooth";
    return failed({ code: "not-registered", what, errorName: asked.fault.errorName, remedy });
  }
}

function disconnectCall(device: string): BluezCall {
  return { what: "disconnect the central", path: device, interfaceName: DEVICE, member: "Disconnect" };
}

function isDevice(adapterPath: string, path: string): boolean {
  return path.startsWith(`${adapterPath}/dev_`) && !path.slice(adapterPath.length + 1).includes("/");
}

function propertyOf(owner: unknown, name: string): unknown {
  return typeof owner === "object" && owner !== null ? Reflect.get(owner, name) : undefined;
}

const BLUEZ_ROOT = "/org/bluez/";
const ADAPTER = "org.bluez.Adapter1";
const DEVICE = "org.bluez.Device1";
const GATT_MANAGER = "org.bluez.GattManager1";
const ADVERTISING_MANAGER = "org.bluez.LEAdvertisingManager1";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager";
/** The pace at which a lock advertises; a change is on the air within it. */
const REFRESH_MS = 1_000;
/** Half of the session's own limit, so that a lost signal never keeps the lock from its next visitor for long. */
const WATCH_MS = 5_000;
const GOODBYE_LIMIT_MS = 1_000;
