/** The resident's app: calls that ring, and one's own codes. Bearer token. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { personById } from "../../../protocol/site/rights.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { ownCodes } from "../doorcodes.ts";
import { seenEvents } from "../record-view.ts";
import { readInput } from "./answers.ts";
import { eventsQuery } from "./manager-routes.ts";

export function addAppRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, calls, ports } = parts;
  const now = () => ports.clock.nowMs();

  server.get("/app/calls", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const query = readInput(pollSchema, request.query, reply);
    if (query === undefined) return reply;
    if (calls.ringingFor(person, now()).length === 0 && query.wait > 0) {
      await waitForRinging(parts, person, query.wait * 1000, request);
      // Signed out while it waited: a call that rings now is none of this phone's business.
      if (personOf(parts, request) === undefined) return sendUnauthorized(reply, "signed-out");
    }
    const ringing = calls.ringingFor(person, now());
    return {
      calls: ringing.map(({ id, panel, doorName }) => ({
        call: id,
        panel,
        doorName,
        visitor: `Visitor at ${doorName}`,
      })),
    };
  });

  /** One's own comings and goings, and who else was at one's own door; of other residents nothing. SPEC M18. */
  server.get("/app/log", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const query = readInput(eventsQuery, request.query, reply);
    if (query === undefined) return reply;
    const { site } = authority;
    const unit = site === undefined ? undefined : personById(site, person)?.unit;
    const events = seenEvents(authority, parts.record.events(query), { role: "resident", person, unit });
    return reply.header("cache-control", "no-store").send({ events });
  });

  server.get("/app/codes", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const { site } = authority;
    const codes = site === undefined ? [] : ownCodes(site, person, authority.now());
    return reply.header("cache-control", "no-store").send({ codes });
  });
}

/** Ends at the first call, at the time limit, or when the phone hangs up. */
function waitForRinging(parts: CloudParts, person: string, limitMs: number, request: FastifyRequest): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      stopListening();
      stopTimer();
      request.raw.socket.removeListener("close", finish);
      resolve();
    };
    const stopListening = parts.calls.onRinging(person, finish);
    const stopTimer = parts.ports.clock.after(limitMs, finish);
    request.raw.socket.once("close", finish);
  });
}

/** Whose phone is asking, by its bearer token; undefined for any other. */
export function personOf(parts: CloudParts, request: FastifyRequest): string | undefined {
  const token = tokenOf(request);
  return token === undefined ? undefined : parts.authority.personOfToken(token);
}

/** The bearer token of a request, whether it is one of ours or not. */
export function tokenOf(request: FastifyRequest): string | undefined {
  const [scheme, token, ...rest] = (request.headers.authorization ?? "").split(" ");
  return scheme === "Bearer" && rest.length === 0 ? token : undefined;
}

export function sendUnauthorized(
  reply: FastifyReply,
  code: "no-such-phone" | "signed-out" = "no-such-phone",
): FastifyReply {
  return reply.code(401).header("www-authenticate", "Bearer").send({ code });
}

/** The longest that a phone's request stays open: proxies commonly cut at 30 s. */
const waitSecondsMax = 25;
const pollSchema = z.object({ wait: z.coerce.number().min(0).max(waitSecondsMax).default(waitSecondsMax) });
