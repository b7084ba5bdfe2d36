/**
 * A client of the real BlueZ on the system bus: calls with deadlines, its signals, and the objects that we show to it.
 * The second file of the emulator that touches the D-Bus library (`bus-objects.ts` is the other), again at the level of messages.
 * Nothing here throws for what the bus or BlueZ does: every fault is a value that names the way out.
 */
import { EventEmitter } from "node:events";
import { Message, type MessageBus, MessageType, sessionBus, Variant } from "@jellybrick/dbus-next";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { WorldClock } from "../world/clock.ts";
import { BusObjects } from "./bus-objects.ts";

export type BluezFault =
  /** No D-Bus at this address. */
  | { readonly code: "bus-unreachable"; readonly address: string; readonly systemCode: string; readonly remedy: string }
  | { readonly code: "bus-lost"; readonly remedy: string }
  /** Nobody owns org.bluez, or its owner left. */
  | { readonly code: "no-bluetooth"; readonly remedy: string }
  | { readonly code: "access-denied"; readonly what: string; readonly remedy: string }
  | {
      readonly code: "no-adapter";
      readonly adapter: string;
      readonly found: readonly string[];
      readonly remedy: string;
    }
  | { readonly code: "adapter-off"; readonly adapter: string; readonly errorName: string; readonly remedy: string }
  /** BlueZ runs, but this adapter offers no GATT server or no advertising. */
  | { readonly code: "no-peripheral-role"; readonly adapter: string; readonly remedy: string }
  | { readonly code: "not-registered"; readonly what: string; readonly errorName: string; readonly remedy: string }
  | { readonly code: "no-answer"; readonly what: string; readonly limitMs: number; readonly remedy: string }
  | { readonly code: "call-refused"; readonly what: string; readonly errorName: string };

export interface BluezCall {
  /** For faults; no secrets. */
  readonly what: string;
  readonly path: string;
  readonly interfaceName: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly limitMs?: number;
}

export interface BluezSignal {
  readonly path: string;
  readonly interfaceName: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

export interface BluezBusOptions {
  /** Such as `unix:path=/run/dbus/system_bus_socket`; the system bus when absent. */
  readonly busAddress?: string | undefined;
  readonly clock: WorldClock;
}

/** Connects to the bus; that BlueZ is there is told by the first call. Faults: bus-unreachable. */
export async function connectBluezBus(options: BluezBusOptions): Promise<Result<BluezBus, BluezFault>> {
  const { clock, busAddress: address = SYSTEM_BUS } = options;
  let bus: MessageBus;
  try {
    bus = sessionBus({ busAddress: address });
  } catch (error) {
    return failed(unreachable(address, systemCodeOf(error)));
  }
  const emitter = eventsOf(bus);
  const failure = await new Promise<string | undefined>((resolve) => {
    const cancel = clock.after(CONNECT_LIMIT_MS, () => resolve("timeout"));
    emitter.once("connect", () => {
      cancel();
      resolve(undefined);
    });
    // Stays for the life of the bus: an "error" that nobody hears would end the process.
    emitter.on("error", (error: unknown) => {
      cancel();
      resolve(systemCodeOf(error));
    });
  });
  if (failure === undefined) return ok(new BluezBus(bus, clock));
  endStream(bus);
  return failed(unreachable(address, failure));
}

export class BluezBus {
  /** What we show to BlueZ: its root is "/", as that of every application in BlueZ's own examples. */
  readonly objects: BusObjects;
  /** Fulfilled once, with what ended it: the bus or BlueZ went away, or `close()` (undefined). */
  readonly ended: Promise<BluezFault | undefined>;
  readonly #bus: MessageBus;
  readonly #clock: WorldClock;
  readonly #signalListeners: ((signal: BluezSignal) => void)[] = [];
  readonly #waiting = new Set<(fault: BluezFault) => void>();
  #owner: string | undefined;
  #isOver = false;
  #tellEnd: (fault: BluezFault | undefined) => void = () => undefined;

