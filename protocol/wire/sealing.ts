/**
 * What only a lock and its authority read: bundles on their way down, audit entries and daily keys. Couriers carry the bytes.
 *
 * Theory of operation. Each use has a key of its own from the pairing (`derivePairingKeys`), and each sealed thing a key of its own
 * from that one and the hash of its header, so the cipher's nonce can be zero: a key seals one plaintext. That holds because the
 * header determines the plaintext: a policy has one (epoch, version) and one root, a delta between two policies one form, and an
 * audit batch carries a keyed tag of its entries, and daily keys a sequence. The header travels open; whoever changes it changes the key (SPEC X8-X11).
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { type CborFault, decodeCbor, encodeCbor } from "../base/cbor.ts";
import {
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborUint,
  field,
} from "../base/cbor-record.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { chachaOpen, chachaSeal, hkdfSha256, hmacSha256, sha256 } from "../crypto.ts";
import { AUDIT_ENTRY_LIMIT_BYTES } from "./audit-entry.ts";
import type { PolicyManifest } from "./signed-objects.ts";

/** What a seal is for; one made for one use opens for no other. */
export type SealUse = "bundle" | "audit" | "daily-keys";

/** Bytes that sealing adds: the tag of ChaCha20-Poly1305. */
export const SEAL_OVERHEAD_BYTES = 16;

export type SealFault =
  | { readonly code: "seal-too-short"; readonly expected: number; readonly found: number }
  /** Another key, use or header, or bytes that were changed on the way: which of them, the seal cannot say. */
  | { readonly code: "seal-does-not-open" };

/**
 * Seals `plaintext` under a pairing's 32-byte key of that use. `header` travels beside it and must be different for every other
 * plaintext under that key. Source: SPEC X8.
 */
export function seal(use: SealUse, key: Uint8Array, header: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return chachaSeal(sealKey(use, key, header), zeroNonce, noData, plaintext);
}

/** Opens what `seal` made with the same use, key and header. Faults: seal-too-short, seal-does-not-open. */
export function openSealed(
  use: SealUse,
  key: Uint8Array,
  header: Uint8Array,
  sealed: Uint8Array,
): Result<Uint8Array, SealFault> {
  if (sealed.length < SEAL_OVERHEAD_BYTES) {
    return failed({ code: "seal-too-short", expected: SEAL_OVERHEAD_BYTES, found: sealed.length });
  }
  const plaintext = chachaOpen(sealKey(use, key, header), zeroNonce, noData, sealed);
  return plaintext === undefined ? failed({ code: "seal-does-not-open" }) : ok(plaintext);
}

/** The header under which a bundle is sealed: its manifest without length and page hashes, which speak of the sealed bytes. SPEC X9. */
export function bundleHeader(manifest: Omit<PolicyManifest, "length" | "pageHashes">): Uint8Array {
  const { pairingId, epoch, from, to, root, notAfter } = manifest;
  return bundleHeaderRecord.encode({ pairingId, epoch, from, to, root, notAfter });
}

/** The header of daily keys: each renewal for a lock has the next sequence, from 0 at its pairing. SPEC X11. */
export function dailyKeysHeader(pairingId: Uint8Array, sequence: number): Uint8Array {
  return dailyKeysHeaderRecord.encode({ pairingId, sequence });
}

const uint32 = cborUint(0xffffffff);
const dailyKeysHeaderRecord = cborRecord({ pairingId: field(1, cborBytes(16)), sequence: field(2, uint32) });
const bundleHeaderRecord = cborRecord({
  pairingId: field(1, cborBytes(16)),
  epoch: field(2, uint32),
  from: field(3, uint32),
  to: field(4, uint32),
  root: field(7, cborBytes(32)),
  notAfter: field(8, cborUint<UnixSeconds>(2 ** 40)),
});

/** Most entries of one batch: as many as one answer to read-log. */
export const AUDIT_BATCH_ENTRIES = 64;

