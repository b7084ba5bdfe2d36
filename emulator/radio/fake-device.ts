/**
 * A peripheral as BlueZ shows it: Device1 while it is listed, and the GATT objects of its service while it is
 * connected. Behaviour and error names are those seen with BlueZ 5.66; which of them are on, the profile says.
 */
import { assert } from "../../protocol/base/result.ts";
import {
  ADVERTISEMENT_UUID,
  FRAMES_IN_UUID,
  FRAMES_OUT_UUID,
  LOCK_SERVICE_UUID,
} from "../../protocol/wire/ble-service.ts";
import type { AirConnection, AirContext, ConnectionEnd, ConnectionListener, Peripheral } from "./air.ts";
import { type AirProfile, scaledMs } from "./air-profile.ts";
import { type BusCall, type BusInterface, variant } from "./bus-objects.ts";
import { FakeCharacteristic } from "./fake-characteristic.ts";
import { FramePath } from "./frame-path.ts";

interface Link {
  readonly inward: FramePath;
  readonly outward: FramePath;
  readonly framesOut: FakeCharacteristic;
  readonly characteristics: readonly FakeCharacteristic[];
  readonly connection: AirConnection;
  listener: ConnectionListener | undefined;
  commands: number;
  /** Both directions. */
  bytesCrossed: number;
  /** Its services never come. */
  readonly hangs: boolean;
  /** Over for the lock, though BlueZ may not have noticed. */
  isBroken: boolean;
  objectPaths: string[];
}

export class FakeDevice {
  readonly peripheral: Peripheral;
  readonly path: string;
  readonly #air: AirContext;
  #listed = false;
  #present = true;
  #rssi: number | undefined;
  #serviceData: Uint8Array | undefined;
  #connected = false;
  #servicesResolved = false;
  #pendingConnect: { readonly call: BusCall; readonly cancel: () => void } | undefined;
  #link: Link | undefined;
  #disconnectsPending = 0;

  constructor(peripheral: Peripheral, air: AirContext) {
    this.peripheral = peripheral;
    this.path = `${air.adapterPath}/dev_${peripheral.address.replaceAll(":", "_").toUpperCase()}`;
    this.#air = air;
  }

  get connected(): boolean {
    return this.#link !== undefined && !this.#link.isBroken;
  }

  get present(): boolean {
    return this.#present;
  }

  /** Out of range: nothing is heard of it any more, and a link breaks. */
  setPresent(present: boolean): void {
    this.#present = present;
    if (!present) this.breakLink();
  }

