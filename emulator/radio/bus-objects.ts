/**
 * Objects on a D-Bus: a tree of paths with interfaces, their properties and methods, as data. The only file of the
 * emulator that touches the D-Bus library, at the level of messages: what BlueZ does by hand (a property that
 * vanishes, an answer that comes 40 s later, one that names an error) can then be done by hand here.
 */
import { EventEmitter } from "node:events";
import {
  Message,
  type MessageBus,
  MessageType,
  NameFlag,
  RequestNameReply,
  sessionBus,
  Variant,
} from "@jellybrick/dbus-next";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { WorldClock } from "../world/clock.ts";

/** A value with its D-Bus signature. */
export interface Typed {
  readonly signature: string;
  readonly value: unknown;
}

export interface BusInterface {
  readonly name: string;
  /** Every property by name with its signature, for introspection; one that `read` leaves out is absent just now. */
  readonly signatures: Readonly<Record<string, string>>;
  /** The properties that are there now. */
  readonly read: () => Readonly<Record<string, unknown>>;
  readonly methods: Readonly<Record<string, BusMethod>>;
  /** Somebody has just been told the named property. */
  readonly afterGet?: (name: string) => void;
}

export interface BusMethod {
  /** Signature of the arguments, one type each. */
  readonly takes: readonly string[];
  readonly gives: readonly string[];
  readonly run: (call: BusCall) => void;
}

/** A method call waiting for its answer; exactly one of reply and refuse is called, at any later time. */
export interface BusCall {
  /** Unique name of the caller. */
  readonly sender: string;
  readonly arguments: readonly unknown[];
  reply(...values: readonly unknown[]): void;
  /** `name` such as `org.bluez.Error.Failed`. */
  refuse(name: string, text: string): void;
}

export type ServeFault =
  | { readonly code: "bus-unreachable"; readonly systemCode: string }
  | { readonly code: "name-taken"; readonly name: string }
  | { readonly code: "bus-timeout"; readonly limitMs: number };

export interface ServeOptions {
  /** Such as `unix:path=/run/x.sock`. */
  readonly busAddress: string;
  /** The well-known name to own. */
  readonly name: string;
  readonly clock: WorldClock;
  readonly limitMs?: number;
}

/** Connects to the bus and owns the name. Faults: bus-unreachable, name-taken, bus-timeout. */
export async function serveObjects(options: ServeOptions): Promise<Result<BusObjects, ServeFault>> {
  const { busAddress, name, clock, limitMs = SERVE_LIMIT_MS } = options;
  const bus = sessionBus({ busAddress });
  // Before the name is ours: until then the library would answer the first calls in its own way.
  const objects = new BusObjects(bus);
  const outcome = await new Promise<Result<void, ServeFault>>((resolve) => {
    const cancel = clock.after(limitMs, () => resolve(failed({ code: "bus-timeout", limitMs })));
    const unreachable = (error: unknown): void => {
      cancel();
      resolve(failed({ code: "bus-unreachable", systemCode: systemCodeOf(error) }));
    };
    onBusError(bus, unreachable);
    claimName(bus, name).then((claimed) => {
      cancel();
      resolve(claimed);
    }, unreachable);
  });
  if (outcome.ok) return ok(objects);
  objects.close();
  return outcome;
}

async function claimName(bus: MessageBus, name: string): Promise<Result<void, ServeFault>> {
  const reply = await bus.requestName(name, NameFlag.DO_NOT_QUEUE);
  return reply === RequestNameReply.PRIMARY_OWNER ? ok(undefined) : failed({ code: "name-taken", name });
}

export class BusObjects {
  /** True for a member that is taken and never answered. */
  isUnanswered: (member: string) => boolean = () => false;
  readonly #bus: MessageBus;
  readonly #objects = new Map<string, readonly BusInterface[]>();
  readonly #leaveListeners = new Map<string, () => void>();
  #open = true;
  #isClosed = false;

