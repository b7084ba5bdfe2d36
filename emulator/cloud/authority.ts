/**
 * The site's authority: the only writer of policy versions. It imports the site, pairs locks, revokes people, rotates
 * stickers, and remembers all of it before it answers. It knows no socket; time and randomness come from its ports.
 *
 * Theory: the site as imported is never changed; revocations lie over it (`site`). A lock's policy is compiled from that and
 * takes a new version when its contents change or somebody is revoked; versions only grow, also across restarts and imports.
 */
import { z } from "zod";
import { makeCardKey } from "../../protocol/access/card-key.ts";
import { comparePolicyOrder, decodePolicy, encodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
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
  type AuthorityKeys,
  authorityPublicKeys,
  derivePairingKeys,
  keysetOf,
  type PairingKeys,
} from "../../protocol/sync/authority.ts";
import { isPairingConfirmed, sealDailyKeys, verifyPairingStatement } from "../../protocol/sync/pairing.ts";
import { rootPublicKey, signKeyset } from "../../protocol/wire/keyset.ts";
import { type PairReason, pairReasons } from "../../protocol/wire/messages/command.ts";
import type { GatewaySettings } from "../../protocol/wire/messages/gateway-settings.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
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
import { LockBundles } from "./lock-bundles.ts";
import type { KnownPairing } from "./lock-log.ts";
import { addRevocations, settleRevocations } from "./pending-revocations.ts";
import { addFormerCodes, dropFormerCodes } from "./permanent-codes.ts";
import type { CloudPorts } from "./ports.ts";
import { judgeToken, mayRotate, type PanelStickers, panelStickers, type TokenJudgement } from "./stickers.ts";
import { scheduleHints } from "./urgency.ts";
import type { PolicyVersion } from "./version-order.ts";

export interface DailyKeyGrant {
  readonly door: string;
  readonly key: Uint8Array;
}

export interface PairingAnswer {
  readonly pairingId: Uint8Array;
  /** Ed25519 public key of the root to pin. */
  readonly root: Uint8Array;
  readonly keyset: SignedBlob;
  readonly dailyKeys: readonly DailyKeyGrant[];
  readonly keyEpoch: number;
  /** Where the lock's log begins to number, if it does not stand higher. */
  readonly firstSequence: number;
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

/** What a gateway carries of a pairing, as the lock said it. */
export interface PairRequest {
  readonly device: string;
  readonly address: string;
  readonly statement: Uint8Array;
  readonly mac: Uint8Array;
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
  | { readonly code: "another-site"; readonly expected: string; readonly came: string }
  /** A lock or networked device that holds a policy could have none of this site: nothing of it would arrive there, no revocation either. */
  | { readonly code: "no-policy-for-device"; readonly device: string; readonly fault: CompileFault };
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
  /** Of a visit's lease, where several gateways serve the site. */
  readonly visitLeaseSeconds: number;
  /** The highest sequence that is recorded of a device; 0: none. */
  readonly lastSequence: (device: string) => number;
}

export class Authority {
  readonly keys: CloudKeys;
  readonly publicUrl: string;
  readonly visitLeaseSeconds: number;
  readonly bundles = new LockBundles();
  readonly #lastSequence: (device: string) => number;
  readonly #documents: Documents;
  readonly #ports: CloudPorts;
  #state: AuthorityState;
  #imported: Site | undefined;
  #site: Site | undefined;
  #revision: number;
  #reservedRevision: number;

