/**
 * The lock's GATT service as an application of BlueZ: one service with `frames-in` and `frames-out` (wire/ble-service.ts).
 * BlueZ reads this tree once, when it is registered; afterwards it calls WriteValue for each frame and forwards each change of
 * `Value` as a notification to whoever subscribed.
 */
import {
  FRAME_LIMIT_BYTES,
  FRAMES_IN_UUID,
  FRAMES_OUT_UUID,
  LOCK_SERVICE_UUID,
} from "../../protocol/wire/ble-service.ts";
import { type BusCall, type BusInterface, type BusObjects, variantEntry } from "./bus-objects.ts";

export interface GattApplicationOptions {
  readonly objects: BusObjects;
  /** A frame that the central at this D-Bus path wrote. */
  readonly onFrame: (devicePath: string, frame: Uint8Array) => void;
}

export class BluezGattApplication {
  readonly #options: GattApplicationOptions;
  #isNotifying = false;
  #lastFrame: Uint8Array = new Uint8Array(0);

  /** Shows the tree at once; to register it is the caller's part. */
  constructor(options: GattApplicationOptions) {
    this.#options = options;
    const { objects } = options;
    objects.add(SERVICE_PATH, [serviceInterface]);
    objects.add(FRAMES_IN_PATH, [this.#framesIn()]);
    objects.add(FRAMES_OUT_PATH, [this.#framesOut()]);
  }

  /** Whether a central subscribed to `frames-out`. */
  get isNotifying(): boolean {
    return this.#isNotifying;
  }

  /** Sends one notification; false when nobody is subscribed. BlueZ queues without a limit and says nothing of a loss. */
  notify(frame: Uint8Array): boolean {
    if (!this.#isNotifying) return false;
    this.#lastFrame = frame;
    this.#options.objects.changed(FRAMES_OUT_PATH, CHARACTERISTIC, ["Value"]);
    return true;
  }

  /** BlueZ does not always say StopNotify for a central that left; the next one subscribes anew. */
  forgetSubscription(): void {
    this.#isNotifying = false;
  }

  remove(): void {
    for (const path of [FRAMES_OUT_PATH, FRAMES_IN_PATH, SERVICE_PATH]) this.#options.objects.remove(path);
  }

  #framesIn(): BusInterface {
    return {
      name: CHARACTERISTIC,
      signatures: characteristicSignatures,
      read: () => ({ UUID: FRAMES_IN_UUID, Service: SERVICE_PATH, Flags: ["write-without-response"] }),
      methods: { WriteValue: { takes: ["ay", "a{sv}"], gives: [], run: (call) => this.#write(call) } },
    };
  }

  #framesOut(): BusInterface {
    return {
      name: CHARACTERISTIC,
      signatures: { ...characteristicSignatures, Value: "ay", Notifying: "b" },
      read: () => ({
        UUID: FRAMES_OUT_UUID,
        Service: SERVICE_PATH,
        Flags: ["notify"],
        Value: Buffer.from(this.#lastFrame),
        Notifying: this.#isNotifying,
      }),
      methods: {
        StartNotify: { takes: [], gives: [], run: (call) => this.#subscribe(call, true) },
        StopNotify: { takes: [], gives: [], run: (call) => this.#subscribe(call, false) },
      },
    };
  }

  #subscribe(call: BusCall, isNotifying: boolean): void {
    this.#isNotifying = isNotifying;
    call.reply();
  }

  #write(call: BusCall): void {
    const [value, options] = call.arguments;
    const device = variantEntry(options, "device");
    const offset = variantEntry(options, "offset") ?? 0;
    const isFrame = value instanceof Uint8Array && value.length >= 1 && value.length <= FRAME_LIMIT_BYTES;
    if (!isFrame) return call.refuse("org.bluez.Error.InvalidValueLength", `1 to ${FRAME_LIMIT_BYTES} bytes`);
    if (offset !== 0) return call.refuse("org.bluez.Error.InvalidOffset", "a frame is written whole");
    // Answered first, so that what the frame leads to never delays the answer.
    call.reply();
    if (typeof device === "string") this.#options.onFrame(device, Uint8Array.from(value));
  }
}

const serviceInterface: BusInterface = {
  name: "org.bluez.GattService1",
  signatures: { UUID: "s", Primary: "b" },
  read: () => ({ UUID: LOCK_SERVICE_UUID, Primary: true }),
  methods: {},
};

/** RegisterApplication takes the root of the tree; every example of BlueZ registers this one. */
export const GATT_ROOT = "/";
const SERVICE_PATH = "/doorlink/lock";
const FRAMES_IN_PATH = `${SERVICE_PATH}/framesin`;
const FRAMES_OUT_PATH = `${SERVICE_PATH}/framesout`;
const CHARACTERISTIC = "org.bluez.GattCharacteristic1";
const characteristicSignatures = { UUID: "s", Service: "o", Flags: "as" };
