/**
 * The devices of one site, made from its file, its seed and what their flash still holds. Everything that a person can do at a
 * door is here; how they come to do it (HTTP, the page, a phone) is not.
 */

import { join } from "node:path";
import type { Attempt } from "../../protocol/access/attempt.ts";
import type { CredentialKind } from "../../protocol/access/credential-kind.ts";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../protocol/site/compile-lock-policy.ts";
import type { SiteCredential, SiteDevice } from "../../protocol/site/site.ts";
import type { CommandState } from "../../protocol/wire/command-state.ts";
import { formatSetupCode, SETUP_SECRET_BYTES } from "../../protocol/wire/setup-code.ts";
import { Battery } from "../device/battery.ts";
import { Deadbolt } from "../device/deadbolt.ts";
import { DeviceIdentity } from "../device/device-identity.ts";
import { EventJournal } from "../device/event-journal.ts";
import { FileFlash } from "../device/flash.ts";
import { copiedKeycard, keycard } from "../device/keycard.ts";
import { type KeypadKey, keysOfCode } from "../device/keypad.ts";
import { LockFirmware, type LockOutcome } from "../device/lock.ts";
import { LockHost } from "../device/lock-host.ts";
import { NetworkedDevice } from "../device/networked-device.ts";
import { NetworkedHost } from "../device/networked-host.ts";
import type { HandsetFault, Handsets } from "../people/handsets.ts";
import type { PhoneSyncDone, PhoneSyncFault } from "../people/phone-courier.ts";
import type { WorldClock } from "./clock.ts";
import { seededRandom } from "./random.ts";
import type { WorldDevice, WorldSite } from "./site-file.ts";
import type { WorldLog } from "./world-log.ts";

export interface HouseOptions {
  readonly worldSite: WorldSite;
  /** When this world began; relative times of the site file count from it. */
  readonly start: UnixSeconds;
  readonly seed: number;
  readonly stateFolder: string;
  readonly brokerUrl: string;
  readonly clock: WorldClock;
  readonly log: WorldLog;
  readonly onChange: (device: DeviceId) => void;
}

export type House = {
  readonly locks: ReadonlyMap<DeviceId, LockHost>;
  readonly networked: ReadonlyMap<DeviceId, NetworkedHost>;
};

export type ActFault =
  | { readonly code: "no-such-device" | "no-such-person" | "no-keypad" | "not-a-code" | "no-usable-credential" }
  | { readonly code: "no-such-credential" | "credential-not-theirs" | "no-keyway" | "key-does-not-fit" | "no-deadbolt" }
  | { readonly code: "no-setup-code" | "not-a-ble-lock" | "not-a-claim" }
  | HandsetFault
  | PhoneSyncFault;

/** How somebody tries a device. */
export interface TryRequest {
  readonly device: string;
  /** By id or kind; without it the first that the device takes. */
  readonly credential?: string | undefined;
  /** App key: the phone to ask with; without it the person's own. */
  readonly phone?: string | undefined;
  /** Keycard: a copy of its number on another card, without its key. */
  readonly copied?: boolean | undefined;
}

export interface ActOutcome extends LockOutcome {
  readonly device: DeviceId;
  readonly credential?: string;
  readonly credentialType?: CredentialKind;
}

/** Boots every device of the site. A site whose policies cannot be compiled was refused by `readSiteFile`'s caller before. */
export function buildHouse(options: HouseOptions): House {
  const { site, world } = options.worldSite;
  const worldById = new Map(world.devices.map((device) => [device.id, device]));
  const locks = new Map<DeviceId, LockHost>();
  const networked = new Map<DeviceId, NetworkedHost>();
  for (const device of site.devices) {
    const truth = worldById.get(device.id);
    assert(truth !== undefined, "the site file names each device's truth");
    if (modelByName[device.model].network === "ble") locks.set(device.id, buildLock(device, truth, options));
    else networked.set(device.id, buildNetworked(device, truth, options));
  }
  return { locks, networked };
}

