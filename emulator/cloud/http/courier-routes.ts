/**
 * A phone carries: what it takes to one lock, the time while it is there, and what it brings back. For the signed-in phone of somebody who
 * manages the site; what it is given it cannot read, and what it brings counts by the lock's own seals. SPEC Y17.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { EVENT_BATCH_LIMIT } from "../../../protocol/wire/messages/event.ts";
import { base64Exactly, base64Field } from "../../../protocol/wire/messages/fields.ts";
import { AUDIT_BATCH_LIMIT_BYTES } from "../../../protocol/wire/sealing.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { blobFields } from "../desired.ts";
import type { PhoneLoad, SignedInPhone } from "../phone-couriers.ts";
import { readInput, sendFault } from "./answers.ts";
import { sendUnauthorized, tokenOf } from "./app-routes.ts";

export function addCourierRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { couriers, log } = parts;

  server.post<DeviceParams>("/app/courier/:device", { bodyLimit: SMALL_BODY_BYTES }, async (request, reply) => {
    const asked = readAsked(parts, keySchema, request, reply);
    if (asked === undefined) return reply;
    const { by, device, input } = asked;
    const loaded = couriers.load(by, device, input.staticPublicKey);
    if (!loaded.ok) return sendRefusal(reply, loaded.fault);
    log.info({ device, phone: by.phone, notAfter: loaded.value.notAfter }, "courier certificate issued");
    return reply.header("cache-control", "no-store").send(loadFields(loaded.value));
  });

  server.post<DeviceParams>("/app/courier/:device/time", { bodyLimit: SMALL_BODY_BYTES }, async (request, reply) => {
    const asked = readAsked(parts, nonceSchema, request, reply);
    if (asked === undefined) return reply;
    const answer = couriers.answerTime(asked.by, asked.device, asked.input.nonce);
    if (!answer.ok) return sendRefusal(reply, answer.fault);
    return reply.header("cache-control", "no-store").send({ answer: blobFields(answer.value) });
  });

  server.post<DeviceParams>("/app/courier/:device/log", { bodyLimit: LOG_BODY_BYTES }, async (request, reply) => {
    const asked = readAsked(parts, deliverySchema, request, reply);
    if (asked === undefined) return reply;
    const { batches, report, mac } = asked.input;
    const said = report === undefined || mac === undefined ? {} : { report: { report, mac } };
    const delivered = couriers.deliver(asked.by, asked.device, { batches, ...said });
    return delivered.ok ? delivered.value : sendRefusal(reply, delivered.fault);
  });
}

/** Who asks, for which lock, with what; undefined once the reply was sent. */
function readAsked<Schema extends z.ZodType>(
  { authority }: CloudParts,
  schema: Schema,
  request: FastifyRequest<DeviceParams>,
  reply: FastifyReply,
): { readonly by: SignedInPhone; readonly device: string; readonly input: z.output<Schema> } | undefined {
  const token = tokenOf(request);
  const by = token === undefined ? undefined : authority.signInOfToken(token);
  if (by === undefined) {
    sendUnauthorized(reply);
    return undefined;
  }
  const input = readInput(schema, request.body, reply);
  return input === undefined ? undefined : { by, device: request.params.device, input };
}

/** 403 for who may not carry, whatever the lock. */
function sendRefusal(reply: FastifyReply, fault: { readonly code: string }): FastifyReply {
  const isForbidden = fault.code === "ROLE_MAY_NOT_CARRY" || fault.code === "ACCOUNT_REVOKED";
  return isForbidden ? reply.code(403).send(fault) : sendFault(reply, fault);
}

function loadFields({ device, lock, notAfter, load }: PhoneLoad) {
  const { certificate, keyset, policy, release, logFrom } = load;
  return {
    device,
    address: lock.address,
    staticPublicKey: bytesToBase64(lock.staticPublicKey),
    pairingId: bytesToBase64(lock.pairingId),
    certificate: blobFields(certificate),
    notAfter,
    keyset: keyset === undefined ? null : { epoch: keyset.epoch, blob: blobFields(keyset.blob) },
    policy:
      policy === undefined
        ? null
        : {
            epoch: policy.epoch,
            version: policy.version,
            bundles: policy.bundles.map(({ from, manifest, bytes }) => ({
              from,
              manifest: blobFields(manifest),
              bytes: bytesToBase64(bytes),
            })),
          },
    release: release === undefined ? null : blobFields(release),
    logFrom,
  };
}

interface DeviceParams {
  readonly Params: { readonly device: string };
}

const keySchema = z.strictObject({ staticPublicKey: base64Exactly(32) });
const nonceSchema = z.strictObject({ nonce: base64Exactly(16) });
/** As many batches as one of a gateway's messages may have. */
const deliverySchema = z
  .strictObject({
    batches: z.array(base64Field(AUDIT_BATCH_LIMIT_BYTES)).max(EVENT_BATCH_LIMIT).default([]),
    report: base64Field(512).optional(),
    mac: base64Exactly(32).optional(),
  })
  .refine(({ report, mac }) => (report === undefined) === (mac === undefined), "expected a report with its mac");

const SMALL_BODY_BYTES = 1_024;
/** 64 batches of 4.4 kB in base64 and a report are 375 kB. */
const LOG_BODY_BYTES = 512 * 1_024;