  constructor(bus: MessageBus, clock: WorldClock) {
    this.#bus = bus;
    this.#clock = clock;
    this.objects = new BusObjects(bus);
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
    bus.on("message", (message) => this.#hear(message));
    const lost = (): void => this.#end({ code: "bus-lost", remedy: "start D-Bus again, then this command" });
    eventsOf(bus).on("error", lost);
    const connection = property(bus, "_connection");
    if (connection instanceof EventEmitter) connection.on("end", lost);
  }

  /**
   * Subscribes to what BlueZ says of everything below `path`, and makes sure that BlueZ is there.
   * Faults: no-bluetooth, access-denied, no-answer, bus-lost.
   */
  async watch(path: string): Promise<Result<void, BluezFault>> {
    const rules = [
      `type='signal',sender='${BLUEZ}',path_namespace='${path}'`,
      `type='signal',sender='${BLUEZ}',path='/',interface='${OBJECT_MANAGER}'`,
      `type='signal',sender='${BUS}',member='NameOwnerChanged',arg0='${BLUEZ}'`,
    ];
    for (const rule of rules) {
      const added = await this.#send({ ...busCall, member: "AddMatch", signature: "s", body: [rule] }, BUS);
      if (!added.ok) return added;
    }
    // A call first: where systemd may start bluetoothd on demand, it does so now.
    const there = await this.managedObjects();
    if (!there.ok) return there;
    const owner = await this.#send({ ...busCall, member: "GetNameOwner", signature: "s", body: [BLUEZ] }, BUS);
    if (!owner.ok) return owner;
    const [name] = owner.value;
    if (typeof name !== "string") return failed(noBluetooth);
    this.#owner = name;
    return ok(undefined);
  }

  onSignal(listener: (signal: BluezSignal) => void): void {
    this.#signalListeners.push(listener);
  }

  /** One call to BlueZ; gives what it answered, without the wrapping of variants. Faults: no-bluetooth, access-denied, no-answer, call-refused, bus-lost. */
  call(call: BluezCall): Promise<Result<readonly unknown[], BluezFault>> {
    return this.#send(call, BLUEZ);
  }

  /** Every object of BlueZ. Faults: those of `call`. */
  async managedObjects(): Promise<Result<ManagedObjects, BluezFault>> {
    const tree = await this.call({
      what: "list what BlueZ has",
      path: "/",
      interfaceName: OBJECT_MANAGER,
      member: "GetManagedObjects",
    });
    return tree.ok ? ok(readTree(tree.value[0])) : tree;
  }

  close(): void {
    this.#end(undefined);
  }

  #send(call: BluezCall, destination: string): Promise<Result<readonly unknown[], BluezFault>> {
    const { what, path, interfaceName, member, signature, body = [], limitMs = CALL_LIMIT_MS } = call;
    if (this.#isOver) return Promise.resolve(failed(closed));
    const fields = { destination, path, interface: interfaceName, member, body: [...body] };
    const message = new Message(signature === undefined ? fields : { ...fields, signature });
    return new Promise((resolve) => {
      const settle = (result: Result<readonly unknown[], BluezFault>): void => {
        cancel();
        this.#waiting.delete(giveUp);
        resolve(result);
      };
      const giveUp = (fault: BluezFault): void => settle(failed(fault));
      const cancel = this.#clock.after(limitMs, () =>
        giveUp({ code: "no-answer", what, limitMs, remedy: "look at the log of bluetoothd; restart it if it hangs" }),
      );
      this.#waiting.add(giveUp);
      this.#bus.call(message).then(
        (reply) => settle(ok(unwrapped(reply?.body ?? []))),
        (error: unknown) => giveUp(refusalOf(error, what)),
      );
    });
  }

