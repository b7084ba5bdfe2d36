/**
 * A phone of the sync world that carries: the emulator's own phone courier, over the air of the world and straight to the authority's
 * phone couriers, with a network that comes and goes.
 */

import type { RadioLink } from "../../agent/ports/radio.ts";
import { RadioError } from "../../agent/ports/radio.ts";
import type { AccountFault } from "../../emulator/people/app-account.ts";
import type { CourierCloud } from "../../emulator/people/courier-cloud.ts";
import { PhoneCourier, type PhoneSyncDone, type PhoneSyncFault } from "../../emulator/people/phone-courier.ts";
import type { ConnectLink } from "../../emulator/people/phone-visit.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { failed, type Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { CourierLoad } from "../../protocol/sync/courier-sync.ts";
import type { SteppedClock } from "./stepped-clock.ts";
import { newAdapter, type VirtualAir, VirtualRadio } from "./virtual-air.ts";
import type { VirtualCloud } from "./virtual-cloud.ts";

export interface PhoneBoxOptions {
  readonly phone: string;
  /** Whose account is signed in on it. */
  readonly person: string;
  readonly clock: SteppedClock;
  readonly air: VirtualAir;
  readonly cloud: VirtualCloud;
  readonly random: SeededRandom;
  /** A bundle of so many bytes begins to go out; once for each visit. */
  readonly onPolicySent?: (box: PhoneBox, device: DeviceId, load: CourierLoad, of: number) => void;
}

export class PhoneBox {
  readonly adapter = newAdapter();
  readonly courier: PhoneCourier;
  isOnline = true;
  readonly #options: PhoneBoxOptions;
  #isPolicySent = false;

  constructor(options: PhoneBoxOptions) {
    this.#options = options;
    const { phone, clock, random, onPolicySent } = options;
    this.courier = new PhoneCourier({
      phone,
      clock,
      staticPrivateKey: random.bytes(32),
      ephemeralKey: () => random.bytes(32),
      cloud: this.#cloud(),
      signal: new AbortController().signal,
      onPage: (device, load, of) => {
        if (!this.#isPolicySent) onPolicySent?.(this, device, load, of);
        this.#isPolicySent = true;
      },
    });
  }

  get id(): string {
    return this.#options.phone;
  }

  sync(lock: { readonly device: DeviceId; readonly address: string }): Promise<Result<PhoneSyncDone, PhoneSyncFault>> {
    this.#isPolicySent = false;
    return this.courier.sync({ device: lock.device, connect: this.#connect(lock.address) });
  }

  /** What it does at a lock is what any radio of the world does. */
  #connect(address: string): ConnectLink {
    const radio = new VirtualRadio(this.#options.air, this.adapter);
    return (heard) => {
      let link: RadioLink | undefined;
      let isWanted = true;
      let isTold = false;
      const end = (reason: "link-lost" | "closed-by-central"): void => {
        if (!isTold) heard.ended(reason);
        isTold = true;
      };
      const opening = radio.connect(address, {
        frame: (bytes) => heard.frame(bytes),
        closed: ({ reason }) => end(reason === "closed-here" ? "closed-by-central" : "link-lost"),
      });
      opening.then(
        (opened) => {
          link = opened;
          if (isWanted) heard.connected();
          else void opened.close();
        },
        (error: unknown) => {
          if (!(error instanceof RadioError)) throw error;
          end("link-lost");
        },
      );
      return {
        send: (frame) => {
          // That the link is gone is told by its end.
          link?.send(frame).catch((error: unknown) => {
            if (!(error instanceof RadioError)) throw error;
          });
        },
        close: () => {
          isWanted = false;
          void link?.close();
        },
      };
    };
  }

  #cloud(): CourierCloud {
    const { phone, person, cloud } = this.#options;
    const { couriers } = cloud.cloud;
    const by = { phone, person };
    return {
      load: (device, key) => this.#call(() => couriers.load(by, device, key)),
      time: async (device, nonce) => {
        const answer = await this.#call(() => couriers.answerTime(by, device, nonce));
        return answer.ok ? answer.value : undefined;
      },
      deliver: (device, delivery) => this.#call(() => couriers.deliver(by, device, delivery)),
    };
  }

  /** There and back; either way may be gone, and then nobody knows what was done. */
  async #call<Value>(what: () => Result<Value, { readonly code: string }>): Promise<Result<Value, AccountFault>> {
    const away = failed({ code: "cloud-unreachable", what: "call", systemCode: "ENETUNREACH" } as const);
    await this.#travel();
    if (!this.isOnline) return away;
    const answer = what();
    await this.#travel();
    if (!this.isOnline) return away;
    if (answer.ok) return answer;
    return failed({ code: "cloud-refused", what: "call", status: 409, reason: answer.fault.code });
  }

  #travel(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(TRAVEL_MS, resolve);
    });
  }
}

const TRAVEL_MS = 20;