/** Types a code on a device's keypad, waking it if it is dark, and ends the entry. Faults: no-such-device, no-keypad, not-a-code. */
export async function typeCode(
  { house, options }: InHouse,
  device: string,
  code: string,
  who?: string,
): Promise<Result<ActOutcome, ActFault>> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const model = host.value.firmware.hardware.model;
  if (model.digitTimeoutMs === undefined) return failed({ code: "no-keypad" });
  const keys = keysOfCode(code, host.value.isKeypadAsleep());
  if (keys === undefined) return failed({ code: "not-a-code" });
  const outcome = await host.value.press(keys);
  return ok(record(options, host.value, { device: host.value.id, ...outcome }, who));
}

export interface PressedKey {
  /** What the key ended, if anything. */
  readonly outcomes: readonly ActOutcome[];
  /** The key woke the keypad and was used up by that. */
  readonly woke: boolean;
}

/** Presses one key, and only that. Faults: no-such-device, no-keypad. */
export function pressKey({ house, options }: InHouse, device: string, key: KeypadKey): Result<PressedKey, ActFault> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  if (host.value.firmware.hardware.model.digitTimeoutMs === undefined) return failed({ code: "no-keypad" });
  const wasAsleep = host.value.isKeypadAsleep();
  const outcomes = host.value.pressOne(key);
  const woke = wasAsleep && !host.value.isKeypadAsleep();
  const told = outcomes.map((outcome) => record(options, host.value, { device: host.value.id, ...outcome }));
  return ok({ outcomes: told, woke });
}

/**
 * A person walks to a device and presents a credential: one by id or kind, or the first of theirs that the device takes.
 * Faults: as listed in ActFault.
 */
export async function tryDevice(
  inHouse: InHouse,
  person: string,
  { device, credential: wanted, phone, copied }: TryRequest,
): Promise<Result<ActOutcome, ActFault>> {
  const { house, options } = inHouse;
  if (!options.worldSite.site.people.some(({ id }) => id === person)) return failed({ code: "no-such-person" });
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const chosen = chooseCredential(options, host.value.firmware.hardware.model.takes, person, wanted);
  if (!chosen.ok) return chosen;
  const credential = chosen.value;
  const named = { credential: credential.id, credentialType: credential.kind };
  if (credential.digits !== undefined) {
    const typed = await typeCode(inHouse, device, credential.digits, person);
    return typed.ok ? ok({ ...typed.value, ...named }) : typed;
  }
  if (credential.kind === "mechanical-key") return turnKey(inHouse, person, host.value, credential);
  const lock = house.locks.get(host.value.id);
  if (credential.kind === "app-key" && lock !== undefined) {
    const opened = await openByPhone(inHouse, person, lock, phone);
    return opened.ok ? ok({ device: host.value.id, ...opened.value, ...named }) : opened;
  }
  if (credential.kind === "keycard" && lock !== undefined && credential.token !== undefined) {
    const key = copied === true ? undefined : inHouse.cardKeys(credential.id);
    const card = key === undefined ? copiedKeycard(credential.token) : keycard(credential.token, key);
    const outcome = lock.presentCard(card);
    return ok(record(options, host.value, { device: host.value.id, ...outcome, ...named }, person));
  }
  const attempt = attemptOf(credential, unixSeconds(options.clock.nowMs() / 1000));
  if (attempt === undefined) return failed({ code: "no-usable-credential" });
  const outcome = host.value.present(attempt);
  return ok(record(options, host.value, { device: host.value.id, ...outcome, ...named }, person));
}

/** How somebody syncs a lock by the app. */
export interface PhoneSyncOrder {
  readonly device: string;
  /** The phone to do it with; without it the person's own. */
  readonly phone?: string | undefined;
  /** The phone has no network at the door. */
  readonly offline?: boolean | undefined;
}

