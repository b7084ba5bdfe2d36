/**
 * The emulated BlueZ: owns `org.bluez` on a private bus and shows one adapter and the peripherals that are on the air.
 * Everything an unmodified central does goes through the same D-Bus calls as with bluetoothd, and meets the same traps
 * (`air-profile.ts` lists them). Devices appear when a discovery hears them, stay listed when they leave, and a
 * connection outlives the program that asked for it.
 */
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import type { WorldClock } from "../world/clock.ts";
import type { AirContext, AirStatistics, Peripheral } from "./air.ts";
import { type AirProfile, DEFAULT_AIR_PROFILE, scaledMs } from "./air-profile.ts";
import { type BusCall, type BusInterface, type BusObjects, type ServeFault, serveObjects } from "./bus-objects.ts";
import { FakeDevice } from "./fake-device.ts";

export interface FakeBluezOptions {
  /** Such as `unix:path=/run/doorlink/bus.sock`. */
  readonly busAddress: string;
  readonly clock: WorldClock;
  /** 0 <= value < 1; one seed gives one order of losses and inversions for one order of events. */
  readonly random: () => number;
  /** What differs from DEFAULT_AIR_PROFILE. */
  readonly profile?: Partial<AirProfile>;
}

/** Owns `org.bluez`. Faults: bus-unreachable, name-taken (another BlueZ is there), bus-timeout. */
export async function startFakeBluez(options: FakeBluezOptions): Promise<Result<FakeBluez, ServeFault>> {
  const { busAddress, clock } = options;
  const served = await serveObjects({ busAddress, name: "org.bluez", clock });
  return served.ok ? ok(new FakeBluez(served.value, options)) : failed(served.fault);
}

/** What the world may do with a peripheral that is on the air. */
export interface AirHandle {
  readonly connected: boolean;
  /** Puts it in or out of range; out of range breaks its link. */
  setPresent(present: boolean): void;
  /** The link breaks, as when somebody walks between. */
  breakLink(): void;
  /** BlueZ forgets the device, though it may be there. */
  forget(): void;
  /** Takes the peripheral off the air for good. */
  remove(): void;
}

export class FakeBluez {
  readonly statistics: AirStatistics = {
    connections: 0,
    disconnects: 0,
    framesIn: 0,
    framesOut: 0,
    requestsRefused: 0,
    commandsLost: 0,
    reliableWrites: 0,
    pairings: 0,
  };
  #objects: BusObjects;
  readonly #options: FakeBluezOptions;
  readonly #clock: WorldClock;
  readonly #air: AirContext;
  readonly #devices = new Map<string, FakeDevice>();
  /** Bus names of the clients that discover; BlueZ discovers while there is one. */
  readonly #discoverers = new Set<string>();
  #profile: AirProfile;
  #powered = true;
  #cancelAdvertising: (() => void) | undefined;
  /** Paths of packets without data, which BlueZ lists as devices for a while. */
  readonly #phantoms: string[] = [];
  #cancelReturn: (() => void) | undefined;
  #isClosed = false;

