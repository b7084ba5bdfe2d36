/**
 * One session with BlueZ: one connection to the system bus, used for one scan or one visit and then thrown away.
 * The only file that touches node-ble. What it closes, each seen with node-ble 1.13.0 and dbus-next 0.10.2:
 *
 * - match rules leak with every characteristic of every connection, and past 512 the process dies: a session is fresh
 *   each time and its rules die with it (SPEC R1);
 * - no call has a deadline, and none settles when the bus is gone: every call here has one, and all end with the
 *   session (SPEC R2);
 * - `gatt()` loses a wakeup, and may be called only once ServicesResolved is true: that is polled (SPEC R3);
 * - errors of the connection are emitted as "error" and kill a process that does not listen (SPEC R1);
 * - the default write type is "reliable", which many firmwares refuse: only commands are written (SPEC R4);
 * - its types call booleans strings and leave out what is needed: whatever comes is read as unknown and checked.
 */
import { EventEmitter } from "node:events";
import { type Adapter, type Bluetooth, createBluetooth, type Device, type GattCharacteristic } from "node-ble";
import { withDeadline } from "../base/deadline.ts";
import type { Clock } from "../ports/clock.ts";
import { RadioError, type RadioErrorCode } from "../ports/radio.ts";
import { busErrorName, toRadioError } from "./bluez-errors.ts";

export interface SessionOptions {
  readonly clock: Clock;
  /** For every call that has no deadline of its own. */
  readonly callMs: number;
  /** Such as `hci0`; the first one when absent. */
  readonly adapter: string | undefined;
}

/** A device as BlueZ lists it. Without an RSSI it was not heard since the last discovery began. */
export interface ListedDevice {
  readonly address: string;
  readonly name: string | undefined;
  readonly rssi: number | undefined;
  /** Service data by full lower-case UUID. */
  readonly serviceData: ReadonlyMap<string, Uint8Array>;
}

interface CallOptions {
  readonly limitMs?: number;
  /** The code of an error whose name says nothing. */
  readonly fallback: RadioErrorCode;
  /** The code when time is up. */
  readonly expired?: RadioErrorCode;
  /** Goes on after stop(): taking a connection down. */
  readonly cleanup?: boolean;
}

export class BluezSession {
  readonly #options: SessionOptions;
  readonly #bluetooth: Bluetooth;
  readonly #destroy: () => void;
  readonly #stopping = new AbortController();
  readonly #ending = new AbortController();
  #adapter: Adapter | undefined;
  #adapterPath = "";

  /** Connects to the system bus; that it could not is told by the first call. Throws RadioError no-bus on a bad address. */
  constructor(options: SessionOptions) {
    this.#options = options;
    try {
      const { bluetooth, destroy } = createBluetooth();
      this.#bluetooth = bluetooth;
      this.#destroy = destroy;
    } catch (error) {
      throw new RadioError("no-bus", "connect to the system bus", { cause: error });
    }
    this.#watchBus();
  }