/** A person who manages the site holds a phone to a lock that needs its sync. Faults: as listed in ActFault. */
export async function syncByPhone(
  { house, options, handsets }: InHouse,
  person: string,
  { device, phone, offline: isOffline }: PhoneSyncOrder,
): Promise<Result<PhoneSyncDone, ActFault>> {
  if (!options.worldSite.site.people.some(({ id }) => id === person)) return failed({ code: "no-such-person" });
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const lock = house.locks.get(host.value.id);
  if (lock === undefined) return failed({ code: "not-a-ble-lock" });
  const { peripheral } = lock;
  const done = await handsets.sync(person, { device: host.value.id, peripheral }, { phone, isOffline });
  options.log.add({
    device: host.value.id,
    who: person,
    with: "phone",
    ...(done.ok
      ? { kind: "synced", note: `by ${done.value.phone}, ${done.value.logEntries} entries` }
      : { kind: "visit-failed", reason: done.fault.code }),
  });
  return done;
}

/** Somebody inside throws the second bolt or draws it back. Faults: no-such-device, no-deadbolt. */
export function turnDeadbolt(
  { house, options }: InHouse,
  device: string,
  to: "extended" | "retracted",
): Result<{ readonly device: DeviceId; readonly deadbolt: typeof to }, ActFault> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  if (house.locks.get(host.value.id)?.turnDeadbolt(to) !== true) return failed({ code: "no-deadbolt" });
  options.log.add({ device: host.value.id, kind: "door", note: `deadbolt ${to}` });
  return ok({ device: host.value.id, deadbolt: to });
}

/** The card in a lock's box, as text. Faults: no-such-device, no-setup-code (it is none that is paired by one). */
export function setupCode({ house }: InHouse, device: string): Result<string, ActFault> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const hardware = house.locks.get(host.value.id)?.firmware.hardware;
  if (hardware?.setup === undefined) return failed({ code: "no-setup-code" });
  // What was printed when the lock was made: the key of today may be another (SPEC Z10).
  return ok(formatSetupCode({ lockPublicKey: x25519PublicKey(hardware.factoryKey), ...hardware.setup }));
}

/** Somebody gives a networked device a claim string. Faults: no-such-device, not-a-claim (or this device needs none). */
export function giveClaim({ house, options }: InHouse, device: string, claim: string): Result<DeviceId, ActFault> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const isTaken = house.networked.get(host.value.id)?.takeClaim(claim) === true;
  if (!isTaken) return failed({ code: "not-a-claim" });
  options.log.add({ device: host.value.id, kind: "door", note: "was given a claim" });
  return ok(host.value.id);
}

/** The lock forgets everything; only its setup code can give it an authority again. Faults: no-such-device, no-setup-code. */
export function factoryReset({ house, options }: InHouse, device: string): Result<DeviceId, ActFault> {
  const host = hostOf(house, device);
  if (!host.ok) return host;
  const lock = house.locks.get(host.value.id);
  if (lock === undefined) return failed({ code: "no-setup-code" });
  lock.factoryReset();
  options.log.add({ device: host.value.id, kind: "door", note: "factory reset" });
  return ok(host.value.id);
}

/** What a person has on them: their own credentials, and what is in their pockets. */
export function credentialsOf({ worldSite }: HouseOptions, person: string): readonly SiteCredential[] {
  const pocket = worldSite.world.pockets.filter((each) => each.person === person).flatMap((each) => each.credentials);
  return worldSite.site.credentials.filter((each) => each.person === person || pocket.includes(each.id));
}

export interface InHouse {
  readonly house: House;
  readonly options: HouseOptions;
  readonly handsets: Handsets;
  /** The key that the desk wrote on a keycard; undefined before the bring-up. */
  readonly cardKeys: (credential: string) => Uint8Array | undefined;
}

