import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../agent/config.ts";
import { DoorLog } from "../../../agent/log/door-log.ts";
import { RadioError } from "../../../agent/ports/radio.ts";
import { RemoteSettings } from "../../../agent/remote/remote-settings.ts";
import { Settings } from "../../../agent/settings.ts";
import { bytesToBase64, bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import {
  deviceDesired,
  type GatewayWorld,
  type GatewayWorldOptions,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  memoryLog,
  site,
  startGateway,
  tellSite,
  visitOutcome,
} from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const boot = "ab".repeat(16);
const panelId = "panel-r20" as DeviceId;

async function start(options: GatewayWorldOptions = {}): Promise<GatewayWorld> {
  const { clock = new SteppedClock() } = options;
  const ofThisRun = { id: boot, uptimeMs: () => clock.monotonicMs() };
  const world = await startGateway({
    automatic: false,
    ...options,
    clock,
    remote: { boot: ofThisRun, ...options.remote },
  });
  await tellSite(world);
  return world;
}

async function command(world: GatewayWorld, order: object, notAfterUptimeMs = 60_000): Promise<void> {
  const id = bytesToHex(sha256(utf8(JSON.stringify(order)))).slice(0, 32);
  const message = { v: 1, id, device: gatewayId, bootId: boot, notAfterUptimeMs, order };
  world.upstream.say(`dl/1/${site}/${gatewayId}/command/gateway`, message);
  await world.clock.advance(0);
}

function results(world: GatewayWorld): readonly unknown[] {
  return world.upstream
    .messages("/result/gateway")
    .map(({ state, reason, answer }) => [state, reason ?? answer ?? null]);
}

describe("commands of the authority, carried out", () => {
  it("[M23] the gateway says which run this is and how long it has lasted, anew on each connection, and listens", async () => {
    const world = await start();
    expect(world.upstream.subscribed).toContain(`dl/1/${site}/${gatewayId}/command/gateway`);
    expect(world.upstream.latest(`${gatewayId}/health`)).toMatchObject({ gatewayBoot: { id: boot, uptimeMs: 0 } });
    world.upstream.setLink(false);
    await world.clock.advance(10_000);
    world.upstream.setLink(true);
    await world.clock.advance(20_000);
    const { gatewayBoot } = world.upstream.latest(`${gatewayId}/health`) as { gatewayBoot: { uptimeMs: number } };
    expect(gatewayBoot.uptimeMs).toBeGreaterThanOrEqual(10_000);
  });

  it("[M23] a lock is visited for a command, and the result says what came of it", async () => {
    const world = await start();
    await command(world, { action: "sync", device: lockId });
    expect(world.visits.map(({ lock }) => lock.device)).toEqual([lockId]);
    const reportedAt = Math.floor(world.clock.nowMs() / 1000);
    const sync = { device: lockId, outcome: "in-sync", to: { epoch: 1, version: 1 }, reportedAt };
    expect(results(world)).toEqual([
      ["accepted", null],
      ["executing", null],
      ["done", { sync }],
    ]);
  });

  it("[M23] what cannot be visited is said at once", async () => {
    const world = await start();
    await command(world, { action: "sync", device: panelId });
    expect(results(world)).toEqual([
      ["accepted", null],
      ["failed", "not-done"],
    ]);
    expect(world.upstream.latest("/result/gateway")).toMatchObject({ answer: { fault: { code: "not-a-ble-lock" } } });
  });

  it("[M25] a command that waits for the radio longer than its time is expired, and no visit is made for it", async () => {
    const under = Promise.withResolvers<void>();
    let visits = 0;
    const world = await start({
      runVisit: async () => {
        visits += 1;
        if (visits === 1) await under.promise;
        return visitOutcome({});
      },
    });
    const other = "lock-c2" as DeviceId;
    world.upstream.say(
      `dl/1/${site}/${gatewayId}/desired`,
      gatewayDesired({ devices: [lock(other, "C0:FF:EE:00:00:02"), lock(lockId)], revision: 2 }),
    );
    world.upstream.say(`dl/1/${site}/${other}/desired`, { ...lockDesired({ version: 1 }), device: other });
    await world.clock.advance(0);
    const first = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    await command(world, { action: "sync", device: other });
    expect(results(world)).toEqual([["accepted", null]]);
    await world.clock.advance(60_001);
    expect(results(world).at(-1)).toEqual(["expired", "too-late"]);
    under.resolve();
    await first;
    await world.clock.advance(120_000);
    expect(visits).toBe(1);
    expect(results(world)).toHaveLength(2);
  });

  it("[M25] what somebody at this gateway asked for too is done for them, whatever became of the command", async () => {
    const world = await start();
    world.radio.failing = new RadioError("no-bluetooth", "scan");
    await world.clock.advance(0);
    const asked = world.gateway.requestSync(lockId, async () => false);
    const local = world.gateway.requestSync(lockId);
    await world.clock.advance(0);
    expect(await local).toMatchObject({ outcome: "in-sync" });
    expect(await asked).toEqual(await local);
    const alone = world.gateway.requestSync(lockId, async () => false);
    await world.clock.advance(0);
    expect(await alone).toEqual({ device: lockId, fault: { code: "withdrawn" } });
    expect(world.visits).toHaveLength(1);
  });

  it("[M23] a diagnosis names no person and no address; a file to read again there must be", async () => {
    const world = await start();
    await command(world, { action: "diagnose" });
    const { answer } = world.upstream.latest("/result/gateway") as { answer: { diagnosis: object } };
    expect(answer.diagnosis).toEqual({
      version: "0.1.0",
      uptimeSeconds: 0,
      outboxDepth: 0,
      linkAttempts: 1,
      radioFault: null,
      devicesConnected: 0,
      locks: [{ state: "pending", locks: 1 }],
      refused: [],
    });
    await command(world, { action: "reload" });
    expect(world.upstream.latest("/result/gateway")).toMatchObject({
      state: "failed",
      answer: { fault: { code: "no-file" } },
    });
    const other = await start({ remote: { reload: async () => ({ waiting: ["http.port"], mistakes: 0 }) } });
    await command(other, { action: "reload" });
    expect(other.upstream.latest("/result/gateway")).toMatchObject({
      state: "done",
      answer: { reloaded: { waiting: ["http.port"], mistakes: 0 } },
    });
  });
});

describe("settings in the authority's word", () => {
  it("[M28] are taken, and the gateway's reported says which version, what of it and what not; an older version changes nothing", async () => {
    const store = new MemoryStore();
    const read = parseConfig("site: abc\ngateway: gateway-main\nstateDir: s\nupstream: {url: 'mqtt://a'}\n", "/");
    if (!read.ok) throw new Error(JSON.stringify(read.fault));
    const live = new Settings(read.value);
    live.watch("health", () => undefined);
    const settings = new RemoteSettings({
      gateway: gatewayId,
      store,
      log: memoryLog([]),
      settings: live,
      held: undefined,
    });
    const world = await start({ store, remote: { settings } });
    expect(world.upstream.latest(`${gatewayId}/reported`)).not.toHaveProperty("settings");
    const say = async (revision: number, version: number, wanted: object) => {
      const word = {
        ...gatewayDesired({ revision }),
        settings: { version, settings: Object.entries(wanted).map(([setting, value]) => ({ setting, value })) },
      };
      world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, word);
      await world.clock.advance(0);
      return world.upstream.latest(`${gatewayId}/reported`);
    };
    expect(await say(2, 3, { "health.intervalSeconds": 30, "upstream.url": "mqtt://evil" })).toMatchObject({
      settings: {
        version: 3,
        applied: ["health.intervalSeconds"],
        refused: [{ setting: "upstream.url", reason: "not-from-afar" }],
      },
    });
    expect(live.current().health.intervalSeconds).toBe(30);
    expect(await say(3, 2, { "health.intervalSeconds": 90 })).toMatchObject({ settings: { version: 3 } });
    expect(live.current().health.intervalSeconds).toBe(30);
    // A word without settings takes none back.
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ revision: 4 }));
    await world.clock.advance(0);
    expect(live.current().health.intervalSeconds).toBe(30);
  });
});