  constructor(bus: MessageBus) {
    this.#bus = bus;
    bus.addMethodHandler((message) => this.#handle(message));
    bus.on("message", (message) => this.#hearNameOwner(message));
    // A bus that goes away is noticed by whoever started it; here it only means that nobody listens any more.
    onBusError(bus, () => {
      this.#open = false;
    });
  }

  /** Shows an object and tells ObjectManager's listeners. */
  add(path: string, interfaces: readonly BusInterface[]): void {
    this.#objects.set(path, interfaces);
    const shown = Object.fromEntries(interfaces.map((one) => [one.name, variantsOf(one)]));
    this.#signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, shown]);
  }

  remove(path: string): void {
    const interfaces = this.#objects.get(path);
    if (interfaces === undefined) return;
    this.#objects.delete(path);
    const names = interfaces.map(({ name }) => name);
    this.#signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, names]);
  }

  /** Emits PropertiesChanged for the named properties; one that is absent now is told as invalidated. */
  changed(path: string, interfaceName: string, names: readonly string[]): void {
    const shown = this.#objects.get(path)?.find((one) => one.name === interfaceName);
    if (shown === undefined) return;
    const variants = variantsOf(shown);
    const present = names.filter((name) => name in variants);
    const body = [
      interfaceName,
      Object.fromEntries(present.map((name) => [name, variants[name]])),
      names.filter((name) => !(name in variants)),
    ];
    this.#signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body);
  }

  /** Calls back once when this caller has left the bus. */
  onceGone(sender: string, listener: () => void): void {
    if (!this.#leaveListeners.has(sender)) {
      this.#send(
        new Message({
          destination: BUS_NAME,
          path: "/org/freedesktop/DBus",
          interface: BUS_NAME,
          member: "AddMatch",
          signature: "s",
          body: [leaveRule(sender)],
        }),
      );
    }
    this.#leaveListeners.set(sender, listener);
  }

  /** Leaves the bus; pending calls are answered by the bus, as when a daemon dies. A second close changes nothing. */
  close(): void {
    this.#open = false;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#bus.disconnect();
  }

  #handle(message: Message): boolean {
    const { path, interface: interfaceName, member } = message;
    if (this.isUnanswered(member)) return true;
    if (interfaceName === INTROSPECTABLE && member === "Introspect") this.#introspect(message);
    else if (interfaceName === PROPERTIES) this.#property(message);
    else if (path === "/" && interfaceName === OBJECT_MANAGER && member === "GetManagedObjects") this.#list(message);
    else this.#method(message);
    return true;
  }

  #method(message: Message): void {
    const shown = this.#objects.get(message.path);
    if (shown === undefined) return this.#refuse(message, UNKNOWN_OBJECT, `no object ${message.path}`);
    const method = shown.find(({ name }) => name === message.interface)?.methods[message.member];
    if (method === undefined || (message.signature ?? "") !== method.takes.join("")) {
      return this.#refuse(message, UNKNOWN_METHOD, `no method ${message.member} with these arguments`);
    }
    method.run({
      sender: message.sender,
      arguments: message.body,
      reply: (...values) => this.#reply(message, method.gives.join(""), values),
      refuse: (name, text) => this.#refuse(message, name, text),
    });
  }

  #property(message: Message): void {
    const [interfaceName, name] = message.body;
    const shown = this.#objects.get(message.path)?.find((one) => one.name === interfaceName);
    if (shown === undefined) return this.#refuse(message, UNKNOWN_OBJECT, `no object ${message.path}`);
    const variants = variantsOf(shown);
    if (message.member === "GetAll") return this.#reply(message, "a{sv}", [variants]);
    const value = typeof name === "string" ? variants[name] : undefined;
    if (message.member === "Get" && value !== undefined) {
      this.#reply(message, "v", [value]);
      return shown.afterGet?.(String(name));
    }
    const code = message.member === "Get" ? INVALID_ARGUMENTS : PROPERTY_READ_ONLY;
    this.#refuse(message, code, `no such property '${String(name)}'`);
  }

  #list(message: Message): void {
    const tree = [...this.#objects].map(([path, interfaces]) => [
      path,
      Object.fromEntries(interfaces.map((one) => [one.name, variantsOf(one)])),
    ]);
    this.#reply(message, "a{oa{sa{sv}}}", [Object.fromEntries(tree)]);
  }

  #introspect(message: Message): void {
    const { path } = message;
    const below = path === "/" ? "/" : `${path}/`;
    const children = new Set<string>();
    for (const other of this.#objects.keys()) {
      if (other !== path && other.startsWith(below)) children.add(other.slice(below.length).split("/")[0] ?? "");
    }
    const interfaces = this.#objects.get(path) ?? [];
    if (interfaces.length === 0 && children.size === 0) {
      return this.#refuse(message, UNKNOWN_OBJECT, `no object ${path}`);
    }
    this.#reply(message, "s", [introspectionOf(path, interfaces, [...children])]);
  }

  #hearNameOwner(message: Message): void {
    if (message.type !== MessageType.SIGNAL || message.member !== "NameOwnerChanged") return;
    const [name, , newOwner] = message.body;
    if (message.sender !== BUS_NAME || typeof name !== "string" || newOwner !== "") return;
    const listener = this.#leaveListeners.get(name);
    this.#leaveListeners.delete(name);
    listener?.();
  }

  #reply(message: Message, signature: string, values: readonly unknown[]): void {
    this.#send(Message.newMethodReturn(message, signature, [...values]));
  }

  #refuse(message: Message, name: string, text: string): void {
    this.#send(Message.newError(message, name, text));
  }

  #signal(path: string, interfaceName: string, member: string, signature: string, body: unknown[]): void {
    this.#send(Message.newSignal(path, interfaceName, member, signature, body));
  }

  /** Answers may come due after the bus went; they have nobody to go to then. */
  #send(message: Message): void {
    if (this.#open && isWritable(this.#bus)) this.#bus.send(message);
  }
}

