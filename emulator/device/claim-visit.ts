/**
 * A device without a certificate asks for its first: connects by TLS without showing anything, finds out from its claim string whether
 * this is the gateway that it was meant for, and only then says a word. SPEC I2, I3.
 */
import { createHash, randomBytes, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import mqtt, { type MqttClient } from "mqtt";
import { bytesToBase64, bytesToHex, equalBytes } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type ClaimFault, parseClaim } from "../../protocol/wire/claim-string.ts";
import { claimClient, formatEnrolmentTopic } from "../../protocol/wire/enrolment-topic.ts";
import {
  type EnrolmentRefusal,
  enrolmentAnswerSchema,
  enrolmentRequestSchema,
} from "../../protocol/wire/messages/enrolment.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import type { DeviceIdentity } from "./device-identity.ts";
import { makeSigningRequest } from "./signing-request.ts";

export type ClaimVisitFault =
  | ClaimFault
  | { readonly code: "no-claim" }
  | { readonly code: "unreachable"; readonly reason: string }
  /** Who answers there is not the gateway of the claim string. */
  | { readonly code: "another-authority" }
  | { readonly code: "no-answer" }
  | { readonly code: "unreadable-answer" }
  | { readonly code: "refused"; readonly reason: EnrolmentRefusal; readonly retryAfterSeconds?: number };

export interface ClaimVisitOptions {
  /** `mqtts://host:port`. */
  readonly url: string;
  readonly identity: DeviceIdentity;
  readonly limitMs: number;
}

/** Faults: as listed in ClaimVisitFault. The identity holds the certificate afterwards, or what it held. */
export async function claimCertificate(options: ClaimVisitOptions): Promise<Result<void, ClaimVisitFault>> {
  const { url, identity, limitMs } = options;
  if (identity.claim === null) return failed({ code: "no-claim" });
  const claim = parseClaim(identity.claim);
  if (!claim.ok) return claim;
  const request = await makeSigningRequest(identity.pendingKey(), claim.value.serial);
  const socket = await openSocket(url, limitMs);
  if (!socket.ok) return socket;
  try {
    if (!isAuthority(socket.value, new URL(url).hostname, claim.value.authorityHash)) {
      return failed({ code: "another-authority" });
    }
    const { serial, code } = claim.value;
    const id = bytesToHex(randomBytes(8));
    const asked = { v: 1 as const, ask: "claim" as const, id, serial };
    const payload = formatPayload(enrolmentRequestSchema, {
      ...asked,
      code: bytesToBase64(code),
      request: bytesToBase64(request),
    });
    return takeAnswer(identity, id, await ask(socket.value, payload, limitMs));
  } finally {
    socket.value.destroy();
  }
}

/** Judges an answer that came over the claim connection, or to a renewal over the device's own. */
export function takeAnswer(
  identity: DeviceIdentity,
  id: string,
  payload: Uint8Array | undefined,
): Result<void, ClaimVisitFault> {
  if (payload === undefined) return failed({ code: "no-answer" });
  const answer = parsePayload(enrolmentAnswerSchema, payload);
  if (!answer.ok || (answer.value.id !== null && answer.value.id !== id)) return failed({ code: "unreadable-answer" });
  if (answer.value.state === "refused") {
    const { reason, retryAfterSeconds } = answer.value;
    return failed({ code: "refused", reason, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) });
  }
  try {
    return identity.take(answer.value) ? ok(undefined) : failed({ code: "unreadable-answer" });
  } catch {
    // What stands where the certificates should be is none.
    return failed({ code: "unreadable-answer" });
  }
}

/** SPEC I2: the chain ends in a root whose key the claim names, and the one before it was signed by that for this server. */
function isAuthority(socket: TLSSocket, host: string, authorityHash: Uint8Array): boolean {
  const leaf = socket.getPeerX509Certificate();
  const root = leaf?.issuerCertificate;
  if (leaf === undefined || root === undefined) return false;
  const key = root.publicKey.export({ format: "der", type: "spki" });
  if (!equalBytes(createHash("sha256").update(key).digest(), authorityHash)) return false;
  const isSigned = root.ca && root.verify(root.publicKey) && leaf.verify(root.publicKey);
  return isSigned && leaf.keyUsage.includes(SERVER_AUTHENTICATION) && isNamed(leaf, host);
}

function isNamed(leaf: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
}

function openSocket(url: string, limitMs: number): Promise<Result<TLSSocket, ClaimVisitFault>> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connectTls({
      host: hostname,
      port: Number(port),
      ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
      minVersion: "TLSv1.2",
      // Its root is not known yet; the claim's hash is, and is looked at before a byte is sent.
      rejectUnauthorized: false,
      timeout: limitMs,
    });
    const fail = (reason: string): void => {
      socket.destroy();
      resolve(failed({ code: "unreachable", reason }));
    };
    socket.once("secureConnect", () => resolve(ok(socket)));
    socket.once("timeout", () => fail("timeout"));
    socket.on("error", (error) => fail(error.message));
    socket.once("close", () => fail("closed"));
  });
}

/** One request on the claim connection, and its answer; undefined: none came. */
async function ask(socket: TLSSocket, payload: string, limitMs: number): Promise<Uint8Array | undefined> {
  const clientId = claimClient(randomBytes(8));
  const client: MqttClient = new mqtt.MqttClient(() => socket, {
    clientId,
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: limitMs,
    protocolVersion: 4,
  });
  try {
    return await new Promise<Uint8Array | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), limitMs);
      const settle = (answer: Uint8Array | undefined): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      client.on("connect", () => {
        client.subscribe(formatEnrolmentTopic({ client: clientId, end: "answer" }));
        client.publish(formatEnrolmentTopic({ client: clientId, end: "request" }), payload, { qos: 1 });
      });
      client.on("message", (_topic, answer) => settle(new Uint8Array(answer)));
      client.on("error", () => settle(undefined));
      client.on("close", () => settle(undefined));
    });
  } finally {
    client.end(true);
  }
}

/** RFC 5280 part 4.2.1.12. */
const SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1";
