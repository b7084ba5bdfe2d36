/**
 * The world's API and the demo page on one port. The world is what a person at the doors can do: type, hold up a card,
 * photograph a sticker. Nothing here talks to a lock on any other way than its keypad and its reader.
 *
 * Requests that change something must say that they bring JSON or a PNG: a foreign web page in the same browser cannot send
 * that without asking first, and is never allowed to.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { z } from "zod";
import { assert } from "../../../protocol/base/result.ts";
import { CLAIM_LIMIT_CHARACTERS } from "../../../protocol/wire/claim-string.ts";
import { isLoopbackRequest } from "../../../protocol/wire/loopback-request.ts";
import { KEYPAD_KEYS, parseKeypadKey } from "../../device/keypad.ts";
import type { Visitor } from "../../people/visitor.ts";
import {
  factoryReset,
  giveClaim,
  pressKey,
  setupCode,
  syncByPhone,
  tryDevice,
  turnDeadbolt,
  typeCode,
} from "../house.ts";
import { deviceLog, type SnapshotParts, worldSnapshot } from "../snapshot.ts";
import type { EventStream } from "./event-stream.ts";
import { addProxyRoutes, type Peers } from "./proxy.ts";
import { readInput, sendFault } from "./reply.ts";

export interface WorldHttpParts extends SnapshotParts {
  readonly visitor: Visitor;
  readonly stream: EventStream;
  readonly peers: Peers;
  readonly onError: (route: string, error: unknown) => void;
}

export function createWorldServer(parts: WorldHttpParts): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: 100 },
    forceCloseConnections: true,
  });
  server.addContentTypeParser("image/png", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  server.addHook("onRequest", async (request, reply) => {
    if (!isLoopbackRequest(request.headers)) return reply.code(403).send({ code: "loopback-only" });
    const type = request.headers["content-type"] ?? "";
    const plain = !type.startsWith("application/json") && !type.startsWith("image/png");
    if (request.method === "POST" && plain) return reply.code(415).send({ code: "unsupported-media-type" });
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ code: "not-found" }));
  server.setErrorHandler((error, request, reply) => {
    const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    if (status >= 400 && status < 500) return reply.code(status).send({ code: "bad-request" });
    parts.onError(request.routeOptions.url ?? "(none)", error);
    return reply.code(500).send({ code: "internal" });
  });
  server.get("/healthz", async () => ({ ok: true, broughtUp: parts.broughtUp() }));
  server.get("/api/world", async () => worldSnapshot(parts));
  server.get("/api/world/stream", (request, reply) => {
    if (!parts.stream.open(request, reply)) reply.code(503).send({ code: "too-many-listeners" });
  });
  addDeviceRoutes(server, parts);
  addPhoneRoutes(server, parts);
  addPanelRoutes(server, parts);
  addVisitorRoutes(server, parts);
  addPageRoutes(server);
  addProxyRoutes(server, parts.peers);
  return server;
}

function addDeviceRoutes(server: FastifyInstance, parts: WorldHttpParts): void {
  const { options } = parts;
  server.post<IdParams>("/api/locks/:id/keypad", async (request, reply) => {
    const input = readInput(keypadSchema, request.body, reply);
    if (input === undefined) return reply;
    if ("key" in input) {
      const key = parseKeypadKey(input.key);
      assert(key !== undefined, "the schema lets keys through only");
      const pressed = pressKey(parts, request.params.id, key);
      return pressed.ok ? pressed.value : sendFault(reply, pressed.fault);
    }
    const typed = await typeCode(parts, request.params.id, input.code);
    return typed.ok ? typed.value : sendFault(reply, typed.fault);
  });
  server.post<IdParams>("/api/people/:id/try", async (request, reply) => {
    const input = readInput(trySchema, request.body, reply);
    if (input === undefined) return reply;
    const tried = await tryDevice(parts, request.params.id, input);
    return tried.ok ? tried.value : sendFault(reply, tried.fault);
  });
  server.post<IdParams>("/api/people/:id/sync", async (request, reply) => {
    const input = readInput(syncSchema, request.body, reply);
    if (input === undefined) return reply;
    const synced = await syncByPhone(parts, request.params.id, input);
    return synced.ok ? synced.value : sendFault(reply, synced.fault);
  });
  server.post<IdParams>("/api/locks/:id/deadbolt", async (request, reply) => {
    const input = readInput(deadboltSchema, request.body, reply);
    if (input === undefined) return reply;
    const turned = turnDeadbolt(parts, request.params.id, input.deadbolt);
    return turned.ok ? turned.value : sendFault(reply, turned.fault);
  });
  /** The card in the lock's box; whoever holds it can pair an unpaired lock. */
  server.get<IdParams>("/api/locks/:id/setup-code", async (request, reply) => {
    const code = setupCode(parts, request.params.id);
    reply.header("cache-control", "no-store");
    return code.ok ? { device: request.params.id, code: code.value } : sendFault(reply, code.fault);
  });
  /** Somebody opened the lock from inside and holds its reset button. */
  server.post<IdParams>("/api/locks/:id/factory-reset", async (request, reply) => {
    const reset = factoryReset(parts, request.params.id);
    return reset.ok ? { device: request.params.id, paired: false } : sendFault(reply, reset.fault);
  });
  /** Somebody types a claim string into a networked device's set-up page. */
  server.post<IdParams>("/api/devices/:id/claim", async (request, reply) => {
    const input = readInput(claimSchema, request.body, reply);
    if (input === undefined) return reply;
    const given = giveClaim(parts, request.params.id, input.claim);
    return given.ok ? { device: given.value } : sendFault(reply, given.fault);
  });
  server.get<IdParams>("/api/devices/:id/log", async (request, reply) => {
    const events = deviceLog(parts, request.params.id);
    return events === undefined ? sendFault(reply, { code: "no-such-device" }) : { device: request.params.id, events };
  });
  server.get("/api/log", async () => ({ lines: options.log.latest() }));
}

