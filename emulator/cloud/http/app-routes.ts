/** The resident's app: calls that ring, answering them, a doorcode for the visitor, and one's own codes. Bearer token. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { AllotFault } from "../../../protocol/doorcode/allot.ts";
import type { CallFault, CallReason } from "../calls.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { doorcodeLocks, issueDailyCode, ownCodes } from "../doorcodes.ts";
import { readInput, sendFault } from "./answers.ts";

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

  server.get("/app/codes", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const { site } = authority;
    const codes = site === undefined ? [] : ownCodes(site, person, authority.now());
    return reply.header("cache-control", "no-store").send({ codes });
  });

  addCallRoutes(server, parts);
}

function addCallRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, calls, ports } = parts;
  const now = () => ports.clock.nowMs();

  server.post<CallParams>("/app/calls/:call/answer", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const answered = calls.answer(request.params.call, person, now());
    if (!answered.ok) return sendCallFault(reply, answered.fault);
    // Row 33: the option is there only where a lock could take the code.
    const offers = doorcodeLocks(authority, answered.value.door).length > 0;
    return { options: offers ? ["generate-doorcode"] : [] };
  });

  server.post<CallParams>("/app/calls/:call/decline", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const { call } = request.params;
    const answered = calls.answered(call, person, now());
    // Hanging up where the app had no option to offer is no refusal: the visitor learns what is missing.
    const offeredNone = answered.ok && doorcodeLocks(authority, answered.value.door).length === 0;
    const ended = offeredNone
      ? calls.fail(call, person, "NO_ACTIVE_DEVICE", now())
      : calls.decline(call, person, now());
    return ended.ok ? { state: ended.value.state } : sendCallFault(reply, ended.fault);
  });

  server.post<CallParams>("/app/calls/:call/doorcode", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const call = calls.answered(request.params.call, person, now());
    if (!call.ok) return sendCallFault(reply, call.fault);
    const issued = issueDailyCode(authority, { door: call.value.door, person });
    if (!issued.ok) {
      calls.fail(call.value.id, person, reasonOf(issued.fault), now());
      return reply.code(409).send({ code: issued.fault.code });
    }
    const { code, door, validOn } = issued.value;
    const given = calls.giveCode(call.value.id, person, issued.value, now());
    if (!given.ok) return sendCallFault(reply, given.fault);
    parts.log.info({ door, resident: person, validOn }, "doorcode issued");
    return reply.header("cache-control", "no-store").send({ code, door, validOn });
  });
}

interface CallParams {
  readonly Params: { readonly call: string };
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

function personOf(parts: CloudParts, request: FastifyRequest): string | undefined {
  const [scheme, token, ...rest] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer" || token === undefined || rest.length > 0) return undefined;
  return parts.authority.personOfToken(token);
}

function sendUnauthorized(reply: FastifyReply): FastifyReply {
  return reply.code(401).header("www-authenticate", "Bearer").send({ code: "no-such-phone" });
}

function sendCallFault(reply: FastifyReply, fault: CallFault): FastifyReply {
  return sendFault(reply, fault);
}

function reasonOf(fault: AllotFault): CallReason {
  switch (fault.code) {
    case "NO_ACTIVE_DEVICE":
    case "NO_ACCESS":
    case "SLOTS_EXHAUSTED":
      return fault.code;
    default:
      return "NOT_ISSUED";
  }
}

/** The longest that a phone's request stays open: proxies commonly cut at 30 s. */
const waitSecondsMax = 25;
const pollSchema = z.object({ wait: z.coerce.number().min(0).max(waitSecondsMax).default(waitSecondsMax) });