  /** Aborted when the session is stopped or ended, with the RadioError that says why. */
  get stopped(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Nothing more is begun and who waits in a call gets `reason`; what was connected can still be taken down. */
  stop(reason: RadioError): void {
    if (!this.#stopping.signal.aborted) this.#stopping.abort(reason);
  }

  /** Ends the session and its connection to the bus: whoever waits in a call gets `reason`. A second end changes nothing. */
  end(reason: RadioError): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort(reason);
    this.stop(reason);
    this.#destroy();
    // destroy() only says goodbye; a bus that hangs would keep the socket, and with it the process, for ever.
    invokeIfThere(this.#connectionProperty("stream"), "destroy");
  }

  /** Finds the adapter and whether it is on. Throws no-adapter, adapter-off, and what every call may throw. */
  async openAdapter(): Promise<void> {
    const names = await this.call("list the adapters", () => this.#bluetooth.adapters(), { fallback: "no-adapter" });
    const name = this.#options.adapter ?? names[0];
    if (name === undefined || !names.includes(name)) throw new RadioError("no-adapter", "list the adapters");
    const adapter = await this.call("open the adapter", () => this.#bluetooth.getAdapter(name), {
      fallback: "no-adapter",
    });
    const powered: unknown = await this.call("ask if it is on", () => adapter.isPowered(), { fallback: "no-adapter" });
    if (powered !== true) throw new RadioError("adapter-off", "ask if it is on");
    this.#adapter = adapter;
    this.#adapterPath = `/org/bluez/${name}`;
  }

  /**
   * Joins or starts a discovery. BlueZ counts discoveries by client, so one that somebody else runs is no obstacle,
   * while node-ble's own startDiscovery() throws then; that one is used otherwise, for its filter (LE only).
   */
  async startDiscovery(): Promise<void> {
    const adapter = this.#openedAdapter();
    const running: unknown = await this.call("ask if discovering", () => adapter.isDiscovering(), {
      fallback: "unexpected",
    });
    const start = running === true ? () => callHelper(adapter, "StartDiscovery") : () => adapter.startDiscovery();
    await this.call("start discovery", start, { fallback: "unexpected" });
  }

  async stopDiscovery(): Promise<void> {
    const adapter = this.#openedAdapter();
    await this.call("stop discovery", () => callHelper(adapter, "StopDiscovery"), { fallback: "unexpected" });
  }

  /**
   * Everything BlueZ lists under this adapter, in one call. (node-ble would introspect the adapter once for every
   * device and subscribe to each: a corridor of phones would use up the match rules.)
   */
  async listDevices(): Promise<readonly ListedDevice[]> {
    const tree = await this.call("list the devices", () => managedObjects(property(this.#bluetooth, "dbus")), {
      fallback: "unexpected",
    });
    return Object.entries(record(tree))
      .filter(([path]) => path.startsWith(`${this.#adapterPath}/dev_`))
      .flatMap(([, interfaces]) => readDevice(property(interfaces, "org.bluez.Device1")) ?? []);
  }

  /** A fresh object for a listed device; undefined when BlueZ does not list the address. */
  async device(address: string): Promise<BluezDevice | undefined> {
    const adapter = this.#openedAdapter();
    const listed = await this.call("list the devices", () => adapter.devices(), { fallback: "unexpected" });
    if (!listed.includes(address)) return undefined;
    const device = await this.call("open the device", () => adapter.getDevice(address), { fallback: "not-found" });
    return new BluezDevice(this, device);
  }

  /** Runs one call to BlueZ with its deadline; every error comes out as RadioError. */
  async call<Value>(operation: string, work: () => Promise<Value>, options: CallOptions): Promise<Value> {
    const { limitMs = this.#options.callMs, fallback, expired = "no-answer", cleanup = false } = options;
    const signal = cleanup ? this.#ending.signal : this.#stopping.signal;
    if (signal.aborted) throw signal.reason;
    try {
      return await withDeadline(work(), {
        timers: this.#options.clock,
        limitMs,
        expired: () => new RadioError(expired, operation),
        signal,
      });
    } catch (error) {
      throw toRadioError(error, operation, fallback);
    }
  }

  #openedAdapter(): Adapter {
    if (this.#adapter === undefined) throw new Error("openAdapter() comes before everything else in a session");
    return this.#adapter;
  }

  /** Ends the session with the bus. A refused match rule counts too: signals would silently stay away. */
  #watchBus(): void {
    const bus = property(this.#bluetooth, "dbus");
    if (bus instanceof EventEmitter) {
      bus.on("error", (error: unknown) => {
        const code = busErrorName(error) === undefined ? "no-bus" : "unexpected";
        this.end(new RadioError(code, "keep the bus connection", { cause: error }));
      });
    }
    const connection = property(bus, "_connection");
    if (connection instanceof EventEmitter) {
      connection.on("end", () => this.end(new RadioError("no-bus", "keep the bus connection")));
    }
  }

  #connectionProperty(name: string): unknown {
    return property(property(property(this.#bluetooth, "dbus"), "_connection"), name);
  }
}

/** One device in one session. node-ble's objects of an earlier connection still deliver, so none is used twice. */
export class BluezDevice {
  readonly #session: BluezSession;
  readonly #device: Device;

  constructor(session: BluezSession, device: Device) {
    this.#session = session;
    this.#device = device;
  }

  async isConnected(): Promise<boolean> {
    const connected: unknown = await this.#session.call("ask if connected", () => this.#device.isConnected(), {
      fallback: "link-lost",
    });
    return connected === true;
  }

  /** `disconnected` may be called more than once for one disconnection (node-ble adds a listener for each connect()). */
  async connect(limitMs: number, disconnected: () => void): Promise<void> {
    this.#device.on("disconnect", disconnected);
    await this.#session.call("connect", () => this.#device.connect(), {
      limitMs,
      fallback: "connect-failed",
      expired: "connect-timeout",
    });
  }

  /** Also cancels a connect that is still under way. */
  async disconnect(limitMs: number): Promise<void> {
    await this.#session.call("disconnect", () => this.#device.disconnect(), {
      limitMs,
      fallback: "link-lost",
      cleanup: true,
    });
  }

  async servicesResolved(): Promise<boolean> {
    const resolved = await this.#session.call(
      "ask for ServicesResolved",
      () => readProp(this.#device, "ServicesResolved"),
      {
        fallback: "link-lost",
      },
    );
    return resolved === true;
  }