interface Host {
  readonly id: DeviceId;
  readonly firmware: LockHost["firmware"] | NetworkedHost["firmware"];
  readonly boot: number;
  isKeypadAsleep(): boolean;
  press(keys: readonly KeypadKey[]): Promise<LockOutcome>;
  pressOne(key: KeypadKey): readonly LockOutcome[];
  present(attempt: Exclude<Attempt, { kind: "code" }>): LockOutcome;
}

function hostOf({ locks, networked }: House, text: string): Result<Host, ActFault> {
  const id = parseDeviceId(text);
  const host = id === undefined ? undefined : (locks.get(id) ?? networked.get(id));
  if (id === undefined || host === undefined) return failed({ code: "no-such-device" });
  const { firmware } = host;
  return ok({
    id,
    firmware,
    boot: "journal" in firmware ? firmware.journal.boot : firmware.bootCount,
    isKeypadAsleep: () => host.keypadAsleep,
    press: (keys) => host.press(keys),
    pressOne: (key) => host.pressOne(key),
    present: (attempt) => host.present(attempt),
  });
}

function chooseCredential(
  options: HouseOptions,
  takes: readonly CredentialKind[],
  person: string,
  wanted: string | undefined,
): Result<SiteCredential, ActFault> {
  const carried = credentialsOf(options, person);
  if (wanted === undefined) {
    const usable = carried.find(({ kind }) => kind !== "mechanical-key" && takes.includes(kind));
    return usable === undefined ? failed({ code: "no-usable-credential" }) : ok(usable);
  }
  const found = carried.find(({ id, kind }) => id === wanted || kind === wanted);
  // What this device cannot read may be held against it all the same: then it says so itself.
  if (found !== undefined) return ok(found);
  const known = options.worldSite.site.credentials.some(({ id }) => id === wanted);
  return failed({ code: known ? "credential-not-theirs" : "no-such-credential" });
}

/** The phone speaks with the lock over the air; what the lock judged is in the world's log already (`onApp`). */
async function openByPhone(
  { handsets }: InHouse,
  person: string,
  lock: LockHost,
  phone: string | undefined,
): Promise<Result<LockOutcome, ActFault>> {
  const { device } = lock.firmware.hardware;
  const opened = await handsets.open(person, { device, peripheral: lock.peripheral }, phone);
  if (!opened.ok) return opened;
  const { warnings } = opened.value;
  if (opened.value.kind === "granted") {
    return ok({ granted: true, recognised: true, indicator: "spin", failedChecks: [], warnings });
  }
  const { reason, failedChecks } = opened.value;
  const recognised = reason !== "CREDENTIAL_UNKNOWN";
  return ok({ granted: false, recognised, indicator: "blink", reason, failedChecks, warnings });
}

/** No decision and no name: what the lock has of it is what its door sensor saw. */
function turnKey(
  { house, options }: InHouse,
  person: string,
  host: Host,
  credential: SiteCredential,
): Result<ActOutcome, ActFault> {
  const device = options.worldSite.site.devices.find(({ id }) => id === host.id);
  const lock = house.locks.get(host.id);
  if (lock === undefined || !lock.firmware.hardware.model.mechanicalKey) return failed({ code: "no-keyway" });
  const fits = device !== undefined && (credential.doors?.includes(device.door) ?? false);
  if (!fits) return failed({ code: "key-does-not-fit" });
  const { id, kind } = credential;
  const turned = lock.turnKey();
  const opened = { granted: true, recognised: false, indicator: "none", failedChecks: [], warnings: [] } as const;
  const outcome = { device: host.id, ...opened, ...turned, credential: id, credentialType: kind };
  options.log.add({
    device: host.id,
    kind: "door",
    who: person,
    with: kind,
    note: "opened by key",
    ...(turned?.sequence === undefined ? {} : { boot: host.boot, sequence: turned.sequence }),
  });
  return ok(outcome);
}