describe("a person is erased", () => {
  const at = { unixSeconds: null, quality: "unset" };
  const events = [
    { boot: 1, sequence: 1, at, kind: "access-granted", person: "bob", credential: "bob-card" },
    { boot: 1, sequence: 2, at, kind: "access-granted", person: "alice", credential: "alice-card" },
    {
      boot: 1,
      sequence: 3,
      at,
      kind: "access-denied",
      credential: "bob-card",
      reason: "OUT_OF_SCHEDULE",
      detail: "No access: Bob Boone",
    },
  ];

  async function lived(): Promise<GatewayWorld> {
    const world = await start();
    const revocations = [{ person: "bob", since: Math.floor(world.clock.nowMs() / 1000) - 60, version: 2 }];
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
    await take(world, events);
    return world;
  }

  async function take(world: GatewayWorld, said: readonly object[]): Promise<void> {
    await world.gateway.intake.take(panelId, "event", utf8(JSON.stringify({ v: 1, device: panelId, events: said })));
    await world.clock.advance(0);
  }

  async function receipt(world: GatewayWorld, through: number): Promise<void> {
    world.upstream.say(`dl/1/${site}/${panelId}/receipt`, { v: 1, device: panelId, through, missing: [] });
    await world.clock.advance(0);
  }

  async function everythingKept(world: GatewayWorld): Promise<string> {
    const documents = await Promise.all(
      (
        [
          "desired",
          "birth",
          "state",
          "health",
          "reported",
          "visit",
          "audit-head",
          "command",
          "settings",
          "erasure",
        ] as const
      ).map((kind) => world.store.readDocuments(kind)),
    );
    return JSON.stringify([documents, await world.store.readEvents(panelId, -1, 100)]);
  }

  it("[M30] of what was receipted nothing names them any more; name, time and kind of each entry stay, and others' entries as they are", async () => {
    const world = await lived();
    await receipt(world, 3);
    expect(await everythingKept(world)).toContain("bob");
    const done = await world.gateway.remote.erasePerson("bob");
    expect(done).toMatchObject({ events: 2, signed: 0 });
    const kept = await everythingKept(world);
    expect(kept).not.toMatch(/bob/i);
    expect(kept).toContain("alice");
    const log = new DoorLog({ store: world.store, table: world.table, clock: world.clock });
    const read = await log.read({});
    expect(read).toMatchObject({
      value: {
        entries: [
          { sequence: 3, kind: "access-denied", reason: "OUT_OF_SCHEDULE", erased: true },
          { sequence: 2, person: "alice" },
          { sequence: 1, kind: "access-granted", erased: true },
        ],
      },
    });
    expect(JSON.stringify(read)).not.toMatch(/bob/i);
    expect(JSON.stringify(world.logged)).not.toMatch(/bob/i);
  });

  it("[M30] what is not receipted goes up whole first, is shown without a name at once, and loses it with the receipt", async () => {
    const world = await lived();
    const first = await world.gateway.remote.erasePerson("bob");
    expect(first.waiting).toBeGreaterThan(0);
    const sent = world.upstream.messages(`${panelId}/event`);
    expect(JSON.stringify(sent)).toContain("bob-card");
    const log = new DoorLog({ store: world.store, table: world.table, clock: world.clock });
    expect(JSON.stringify(await log.read({}))).not.toMatch(/bob/i);
    await receipt(world, 3);
    expect(await everythingKept(world)).not.toMatch(/bob/i);
    expect(await world.gateway.remote.erasePerson("bob")).toMatchObject({ events: 0, waiting: 0 });
  });

  it("[M31] what comes later does not bring the name back: entries, the authority's documents, an exposure", async () => {
    const world = await lived();
    await receipt(world, 3);
    await world.gateway.remote.erasePerson("bob");
    expect(world.gateway.exposures()).toMatchObject([{ device: lockId, person: "erased", what: "revoked" }]);
    expect(world.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ exposures: [{ person: "erased" }] });
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ revision: 9 }));
    await take(world, [{ boot: 1, sequence: 4, at, kind: "access-granted", person: "bob", credential: "bob-app" }]);
    expect(JSON.stringify(world.upstream.messages(`${panelId}/event`).at(-1))).toContain("bob-app");
    await receipt(world, 4);
    expect(await everythingKept(world)).not.toMatch(/bob/i);
    expect(world.table.gateway?.people.map(({ id }) => id)).toEqual(["alice"]);
  });

  it("[M31] however many entries still come, a whole log is looked through once a minute at the most, and no view shows the name", async () => {
    const world = await lived();
    await receipt(world, 3);
    await world.gateway.remote.erasePerson("bob");
    let orders = 0;
    const erasePerson = world.store.erasePerson.bind(world.store);
    world.store.erasePerson = (...order) => {
      orders += 1;
      return erasePerson(...order);
    };
    for (let sequence = 4; sequence < 24; sequence++) {
      await take(world, [
        { boot: 1, sequence, at, kind: "access-granted", person: "bob", credential: `bob-${sequence}` },
      ]);
    }
    expect(orders).toBe(1);
    const isErased = (person: string) => world.gateway.remote.isErased(person);
    const log = new DoorLog({ store: world.store, table: world.table, clock: world.clock, isErased });
    expect(JSON.stringify(await log.read({}))).not.toMatch(/bob/i);
    await receipt(world, 23);
    await world.clock.advance(60_000);
    expect(orders).toBe(2);
    expect(await everythingKept(world)).not.toMatch(/bob/i);
    await world.clock.advance(600_000);
    expect(orders).toBe(2);
  });

  it("[M31] also after a restart", async () => {
    const world = await lived();
    await receipt(world, 3);
    await world.gateway.remote.erasePerson("bob");
    await world.gateway.stop();
    const again = await start({ store: world.store });
    again.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ revision: 9 }));
    await again.clock.advance(0);
    expect(await everythingKept(again)).not.toMatch(/bob/i);
    expect(again.upstream.latest(`${gatewayId}/reported`)).toMatchObject({ erasures: { people: 1 } });
  });

  it("[M32] a signed policy that names the person cannot be changed here, and is counted; the retained word to the device loses the name", async () => {
    const world = await lived();
    await receipt(world, 3);
    const order = deviceDesired({ version: 2 });
    const bundle = new Uint8Array([0x63, ...utf8("bob")]);
    const revocations = [{ person: "bob", since: 1, epoch: 1, version: 2 }];
    world.upstream.say(`dl/1/${site}/${panelId}/desired`, { ...order, bundle: bytesToBase64(bundle), revocations });
    await world.clock.advance(0);
    expect(world.broker.orders(panelId).at(-1)).toContain('"person":"bob"');
    expect(await world.gateway.remote.erasePerson("bob")).toMatchObject({ signed: 1 });
    expect(world.broker.orders(panelId).at(-1)).not.toContain("bob");
    expect(await world.gateway.remote.erasePerson("carl")).toMatchObject({ signed: 0 });
  });

  it("[M30] at the authority's command, told without the name; doubled it is done once", async () => {
    const world = await lived();
    await receipt(world, 3);
    await command(world, { action: "erase-person", person: "bob" });
    await command(world, { action: "erase-person", person: "bob" });
    expect(results(world).at(-1)).toEqual(["done", { erased: { events: 2, waiting: 0, signed: 0 } }]);
    const told = JSON.stringify([
      world.upstream.messages("/result/gateway"),
      world.upstream.latest(`${gatewayId}/reported`),
    ]);
    expect(told).not.toMatch(/bob/i);
    expect(await everythingKept(world)).not.toMatch(/bob/i);
    expect(JSON.stringify(world.logged)).not.toMatch(/bob/i);
  });
});

function lock(id: string, address = "C0:FF:EE:00:00:01") {
  const [first] = gatewayDesired().devices;
  return { ...first, id, address };
}
