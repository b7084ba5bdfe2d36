/**
 * The visitor's way in: the page behind a sticker, the call, and the page on which the doorcode appears. No login, so every
 * address is a long random word, nothing is cached, and a dead sticker learns nothing about the house.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { listDirectory } from "../../../protocol/site/directory.ts";
import { entityId } from "../../../protocol/wire/messages/fields.ts";
import type { Call } from "../calls.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { doorNameOf } from "../desired.ts";
import { readInput } from "./answers.ts";
import { callPage, deadStickerPage, directoryPage, pageHeaders, plainPage } from "./pages.ts";

interface OpenedPanel {
  readonly panel: string;
  readonly panelName: string;
  readonly door: string;
  readonly doorName: string;
  readonly siteName: string;
  readonly residents: readonly { readonly id: string; readonly name: string; readonly unit: string }[];
}

export function addDirectoryRoutes(server: FastifyInstance, parts: CloudParts): void {
  server.get<{ Params: { token: string } }>("/L/:token", async (request, reply) => {
    const opened = openSticker(parts, request.params.token);
    if (typeof opened === "string") return sendDead(request, reply, opened);
    const { panel, panelName, doorName, siteName, residents } = opened;
    if (wantsJson(request)) return reply.headers(privately).send({ panel, doorName, residents });
    const callPath = `/L/${encodeURIComponent(request.params.token)}/call`;
    return sendPage(reply, 200, directoryPage({ siteName, panelName, doorName, callPath, residents }));
  });

  server.post<{ Params: { token: string } }>("/L/:token/call", async (request, reply) => {
    const opened = openSticker(parts, request.params.token);
    if (typeof opened === "string") return sendDead(request, reply, opened);
    const input = readInput(z.strictObject({ resident: entityId }), request.body, reply);
    if (input === undefined) return reply;
    const resident = opened.residents.find(({ id }) => id === input.resident);
    // Whoever is not listed cannot be called, whether there is such a person or not.
    if (resident === undefined) return reply.code(404).send({ code: "not-listed" });
    const started = parts.calls.start(
      {
        panel: opened.panel,
        door: opened.door,
        doorName: opened.doorName,
        resident: resident.id,
        residentName: resident.name,
        directoryPath: `/L/${encodeURIComponent(request.params.token)}`,
        phones: parts.authority.phonesOf(resident.id),
      },
      parts.ports.clock.nowMs(),
    );
    if (!started.ok) return sendBusy(request, reply, started.fault);
    parts.log.info({ panel: opened.panel, resident: resident.id, state: started.value.state }, "call");
    if (wantsJson(request)) return reply.headers(privately).send({ call: started.value.id });
    return reply.redirect(`/calls/${started.value.id}`, 303);
  });

  server.get<{ Params: { call: string } }>("/calls/:call", async (request, reply) => {
    const call = parts.calls.view(request.params.call, parts.ports.clock.nowMs());
    if (call === undefined) {
      if (wantsJson(request)) return reply.code(404).send({ code: "no-such-call" });
      return sendPage(reply, 404, plainPage("This call is over", "Please scan the sticker at the door again."));
    }
    if (wantsJson(request)) return reply.headers(privately).send(callFields(call));
    return sendPage(reply, 200, callPage(parts.authority.site?.name ?? "", call));
  });
}

function openSticker(parts: CloudParts, token: string): OpenedPanel | "retired" | "unknown" {
  const { authority } = parts;
  const before = authority.state.panels;
  const judged = authority.openToken(token);
  if (judged.verdict !== "current") return judged.verdict;
  // Seen on the wall for the first time: the site stops waiting for it.
  if (authority.state.panels !== before) parts.stickers.tellPanel(judged.panel);
  const { site } = authority;
  const panel = site?.panels.find(({ id }) => id === judged.panel);
  if (site === undefined || panel === undefined) return "unknown";
  return {
    panel: panel.id,
    panelName: panel.name,
    door: panel.door,
    doorName: doorNameOf(site, panel.door),
    siteName: site.name,
    residents: listDirectory(site, panel.id, authority.now()).map(({ personId, name, unitName }) => ({
      id: personId,
      name,
      unit: unitName,
    })),
  };
}

function callFields({ state, reason, given, door, doorName }: Call) {
  const outcome = { state, ...(reason === undefined ? {} : { reason }) };
  if (given === undefined) return outcome;
  if (given.code === "") return { ...outcome, expired: true };
  return { ...outcome, code: given.code, door, doorName, validOn: given.validOn };
}

function sendDead(request: FastifyRequest, reply: FastifyReply, kind: "retired" | "unknown"): FastifyReply {
  const status = kind === "retired" ? 410 : 404;
  if (wantsJson(request))
    return reply
      .code(status)
      .headers(privately)
      .send({ code: `sticker-${kind}` });
  return sendPage(reply, status, deadStickerPage(kind));
}

function sendBusy(request: FastifyRequest, reply: FastifyReply, fault: { readonly code: string }): FastifyReply {
  if (wantsJson(request)) return reply.code(429).send(fault);
  return sendPage(
    reply,
    429,
    plainPage("Too many calls", "Too many calls were made at this door. Please wait a minute."),
  );
}

function sendPage(reply: FastifyReply, status: number, page: string): FastifyReply {
  return reply.code(status).headers(pageHeaders()).send(page);
}

function wantsJson(request: FastifyRequest): boolean {
  return (request.headers.accept ?? "").includes("application/json");
}

const privately = { "cache-control": "no-store" } as const;