/** On a stream that is closed the library would throw, out of whatever timer answers just then; it does not say so before. */
function isWritable(bus: unknown): boolean {
  const writable = property(property(property(bus, "_connection"), "stream"), "writable");
  return writable !== false;
}

function property(owner: unknown, name: string): unknown {
  return typeof owner === "object" && owner !== null ? Reflect.get(owner, name) : undefined;
}

/** The library emits errors of its connection as "error", though its types leave that event out; unheard, they end the process. */
function onBusError(bus: unknown, listener: (error: unknown) => void): void {
  assert(bus instanceof EventEmitter, "a message bus is an event emitter");
  bus.on("error", listener);
}

function variantsOf(shown: BusInterface): Record<string, Variant> {
  const values = shown.read();
  const variants: Record<string, Variant> = {};
  for (const [name, signature] of Object.entries(shown.signatures)) {
    const value = values[name];
    if (value !== undefined) variants[name] = new Variant(signature, value);
  }
  return variants;
}

/** For a value inside a{sv} or v. */
export function variant(signature: string, value: unknown): Variant {
  return new Variant(signature, value);
}

/** Reads one entry of an a{sv} argument; undefined when it is not there. */
export function variantEntry(dictionary: unknown, key: string): unknown {
  const entry = property(dictionary, key);
  return entry instanceof Variant ? entry.value : undefined;
}

function introspectionOf(path: string, interfaces: readonly BusInterface[], children: readonly string[]): string {
  const manager = path === "/" ? OBJECT_MANAGER_XML : "";
  const own = interfaces.map((one) => `<interface name="${one.name}">${membersOf(one)}</interface>`).join("");
  const nodes = children.map((name) => `<node name="${name}"/>`).join("");
  return `<node>${STANDARD_XML}${manager}${own}${nodes}</node>`;
}

function membersOf(shown: BusInterface): string {
  const properties = Object.entries(shown.signatures).map(
    ([name, type]) => `<property name="${name}" type="${type}" access="read"/>`,
  );
  const methods = Object.entries(shown.methods).map(([name, { takes, gives }]) => {
    const inputs = takes.map((type) => `<arg direction="in" type="${type}"/>`);
    const outputs = gives.map((type) => `<arg direction="out" type="${type}"/>`);
    return `<method name="${name}">${[...inputs, ...outputs].join("")}</method>`;
  });
  return [...properties, ...methods].join("");
}

function leaveRule(sender: string): string {
  return `type='signal',sender='${BUS_NAME}',member='NameOwnerChanged',arg0='${sender}'`;
}

function systemCodeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

const SERVE_LIMIT_MS = 5_000;
const BUS_NAME = "org.freedesktop.DBus";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE = "org.freedesktop.DBus.Introspectable";
const OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager";
const UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject";
const UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod";
const INVALID_ARGUMENTS = "org.freedesktop.DBus.Error.InvalidArgs";
const PROPERTY_READ_ONLY = "org.freedesktop.DBus.Error.PropertyReadOnly";
const STANDARD_XML = `<interface name="${INTROSPECTABLE}"><method name="Introspect"><arg direction="out" type="s"/></method></interface><interface name="${PROPERTIES}"><method name="Get"><arg direction="in" type="s"/><arg direction="in" type="s"/><arg direction="out" type="v"/></method><method name="GetAll"><arg direction="in" type="s"/><arg direction="out" type="a{sv}"/></method><signal name="PropertiesChanged"><arg type="s"/><arg type="a{sv}"/><arg type="as"/></signal></interface>`;
const OBJECT_MANAGER_XML = `<interface name="${OBJECT_MANAGER}"><method name="GetManagedObjects"><arg direction="out" type="a{oa{sa{sv}}}"/></method><signal name="InterfacesAdded"><arg type="o"/><arg type="a{sa{sv}}"/></signal><signal name="InterfacesRemoved"><arg type="o"/><arg type="as"/></signal></interface>`;
