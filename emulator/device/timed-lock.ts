/**
 * A lock for visits in emulated time (`timed-visit.ts`): the real firmware on flash in memory, paired with an authority of its own
 * seed, and what that authority would give a courier for it. No radio and no time of its own.
 */
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import {
  type DeviceId,
  monotonicMs,
  parseDeviceId,
  type UnixMs,
  type UnixSeconds,
  unixMs,
  unixSeconds,
} from "../../protocol/base/units.ts";
import { sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { answerTime, sealBundle, signRelease } from "../../protocol/sync/authority.ts";
import { type CourierLoad, CourierSync } from "../../protocol/sync/courier-sync.ts";
import { LockSync } from "../../protocol/sync/lock-sync.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { type BenchPairing, benchCourierCertificate, benchPairing } from "../bench-pairing.ts";
import { MemoryFlash } from "./flash.ts";
import { LockFirmware } from "./lock.ts";

/** The X25519 private key of the courier that comes. */
export const courierStaticKey = sha256(utf8("timed courier"));

export class TimedLock {
  readonly device: DeviceId;
  readonly pairing: BenchPairing;
  readonly firmware: LockFirmware;
  readonly #pairedAt: UnixSeconds;

  /** The lock boots and is paired at moment 0 of its counter, which is `pairedAt`. Its keys follow from its name. */
  constructor(name: string, pairedAt: UnixSeconds) {
    const device = parseDeviceId(name);
    assert(device !== undefined, "the lock has a device id");
    this.device = device;
    this.#pairedAt = pairedAt;
    this.pairing = benchPairing(1, device);
    const hardware = {
      device,
      model: modelByName.C2,
      firmware: "1.4.2",
      hardware: "rev-b",
      door: "communal",
      driftPpm: 0,
      battery: undefined,
      factoryKey: this.pairing.lockStaticPrivateKey,
    } as const;
    this.firmware = new LockFirmware(hardware, new MemoryFlash(), monotonicMs(0));
    this.firmware.pair(this.pairing.record, this.unixMsAt(0), monotonicMs(0));
  }

  /** What a courier brings: the bundle from `held` to `next` alone, so that the lock cannot fall back to another. */
  load(next: LockPolicy, held: LockPolicy | undefined): CourierLoad {
    const { authority, keys, record } = this.pairing;
    const notAfter = unixSeconds(next.issuedAt + 7 * 86_400);
    const bundle = sealBundle(authority, keys.bundle, record.pairingId, { policy: next, notAfter }, held);
    assert(bundle !== undefined, "the policy fits a bundle");
    return { ...this.loadWithout(), policy: { epoch: next.epoch, version: next.version, bundles: [bundle] } };
  }

  /** A visit that brings no policy: time, release, log. */
  loadWithout(): CourierLoad {
    const certificate = benchCourierCertificate(this.pairing, x25519PublicKey(courierStaticKey), this.#pairedAt);
    const log = this.firmware.log;
    assert(log !== undefined, "a paired lock has a log");
    // What was written before is with the authority, as after every visit.
    const through = log.next - 1;
    const chainHead = log.headAt(through) ?? log.head;
    const release = signRelease(this.pairing.authority, {
      pairingId: this.pairing.record.pairingId,
      through,
      chainHead,
    });
    return { certificate, release, logFrom: log.next };
  }

  answerTime(nonce: Uint8Array, nowMs: number): SignedBlob {
    const { authority, record } = this.pairing;
    return answerTime(authority, { pairingId: record.pairingId, nonce, unixMs: this.unixMsAt(nowMs), radiusMs: 50 });
  }

  /** Gives the lock a policy without a radio: the two machines of the sync, message by message. */
  install(policy: LockPolicy): void {
    const { pairing } = this.firmware;
    assert(pairing !== undefined, "the lock is paired");
    const courier = new CourierSync(this.load(policy, undefined));
    const lock = new LockSync(pairing, x25519PublicKey(courierStaticKey), sha256(utf8("install")).subarray(0, 16));
    for (let messages = courier.takeMessages(); messages.length > 0; messages = courier.takeMessages()) {
      for (const message of messages) lock.receive(message, this.firmware.facts(monotonicMs(0)), monotonicMs(0));
      for (const action of lock.takeActions()) this.firmware.perform(action, lock, monotonicMs(0));
      for (const answer of lock.takeMessages()) courier.receive(answer);
      for (const { kind } of courier.takeEvents()) {
        if (kind === "time-wanted") courier.skipTime();
        if (kind === "entries") courier.entriesStored();
      }
    }
    assert(this.firmware.policy.version === policy.version, "the lock holds what it was given");
  }

  /** Wall time at a moment of the lock's counter. */
  unixMsAt(nowMs: number): UnixMs {
    return unixMs(this.#pairedAt * 1_000 + Math.round(nowMs));
  }
}