  constructor({ keys, documents, ports, publicUrl, visitLeaseSeconds, lastSequence }: AuthorityOptions) {
    this.visitLeaseSeconds = visitLeaseSeconds;
    this.#lastSequence = lastSequence;
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

  /** The keys that sign for locks now. Networked devices keep `keys.roles`, which they were enrolled with. */
  get roles(): AuthorityKeys {
    return this.keys.rolesOf(this.#state.keyset.epoch);
  }

  /** The root's word about them. The same bytes for an epoch, because a lock takes one keyset of each (SPEC Z2). */
  get keyset(): SignedBlob {
    const { epoch, since } = this.#state.keyset;
    return signKeyset(this.keys.root, keysetOf(this.roles, epoch, unixSeconds(since + keysetSeconds)));
  }

  /**
   * Begins a new epoch, as after a stolen signing key: all locks get new keys and their policy again, as a snapshot. What couriers and
   * phones hold of the old epoch ends at each lock that the new keyset has reached. SPEC Z2-Z5.
   */
  rotateKeys(): { readonly epoch: number; readonly locks: readonly LockVersion[] } {
    const epoch = this.#state.keyset.epoch + 1;
    this.#change({ keyset: { epoch, since: this.now() } });
    if (this.#imported !== undefined) {
      for (const device of this.#policyDevices()) {
        if (this.#state.pairings[device] !== undefined) this.#writePolicy(device, "always");
      }
    }
    return { epoch, locks: this.policyVersions() };
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
    const fault = this.#compileFault(site);
    if (fault !== undefined) return failed(fault);
    const former = this.#imported;
    const departed = former === undefined ? this.#state.departed : this.#departedAfter(former, site);
    this.#imported = site;
    // The first keyset is dated by the first import, so that its end is no day of 1979; nothing was paired before.
    const keyset = this.#state.site === null ? { ...this.#state.keyset, since: this.now() } : this.#state.keyset;
    this.#change({ site: { text, start }, keyset, panels: this.#panelsFor(site), departed });
    for (const device of this.#policyDevices()) this.#writePolicy(device, "when-changed", former);
    return ok({ site: site.id, doors: site.doors.length, people: site.people.length, devices: site.devices.length });
  }

  /** Why some device that holds a policy could have none of this site. */
  #compileFault(imported: Site): Extract<ImportFault, { code: "no-policy-for-device" }> | undefined {
    const site = withChanges(imported, this.#state);
    for (const { id } of site.devices) {
      const key = this.codeHashKey(id);
      if (key === undefined) continue;
      const options = this.#compileOptions(id, 1, key, this.now());
      const cardKeyOf = (credential: string) => this.#cardKeyOf(credential, site);
      const compiled = compileLockPolicy(site, id, { ...options, cardKeyOf });
      if (!compiled.ok) return { code: "no-policy-for-device", device: id, fault: compiled.fault };
    }
    return undefined;
  }

  /** The root that locks pin. */
  get root(): Uint8Array {
    return rootPublicKey(this.keys.root);
  }

  /** Somebody who manages the site lets a lock be paired, through a gateway and by its setup code, for the next hour. SPEC Z11. */
  openPairing(id: string): Result<{ readonly device: DeviceId; readonly until: UnixSeconds }, PairFault> {
    const device = this.#bleLockNamed(id);
    if (!device.ok) return device;
    const until = unixSeconds(this.now() + pairingOpenSeconds);
    this.#change({ pairingOpenUntil: { ...this.#state.pairingOpenUntil, [id]: until } });
    return ok({ device: device.value.id, until });
  }

  /**
   * A lock accepted the offer of one of our gateways. From here on it is known by its new pairing; what it is handed is sealed for it
   * alone, and the same when it is asked for again. A lock that takes a pairing has none, so nothing is lost with the old one. SPEC Z9.
   */
  beginPairing(request: PairRequest): Result<{ readonly sealed: Uint8Array }, { readonly code: PairReason }> {
    const device = this.#bleLockNamed(request.device);
    if (!device.ok) return failed({ code: pairReasonOf(device.fault) });
    const verified = verifyPairingStatement(this.roles.static, request.statement, request.mac);
    if (!verified.ok) return failed(verified.fault);
    const { pairingId, lockPublicKey, model } = verified.value.statement;
    if (model !== device.value.model) return failed({ code: "wrong-model" });
    const known = this.#state.pairings[request.device];
    // A header seals one plaintext (SPEC X8): what was sealed is given again, also when the lock's door has another key since.
    if (known?.sealed !== undefined && equalBytes(known.pairingId, pairingId)) return ok({ sealed: known.sealed });
    if ((this.#state.pairingOpenUntil[request.device] ?? 0) < this.now()) return failed({ code: "not-open" });
    const former = formerPairings(known);
    if (former.some((past) => equalBytes(past.pairingId, pairingId))) return failed({ code: "replayed" });
    const firstSequence = this.#firstSequenceFor(request.device);
    const sealed = sealDailyKeys(verified.value.keys, pairingId, {
      keys: this.#dailyKeysOf(device.value).map(({ key }) => ({ keyId: keyEpoch, key })),
      ...(firstSequence === 1 ? {} : { firstSequence }),
    });
    const pairing: PairingState = {
      pairingId,
      staticPublicKey: lockPublicKey,
      address: request.address,
      pairedAt: this.now(),
      confirmed: false,
      firstSequence,
      sealed,
      former,
    };
    this.#change({ pairings: { ...this.#state.pairings, [request.device]: pairing } });
    this.#writePolicy(device.value.id, "for-a-new-lock");
    return ok({ sealed });
  }

  /** The lock says that it keeps what it was handed. The permission is used up by that. */
  confirmPairing(request: PairRequest, confirmation: Uint8Array): Result<void, { readonly code: PairReason }> {
    const device = this.#bleLockNamed(request.device);
    if (!device.ok) return failed({ code: pairReasonOf(device.fault) });
    const pairing = this.#state.pairings[request.device];
    const keys = this.pairingKeys(request.device);
    if (pairing?.sealed === undefined || keys === undefined) return failed({ code: "not-open" });
    if (!isPairingConfirmed(keys, pairing.pairingId, pairing.sealed, confirmation)) {
      return failed({ code: "confirmation-bad-mac" });
    }
    this.pairingHeld(device.value.id);
    return ok(undefined);
  }

  /**
   * The lock has said under the keys of its present pairing that it holds it: at its end, or by its first report when that word was lost.
   * The permission is used up by that; one that was given since is for the next pairing and stays. SPEC Z9, Z11.
   */
  pairingHeld(device: DeviceId): void {
    const pairing = this.#state.pairings[device];
    if (pairing === undefined || pairing.confirmed) return;
    const { [device]: _used, ...stillOpen } = this.#state.pairingOpenUntil;
    const pairings = { ...this.#state.pairings, [device]: { ...pairing, confirmed: true } };
    this.#change({ pairings, pairingOpenUntil: stillOpen });
  }

  /** Beyond everything that is recorded of this device, and what may still come of it: another lock may hang there now. SPEC Z12. */
  #firstSequenceFor(device: string): number {
    const last = this.#lastSequence(device);
    return last === 0 ? 1 : (Math.floor((last + unheardMax) / sequencesApart) + 1) * sequencesApart + 1;
  }

  /**
   * Beyond it a paired lock's numbers are no log: a lock that was tampered with would use up the numbers of every lock after it, and
   * have gateways told that all of them are recorded.
   */
  sequenceMax(device: string): number {
    return (this.#state.pairings[device]?.firstSequence ?? 1) + sequencesOfLock;
  }

  #bleLockNamed(id: string): Result<SiteDevice, PairFault> {
    const device = this.#deviceNamed(id);
    if (!device.ok || modelByName[device.value.model].network === "ble") return device;
    return failed({ code: "not-a-ble-lock", came: id });
  }

  /** Pairs a BLE lock on the bench. The same lock again keeps its pairing; another key makes a new one. */
  pairLock(request: {
    device: string;
    staticPublicKey: Uint8Array;
    address: string;
  }): Result<PairingAnswer, PairFault> {
    const device = this.#bleLockNamed(request.device);
    if (!device.ok) return device;
    const known = this.#state.pairings[request.device];
    const same = known !== undefined && equalBytes(known.staticPublicKey, request.staticPublicKey);
    const pairing: PairingState = {
      pairingId: same ? known.pairingId : this.#ports.random(pairingIdBytes),
      staticPublicKey: request.staticPublicKey,
      address: request.address,
      pairedAt: same ? known.pairedAt : this.now(),
      confirmed: true,
      firstSequence: same ? known.firstSequence : this.#firstSequenceFor(request.device),
      former: same ? known.former : formerPairings(known),
    };
    const keys = derivePairingKeys(this.keys.roles.static, request.staticPublicKey, pairing.pairingId);
    if (keys === undefined) return failed({ code: "bad-public-key" });
    const compiled = compileLockPolicy(
      this.#siteNow(),
      device.value.id,
      this.#compileOptions(device.value.id, 1, keys.codeHash, this.now()),
    );
    if (!compiled.ok) return compiled;
    this.#change({ pairings: { ...this.#state.pairings, [request.device]: pairing } });
    this.#writePolicy(device.value.id, same ? "when-changed" : "for-a-new-lock");
    const dailyKeys = this.#dailyKeysOf(device.value);
    const { pairingId, firstSequence } = pairing;
    return ok({ pairingId, root: this.root, keyset: this.keyset, dailyKeys, keyEpoch, firstSequence });
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

  /** SPEC G19: then they share what they know of its locks, and ask who visits. */
  get hasSeveralGateways(): boolean {
    return Object.keys(this.#state.gateways).length > 1;
  }

  registerGateway(gateway: DeviceId, password: string): void {
    const known = this.#state.gateways[gateway];
    const passwordHash = sha256(utf8(password));
    this.#change({
      gateways: {
        ...this.#state.gateways,
        [gateway]: {
          courierPublicKey: known?.courierPublicKey ?? null,
          timePublicKey: known?.timePublicKey ?? null,
          certificateNotAfter: known?.certificateNotAfter ?? null,
          passwordHash,
        },
      },
    });
  }

  /** Settings for a gateway, in the place of those before. Fault: no-such-gateway. SPEC M27. */
  setGatewaySettings(
    gateway: string,
    settings: GatewaySettings["settings"],
  ): Result<GatewaySettings, { readonly code: "no-such-gateway" }> {
    if (this.#state.gateways[gateway] === undefined) return failed({ code: "no-such-gateway" });
    const version = (this.#state.gatewaySettings[gateway]?.version ?? 0) + 1;
    const wanted = { version, settings };
    this.#change({ gatewaySettings: { ...this.#state.gatewaySettings, [gateway]: wanted } });
    return ok(wanted);
  }

  /** A gateway told its courier key at its birth: it gets a certificate, which is renewed by half of its life. */
  courierSeen(gateway: DeviceId, publicKey: Uint8Array, timePublicKey: Uint8Array | null): void {
    const known = this.#state.gateways[gateway];
    assert(known !== undefined, "only a registered gateway gets through the broker");
    const now = this.now();
    const same =
      known.courierPublicKey !== null &&
      equalBytes(known.courierPublicKey, publicKey) &&
      equalBytes(known.timePublicKey ?? noBytes, timePublicKey ?? noBytes);
    if (same && (known.certificateNotAfter ?? 0) > now + certificateSeconds / 2) return;
    const renewed = {
      ...known,
      courierPublicKey: publicKey,
      timePublicKey,
      certificateNotAfter: unixSeconds(now + certificateSeconds),
    };
    this.#change({ gateways: { ...this.#state.gateways, [gateway]: renewed } });
  }

  /** The same gateway goes on: its certificate is renewed by half of its life. */
  renewCourier(gateway: DeviceId): void {
    const known = this.#state.gateways[gateway];
    if (known === undefined || known.courierPublicKey === null) return;
    this.courierSeen(gateway, known.courierPublicKey, known.timePublicKey);
  }

  /** Revokes everything of a person: from now on here, on each lock from its new policy version on. */
  revoke(id: string): Result<RevokeAnswer, NoSite | NoSuch> {
    if (this.#imported === undefined) return failed({ code: "no-site" });
    const person = this.#imported.people.find((each) => each.id === id);
    if (person === undefined) return failed({ code: "no-such-person", came: id });
    const dated = this.#state.revokedSince[id] ?? person.revokedAt;
    // Who is to be revoked next week, by the site file, and is revoked by hand, is revoked now.
    const since = dated !== undefined && dated <= this.now() ? dated : this.now();
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
    const unseen = { openedAt: null, checkedAt: null, retiredAt: null };
    const rotated = { ...state, ...unseen, rotation: state.rotation + 1, rotatedAt: this.now() };
    this.#change({ panels: { ...this.#state.panels, [panel]: rotated } });
    const { rotation, current } = panelStickers(this.keys.sticker, this.publicUrl, rotated);
    assert(current !== null, "a panel has a valid sticker after each rotation");
    return ok({ panel, rotation, payload: current });
  }

  /** Ends a panel's current sticker without another; it is dead when this returns. Twice is once. SPEC Q58. */
  retireSticker(panel: string): Result<{ readonly panel: string; readonly rotation: number }, NoSuch> {
    const state = this.#state.panels[panel];
    if (state === undefined) return failed({ code: "no-such-panel", came: panel });
    const retired = { ...state, openedAt: null, checkedAt: null, retiredAt: state.retiredAt ?? this.now() };
    this.#change({ panels: { ...this.#state.panels, [panel]: retired } });
    return ok({ panel, rotation: state.rotation });
  }

  /** A gateway read a panel's current sticker off the wall. The first time counts. SPEC Q60. */
  stickerSeen(panel: string): void {
    const state = this.#state.panels[panel];
    if (state === undefined || state.retiredAt !== null || state.checkedAt !== null) return;
    this.#change({ panels: { ...this.#state.panels, [panel]: { ...state, checkedAt: this.now() } } });
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
    return this.signInOfToken(token)?.person;
  }

  /** Which phone, and whose account on it; undefined as above. */
  signInOfToken(token: string): { readonly phone: string; readonly person: string } | undefined {
    const [id, known] = this.#phoneOfToken(token) ?? [];
    if (id === undefined || known === undefined || known.signedOut) return undefined;
    const { person } = known;
    return { phone: id.slice(0, -`/${person}`.length), person };
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

  #cardKeyOf(credential: string, site = this.#imported): Uint8Array | undefined {
    const card = site?.credentials.find(({ id, kind }) => id === credential && kind === "keycard");
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

  /** The pairing of a lock, and those before it, whose log may still be on its way. The present one is first. */
  pairingsOf(device: string): readonly KnownPairing[] {
    const pairing = this.#state.pairings[device];
    if (pairing === undefined) return [];
    return [pairing, ...pairing.former].flatMap(({ pairingId, staticPublicKey }) => {
      const keys = derivePairingKeys(this.keys.roles.static, staticPublicKey, pairingId);
      return keys === undefined ? [] : [{ pairingId, keys }];
    });
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

  /**
   * A lock reported, under its MAC, that it holds this version: what only older ones let in, it lets in no more. If it had confirmed a newer
   * one, its older bank serves: whom that lets in is exposed again, and deltas stand on it.
   */
  confirmPolicy(device: string, confirmed: PolicyVersion): void {
    const held = this.#state.policies[device];
    if (held === undefined) return;
    const newest = readPolicy(held.bundle);
    const lists = settleRevocations(held, confirmed, newest);
    const known = [...held.behind, ...held.former];
    const isBehind = (policy: PolicyVersion): boolean => comparePolicyOrder(policy, confirmed) < 0;
    const behind = known.filter(isBehind).slice(-behindKept);
    const former = firstAndLast(known.filter((policy) => !isBehind(policy)));
    const formerCodes = former
      .filter((policy) => held.behind.includes(policy))
      .reduce(
        (codes, { bundle }) => addFormerCodes(codes, readPolicy(bundle), newest),
        dropFormerCodes(held.formerCodes, confirmed.version),
      );
    const isSame =
      isSameList(lists.revocations, held.revocations) &&
      formerCodes.length === held.formerCodes.length &&
      isSameList(former, held.former);
    if (isSame) return;
    const policy = { ...held, ...lists, former, behind, formerCodes };
    this.#change({ policies: { ...this.#state.policies, [device]: policy } });
  }

  /**
   * Writes anew what would end by itself: policies half of whose shortest lease is over, and the date until which the others may be taken.
   * Gives whose desired documents are others now. SPEC J10.
   */
  renewPolicies(): readonly DeviceId[] {
    if (this.#imported === undefined) return [];
    return this.#policyDevices().filter((device) => {
      const held = this.#state.policies[device];
      if (held === undefined) return false;
      const { visitBy } = scheduleHints(held);
      if (visitBy !== null && visitBy <= this.now()) this.#writePolicy(device, "always");
      else if (held.notAfter - this.now() <= manifestSeconds / 2) this.#prolongManifest(device, held);
      return this.#state.policies[device] !== held;
    });
  }

  #prolongManifest(device: DeviceId, held: PolicyState): void {
    const prolonged = { ...held, notAfter: unixSeconds(this.now() + manifestSeconds) };
    this.#change({ policies: { ...this.#state.policies, [device]: prolonged } });
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
    const epoch = this.#epochOf(device);
    const now = this.now();
    const compiled = compileLockPolicy(this.#siteNow(), device, this.#compileOptions(device, version, key, now));
    // A new site file may lack a lock that was paired; it keeps the policy that it has.
    if (!compiled.ok) return;
    const policy: PolicyState = {
      epoch,
      version,
      bundle: encodePolicy(compiled.value),
      former: held === undefined || when === "for-a-new-lock" ? [] : withFormer(held),
      behind: held === undefined || when === "for-a-new-lock" ? [] : held.behind,
      epochStarts: withEpochStart(held, { epoch, version }),
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
    const before = readPolicy(held.bundle);
    const owners = {
      personOf: (credential: string) => this.#ownerBefore(credential, former),
      since: (person: string, from: UnixSeconds) => {
        const { revokedAt } = this.#siteNow().people.find(({ id }) => id === person) ?? {};
        // What is dated ahead is over when it says so; everything else at once, or when the person was revoked before.
        return revokedAt !== undefined && revokedAt < from ? revokedAt : from;
      },
    };
    return {
      revocations: addRevocations(held.revocations, before, newest, owners),
      confirmedRevocations: held.confirmedRevocations,
      formerCodes: addFormerCodes(held.formerCodes, before, newest),
    };
  }

  /** Whose a credential is, or was when the site last had it. */
  ownerOf(credential: string): string | undefined {
    return this.#ownerBefore(credential, undefined);
  }

  /** The credentials of a person that the site has, and those that it had and some lock may still hold. */
  credentialsOf(person: string): readonly string[] {
    const here = (this.#siteNow()?.credentials ?? []).filter((credential) => credential.person === person);
    const gone = Object.entries(this.#state.departed).filter(([, owner]) => owner.person === person);
    return [...new Set([...here.map(({ id }) => id), ...gone.map(([id]) => id)])];
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
    const before = readPolicy(held.bundle);
    const options = this.#compileOptions(device, held.version, key, before.issuedAt);
    const again = compileLockPolicy(this.#siteNow(), device, options);
    return again.ok && !equalBytes(encodePolicy(again.value), held.bundle);
  }

  #compileOptions(device: string, version: number, codeHashKey: Uint8Array, now: UnixSeconds) {
    const cardKeyOf = (credential: string) => this.#cardKeyOf(credential);
    return { version, epoch: this.#epochOf(device), now, codeHashKey, cardKeyOf };
  }

  /** A networked device keeps the keys, and so the epoch, of its enrolment. */
  #epochOf(device: string): number {
    return this.#state.pairings[device] === undefined ? enrolmentEpoch : this.#state.keyset.epoch;
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
      panels[id] ??= { number, rotation: 1, rotatedAt: this.now(), openedAt: null, checkedAt: null, retiredAt: null };
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

/** What the lock may hold when a version follows on `held`. */
function withFormer({ former, epoch, version, bundle }: PolicyState): PolicyState["former"] {
  return [...former, { epoch, version, bundle }].slice(-formerKept);
}

function withEpochStart(held: PolicyState | undefined, next: PolicyVersion): PolicyState["epochStarts"] {
  if (held?.epoch === next.epoch) return held.epochStarts;
  return [...(held?.epochStarts ?? []), next].slice(-epochStartsKept);
}

/** The one that the lock holds, and the latest since. */
function firstAndLast(former: PolicyState["former"]): PolicyState["former"] {
  return former.length <= formerKept ? former : [...former.slice(0, 1), ...former.slice(1 - formerKept)];
}

function isSameList<Item>(left: readonly Item[], right: readonly Item[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

function formerPairings(known: PairingState | undefined): PairingState["former"] {
  if (known === undefined) return [];
  const { pairingId, staticPublicKey, former } = known;
  return [{ pairingId, staticPublicKey }, ...former].slice(0, formerPairingsKept);
}

function pairReasonOf({ code }: PairFault): PairReason {
  return pairReasons.find((reason) => reason === code) ?? "no-such-device";
}

function credentialIds(bundle: Uint8Array): readonly string[] {
  return readPolicy(bundle).credentials.map(({ id }) => id);
}

function readPolicy(bundle: Uint8Array): LockPolicy {
  const policy = decodePolicy(bundle);
  assert(policy.ok, "the authority reads its own policies");
  return policy.value;
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
    // The later of the two: a site file of after the reset may sign out again what was signed in since.
    const signedOutAt = latest(signedOut[person.id], person.signedOutAt);
    return {
      ...person,
      ...(revokedAt === undefined ? {} : { revokedAt }),
      ...(signedOutAt === undefined ? {} : { signedOutAt }),
    };
  });
  return { ...site, people };
}

function latest(left: UnixSeconds | undefined, right: UnixSeconds | undefined): UnixSeconds | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return left > right ? left : right;
}

const noBytes = new Uint8Array(0);
const daySeconds = 86_400;
const pairingIdBytes = 16;
const tokenBytes = 32;
/** The epoch of networked devices' keys. */
const enrolmentEpoch = 1;
/** Daily keys have been made once. */
export const keyEpoch = 1;
/** Somebody goes to the door with the card in hand. */
const pairingOpenSeconds = 3_600;
/** Pairings whose logs are still opened, and that are taken from nobody again. Each try at a door that came to nothing is one. */
const formerPairingsKept = 16;
/** Pairings begin at round numbers, so that somebody who reads a log sees where one began. */
const sequencesApart = 65_536;
/** 67 million: no lock writes so many in its life, and 60 of those that claim it may hang at one door. */
const sequencesOfLock = 2 ** 26;
/** No lock writes more than this that its authority never heard of: its ring holds 1,024 entries. */
const unheardMax = 32_768;
/** How long a lock may take a keyset after it was made; one that is held stays in use. */
const keysetSeconds = 10 * 365 * daySeconds;
/** Deltas are kept for a lock that is so many versions behind; one that is further behind gets a snapshot. */
const formerKept = 4;
/** A lock has two banks, and the older one holds something that it once confirmed or took without saying so. */
const behindKept = 4;
/** Keys are rotated after a theft, not by the month. Beyond it, a report of long ago is judged by less. */
const epochStartsKept = 64;
/** No card of the emulator is written twice. */
const cardGeneration = 1;
/** How long a courier may carry without being seen here. */
const revisionsReserved = 60_000;
const certificateSeconds = 30 * daySeconds;
/** How long a signed policy may be delivered, renewed by half of it; the policy stays in force after that. */
const manifestSeconds = 30 * daySeconds;
/** Long enough to name yesterday's code when a lock is visited a week later. */
const allotmentDaysKept = 14;
