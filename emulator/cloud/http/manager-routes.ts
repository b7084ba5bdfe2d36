/** The manager's API: people, doors, devices with health and firmware, exposure, stickers, and the record of what came. */
import type { FastifyInstance, FastifyReply } from "fastify";
import { z } from "zod";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { explainDirectory } from "../../../protocol/site/directory.ts";
import { hasKey } from "../../../protocol/site/rights.ts";
import type { CloudParts } from "../cloud-parts.ts";
import { deviceRows } from "../device-rows.ts";
import { doorcodeLocks } from "../doorcodes.ts";
import { exposureView } from "../exposure.ts";
import { seenCounts, seenEvents } from "../record-view.ts";
import { readInput, sendFault } from "./answers.ts";

export function addManagerRoutes(server: FastifyInstance, parts: CloudParts): void {
  addSiteRoutes(server, parts);
  addListRoutes(server, parts);
  addRecordRoutes(server, parts);
}

function addSiteRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, publishDesired } = parts;

  const sendSticker = (reply: FastifyReply, action: "rotate" | "retire", panel: string) => {
    const done = parts.stickers.request({ gateway: null, panel, action, rotation: null });
    if (!done.ok) return sendFault(reply, done.fault);
    return { panel, rotation: done.value.rotation, payload: done.value.current };
  };

  server.post<IdParams>("/api/panels/:id/rotate", async (request, reply) => {
    return sendSticker(reply, "rotate", request.params.id);
  });

  /** The panel has no valid sticker from now on, until it is rotated. */
  server.post<IdParams>("/api/panels/:id/retire", async (request, reply) => {
    return sendSticker(reply, "retire", request.params.id);
  });

  /** Everybody, with whether they are listed at this panel and what is missing. */
  server.get<IdParams>("/api/panels/:id/directory", async (request, reply) => {
    const { site } = authority;
    if (site === undefined || !site.panels.some(({ id }) => id === request.params.id)) {
      return sendFault(reply, { code: "no-such-panel" });
    }
    const now = authority.now();
    const people = site.people.map(({ id, name }) => ({
      id,
      name,
      ...explainDirectory(site, request.params.id, id, now),
    }));
    return { panel: request.params.id, people };
  });

  /** A lock may be paired through a gateway for the next hour. */
  server.post<IdParams>("/api/devices/:id/open-pairing", async (request, reply) => {
    const opened = authority.openPairing(request.params.id);
    if (!opened.ok) return sendFault(reply, opened.fault);
    parts.log.info(opened.value, "pairing opened");
    return opened.value;
  });

  /** New signing keys: locks get them, and their policy under them, with their next visit. */
  server.post("/api/keys/rotate", async () => {
    const rotated = authority.rotateKeys();
    publishDesired();
    parts.log.info({ epoch: rotated.epoch }, "keys rotated");
    return rotated;
  });

  server.post<IdParams>("/api/people/:id/revoke", async (request, reply) => {
    const revoked = authority.revoke(request.params.id);
    if (!revoked.ok) return sendFault(reply, revoked.fault);
    publishDesired();
    parts.log.info({ person: revoked.value.person, since: revoked.value.since }, "revoked");
    return revoked.value;
  });
}

function addListRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority } = parts;

  /** With `?panel=`, also which of the three conditions of that panel's directory each person meets. */
  server.get("/api/people", async (request, reply) => {
    const query = readInput(peopleQuery, request.query, reply);
    if (query === undefined) return reply;
    const { site } = authority;
    const panel = site?.panels.find(({ id }) => id === query.panel);
    if (site === undefined) return [];
    if (query.panel !== undefined && panel === undefined) return sendFault(reply, { code: "no-such-panel" });
    const now = authority.now();
    return site.people.map(({ id, name, role, unit, showInIntercom, revokedAt }) => ({
      id,
      name,
      role,
      unit: unit ?? null,
      showInIntercom,
      revokedAt: revokedAt ?? null,
      ...(panel === undefined
        ? {}
        : { intercom: { unit: unit !== undefined, key: hasKey(site, id, panel.door, now), shown: showInIntercom } }),
    }));
  });

  server.get("/api/doors", async () =>
    (authority.site?.doors ?? []).map(({ id, name, kind }) => ({
      id,
      name,
      kind,
      panels: authority.site?.panels.filter(({ door }) => door === id).map((panel) => panel.id) ?? [],
      // Row 30: how many locks are assigned, and on how many of them a doorcode can work now.
      locks: (authority.site?.devices ?? [])
        .filter(({ door, model }) => door === id && modelByName[model].takes.includes("daily-doorcode"))
        .map(({ id: device, model, state }) => ({ device, model, state })),
      doorcodeLocks: doorcodeLocks(authority, id).map((lock) => lock.id),
    })),
  );

  server.get("/api/devices", async () => deviceRows(parts));

  server.get("/api/exposure", async () => exposureView(parts));
}

/** The manager's: what the rule of M18 leaves of it. A resident's own comes with their token (`app-routes.ts`), the whole is the bench's. */
function addRecordRoutes(server: FastifyInstance, parts: CloudParts): void {
  const { authority, record } = parts;

  server.get("/api/record/events", async (request, reply) => {
    const query = readInput(managersQuery, request.query, reply);
    if (query === undefined) return reply;
    return { events: seenEvents(authority, record.events(query), { role: query.role }) };
  });

  server.get("/api/record/summary", async () => {
    const summary = recordSummary(parts);
    const devices = seenCounts(authority.site, summary.devices, { role: "manager" });
    const events = devices.reduce((sum, device) => sum + (device.events ?? 0), 0);
    return { ...summary, events, devices };
  });

  server.get("/api/record/stickers", async () => ({ stickers: parts.stickerRecord.list() }));

  server.get("/api/record/refusals", async () => ({ refusals: record.refusals() }));
}

/** Of the whole record, with how far the locks' chains are checked. */
export function recordSummary({ record, chains }: Pick<CloudParts, "record" | "chains">) {
  const summary = record.summary();
  const devices = summary.devices.map((device) => {
    const chain = chains.state(device.device);
    return {
      ...device,
      // The sequence up to which the chain met a head that the lock reported; null for a device that chains nothing.
      chainChecked: chain?.through ?? null,
      chainBrokenAt: chain?.brokenAt ?? null,
      // How many of those entries the lock had lost before a head could cover them.
      chainUnchecked: chain?.unchecked ?? null,
    };
  });
  return { ...summary, devices };
}

interface IdParams {
  readonly Params: { readonly id: string };
}

const peopleQuery = z.object({ panel: z.string().max(32).optional() });

export const eventsQuery = z.object({
  device: z.string().max(32).optional(),
  kind: z.string().max(32).optional(),
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(5000).optional(),
});
const managersQuery = eventsQuery.extend({ role: z.enum(["manager", "technician"]).default("manager") });
