/**
 * The cloud's HTTP side: one server for the visitor's pages, the resident's app, the manager and the bench. No route opens a
 * door but for somebody who proves that they may (`unlock-routes.ts`). Requests are logged by their route and status, never by their path or body: tokens, calls and codes stand in those.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { isLoopbackRequest } from "../../../protocol/wire/loopback-request.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { addAccountRoutes, refuseSignedOut } from "./account-routes.ts";
import { addAppRoutes } from "./app-routes.ts";
import { addBenchRoutes } from "./bench-routes.ts";
import { addCallRoutes } from "./call-routes.ts";
import { addCourierRoutes } from "./courier-routes.ts";
import { addDirectoryRoutes } from "./directory-routes.ts";
import { addDoorcodeRoutes } from "./doorcode-routes.ts";
import { addGatewayRoutes } from "./gateway-routes.ts";
import { addManagerRoutes } from "./manager-routes.ts";
import { addUnlockRoutes } from "./unlock-routes.ts";

export function createHttpServer(parts: CloudParts): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: true,
  });
  // Site files come as YAML, forms from the directory page; both are read as text and parsed by their routes.
  server.addContentTypeParser(
    ["text/yaml", "application/yaml", "application/x-yaml", "text/plain"],
    { parseAs: "string" },
    (_request, body, done) => done(null, body),
  );
  server.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ code: "not-found" }));
  server.setErrorHandler((error, request, reply) => answerError(parts, error, request, reply));
  server.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "(none)";
    parts.log.debug({ method: request.method, route, status: reply.statusCode }, "request");
  });
  server.addHook("onRequest", async (request, reply) => {
    const route = request.routeOptions.url ?? "";
    if (!benchOnly.some((prefix) => route.startsWith(prefix))) return;
    const local = isLoopbackRequest(request.headers) && isLoopback(request.socket.remoteAddress);
    if (!local) return reply.code(403).send({ code: "loopback-only" });
  });
  refuseSignedOut(server, parts);
  server.get("/healthz", async () => ({
    ok: true,
    site: parts.authority.site?.id ?? null,
    link: parts.broker.linkIsUp,
  }));
  addBenchRoutes(server, parts);
  addManagerRoutes(server, parts);
  addGatewayRoutes(server, parts);
  addDirectoryRoutes(server, parts);
  addAppRoutes(server, parts);
  addAccountRoutes(server, parts);
  addCourierRoutes(server, parts);
  addCallRoutes(server, parts);
  addDoorcodeRoutes(server, parts);
  addUnlockRoutes(server, parts);
  return server;
}

function answerError(parts: CloudParts, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = typeof error === "object" && error !== null && "statusCode" in error ? Number(error.statusCode) : 500;
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "internal";
  const route = request.routeOptions.url ?? "(none)";
  if (status >= 400 && status < 500) return reply.code(status).send({ code: codeNames[code] ?? "bad-request" });
  // Our own mistake. Its text goes to the log, where no request data is; the caller learns only that it happened.
  parts.log.error({ route, error: error instanceof Error ? error.stack : "not an error" }, "request failed");
  return reply.code(500).send({ code: "internal" });
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}

/**
 * The emulator's manager and bench have no login. With a public URL the server also listens for phones on the local network;
 * these routes still answer this machine alone (SPEC H1): no foreign page in its browser, and nothing through a proxy.
 */
const benchOnly = ["/api/", "/bench/", "/world/"] as const;

const codeNames: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "body-too-large",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported-media-type",
  FST_ERR_CTP_INVALID_JSON_BODY: "body-not-json",
  FST_ERR_CTP_EMPTY_JSON_BODY: "body-empty",
};

/** A site file of 10,000 people with 20,000 credentials is about 3 MB. */
const bodyLimitBytes = 8 * 1024 * 1024;
