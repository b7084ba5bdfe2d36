/** GattCharacteristic1 as BlueZ 5.66 behaves: which writes it takes, refuses, and acknowledges though they are lost. */
import type { AirContext } from "./air.ts";
import { scaledMs } from "./air-profile.ts";
import { type BusCall, type BusInterface, variantEntry } from "./bus-objects.ts";

export interface CharacteristicOptions {
  readonly uuid: string;
  readonly service: string;
  readonly flags: readonly string[];
  /** What becomes of a written value; a characteristic without it keeps the value. */
  readonly write?: (value: Uint8Array) => "taken" | "lost";
}

export class FakeCharacteristic {
  readonly service: string;
  readonly #air: AirContext;
  readonly #options: CharacteristicOptions;
  #path: string | undefined;
  #servicePath = "";
  #value: Uint8Array = new Uint8Array();
  #notifying = false;
  /** A request whose answer is on its way. */
  #pending: { readonly call: BusCall; readonly cancel: () => void } | undefined;
  /** Commands under which the link broke. */
  readonly #lost: BusCall[] = [];
  #commands = 0;

  constructor(air: AirContext, options: CharacteristicOptions) {
    this.service = options.service;
    this.#air = air;
    this.#options = options;
  }

  get notifying(): boolean {
    return this.#notifying;
  }

  exportAt(path: string, servicePath: string): void {
    this.#path = path;
    this.#servicePath = servicePath;
    this.#air.objects.add(path, [this.#interface()]);
  }

  /** One notification, as a change of Value; what the link does not carry is cut off. */
  notify(value: Uint8Array): void {
    this.#value = value.slice(0, this.#air.profile().mtu - ATT_HEADER_BYTES);
    this.#changed("Value");
  }

  /** The link is gone: what waited for an answer gets BlueZ's. */
  failPending(): void {
    this.#pending?.cancel();
    for (const call of [this.#pending?.call, ...this.#lost.splice(0)]) call?.refuse(FAILED, LINK_LOST_TEXT);
    this.#pending = undefined;
  }

  #interface(): BusInterface {
    return {
      name: CHARACTERISTIC,
      signatures: { UUID: "s", Service: "o", Value: "ay", Notifying: "b", Flags: "as", MTU: "q" },
      read: () => ({
        UUID: this.#options.uuid,
        Service: this.#servicePath,
        Value: Buffer.from(this.#value),
        Notifying: this.#notifying,
        Flags: [...this.#options.flags],
        MTU: this.#air.profile().tellsMtu ? this.#air.profile().mtu : undefined,
      }),
      methods: {
        ReadValue: { takes: ["a{sv}"], gives: ["ay"], run: (call) => this.#request(call, () => this.#read(call)) },
        WriteValue: { takes: ["ay", "a{sv}"], gives: [], run: (call) => this.#write(call) },
        StartNotify: { takes: [], gives: [], run: (call) => this.#setNotifying(call, true) },
        StopNotify: { takes: [], gives: [], run: (call) => this.#setNotifying(call, false) },
      },
    };
  }

  #write(call: BusCall): void {
    const [value, options] = call.arguments;
    if (!(value instanceof Uint8Array)) return call.refuse(FAILED, "a value is an array of bytes");
    const { acquiredByAnother, reliableWrites } = this.#air.profile();
    if (acquiredByAnother) return call.refuse(`${BLUEZ}.NotPermitted`, "Write acquired");
    const type = variantEntry(options, "type");
    if (type === "command") return this.#command(call, Uint8Array.from(value));
    // Without a type BlueZ chooses a request where there is one; "reliable" is what node-ble asks for by default.
    if (type === "reliable") {
      this.#air.statistics.reliableWrites++;
      if (reliableWrites === "refused") return call.refuse(FAILED, "Operation failed with ATT error: 0x06");
    } else if (!this.#options.flags.includes("write"))
      return call.refuse(`${BLUEZ}.NotSupported`, "Operation is not supported");
    if (value.length > this.#air.profile().writeLimitBytes) {
      return call.refuse(`${BLUEZ}.InvalidValueLength`, "Invalid Length");
    }
    this.#request(call, () => {
      this.#value = Uint8Array.from(value);
      if (type === "reliable") this.#options.write?.(this.#value);
      call.reply();
    });
  }

  /** The answer says "queued": errors of a command are nobody's to see, unless the link breaks under it. */
  #command(call: BusCall, value: Uint8Array): void {
    const { writeLimitBytes, mtu, swallowedCommands: swallowed } = this.#air.profile();
    this.#commands++;
    const isSwallowed =
      swallowed !== undefined && this.#commands >= swallowed.from && this.#commands < swallowed.from + swallowed.count;
    if (isSwallowed || value.length > Math.min(writeLimitBytes, mtu - ATT_HEADER_BYTES)) {
      this.#air.statistics.commandsLost++;
      return call.reply();
    }
    if (this.#options.write?.(value) === "lost") this.#lost.push(call);
    else call.reply();
  }

  /** One round trip to the lock: two connection intervals. */
  #request(call: BusCall, answer: () => void): void {
    const profile = this.#air.profile();
    if (this.#pending !== undefined && profile.oneRequestAtATime) {
      this.#air.statistics.requestsRefused++;
      return call.refuse(`${BLUEZ}.InProgress`, "Operation already in progress");
    }
    const cancel = this.#air.clock.after(2 * scaledMs(profile, "connectionIntervalMs"), () => {
      this.#pending = undefined;
      answer();
    });
    this.#pending = { call, cancel };
  }

  #read(call: BusCall): void {
    call.reply(Buffer.from(this.#value));
  }

  #setNotifying(call: BusCall, notifying: boolean): void {
    const { acquiredByAnother, busyShare } = this.#air.profile();
    if (acquiredByAnother) return call.refuse(`${BLUEZ}.NotPermitted`, "Notify acquired");
    if (notifying && busyShare > 0 && this.#air.random() < busyShare) {
      return call.refuse(`${BLUEZ}.InProgress`, "Operation already in progress");
    }
    if (!this.#options.flags.includes("notify"))
      return call.refuse(`${BLUEZ}.NotSupported`, "Operation is not supported");
    this.#request(call, () => {
      this.#notifying = notifying;
      this.#changed("Notifying");
      call.reply();
    });
  }

  #changed(name: string): void {
    if (this.#path !== undefined) this.#air.objects.changed(this.#path, CHARACTERISTIC, [name]);
  }
}

const BLUEZ = "org.bluez.Error";
const FAILED = `${BLUEZ}.Failed`;
const LINK_LOST_TEXT = "Operation failed with ATT error: 0x0e";
const CHARACTERISTIC = "org.bluez.GattCharacteristic1";
/** Operation and handle, in front of each value. */
const ATT_HEADER_BYTES = 3;
