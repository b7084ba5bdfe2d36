/** A resident's account: the app key of a signed-in phone, signing out, and the password reset that ends every phone's access. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { base64Exactly } from "../../../protocol/wire/messages/fields.ts";
import { issueAppKey } from "../app-keys.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { blobFields } from "../desired.ts";
import { readInput, sendFault } from "./answers.ts";
import { personOf, sendUnauthorized, tokenOf } from "./app-routes.ts";

/**
 * A phone that was signed out hears so from every route of the app, and waits for its user; one that was never known signs in
 * again by itself.
 */
export function refuseSignedOut(server: FastifyInstance, { authority }: CloudParts): void {
  server.addHook("onRequest", async (request, reply) => {
    const token = (request.routeOptions.url ?? "").startsWith("/app/") ? tokenOf(request) : undefined;
    if (token === undefined || !authority.isSignedOut(token)) return;
    return reply.code(401).header("www-authenticate", "Bearer").send({ code: "signed-out" });
  });
}

export function addAccountRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, calls, publishDesired, log } = parts;

  server.post("/app/certificate", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const input = readInput(keysSchema, request.body, reply);
    if (input === undefined) return reply;
    const issued = issueAppKey(authority, person, input);
    if (!issued.ok) return sendFault(reply, issued.fault);
    const { certificate, credential, notAfter, locks } = issued.value;
    log.info({ credential, notAfter }, "app certificate issued");
    return reply.header("cache-control", "no-store").send({
      certificate: blobFields(certificate),
      credential,
      notAfter,
      locks: locks.map(({ staticPublicKey, pairingId, ...lock }) => ({
        ...lock,
        staticPublicKey: bytesToBase64(staticPublicKey),
        pairingId: bytesToBase64(pairingId),
      })),
    });
  });

  /** Row 77: this phone is out; what it still holds ends by itself within 72 hours. */
  server.post("/app/sign-out", async (request, reply) => {
    const token = tokenOf(request);
    const person = personOf(parts, request);
    if (token === undefined || person === undefined) return sendUnauthorized(reply);
    authority.signOutPhone(token);
    calls.wakePhones(person);
    return { signedOut: true };
  });

  /** Row 78: every phone is out, and every lock that gets its newer policy refuses what they still hold. */
  server.post<{ Params: { id: string } }>("/api/people/:id/password-reset", async (request, reply) => {
    const reset = authority.resetPassword(request.params.id);
    if (!reset.ok) return sendFault(reply, reset.fault);
    calls.wakePhones(reset.value.person);
    publishDesired();
    log.info({ person: reset.value.person, phones: reset.value.phones }, "password reset");
    return reset.value;
  });
}

const key32 = base64Exactly(32);
const keysSchema = z.strictObject({ staticPublicKey: key32, signingPublicKey: key32 });
