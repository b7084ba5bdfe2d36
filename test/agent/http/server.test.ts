import { afterEach, describe, expect, it } from "vitest";
import { HttpError, openHttpServer } from "../../../agent/http/listen.ts";
import { createApp } from "../../../agent/http/server.ts";
import { exposureAnswer, logAnswer, panelsAnswer, statusView } from "../../../agent/http/views.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { standardsOf } from "../../../protocol/wire/messages/event.ts";
import {
  type GatewayWorld,
  type GatewayWorldOptions,
  lockDesired,
  lockId,
  site,
  startGateway,
  tellSite,
  visitOutcome,
} from "../../world/gateway-builder.ts";

const revokedAt = Math.floor(Date.UTC(2026, 10, 20, 7, 30) / 1000);
let app: ReturnType<typeof createApp>;
let world: GatewayWorld;

async function start(options: GatewayWorldOptions = { automatic: false }): Promise<void> {
  world = await startGateway(options);
  await tellSite(world);
  app = createApp(world);
}

afterEach(() => app.close());

async function get(url: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await app.inject({ url });
  return { status: response.statusCode, body: response.json() };
}

async function sync(payload: object): Promise<{ readonly status: number; readonly body: unknown }> {
  const waiting = app.inject({ method: "POST", url: "/api/sync", payload });
  await world.clock.advance(0);
  const response = await waiting;
  return { status: response.statusCode, body: response.json() };
}

