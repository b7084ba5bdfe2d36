/**
 * A lock on a bench: its authority, its flash, a clock that is stepped by hand, and visits over a link in memory. Everything
 * that the firmware meets is real; only radio and time are not.
 */
import { readFileSync } from "node:fs";
import { Battery } from "../../../emulator/device/battery.ts";
import { Deadbolt } from "../../../emulator/device/deadbolt.ts";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { type KeypadKey, keysOfCode } from "../../../emulator/device/keypad.ts";
import { LockFirmware, type LockOutcome } from "../../../emulator/device/lock.ts";
import { LockVisit } from "../../../emulator/device/lock-visit.ts";
import { SteppedClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { readSiteFile } from "../../../emulator/world/site-file.ts";
import { makeCardKey } from "../../../protocol/access/card-key.ts";
import type { LockPolicy } from "../../../protocol/access/policy.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { dailyCode } from "../../../protocol/doorcode/daily-code.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { Session } from "../../../protocol/session/session.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { siteDay } from "../../../protocol/site/zone.ts";
import {
  type AuthorityKeys,
  answerTime,
  authorityKeysFromSeed,
  derivePairingKeys,
  issueCourierCertificate,
  keysetOf,
  type PairingKeys,
  rootKeyFromSeed,
  sealBundle,
  signRelease,
} from "../../../protocol/sync/authority.ts";
import { type CourierEvent, type CourierLoad, CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { auditEntryToEvent } from "../../../protocol/wire/audit-event.ts";
import { rootPublicKey, signKeyset } from "../../../protocol/wire/keyset.ts";
import type { DeviceEvent } from "../../../protocol/wire/messages/event.ts";
import { auditBatch, openAuditBatch } from "../../../protocol/wire/sealing.ts";
import type { SignedBlob } from "../../../protocol/wire/signed-objects.ts";
import { answerDelegatedTime } from "../../../protocol/wire/time-delegate.ts";

/** Friday, 20 November 2026, 10:00 in New York. */
export const START = unixSeconds(Date.UTC(2026, 10, 20, 15) / 1000);

/** Read once for each start: hundreds of benches of one test stand on the same site, and nobody writes into it. */
export function mapleCourt(start: UnixSeconds = START): Site {
  const known = siteByStart.get(start);
  if (known !== undefined) return known;
  const text = readFileSync(new URL("../../../emulator/sites/maple-court.yaml", import.meta.url), "utf8");
  const read = readSiteFile(text, start);
  if (!read.ok) throw new Error("maple-court.yaml has mistakes");
  siteByStart.set(start, read.value.site);
  return read.value.site;
}
const siteByStart = new Map<UnixSeconds, Site>();

export interface VisitReport {
  readonly events: readonly CourierEvent[];
  readonly entries: readonly DeviceEvent[];
  readonly rawEntries: readonly Uint8Array[];
  /** As they travelled, sealed. */
  readonly batches: readonly Uint8Array[];
  readonly ended: string | undefined;
}

const authoritySeed = new Uint8Array(32).fill(3);

export class LockBench {
  readonly clock = new SteppedClock(START * 1000);
  /** The authority's keys of the epoch; `rotateKeys` gives the next. */
  keys = authorityKeysFromSeed(authoritySeed);
  epoch = 1;
  readonly pairingId = new Uint8Array(16).fill(5);
  readonly device: DeviceId;
  readonly dailyKey = new Uint8Array(32).fill(9);
  site: Site = mapleCourt();
  /** The desk's secret of all keycards; undefined: cards without keys. */
  cardSecret: Uint8Array | undefined;
  readonly deadbolt = new Deadbolt();
  flash: MemoryFlash;
  firmware: LockFirmware;
  readonly #random = seededRandom(1, "bench");
  readonly #staticPrivateKey = new Uint8Array(32).fill(11);
  readonly #courierKey = new Uint8Array(32).fill(13);
  readonly #driftPpm: number;
  /** What was compiled, by (epoch, version): one of each, as an authority keeps it. */
  readonly #compiled = new Map<string, LockPolicy>();

  constructor(options: { readonly device?: string; readonly driftPpm?: number; readonly image?: MemoryFlash } = {}) {
    const device = parseDeviceId(options.device ?? "lobby-lock");
    if (device === undefined) throw new Error("no device id");
    this.device = device;
    this.#driftPpm = options.driftPpm ?? 0;
    this.flash = options.image ?? new MemoryFlash();
    this.firmware = this.#boot();
  }

  pair(clockErrorMs = 0): void {
    const { pairingId } = this;
    const [root, keyset] = [rootPublicKey(rootKeyFromSeed(authoritySeed)), this.keyset().blob];
    this.firmware.pair(
      { pairingId, root, keyset, dailyKeys: [{ keyId: 1, key: this.dailyKey }] },
      unixMs(this.clock.nowMs() + clockErrorMs),
      this.clock.monotonicMs(),
    );
  }

  /** The keys of the pairing, as the authority derives them. */
  pairingKeys(): PairingKeys {
    const keys = derivePairingKeys(this.keys.static, x25519PublicKey(this.#staticPrivateKey), this.pairingId);
    if (keys === undefined) throw new Error("no pairing keys");
    return keys;
  }

  /** The authority begins a new epoch. What the lock holds of it comes with a visit only. */
  rotateKeys(): void {
    this.epoch += 1;
    this.keys = authorityKeysFromSeed(authoritySeed, this.epoch);
  }

  /** The newest keyset as a courier carries it. */
  keyset(): NonNullable<CourierLoad["keyset"]> {
    const { epoch } = this;
    const keyset = keysetOf(this.keys, epoch, unixSeconds(START + 3_650 * 86_400));
    return { epoch, blob: signKeyset(rootKeyFromSeed(authoritySeed), keyset) };
  }

  /** Power goes and comes back: a new firmware on what flash holds. */
  reboot(): void {
    this.flash = new MemoryFlash(this.flash.image());
    this.firmware = this.#boot();
  }

  type(code: string): LockOutcome {
    const outcomes: LockOutcome[] = [];
    for (const key of keysOfCode(code, this.firmware.isKeypadAsleep(this.clock.monotonicMs())) ?? []) {
      outcomes.push(...this.firmware.press(key as KeypadKey, this.clock.monotonicMs()));
      this.clock.advance(150);
    }
    this.clock.advance(6_000);
    outcomes.push(...this.firmware.wake(this.clock.monotonicMs()));
    const first = outcomes[0];
    if (first === undefined) throw new Error("the keypad said nothing");
    return first;
  }

  /** What the desk wrote on a card. */
  cardKey(credential: string): Uint8Array | undefined {
    const number = this.site.credentials.find(({ id }) => id === credential)?.token;
    return this.cardSecret === undefined || number === undefined ? undefined : makeCardKey(this.cardSecret, number, 1);
  }

  card(number: string): LockOutcome {
    return this.firmware.present(
      { kind: "token", tokenKind: "keycard", value: number, authentic: true },
      this.clock.monotonicMs(),
    );
  }

  /** The code of a slot of the day on which the bench's clock stands. */
  codeOfToday(slot: number, doorKey = this.dailyKey): string {
    const localDay = siteDay(this.site.timeZone, this.now());
    return dailyCode(doorKey, { localDay, mode: "single-use", slot }, this.site.doorcodeDigits);
  }

  now(): UnixSeconds {
    return unixSeconds(this.clock.nowMs() / 1000);
  }

  /**
   * The site as it stands now, compiled, signed and sealed: the snapshot, and before it the deltas from these versions. A version that
   * was asked for before stays what it was.
   */
  policy(version: number, from: readonly number[] = []): NonNullable<CourierLoad["policy"]> {
    const { epoch } = this;
    const next = { policy: this.policyOf(version), notAfter: unixSeconds(this.now() + 86_400) };
    const bundles = [...from.map((held) => this.policyOf(held)), undefined].map((held) => {
      const bundle = sealBundle(this.keys, this.pairingKeys().bundle, this.pairingId, next, held);
      if (bundle === undefined) throw new Error("larger than a bundle may be");
      return bundle;
    });
    return { epoch, version, bundles };
  }

  policyOf(version: number): LockPolicy {
    const name = `${this.epoch}/${version}`;
    const known = this.#compiled.get(name);
    if (known !== undefined) return known;
    const compiled = compileLockPolicy(this.site, this.device, {
      epoch: this.epoch,
      version,
      now: this.now(),
      codeHashKey: this.pairingKeys().codeHash,
      cardKeyOf: (credential) => this.cardKey(credential),
    });
    if (!compiled.ok) throw new Error(compiled.fault.code);
    this.#compiled.set(name, compiled.value);
    return compiled.value;
  }

  release(through: number): NonNullable<CourierLoad["release"]> {
    const chainHead = this.firmware.log?.headAt(through) ?? new Uint8Array(32);
    return signRelease(this.keys, { pairingId: this.pairingId, through, chainHead });
  }

  /**
   * One whole visit. `bringTime: false`: the courier has no way to the authority, which is wrong by `timeErrorMs`. `certifiedBy`: the
   * keys of a former epoch, which its courier may still have its certificate of.
   */
  visit(
    load: Omit<CourierLoad, "certificate" | "logFrom"> & { readonly logFrom?: number },
    options: {
      readonly bringTime?: boolean;
      readonly framesMax?: number;
      readonly timeErrorMs?: number;
      readonly certifiedBy?: AuthorityKeys;
      /** Answers for time in the authority's place. */
      readonly delegate?: { readonly signingKey: Uint8Array; readonly certificate: SignedBlob };
    } = {},
  ): VisitReport {
    const certificate = issueCourierCertificate(options.certifiedBy ?? this.keys, {
      staticPublicKey: x25519PublicKey(this.#courierKey),
      holder: "gateway-bench",
      role: "courier",
      locks: [],
      notAfter: unixSeconds(START + 30 * 86_400),
    });
    const courier = new Session({
      role: "courier",
      staticPrivateKey: this.#courierKey,
      ephemeralPrivateKey: this.#random.bytes(32),
      remoteStaticPublicKey: x25519PublicKey(this.#staticPrivateKey),
      prologue: this.pairingId,
      nowMs: this.clock.monotonicMs(),
    });
    const lock = new LockVisit(
      this.firmware,
      this.pairingId,
      (length) => this.#random.bytes(length),
      this.clock.monotonicMs(),
    );
    let sync: CourierSync | undefined;
    const events: CourierEvent[] = [];
    const rawEntries: Uint8Array[] = [];
    const batches: Uint8Array[] = [];
    let framesLeft = options.framesMax ?? 10_000;
    for (let round = 0; round < 20_000 && lock.ended === undefined && framesLeft > 0; round++) {
      const now = this.clock.monotonicMs();
      courier.wake(now);
      lock.wake(now);
      for (const event of courier.takeEvents()) {
        if (event.kind === "established") sync = new CourierSync({ logFrom: 1, ...load, certificate });
        else if (event.kind === "message") sync?.receive(event.bytes);
      }
      for (const event of sync?.takeEvents() ?? []) {
        events.push(event);
        if (event.kind === "time-wanted" && sync !== undefined) {
          const { delegate } = options;
          const answer = {
            pairingId: this.pairingId,
            nonce: event.nonce,
            unixMs: unixMs(this.clock.nowMs() + (options.timeErrorMs ?? 0)),
            radiusMs: 100,
          };
          if (options.bringTime === false) sync.skipTime();
          else if (delegate === undefined) sync.provideTime(answerTime(this.keys, answer));
          else sync.provideTime(answerDelegatedTime(delegate.signingKey, answer), delegate.certificate);
        } else if (event.kind === "entries") {
          batches.push(event.batch);
          rawEntries.push(...this.#opened(event.batch));
          sync?.entriesStored();
        } else if (event.kind === "finished") courier.finish();
      }
      for (const event of sync?.takeEvents() ?? []) events.push(event);
      for (const message of sync?.takeMessages() ?? []) courier.send(message);
      for (const frame of courier.takeFrames(now)) if (framesLeft-- > 0) lock.receive(frame, now);
      for (const frame of lock.takeFrames(now)) courier.receive(frame, now);
      this.clock.advance(10);
    }
    const entries = rawEntries.flatMap((bytes) => {
      const read = auditEntryToEvent(bytes);
      return read.ok ? [read.value] : [];
    });
    return { events, entries, rawEntries, batches, ended: lock.ended };
  }

  /** Everything that the lock has ever written and could be read out of it, as one text. */
  everythingWritten(): string {
    const decoder = new TextDecoder("latin1");
    return [...this.flash.image()].map(([region, bytes]) => `${region}:${decoder.decode(bytes)}`).join("\n");
  }

  #opened(bytes: Uint8Array): readonly Uint8Array[] {
    const batch = auditBatch.decode(bytes);
    if (!batch.ok) throw new Error(batch.fault.code);
    const entries = openAuditBatch(this.pairingKeys().audit, batch.value);
    if (!entries.ok) throw new Error(entries.fault.code);
    return entries.value;
  }

  #boot(): LockFirmware {
    const model = this.site.devices.find(({ id }) => id === this.device)?.model ?? "C2";
    return new LockFirmware(
      {
        device: this.device,
        model: modelByName[model],
        firmware: "2.3.1",
        hardware: "rev-c",
        door: "communal",
        driftPpm: this.#driftPpm,
        battery: new Battery(80),
        ...(modelByName[model].deadboltRefusesDaily ? { deadbolt: this.deadbolt } : {}),
        factoryKey: this.#staticPrivateKey,
      },
      this.flash,
      this.clock.monotonicMs(),
    );
  }
}