  /** An advertisement is heard during a discovery: BlueZ lists the device and what it heard. */
  hear(): void {
    if (!this.#present || this.#connected) return;
    this.#rssi = -40 - Math.floor(this.#air.random() * 50);
    const data = this.peripheral.advertisement();
    this.#serviceData = this.#air.profile().advertisements === "cut" ? data.slice(0, -1) : data;
    if (this.#listed) this.#changed("RSSI", "ServiceData");
    else {
      this.#listed = true;
      this.#air.objects.add(this.path, [this.#interface()]);
    }
  }

  /** The discovery ended. */
  forgetSignal(): void {
    const { rssiVanishes, listsAbsentDevices } = this.#air.profile();
    if (rssiVanishes && this.#rssi !== undefined) {
      this.#rssi = undefined;
      this.#changed("RSSI");
    }
    if (!listsAbsentDevices && !this.#present) this.unlist();
  }

  /** BlueZ forgets the device, as RemoveDevice or its own tidying does. */
  unlist(): void {
    this.breakLink();
    if (!this.#listed) return;
    this.#listed = false;
    this.#air.objects.remove(this.path);
  }

  /** bluetoothd has died: the kernel drops the link, and whoever waited is answered by the bus. */
  dieWithDaemon(): void {
    const link = this.#link;
    this.#pendingConnect?.cancel();
    this.#pendingConnect = undefined;
    if (link !== undefined && !link.isBroken) this.#endForLock(link, "link-lost");
    if (link !== undefined) this.#takeDown(link);
    this.#listed = false;
    this.#rssi = undefined;
    this.#disconnectsPending = 0;
  }

  /** The lock knows at once; BlueZ notices a little later, and acknowledges commands until then. */
  breakLink(): void {
    const link = this.#link;
    if (link === undefined || link.isBroken) return;
    this.#endForLock(link, "link-lost");
    const { clock, profile } = this.#air;
    clock.after(scaledMs(profile(), "lossNoticedMs"), () => this.#takeDown(link));
  }

  #interface(): BusInterface {
    return {
      name: DEVICE,
      signatures: {
        Address: "s",
        AddressType: "s",
        Name: "s",
        Alias: "s",
        Adapter: "o",
        Paired: "b",
        Connected: "b",
        ServicesResolved: "b",
        UUIDs: "as",
        RSSI: "n",
        ServiceData: "a{sv}",
      },
      read: () => this.#properties(),
      methods: {
        Connect: { takes: [], gives: [], run: (call) => this.#connect(call) },
        Disconnect: { takes: [], gives: [], run: (call) => this.#disconnect(call) },
        Pair: { takes: [], gives: [], run: (call) => this.#pair(call) },
      },
      afterGet: (name) => {
        if (name === "ServicesResolved" && this.#air.profile().servicesResolved === "when-asked") this.#answerLate();
      },
    };
  }

  #properties(): Record<string, unknown> {
    const data = this.#serviceData;
    return {
      Address: this.peripheral.address,
      AddressType: "random",
      Name: this.peripheral.name,
      Alias: this.peripheral.name,
      Adapter: this.#air.adapterPath,
      Paired: false,
      Connected: this.#connected,
      ServicesResolved: this.#servicesResolved,
      UUIDs: [LOCK_SERVICE_UUID],
      RSSI: this.#rssi,
      ServiceData: data && { [ADVERTISEMENT_UUID]: variant("ay", Buffer.from(data)) },
    };
  }

  #pair(call: BusCall): void {
    this.#air.statistics.pairings++;
    if (this.#air.profile().pairsWithoutAgent) call.reply();
    else call.refuse(`${BLUEZ}.AuthenticationFailed`, "no agent");
  }

  #connect(call: BusCall): void {
    const { busyShare } = this.#air.profile();
    if (busyShare > 0 && this.#air.random() < busyShare) {
      return call.refuse(`${BLUEZ}.InProgress`, "Operation already in progress");
    }
    if (this.#pendingConnect !== undefined) return call.refuse(`${BLUEZ}.InProgress`, "Operation already in progress");
    // BlueZ gives an existing connection to whoever asks, also one that a dead program left behind.
    if (this.#connected) return call.reply();
    const profile = this.#air.profile();
    const isSlow = profile.slowConnectShare > 0 && this.#air.random() < profile.slowConnectShare;
    const outcome = this.#present
      ? this.#air.clock.after(scaledMs(profile, isSlow ? "absentConnectMs" : "connectMs"), () => this.#connectionMade())
      : this.#air.clock.after(scaledMs(profile, "absentConnectMs"), () => this.#connectionFailed());
    this.#pendingConnect = { call, cancel: outcome };
  }

  #connectionFailed(): void {
    const pending = this.#pendingConnect;
    this.#pendingConnect = undefined;
    pending?.cancel();
    pending?.call.refuse(`${BLUEZ}.Failed`, "le-connection-abort-by-local");
  }

  #connectionMade(): void {
    if (!this.#present) return this.#connectionFailed();
    const pending = this.#pendingConnect;
    this.#pendingConnect = undefined;
    this.#air.statistics.connections++;
    const link = this.#makeLink();
    this.#link = link;
    this.#connected = true;
    this.#changed("Connected");
    pending?.call.reply();
    link.listener = this.peripheral.onConnection(link.connection);
    const { clock, profile } = this.#air;
    // Then the first question is answered with false, and the change comes just behind the answer.
    if (profile().servicesResolved === "when-asked") return;
    clock.after(scaledMs(profile(), "servicesMs"), () => this.#resolveServices(link));
  }

  #answerLate(): void {
    if (this.#link !== undefined && !this.#servicesResolved) this.#resolveServices(this.#link);
  }

  #resolveServices(link: Link): void {
    if (this.#link !== link || link.isBroken || link.hangs) return;
    const early = this.#air.profile().servicesResolved === "early";
    if (!early) this.#exportServices(link);
    this.#servicesResolved = true;
    this.#changed("ServicesResolved");
    if (!early) return;
    const { clock, profile } = this.#air;
    clock.after(scaledMs(profile(), "servicesMs"), () => {
      if (this.#link === link) this.#exportServices(link);
    });
  }

  #exportServices(link: Link): void {
    const { objects } = this.#air;
    const services = new Map<string, string>();
    for (const { service } of link.characteristics) {
      if (services.has(service)) continue;
      const path = `${this.path}/service00${(0x10 + services.size).toString(16)}`;
      services.set(service, path);
      link.objectPaths.push(path);
      objects.add(path, [serviceInterface(service, this.path)]);
    }
    link.characteristics.forEach((characteristic, index) => {
      const servicePath = services.get(characteristic.service) ?? this.path;
      const path = `${servicePath}/char00${(0x20 + index).toString(16)}`;
      link.objectPaths.push(path);
      characteristic.exportAt(path, servicePath);
    });
  }

  #disconnect(call: BusCall): void {
    if (this.#pendingConnect !== undefined) {
      this.#connectionFailed();
      return call.reply();
    }
    if (!this.#connected) return call.refuse(`${BLUEZ}.NotConnected`, "Not Connected");
    this.#air.statistics.disconnects++;
    const link = this.#link;
    if (link !== undefined && !link.isBroken) {
      link.inward.flush();
      this.#endForLock(link, "closed-by-central");
    }
    if (link !== undefined) this.#takeDown(link);
    const { clock, profile } = this.#air;
    this.#disconnectsPending++;
    clock.after(scaledMs(profile(), "disconnectMs"), () => {
      this.#disconnectsPending = Math.max(0, this.#disconnectsPending - 1);
      call.reply();
    });
  }

  #endForLock(link: Link, reason: ConnectionEnd): void {
    link.isBroken = true;
    link.inward.drop();
    link.outward.drop();
    link.listener?.ended(reason);
  }

  /** The central's side: first what waited fails, then the properties change, then the objects go. */
  #takeDown(link: Link): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    for (const characteristic of link.characteristics) characteristic.failPending();
    this.#servicesResolved = false;
    this.#changed("ServicesResolved");
    this.#connected = false;
    this.#changed("Connected");
    for (const path of link.objectPaths.reverse()) this.#air.objects.remove(path);
  }

  #isWithoutServices({ connectHangsInDisconnect, servicesNeverShare }: AirProfile): boolean {
    if (connectHangsInDisconnect && this.#disconnectsPending > 0) return true;
    return servicesNeverShare > 0 && this.#air.random() < servicesNeverShare;
  }

  #makeLink(): Link {
    const { clock, random, statistics } = this.#air;
    const profile = this.#air.profile();
    const inward = new FramePath({
      profile,
      clock,
      random,
      deliver: (frame) => {
        statistics.framesIn++;
        link.listener?.frame(frame);
      },
    });
    const framesIn = new FakeCharacteristic(this.#air, {
      uuid: FRAMES_IN_UUID,
      service: LOCK_SERVICE_UUID,
      flags: ["write-without-response"],
      write: (frame) => this.#receive(link, frame),
    });
    const framesOut = new FakeCharacteristic(this.#air, {
      uuid: FRAMES_OUT_UUID,
      service: LOCK_SERVICE_UUID,
      flags: ["notify"],
    });
    const extras = Array.from({ length: profile.extraCharacteristics }, (_, index) => {
      const uuid = `0000${(0x2a00 + index).toString(16)}-0000-1000-8000-00805f9b34fb`;
      return new FakeCharacteristic(this.#air, { uuid, service: EXTRA_SERVICE_UUID, flags: ["read", "write"] });
    });
    const outward = new FramePath({
      profile,
      clock,
      random,
      deliver: (frame) => {
        statistics.framesOut++;
        framesOut.notify(frame);
      },
    });
    const connection = this.#connectionOf(() => link);
    const link: Link = {
      inward,
      outward,
      framesOut,
      characteristics: [framesIn, framesOut, ...extras],
      connection,
      listener: undefined,
      commands: 0,
      bytesCrossed: 0,
      hangs: this.#isWithoutServices(profile),
      isBroken: false,
      objectPaths: [],
    };
    return link;
  }

  #connectionOf(link: () => Link): AirConnection {
    return {
      notify: (frame) => {
        const current = link();
        assert(
          frame.length <= NOTIFICATION_LIMIT_BYTES,
          `a notification has at most ${NOTIFICATION_LIMIT_BYTES} bytes`,
        );
        if (this.#link !== current || current.isBroken || !current.framesOut.notifying) return false;
        if (this.#countBytes(current, frame) === "lost") return false;
        current.outward.push(Uint8Array.from(frame));
        return true;
      },
      close: () => {
        const current = link();
        if (this.#link !== current || current.isBroken) return;
        current.outward.flush();
        this.#endForLock(current, "closed-by-lock");
        this.#takeDown(current);
      },
    };
  }

  /** One command from the central; "lost" when the link broke under it. */
  #receive(link: Link, frame: Uint8Array): "taken" | "lost" {
    if (link.isBroken) return "taken";
    link.commands++;
    if (link.commands === this.#air.profile().linkLossAtFrame) {
      this.breakLink();
      return "lost";
    }
    if (this.#countBytes(link, frame) === "lost") return "lost";
    link.inward.push(frame);
    return "taken";
  }

  /** "lost": the link or bluetoothd went under this very frame. */
  #countBytes(link: Link, frame: Uint8Array): "crossed" | "lost" {
    const before = link.bytesCrossed;
    link.bytesCrossed += frame.length;
    const isReached = (atByte: number | undefined): boolean =>
      atByte !== undefined && before < atByte && link.bytesCrossed >= atByte;
    const { linkLossAtByte, daemonDeath } = this.#air.profile();
    if (isReached(linkLossAtByte)) {
      this.breakLink();
      return "lost";
    }
    if (daemonDeath === undefined || !isReached(daemonDeath.atByte)) return "crossed";
    this.#air.dieFor(daemonDeath.downMs);
    return "lost";
  }

  #changed(...names: readonly string[]): void {
    if (!this.#listed) return;
    for (let told = 0; told < this.#air.profile().changesTold; told++) {
      this.#air.objects.changed(this.path, DEVICE, names);
    }
  }
}

function serviceInterface(uuid: string, devicePath: string): BusInterface {
  return {
    name: "org.bluez.GattService1",
    signatures: { UUID: "s", Device: "o", Primary: "b" },
    read: () => ({ UUID: uuid, Device: devicePath, Primary: true }),
    methods: {},
  };
}

const BLUEZ = "org.bluez.Error";
const DEVICE = "org.bluez.Device1";
/** Device Information: a standard service that a lock may have beside ours. */
const EXTRA_SERVICE_UUID = "0000180a-0000-1000-8000-00805f9b34fb";
/** The largest attribute value there is. */
const NOTIFICATION_LIMIT_BYTES = 512;
