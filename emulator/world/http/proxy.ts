/**
 * The page's way to the agent and the cloud: a short list of routes, passed through as they are, so that the page needs
 * one origin. What is not on the list does not exist here.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import { fetchText } from "../../people/cloud-client.ts";

export interface Peers {
  /** Undefined when the process was started without --agent-http: the page then says so. */
  readonly agentHttp: string | undefined;
  readonly cloudUrl: string;
}

export function addProxyRoutes(server: FastifyInstance, peers: Peers): void {
  for (const path of ["/api/status", "/api/panels", "/api/exposure", "/api/log"]) {
    server.get(`/agent${path}`, (request, reply) => pass(reply, peers.agentHttp, "GET", path + queryOf(request.url)));
  }
  server.get<{ Params: { device: string } }>("/agent/api/sync/:device", (request, reply) =>
    pass(reply, peers.agentHttp, "GET", `/api/sync/${encodeURIComponent(request.params.device)}`),
  );
  server.post("/agent/api/sync", (request, reply) =>
    pass(reply, peers.agentHttp, "POST", "/api/sync", request.body, SYNC_TIMEOUT_MS),
  );
  for (const path of [
    "/api/people",
    "/api/doors",
    "/api/devices",
    "/api/exposure",
    // The page is the bench's and ticks what the record has, also at homes, where a manager sees no counts.
    "/bench/record/summary",
    "/world/link",
  ]) {
    server.get(`/cloud${path}`, (request, reply) => pass(reply, peers.cloudUrl, "GET", path + queryOf(request.url)));
  }
  server.post("/cloud/world/link", (request, reply) =>
    pass(reply, peers.cloudUrl, "POST", "/world/link", request.body),
  );
  server.post<{ Params: { id: string } }>("/cloud/api/people/:id/revoke", (request, reply) =>
    pass(reply, peers.cloudUrl, "POST", `/api/people/${encodeURIComponent(request.params.id)}/revoke`, {}),
  );
}

async function pass(
  reply: FastifyReply,
  base: string | undefined,
  method: "GET" | "POST",
  path: string,
  body?: unknown,
  timeoutMs?: number,
): Promise<FastifyReply> {
  if (base === undefined) return reply.code(503).send({ code: "no-agent-configured" });
  const answered = await fetchText(new URL(path, base), {
    method,
    ...(method === "POST" ? { body: body ?? {} } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  if (!answered.ok) return reply.code(502).send({ code: "peer-unreachable", systemCode: answered.fault.systemCode });
  return reply.code(answered.value.status).type("application/json").send(answered.value.text);
}

function queryOf(url: string): string {
  const at = url.indexOf("?");
  return at === -1 ? "" : url.slice(at);
}

/** A visit has its own limit of 90 s. */
const SYNC_TIMEOUT_MS = 100_000;
