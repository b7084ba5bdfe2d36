/**
 * The authority's side of a door sync, as pure functions: its keys, what it signs for a lock, and how it checks what a lock
 * says of itself. Gateways and phones only carry these bytes. Source: SPEC O1-O7, X8-X9, Y7; PROTOCOL parts 1, 4, 5.
 */
import { appCertificateSecondsMax } from "../access/decide.ts";
import { encodePolicy, type LockPolicy, policyRoot } from "../access/policy.ts";
import { diffPolicy, encodePolicyDelta } from "../access/policy-delta.ts";
import { equalBytes, utf8 } from "../base/bytes.ts";
import type { CborFault } from "../base/cbor.ts";
import { assert, failed, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { ed25519PublicKey, hkdfSha256, hmacSha256, sha256, signTyped, x25519, x25519PublicKey } from "../crypto.ts";
import { auditChainNext } from "../wire/audit-entry.ts";
import type { Keyset } from "../wire/keyset.ts";
import { bundleHeader, seal } from "../wire/sealing.ts";
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
  /** Chains the audit log. */
  readonly chain: Uint8Array;
  /** Seals the daily keys of the lock's door. */
  readonly dailyKeys: Uint8Array;
}

/**
 * Derives the role keys of one epoch from a 32-byte seed. The static key is the same in all epochs, because pairings that stand keep
 * the one they were made with.
 */
export function authorityKeysFromSeed(seed: Uint8Array, epoch = 1): AuthorityKeys {
  const derive = (role: string) => hkdfSha256(seed, new Uint8Array(0), utf8(`doorlink/1/authority/${role}`), 32);
  const ofEpoch = (role: string) => derive(epoch === 1 ? role : `${role}/${epoch}`);
  return {
    policy: ofEpoch("policy"),
    time: ofEpoch("time"),
    release: ofEpoch("release"),
    unlock: ofEpoch("unlock"),
    courier: ofEpoch("courier"),
    static: derive("static"),
  };
}

/** The root's seed (Ed25519, 32 bytes) that goes with `authorityKeysFromSeed`; a real root is made and kept offline. */
export function rootKeyFromSeed(seed: Uint8Array): Uint8Array {
  return hkdfSha256(seed, new Uint8Array(0), utf8("doorlink/1/authority/root"), 32);
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
    chain: derive("chain"),
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

/** What one version is for one device: its place in the order, and until when it may be taken. */
export interface PolicyHead {
  readonly pairingId: Uint8Array;
  readonly epoch: number;
  readonly version: number;
  readonly notAfter: UnixSeconds;
}

/**
 * Signs a snapshot that travels open, to a networked device that its transport protects. `bundle` is the encoded policy
 * (1..256 KiB); its root is its SHA-256. Source: SPEC M15, O3.
 */
export function signOpenSnapshot(keys: AuthorityKeys, head: PolicyHead, bundle: Uint8Array): SignedBlob {
  return signManifest(keys, { ...head, from: 0, root: sha256(bundle) }, bundle, bundlePages(bundle).map(pageHash));
}

/** A signed manifest and the sealed bytes that it speaks of, as a courier carries them to one lock. */
export interface SealedBundle {
  /** The version that it stands on; 0: a snapshot, which stands on nothing. */
  readonly from: number;
  readonly manifest: SignedBlob;
  readonly bytes: Uint8Array;
}

/**
 * Makes the bundle that brings a lock to `policy`: what changed since `held`, which must be of the same epoch, or without it a
 * snapshot. Sealed under the pairing's bundle key. Undefined where it is larger than a bundle may be. Source: SPEC O3, X1, X9.
 */
export function sealBundle(
  keys: AuthorityKeys,
  bundleKey: Uint8Array,
  pairingId: Uint8Array,
  next: { readonly policy: LockPolicy; readonly notAfter: UnixSeconds },
  held?: LockPolicy,
): SealedBundle | undefined {
  const { epoch, version } = next.policy;
  assert(
    held === undefined || (held.epoch === epoch && held.version < version),
    "a delta stands on an older version of its epoch",
  );
  const from = held?.version ?? 0;
  const root = policyRoot(encodePolicy(next.policy));
  const head = { pairingId, epoch, version, notAfter: next.notAfter, from, root };
  const header = bundleHeader({ pairingId, epoch, from, to: version, root, notAfter: next.notAfter });
  const bytes = seal("bundle", bundleKey, header, encodePolicyDelta(diffPolicy(held, next.policy)));
  if (bytes.length > BUNDLE_LIMIT_BYTES) return undefined;
  const pages = bundlePages(bytes);
  return { from, manifest: signManifest(keys, head, bytes, pages.length === 1 ? [] : pages.map(pageHash)), bytes };
}

function signManifest(
  keys: AuthorityKeys,
  head: PolicyHead & { readonly from: number; readonly root: Uint8Array },
  bundle: Uint8Array,
  pageHashes: readonly Uint8Array[],
): SignedBlob {
  const { pairingId, epoch, from, version: to, root, notAfter } = head;
  assert(bundle.length > 0 && bundle.length <= BUNDLE_LIMIT_BYTES, "a bundle is 1 byte to 256 KiB");
  const manifest = { pairingId, epoch, from, to, length: bundle.length, pageHashes, root, notAfter };
  return sign(keys.policy, signedTypes.policy, policyManifest.encode(manifest));
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
export function auditChainHead(chainKey: Uint8Array, before: Uint8Array, entries: readonly Uint8Array[]): Uint8Array {
  return entries.reduce((head, entry) => auditChainNext(chainKey, head, entry), before);
}

/** The keyset by which a lock knows these keys. `epoch` from 1. Source: SPEC Z1. */
export function keysetOf(keys: AuthorityKeys, epoch: number, notAfter: UnixSeconds): Keyset {
  return { epoch, notAfter, ...authorityPublicKeys(keys) };
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