  #hear(message: Message): void {
    if (message.type !== MessageType.SIGNAL) return;
    const { sender, path, interface: interfaceName, member, body } = message;
    if (sender === BUS && member === "NameOwnerChanged") {
      // A new owner knows nothing of what we registered with the old one.
      if (body[0] === BLUEZ && this.#owner !== undefined) this.#end(noBluetooth);
      return;
    }
    if (sender !== this.#owner) return;
    for (const listener of this.#signalListeners) listener({ path, interfaceName, member, body: unwrapped(body) });
  }

  #end(fault: BluezFault | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const giveUp of [...this.#waiting]) giveUp(fault ?? closed);
    this.objects.close();
    endStream(this.#bus);
    this.#tellEnd(fault);
  }
}

/** Properties by interface name by path. */
export type ManagedObjects = ReadonlyMap<string, ReadonlyMap<string, Readonly<Record<string, unknown>>>>;

function readTree(tree: unknown): ManagedObjects {
  const objects = new Map<string, ReadonlyMap<string, Readonly<Record<string, unknown>>>>();
  for (const [path, interfaces] of entriesOf(tree)) {
    objects.set(
      path,
      new Map(entriesOf(interfaces).map(([name, values]) => [name, Object.fromEntries(entriesOf(values))])),
    );
  }
  return objects;
}

/** Takes every variant out of its wrapping, at any depth that D-Bus allows. */
function unwrap(value: unknown): unknown {
  if (value instanceof Variant) return unwrap(value.value);
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(unwrap);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, unwrap(inner)]));
}

function unwrapped(body: readonly unknown[]): readonly unknown[] {
  return body.map(unwrap);
}

function refusalOf(error: unknown, what: string): BluezFault {
  const name = property(error, "type");
  if (typeof name !== "string") return { code: "bus-lost", remedy: "start D-Bus again, then this command" };
  if (absences.some((prefix) => name.startsWith(prefix))) return noBluetooth;
  if (name === "org.freedesktop.DBus.Error.AccessDenied") {
    return { code: "access-denied", what, remedy: "run this as root, or as a member of the group bluetooth" };
  }
  return { code: "call-refused", what, errorName: name };
}

function unreachable(address: string, systemCode: string): BluezFault {
  return { code: "bus-unreachable", address, systemCode, remedy: "start the system bus: apt-get install dbus" };
}

/** `disconnect()` only says goodbye; a bus that hangs would keep the socket, and with it the process, for ever. */
function endStream(bus: unknown): void {
  const stream = property(property(bus, "_connection"), "stream");
  const destroy = property(stream, "destroy");
  if (typeof destroy === "function") Reflect.apply(destroy, stream, []);
}

function eventsOf(bus: unknown): EventEmitter {
  assert(bus instanceof EventEmitter, "a message bus is an event emitter");
  return bus;
}

function entriesOf(value: unknown): readonly [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function property(owner: unknown, name: string): unknown {
  return typeof owner === "object" && owner !== null ? Reflect.get(owner, name) : undefined;
}

function systemCodeOf(error: unknown): string {
  const code = property(error, "code");
  if (typeof code === "string") return code;
  return error instanceof Error ? error.name : "unknown";
}

const BLUEZ = "org.bluez";
const BUS = "org.freedesktop.DBus";
const OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager";
const SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket";
const busCall = { what: "use the bus", path: "/org/freedesktop/DBus", interfaceName: BUS } as const;
const noBluetooth: BluezFault = {
  code: "no-bluetooth",
  remedy: "bluetoothd does not run: apt-get install bluez; systemctl start bluetooth",
};
const closed: BluezFault = { code: "bus-lost", remedy: "this connection was closed here" };
/** No owner of the name, or the bus tried to start one and could not. */
const absences = [
  "org.freedesktop.DBus.Error.ServiceUnknown",
  "org.freedesktop.DBus.Error.NameHasNoOwner",
  "org.freedesktop.DBus.Error.NoReply",
  "org.freedesktop.DBus.Error.Spawn.",
  "org.freedesktop.systemd1.",
];
const CONNECT_LIMIT_MS = 5_000;
/** Registering is answered in milliseconds, and BlueZ's own Disconnect after 2 s. */
const CALL_LIMIT_MS = 8_000;
