/**
 * The agent's own HTTP API on loopback: what the gateway knows, and the three things that may be asked of it: a visit, a pairing and another
 * sticker. No route opens a door, and nothing here takes a doorcode.
 */
import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";
import { parseDeviceId } from "../../protocol/base/units.ts";
import { isLoopbackRequest } from "../../protocol/wire/loopback-request.ts";
import { parseSetupCode } from "../../protocol/wire/setup-code.ts";
import { withDeadline } from "../base/deadline.ts";
import type { PairFault } from "../sync/pairings.ts";
import type { SyncAnswer, SyncFault } from "../sync/visits.ts";
import { changeSticker, stickerStatusOf } from "./change-sticker.ts";
import { type Described, describeExposures, describeLog, describePanels, describeStatus } from "./describe.ts";
import { formatMetrics, METRICS_CONTENT_TYPE } from "./metrics.ts";
import {
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

export type HttpErrorCode = "port-in-use" | "unavailable";

/** The one class the server throws, and only when it is opened. */
export class HttpError extends Error {
  readonly code: HttpErrorCode;

  constructor(code: HttpErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = "HttpError";
    this.code = code;
  }
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback; port 0 is any free one. Throws HttpError: port-in-use, unavailable. */
export async function openHttpServer(port: number, described: Described): Promise<HttpServer> {
  const app = createApp(described);
  try {
    await app.listen({ host: "127.0.0.1", port });
  } catch (cause) {
    const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    throw inUse
      ? new HttpError("port-in-use", `HTTP API: port ${port} is in use`, { cause })
      : new HttpError("unavailable", `HTTP API: cannot listen on port ${port}`, { cause });
  }
  const address = app.server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () => app.close(),
  };
}

/** The routes without a socket, for tests. */
export function createApp(described: Described): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_LIMIT_MS,
    forceCloseConnections: true,
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
  app.get("/healthz", async () => ({ ok: true }));
  app.get("/api/status", async () => statusView.parse(await describeStatus(described)));
  app.get("/metrics", async (_request, reply) => {
    reply.type(METRICS_CONTENT_TYPE);
    return formatMetrics(statusView.parse(await describeStatus(described)));
  });
  app.get("/api/panels", async () => panelsAnswer.parse(describePanels(described)));
  app.get("/api/exposure", async () => exposureAnswer.parse({ at: now(), exposures: describeExposures(described) }));
  app.get("/api/log", async (request, reply) => {
    const query = logQuery.safeParse(request.query);
    if (!query.success) return reply.code(400).send(badInput(query.error));
    return logAnswer.parse({ at: now(), entries: await describeLog(described, query.data.limit) });
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
  app.post("/api/sticker", async (request, reply) => {
    const body = stickerRequest.safeParse(request.body);
    if (!body.success) return reply.code(400).send(badInput(body.error));
    const changed = await changeSticker(described, body.data);
    if (changed.ok) return panelView.parse(changed.value);
    return reply.code(stickerStatusOf(changed.fault)).send(fault(changed.fault.code, changed.fault.reason));
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
const REQUEST_LIMIT_MS = 10_000;
/** A visit ends after 90 s at the latest, and it may have to wait for the one before it. */
const SYNC_LIMIT_MS = 200_000;
const PARAMETER_LIMIT_CHARACTERS = 16 * 1024;
const REASON_LIMIT_CHARACTERS = 300;
