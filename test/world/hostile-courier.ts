/**
 * A courier that means harm and holds a valid certificate: a stolen gateway or phone. It uses the agent's own visit with other things
 * to carry. All that it may reach is delay: what it does is said here, what must hold nevertheless is checked by the world.
 */
import { runVisit } from "../../agent/ble/visit.ts";
import { RadioError } from "../../agent/ports/radio.ts";
import type { VisitOptions } from "../../agent/ports/visit.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { signTyped, x25519PublicKey } from "../../protocol/crypto.ts";
import { answerTime, issueCourierCertificate } from "../../protocol/sync/authority.ts";
import { lockDesiredSchema } from "../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../protocol/wire/payload.ts";
import { type SignedBlob, signedTypes } from "../../protocol/wire/signed-objects.ts";
import type { LockBox } from "./lock-box.ts";
import type { SteppedClock } from "./stepped-clock.ts";
import { newAdapter, type VirtualAir, VirtualRadio } from "./virtual-air.ts";
import type { VirtualCloud } from "./virtual-cloud.ts";

export const hostileDeeds = [
  "replays-old",
  "lies-about-version",
  "truncates",
  "flips-bits",
  "re-signs",
  "carries-anothers",
  "drops-log",
  "replays-time",
  "delays-time",
  "forges-release",
  "carries-anothers-release",
  "throws-garbage",
  "stalls",
] as const;
export type HostileDeed = (typeof hostileDeeds)[number];

type Desired = NonNullable<VisitOptions["desired"]>;

export class HostileCourier {
  readonly #clock: SteppedClock;
  readonly #air: VirtualAir;
  readonly #cloud: VirtualCloud;
  readonly #random: SeededRandom;
  readonly #staticPrivateKey: Uint8Array;
  readonly #adapter = newAdapter();
  /** An answer that was good for another nonce once. */
  #oldTime: SignedBlob | undefined;
  #isBusy = false;

  constructor(clock: SteppedClock, air: VirtualAir, cloud: VirtualCloud, random: SeededRandom) {
    this.#clock = clock;
    this.#air = air;
    this.#cloud = cloud;
    this.#random = random;
    this.#staticPrivateKey = random.bytes(32);
  }