/** What a person does with the app on a phone, their own or another. */
function addPhoneRoutes(server: FastifyInstance, { handsets, stream, options }: WorldHttpParts): void {
  const knows = (id: string) => options.worldSite.site.people.some((person) => person.id === id);
  for (const [path, act] of [
    ["/api/people/:id/sign-in", (person: string, phone: string) => handsets.signIn(person, phone)],
    ["/api/people/:id/sign-out", (person: string, phone: string) => handsets.signOut(person, phone)],
  ] as const) {
    server.post<IdParams>(path, async (request, reply) => {
      const input = readInput(phoneSchema, request.body, reply);
      if (input === undefined) return reply;
      if (!knows(request.params.id)) return sendFault(reply, { code: "no-such-person" });
      const done = await act(request.params.id, input.phone);
      stream.send("people", null);
      return done.ok
        ? { person: request.params.id, signedInOn: handsets.phonesOf(request.params.id) }
        : sendFault(reply, done.fault);
    });
  }
  server.post<IdParams>("/api/people/:id/codes", async (request, reply) => {
    const input = readInput(phoneSchema.partial(), request.body, reply);
    if (input === undefined) return reply;
    const codes = await handsets.codes(request.params.id, input.phone);
    // The phone's own screen: it must stay in no cache.
    reply.header("cache-control", "no-store");
    return codes.ok ? { codes: codes.value } : sendFault(reply, codes.fault);
  });
}

function addPanelRoutes(server: FastifyInstance, { walls, options }: WorldHttpParts): void {
  server.post<IdParams>("/api/panels/:id/mount", async (request, reply) => {
    if (!Buffer.isBuffer(request.body)) return reply.code(415).send({ code: "unsupported-media-type" });
    const panel = options.worldSite.site.panels.find(({ id }) => id === request.params.id);
    const mounted = walls.mount(request.params.id, new Uint8Array(request.body));
    if (!mounted.ok) return sendFault(reply, mounted.fault);
    if (panel !== undefined)
      options.log.add({ device: panel.id, kind: "sticker", note: `sticker ${mounted.value + 1} mounted` });
    return { panel: request.params.id, sticker: mounted.value };
  });
  server.get<IdParams & { Querystring: { sticker?: string } }>(
    "/api/panels/:id/sticker.png",
    async (request, reply) => {
      const stickers = walls.wall(request.params.id)?.stickers;
      const asked = request.query.sticker;
      const picture = asked === undefined ? stickers?.at(-1) : stickers?.[Number(asked)];
      if (picture === undefined) return sendFault(reply, { code: "no-such-sticker" });
      return reply.type("image/png").header("cache-control", "no-store").send(Buffer.from(picture));
    },
  );
}

