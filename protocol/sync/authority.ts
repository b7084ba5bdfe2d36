/**
 * The authority's side of a door sync, as pure functions: its keys, what it signs for a lock, and how it checks what a lock
 * says of itself. Gateways and phones only carry these bytes. Source: SPEC O1-O7, Y7; PROTOCOL parts 1, 4, 5.
 */
import { appCertificateSecondsMax } from "../access/decide.ts";
import { equalBytes, utf8 } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { assert, failed, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { ed25519PublicKey, hkdfSha256, hmacSha256, sha256, signTyped, x25519, x25519PublicKey } from "../crypto.ts";
import { auditChainNext } from "../wire/audit-entry.ts";
import {
  type AppCertificate,
  appCertificate,
  BUNDLE_LIMIT_BYTES,
  type CourierCertificate,
  courierCertificate,
  type LockReport,
  type LogRelease,
  lockReport,
  logRelease,
  PAGE_BYTES,
  policyManifest,
  type SignedBlob,
  signedTypes,
  type TimeAnswer,
  timeAnswer,
} from "../wire/signed-objects.ts";

/** Private keys, 32 bytes each: Ed25519 seeds by role, and the X25519 key that pairings are derived from. */
export interface AuthorityKeys {
  readonly policy: Uint8Array;
  readonly time: Uint8Array;
  readonly release: Uint8Array;
  readonly unlock: Uint8Array;
  readonly courier: Uint8Array;
  readonly static: Uint8Array;
}

/** The public halves of `AuthorityKeys`, as a lock pins them at pairing. */
export type AuthorityPublicKeys = { readonly [Role in keyof AuthorityKeys]: Uint8Array };

/** Keys that a lock and its authority derive alike, 32 bytes each; no courier can. */
export interface PairingKeys {
  /** MACs the lock's reports. */
  readonly report: Uint8Array;
  /** Tags entries that matched nothing. */
  readonly entryTag: Uint8Array;
  /** Under which permanent codes are stored on this lock. */
  readonly codeHash: Uint8Array;
  /** Seals bundles for this lock. */
  readonly bundle: Uint8Array;
  /** Seals audit batches for the authority. */
  readonly audit: Uint8Array;
  /** Seals the daily keys of the lock's door. */
  readonly dailyKeys: Uint8Array;
}

/** Derives the role keys from one 32-byte seed. */
export function authorityKeysFromSeed(seed: Uint8Array): AuthorityKeys {
  const derive = (role: string) => hkdfSha256(seed, new Uint8Array(0), utf8(`doorlink/1/authority/${role}`), 32);
  return {
    policy: derive("policy"),
    time: derive("time"),
    release: derive("release"),
    unlock: derive("unlock"),
    courier: derive("courier"),
    static: derive("static"),
  };
}

export function authorityPublicKeys(keys: AuthorityKeys): AuthorityPublicKeys {
  return {
    policy: ed25519PublicKey(keys.policy),
    time: ed25519PublicKey(keys.time),
    release: ed25519PublicKey(keys.release),
    unlock: ed25519PublicKey(keys.unlock),
    courier: ed25519PublicKey(keys.courier),
    static: x25519PublicKey(keys.static),
  };
}

/**
 * The keys of one pairing, the same from either end: HKDF over X25519 of the static keys, salted with the pairing's id.
 * Undefined for a public key of low order, which nobody honest has. Source: SPEC O7.
 */
export function derivePairingKeys(
  ownStaticPrivateKey: Uint8Array,
  otherStaticPublicKey: Uint8Array,
  pairingId: Uint8Array,
): PairingKeys | undefined {
  const shared = x25519(ownStaticPrivateKey, otherStaticPublicKey);
  if (shared === undefined) return undefined;
  const derive = (use: string) => hkdfSha256(shared, pairingId, utf8(`doorlink/1/pairing/${use}`), 32);
  return {
    report: derive("report"),
    entryTag: derive("entry-tag"),
    codeHash: derive("code-hash"),
    bundle: derive("bundle"),
    audit: derive("audit"),
    dailyKeys: derive("daily-keys"),
  };
}

export function issueCourierCertificate(keys: AuthorityKeys, certificate: CourierCertificate): SignedBlob {
  return sign(keys.courier, signedTypes.courier, courierCertificate.encode(certificate));
}

/** Certifies a phone for at most 72 hours, so that a password reset bites at locks that nobody visits too. Source: SPEC Y10. */
export function issueAppCertificate(keys: AuthorityKeys, certificate: AppCertificate): SignedBlob {
  const seconds = certificate.notAfter - certificate.issuedAt;
  assert(seconds > 0 && seconds <= appCertificateSecondsMax, "an app certificate lives at most 72 hours");
  return sign(keys.courier, signedTypes.app, appCertificate.encode(certificate));
}

/**
 * Signs a snapshot of a lock's policy. `bundle` is the encoded policy (1..256 KiB); its root is its SHA-256.
 * Source: SPEC O3.
 */
export function signManifest(
  keys: AuthorityKeys,
  snapshot: {
    readonly pairingId: Uint8Array;
    readonly epoch: number;
    readonly version: number;
    readonly bundle: Uint8Array;
    readonly notAfter: UnixSeconds;
  },
): SignedBlob {
  const { pairingId, epoch, version, bundle, notAfter } = snapshot;
  assert(bundle.length > 0 && bundle.length <= BUNDLE_LIMIT_BYTES, "a bundle is 1 byte to 256 KiB");
  const bytes = policyManifest.encode({
    pairingId,
    epoch,
    from: 0,
    to: version,
    length: bundle.length,
    pageHashes: bundlePages(bundle).map(pageHash),
    root: sha256(bundle),
    notAfter,
  });
  return sign(keys.policy, signedTypes.policy, bytes);
}

export function answerTime(keys: AuthorityKeys, answer: TimeAnswer): SignedBlob {
  return sign(keys.time, signedTypes.time, timeAnswer.encode(answer));
}

export function signRelease(keys: AuthorityKeys, release: LogRelease): SignedBlob {
  return sign(keys.release, signedTypes.release, logRelease.encode(release));
}

export type ReportFault = { readonly code: "report-bad-mac" } | CborFault;

/** Takes a lock's report only with its MAC. Faults: report-bad-mac, and those of the codec. Source: SPEC Y7. */
export function verifyReport(
  reportKey: Uint8Array,
  bytes: Uint8Array,
  mac: Uint8Array,
): Result<LockReport, ReportFault> {
  if (!equalBytes(hmacSha256(reportKey, bytes), mac)) return failed({ code: "report-bad-mac" });
  return lockReport.decode(bytes);
}

/** The report's MAC, for the lock's side. */
export function macReport(reportKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hmacSha256(reportKey, bytes);
}

/** The chain head after these entries, oldest first, from the head before them. Compare it with the head of a MACed report. */
export function auditChainHead(before: Uint8Array, entries: readonly Uint8Array[]): Uint8Array {
  return entries.reduce(auditChainNext, before);
}

/** The bundle cut into pages of `PAGE_BYTES`; the last may be shorter. */
export function bundlePages(bundle: Uint8Array): readonly Uint8Array[] {
  const pages: Uint8Array[] = [];
  for (let offset = 0; offset < bundle.length; offset += PAGE_BYTES) {
    pages.push(bundle.subarray(offset, offset + PAGE_BYTES));
  }
  return pages;
}

/** 128 bits are enough where the whole is held by a 256-bit root: a wrong page is caught early, a forged whole never passes. */
export function pageHash(page: Uint8Array): Uint8Array {
  return sha256(page).subarray(0, 16);
}

function sign(seed: Uint8Array, type: (typeof signedTypes)[keyof typeof signedTypes], bytes: Uint8Array): SignedBlob {
  return { bytes, signature: signTyped(seed, type, bytes) };
}
