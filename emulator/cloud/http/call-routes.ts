/**
 * A call from the resident's side: answering it, what the app's call screen offers, and a doorcode for the visitor. Bearer token.
 * The manager sees how calls ended and what was missing, never a code and never a call's address.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { AllotFault } from "../../../protocol/doorcode/allot.ts";
import { type CallScreenFacts, callScreen, callScreenAsShown } from "../../../protocol/site/call-screen.ts";
import { personById } from "../../../protocol/site/rights.ts";
import type { Call, CallReason } from "../calls.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { doorcodeLocks, issueDailyCode } from "../doorcodes.ts";
import { readInput, sendFault } from "./answers.ts";
import { personOf, sendUnauthorized } from "./app-routes.ts";

export function addCallRoutes(server: FastifyInstance, parts: CloudParts): void {
  addScreenRoutes(server, parts);
  addCodeRoute(server, parts);

  server.get("/api/calls", async () => ({
    calls: parts.calls.recent(parts.ports.clock.nowMs()).map((call) => ({
      panel: call.panel,
      door: call.door,
      resident: call.resident,
      startedAt: Math.floor(call.startedAt / 1000),
      state: call.state,
      reason: call.reason ?? null,
      appVersion: call.appVersion ?? null,
      missing: call.missing ?? [],
    })),
  }));
}

function addScreenRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { calls, ports } = parts;
  const now = () => ports.clock.nowMs();

  server.post<CallParams>("/app/calls/:call/answer", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const answered = calls.answer(request.params.call, person, now(), appVersionOf(request));
    if (!answered.ok) return sendFault(reply, answered.fault);
    // Rows 30-33: the option is there only where a lock could take the code and the app knows how to ask for it.
    return callScreen(screenFacts(parts, answered.value));
  });

  server.post<CallParams>("/app/calls/:call/decline", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const input = readInput(declineSchema, request.body, reply);
    if (input === undefined) return reply;
    const { call } = request.params;
    const answered = calls.answered(call, person, now());
    const ended = answered.ok ? hangUp(parts, answered.value, input.shown) : calls.decline(call, person, now());
    return ended.ok ? { state: ended.value.state } : sendFault(reply, ended.fault);
  });
}

/** Hanging up where the app had no option to offer is no refusal: the visitor and the manager learn what was missing. */
function hangUp({ calls, ports, ...parts }: CloudParts, call: Call, shown: Shown) {
  const facts = screenFacts(parts, call);
  const { missing } = shown === undefined ? callScreen(facts) : callScreenAsShown(facts, shown);
  const [first] = missing;
  if (first === undefined) return calls.decline(call.id, call.resident, ports.clock.nowMs());
  const reason = first.reason === "UNEXPLAINED" ? "OPTION_NOT_SHOWN" : first.reason;
  parts.log.info({ door: call.door, resident: call.resident, reason }, "call screen without a doorcode");
  return calls.fail(call.id, call.resident, reason, ports.clock.nowMs(), missing);
}

function addCodeRoute(server: FastifyInstance, parts: CloudParts): void {
  const { authority, calls, ports } = parts;
  const now = () => ports.clock.nowMs();

  server.post<CallParams>("/app/calls/:call/doorcode", async (request, reply) => {
    const person = personOf(parts, request);
    if (person === undefined) return sendUnauthorized(reply);
    const call = calls.answered(request.params.call, person, now());
    if (!call.ok) return sendFault(reply, call.fault);
    const { missing } = callScreen(screenFacts(parts, call.value));
    if (missing.some(({ reason }) => reason === "APP_TOO_OLD")) {
      calls.fail(call.value.id, person, "APP_TOO_OLD", now(), missing);
      return reply.code(409).send({ code: "APP_TOO_OLD" });
    }
    const issued = issueDailyCode(authority, { door: call.value.door, person });
    if (!issued.ok) {
      calls.fail(call.value.id, person, reasonOf(issued.fault), now(), missing);
      return reply.code(409).send({ code: issued.fault.code });
    }
    const { code, door, validOn } = issued.value;
    const given = calls.giveCode(call.value.id, person, issued.value, now());
    if (!given.ok) return sendFault(reply, given.fault);
    parts.log.info({ door, resident: person, validOn }, "doorcode issued");
    return reply.header("cache-control", "no-store").send({ code, door, validOn });
  });
}

function screenFacts({ authority }: Pick<CloudParts, "authority">, call: Call): CallScreenFacts {
  const person = authority.site === undefined ? undefined : personById(authority.site, call.resident);
  return {
    doorName: call.doorName,
    resident: { name: call.residentName, email: person?.email ?? "" },
    doorcodeLocks: doorcodeLocks(authority, call.door).length,
    appVersion: call.appVersion,
  };
}

/** An app says its version with each request; one that says none, or something else, is of an unknown version. */
function appVersionOf(request: FastifyRequest): string | undefined {
  const text = request.headers["x-app-version"];
  return typeof text === "string" && text.length <= versionCharactersMax ? text : undefined;
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

interface CallParams {
  readonly Params: { readonly call: string };
}

/** What the app really showed; absent: it did not say. */
const declineSchema = z.object({
  shown: z
    .array(z.enum(["generate-doorcode"]))
    .max(8)
    .optional(),
});
type Shown = z.output<typeof declineSchema>["shown"];
const versionCharactersMax = 32;
