/**
 * The agent's own HTTP API on loopback: what the gateway knows, and the three things that may be asked of it: a visit, a pairing and another
 * sticker. No route opens a door, and nothing here takes a doorcode.
 */
import { randomBytes } from "node:crypto";
import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import { parseDeviceId } from "../../protocol/base/units.ts";
import { isLoopbackRequest } from "../../protocol/wire/loopback-request.ts";
import { parseSetupCode } from "../../protocol/wire/setup-code.ts";
import { withDeadline } from "../base/deadline.ts";
import { collectDiagnostics, diagnosticsView } from "../bundle/diagnostics.ts";
import { secondsOf } from "../devices.ts";
import { DoorLog, type DoorLogFault } from "../log/door-log.ts";
import { formatLogMistake } from "../log/log-query.ts";
import type { PairFault } from "../sync/pairings.ts";
import type { SyncAnswer, SyncFault } from "../sync/visits.ts";
import { changeSticker, stickerStatusOf } from "./change-sticker.ts";
import { type Described, describeExposures, describePanels, describeStatus } from "./describe.ts";
import { enrolmentStatusOf, registerEnrolmentRoutes } from "./enrolment-routes.ts";
import { stickerCheckRequest, stickerCheckView } from "./health-views.ts";
import { formatMetrics, METRICS_CONTENT_TYPE } from "./metrics.ts";
import { Readiness, readinessView } from "./readiness.ts";
import {
  eraseAnswer,
  eraseRequest,
  exposureAnswer,
  faultView,
  logAnswer,
  logQuery,
  pairAnswerView,
  pairRequest,
  panelsAnswer,
  panelView,
  statusView,
  stickerRequest,
  syncAnswerView,
  syncProgressView,
  syncRequest,
} from "./views.ts";

/** The routes without a socket: `openHttpServer` (listen.ts) and tests give them requests. */
export function createApp(described: Described): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    // Beyond the longest URL that the HTTP parser takes, so that the routes' own schemas judge a parameter.
    routerOptions: { maxParamLength: PARAMETER_LIMIT_CHARACTERS },
  });
  // SPEC H1: the door log and the locks' syncs are for this machine alone, not for a page that made its name point here.
  app.addHook("onRequest", async (request, reply) => {
    if (!isLoopbackRequest(request.headers)) return reply.code(403).send(fault("loopback-only"));
  });
  app.setErrorHandler((error, _request, reply) => {
    const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    reply.code(status).send(fault(status < 500 ? "bad-request" : "failed"));
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(fault("no-such-route")));
  registerRoutes(app, described);
  return app;
}

