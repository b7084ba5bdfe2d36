/** Any bytes on the agent's HTTP socket, and any body on any of its routes: an answer with a name, never an inner fault, and others go on. */
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpServer, openHttpServer } from "../../../agent/http/listen.ts";
import { createApp } from "../../../agent/http/server.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { almost, almostText, fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";
import { type GatewayWorld, startGateway, tellSite } from "../../world/gateway-builder.ts";
import { routeEntries } from "../../world/row-72-routes.ts";

const routes = Object.entries(routeEntries.agent).map(([route, { bodies = [] }]) => {
  const [method = "", url = ""] = route.split(" ");
  return { method, url: url.replace(":device", "lock-c1"), bodies };
});
const bodies = routes.flatMap((route) => route.bodies.map((body) => JSON.stringify(body)));
const requests = routes.flatMap(({ method, url, bodies: own }) =>
  (own.length === 0 ? [undefined] : own).map((body) => {
    const content = body === undefined ? "" : JSON.stringify(body);
    const head = `${method} ${url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
    return utf8(`${head}Content-Length: ${content.length}\r\nConnection: close\r\n\r\n${content}`);
  }),
);

let world: GatewayWorld;
let server: HttpServer;

beforeAll(async () => {
  world = await startGateway({ automatic: false });
  await tellSite(world);
  server = await openHttpServer(0, world);
});

afterAll(async () => {
  await server.close();
  await world.gateway.stop();
});

describe("anything on the agent's HTTP", () => {
  it(
    "[H1] any bytes on the socket are answered or hung up on, and the next one is served",
    async () => {
      await fc.assert(
        fc.asyncProperty(almost(requests), fc.boolean(), async (bytes, hangsUp) => {
          const answer = await talk(server.port, bytes, hangsUp);
          expect(answer.startsWith("HTTP/1.1 500")).toBe(false);
          const health = await fetch(`http://127.0.0.1:${server.port}/healthz`);
          expect(await health.json()).toEqual({ ok: true });
        }),
        fuzzRuns(150),
      );
    },
    fuzzTimeout.timeout,
  );

  it(
    "any method, path, query and body is answered with what was asked for or with a named fault",
    async () => {
      const app = createApp(world);
      const url = almostText(
        routes.map((route) => route.url),
        "/?&=%.:-0a",
      );
      const payload = fc.option(almostText([...bodies, "[]", "null", '{"__proto__":{}}'], '{}[]":,\\0e-'), { nil: "" });
      const method = fc.constantFrom("GET" as const, "POST" as const, "PUT" as const, "DELETE" as const);
      await fc.assert(
        fc.asyncProperty(method, url, payload, async (how, path, body) => {
          const headers = { host: "127.0.0.1", "content-type": "application/json" };
          const answering = app.inject({
            method: how,
            url: `/${encodeURI(path.toWellFormed())}`.replace("//", "/"),
            payload: body,
            headers,
          });
          // Somebody who asks for a sync waits for its visit.
          await world.clock.advance(0);
          const answer = await answering;
          expect(answer.statusCode).not.toBe(500);
          if (answer.statusCode >= 400) expect(answer.json()).toMatchObject({ fault: { code: expect.any(String) } });
        }),
        fuzzRuns(300),
      );
      await app.close();
    },
    fuzzTimeout.timeout,
  );
});

/** Sends the bytes and gives what came back until the other end hung up, or until it has had its time. */
function talk(port: number, bytes: Uint8Array, hangsUp: boolean): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let heard = "";
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(heard));
    socket.write(bytes);
    // A request that is not whole is waited for by the server; this client hangs up instead.
    if (hangsUp) socket.destroySoon();
    else socket.end();
  });
}