  /**
   * The characteristics of one service by UUID; undefined when the service is not there (yet). May be called only once
   * servicesResolved() was true, for node-ble waits for ever otherwise.
   */
  async characteristics(serviceUuid: string): Promise<ReadonlyMap<string, BluezCharacteristic> | undefined> {
    const gatt = await this.#session.call("read the services", () => this.#device.gatt(), { fallback: "link-lost" });
    const services = await this.#session.call("list the services", () => gatt.services(), { fallback: "link-lost" });
    if (!services.includes(serviceUuid)) return undefined;
    return this.#session.call(
      "open the characteristics",
      async () => {
        const service = await gatt.getPrimaryService(serviceUuid);
        const found = new Map<string, BluezCharacteristic>();
        for (const uuid of await service.characteristics()) {
          found.set(uuid, new BluezCharacteristic(this.#session, await service.getCharacteristic(uuid)));
        }
        return found;
      },
      { fallback: "link-lost" },
    );
  }
}

export class BluezCharacteristic {
  readonly #session: BluezSession;
  readonly #characteristic: GattCharacteristic;

  constructor(session: BluezSession, characteristic: GattCharacteristic) {
    this.#session = session;
    this.#characteristic = characteristic;
  }

  /** The ATT MTU of the link; undefined where BlueZ is older than 5.62 and does not say. */
  async mtu(): Promise<number | undefined> {
    const read = (): Promise<unknown> => callHelperOf(this.#characteristic, "props");
    const properties = await this.#session.call("read the MTU", read, { fallback: "link-lost" });
    const mtu = property(properties, "MTU");
    return typeof mtu === "number" ? mtu : undefined;
  }

  async startNotifications(listener: (bytes: Uint8Array) => void): Promise<void> {
    this.#characteristic.on("valuechanged", listener);
    await this.#session.call("subscribe", () => this.#characteristic.startNotifications(), { fallback: "link-lost" });
  }

  /** Writes without response, by name: node-ble's plain writeValue() would make a "reliable" write of it. */
  async writeCommand(bytes: Uint8Array): Promise<void> {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    await this.#session.call("write a frame", () => this.#characteristic.writeValueWithoutResponse(buffer), {
      fallback: "link-lost",
    });
  }
}

async function managedObjects(bus: unknown): Promise<unknown> {
  const root = await invoke(bus, "getProxyObject", "org.bluez", "/");
  const manager = await invoke(root, "getInterface", "org.freedesktop.DBus.ObjectManager");
  return invoke(manager, "GetManagedObjects");
}

function readDevice(properties: unknown): ListedDevice | undefined {
  const address = variant(properties, "Address");
  if (typeof address !== "string") return undefined;
  const name = variant(properties, "Name");
  const rssi = variant(properties, "RSSI");
  const serviceData = new Map<string, Uint8Array>();
  const allData = record(variant(properties, "ServiceData"));
  for (const uuid of Object.keys(allData)) {
    const data = variant(allData, uuid);
    if (data instanceof Uint8Array) serviceData.set(uuid.toLowerCase(), Uint8Array.from(data));
  }
  return {
    address,
    name: typeof name === "string" ? name : undefined,
    rssi: typeof rssi === "number" ? rssi : undefined,
    serviceData,
  };
}

/** node-ble keeps its D-Bus proxy in `helper`, which its types leave out. */
function readProp(owner: unknown, name: string): Promise<unknown> {
  return callHelperOf(owner, "prop", name);
}

function callHelper(owner: unknown, method: string): Promise<unknown> {
  return callHelperOf(owner, "callMethod", method);
}

function callHelperOf(
  owner: unknown,
  helperMethod: "prop" | "props" | "callMethod",
  ...names: string[]
): Promise<unknown> {
  return invoke(property(owner, "helper"), helperMethod, ...names);
}

async function invoke(target: unknown, method: string, ...values: readonly string[]): Promise<unknown> {
  const callable = property(target, method);
  if (typeof callable !== "function") throw new Error(`the D-Bus library has no ${method}() where one is expected`);
  return Reflect.apply(callable, target, values);
}

function invokeIfThere(target: unknown, method: string): void {
  const callable = property(target, method);
  if (typeof callable === "function") Reflect.apply(callable, target, []);
}

function property(owner: unknown, name: string): unknown {
  if ((typeof owner !== "object" && typeof owner !== "function") || owner === null) return undefined;
  return Reflect.get(owner, name);
}

/** The value inside a D-Bus variant, which the library gives as `{signature, value}`. */
function variant(owner: unknown, name: string): unknown {
  return property(property(owner, name), "value");
}

function record(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}
