/** The authority's word to a site, as retained messages: to each gateway who and what there is, to each device its signed policy, to each panel its payloads. */
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import { type DeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { linkPanelModel, modelByName } from "../../protocol/firmware/models.ts";
import type { Person, Site } from "../../protocol/site/site.ts";
import { issueCourierCertificate, signOpenSnapshot } from "../../protocol/sync/authority.ts";
import { makeDeviceLogin } from "../../protocol/wire/device-login.ts";
import {
  deviceDesiredSchema,
  gatewayDesiredSchema,
  lockDesiredSchema,
  PEOPLE_LIMIT,
  panelDesiredSchema,
} from "../../protocol/wire/messages/desired.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { DELEGATION_SECONDS_MAX, issueTimeDelegate } from "../../protocol/wire/time-delegate.ts";
import type { Authority } from "./authority.ts";
import type { GatewayState } from "./authority-state.ts";
import type { OutgoingMessage } from "./broker.ts";
import type { LockWords } from "./lock-words.ts";
import { revocationsToSend } from "./pending-revocations.ts";
import { seenOnWall } from "./stickers.ts";
import { scheduleHints } from "./urgency.ts";

/** Everything that is desired now. */
export function allDesired(authority: Authority, wordsOf: (device: string) => LockWords): OutgoingMessage[] {
  const { site, state } = authority;
  if (site === undefined) return [];
  const gateways = Object.keys(state.gateways).map((id) => desiredOfGateway(authority, id as DeviceId));
  const locks = site.devices.map(({ id }) => desiredOfLock(authority, id, wordsOf(id)));
  const devices = site.devices.map(({ id }) => desiredOfDevice(authority, id));
  const panels = site.panels.map(({ id }) => desiredOfPanel(authority, id));
  return [...gateways, ...locks, ...devices, ...panels].filter((message) => message !== undefined);
}

/** Undefined before there is a site, or for a gateway that was never registered. */
export function desiredOfGateway(authority: Authority, gateway: DeviceId): OutgoingMessage | undefined {
  const { site, state } = authority;
  const known = state.gateways[gateway];
  if (site === undefined || known === undefined) return undefined;
  const payload = formatPayload(gatewayDesiredSchema, {
    v: 1,
    kind: "gateway",
    revision: authority.nextRevision(),
    site: { id: site.id, name: site.name, timeZone: site.timeZone, doorcodeDigits: shortestDoorcode(site) },
    courierCertificate: courierCertificateOf(authority, gateway, known),
    timeDelegate: timeDelegateOf(authority, gateway, known),
    visitLeaseSeconds: authority.hasSeveralGateways ? authority.visitLeaseSeconds : null,
    pairing: { root: bytesToBase64(authority.root), keyset: blobFields(authority.keyset) },
    devices: [...siteDevices(authority, site), ...sitePanels(site)],
    // Somebody who is still let in somewhere has a name there, though the site has forgotten it.
    people: [...authority.departedPeople(), ...site.people.map(personFields)].slice(0, PEOPLE_LIMIT),
    settings: state.gatewaySettings[gateway] ?? null,
  });
  return { topic: { site: site.id, device: gateway, channel: "desired" }, payload };
}

/** Undefined for a device that is not a paired BLE lock. */
export function desiredOfLock(
  authority: Authority,
  device: DeviceId,
  { release, confirmed }: LockWords,
): OutgoingMessage | undefined {
  const { site, state } = authority;
  const policy = state.policies[device];
  const [pairing] = authority.pairingsOf(device);
  if (site === undefined || policy === undefined || pairing === undefined) return undefined;
  const { epoch, version, revocations } = policy;
  const bundles = authority.bundles.of(authority.roles, pairing, policy);
  const payload = formatPayload(lockDesiredSchema, {
    v: 1,
    kind: "lock",
    revision: authority.nextRevision(),
    device,
    policy: { epoch, version },
    ...scheduleHints(policy),
    keyset: { epoch: state.keyset.epoch, blob: blobFields(authority.keyset) },
    bundles: bundles.map(({ from, manifest, bytes }) => ({
      from,
      manifest: blobFields(manifest),
      bytes: bytesToBase64(bytes),
    })),
    release: release === null ? null : blobFields(release),
    confirmed:
      confirmed === null ? null : { ...confirmed, at: unixSeconds(confirmed.at), by: confirmed.by as DeviceId | null },
    revocations: revocationsToSend(revocations),
  });
  return { topic: { site: site.id, device, channel: "desired" }, payload };
}

/** Undefined for a device that is not an enrolled networked one. */
export function desiredOfDevice(authority: Authority, device: DeviceId): OutgoingMessage | undefined {
  const { site, state, keys } = authority;
  const policy = state.policies[device];
  if (site === undefined || policy === undefined || !state.enrolled.includes(device)) return undefined;
  const { epoch, version, bundle, notAfter, revocations } = policy;
  const pairingId = keys.enrolledPairingId(device);
  const payload = formatPayload(deviceDesiredSchema, {
    v: 1,
    kind: "device",
    revision: authority.nextRevision(),
    device,
    policy: { epoch, version },
    manifest: blobFields(signOpenSnapshot(keys.roles, { pairingId, epoch, version, notAfter }, bundle)),
    bundle: bytesToBase64(bundle),
    revocations: revocationsToSend(revocations),
  });
  return { topic: { site: site.id, device, channel: "desired" }, payload };
}

/** Undefined for anything but a passive panel of the site. */
export function desiredOfPanel(authority: Authority, panel: DeviceId): OutgoingMessage | undefined {
  const { site, state } = authority;
  const here = site?.panels.find(({ id }) => id === panel);
  const known = state.panels[panel];
  const stickers = authority.stickersOf(panel);
  if (site === undefined || here === undefined || known === undefined || stickers === undefined) return undefined;
  const payload = formatPayload(panelDesiredSchema, {
    v: 1,
    kind: "panel",
    revision: authority.nextRevision(),
    device: panel,
    panelNumber: known.number,
    door: here.door,
    doorName: doorNameOf(site, here.door),
    rotation: stickers.rotation,
    current: stickers.current,
    retired: [...stickers.retired],
    at: known.rotatedAt,
    seenAt: seenOnWall(known),
  });
  return { topic: { site: site.id, device: panel, channel: "desired" }, payload };
}

export function doorNameOf(site: Site, door: string): string {
  return site.doors.find(({ id }) => id === door)?.name ?? door;
}

function siteDevices(authority: Authority, site: Site) {
  return site.devices.map(({ id, model, door, address }) => {
    const pairing = authority.state.pairings[id];
    const shared = { id, model, network: modelByName[model].network, door, ...doorFields(site, door) };
    if (authority.state.enrolled.includes(id)) return { ...shared, login: loginFields(authority, id) };
    if (pairing === undefined) return address === undefined ? shared : { ...shared, address };
    return {
      ...shared,
      address: pairing.address,
      staticPublicKey: bytesToBase64(pairing.staticPublicKey),
      pairingId: bytesToBase64(pairing.pairingId),
    };
  });
}

function loginFields({ keys }: Authority, device: string) {
  const { salt, hash } = makeDeviceLogin(keys.enrolledLoginSalt(device), keys.enrolledPassword(device));
  return { salt: bytesToBase64(salt), hash: bytesToBase64(hash) };
}

function sitePanels(site: Site) {
  return site.panels.map(({ id, door }) => ({
    id,
    model: linkPanelModel,
    network: modelByName[linkPanelModel].network,
    door,
    ...doorFields(site, door),
  }));
}

function doorFields(site: Site, id: string) {
  const door = site.doors.find((one) => one.id === id);
  if (door === undefined) return { doorName: id };
  const { name, kind, unit } = door;
  return { doorName: name, doorKind: kind, ...(unit === undefined ? {} : { doorUnit: unit }) };
}

function shortestDoorcode({ doorcodeDigits, credentials }: Site): number {
  const permanent = credentials.flatMap(({ kind, digits }) =>
    kind === "permanent-doorcode" && digits !== undefined ? [digits.length] : [],
  );
  return Math.min(doorcodeDigits, ...permanent);
}

/** As much as the gateway's door log needs, and no more: who has no role here is taken for a resident (SPEC M18). */
function personFields({ id, name, role, unit }: Person) {
  if (role === "RESIDENT") return { id, name };
  return role === "MANAGER" && unit !== undefined ? { id, name, role, unit } : { id, name, role };
}

/** Null until the gateway has told its key. An empty list of locks means every lock of this authority (SPEC O2). */
function courierCertificateOf(authority: Authority, gateway: DeviceId, known: GatewayState) {
  const { courierPublicKey, certificateNotAfter } = known;
  if (courierPublicKey === null || certificateNotAfter === null) return null;
  const notAfter: UnixSeconds = certificateNotAfter;
  const certificate = issueCourierCertificate(authority.roles, {
    staticPublicKey: courierPublicKey,
    holder: gateway,
    role: "courier",
    locks: [],
    notAfter,
  });
  return blobFields(certificate);
}

/** From now on for as long as a delegation may last; a gateway that is heard gets another in time. Null: it has told no key for it. */
function timeDelegateOf(authority: Authority, gateway: DeviceId, { timePublicKey }: GatewayState) {
  if (timePublicKey === null) return null;
  const from = authority.now();
  const notAfter = unixSeconds(from + DELEGATION_SECONDS_MAX);
  const delegate = { publicKey: timePublicKey, holder: gateway, locks: [], from, notAfter };
  return blobFields(issueTimeDelegate(authority.roles.time, delegate));
}

export function blobFields(blob: SignedBlob): { readonly bytes: string; readonly signature: string } {
  return { bytes: bytesToBase64(blob.bytes), signature: bytesToBase64(blob.signature) };
}
