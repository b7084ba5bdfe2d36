/**
 * The site's authority: the only writer of policy versions. It imports the site, pairs locks, revokes people, rotates
 * stickers, and remembers all of it before it answers. It knows no socket; time and randomness come from its ports.
 *
 * Theory: the site as imported is never changed; revocations lie over it (`site`). A lock's policy is compiled from that and
 * takes a new version when its contents change or somebody is revoked; versions only grow, also across restarts and imports.
 */
import { z } from "zod";
import { decodePolicy, encodePolicy } from "../../protocol/access/policy.ts";
import { bytesToHex, equalBytes, utf8 } from "../../protocol/base/bytes.ts";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { type CompileFault, compileLockPolicy } from "../../protocol/site/compile-lock-policy.ts";
import type { DocumentFault } from "../../protocol/site/document.ts";
import { parseSiteWith } from "../../protocol/site/parse-site.ts";
import { type Site, type SiteDevice, siteFileSchema } from "../../protocol/site/site.ts";
import {
  type AuthorityPublicKeys,
  authorityPublicKeys,
  derivePairingKeys,
  type PairingKeys,
} from "../../protocol/sync/authority.ts";
import type { CloudKeys } from "./authority-keys.ts";
import {
  type AuthorityState,
  loadAuthorityState,
  type PairingState,
  type PolicyState,
  saveAuthorityState,
} from "./authority-state.ts";
import type { Documents } from "./documents.ts";
import type { CloudPorts } from "./ports.ts";
import { judgeToken, mayRotate, type PanelStickers, panelStickers, type TokenJudgement } from "./stickers.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface DailyKeyGrant {
  readonly door: string;
  readonly key: Uint8Array;
}

export interface PairingAnswer {
  readonly pairingId: Uint8Array;
  readonly authority: AuthorityPublicKeys;
  readonly dailyKeys: readonly DailyKeyGrant[];
  readonly keyEpoch: number;
}

export interface EnrolmentAnswer {
  readonly mqttPassword: string;
  /** Empty for devices that take no daily codes. */
  readonly dailyKeys: readonly DailyKeyGrant[];
  readonly keyEpoch: number;
  readonly entryTagKey: Uint8Array;
}

export interface ImportAnswer {
  readonly site: string;
  readonly doors: number;
  readonly people: number;
  readonly devices: number;
}

export interface LockVersion extends PolicyVersion {
  readonly device: string;
}

export interface RevokeAnswer {
  readonly person: string;
  readonly since: UnixSeconds;
  readonly locks: readonly LockVersion[];
}

export interface RotateAnswer {
  readonly panel: string;
  readonly rotation: number;
  readonly payload: string;
}

export type ImportFault =
  | DocumentFault
  | { readonly code: "another-site"; readonly expected: string; readonly came: string };
export type NoSite = { readonly code: "no-site" };
export type NoSuch = { readonly code: "no-such-device" | "no-such-person" | "no-such-panel"; readonly came: string };
export type PairFault =
  | NoSite
  | NoSuch
  | CompileFault
  | { readonly code: "not-a-ble-lock" | "not-a-networked-device"; readonly came: string }
  | { readonly code: "bad-public-key" };

export interface AuthorityOptions {
  readonly keys: CloudKeys;
  readonly documents: Documents;
  readonly ports: CloudPorts;
  /** Where visitors' phones reach the directory page; `isPublicUrl` holds. */
  readonly publicUrl: string;
}

export class Authority {
  readonly keys: CloudKeys;
  readonly publicUrl: string;
  readonly #documents: Documents;
  readonly #ports: CloudPorts;
  #state: AuthorityState;
  #imported: Site | undefined;
  #site: Site | undefined;
  #revision = 0;

