/**
 * `dl/1/enrol/<client>/request` and `.../answer`: a networked device asks the gateway for its certificate. With a claim it has none yet; a
 * renewal comes over the device's own mutually authenticated connection. Certificates and requests travel as base64 of their DER.
 * Source: SPEC I3-I8; PROTOCOL part 8.
 */
import { z } from "zod";
import { CLAIM_CODE_BYTES, isClaimSerial } from "../claim-string.ts";
import { versioned } from "../payload.ts";
import { base64Exactly, base64Field, deviceId, entityId, hexText, unixTime } from "./fields.ts";

/** A request with a P-256 key and a name is about 250 bytes. */
export const SIGNING_REQUEST_LIMIT_BYTES = 1024;
export const CERTIFICATE_LIMIT_BYTES = 2048;
/** Of either message. */
export const ENROLMENT_PAYLOAD_LIMIT_BYTES = 8 * 1024;

/** Names the request in its answer. */
const requestId = hexText(8);

export const claimRequestSchema = versioned({
  ask: z.literal("claim"),
  id: requestId,
  serial: z.string().refine(isClaimSerial, "expected a serial of [A-Z0-9./-]{1,40}"),
  code: base64Exactly(CLAIM_CODE_BYTES),
  request: base64Field(SIGNING_REQUEST_LIMIT_BYTES),
});
export type ClaimRequest = z.output<typeof claimRequestSchema>;

export const renewRequestSchema = versioned({
  ask: z.literal("renew"),
  id: requestId,
  request: base64Field(SIGNING_REQUEST_LIMIT_BYTES),
});
export type RenewRequest = z.output<typeof renewRequestSchema>;

export const enrolmentRequestSchema = z.discriminatedUnion("ask", [claimRequestSchema, renewRequestSchema]);
export type EnrolmentRequest = z.output<typeof enrolmentRequestSchema>;

export const enrolmentRefusals = [
  /** The payload is no request. */
  "malformed",
  /** A claim over a connection with a certificate, or a renewal over one without. */
  "wrong-connection",
  /** No claim is open for this serial, it has run out, or its code is another: which of them is not said. */
  "not-claimable",
  /** The code was used with another key. */
  "claim-used",
  /** Too many tries; `retryAfterSeconds` says when the next one counts. */
  "throttled",
  /** The signing request is unreadable, its key is not P-256, or it does not prove that the key is there. */
  "bad-signing-request",
  /** The device's certificates were revoked. */
  "revoked",
  /** The gateway does not know what time it is, and signs nothing: come again. */
  "clock-not-trusted",
  /** The gateway cannot keep it now: come again. */
  "unavailable",
] as const;
export type EnrolmentRefusal = (typeof enrolmentRefusals)[number];

export const enrolmentAnswerSchema = z.discriminatedUnion("state", [
  versioned({
    state: z.literal("issued"),
    id: requestId,
    /** Who the device is from now on: its client id, and the name in its certificate. */
    device: deviceId,
    site: entityId,
    certificate: base64Field(CERTIFICATE_LIMIT_BYTES),
    /** The site's CA certificate, whose key the claim string named. */
    authority: base64Field(CERTIFICATE_LIMIT_BYTES),
    notAfter: unixTime,
    /** When the device should ask for the next one: two thirds of the certificate's life. */
    renewAt: unixTime,
  }),
  versioned({
    state: z.literal("refused"),
    id: requestId.nullable(),
    reason: z.enum(enrolmentRefusals),
    retryAfterSeconds: z.number().int().min(1).max(86_400).optional(),
  }),
]);
export type EnrolmentAnswer = z.output<typeof enrolmentAnswerSchema>;