const batchHeaderFields = {
  pairingId: field(1, cborBytes(16)),
  /** Sequence of the first entry. */
  from: field(2, uint32),
  count: field(3, cborUint(AUDIT_BATCH_ENTRIES)),
  /** Tells batches apart without telling what is in them. */
  tag: field(4, cborBytes(16)),
};
const batchHeader = cborRecord(batchHeaderFields);
/** Entries are put into a batch while they fit into so much, so that a gateway's event of one stays small; a single one always fits. */
export const AUDIT_BATCH_CONTENT_BYTES = 4_096;
/** The array's and each entry's head take at most 3 bytes. */
const sealedBytesMax = AUDIT_BATCH_CONTENT_BYTES + 3 + AUDIT_BATCH_ENTRIES * 3 + SEAL_OVERHEAD_BYTES;
/** The header's fields and the heads of all five take less than 64 bytes. */
export const AUDIT_BATCH_LIMIT_BYTES = sealedBytesMax + 64;

/** Entries of a lock's audit log as they travel; `from` and `count` are open, so that a courier knows what it has. SPEC X10. */
export const auditBatch = cborRecord({
  ...batchHeaderFields,
  sealed: field(5, cborBytesUpTo(sealedBytesMax)),
});
export type AuditBatch = CborTypeOf<typeof auditBatch>;

export type AuditBatchFault = SealFault | CborFault | { readonly code: "batch-mismatch" };

/** How many of these entries, from the first, go into one batch. */
export function entriesOfBatch(entries: readonly Uint8Array[]): number {
  let bytes = 0;
  const fits = entries.slice(0, AUDIT_BATCH_ENTRIES).findIndex((entry) => {
    bytes += entry.length;
    return bytes > AUDIT_BATCH_CONTENT_BYTES;
  });
  return fits === -1 ? Math.min(entries.length, AUDIT_BATCH_ENTRIES) : fits;
}

/** The lock's side: as many entries as `entriesOfBatch` says, oldest first, from sequence `from`. The same entries give the same batch. */
export function sealAuditBatch(
  key: Uint8Array,
  pairingId: Uint8Array,
  from: number,
  entries: readonly Uint8Array[],
): AuditBatch {
  assert(entries.length === entriesOfBatch(entries), "a batch holds no more than fits into one");
  const plaintext = encodeCbor([...entries]);
  const header = { pairingId, from, count: entries.length, tag: batchTag(key, plaintext) };
  return { ...header, sealed: seal("audit", key, batchHeader.encode(header), plaintext) };
}

/**
 * The authority's side: the entries' own bytes. That they are the lock's and in order, the chain says that the lock's report
 * confirms. Faults: those of opening and of CBOR, batch-mismatch (count or tag are not those of the entries). Source: SPEC X10.
 */
export function openAuditBatch(key: Uint8Array, batch: AuditBatch): Result<readonly Uint8Array[], AuditBatchFault> {
  const { sealed, ...header } = batch;
  const plaintext = openSealed("audit", key, batchHeader.encode(header), sealed);
  if (!plaintext.ok) return plaintext;
  const value = decodeCbor(plaintext.value);
  if (!value.ok) return value;
  const entries = entriesCodec.fromCbor(value.value);
  if (!entries.ok) return entries;
  const fits = entries.value.length === batch.count && equalBytes(batchTag(key, plaintext.value), batch.tag);
  return fits ? entries : failed({ code: "batch-mismatch" });
}

const entriesCodec = cborArray(cborBytesUpTo(AUDIT_ENTRY_LIMIT_BYTES), AUDIT_BATCH_ENTRIES);

function batchTag(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return hmacSha256(hkdfSha256(key, noData, utf8("doorlink/1/seal/audit-tag"), 32), plaintext).subarray(0, 16);
}

function sealKey(use: SealUse, key: Uint8Array, header: Uint8Array): Uint8Array {
  assert(key.length === 32, "a sealing key is 32 bytes");
  return hkdfSha256(key, sha256(header), utf8(`doorlink/1/seal/${use}`), 32);
}

const zeroNonce = new Uint8Array(12);
const noData = concatBytes();
