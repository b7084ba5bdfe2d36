/**
 * What the lock says on the air, as an object of BlueZ: the service's UUID and six bytes of service data fill the 31 bytes of
 * a legacy advertisement exactly (flags 3, UUID 18, data 10); the name goes into the scan response.
 *
 * If BlueZ cannot read the object it advertises an empty, non-connectable packet and reports success, so every property is there
 * whenever it asks.
 */

import { equalBytes } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { ADVERTISEMENT_BYTES } from "../../protocol/wire/advertisement.ts";
import { ADVERTISEMENT_UUID, LOCK_SERVICE_UUID } from "../../protocol/wire/ble-service.ts";
import { type BusInterface, type BusObjects, variant } from "./bus-objects.ts";

export interface AdvertisementOptions {
  readonly objects: BusObjects;
  readonly name: string;
  /** The six bytes as they are now. */
  readonly read: () => Uint8Array;
}

export class BluezAdvertisement {
  readonly #options: AdvertisementOptions;
  #onAir: Uint8Array;

  constructor(options: AdvertisementOptions) {
    this.#options = options;
    this.#onAir = this.#readNow();
    options.objects.add(ADVERTISEMENT_PATH, [this.#interface()]);
  }

  /** Tells BlueZ when the bytes have changed since the last look; true when it did. */
  refresh(): boolean {
    const now = this.#readNow();
    if (equalBytes(now, this.#onAir)) return false;
    this.#onAir = now;
    this.#options.objects.changed(ADVERTISEMENT_PATH, ADVERTISEMENT, ["ServiceData"]);
    return true;
  }

  remove(): void {
    this.#options.objects.remove(ADVERTISEMENT_PATH);
  }

  #readNow(): Uint8Array {
    const bytes = this.#options.read();
    assert(bytes.length === ADVERTISEMENT_BYTES, `${ADVERTISEMENT_BYTES} bytes of service data are what fits`);
    return bytes;
  }

  #interface(): BusInterface {
    return {
      name: ADVERTISEMENT,
      signatures: { Type: "s", ServiceUUIDs: "as", ServiceData: "a{sv}", LocalName: "s" },
      read: () => ({
        Type: "peripheral",
        ServiceUUIDs: [LOCK_SERVICE_UUID],
        ServiceData: { [ADVERTISEMENT_UUID]: variant("ay", Buffer.from(this.#onAir)) },
        LocalName: this.#options.name.slice(0, NAME_LIMIT_CHARACTERS),
      }),
      // BlueZ says Release when it drops the advertisement; that its owner is leaving is heard from the bus as well.
      methods: { Release: { takes: [], gives: [], run: (call) => call.reply() } },
    };
  }
}

export const ADVERTISEMENT_PATH = "/doorlink/advertisement";
const ADVERTISEMENT = "org.bluez.LEAdvertisement1";
/** A scan response has 31 bytes, 2 of them before the name; some controllers' stacks want room for more. */
const NAME_LIMIT_CHARACTERS = 26;
