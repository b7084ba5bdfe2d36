/**
 * The door of the HTTP API: a bare server on loopback, which is open as soon as the agent runs. The routes, and Fastify with them, are
 * loaded with the first request: a gateway that nobody asks does not pay their 10 MB, and none waits for them with its start.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Described } from "./describe.ts";

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

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Listens on loopback; port 0 is any free one. Throws HttpError: port-in-use, unavailable. */
export async function openHttpServer(port: number, described: Described): Promise<HttpServer> {
  let routes: Promise<Routes> | undefined;
  const server = createServer({ requestTimeout: REQUEST_LIMIT_MS }, (request, response) => {
    routes ??= loadRoutes(described);
    routes.then(
      ({ answer }) => answer(request, response),
      () => response.writeHead(500).end(),
    );
  });
  await listen(server, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await (await routes?.catch(() => undefined))?.close();
    },
  };
}

interface Routes {
  readonly answer: Answer;
  close(): Promise<void>;
}

async function loadRoutes(described: Described): Promise<Routes> {
  const { createApp } = await import("./server.ts");
  const app = createApp(described);
  await app.ready();
  return { answer: (request, response) => app.routing(request, response), close: () => app.close() };
}

async function listen(server: Server, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  } catch (cause) {
    const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    throw inUse
      ? new HttpError("port-in-use", `HTTP API: port ${port} is in use`, { cause })
      : new HttpError("unavailable", `HTTP API: cannot listen on port ${port}`, { cause });
  }
}

const REQUEST_LIMIT_MS = 10_000;
