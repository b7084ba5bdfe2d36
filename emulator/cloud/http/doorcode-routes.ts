/**
 * A daily doorcode for anybody by e-mail or text message (rows 80-82): property management and whoever lives behind the door send
 * one, as often as they like, to an address of their choice. No answer here has the code; it stands in the message. Who issued what to
 * whom is in the record of deliveries, the recipient redacted.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import { z } from "zod";
import { isRecipient } from "../../../protocol/doorcode/delivery.ts";
import { personById } from "../../../protocol/site/rights.ts";
import { entityId } from "../../../protocol/wire/messages/fields.ts";
import type { CloudParts } from "../cloud-parts.ts";
import type { SendChannel } from "../delivery.ts";
import { doorNameOf } from "../desired.ts";
import { issueDailyCode } from "../doorcodes.ts";
import { readInput, sendFault } from "./answers.ts";
import { personOf, sendUnauthorized } from "./app-routes.ts";

export function addDoorcodeRoutes(server: FastifyInstance, parts: CloudParts): void {
  addAppRoutes(server, parts);
  addManagerRoutes(server, parts);
  addBenchRoutes(server, parts);
}

/** The resident's app: the issuer is whoever is signed in. */
function addAppRoutes(server: FastifyInstance, parts: CloudParts): void {
  server.post("/app/doorcodes", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const input = readInput(orderSchema, request.body, reply);
    return input === undefined ? reply : sendCode(parts, { ...input, issuer: person }, reply);
  });

  server.get<DeliveryParams>("/app/doorcodes/:delivery", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const view = parts.outbox.view(request.params.delivery);
    // Somebody else's delivery is none of theirs, whether there is such a one or not.
    return view?.issuer === person ? view : sendFault(reply, { code: "no-such-delivery" });
  });
}

function addManagerRoutes(server: FastifyInstance, parts: CloudParts): void {
  server.post("/api/doorcodes", async (request, reply) => {
    const input = readInput(orderSchema.extend({ issuer: entityId }), request.body, reply);
    return input === undefined ? reply : sendCode(parts, input, reply);
  });

  server.get("/api/doorcodes", async () => ({ deliveries: parts.outbox.list() }));

  server.get<DeliveryParams>("/api/doorcodes/:delivery", async (request, reply) => {
    return parts.outbox.view(request.params.delivery) ?? sendFault(reply, { code: "no-such-delivery" });
  });
}

/** The emulated world's side: what arrived, and how well the services work. */
function addBenchRoutes(server: FastifyInstance, { outbox }: CloudParts): void {
  // The address comes in the body: what stands in a URL may be written down by anybody on the way.
  server.post("/bench/mailbox", async (request, reply) => {
    const input = readInput(deliverSchema, request.body, reply);
    if (input === undefined) return reply;
    const messages = outbox.mailbox(channelByKind[input.kind], input.to);
    return reply.header("cache-control", "no-store").send({ messages });
  });

  server.post("/bench/outbox", async (request, reply) => {
    const input = readInput(faultsSchema, request.body, reply);
    if (input === undefined) return reply;
    outbox.faults = input;
    return input;
  });
}

function sendCode(parts: CloudParts, order: Order & { readonly issuer: string }, reply: FastifyReply): FastifyReply {
  const { authority, outbox } = parts;
  const { issuer, door, mode, deliver } = order;
  const { site } = authority;
  const person = site === undefined ? undefined : personById(site, issuer);
  if (site === undefined || person === undefined) return sendFault(reply, { code: "no-such-person" });
  const channel = channelByKind[deliver.kind];
  if (!isRecipient(channel, deliver.to)) return reply.code(422).send({ code: "not-an-address", kind: deliver.kind });
  const issued = issueDailyCode(authority, { door, person: issuer, mode });
  if (!issued.ok) {
    const forbidden = issued.fault.code === "NO_ACCESS" || issued.fault.code === "ROLE_MAY_NOT_ISSUE";
    return forbidden ? reply.code(403).send({ code: issued.fault.code }) : sendFault(reply, issued.fault);
  }
  const { code, slot, validOn, singleUse } = issued.value;
  const uses = singleUse ? "It opens once" : "It opens as often as needed";
  const text = `${person.name} sends you a doorcode for ${doorNameOf(site, door)} at ${site.name}: ${code}. ${uses}, on ${validOn} only.`;
  const sent = outbox.send({ issuer, door, channel, recipient: deliver.to, slot, text });
  return sent.ok ? reply.send(sent.value) : sendFault(reply, sent.fault);
}

interface DeliveryParams {
  readonly Params: { readonly delivery: string };
}

const channelByKind: Readonly<Record<"email" | "sms", SendChannel>> = { email: "email", sms: "phone-message" };
const deliverSchema = z.strictObject({ kind: z.enum(["email", "sms"]), to: z.string().max(254) });
const orderSchema = z.strictObject({
  door: entityId,
  mode: z.enum(["single-use", "all-day"]).default("single-use"),
  deliver: deliverSchema,
});
type Order = z.output<typeof orderSchema>;
const percent = z.number().min(0).max(100).default(0);
const faultsSchema = z.strictObject({
  bouncePercent: percent,
  stuckPercent: percent,
  delayMs: z.int().min(0).max(86_400_000).default(200),
});
