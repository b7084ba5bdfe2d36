/** The bench: what brings an emulated site up (import, pairing, enrolment, gateways, phones) and the world's link fault. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { parseDeviceId, unixSeconds } from "../../../protocol/base/units.ts";
import { base64Exactly, bluetoothAddress, deviceId, entityId } from "../../../protocol/wire/messages/fields.ts";
import type { DailyKeyGrant } from "../authority.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { blobFields } from "../desired.ts";
import { readInput, sendFault } from "./answers.ts";
import { eventsQuery, recordSummary } from "./manager-routes.ts";

export function addBenchRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, publishDesired } = parts;

  server.put("/api/site", async (request, reply) => {
    const start = startHeader(request.headers["x-start"]);
    if (typeof request.body !== "string")
      return reply.code(422).send({ mistakes: [expectation("a site file as YAML text")] });
    if (start === undefined) return reply.code(422).send({ mistakes: [expectation("header x-start: Unix seconds")] });
    const imported = authority.importSite(request.body, unixSeconds(start));
    if (imported.ok) {
      publishDesired();
      return imported.value;
    }
    if ("mistakes" in imported.fault) return reply.code(422).send({ mistakes: imported.fault.mistakes });
    return reply.code(409).send(imported.fault);
  });

  server.post("/bench/pair", async (request, reply) => {
    const input = readInput(pairSchema, request.body, reply);
    if (input === undefined) return reply;
    const paired = authority.pairLock(input);
    if (!paired.ok) return sendFault(reply, paired.fault);
    publishDesired();
    const { pairingId, root, keyset, dailyKeys, keyEpoch, firstSequence } = paired.value;
    return {
      pairingId: bytesToBase64(pairingId),
      root: bytesToBase64(root),
      keyset: blobFields(keyset),
      dailyKeys: dailyKeys.map(dailyKeyFields),
      keyEpoch,
      firstSequence,
    };
  });

  server.post("/bench/enrol", async (request, reply) => {
    const input = readInput(z.strictObject({ device: deviceId }), request.body, reply);
    if (input === undefined) return reply;
    const enrolled = authority.enrol(input.device);
    if (!enrolled.ok) return sendFault(reply, enrolled.fault);
    publishDesired();
    const { mqttPassword, dailyKeys, keyEpoch, entryTagKey, pairingId, unlockKey, reportKey } = enrolled.value;
    return {
      mqttPassword,
      dailyKeys: dailyKeys.map(dailyKeyFields),
      keyEpoch,
      entryTagKey: bytesToBase64(entryTagKey),
      pairingId: bytesToBase64(pairingId),
      unlockKey: bytesToBase64(unlockKey),
      reportKey: bytesToBase64(reportKey),
      policyKey: bytesToBase64(enrolled.value.policyKey),
      codeHashKey: bytesToBase64(enrolled.value.codeHashKey),
    };
  });

  /** What the desk's encoder writes on the cards that people carry. */
  server.post("/bench/cards", async (_request, reply) => {
    const cards = authority.cardKeys().map(({ credential, key }) => ({ credential, key: bytesToBase64(key) }));
    return reply.header("cache-control", "no-store").send({ cards });
  });

  server.post("/bench/gateways", async (request, reply) => {
    const input = readInput(gatewaySchema, request.body, reply);
    if (input === undefined) return reply;
    authority.registerGateway(input.gateway, input.password);
    publishDesired();
    return { gateway: input.gateway };
  });

  server.post("/bench/phones", async (request, reply) => {
    const input = readInput(phoneSchema, request.body, reply);
    if (input === undefined) return reply;
    const registered = authority.registerPhone(input.phone, input.person);
    return registered.ok ? registered.value : sendFault(reply, registered.fault);
  });

  addLinkRoutes(server, parts);
  addRecordRoutes(server, parts);
}

/** The authority's own record, whole: what no manager sees of it too (SPEC M18). */
function addRecordRoutes(server: FastifyInstance, parts: CloudParts): void {
  server.get("/bench/record/events", async (request, reply) => {
    const query = readInput(eventsQuery, request.query, reply);
    return query === undefined ? reply : { events: parts.record.events(query) };
  });

  server.get("/bench/record/summary", async () => recordSummary(parts));

  server.get("/bench/record/unlocks", async () => ({ unlocks: parts.unlockRecord.list() }));
}

/** The world's fault on the way upstream. */
function addLinkRoutes(server: FastifyInstance, { broker, log }: CloudParts): void {
  server.get("/world/link", async () => ({ up: broker.linkIsUp }));

  server.post("/world/link", async (request, reply) => {
    const input = readInput(z.strictObject({ up: z.boolean() }), request.body, reply);
    if (input === undefined) return reply;
    const set = await broker.setLink(input.up);
    if (!set.ok) return sendFault(reply, set.fault);
    log.info({ up: broker.linkIsUp }, "upstream link");
    return { up: broker.linkIsUp };
  });
  server.post("/world/receipts", async (request, reply) => {
    const input = readInput(z.strictObject({ lost: z.boolean() }), request.body, reply);
    if (input === undefined) return reply;
    broker.loseReceipts(input.lost);
    return { lost: broker.receiptsAreLost };
  });
}

function startHeader(text: string | string[] | undefined): number | undefined {
  return typeof text === "string" && /^[0-9]{1,12}$/.test(text) ? Number(text) : undefined;
}

function expectation(expected: string) {
  return { line: 1, column: 1, path: "", expected, came: "something else" };
}

function dailyKeyFields({ door, key }: DailyKeyGrant) {
  return { door, key: bytesToBase64(key) };
}

const pairSchema = z.strictObject({
  device: deviceId,
  staticPublicKey: base64Exactly(32),
  address: bluetoothAddress,
});

const gatewaySchema = z.strictObject({
  gateway: deviceId.refine(
    (id) => parseDeviceId(id) !== undefined && id.startsWith("gateway-"),
    "expected a gateway id: gateway-<name>",
  ),
  password: z.string().min(16, "expected at least 16 characters").max(200),
});

const phoneSchema = z.strictObject({ phone: entityId, person: entityId });
