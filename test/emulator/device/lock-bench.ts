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
import { encodePolicy } from "../../../protocol/access/policy.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { dailyCode } from "../../../protocol/doorcode/daily-code.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { Session } from "../../../protocol/session/session.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { siteDay } from "../../../protocol/site/zone.ts";
import {
  answerTime,
  authorityKeysFromSeed,
  authorityPublicKeys,
  derivePairingKeys,
  issueCourierCertificate,
  signManifest,
  signRelease,
} from "../../../protocol/sync/authority.ts";
import { type CourierEvent, type CourierLoad, CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { auditEntryToEvent } from "../../../protocol/wire/audit-entry.ts";
import type { DeviceEvent } from "../../../protocol/wire/messages/event.ts";

/** Friday, 20 November 2026, 10:00 in New York. */
export const START = unixSeconds(Date.UTC(2026, 10, 20, 15) / 1000);

export function mapleCourt(start: UnixSeconds = START): Site {
  const text = readFileSync(new URL("../../../emulator/sites/maple-court.yaml", import.meta.url), "utf8");
  const read = readSiteFile(text, start);
  if (!read.ok) throw new Error("maple-court.yaml has mistakes");
  return read.value.site;
}

export interface VisitReport {
  readonly events: readonly CourierEvent[];
  readonly entries: readonly DeviceEvent[];
  readonly rawEntries: readonly Uint8Array[];
  readonly ended: string | undefined;
}

export class LockBench {
  readonly clock = new SteppedClock(START * 1000);
  readonly keys = authorityKeysFromSeed(new Uint8Array(32).fill(3));
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

  constructor(options: { readonly device?: string; readonly driftPpm?: number; readonly image?: MemoryFlash } = {}) {
    const device = parseDeviceId(options.device ?? "lobby-lock");
    if (device === undefined) throw new Error("no device id");
    this.device = device;
    this.#driftPpm = options.driftPpm ?? 0;
    this.flash = options.image ?? new MemoryFlash();
    this.firmware = this.#boot();
  }

  pair(clockErrorMs = 0): void {
    const { static: staticKey, ...rest } = authorityPublicKeys(this.keys);
    this.firmware.pair(
      { pairingId: this.pairingId, ...rest, static: staticKey, dailyKeys: [{ keyId: 1, key: this.dailyKey }] },
      unixMs(this.clock.nowMs() + clockErrorMs),
      this.clock.monotonicMs(),
    );
  }

  /** Power goes and comes back: a new firmware on what flash holds. */
  reboot(): void {
    this.flash = new MemoryFlash(this.flash.image());
    this.firmware = this.#boot();
  }

  type(code: string): LockOutcome {
    const outcomes: LockOutcome[] = [];
    for (const key of keysOfCode(code) ?? []) {
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

  /** Compiles and signs the site as it stands now. */
  policy(version: number): NonNullable<CourierLoad["policy"]> {
    const keys = derivePairingKeys(this.keys.static, x25519PublicKey(this.#staticPrivateKey), this.pairingId);
    if (keys === undefined) throw new Error("no pairing keys");
    const compiled = compileLockPolicy(this.site, this.device, {
      epoch: 1,
      version,
      now: this.now(),
      codeHashKey: keys.codeHash,
      cardKeyOf: (credential) => this.cardKey(credential),
    });
    if (!compiled.ok) throw new Error(compiled.fault.code);
    const bundle = encodePolicy(compiled.value);
    const notAfter = unixSeconds(this.now() + 86_400);
    const manifest = signManifest(this.keys, { pairingId: this.pairingId, epoch: 1, version, bundle, notAfter });
    return { epoch: 1, version, manifest, bundle };
  }

  release(through: number): NonNullable<CourierLoad["release"]> {
    const chainHead = this.firmware.log?.headAt(through) ?? new Uint8Array(32);
    return signRelease(this.keys, { pairingId: this.pairingId, through, chainHead });
  }

  /** One whole visit. `bringTime: false`: the courier has no way to the authority, which is wrong by `timeErrorMs`. */
  visit(
    load: Omit<CourierLoad, "certificate" | "logFrom"> & { readonly logFrom?: number },
    options: { readonly bringTime?: boolean; readonly framesMax?: number; readonly timeErrorMs?: number } = {},
  ): VisitReport {
    const certificate = issueCourierCertificate(this.keys, {
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
          if (options.bringTime === false) sync.skipTime();
          else
            sync.provideTime(
              answerTime(this.keys, {
                pairingId: this.pairingId,
                nonce: event.nonce,
                unixMs: unixMs(this.clock.nowMs() + (options.timeErrorMs ?? 0)),
                radiusMs: 100,
              }),
            );
        } else if (event.kind === "entries") {
          rawEntries.push(...event.entries);
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
    return { events, entries, rawEntries, ended: lock.ended };
  }

  /** Everything that the lock has ever written and could be read out of it, as one text. */
  everythingWritten(): string {
    const decoder = new TextDecoder("latin1");
    return [...this.flash.image()].map(([region, bytes]) => `${region}:${decoder.decode(bytes)}`).join("\n");
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
        staticPrivateKey: this.#staticPrivateKey,
      },
      this.flash,
      this.clock.monotonicMs(),
    );
  }
}
