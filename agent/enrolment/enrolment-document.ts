/**
 * What is kept of a networked device's enrolment: one document a device, so that a claim's code is used up in the very write that keeps
 * the certificate it was used for. SPEC I4, I5, I9.
 */
import { z } from "zod";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import { CLAIM_CODE_BYTES, isClaimSerial } from "../../protocol/wire/claim-string.ts";
import { CERTIFICATE_LIMIT_BYTES } from "../../protocol/wire/messages/enrolment.ts";
import { base64Exactly, base64Field } from "../../protocol/wire/messages/fields.ts";
import { type PayloadFault, parsePayload, versioned } from "../../protocol/wire/payload.ts";
import type { StoredDocument } from "../ports/store.ts";

/** A device has the one that it uses, the one that it renews it by, and those of renewals whose answer it never heard. */
export const CERTIFICATES_LIMIT = 4;
const REVOKED_LIMIT = 64;

const moment = z
  .number()
  .int()
  .min(0)
  .max(8.64e15)
  .transform((value) => value as UnixMs);
/** As Node and OpenSSL write it. */
const serialNumber = z.string().regex(/^[0-9A-F]{1,40}$/);
const keyHash = base64Exactly(32);

const claimSchema = z.strictObject({
  serial: z.string().refine(isClaimSerial),
  salt: base64Exactly(CLAIM_CODE_BYTES),
  /** HMAC-SHA-256 of the code under the salt. */
  codeHash: base64Exactly(32),
  openedAt: moment,
  expiresAt: moment,
  /** What is left of the tries, as of `triedAt`. */
  tokens: z.number().min(0).max(1000),
  triedAt: moment,
  /** Since it was opened: how often somebody tried, and how often with the right code and another key than the first. */
  tries: z.number().int().min(0),
  otherKeys: z.number().int().min(0),
  /** SHA-256 of the key that the code was used with; null: not used. */
  usedBy: keyHash.nullable(),
  usedAt: moment.nullable(),
});
export type OpenClaim = z.output<typeof claimSchema>;

const certificateSchema = z.strictObject({
  serialNumber,
  keyHash,
  notBefore: moment,
  notAfter: moment,
  der: base64Field(CERTIFICATE_LIMIT_BYTES),
});
export type KeptCertificate = z.output<typeof certificateSchema>;

const enrolmentSchema = versioned({
  claim: claimSchema.nullable(),
  /** Newest last. */
  certificates: z.array(certificateSchema).max(CERTIFICATES_LIMIT),
  revoked: z.array(z.strictObject({ serialNumber, notAfter: moment })).max(REVOKED_LIMIT),
  /** Null: the device is not revoked now. */
  revokedAt: moment.nullable(),
});
export type Enrolment = z.output<typeof enrolmentSchema>;

export const noEnrolment: Enrolment = { v: 1, claim: null, certificates: [], revoked: [], revokedAt: null };

/** Faults: those of a payload. */
export function parseEnrolment(body: string): Result<Enrolment, PayloadFault> {
  const read = parsePayload(enrolmentSchema, utf8(body), DOCUMENT_LIMIT_BYTES);
  return read.ok ? ok(read.value) : failed(read.fault);
}

export function enrolmentToDocument(device: DeviceId, enrolment: Enrolment): StoredDocument {
  const body = JSON.stringify(enrolment, (_key, value: unknown) =>
    value instanceof Uint8Array ? bytesToBase64(value) : value,
  );
  return { kind: "enrolment", device, body };
}

/** Takes all certificates back. Those that time has taken back need not be remembered, and of the rest the latest are. */
export function withRevoked(enrolment: Enrolment, now: UnixMs): Pick<Enrolment, "certificates" | "revoked"> {
  const added = enrolment.certificates.map(({ serialNumber, notAfter }) => ({ serialNumber, notAfter }));
  const revoked = [...enrolment.revoked, ...added].filter(({ notAfter }) => notAfter >= now).slice(-REVOKED_LIMIT);
  return { certificates: [], revoked };
}

const DOCUMENT_LIMIT_BYTES = 64 * 1024;
