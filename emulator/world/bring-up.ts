/**
 * The bench: introduces the site and its devices to the cloud, once. What was introduced is remembered in the state folder, so
 * that a restarted site process does not put an old file over what the manager changed meanwhile.
 * The cloud may come later or go away in between: every step is tried again until it is through.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { base64ToBytes, bytesToBase64 } from "../../protocol/base/bytes.ts";
import { assert, type Result } from "../../protocol/base/result.ts";
import { type UnixSeconds, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import type { BenchGrant } from "../device/lock.ts";
import type { LockHost } from "../device/lock-host.ts";
import type { Enrolment } from "../device/networked-device.ts";
import {
  type CardsAnswer,
  type CloudFault,
  type EnrolAnswer,
  enrolAnswer,
  enrolDevice,
  handOutCards,
  type PairAnswer,
  pairLock,
  putSite,
} from "../people/cloud-client.ts";
import type { House, HouseOptions } from "./house.ts";

/** What the state folder remembers of the bring-up. */
export class BringUpRecord {
  readonly #path: string;
  #kept: Kept;

  /** Reads the record, or begins one whose world starts at `now`. */
  constructor(stateFolder: string, seed: number, now: UnixSeconds) {
    this.#path = join(stateFolder, "site.json");
    if (existsSync(this.#path)) {
      const read = keptSchema.safeParse(JSON.parse(readFileSync(this.#path, "utf8")));
      assert(read.success, "the record of the bring-up reads back");
      this.#kept = read.data;
    } else {
      this.#kept = { start: now, seed, sitePut: false, enrolments: {} };
      this.#write();
    }
  }

  get start(): UnixSeconds {
    return unixSeconds(this.#kept.start);
  }

  get seed(): number {
    return this.#kept.seed;
  }

  get sitePut(): boolean {
    return this.#kept.sitePut;
  }

  markSitePut(): void {
    this.#kept = { ...this.#kept, sitePut: true };
    this.#write();
  }

  enrolment(device: string): EnrolAnswer | undefined {
    const kept = this.#kept.enrolments[device];
    if (kept === undefined) return undefined;
    // One that an earlier version kept lacks what this one needs: the device is enrolled anew.
    const read = enrolAnswer.safeParse(kept);
    return read.success ? read.data : undefined;
  }

  keepEnrolment(device: string, answer: EnrolAnswer): void {
    const { mqttPassword, dailyKeys, keyEpoch, entryTagKey, pairingId, unlockKey, reportKey } = answer;
    const { policyKey, codeHashKey } = answer;
    const kept = {
      mqttPassword,
      dailyKeys: dailyKeys.map(({ door, key }) => ({ door, key: bytesToBase64(key) })),
      keyEpoch,
      entryTagKey: bytesToBase64(entryTagKey),
      pairingId: bytesToBase64(pairingId),
      unlockKey: bytesToBase64(unlockKey),
      reportKey: bytesToBase64(reportKey),
      policyKey: bytesToBase64(policyKey),
      codeHashKey: bytesToBase64(codeHashKey),
    };
    this.#kept = { ...this.#kept, enrolments: { ...this.#kept.enrolments, [device]: kept } };
    this.#write();
  }

  /** The key on a keycard that was handed out at the bring-up. */
  cardKey(credential: string): Uint8Array | undefined {
    const key = this.#kept.cards?.[credential];
    return key === undefined ? undefined : base64ToBytes(key);
  }

  get hasCards(): boolean {
    return this.#kept.cards !== undefined;
  }

  keepCards(cards: CardsAnswer["cards"]): void {
    const keyByCredential = cards.map(({ credential, key }) => [credential, bytesToBase64(key)] as const);
    this.#kept = { ...this.#kept, cards: Object.fromEntries(keyByCredential) };
    this.#write();
  }

  /** It holds the devices' passwords and keys: for its owner's eyes alone. */
  #write(): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify(this.#kept), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

export interface BringUpOptions {
  readonly house: House;
  readonly houseOptions: HouseOptions;
  readonly record: BringUpRecord;
  readonly siteText: string;
  readonly cloudUrl: string;
  readonly signal: AbortSignal;
  readonly pause: (ms: number) => Promise<void>;
  readonly onWaiting: (fault: CloudFault) => void;
}

/** True when everything is introduced; false when `signal` came first. */
export async function bringUp(options: BringUpOptions): Promise<boolean> {
  const { house, record, cloudUrl, siteText } = options;
  // Before anybody can stand at a door: what was delivered in an earlier run decides, also while the cloud is away.
  for (const [device, host] of house.networked) {
    const kept = record.enrolment(device);
    if (kept !== undefined) host.firmware.enrol(enrolmentOf(kept));
  }
  if (!record.sitePut) {
    const put = await untilThrough(options, () => putSite(cloudUrl, siteText, record.start));
    if (put === undefined) return false;
    record.markSitePut();
  }
  if (!record.hasCards) {
    const cards = await untilThrough(options, () => handOutCards(cloudUrl));
    if (cards === undefined) return false;
    record.keepCards(cards.cards);
  }
  for (const lock of house.locks.values()) {
    const isNew = !lock.firmware.paired && !lock.firmware.wasWiped;
    if (isNew && !(await pairOne(options, lock))) return false;
  }
  for (const [device, host] of house.networked) {
    const enrolment = record.enrolment(device) ?? (await untilThrough(options, () => enrolDevice(cloudUrl, device)));
    if (enrolment === undefined) return false;
    record.keepEnrolment(device, enrolment);
    host.connect(enrolment.mqttPassword, enrolmentOf(enrolment));
  }
  return true;
}

async function pairOne(options: BringUpOptions, lock: LockHost): Promise<boolean> {
  const { cloudUrl, houseOptions } = options;
  const { hardware } = lock.firmware;
  const answer = await untilThrough(options, () =>
    pairLock(cloudUrl, {
      device: hardware.device,
      staticPublicKey: x25519PublicKey(lock.firmware.staticPrivateKey),
      address: lock.peripheral.address,
    }),
  );
  if (answer === undefined) return false;
  const truth = houseOptions.worldSite.world.devices.find(({ id }) => id === hardware.device);
  const errorMs = (truth?.clockErrorSeconds ?? 0) * 1000;
  lock.pair(benchGrantOf(answer), unixMs(houseOptions.clock.nowMs() + errorMs));
  return true;
}

function enrolmentOf(answer: EnrolAnswer): Enrolment {
  const { entryTagKey, dailyKeys, keyEpoch, pairingId, unlockKey, reportKey, policyKey, codeHashKey } = answer;
  return {
    entryTagKey,
    dailyKeys: dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key })),
    unlock: { pairingId, unlockKey, reportKey },
    policy: { pairingId, policyKey, codeHashKey, reportKey },
  };
}

function benchGrantOf({ pairingId, root, keyset, dailyKeys, keyEpoch, firstSequence }: PairAnswer): BenchGrant {
  return { pairingId, root, keyset, dailyKeys: dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key })), firstSequence };
}

/** Tries until it is through; undefined when the process is stopping. */
async function untilThrough<Value>(
  { signal, pause, onWaiting }: BringUpOptions,
  attempt: () => Promise<Result<Value, CloudFault>>,
): Promise<Value | undefined> {
  for (let tries = 1; !signal.aborted; tries++) {
    const result = await attempt();
    if (result.ok) return result.value;
    onWaiting(result.fault);
    await pause(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(tries, 5)));
  }
  return undefined;
}

const keptSchema = z.strictObject({
  start: z.number().int(),
  seed: z.number().int(),
  sitePut: z.boolean(),
  enrolments: z.record(z.string(), z.unknown()),
  /** By credential, in base64; absent until the desk has handed the cards out. */
  cards: z.record(z.string(), z.string()).optional(),
});
type Kept = z.output<typeof keptSchema>;

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 1_000;
