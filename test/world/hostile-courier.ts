/**
 * A courier that means harm and holds a valid certificate: a stolen gateway or phone. It uses the agent's own visit with other things
 * to carry. All that it may reach is delay: what it does is said here, what must hold nevertheless is checked by the world.
 */
import { runVisit } from "../../agent/ble/visit.ts";
import { RadioError } from "../../agent/ports/radio.ts";
import type { GivenTime, LockReport, SealedRun, VisitOptions } from "../../agent/ports/visit.ts";
import type { PhoneDelivery, SignedInPhone } from "../../emulator/cloud/phone-couriers.ts";
import type { SeededRandom } from "../../emulator/world/random.ts";
import { bytesToBase64, concatBytes, utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { ed25519PublicKey, type SignedType, signTyped, x25519PublicKey } from "../../protocol/crypto.ts";
import { answerTime, bundlePages, issueCourierCertificate } from "../../protocol/sync/authority.ts";
import { KEYSET_SIGNED_TYPE } from "../../protocol/wire/keyset.ts";
import { lockDesiredSchema } from "../../protocol/wire/messages/desired.ts";
import { eventBatchSchema } from "../../protocol/wire/messages/event.ts";
import { reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { auditBatch } from "../../protocol/wire/sealing.ts";
import { PAGE_BYTES, type SignedBlob, signedTypes } from "../../protocol/wire/signed-objects.ts";
import { answerDelegatedTime, DELEGATION_SECONDS_MAX, issueTimeDelegate } from "../../protocol/wire/time-delegate.ts";
import type { LockBox } from "./lock-box.ts";
import type { SteppedClock } from "./stepped-clock.ts";
import { newAdapter, type VirtualAir, VirtualRadio } from "./virtual-air.ts";
import type { VirtualCloud } from "./virtual-cloud.ts";

export const hostileDeeds = [
  "replays-old",
  "lies-about-version",
  "truncates",
  "reorders",
  "flips-bits",
  "re-signs",
  "mixes-bundles",
  "forges-keyset",
  "delegates-itself",
  "carries-anothers",
  "drops-log",
  "replays-time",
  "delays-time",
  "forges-release",
  "carries-anothers-release",
  "shows-anothers-certificate",
  "lies-about-log",
  "lies-about-report",
  "throws-garbage",
  "stalls",
] as const;
/** `stretches-delegation` is for a courier that holds a true delegation: it does gain something by it (SPEC J4). */
export type HostileDeed = (typeof hostileDeeds)[number] | "stretches-delegation";

type Desired = NonNullable<VisitOptions["desired"]>;

export class HostileCourier {
  readonly #clock: SteppedClock;
  readonly #air: VirtualAir;
  readonly #cloud: VirtualCloud;
  readonly #random: SeededRandom;
  readonly #staticPrivateKey: Uint8Array;
  readonly #adapter = newAdapter();
  readonly #phone: SignedInPhone | undefined;
  /** What locks gave it to carry, for lies of later. */
  readonly #keptByLock = new Map<DeviceId, { readonly runs: SealedRun[]; readonly reports: LockReport[] }>();
  /** Lies that the authority took for true. */
  readonly believed: string[] = [];
  /** An answer that was good for another nonce once. */
  #oldTime: SignedBlob | undefined;
  #isBusy = false;

  /** A stolen gateway, or with `phone` the stolen phone of somebody who manages the site. */
  constructor(clock: SteppedClock, air: VirtualAir, cloud: VirtualCloud, random: SeededRandom, phone?: SignedInPhone) {
    this.#phone = phone;
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
      if (outcome.reported !== null) this.#keptOf(lock.device).reports.push(outcome.reported);
      if (deed === "lies-about-log") this.#lieAboutLog(lock.device, other.device);
      if (deed === "lies-about-report") this.#lieAboutReport(lock.device, other.device);
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
      courier: {
        staticPrivateKey: this.#staticPrivateKey,
        certificate: this.#certificate(deed, lock.device, other.device),
      },
      lock: { device: lock.device, staticPublicKey: pairing.staticPublicKey, pairingId: pairing.pairingId },
      ...(desired === undefined ? {} : { desired }),
      logFrom: 1,
      askTime: (nonce) => this.#time(deed, pairing.pairingId, nonce),
      // It reads what the lock has to say and brings it nowhere, except in its lies.
      storeRun: async (run) => {
        this.#keptOf(lock.device).runs.push(run);
      },
      onProgress: () => undefined,
      clock: this.#clock,
      random: { bytes: (length) => this.#random.bytes(length), fraction: () => this.#random.next() },
    };
  }

  #certificate(deed: HostileDeed, device: DeviceId, other: DeviceId): SignedBlob {
    const { couriers, authority } = this.#cloud.cloud;
    const staticPublicKey = x25519PublicKey(this.#staticPrivateKey);
    const isFor = deed === "shows-anothers-certificate" ? other : device;
    if (this.#phone !== undefined) {
      const loaded = couriers.load(this.#phone, isFor, staticPublicKey);
      assert(loaded.ok, "its owner may carry");
      return loaded.value.load.certificate;
    }
    const pairing = authority.state.pairings[other];
    assert(pairing !== undefined, "every lock of the world is paired");
    return issueCourierCertificate(authority.roles, {
      staticPublicKey,
      holder: "gateway-stolen",
      role: "courier",
      locks: isFor === other ? [pairing.pairingId] : [],
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
        return this.#withBundles(newest, (bytes) => bytes.slice(0, this.#random.integer(bytes.length) + 1));
      case "reorders":
        return this.#withBundles(newest, (bytes) => backwards(bytes));
      case "flips-bits":
        return this.#withBundles({ ...newest, policy: claim }, (bytes) => this.#flipped(bytes));
      case "re-signs":
        return {
          ...newest,
          policy: claim,
          bundles: newest.bundles.map((bundle) => ({
            ...bundle,
            manifest: this.#reSigned(bundle.manifest, signedTypes.policy),
          })),
        };
      case "mixes-bundles":
        return this.#mixed(newest, older);
      case "forges-keyset": {
        const blob = this.#reSigned(newest.keyset.blob, KEYSET_SIGNED_TYPE);
        return { ...newest, keyset: { epoch: newest.keyset.epoch + 1, blob } };
      }
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

  async #time(deed: HostileDeed, pairingId: Uint8Array, nonce: Uint8Array): Promise<GivenTime | undefined> {
    if (deed === "delegates-itself") return this.#delegated(pairingId, nonce, undefined);
    if (deed === "stretches-delegation") {
      return this.#delegated(pairingId, nonce, this.#cloud.cloud.authority.roles.time);
    }
    const answer = await this.#signedTime(deed, pairingId, nonce);
    return answer === undefined ? undefined : { answer };
  }

  /** A time next week, under a delegation by the authority's key or by one of its own making. */
  #delegated(pairingId: Uint8Array, nonce: Uint8Array, by: Uint8Array | undefined): GivenTime {
    const key = this.#random.bytes(32);
    const from = unixSeconds(this.#clock.nowMs() / 1000);
    const notAfter = unixSeconds(from + DELEGATION_SECONDS_MAX);
    const delegate = { publicKey: ed25519PublicKey(key), holder: "gateway-stolen", locks: [], from, notAfter };
    const soon = unixMs((notAfter - 60) * 1000);
    return {
      answer: answerDelegatedTime(key, { pairingId, nonce, unixMs: soon, radiusMs: 1 }),
      delegate: issueTimeDelegate(by ?? key, delegate),
    };
  }

  async #signedTime(deed: HostileDeed, pairingId: Uint8Array, nonce: Uint8Array): Promise<SignedBlob | undefined> {
    const nowMs = this.#clock.nowMs();
    const honest = answerTime(this.#cloud.cloud.authority.roles, {
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

  #keptOf(device: DeviceId) {
    const kept = this.#keptByLock.get(device) ?? { runs: [], reports: [] };
    this.#keptByLock.set(device, kept);
    return kept;
  }

  /** Everything but what the lock said: another's, cut off, changed, under other numbers; and the truth, backwards and twice. */
  #lieAboutLog(device: DeviceId, other: DeviceId): void {
    const own = this.#keptOf(device).runs;
    const others = this.#keptOf(other).runs;
    const lies: readonly (readonly [string, Uint8Array[]])[] = [
      ["another lock's log", others.map(({ batch }) => batch)],
      ["a log cut off", own.map(({ batch }) => batch.slice(0, this.#random.integer(batch.length)))],
      ["a changed log", own.map(({ batch }) => this.#flipped(batch))],
      ["a log under other numbers", own.map(({ batch }) => renumbered(batch))],
    ];
    for (const [name, batches] of lies) {
      for (const batch of batches) this.#believe(name, this.#deliver(device, { batches: [batch] }));
    }
    const numbered = own.map((run) => eventsOf(device, { ...run, from: run.from + 1 }));
    for (const payload of numbered) this.#believe("a run named otherwise", this.#say(device, "event", payload));
    const backwards = own.map(({ batch }) => batch).reverse();
    for (const batch of [...backwards, ...backwards]) this.#deliver(device, { batches: [batch] });
  }

  /** Another's, forged, read otherwise, in another's name; and the truth of before. */
  #lieAboutReport(device: DeviceId, other: DeviceId): void {
    const own = this.#keptOf(device).reports;
    for (const { report, mac } of this.#keptOf(other).reports) {
      this.#believe("another lock's report", this.#deliver(device, { batches: [], report: { report, mac } }));
    }
    for (const { report, mac, ...reading } of own) {
      const forged = [
        { report, mac: this.#flipped(mac) },
        { report: this.#flipped(report), mac },
      ];
      for (const said of forged) this.#believe("a forged report", this.#deliver(device, { batches: [], report: said }));
      const { policy } = reading;
      const newer = { ...policy, version: policy.version + 1_000 };
      const at = unixSeconds(this.#clock.nowMs() / 1000);
      const text = { v: 1, device, ...reading, report: bytesToBase64(report), mac: bytesToBase64(mac), at } as const;
      const lies = [
        { ...text, policy: newer, courier: gatewayId },
        { ...text, logNext: reading.logNext + 1_000, courier: gatewayId },
        { ...text, courier: "gateway-two" as DeviceId },
      ];
      for (const said of lies) {
        this.#believe("a report read otherwise", this.#say(device, "reported", formatPayload(reportedSchema, said)));
      }
    }
    for (const { report, mac } of own) this.#deliver(device, { batches: [], report: { report, mac } });
  }

  #deliver(device: DeviceId, delivery: PhoneDelivery): boolean {
    const by = this.#phone ?? { phone: "manager-phone", person: "manager" };
    return this.#cloud.cloud.couriers.deliver(by, device, delivery).ok;
  }

  /** As the gateway whose password it has. */
  #say(device: DeviceId, channel: "event" | "reported", payload: string): boolean {
    return this.#cloud.cloud.intake.receive(gatewayId, { site: "maple-court", device, channel }, utf8(payload));
  }

  #believe(what: string, isTaken: boolean): void {
    if (isTaken) this.believed.push(what);
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

  #withBundles(desired: Desired, change: (bytes: Uint8Array) => Uint8Array): Desired {
    return { ...desired, bundles: desired.bundles.map((bundle) => ({ ...bundle, bytes: change(bundle.bytes) })) };
  }

  /** One version's manifests with another's sealed bytes, and deltas under the name of other bases. */
  #mixed(newest: Desired, older: Desired): Desired {
    const bundles = newest.bundles.map((bundle, index) => {
      const bytes = older.bundles[index % Math.max(1, older.bundles.length)]?.bytes ?? bundle.bytes;
      return { ...bundle, from: this.#random.integer(newest.policy.version + 1), bytes };
    });
    return { ...newest, bundles };
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

  #reSigned(blob: SignedBlob, type: SignedType): SignedBlob {
    return { bytes: blob.bytes, signature: signTyped(this.#random.bytes(32), type, blob.bytes) };
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}

/** The same bytes with their pages, or of a single one its halves, in the wrong order. */
function backwards(bytes: Uint8Array): Uint8Array {
  const pages = bytes.length > PAGE_BYTES ? bundlePages(bytes) : halves(bytes);
  return concatBytes(...pages.toReversed());
}

function halves(bytes: Uint8Array): readonly Uint8Array[] {
  const middle = Math.ceil(bytes.length / 2);
  return [bytes.subarray(0, middle), bytes.subarray(middle)];
}

function renumbered(bytes: Uint8Array): Uint8Array {
  const batch = auditBatch.decode(bytes);
  assert(batch.ok, "what a lock sealed decodes");
  return auditBatch.encode({ ...batch.value, from: batch.value.from + 1 });
}

/** A run as a gateway sends it upstream (SPEC E3). */
export function eventsOf(device: DeviceId, { boot, from, count, batch }: SealedRun): string {
  const last = from + count - 1;
  const event = {
    boot,
    sequence: last,
    at: { unixSeconds: null, quality: "unset" },
    kind: "sealed-log",
    facts: { first: from, last },
    raw: bytesToBase64(batch),
  } as const;
  return formatPayload(eventBatchSchema, { v: 1, device, events: [event] });
}

/** The gateway that every world has. */
export const gatewayId = "gateway-main" as DeviceId;

function readDesired(text: string | undefined): Desired | undefined {
  if (text === undefined) return undefined;
  const read = parsePayload(lockDesiredSchema, utf8(text));
  assert(read.ok, "the authority's documents parse");
  return read.value;
}
