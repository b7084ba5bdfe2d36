/** `/readyz`: each part with its state, and the names of what is not ready. */
import { describe, expect, it } from "vitest";
import { readinessView } from "../../../agent/http/readiness.ts";
import { createApp } from "../../../agent/http/server.ts";
import type { Vital } from "../../../agent/machine/vitals.ts";
import { RadioError } from "../../../agent/ports/radio.ts";
import { StoreError } from "../../../agent/ports/store.ts";
import { type GatewayWorld, startGateway, tellSite } from "../../world/gateway-builder.ts";

async function look(world: GatewayWorld, vitals?: readonly Vital[]) {
  const app = createApp({ ...world, ...(vitals === undefined ? {} : { check: async () => vitals }) });
  const [ready, health] = [await app.inject({ url: "/readyz" }), await app.inject({ url: "/healthz" })];
  await app.close();
  // Whatever is not ready, the process answers.
  expect(health.statusCode).toBe(200);
  return { status: ready.statusCode, ...readinessView.parse(ready.json()) };
}

const now = Math.floor(Date.UTC(2026, 10, 20, 8) / 1000);

describe("/readyz", () => {
  it("[G32] all is ready: 200; a site without locks needs no radio", async () => {
    const { status, ready, parts } = await look(await startGateway());
    expect([status, ready]).toEqual([200, true]);
    expect(parts).toMatchObject({ radio: { state: "not needed" }, store: { state: "ready", since: now, why: null } });
  });

  it("[G32] the link upstream is down: 503, named, with since and why", async () => {
    const world = await startGateway();
    world.upstream.setLink(false);
    await world.clock.advance(5_000);
    const { status, notReady, parts } = await look(world);
    expect([status, notReady]).toEqual([503, ["upstream"]]);
    expect(parts.upstream).toMatchObject({ state: "not ready", since: now });
    expect(parts.upstream.why).not.toBe(null);
  });

  it("[G32] a radio that was not used yet is unknown and stops nothing; one that does not work is named", async () => {
    const world = await startGateway({ automatic: false });
    await tellSite(world);
    expect(await look(world)).toMatchObject({ status: 200, parts: { radio: { state: "unknown" } } });
    const broken = await startGateway();
    broken.radio.failing = new RadioError("no-adapter", "scan");
    await tellSite(broken);
    await broken.clock.advance(1_000);
    const { status, notReady, parts } = await look(broken);
    expect([status, notReady]).toEqual([503, ["radio"]]);
    expect(parts.radio).toMatchObject({ state: "not ready", why: "no-adapter" });
  });

  it("[G32] a store that is full, or does not say, is named", async () => {
    const world = await startGateway();
    const space = await world.store.space();
    world.store.space = async () => ({ ...space, filling: "full" });
    expect(await look(world)).toMatchObject({
      status: 503,
      notReady: ["store"],
      parts: { store: { why: "the store is full" } },
    });
    world.store.space = async () => ({ ...space, diskFull: true });
    expect(await look(world)).toMatchObject({ notReady: ["store"], parts: { store: { why: "the disk is full" } } });
    world.store.space = async () => {
      throw new StoreError("closed", "ended");
    };
    expect(await look(world)).toMatchObject({ notReady: ["store"], parts: { store: { why: "store: ended" } } });
  });

  it.each(["store", "broker"] as const)("[G32] a %s that does not go round is named", async (part) => {
    const vitals = [{ part, beats: false, why: "no beat within 4000 ms" }];
    const { status, notReady, parts } = await look(await startGateway(), vitals);
    expect([status, notReady]).toEqual([503, [part]]);
    expect(parts[part]).toMatchObject({ state: "not ready", why: "no beat within 4000 ms" });
  });
});