  constructor({ keys, documents, ports, publicUrl }: AuthorityOptions) {
    this.keys = keys;
    this.publicUrl = publicUrl;
    this.#documents = documents;
    this.#ports = ports;
    this.#state = loadAuthorityState(documents);
    if (this.#state.site === null) return;
    const parsed = parseSiteText(this.#state.site.text, this.#state.site.start);
    assert(parsed.ok, "a stored site parses as it did when it was imported");
    this.#imported = parsed.value;
    this.#site = withRevocations(parsed.value, this.#state.revokedSince);
  }

  /** The site as it stands now, revocations included; undefined before the first import. */
  get site(): Site | undefined {
    return this.#site;
  }

  get state(): AuthorityState {
    return this.#state;
  }

  /** Of a desired document: the clock's milliseconds, and always more than the last. */
  nextRevision(): number {
    this.#revision = Math.max(this.#revision + 1, Math.floor(this.#ports.clock.nowMs()));
    return this.#revision;
  }

  now(): UnixSeconds {
    return unixSeconds(this.#ports.clock.nowMs() / 1000);
  }

  /** Takes a site file. The same site again replaces the former one and keeps revocations, rotations and pairings. */
  importSite(text: string, start: UnixSeconds): Result<ImportAnswer, ImportFault> {
    const parsed = parseSiteText(text, start);
    if (!parsed.ok) return parsed;
    const site = parsed.value;
    if (this.#imported !== undefined && this.#imported.id !== site.id) {
      return failed({ code: "another-site", expected: this.#imported.id, came: site.id });
    }
    this.#imported = site;
    this.#change({ site: { text, start }, panels: this.#panelsFor(site) });
    for (const device of this.#pairedDevices()) this.#writePolicy(device, "when-changed");
    return ok({ site: site.id, doors: site.doors.length, people: site.people.length, devices: site.devices.length });
  }

  /** Pairs a BLE lock on the bench. The same lock again keeps its pairing; another key makes a new one. */
  pairLock(request: {
    device: string;
    staticPublicKey: Uint8Array;
    address: string;
  }): Result<PairingAnswer, PairFault> {
    const device = this.#deviceNamed(request.device);
    if (!device.ok) return device;
    if (modelByName[device.value.model].network !== "ble") {
      return failed({ code: "not-a-ble-lock", came: request.device });
    }
    const known = this.#state.pairings[request.device];
    const same = known !== undefined && equalBytes(known.staticPublicKey, request.staticPublicKey);
    const pairing: PairingState = {
      pairingId: same ? known.pairingId : this.#ports.random(pairingIdBytes),
      staticPublicKey: request.staticPublicKey,
      address: request.address,
      pairedAt: same ? known.pairedAt : this.now(),
    };
    const keys = derivePairingKeys(this.keys.roles.static, request.staticPublicKey, pairing.pairingId);
    if (keys === undefined) return failed({ code: "bad-public-key" });
    const compiled = compileLockPolicy(this.#siteNow(), device.value.id, this.#compileOptions(1, keys, this.now()));
    if (!compiled.ok) return compiled;
    this.#change({ pairings: { ...this.#state.pairings, [request.device]: pairing } });
    this.#writePolicy(device.value.id, same ? "when-changed" : "always");
    const dailyKeys = this.#dailyKeysOf(device.value);
    return ok({ pairingId: pairing.pairingId, authority: authorityPublicKeys(this.keys.roles), dailyKeys, keyEpoch });
  }

  /** Enrols a networked device on the bench: its password, and the daily keys of its door where its model takes daily codes. */
  enrol(id: string): Result<EnrolmentAnswer, PairFault> {
    const panel = this.#imported?.panels.find((each) => each.id === id);
    const device =
      panel === undefined ? this.#deviceNamed(id) : failed({ code: "not-a-networked-device", came: id } as const);
    if (!device.ok) return device;
    if (modelByName[device.value.model].network !== "mqtt") return failed({ code: "not-a-networked-device", came: id });
    const enrolled = this.#state.enrolled.includes(device.value.id)
      ? this.#state.enrolled
      : [...this.#state.enrolled, device.value.id];
    this.#change({ enrolled });
    return ok({
      mqttPassword: this.keys.enrolledPassword(id),
      dailyKeys: this.#dailyKeysOf(device.value),
      keyEpoch,
      entryTagKey: this.keys.enrolledEntryTagKey(id),
    });
  }

  registerGateway(gateway: DeviceId, password: string): void {
    const known = this.#state.gateways[gateway];
    const passwordHash = sha256(utf8(password));
    this.#change({
      gateways: {
        ...this.#state.gateways,
        [gateway]: {
          courierPublicKey: known?.courierPublicKey ?? null,
          certificateNotAfter: known?.certificateNotAfter ?? null,
          passwordHash,
        },
      },
    });
  }

  /** A gateway told its courier key at its birth: it gets a certificate, which is renewed by half of its life. */
  courierSeen(gateway: DeviceId, publicKey: Uint8Array): void {
    const known = this.#state.gateways[gateway];
    assert(known !== undefined, "only a registered gateway gets through the broker");
    const now = this.now();
    const same = known.courierPublicKey !== null && equalBytes(known.courierPublicKey, publicKey);
    if (same && (known.certificateNotAfter ?? 0) > now + certificateSeconds / 2) return;
    const renewed = {
      ...known,
      courierPublicKey: publicKey,
      certificateNotAfter: unixSeconds(now + certificateSeconds),
    };
    this.#change({ gateways: { ...this.#state.gateways, [gateway]: renewed } });
  }

  /** Revokes everything of a person: from now on here, on each lock from its new policy version on. */
  revoke(id: string): Result<RevokeAnswer, NoSite | NoSuch> {
    if (this.#imported === undefined) return failed({ code: "no-site" });
    const person = this.#imported.people.find((each) => each.id === id);
    if (person === undefined) return failed({ code: "no-such-person", came: id });
    const since = this.#state.revokedSince[id] ?? person.revokedAt ?? this.now();
    const again = this.#state.revokedSince[id] !== undefined;
    this.#change({ revokedSince: { ...this.#state.revokedSince, [id]: since } });
    // Revoking twice is one revocation; the versions that carry it are there already.
    if (!again) for (const device of this.#pairedDevices()) this.#writePolicy(device, "always", { person: id, since });
    return ok({ person: id, since, locks: this.policyVersions() });
  }

  policyVersions(): readonly LockVersion[] {
    return Object.entries(this.#state.policies).map(([device, { epoch, version }]) => ({ device, epoch, version }));
  }

  /** Gives a panel its next sticker; the one before it is dead when this returns. */
  rotateSticker(panel: string): Result<RotateAnswer, NoSuch | { readonly code: "no-rotations-left" }> {
    const state = this.#state.panels[panel];
    if (state === undefined) return failed({ code: "no-such-panel", came: panel });
    if (!mayRotate(state)) return failed({ code: "no-rotations-left" });
    const rotated = { ...state, rotation: state.rotation + 1, rotatedAt: this.now(), openedAt: null };
    this.#change({ panels: { ...this.#state.panels, [panel]: rotated } });
    const { rotation, current } = panelStickers(this.keys.sticker, this.publicUrl, rotated);
    return ok({ panel, rotation, payload: current });
  }

  stickersOf(panel: string): PanelStickers | undefined {
    const state = this.#state.panels[panel];
    return state === undefined ? undefined : panelStickers(this.keys.sticker, this.publicUrl, state);
  }

  /** Judges a token that a phone opened, and notes when the current one was first seen on the wall. */
  openToken(tokenText: string): TokenJudgement {
    const judged = judgeToken(this.keys.sticker, this.#state.panels, tokenText);
    const panel = judged.verdict === "current" ? this.#state.panels[judged.panel] : undefined;
    if (judged.verdict === "current" && panel !== undefined && panel.openedAt === null) {
      this.#change({ panels: { ...this.#state.panels, [judged.panel]: { ...panel, openedAt: this.now() } } });
    }
    return judged;
  }

  /** Gives a resident's phone its bearer token; only the token's hash is kept. */
  registerPhone(phone: string, person: string): Result<{ readonly token: string }, NoSite | NoSuch> {
    if (this.#imported === undefined) return failed({ code: "no-site" });
    if (!this.#imported.people.some((each) => each.id === person))
      return failed({ code: "no-such-person", came: person });
    const token = bytesToHex(this.#ports.random(tokenBytes));
    this.#change({ phones: { ...this.#state.phones, [phone]: { person, tokenHash: sha256(utf8(token)) } } });
    return ok({ token });
  }

  /** Whose phone this token is; undefined for any other text. */
  personOfToken(token: string): string | undefined {
    const hash = sha256(utf8(token));
    return Object.values(this.#state.phones).find(({ tokenHash }) => equalBytes(tokenHash, hash))?.person;
  }

  phonesOf(person: string): number {
    return Object.values(this.#state.phones).filter((phone) => phone.person === person).length;
  }

  /** Remembers a slot of a day as given to a person. */
  recordAllotment(allotment: AuthorityState["allotments"][number]): void {
    const oldest = allotment.localDay - allotmentDaysKept;
    const kept = this.#state.allotments.filter(({ localDay }) => localDay >= oldest);
    this.#change({ allotments: [...kept, allotment] });
  }

  pairingKeys(device: string): PairingKeys | undefined {
    const pairing = this.#state.pairings[device];
    if (pairing === undefined) return undefined;
    return derivePairingKeys(this.keys.roles.static, pairing.staticPublicKey, pairing.pairingId);
  }

  /** The key under which this device tags denied entries; undefined for a device that tags none. */
  entryTagKey(device: string): Uint8Array | undefined {
    const paired = this.pairingKeys(device);
    if (paired !== undefined) return paired.entryTag;
    const enrolled = this.#state.enrolled.some((each) => each === device);
    return enrolled ? this.keys.enrolledEntryTagKey(device) : undefined;
  }

  /** Writes a lock's next policy version. `when-changed` leaves the version alone when nothing but its date would differ. */
  #writePolicy(
    device: DeviceId,
    when: "always" | "when-changed",
    revoked?: { readonly person: string; readonly since: UnixSeconds },
  ): void {
    const keys = this.pairingKeys(device);
    assert(keys !== undefined, "a paired lock's keys were derived once already");
    const held = this.#state.policies[device];
    if (held !== undefined && when === "when-changed" && !this.#policyChanged(device, held, keys)) return;
    const version = (held?.version ?? 0) + 1;
    const now = this.now();
    const compiled = compileLockPolicy(this.#siteNow(), device, this.#compileOptions(version, keys, now));
    // A new site file may lack a lock that was paired; it keeps the policy that it has.
    if (!compiled.ok) return;
    const bundle = encodePolicy(compiled.value);
    const before = held?.revocations ?? [];
    const hit = revoked !== undefined && held !== undefined && this.#letsIn(held, revoked.person);
    const revocations = hit ? [...before, { ...revoked, epoch: keysetEpoch, version }] : before;
    const policy: PolicyState = {
      epoch: keysetEpoch,
      version,
      bundle,
      notAfter: unixSeconds(now + manifestSeconds),
      revocations,
    };
    this.#change({ policies: { ...this.#state.policies, [device]: policy } });
  }

  /** Whether the lock lets this person in by the policy that it may still hold: only then is there an exposure. */
  #letsIn(held: PolicyState, person: string): boolean {
    const policy = decodePolicy(held.bundle);
    assert(policy.ok, "the authority reads its own policies");
    const owned = new Set(
      this.#siteNow()
        .credentials.filter((each) => each.person === person)
        .map(({ id }) => id),
    );
    return policy.value.credentials.some(({ id, state }) => owned.has(id) && state === "active");
  }

  #policyChanged(device: DeviceId, held: PolicyState, keys: PairingKeys): boolean {
    const before = decodePolicy(held.bundle);
    assert(before.ok, "the authority reads its own policies");
    const options = this.#compileOptions(held.version, keys, before.value.issuedAt);
    const again = compileLockPolicy(this.#siteNow(), device, options);
    return again.ok && !equalBytes(encodePolicy(again.value), held.bundle);
  }

  #compileOptions(version: number, keys: PairingKeys, now: UnixSeconds) {
    return { version, epoch: keysetEpoch, now, codeHashKey: keys.codeHash };
  }

  #dailyKeysOf(device: SiteDevice): readonly DailyKeyGrant[] {
    if (!modelByName[device.model].takes.includes("daily-doorcode")) return [];
    return [{ door: device.door, key: this.keys.dailyKey(device.door, keyEpoch) }];
  }

  /** Keeps the panels that are there and numbers the new ones; a number is never given twice. */
  #panelsFor(site: Site): AuthorityState["panels"] {
    const panels = { ...this.#state.panels };
    for (const { id } of site.panels) {
      const number = Math.max(0, ...Object.values(panels).map((panel) => panel.number)) + 1;
      panels[id] ??= { number, rotation: 1, rotatedAt: this.now(), openedAt: null };
    }
    return panels;
  }

  #pairedDevices(): readonly DeviceId[] {
    const site = this.#siteNow();
    return site.devices.map(({ id }) => id).filter((id) => this.#state.pairings[id] !== undefined);
  }

  #deviceNamed(id: string): Result<SiteDevice, NoSite | NoSuch> {
    if (this.#imported === undefined) return failed({ code: "no-site" });
    const device = this.#imported.devices.find((each) => each.id === id);
    return device === undefined ? failed({ code: "no-such-device", came: id }) : ok(device);
  }

  #siteNow(): Site {
    assert(this.#site !== undefined, "asked only when there is a site");
    return this.#site;
  }

  /** Every change is on disk before it is told to anybody. */
  #change(change: Partial<AuthorityState>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#imported !== undefined) this.#site = withRevocations(this.#imported, this.#state.revokedSince);
    saveAuthorityState(this.#documents, this.#state, this.#ports.clock.nowMs());
  }
}

/** Reads the part of a site file that an authority knows; the world's truth in it is none of its business. */
function parseSiteText(text: string, start: UnixSeconds): Result<Site, DocumentFault> {
  const parsed = parseSiteWith(text, siteFileSchema.extend({ world: z.unknown().optional() }), { start });
  return parsed.ok ? ok(parsed.value.site) : parsed;
}

function withRevocations(site: Site, revokedSince: Readonly<Record<string, UnixSeconds>>): Site {
  const people = site.people.map((person) => {
    const revokedAt = revokedSince[person.id] ?? person.revokedAt;
    return revokedAt === undefined ? person : { ...person, revokedAt };
  });
  return { ...site, people };
}

const pairingIdBytes = 16;
const tokenBytes = 32;
/** Key rotation comes with a later issue; until then there is one keyset and one daily key per door. */
export const keysetEpoch = 1;
export const keyEpoch = 1;
const daySeconds = 86_400;
/** How long a courier may carry without being seen here. */
const certificateSeconds = 30 * daySeconds;
/** How long a signed policy may be delivered; it stays in force after that. */
const manifestSeconds = 30 * daySeconds;
/** Long enough to name yesterday's code when a lock is visited a week later. */
const allotmentDaysKept = 14;