  constructor(objects: BusObjects, options: FakeBluezOptions) {
    this.#objects = objects;
    this.#options = options;
    this.#clock = options.clock;
    this.#profile = { ...DEFAULT_AIR_PROFILE, ...options.profile };
    const current = (): BusObjects => this.#objects;
    this.#air = {
      get objects() {
        return current();
      },
      clock: options.clock,
      random: options.random,
      profile: () => this.#profile,
      statistics: this.statistics,
      adapterPath: ADAPTER_PATH,
      dieFor: (downMs) => this.restart(downMs),
    };
    this.#serve();
  }

  /** Puts a peripheral on the air. Its address must be upper-case hex pairs with colons, and free. */
  addPeripheral(peripheral: Peripheral): AirHandle {
    const { address } = peripheral;
    assert(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/.test(address), `a Bluetooth address, not ${address}`);
    assert(!this.#devices.has(address), `the address ${address} is on the air already`);
    const device = new FakeDevice(peripheral, this.#air);
    this.#devices.set(address, device);
    return {
      get connected() {
        return device.connected;
      },
      setPresent: (present) => device.setPresent(present),
      breakLink: () => device.breakLink(),
      forget: () => device.unlist(),
      remove: () => {
        device.unlist();
        this.#devices.delete(address);
      },
    };
  }

  /** Changes the air from now on; a link that stands keeps the order and losses it began with. */
  setProfile(changes: Partial<AirProfile>): void {
    this.#profile = { ...this.#profile, ...changes };
  }

  setPowered(powered: boolean): void {
    this.#powered = powered;
    if (!powered) for (const device of this.#devices.values()) device.breakLink();
    this.#changed("Powered");
  }

  /** Leaves the bus, as when bluetoothd dies; every link breaks. */
  close(): void {
    this.#isClosed = true;
    this.#cancelReturn?.();
    this.#die();
  }

  /**
   * bluetoothd dies, and a new one with nothing in its memory is on the bus `downMs` of the profile's time later. A bus that is gone by
   * then stays without it.
   */
  restart(downMs: number): void {
    if (this.#isClosed || this.#cancelReturn !== undefined) return;
    this.#die();
    this.#cancelReturn = this.#clock.after(downMs * this.#profile.timeScale, () => void this.#return());
  }

  #die(): void {
    this.#cancelAdvertising?.();
    this.#cancelAdvertising = undefined;
    this.#discoverers.clear();
    this.#phantoms.length = 0;
    // Off the bus first: what dies says nothing more, and the bus answers those who wait.
    this.#objects.close();
    for (const device of this.#devices.values()) device.dieWithDaemon();
  }

  async #return(): Promise<void> {
    const { busAddress, clock } = this.#options;
    const served = await serveObjects({ busAddress, name: "org.bluez", clock });
    this.#cancelReturn = undefined;
    if (this.#isClosed) return served.ok ? served.value.close() : undefined;
    if (!served.ok) {
      // The bus may not have heard yet that the old one is gone, or be slow; a bus that is not there stays without BlueZ.
      if (served.fault.code === "bus-unreachable") return;
      this.#cancelReturn = clock.after(RETURN_AGAIN_MS, () => void this.#return());
      return;
    }
    this.#objects = served.value;
    this.#serve();
  }

  #serve(): void {
    this.#objects.isUnanswered = (member) => this.#profile.unanswered.includes(member);
    this.#objects.add("/org/bluez", [agentManagerInterface()]);
    this.#objects.add(ADAPTER_PATH, [this.#adapterInterface()]);
  }

  #adapterInterface(): BusInterface {
    return {
      name: ADAPTER,
      signatures: { Address: "s", AddressType: "s", Name: "s", Alias: "s", Powered: "b", Discovering: "b" },
      read: () => ({
        Address: "B8:27:EB:00:00:01",
        AddressType: "public",
        Name: "emulated",
        Alias: "emulated",
        Powered: this.#powered,
        Discovering: this.#discoverers.size > 0,
      }),
      methods: {
        SetDiscoveryFilter: { takes: ["a{sv}"], gives: [], run: (call) => call.reply() },
        StartDiscovery: { takes: [], gives: [], run: (call) => this.#startDiscovery(call) },
        StopDiscovery: { takes: [], gives: [], run: (call) => this.#stopDiscovery(call) },
        RemoveDevice: { takes: ["o"], gives: [], run: (call) => this.#removeDevice(call) },
      },
    };
  }

  #startDiscovery(call: BusCall): void {
    if (!this.#powered) return call.refuse("org.bluez.Error.NotReady", "Resource Not Ready");
    const { sender } = call;
    const { busyShare } = this.#profile;
    const isBusy = busyShare > 0 && this.#air.random() < busyShare;
    if (isBusy || this.#discoverers.has(sender))
      return call.refuse("org.bluez.Error.InProgress", "Operation already in progress");
    this.#discoverers.add(sender);
    // BlueZ ends the discovery of a client that left without saying so.
    this.#objects.onceGone(sender, () => this.#leaveDiscovery(sender));
    if (this.#discoverers.size === 1) {
      this.#changed("Discovering");
      this.#advertise();
    }
    call.reply();
  }

  #stopDiscovery(call: BusCall): void {
    if (!this.#discoverers.has(call.sender)) return call.refuse("org.bluez.Error.Failed", "No discovery started");
    this.#leaveDiscovery(call.sender);
    call.reply();
  }

  #leaveDiscovery(sender: string): void {
    if (!this.#discoverers.delete(sender) || this.#discoverers.size > 0) return;
    this.#cancelAdvertising?.();
    this.#cancelAdvertising = undefined;
    this.#changed("Discovering");
    for (const device of this.#devices.values()) device.forgetSignal();
  }

  /** Every peripheral is heard once in each interval, beginning somewhere within the first. */
  #advertise(): void {
    const intervalMs = scaledMs(this.#profile, "advertisingIntervalMs");
    const delayMs = this.#cancelAdvertising === undefined ? intervalMs * this.#air.random() : intervalMs;
    this.#cancelAdvertising = this.#clock.after(delayMs, () => {
      for (const device of this.#devices.values()) {
        if (this.#profile.advertisements !== "empty") device.hear();
        else if (device.present) this.#hearPhantom();
      }
      this.#advertise();
    });
  }

  /** A packet without name and data, from an address that is drawn anew each time. */
  #hearPhantom(): void {
    const byte = (): string =>
      Math.floor(this.#air.random() * 256)
        .toString(16)
        .padStart(2, "0")
        .toUpperCase();
    const address = Array.from({ length: 6 }, byte).join(":");
    const path = `${ADAPTER_PATH}/dev_${address.replaceAll(":", "_")}`;
    this.#objects.add(path, [
      {
        name: "org.bluez.Device1",
        signatures: { Address: "s", AddressType: "s", RSSI: "n", Connected: "b" },
        read: () => ({ Address: address, AddressType: "random", RSSI: -70, Connected: false }),
        methods: {},
      },
    ]);
    this.#phantoms.push(path);
    if (this.#phantoms.length > PHANTOM_LIMIT) this.#objects.remove(this.#phantoms.shift() ?? "");
  }

  #removeDevice(call: BusCall): void {
    const device = [...this.#devices.values()].find(({ path }) => path === call.arguments[0]);
    if (device === undefined) return call.refuse("org.bluez.Error.DoesNotExist", "Does Not Exist");
    device.unlist();
    call.reply();
  }

  #changed(name: string): void {
    this.#objects.changed(ADAPTER_PATH, ADAPTER, [name]);
  }
}

/** A central looks for this interface to see that BlueZ is there; nobody pairs here. */
function agentManagerInterface(): BusInterface {
  const taken = (call: BusCall): void => call.reply();
  return {
    name: "org.bluez.AgentManager1",
    signatures: {},
    read: () => ({}),
    methods: {
      RegisterAgent: { takes: ["o", "s"], gives: [], run: taken },
      UnregisterAgent: { takes: ["o"], gives: [], run: taken },
      RequestDefaultAgent: { takes: ["o"], gives: [], run: taken },
    },
  };
}

const RETURN_AGAIN_MS = 50;
/** BlueZ forgets what it heard once and never again after 30 s. */
const PHANTOM_LIMIT = 30;
const ADAPTER = "org.bluez.Adapter1";
const ADAPTER_PATH = "/org/bluez/hci0";
