/**
 * The site's authority: the only writer of policy versions. It imports the site, pairs locks, revokes people, rotates
 * stickers, and remembers all of it before it answers. It knows no socket; time and randomness come from its ports.
 *
 * Theory: the site as imported is never changed; revocations lie over it (`site`). A lock's policy is compiled from that and
 * takes a new version when its contents change or somebody is revoked; versions only grow, also across restarts and imports.
 */
import { z } from "zod";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { decodePolicy, encodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
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
  loadReservedRevision,
  type PairingState,
  type PolicyState,
  saveAuthorityState,
  saveReservedRevision,
} from "./authority-state.ts";
import type { Documents } from "./documents.ts";
import { addRevocations, dropConfirmed, keepConfirmed } from "./pending-revocations.ts";
import { addFormerCodes, dropFormerCodes } from "./permanent-codes.ts";
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
  /** For unlock commands: what they name the device by, the key that signs them, and the key of its boot reports. */
  readonly pairingId: Uint8Array;
  readonly unlockKey: Uint8Array;
  /** MACs also what the device says it holds. */
  readonly reportKey: Uint8Array;
  /** For its policies: the key that signs them, and the one under which their codes are hashed. */
  readonly policyKey: Uint8Array;
  readonly codeHashKey: Uint8Array;
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

export interface ResetAnswer {
  readonly person: string;
  /** App certificates of before are refused by every lock that gets its newer policy. */
  readonly since: UnixSeconds;
  /** How many phones were signed out. */
  readonly phones: number;
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
  #revision: number;
  #reservedRevision: number;

