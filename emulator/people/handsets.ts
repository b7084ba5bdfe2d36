/**
 * Who is signed in to the app on which phone. Everybody is on their own phone; anybody can sign in on another one, such as a
 * neighbour's (row 73), if it can run the app (row 74), and is signed in there until they sign out.
 */
import { failed, type Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { Peripheral } from "../radio/air.ts";
import { type AirProfile, DEFAULT_AIR_PROFILE } from "../radio/air-profile.ts";
import { connectPhone } from "../radio/phone-link.ts";
import type { WorldClock } from "../world/clock.ts";
import { seededRandom } from "../world/random.ts";
import type { WorldPhone } from "../world/site-file.ts";
import { type AccountFault, AppAccount, type CourierIdentity } from "./app-account.ts";
import type { CloudFault } from "./cloud-client.ts";
import { courierCloudOf } from "./courier-cloud.ts";
import { type AppAnswer, type AppVisitFault, openByApp } from "./open-by-app.ts";
import { PhoneCourier, type PhoneSyncDone, type PhoneSyncFault } from "./phone-courier.ts";

export interface HandsetOptions {
  readonly phones: readonly WorldPhone[];
  readonly cloudUrl: string;
  readonly seed: number;
  readonly clock: WorldClock;
  readonly signal: AbortSignal;
  readonly pause: (ms: number) => Promise<void>;
  readonly profile?: AirProfile;
}

export type HandsetFault =
  | AccountFault
  | AppVisitFault
  | { readonly code: "no-such-phone" | "not-signed-in-there" | "phone-cannot-run-app" };

export class Handsets {
  readonly #options: HandsetOptions;
  readonly #accounts = new Map<string, AppAccount>();
  /** What a phone carries is of one sign-in and goes with it. */
  readonly #couriers = new WeakMap<CourierIdentity, PhoneCourier>();
  readonly #airRandom: () => number;

  constructor(options: HandsetOptions) {
    this.#options = options;
    const random = seededRandom(options.seed, "phones/air");
    this.#airRandom = () => random.next();
  }

  /** A person's account on a phone, their own or another. */
  accountOn({ id, person }: Pick<WorldPhone, "id" | "person">): AppAccount {
    return this.#account(id, person);
  }

  /** Signs a person in on any phone. Faults: no-such-phone, phone-cannot-run-app, and those of the cloud. */
  async signIn(person: string, phone: string): Promise<Result<undefined, HandsetFault | CloudFault>> {
    const handset = this.#options.phones.find(({ id }) => id === phone);
    if (handset === undefined) return failed({ code: "no-such-phone" });
    if (!canRunApp(handset)) return failed({ code: "phone-cannot-run-app" });
    return this.#account(phone, person).signIn();
  }

  /** Faults: not-signed-in-there, and those of the cloud; the phone has forgotten everything either way. */
  async signOut(person: string, phone: string): Promise<Result<undefined, HandsetFault>> {
    const account = this.#signedIn(person, phone);
    return account === undefined ? failed({ code: "not-signed-in-there" }) : account.signOut();
  }

  /** What the app shows. Without `phone`: on the person's own. */
  async codes(person: string, phone?: string): ReturnType<AppAccount["codes"]> {
    const account = this.#signedIn(person, phone);
    return account === undefined ? failed({ code: "phone-signed-out" }) : account.codes();
  }

  /** Opens a BLE lock by the app. Without `phone`: with the person's own. A busy lock is tried again for a few seconds. */
  async open(
    person: string,
    lock: { readonly device: DeviceId; readonly peripheral: Peripheral },
    phone?: string,
  ): Promise<Result<AppAnswer, HandsetFault>> {
    const { clock, pause, signal, profile = DEFAULT_AIR_PROFILE } = this.#options;
    const account = this.#known(person, phone);
    // An app that nobody has signed out signs in by itself when it is opened.
    if (account?.state === "forgotten") await account.signIn();
    if (account?.state !== "signed-in") return failed({ code: "not-signed-in-there" });
    for (let tries = 1; ; tries++) {
      const key = await account.keyTo(lock.device);
      if (!key.ok) return key;
      const { peripheral } = lock;
      const opened = await openByApp({ peripheral, key: key.value, clock, profile, random: this.#airRandom });
      if (!opened.ok && isUnknownHere(opened.fault)) account.doubt();
      const again = !opened.ok && opened.fault.code === "lock-busy" && tries < BUSY_TRIES && !signal.aborted;
      if (!again) return opened;
      await pause(BUSY_PAUSE_MS);
    }
  }

  /**
   * Syncs a BLE lock by the phone. Without `phone`: with the person's own. A busy lock is tried again for a few seconds. `isOffline`: the
   * phone has no network at the door, carries what it fetched before and brings later what the lock said.
   */
  async sync(
    person: string,
    lock: { readonly device: DeviceId; readonly peripheral: Peripheral },
    {
      phone,
      isOffline = false,
    }: { readonly phone?: string | undefined; readonly isOffline?: boolean | undefined } = {},
  ): Promise<Result<PhoneSyncDone, HandsetFault | PhoneSyncFault>> {
    const { clock, pause, signal, profile = DEFAULT_AIR_PROFILE } = this.#options;
    const account = this.#known(person, phone);
    if (account?.state === "forgotten" && !isOffline) await account.signIn();
    const courier = this.#courierOf(account);
    if (courier === undefined) return failed({ code: "not-signed-in-there" });
    const { device, peripheral } = lock;
    const random = this.#airRandom;
    for (let tries = 1; ; tries++) {
      const done = await courier.sync({
        device,
        isOffline,
        connect: (heard) => connectPhone(peripheral, { clock, profile, random }, heard),
      });
      const again = !done.ok && done.fault.code === "lock-busy" && tries < BUSY_TRIES && !signal.aborted;
      if (!again) return done;
      await pause(BUSY_PAUSE_MS);
    }
  }

  #courierOf(account: AppAccount | undefined): PhoneCourier | undefined {
    const identity = account?.courier;
    if (identity === undefined) return undefined;
    const { clock, signal } = this.#options;
    const { phone, staticPrivateKey, ephemeralKey, call } = identity;
    const cloud = courierCloudOf(call);
    const courier =
      this.#couriers.get(identity) ?? new PhoneCourier({ phone, staticPrivateKey, ephemeralKey, cloud, clock, signal });
    this.#couriers.set(identity, courier);
    return courier;
  }

  /** On which phones a person is signed in. */
  phonesOf(person: string): readonly string[] {
    return this.#options.phones
      .map(({ id }) => id)
      .filter((phone) => this.#accounts.get(accountName(phone, person))?.state === "signed-in");
  }

  #signedIn(person: string, phone: string | undefined): AppAccount | undefined {
    const account = this.#known(person, phone);
    return account?.state === "signed-in" ? account : undefined;
  }

  #known(person: string, phone: string | undefined): AppAccount | undefined {
    const chosen = phone ?? this.#options.phones.find((each) => each.person === person)?.id;
    return chosen === undefined ? undefined : this.#accounts.get(accountName(chosen, person));
  }

  #account(phone: string, person: string): AppAccount {
    const name = accountName(phone, person);
    const { cloudUrl, clock, seed, signal } = this.#options;
    const account =
      this.#accounts.get(name) ??
      new AppAccount({ phone, person, cloudUrl, clock, signal, randomFor: (label) => seededRandom(seed, label) });
    this.#accounts.set(name, account);
    return account;
  }
}

/** Row 74: any iOS or Android phone that can download the app. */
export function canRunApp({ os }: Pick<WorldPhone, "os">): boolean {
  const [, name, major] = /^(iOS|Android) (\d{1,3})\b/.exec(os) ?? [];
  if (major === undefined || (name !== "iOS" && name !== "Android")) return false;
  return Number(major) >= osFloor[name];
}

/** The lock does not know this phone's key or its authority: it may have been paired anew, or its authority has new keys. */
function isUnknownHere(fault: AppVisitFault): boolean {
  return fault.code === "lock-silent" || (fault.code === "lock-refused" && fault.refusal === "bad-signature");
}

function accountName(phone: string, person: string): string {
  return `${phone}/${person}`;
}

/** What the emulator's own app needs; DOOR publishes no floor that we know of. */
const osFloor = { iOS: 15, Android: 9 } as const;
const BUSY_TRIES = 8;
const BUSY_PAUSE_MS = 500;
