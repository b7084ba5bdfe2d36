/**
 * App keys as the authority gives them out: a certificate for one phone, for at most 72 hours, and what the phone must know of
 * the locks it may try. Nothing is remembered of it: a certificate ends by itself, or by a newer policy (SPEC D7).
 */
import { appCertificateSecondsMax } from "../../protocol/access/decide.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, type UnixSeconds, unixSeconds } from "../../protocol/base/units.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { hasKey, isRevoked, personById } from "../../protocol/site/rights.ts";
import { issueAppCertificate } from "../../protocol/sync/authority.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Authority } from "./authority.ts";
import { doorNameOf } from "./desired.ts";

/** Public keys of one sign-in on one phone: X25519 for sessions, Ed25519 for access requests. */
export interface PhoneKeys {
  readonly staticPublicKey: Uint8Array;
  readonly signingPublicKey: Uint8Array;
}

/** What a phone needs to find a lock and to speak with it. */
export interface AppLock {
  readonly device: DeviceId;
  readonly door: string;
  readonly doorName: string;
  readonly address: string;
  readonly staticPublicKey: Uint8Array;
  readonly pairingId: Uint8Array;
}

export interface AppKeyAnswer {
  readonly certificate: SignedBlob;
  readonly credential: string;
  readonly notAfter: UnixSeconds;
  readonly locks: readonly AppLock[];
}

export type AppKeyFault = { readonly code: "NO_APP_KEY" | "ACCOUNT_REVOKED" };

/** Certifies a signed-in phone. Faults: NO_APP_KEY (none, or none that is active), ACCOUNT_REVOKED. */
export function issueAppKey(
  authority: Authority,
  personId: string,
  keys: PhoneKeys,
): Result<AppKeyAnswer, AppKeyFault> {
  const { site } = authority;
  const now = authority.now();
  const person = site === undefined ? undefined : personById(site, personId);
  if (site === undefined || person === undefined) return failed({ code: "NO_APP_KEY" });
  if (isRevoked(person, now)) return failed({ code: "ACCOUNT_REVOKED" });
  const key = site.credentials.find(
    (each) => each.kind === "app-key" && each.person === personId && each.state === "active",
  );
  if (key === undefined) return failed({ code: "NO_APP_KEY" });
  // A reset counts from the next second on, so that it reaches certificates of its own second; the next ones begin there.
  const issuedAt = unixSeconds(Math.max(now, person.signedOutAt ?? 0));
  const notAfter = unixSeconds(issuedAt + appCertificateSecondsMax);
  const certificate = issueAppCertificate(authority.roles, {
    ...keys,
    credential: key.id,
    locks: [],
    issuedAt,
    notAfter,
  });
  return ok({ certificate, credential: key.id, notAfter, locks: appLocks(authority, personId, now) });
}

/** The paired BLE locks of the doors that a person has a key to. */
function appLocks({ site, state }: Authority, personId: string, now: UnixSeconds): readonly AppLock[] {
  if (site === undefined) return [];
  return site.devices.flatMap(({ id, model, door }) => {
    const pairing = state.pairings[id];
    const opens = modelByName[model].takes.includes("app-key") && hasKey(site, personId, door, now);
    if (pairing === undefined || !opens) return [];
    const { address, staticPublicKey, pairingId } = pairing;
    return [{ device: id, door, doorName: doorNameOf(site, door), address, staticPublicKey, pairingId }];
  });
}