function addVisitorRoutes(server: FastifyInstance, parts: WorldHttpParts): void {
  const { visitor, walls, options } = parts;
  const { log, worldSite } = options;
  server.post("/api/visitors/scan", async (request, reply) => {
    const input = readInput(scanSchema, request.body, reply);
    if (input === undefined) return reply;
    const wall = walls.wall(input.panel);
    const panel = worldSite.site.panels.find(({ id }) => id === input.panel);
    if (wall === undefined || panel === undefined) return sendFault(reply, { code: "no-such-panel" });
    const scanned = await visitor.scan(wall, input.sticker);
    if (!scanned.ok) return sendFault(reply, scanned.fault);
    const { photo, status, problem } = scanned.value;
    log.add({ device: panel.id, kind: "scan", note: problem ?? `page opened (${status})` });
    return { ...scanned.value, photo: `/api/visitors/photos/${photo}` };
  });
  server.get<{ Params: { name: string } }>("/api/visitors/photos/:name", async (request, reply) => {
    const jpeg = visitor.photo(request.params.name);
    if (jpeg === undefined) return sendFault(reply, { code: "no-such-photo" });
    return reply.type("image/jpeg").send(Buffer.from(jpeg));
  });
  server.post("/api/visitors/call", async (request, reply) => {
    const input = readInput(callSchema, request.body, reply);
    if (input === undefined) return reply;
    const called = await visitor.call(input.panel, input.resident);
    if (!called.ok) return sendFault(reply, called.fault);
    const phone = worldSite.world.phones.find(({ person }) => person === input.resident);
    const panel = worldSite.site.panels.find(({ id }) => id === input.panel);
    if (panel !== undefined) log.add({ device: panel.id, kind: "call", who: input.resident, note: called.value.state });
    // The page shows the visitor's own screen; the code must not stay in a cache.
    reply.header("cache-control", "no-store");
    return { ...called.value, phone: phone === undefined ? null : (parts.phones.get(phone.id)?.state ?? null) };
  });
  server.post("/api/visitors/type", async (request, reply) => {
    const input = readInput(z.strictObject({ lock: z.string() }), request.body, reply);
    if (input === undefined) return reply;
    const code = visitor.readCode();
    if (!code.ok) return sendFault(reply, code.fault);
    const typed = await typeCode(parts, input.lock, code.value, "visitor");
    return typed.ok ? typed.value : sendFault(reply, typed.fault);
  });
}

function addPageRoutes(server: FastifyInstance): void {
  for (const [path, { file, type }] of Object.entries(pageFiles)) {
    server.get(path, async (_request, reply) => sendPageFile(reply, file, type));
  }
}

async function sendPageFile(reply: FastifyReply, file: string, type: string): Promise<FastifyReply> {
  const text = await readFile(fileURLToPath(new URL(`../../page/${file}`, import.meta.url)));
  return reply.type(type).headers(pageHeaders).send(text);
}

interface IdParams {
  readonly Params: { readonly id: string };
}

const pageFiles: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  "/": { file: "index.html", type: "text/html; charset=utf-8" },
  "/page.css": { file: "page.css", type: "text/css; charset=utf-8" },
  "/page.js": { file: "page.js", type: "text/javascript; charset=utf-8" },
};

const pageHeaders = {
  "cache-control": "no-cache",
  "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;

const keypadSchema = z.union([
  z.strictObject({ code: z.string().regex(/^[0-9]{1,64}$/, "1-64 digits") }),
  z.strictObject({ key: z.enum([...KEYPAD_KEYS]) }),
]);
const trySchema = z.strictObject({
  device: z.string(),
  credential: z.string().optional(),
  phone: z.string().optional(),
  copied: z.boolean().optional(),
});
const syncSchema = z.strictObject({
  device: z.string(),
  phone: z.string().optional(),
  offline: z.boolean().optional(),
});
const deadboltSchema = z.strictObject({ deadbolt: z.enum(["extended", "retracted"]) });
const claimSchema = z.strictObject({ claim: z.string().max(CLAIM_LIMIT_CHARACTERS) });
const phoneSchema = z.strictObject({ phone: z.string() });
const scanSchema = z.strictObject({ panel: z.string(), sticker: z.int().min(0).optional() });
const callSchema = z.strictObject({ panel: z.string(), resident: z.string() });

/** A sticker of 600 dpi is about 200 kB. */
const BODY_LIMIT_BYTES = 4 * 1024 * 1024;