describe("HTTP API", () => {
  it("is healthy, and says so", async () => {
    await start();
    expect(await get("/healthz")).toEqual({ status: 200, body: { ok: true } });
  });

  it("row 131: shows every device with its ages, and what is not known as null", async () => {
    await start();
    const { status, body } = await get("/api/status");
    expect(status).toBe(200);
    const view = statusView.parse(body);
    expect(view).toMatchObject({
      gateway: "gateway-main",
      site: { id: site, name: "Maple Court", timeZone: "America/New_York" },
      upstream: { connected: true, outboxDepth: 0 },
    });
    const [lock, panel, twin] = view.devices;
    expect(lock).toMatchObject({ device: lockId, syncState: "pending", holds: null, battery: null, online: false });
    expect(panel).toMatchObject({ syncState: null, heardAt: null, firmware: { version: null, verdict: "unknown" } });
    expect(twin).toMatchObject({ online: null, firmware: { verdict: "not applicable" } });
  });

  it("row 60: a sync asked for over HTTP answers with what it did", async () => {
    await start();
    const { status, body } = await sync({ device: lockId });
    expect(status).toBe(200);
    expect(body).toMatchObject({ device: lockId, outcome: "in-sync", to: { epoch: 1, version: 1 }, logEntries: 0 });
    await world.clock.advance(90_000);
    const { body: after } = await get("/api/status");
    expect(statusView.parse(after).devices[0]).toMatchObject({
      syncState: "in-sync",
      syncAgeSeconds: 90,
      heardAgeSeconds: 90,
      battery: { millivolts: 5_800, percent: 71, ageSeconds: 90 },
      firmware: { version: "2.0.8", verdict: "no floor known", ageSeconds: 90 },
    });
    expect(await get(`/api/sync/${lockId}`)).toMatchObject({ status: 200, body: { active: false } });
  });

  it.each<[string, object, number, string]>([
    ["no device", {}, 400, "bad-request"],
    ["a device that is not there", { device: "lock-zz" }, 404, "unknown-device"],
    ["no device id at all", { device: "../../etc" }, 404, "unknown-device"],
    ["a panel", { device: "panel-r20" }, 409, "not-a-ble-lock"],
    ["something else beside it", { device: lockId, open: true }, 400, "bad-request"],
  ])("refuses to sync %s", async (_what, payload, expected, code) => {
    await start();
    const { status, body } = await sync(payload);
    expect(status).toBe(expected);
    expect(body).toMatchObject({ fault: { code } });
    expect(world.visits).toEqual([]);
  });

  it("a lock that cannot be found is a named fault", async () => {
    const { reported: _reported, ...facts } = visitOutcome({});
    await start({
      automatic: false,
      runVisit: async () => ({ ...facts, ok: false, fault: { code: "not-found" }, reported: null, from: null }),
    });
    expect(await sync({ device: lockId })).toEqual({ status: 504, body: { fault: { code: "not-found" } } });
    const view = statusView.parse((await get("/api/status")).body);
    expect(view.devices[0]).toMatchObject({ syncState: "out-of-range", lastFault: { code: "not-found" } });
  });

  it("row 61: shows the exposure with names and ages", async () => {
    await start();
    const revocations = [{ person: "bob", since: revokedAt, version: 2 }];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    await world.clock.advance(0);
    const { exposures } = exposureAnswer.parse((await get("/api/exposure")).body);
    expect(exposures).toEqual([
      {
        device: lockId,
        door: "unit-1a",
        doorName: "1A",
        person: "bob",
        personName: "Bob Boone",
        what: "revoked",
        since: revokedAt,
        ageSeconds: 1_800,
        holds: null,
      },
    ]);
    expect(statusView.parse((await get("/api/status")).body).devices[0]?.exposure).toEqual(exposures);
  });

  it("shows the door log newest first, without the lock's raw bytes, and within its limit", async () => {
    await start();
    const device = "panel-r20" as DeviceId;
    const events = [1, 2, 3].map((sequence) => ({
      boot: 1,
      sequence,
      at: { unixSeconds: null, quality: "unset" },
      kind: "access-denied",
      person: "bob",
      reason: "OUT_OF_SCHEDULE",
      raw: "AAEC",
    }));
    await world.gateway.intake.take(device, "event", utf8(JSON.stringify({ v: 1, device, events })));
    const { entries } = logAnswer.parse((await get("/api/log?limit=2")).body);
    expect(entries.map(({ sequence }) => sequence)).toEqual([3, 2]);
    expect(entries[0]).toMatchObject({ device, doorName: "Gate", personName: "Bob Boone", reason: "OUT_OF_SCHEDULE" });
    expect(entries[0]).not.toHaveProperty("raw");
    expect(entries[0]?.standards).toEqual(standardsOf("OUT_OF_SCHEDULE"));
    for (const limit of ["0", "1001", "x", "1;drop"]) {
      expect((await get(`/api/log?limit=${encodeURIComponent(limit)}`)).status).toBe(400);
    }
  });

  it("lists the panels with the age of the list", async () => {
    await start();
    const panel = { v: 1, kind: "panel", device: "lobby-link", panelNumber: 1, door: "lobby", doorName: "Lobby" };
    const lists = { rotation: 2, current: "HTTPS://X/L/NEW", retired: ["HTTPS://X/L/OLD"], at: revokedAt, revision: 1 };
    world.upstream.say(`dl/1/${site}/lobby-link/desired`, { ...panel, ...lists });
    await world.clock.advance(60_000);
    expect(panelsAnswer.parse((await get("/api/panels")).body)).toMatchObject([
      { panel: "lobby-link", epoch: 2, current: "HTTPS://X/L/NEW", retired: ["HTTPS://X/L/OLD"], ageMs: 60_000 },
    ]);
  });

  it("has no other routes, and answers any nonsense with a named fault", async () => {
    await start();
    for (const url of ["/", "/api/unlock", "/api/keypad", "/api/sync/..%2f..", `/api/sync/${"x".repeat(500)}`]) {
      const { status, body } = await get(url);
      expect(status, url).toBe(404);
      expect(body).toHaveProperty("fault.code");
    }
    const broken = await app.inject({
      method: "POST",
      url: "/api/sync",
      headers: { "content-type": "application/json" },
      payload: "{",
    });
    expect([broken.statusCode, broken.json()]).toEqual([400, { fault: { code: "bad-request" } }]);
    const large = await app.inject({ method: "POST", url: "/api/sync", payload: { device: "x".repeat(9_000) } });
    expect(large.statusCode).toBe(413);
  });

  it("a port in use is said in one line", async () => {
    await start();
    const server = await openHttpServer(0, world);
    const error = await openHttpServer(server.port, world).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ code: "port-in-use", message: `HTTP API: port ${server.port} is in use` });
    await server.close();
  });
});