/** Undefined for what is no token: a mechanical key, or digits. */
function attemptOf(
  { id, kind, token }: SiteCredential,
  now: UnixSeconds,
): Exclude<Attempt, { kind: "code" }> | undefined {
  switch (kind) {
    case "app-key":
      return {
        kind: "app",
        credentialId: id,
        certificate: {
          issuedAt: unixSeconds(now - APP_ISSUED_AGO_SECONDS),
          notAfter: unixSeconds(now + APP_SECONDS_LEFT),
        },
      };
    case "keycard":
    case "rf-card":
    case "qr":
    case "face":
    case "licence-plate":
      return token === undefined ? undefined : { kind: "token", tokenKind: kind, value: token, authentic: true };
    case "temp-key":
      return token === undefined ? undefined : { kind: "token", tokenKind: "qr", value: token, authentic: true };
    default:
      return undefined;
  }
}

function record({ log }: HouseOptions, { boot }: Host, outcome: ActOutcome, who?: string): ActOutcome {
  const { device, granted, reason, credentialType, sequence } = outcome;
  log.add({
    device,
    kind: granted ? "granted" : "denied",
    ...(who === undefined ? {} : { who }),
    ...(credentialType === undefined ? {} : { with: credentialType }),
    ...(reason === undefined ? {} : { reason }),
    ...(sequence === undefined ? {} : { boot, sequence }),
  });
  return outcome;
}

function recordApp(
  { log, worldSite }: HouseOptions,
  device: DeviceId,
  boot: number,
  credential: string,
  { granted, reason, sequence }: LockOutcome,
): void {
  const who = worldSite.site.credentials.find(({ id }) => id === credential)?.person;
  log.add({
    device,
    kind: granted ? "granted" : "denied",
    ...(who === undefined ? {} : { who }),
    with: "app-key",
    ...(reason === undefined ? {} : { reason }),
    ...(sequence === undefined ? {} : { boot, sequence }),
  });
}

function recordTimeout(log: WorldLog, device: DeviceId, boot: number, { reason, sequence }: LockOutcome): void {
  log.add({
    device,
    kind: "denied",
    ...(reason === undefined ? {} : { reason }),
    ...(sequence === undefined ? {} : { boot, sequence }),
  });
}

function recordUnlock(
  log: WorldLog,
  device: DeviceId,
  { journal }: NetworkedDevice,
  state: CommandState,
  reason: string | undefined,
): void {
  const opened = state === "done";
  log.add({
    device,
    kind: opened ? "granted" : "denied",
    with: "remote",
    ...(reason === undefined ? {} : { reason }),
    ...(opened ? { boot: journal.boot, sequence: journal.next - 1 } : {}),
  });
}

function buildLock(device: SiteDevice, truth: WorldDevice, options: HouseOptions): LockHost {
  const { seed, stateFolder, clock, log, onChange, worldSite } = options;
  const { address } = device;
  assert(address !== undefined, "a BLE lock has an address");
  const door = worldSite.site.doors.find(({ id }) => id === device.door);
  const firmware = new LockFirmware(
    {
      device: device.id,
      model: modelByName[device.model],
      firmware: truth.firmware ?? "",
      hardware: truth.hardware,
      door: door?.kind === "RESIDENCE" ? "residence" : "communal",
      driftPpm: truth.driftPpm,
      battery: truth.batteryPercent === undefined ? undefined : new Battery(truth.batteryPercent),
      ...(modelByName[device.model].deadboltRefusesDaily ? { deadbolt: new Deadbolt() } : {}),
      factoryKey: seededRandom(seed, `lock/${device.id}/static-key`).bytes(32),
      setup: { secret: seededRandom(seed, `lock/${device.id}/setup-secret`).bytes(SETUP_SECRET_BYTES) },
    },
    new FileFlash(join(stateFolder, device.id)),
    clock.monotonicMs(),
  );
  // A boot of its own stream: an ephemeral key must never be used for two sessions.
  const random = seededRandom(seed, `lock/${device.id}/session/boot-${firmware.bootCount}`);
  return new LockHost({
    firmware,
    address,
    clock,
    random: (length) => random.bytes(length),
    onChange,
    onTimeout: (id, outcome) => recordTimeout(log, id, firmware.bootCount, outcome),
    onApp: (id, { credential, outcome }) => recordApp(options, id, firmware.bootCount, credential, outcome),
    onVisit: (id, end, purpose) => {
      // A phone that was answered is in the log by what it was answered.
      if (purpose === "access" && end === "finished") return;
      if (end !== "finished") return log.add({ device: id, kind: "visit-failed", reason: end });
      if (purpose !== "pairing") return log.add({ device: id, kind: "synced" });
      if (firmware.paired) log.add({ device: id, kind: "paired" });
      else log.add({ device: id, kind: "visit-failed", reason: "not paired" });
    },
  });
}