function registerRoutes(app: FastifyInstance, described: Described): void {
  const { gateway, clock } = described;
  const now = (): number => Math.floor(clock.nowMs() / 1000);
  const { store, logViews: views } = described;
  const isErased = (person: string): boolean => gateway.remote.isErased(person);
  const doorLog = new DoorLog({
    store,
    table: gateway.table,
    clock,
    isErased,
    clockSynchronised: () => gateway.selfFacts()?.time.synchronised ?? null,
    ...(views === undefined ? {} : { views }),
  });
  // That it answers is all that it says: the process lives and its loop goes round.
  app.get("/healthz", async () => ({ ok: true }));
  const readiness = new Readiness(described);
  app.get("/readyz", async (_request, reply) => {
    const look = readinessView.parse(await readiness.look());
    return reply.code(look.ready ? 200 : 503).send(look);
  });
  app.get("/api/status", async () => statusView.parse(await describeStatus(described)));
  app.get("/metrics", async (_request, reply) => {
    reply.type(METRICS_CONTENT_TYPE);
    return formatMetrics(statusView.parse(await describeStatus(described)), await readiness.look());
  });
  app.get("/api/diagnostics", async () => {
    const randomKey = new Uint8Array(randomBytes(PSEUDONYM_KEY_BYTES));
    return diagnosticsView.parse(await collectDiagnostics({ described, readiness, randomKey }));
  });
  app.get("/api/panels", async () => panelsAnswer.parse(describePanels(described)));
  app.get("/api/exposure", async () => exposureAnswer.parse({ at: now(), exposures: describeExposures(described) }));
  app.get("/api/log", async (request, reply) => {
    const query = logQuery.safeParse(request.query);
    if (!query.success) return reply.code(400).send(badInput(query.error));
    const read = await doorLog.read(query.data);
    if (!read.ok) return reply.code(logStatusOf(read.fault)).send(fault(...logFaultText(read.fault)));
    return logAnswer.parse(read.value);
  });
  registerEnrolmentRoutes(app, {
    gateway,
    desk: described.enrolment,
    say: (refused) => ({ status: enrolmentStatusOf(refused), body: fault(refused.code, refused.reason) }),
  });
  app.post("/api/sync", async (request, reply) => {
    const body = syncRequest.safeParse(request.body);
    if (!body.success) return reply.code(400).send(badInput(body.error));
    const device = parseDeviceId(body.data.device);
    if (device === undefined) return reply.code(404).send(fault("unknown-device"));
    const limit = { timers: clock, limitMs: SYNC_LIMIT_MS, expired: () => new Error("no answer in time") };
    const answer: SyncAnswer | undefined = await withDeadline(gateway.requestSync(device), limit).catch(
      () => undefined,
    );
    if (answer === undefined) return reply.code(504).send(fault("timeout", "the visit goes on"));
    if ("fault" in answer)
      return reply.code(statusOf(answer.fault)).send(fault(answer.fault.code, answer.fault.reason));
    return syncAnswerView.parse(answer);
  });
  app.post("/api/pair", async (request, reply) => {
    const body = pairRequest.safeParse(request.body);
    // What was sent holds a secret, so nothing of it is said again.
    if (!body.success) return reply.code(400).send(fault("bad-request", "expected device, code and maybe address"));
    const device = parseDeviceId(body.data.device);
    if (device === undefined) return reply.code(404).send(fault("unknown-device"));
    const setup = parseSetupCode(body.data.code);
    if (!setup.ok) return reply.code(400).send(fault(setup.fault.code));
    const limit = { timers: clock, limitMs: SYNC_LIMIT_MS, expired: () => new Error("no answer in time") };
    const pairing = gateway.requestPairing({ device, address: body.data.address, setup: setup.value });
    const answer = await withDeadline(pairing, limit).catch(() => undefined);
    if (answer === undefined) return reply.code(504).send(fault("timeout", "the pairing may go on"));
    if ("fault" in answer) {
      return reply.code(statusOf(answer.fault)).send(fault(answer.fault.code, answer.fault.reason));
    }
    return pairAnswerView.parse(answer);
  });
  app.post("/api/person/erase", async (request, reply) => {
    const body = eraseRequest.safeParse(request.body);
    if (!body.success) return reply.code(400).send(badInput(body.error));
    return eraseAnswer.parse(await gateway.remote.erasePerson(body.data.person, body.data.credentials));
  });
  app.post("/api/sticker", async (request, reply) => {
    const body = stickerRequest.safeParse(request.body);
    if (!body.success) return reply.code(400).send(badInput(body.error));
    const changed = await changeSticker(described, body.data);
    if (changed.ok) return panelView.parse(changed.value);
    return reply.code(stickerStatusOf(changed.fault)).send(fault(changed.fault.code, changed.fault.reason));
  });
  app.post("/api/sticker-check", async (request, reply) => {
    const body = stickerCheckRequest.safeParse(request.body);
    if (!body.success) return reply.code(400).send(badInput(body.error));
    const panel = parseDeviceId(body.data.panel);
    if (panel === undefined || gateway.table.panelDesired(panel) === undefined) {
      return reply.code(404).send(fault("no-such-panel"));
    }
    await gateway.stickerChecks.note(panel, body.data, secondsOf(clock.nowMs()));
    return stickerCheckView.parse(gateway.stickerChecks.of(panel));
  });
  app.get("/api/sync/:device", async (request, reply) => {
    const params = syncRequest.safeParse(request.params);
    const device = params.success ? parseDeviceId(params.data.device) : undefined;
    if (device === undefined || gateway.table.device(device) === undefined) {
      return reply.code(404).send(fault("unknown-device"));
    }
    const { progress } = gateway.visits.trace(device);
    return syncProgressView.parse({
      device,
      active: progress?.active ?? false,
      step: progress?.step ?? null,
      done: progress?.done ?? null,
      of: progress?.of ?? null,
    });
  });
}

function fault(code: string, reason?: string): z.output<typeof faultView> {
  return faultView.parse({ fault: { code, ...(reason === undefined ? {} : { reason }) } });
}

function badInput(error: z.ZodError): z.output<typeof faultView> {
  return fault("bad-request", z.prettifyError(error).slice(0, REASON_LIMIT_CHARACTERS));
}

function logStatusOf({ code }: DoorLogFault): number {
  switch (code) {
    case "bad-query":
      return 400;
    case "role-not-allowed":
      return 403;
    case "cursor-expired":
      return 410;
  }
}

/** The fault's name and, for people, what is wrong. */
function logFaultText(logFault: DoorLogFault): readonly [code: string, reason?: string] {
  switch (logFault.code) {
    case "bad-query":
      return ["bad-request", logFault.mistakes.map(formatLogMistake).join("; ")];
    case "role-not-allowed":
      return [logFault.code, `expected ${logFault.allowed.join(" or ")}, came ${logFault.role} (people.views)`];
    case "cursor-expired":
      return [logFault.code, "begin again without a cursor"];
  }
}

function statusOf({ code }: SyncFault | PairFault): number {
  switch (code) {
    case "unknown-device":
      return 404;
    case "not-a-ble-lock":
    case "not-paired":
    case "no-address":
    case "no-keyset":
    case "another-root":
    case "no-certificate":
      return 409;
    case "busy":
    case "other-gateway":
    case "stopping":
      return 503;
    case "not-found":
    case "timeout":
      return 504;
    default:
      return 502;
  }
}

/** The largest body there is names one device. */
const BODY_LIMIT_BYTES = 4096;
const PSEUDONYM_KEY_BYTES = 32;
/** A visit ends after 90 s at the latest, and it may have to wait for the one before it. */
const SYNC_LIMIT_MS = 200_000;
const PARAMETER_LIMIT_CHARACTERS = 16 * 1024;
const REASON_LIMIT_CHARACTERS = 300;
