/**
 * A networked door opened from afar. It takes the same as at the door: somebody with access now, who proves who they are. The proof
 * is the bearer token of their own app; that somebody else is at this machine opens nothing (row 72).
 */
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { entityId } from "../../../protocol/wire/messages/fields.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { seenUnlocks } from "../record-view.ts";
import { readInput, sendFault } from "./answers.ts";
import { personOf, sendUnauthorized } from "./app-routes.ts";

export function addUnlockRoutes(server: FastifyInstance, parts: CloudParts): void {
  server.post<{ Params: { readonly id: string } }>("/api/doors/:id/unlock", async (request, reply) => {
    const input = readInput(unlockSchema, request.body, reply);
    if (input === undefined) return reply;
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    if (person !== input.by) return reply.code(403).send({ code: "not-your-token" });
    const asked = await parts.unlocks.request(request.params.id, input.by);
    if (asked.ok) return asked.value;
    const forbidden = asked.fault.code === "ACCESS_DENIED" || asked.fault.code === "ROLE_MAY_NOT_UNLOCK";
    return forbidden ? reply.code(403).send(asked.fault) : sendFault(reply, asked.fault);
  });

  server.get("/api/record/unlocks", async () => ({
    unlocks: seenUnlocks(parts.authority.site, parts.unlockRecord.list(), { role: "manager" }),
  }));
}

const unlockSchema = z.strictObject({ by: entityId });
