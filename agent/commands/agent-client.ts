/** What the operator's commands ask of the running agent. Every call has a deadline. */
import type { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { faultView } from "../http/views.ts";

export type AgentFault =
  /** Nobody answers there. */
  | { readonly code: "not-running"; readonly url: string }
  /** Somebody answers, and not as this version's agent does. */
  | { readonly code: "not-understood"; readonly url: string }
  /** The agent says no, with its own code. */
  | { readonly code: "refused"; readonly status: number; readonly fault: string; readonly reason?: string };

export interface AgentClient {
  get<Schema extends z.ZodType>(path: string, schema: Schema): Promise<Result<z.output<Schema>, AgentFault>>;
  post<Schema extends z.ZodType>(
    path: string,
    body: object,
    schema: Schema,
    limitMs: number,
  ): Promise<Result<z.output<Schema>, AgentFault>>;
}

export function createAgentClient(url: string): AgentClient {
  return {
    get: (path, schema) => ask(url, path, {}, schema, GET_LIMIT_MS),
    post: (path, body, schema, limitMs) => {
      const headers = { "content-type": "application/json" };
      return ask(url, path, { method: "POST", headers, body: JSON.stringify(body) }, schema, limitMs);
    },
  };
}

async function ask<Schema extends z.ZodType>(
  url: string,
  path: string,
  init: RequestInit,
  schema: Schema,
  limitMs: number,
): Promise<Result<z.output<Schema>, AgentFault>> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(new URL(path, url), { ...init, signal: AbortSignal.timeout(limitMs) });
    body = await response.json();
  } catch (error) {
    return failed(error instanceof SyntaxError ? { code: "not-understood", url } : { code: "not-running", url });
  }
  if (!response.ok) {
    const read = faultView.safeParse(body);
    if (!read.success) return failed({ code: "not-understood", url });
    const { code, reason } = read.data.fault;
    return failed({
      code: "refused",
      status: response.status,
      fault: code,
      ...(reason === undefined ? {} : { reason }),
    });
  }
  const read = schema.safeParse(body);
  return read.success ? ok(read.data) : failed({ code: "not-understood", url });
}

export function describeAgentFault(fault: AgentFault): string {
  switch (fault.code) {
    case "not-running":
      return `no agent answers at ${fault.url}: start it with "doorlink run --config FILE", or say where it is with --agent URL`;
    case "not-understood":
      return `what answers at ${fault.url} is not this version's agent: check --agent, or update one of the two`;
    case "refused":
      return fault.reason === undefined ? fault.fault : `${fault.fault}: ${fault.reason}`;
  }
}

const GET_LIMIT_MS = 5_000;