  /** Goes to a lock and does it. Gives how the visit ended; undefined: it was still at its last deed. */
  async strike(deed: HostileDeed, lock: LockBox, other: LockBox): Promise<string | undefined> {
    if (this.#isBusy) return undefined;
    this.#isBusy = true;
    try {
      if (deed === "throws-garbage" || deed === "stalls") return await this.#sit(deed, lock);
      const outcome = await runVisit(this.#visit(deed, lock, other));
      return outcome.ok ? "went through" : `${outcome.fault.code} ${outcome.fault.reason ?? ""}`;
    } finally {
      this.#isBusy = false;
    }
  }

  #visit(deed: HostileDeed, lock: LockBox, other: LockBox): VisitOptions {
    const pairing = this.#cloud.cloud.authority.state.pairings[lock.device];
    assert(pairing !== undefined, "every lock of the world is paired");
    const desired = this.#load(deed, lock.device, other.device);
    return {
      radio: new VirtualRadio(this.#air, this.#adapter),
      address: lock.address,
      courier: { staticPrivateKey: this.#staticPrivateKey, certificate: this.#certificate() },
      lock: { device: lock.device, staticPublicKey: pairing.staticPublicKey, pairingId: pairing.pairingId },
      ...(desired === undefined ? {} : { desired }),
      logFrom: 1,
      askTime: (nonce) => this.#time(deed, pairing.pairingId, nonce),
      // It reads what the lock has to say and lets it fall.
      storeEntries: async () => undefined,
      onProgress: () => undefined,
      clock: this.#clock,
      random: { bytes: (length) => this.#random.bytes(length), fraction: () => this.#random.next() },
    };
  }

  #certificate(): SignedBlob {
    return issueCourierCertificate(this.#cloud.cloud.authority.keys.roles, {
      staticPublicKey: x25519PublicKey(this.#staticPrivateKey),
      holder: "gateway-stolen",
      role: "courier",
      locks: [],
      notAfter: unixSeconds(this.#clock.nowMs() / 1000 + 30 * 86_400),
    });
  }

  #load(deed: HostileDeed, device: DeviceId, other: DeviceId): Desired | undefined {
    const history = this.#cloud.desiredHistory.get(device) ?? [];
    const newest = readDesired(history.at(-1));
    const older = readDesired(history[this.#random.integer(Math.max(1, history.length))]);
    const others = readDesired(this.#cloud.desiredHistory.get(other)?.at(-1));
    if (newest === undefined || older === undefined || others === undefined) return undefined;
    const claim = { epoch: newest.policy.epoch, version: newest.policy.version + 1_000 };
    switch (deed) {
      case "replays-old":
        return older;
      case "lies-about-version":
        return { ...older, policy: claim };
      case "truncates":
        return { ...newest, bundle: newest.bundle.slice(0, this.#random.integer(newest.bundle.length) + 1) };
      case "flips-bits":
        return { ...newest, policy: claim, bundle: this.#flipped(newest.bundle) };
      case "re-signs":
        return { ...newest, policy: claim, manifest: this.#reSigned(newest.manifest, signedTypes.policy) };
      case "carries-anothers":
        return { ...others, policy: claim };
      case "forges-release":
        return { ...newest, release: this.#reSigned(newest.release ?? this.#madeUp(), signedTypes.release) };
      case "carries-anothers-release":
        return { ...newest, release: others.release };
      default:
        return newest;
    }
  }

  async #time(deed: HostileDeed, pairingId: Uint8Array, nonce: Uint8Array): Promise<SignedBlob | undefined> {
    const nowMs = this.#clock.nowMs();
    const honest = answerTime(this.#cloud.cloud.authority.keys.roles, {
      pairingId,
      nonce,
      unixMs: unixMs(nowMs),
      radiusMs: 100,
    });
    const old = this.#oldTime;
    this.#oldTime = honest;
    if (deed === "replays-time") return old;
    if (deed === "delays-time") await this.#wait(1_000 + this.#random.integer(5_000));
    return honest;
  }

  /** Holds the lock's only link, with nothing or with noise. */
  async #sit(deed: "throws-garbage" | "stalls", lock: LockBox): Promise<string> {
    let isOver = false;
    try {
      const radio = new VirtualRadio(this.#air, this.#adapter);
      const link = await radio.connect(lock.address, {
        frame: () => undefined,
        closed: () => {
          isOver = true;
        },
      });
      for (let count = 0; count < 20 && !isOver; count++) {
        if (deed === "throws-garbage") await link.send(this.#random.bytes(1 + this.#random.integer(244)));
        await this.#wait(1_000);
      }
      await link.close();
      return "let go";
    } catch (error) {
      if (!(error instanceof RadioError)) throw error;
      return error.code;
    }
  }

  #flipped(bytes: Uint8Array): Uint8Array {
    const flipped = bytes.slice();
    const at = this.#random.integer(flipped.length);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << this.#random.integer(8));
    return flipped;
  }

  #madeUp(): SignedBlob {
    return { bytes: this.#random.bytes(80), signature: this.#random.bytes(64) };
  }

  #reSigned(blob: SignedBlob, type: (typeof signedTypes)[keyof typeof signedTypes]): SignedBlob {
    return { bytes: blob.bytes, signature: signTyped(this.#random.bytes(32), type, blob.bytes) };
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}

function readDesired(text: string | undefined): Desired | undefined {
  if (text === undefined) return undefined;
  const read = parsePayload(lockDesiredSchema, utf8(text));
  assert(read.ok, "the authority's documents parse");
  return read.value;
}