function buildNetworked(device: SiteDevice, truth: WorldDevice, options: HouseOptions): NetworkedHost {
  const { seed, stateFolder, clock, brokerUrl, onChange, log, worldSite, start } = options;
  const codeKey = seededRandom(seed, `reader/${device.id}/code-key`).bytes(32);
  const compiled = compileLockPolicy(worldSite.site, device.id, {
    epoch: 1,
    version: 1,
    now: start,
    codeHashKey: codeKey,
  });
  assert(compiled.ok, `the policy of ${device.id} was compiled before, when the file was checked`);
  const people = worldSite.site.credentials.flatMap(({ id, person }) =>
    person === undefined ? [] : [[id, person] as const],
  );
  const journal = new EventJournal(join(stateFolder, `${device.id}.journal`));
  const firmware = new NetworkedDevice(
    {
      model: modelByName[device.model],
      firmware: truth.firmware,
      codeKey,
      personByCredential: new Map(people),
    },
    compiled.value,
    {
      flash: new FileFlash(join(stateFolder, device.id)),
      journal,
      // A boot of its own stream: an id that comes twice would make commands of an earlier boot good again.
      bootId: seededRandom(seed, `reader/${device.id}/boot-${journal.boot}`).bytes(16),
    },
    { unixMs: clock.nowMs(), monotonicMs: clock.monotonicMs() },
  );
  const jitter = seededRandom(seed, `reader/${device.id}/reconnect`);
  return new NetworkedHost({
    device: device.id,
    site: worldSite.site.id,
    serial: device.serial,
    hardwareVersion: truth.hardware,
    firmware,
    brokerUrl,
    identity: new DeviceIdentity(join(stateFolder, `${device.id}.identity.json`)),
    clock,
    jitter: () => jitter.next(),
    siteDevices: worldSite.site.devices.filter(({ model }) => modelByName[model].network !== "ble").length,
    onChange,
    onTimeout: (id, outcome) => recordTimeout(log, id, firmware.journal.boot, outcome),
    onPolicy: (id, came) => {
      const failure = came.ok ? {} : { reason: came.fault.code };
      log.add({ device: id, kind: came.ok ? "synced" : "visit-failed", ...failure });
    },
    onUnlock: (id, { state, reason }) => recordUnlock(log, id, firmware, state, reason),
    onCertificate: (id, fault) => {
      const kind = fault === undefined ? ("synced" as const) : ("visit-failed" as const);
      log.add({ device: id, kind, note: "certificate", ...(fault === undefined ? {} : { reason: fault }) });
    },
    onLink: (id, { connected, error }) => {
      log.add({ device: id, kind: connected ? "online" : "offline", ...(error === undefined ? {} : { note: error }) });
    },
  });
}

/** An app renews its certificate daily; at most 72 h are allowed (PROTOCOL part 3). */
const APP_ISSUED_AGO_SECONDS = 3_600;
const APP_SECONDS_LEFT = 71 * 3_600;
