/** The manager's way to the gateways themselves: what they are to do, how they are to be set, whom they are to forget. None of it opens a door. */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { parseDeviceId } from "../../../protocol/base/units.ts";
import { deviceId, entityId } from "../../../protocol/wire/messages/fields.ts";
import { gatewaySettingsSchema } from "../../../protocol/wire/messages/gateway-settings.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { desiredOfGateway } from "../desired.ts";
import { waitMsMax } from "../gateway-orders.ts";
import { readInput, sendFault } from "./answers.ts";

export function addGatewayRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, table, orders, broker, log } = parts;

  /** What each was given to set, and what it says came of it. */
  server.get("/api/gateways", async () =>
    Object.keys(authority.state.gateways).map((gateway) => {
      const said = table.latest(gateway, "exposure");
      return {
        gateway,
        settings: authority.state.gatewaySettings[gateway] ?? null,
        reported: said?.body.settings ?? null,
        erasures: said?.body.erasures ?? null,
        reportedAt: said?.body.at ?? null,
      };
    }),
  );

  server.post<IdParams>("/api/gateways/:id/commands", async (request, reply) => {
    const order = readInput(orderSchema, request.body, reply);
    if (order === undefined) return reply;
    const gateway = parseDeviceId(request.params.id);
    if (gateway === undefined) return sendFault(reply, { code: "no-such-gateway" });
    const query = readInput(waitSchema, request.query, reply);
    if (query === undefined) return reply;
    const done = await orders.request(gateway, order, query.wait * 1000);
    return done.ok ? done.value : sendFault(reply, done.fault);
  });

  server.get<IdParams>("/api/gateways/:id/commands", async (request) => ({ commands: orders.list(request.params.id) }));

  server.put<IdParams>("/api/gateways/:id/settings", async (request, reply) => {
    const input = readInput(settingsSchema, request.body, reply);
    if (input === undefined) return reply;
    const gateway = parseDeviceId(request.params.id);
    const set = authority.setGatewaySettings(request.params.id, input.settings);
    if (!set.ok || gateway === undefined) return sendFault(reply, { code: "no-such-gateway" });
    const message = desiredOfGateway(authority, gateway);
    if (message !== undefined) broker.publish(message);
    log.info({ gateway, version: set.value.version }, "settings for a gateway");
    return set.value;
  });

  /**
   * Every gateway is to forget a person. The record here stays: it is the authority's, and has rules of its own. One that is not
   * reached now has to be asked again.
   */
  server.post<IdParams>("/api/people/:id/erase", async (request, reply) => {
    const person = readInput(entityId, request.params.id, reply);
    if (person === undefined) return reply;
    const gateways = Object.keys(authority.state.gateways).flatMap((id) => parseDeviceId(id) ?? []);
    const credentials = authority.credentialsOf(person).slice(0, credentialsMax);
    const asked = await Promise.all(
      gateways.map((gateway) =>
        orders.request(gateway, { action: "erase-person", person, credentials: [...credentials] }),
      ),
    );
    return { gateways: asked.map((done) => (done.ok ? done.value : done.fault)) };
  });
}

interface IdParams {
  readonly Params: { readonly id: string };
}

/** A person is erased by a route of its own, at every gateway. */
const orderSchema = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("sync"), device: deviceId }),
  z.strictObject({ action: z.literal("reload") }),
  z.strictObject({ action: z.literal("diagnose") }),
]);
const waitSchema = z.object({
  wait: z.coerce
    .number()
    .min(0)
    .max(waitMsMax / 1000)
    .default(waitMsMax / 1000),
});
const credentialsMax = 64;
const settingsSchema = gatewaySettingsSchema.pick({ settings: true });