  constructor({ keys, documents, ports, publicUrl }: AuthorityOptions) {
    this.keys = keys;
    this.publicUrl = publicUrl;
    this.#documents = documents;
    this.#ports = ports;
    this.#state = loadAuthorityState(documents);
    this.#reservedRevision = loadReservedRevision(documents);
    this.#revision = this.#reservedRevision;
    if (this.#state.site === null) return;
    const parsed = parseSiteText(this.#state.site.text, this.#state.site.start);
    assert(parsed.ok, "a stored site parses as it did when it was imported");
    this.#imported = parsed.value;
    this.#site = withChanges(parsed.value, this.#state);
  }

  /** The site as it stands now, revocations included; undefined before the first import. */
  get site(): Site | undefined {
    return this.#site;
  }

  get state(): AuthorityState {
    return this.#state;
  }

  /**
   * Of a desired document (SPEC M12): the clock's milliseconds, and always more than the last, also after a restart with a clock
   * that was set back. A minute of them is reserved with each write.
   */
  nextRevision(): number {
    const now = this.#ports.clock.nowMs();
    this.#revision = Math.max(this.#revision + 1, Math.floor(now));
    if (this.#revision >= this.#reservedRevision) {
      this.#reservedRevision = this.#revision + revisionsReserved;
      saveReservedRevision(this.#documents, this.#reservedRevision, now);
    }
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
    const former = this.#imported;
    const departed = former === undefined ? this.#state.departed : this.#departedAfter(former, site);
    this.#imported = site;
    this.#change({ site: { text, start }, panels: this.#panelsFor(site), departed });
    for (const device of this.#policyDevices()) this.#writePolicy(device, "when-changed", former);
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
    const compiled = compileLockPolicy(
      this.#siteNow(),
      device.value.id,
      this.#compileOptions(1, keys.codeHash, this.now()),
    );
    if (!compiled.ok) return compiled;
    this.#change({ pairings: { ...this.#state.pairings, [request.device]: pairing } });
    this.#writePolicy(device.value.id, same ? "when-changed" : "for-a-new-lock");
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
    this.#writePolicy(device.value.id, "when-changed");
    const { unlock, policy } = authorityPublicKeys(this.keys.roles);
    return ok({
      mqttPassword: this.keys.enrolledPassword(id),
      dailyKeys: this.#dailyKeysOf(device.value),
      keyEpoch,
      entryTagKey: this.keys.enrolledEntryTagKey(id),
      pairingId: this.keys.enrolledPairingId(id),
      unlockKey: unlock,
      reportKey: this.keys.enrolledReportKey(id),
      policyKey: policy,
      codeHashKey: this.keys.enrolledCodeHashKey(id),
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
    if (!again) for (const device of this.#policyDevices()) this.#writePolicy(device, "always");
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
    // Somebody else's phone may be signed in to a second account, and keeps its owner's.
    const signedIn = { person, tokenHash: sha256(utf8(token)), signedOut: false };
    this.#change({ phones: { ...this.#state.phones, [`${phone}/${person}`]: signedIn } });
    return ok({ token });
  }

  /** Whose phone this token is; undefined for any other text, and once the phone was signed out. */
  personOfToken(token: string): string | undefined {
    const [, phone] = this.#phoneOfToken(token) ?? [];
    return phone === undefined || phone.signedOut ? undefined : phone.person;
  }

  /** Whether this was a phone's token until somebody signed it out. */
  isSignedOut(token: string): boolean {
    return this.#phoneOfToken(token)?.[1].signedOut ?? false;
  }

  /** Ends one phone's token; false when it is none, or ended already. */
  signOutPhone(token: string): boolean {
    const [id, phone] = this.#phoneOfToken(token) ?? [];
    if (id === undefined || phone === undefined || phone.signedOut) return false;
    this.#change({ phones: { ...this.#state.phones, [id]: { ...phone, signedOut: true } } });
    return true;
  }

  /** Ends every phone's access: tokens here and now, what the phones hold on each lock from its next policy version on. */
  resetPassword(id: string): Result<ResetAnswer, NoSite | NoSuch> {
    if (this.#imported === undefined) return failed({ code: "no-site" });
    if (!this.#imported.people.some((each) => each.id === id)) return failed({ code: "no-such-person", came: id });
    const phones = this.phonesOf(id);
    // Certificates are dated in whole seconds: from the next one on, so that one of this very second is of before.
    const since = unixSeconds(this.now() + 1);
    const ended = Object.entries(this.#state.phones).map(
      ([phoneId, phone]) => [phoneId, phone.person === id ? { ...phone, signedOut: true } : phone] as const,
    );
    this.#change({
      signedOutAt: { ...this.#state.signedOutAt, [id]: since },
      phones: Object.fromEntries(ended),
    });
    for (const device of this.#policyDevices()) this.#writePolicy(device, "when-changed");
    return ok({ person: id, since, phones, locks: this.policyVersions() });
  }

  phonesOf(person: string): number {
    return Object.values(this.#state.phones).filter((phone) => phone.person === person && !phone.signedOut).length;
  }

  #phoneOfToken(token: string): readonly [string, AuthorityState["phones"][string]] | undefined {
    const hash = sha256(utf8(token));
    return Object.entries(this.#state.phones).find(([, { tokenHash }]) => equalBytes(tokenHash, hash));
  }

  /** The keys that the desk writes on the site's keycards. Only the bench asks: a card is there, a list of keys would not be. */
  cardKeys(): readonly { readonly credential: string; readonly key: Uint8Array }[] {
    return (this.#imported?.credentials ?? []).flatMap(({ id }) => {
      const key = this.#cardKeyOf(id);
      return key === undefined ? [] : [{ credential: id, key }];
    });
  }

  #cardKeyOf(credential: string): Uint8Array | undefined {
    const card = this.#imported?.credentials.find(({ id, kind }) => id === credential && kind === "keycard");
    return card?.token === undefined ? undefined : makeCardKey(this.keys.cardSecret, card.token, cardGeneration);
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

  /** The key under which this device's permanent codes are hashed; undefined for a device that was neither paired nor enrolled. */
  codeHashKey(device: string): Uint8Array | undefined {
    const paired = this.pairingKeys(device);
    if (paired !== undefined) return paired.codeHash;
    const enrolled = this.#state.enrolled.some((each) => each === device);
    return enrolled ? this.keys.enrolledCodeHashKey(device) : undefined;
  }

  /** The key under which this device tags denied entries; undefined for a device that tags none. */
  entryTagKey(device: string): Uint8Array | undefined {
    const paired = this.pairingKeys(device);
    if (paired !== undefined) return paired.entryTag;
    const enrolled = this.#state.enrolled.some((each) => each === device);
    return enrolled ? this.keys.enrolledEntryTagKey(device) : undefined;
  }

  /** A lock reported, under its MAC, that it holds this version: what only older ones let in, it lets in no more. */
  confirmPolicy(device: string, confirmed: PolicyVersion): void {
    const held = this.#state.policies[device];
    if (held === undefined) return;
    const revocations = dropConfirmed(held.revocations, confirmed);
    const formerCodes = dropFormerCodes(held.formerCodes, confirmed.version);
    const isSame = revocations.length === held.revocations.length && formerCodes.length === held.formerCodes.length;
    if (isSame) return;
    const confirmedRevocations = keepConfirmed(held, confirmed);
    const policy = { ...held, revocations, confirmedRevocations, formerCodes };
    this.#change({ policies: { ...this.#state.policies, [device]: policy } });
  }

  /** Also of somebody whom the site no longer has, while a lock may still let them in. */
  nameOf(person: string): string | undefined {
    const here = this.#imported?.people.find(({ id }) => id === person);
    return here?.name ?? Object.values(this.#state.departed).find((owner) => owner.person === person)?.name;
  }

  /** Who is not in the site any more and still let in by some lock. */
  departedPeople(): readonly { readonly id: string; readonly name: string }[] {
    const here = new Set(this.#imported?.people.map(({ id }) => id));
    const pending = Object.values(this.#state.policies).flatMap(({ revocations }) => revocations);
    const gone = new Set(pending.map(({ person }) => person).filter((person) => !here.has(person)));
    return [...gone].map((id) => ({ id, name: this.nameOf(id) ?? id }));
  }

  /**
   * Writes the next policy version of a lock or networked device. `when-changed` leaves the version alone when nothing but its date would differ. Who was let
   * in by the version before and is no longer is found here, whatever the change was; `former` is the site before it, if another.
   * A new lock under the name of an old one holds nothing of what that one held; only its versions go on.
   */
  #writePolicy(device: DeviceId, when: "always" | "when-changed" | "for-a-new-lock", former?: Site): void {
    const key = this.codeHashKey(device);
    assert(key !== undefined, "only what was paired or enrolled has a policy");
    const held = this.#state.policies[device];
    if (held !== undefined && when === "when-changed" && !this.#policyChanged(device, held, key)) return;
    const version = (held?.version ?? 0) + 1;
    const now = this.now();
    const compiled = compileLockPolicy(this.#siteNow(), device, this.#compileOptions(version, key, now));
    // A new site file may lack a lock that was paired; it keeps the policy that it has.
    if (!compiled.ok) return;
    const policy: PolicyState = {
      epoch: keysetEpoch,
      version,
      bundle: encodePolicy(compiled.value),
      notAfter: unixSeconds(now + manifestSeconds),
      ...this.#stillHeld(when === "for-a-new-lock" ? undefined : held, compiled.value, former),
    };
    this.#change({ policies: { ...this.#state.policies, [device]: policy } });
  }

  /** What a lock may still hold when `newest` follows on `held`: people who lost a way in, and codes that went. */
  #stillHeld(
    held: PolicyState | undefined,
    newest: LockPolicy,
    former: Site | undefined,
  ): Pick<PolicyState, "revocations" | "confirmedRevocations" | "formerCodes"> {
    if (held === undefined) return { revocations: [], confirmedRevocations: [], formerCodes: [] };
    const before = decodePolicy(held.bundle);
    assert(before.ok, "the authority reads its own policies");
    const owners = {
      personOf: (credential: string) => this.#ownerBefore(credential, former),
      since: (person: string) => this.#siteNow().people.find(({ id }) => id === person)?.revokedAt ?? this.now(),
    };
    return {
      revocations: addRevocations(held.revocations, before.value, newest, owners),
      confirmedRevocations: held.confirmedRevocations,
      formerCodes: addFormerCodes(held.formerCodes, before.value, newest),
    };
  }

  #ownerBefore(credential: string, former: Site | undefined): string | undefined {
    for (const site of [former, this.#siteNow()]) {
      const found = site?.credentials.find(({ id }) => id === credential);
      if (found !== undefined) return found.person;
    }
    return this.#state.departed[credential]?.person;
  }

  /** Whose the credentials are that `next` does not have any more, as long as a lock's policy or an exposure has to do with them. */
  #departedAfter(former: Site, next: Site): AuthorityState["departed"] {
    const departed = { ...this.#state.departed };
    for (const { id, person } of former.credentials) {
      const name = person === undefined ? undefined : this.nameOf(person);
      if (person !== undefined && name !== undefined) departed[id] = { person, name };
    }
    const here = new Set(next.credentials.map(({ id }) => id));
    const policies = Object.values(this.#state.policies);
    const exposed = new Set(policies.flatMap(({ revocations }) => revocations.map(({ person }) => person)));
    const held = new Set(policies.flatMap(({ bundle }) => credentialIds(bundle)));
    const wanted = Object.entries(departed).filter(
      ([id, { person }]) => !here.has(id) && (held.has(id) || exposed.has(person)),
    );
    return Object.fromEntries(wanted);
  }

  #policyChanged(device: DeviceId, held: PolicyState, key: Uint8Array): boolean {
    const before = decodePolicy(held.bundle);
    assert(before.ok, "the authority reads its own policies");
    const options = this.#compileOptions(held.version, key, before.value.issuedAt);
    const again = compileLockPolicy(this.#siteNow(), device, options);
    return again.ok && !equalBytes(encodePolicy(again.value), held.bundle);
  }

  #compileOptions(version: number, codeHashKey: Uint8Array, now: UnixSeconds) {
    const cardKeyOf = (credential: string) => this.#cardKeyOf(credential);
    return { version, epoch: keysetEpoch, now, codeHashKey, cardKeyOf };
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

  /** Everything that holds a policy of this authority: paired locks and enrolled networked devices. */
  #policyDevices(): readonly DeviceId[] {
    const { pairings, enrolled } = this.#state;
    const ids = this.#siteNow().devices.map(({ id }) => id);
    return ids.filter((id) => pairings[id] !== undefined || enrolled.includes(id));
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
    if (this.#imported !== undefined) this.#site = withChanges(this.#imported, this.#state);
    saveAuthorityState(this.#documents, this.#state, this.#ports.clock.nowMs());
  }
}

function credentialIds(bundle: Uint8Array): readonly string[] {
  const policy = decodePolicy(bundle);
  assert(policy.ok, "the authority reads its own policies");
  return policy.value.credentials.map(({ id }) => id);
}

/** Reads the part of a site file that an authority knows; the world's truth in it is none of its business. */
function parseSiteText(text: string, start: UnixSeconds): Result<Site, DocumentFault> {
  const parsed = parseSiteWith(text, siteFileSchema.extend({ world: z.unknown().optional() }), { start });
  return parsed.ok ? ok(parsed.value.site) : parsed;
}

/** The site as imported, with the revocations and password resets that came since. */
function withChanges(site: Site, { revokedSince, signedOutAt: signedOut }: AuthorityState): Site {
  const people = site.people.map((person) => {
    const revokedAt = revokedSince[person.id] ?? person.revokedAt;
    const signedOutAt = signedOut[person.id] ?? person.signedOutAt;
    return {
      ...person,
      ...(revokedAt === undefined ? {} : { revokedAt }),
      ...(signedOutAt === undefined ? {} : { signedOutAt }),
    };
  });
  return { ...site, people };
}

const pairingIdBytes = 16;
const tokenBytes = 32;
/** Key rotation comes with a later issue; until then there is one keyset and one daily key per door. */
export const keysetEpoch = 1;
export const keyEpoch = 1;
/** No card of the emulator is written twice. */
const cardGeneration = 1;
const daySeconds = 86_400;
/** How long a courier may carry without being seen here. */
const revisionsReserved = 60_000;
const certificateSeconds = 30 * daySeconds;
/** How long a signed policy may be delivered; it stays in force after that. */
const manifestSeconds = 30 * daySeconds;
/** Long enough to name yesterday's code when a lock is visited a week later. */
const allotmentDaysKept = 14;
