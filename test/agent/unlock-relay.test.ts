/** The way of an unlock command through a gateway in memory: what is forwarded, what is dropped, and that nothing is made or kept. */
import { describe, expect, it } from "vitest";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { signUnlock } from "../../protocol/wire/unlock-command.ts";
import { type GatewayWorld, gatewayId, lockId, site, startGateway, tellSite } from "../world/gateway-builder.ts";

const panelId = "panel-r20" as DeviceId;
const id = "33".repeat(16);
const bytesOf = (fill: number, length = 16): Uint8Array => new Uint8Array(length).fill(fill);

function message(change: Record<string, unknown> = {}, notAfterUptimeMs = 70_000): string {
  const signed = signUnlock(bytesOf(1, 32), {
    pairingId: bytesOf(0x11),
    bootId: bytesOf(0x22),
    commandId: bytesOf(0x33),
    action: "unlock",
    notAfterUptimeMs,
  });
  const command = { bytes: bytesToBase64(signed.bytes), signature: bytesToBase64(signed.signature) };
  // An order of keys and spaces that no writer of ours uses: it must arrive as it came.
  return JSON.stringify({ command, via: gatewayId, id, device: panelId, v: 1, ...change }, null, 1);
}

function health(uptimeMs: number, bootFill = 0x22) {
  const boot = { id: Buffer.from(bytesOf(bootFill)).toString("hex"), uptimeMs, mac: "cd".repeat(32) };
  return {
    v: 1,
    device: panelId,
    battery: null,
    firmware: null,
    firmwareVerdict: null,
    clock: null,
    uptimeSeconds: Math.floor(uptimeMs / 1000),
    bootCount: 1,
    boot,
    lastSyncAt: null,
    at: 1_795_000_000,
  };
}

async function linkedWorld(): Promise<GatewayWorld> {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  world.broker.devices = [panelId];
  await world.gateway.intake.take(panelId, "health", utf8(JSON.stringify(health(60_000))));
  return world;
}

const say = (world: GatewayWorld, payload: string, device: string = panelId, name = "unlock"): void =>
  world.upstream.say(`dl/1/${site}/${device}/command/${name}`, payload);
const forwarded = (world: GatewayWorld) => world.broker.sent.filter(({ channel }) => channel === "command");
const results = (world: GatewayWorld) =>
  world.upstream.published.filter(({ topic }) => topic.endsWith("/result/unlock"));

describe("an unlock command at the gateway", () => {
  it("[V10] is forwarded once, byte for byte", async () => {
    const world = await linkedWorld();
    const payload = message();
    say(world, payload);
    await world.clock.advance(60_000);
    expect(forwarded(world)).toEqual([{ device: panelId, channel: "command", payload }]);
    expect(results(world)).toEqual([]);
  });

  it("[V10] for a device that is not connected fails at once, and is not done when the device comes back", async () => {
    const world = await linkedWorld();
    world.broker.devices = [];
    say(world, message());
    world.broker.devices = [panelId];
    await world.gateway.intake.take(panelId, "health", utf8(JSON.stringify(health(61_000))));
    await world.clock.advance(120_000);
    expect(forwarded(world)).toEqual([]);
    const failed = { v: 1, id, device: panelId, state: "failed", reason: "device-offline" };
    expect(results(world)).toMatchObject([{ topic: `dl/1/${site}/${panelId}/result/unlock`, retain: false }]);
    expect(results(world).map(({ payload }) => JSON.parse(payload))).toEqual([failed]);
  });

  it("[V10] that is past its time by the device's last uptime and the time since is dropped as expired", async () => {
    const world = await linkedWorld();
    await world.clock.advance(10_000);
    say(world, message());
    expect(forwarded(world)).toHaveLength(1);
    await world.clock.advance(1);
    // The same old words read again, as at every announcement, are not a new reading.
    await world.gateway.intake.take(panelId, "health", utf8(JSON.stringify(health(60_000))));
    say(world, message());
    await world.clock.advance(0);
    expect(forwarded(world)).toHaveLength(1);
    expect(results(world).map(({ payload }) => JSON.parse(payload))).toMatchObject([
      { state: "expired", reason: "expired" },
    ]);
  });

  it("[V10] of a boot that the gateway does not know is for the device to judge", async () => {
    const world = await linkedWorld();
    await world.gateway.intake.take(panelId, "health", utf8(JSON.stringify(health(900_000, 0x99))));
    say(world, message());
    expect(forwarded(world)).toHaveLength(1);
  });

  it("[V10] for a lock without a network, a passive panel or a stranger fails by name", async () => {
    const world = await linkedWorld();
    for (const device of [lockId, "lobby-link", "stranger"]) say(world, message({ device }), device);
    await world.clock.advance(0);
    expect(forwarded(world)).toEqual([]);
    expect(results(world).map(({ payload }) => JSON.parse(payload).reason)).toEqual(
      Array.from({ length: 3 }, () => "not-a-networked-device"),
    );
  });

  it.each([
    ["for another gateway", message({ via: "gateway-east" }), panelId, "unlock"],
    ["under another device's topic", message(), "panel-r29", "unlock"],
    ["unsigned", message({ command: undefined }), panelId, "unlock"],
    ["not JSON", "open", panelId, "unlock"],
    ["longer than any", message({ id: "a".repeat(2_000) }), panelId, "unlock"],
    ["under a name that there is not", message(), panelId, "open"],
    ["under a name that there is not", message(), panelId, "master"],
  ])("[V10] %s it goes nowhere, without a word", async (_what, payload, device, name) => {
    const world = await linkedWorld();
    say(world, payload, device, name);
    await world.clock.advance(60_000);
    expect(forwarded(world)).toEqual([]);
    expect(results(world)).toEqual([]);
  });

  it("[V10] nothing of it is on the gateway's disk, and a gateway started anew forwards nothing", async () => {
    const world = await linkedWorld();
    say(world, message());
    await world.clock.advance(0);
    const kinds = ["desired", "birth", "state", "health", "reported", "visit", "audit-head"] as const;
    const documents = await Promise.all(kinds.map((kind) => world.store.readDocuments(kind).catch(() => [])));
    expect(JSON.stringify(documents)).toContain(panelId);
    expect(JSON.stringify(documents)).not.toContain(id);
    const again = await startGateway({ store: world.store, automatic: false });
    again.broker.devices = [panelId];
    await again.clock.advance(120_000);
    expect(forwarded(again)).toEqual([]);
  });

  it("[V10] a device's answer goes up as it came; without a link it is gone, and not said later", async () => {
    const world = await linkedWorld();
    const answer = { v: 1, id, device: panelId, state: "done" };
    await world.gateway.intake.take(panelId, "result", utf8(JSON.stringify(answer)));
    await world.clock.advance(0);
    expect(results(world).map(({ payload }) => JSON.parse(payload))).toEqual([answer]);
    world.upstream.setLink(false);
    await world.clock.advance(0);
    await world.gateway.intake.take(panelId, "result", utf8(JSON.stringify({ ...answer, id: "44".repeat(16) })));
    world.upstream.setLink(true);
    await world.clock.advance(120_000);
    expect(results(world)).toHaveLength(1);
    expect(world.upstream.connected).toBe(true);
  });
});
