import { describe, expect, it } from "vitest";
import { Upstream } from "../../../agent/upstream/upstream.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { base64Of, gatewayId, lockId, memoryLog, site } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { MemoryUpstream } from "../../world/memory-upstream.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

function start(options: { readonly up?: boolean } = {}) {
  const clock = new SteppedClock();
  const transport = new MemoryUpstream({ up: options.up ?? true });
  const store = new MemoryStore();
  const logged: { level: string; text: string }[] = [];
  const upstream = new Upstream({
    site,
    gateway: gatewayId,
    transport,
    store,
    clock,
    random: { bytes: (length) => new Uint8Array(length).fill(1), fraction: () => 0.999 },
    log: memoryLog(logged),
    backoff: { firstMs: 1_000, capMs: 30_000 },
    onDesired: async () => undefined,
    onUnlock: () => undefined,
    onStoreError: (error) => {
      throw error;
    },
  });
  void upstream.run();
  return { clock, transport, store, upstream, logged };
}

const stateTopic = { site, device: gatewayId, channel: "state" } as const;

describe("link upstream", () => {
  it("[U1] tries again for ever, with pauses that grow to the cap", async () => {
    const { clock, transport, upstream } = start({ up: false });
    await clock.advance(120_000);
    // 1 + 2 + 4 + 8 + 16 s reach the cap of 30 s after five pauses.
    expect(transport.attempts).toBeGreaterThanOrEqual(8);
    expect(transport.attempts).toBeLessThanOrEqual(9);
    expect(upstream.status()).toMatchObject({ connected: false, lastFault: "upstream: the link is down" });
  });

  it("[U2] keeps only the latest of each retained topic while there is no link, and publishes nothing", async () => {
    const { clock, transport, upstream } = start({ up: false });
    upstream.retain(stateTopic, "one");
    upstream.retain(stateTopic, "two");
    await clock.advance(5_000);
    expect(transport.published).toEqual([]);
    transport.setLink(true);
    await clock.advance(30_000);
    expect(transport.published).toEqual([{ topic: `dl/1/${site}/${gatewayId}/state`, payload: "two", retain: true }]);
  });

  it("[U1] gives up a link on which nothing is acknowledged any more, and makes a new one", async () => {
    const { clock, transport, upstream } = start();
    await clock.advance(10_000);
    transport.acknowledges = false;
    upstream.retain(stateTopic, "anybody there?");
    await clock.advance(16_000);
    transport.acknowledges = true;
    await clock.advance(5_000);
    expect(transport.attempts).toBe(2);
    expect(upstream.status().connected).toBe(true);
    expect(transport.published.filter(({ payload }) => payload === "anybody there?")).toHaveLength(2);
  });

  it("[U1] a link that is only slow is kept: others still get their PUBACK", async () => {
    const { clock, transport, upstream } = start();
    await clock.advance(10_000);
    transport.acknowledges = false;
    upstream.retain(stateTopic, "waits long");
    transport.acknowledges = true;
    for (let second = 0; second < 40; second++) {
      await clock.advance(1_000);
      upstream.retain(stateTopic, `and goes on ${second}`);
    }
    expect(transport.attempts).toBe(1);
    transport.acknowledges = false;
    upstream.retain(stateTopic, "anybody there?");
    await clock.advance(31_000);
    expect(transport.attempts).toBeGreaterThan(1);
  });

  it("[U1] gives up a link that acknowledges nothing from the first, though nothing new is to be said", async () => {
    const { clock, transport, upstream } = start();
    upstream.retain(stateTopic, "one");
    transport.acknowledges = false;
    await clock.advance(14_000);
    expect(transport.attempts).toBe(1);
    await clock.advance(4_000);
    expect(transport.attempts).toBe(2);
    transport.acknowledges = true;
    await clock.advance(60_000);
    expect(upstream.status().connected).toBe(true);
    expect(transport.attempts).toBe(3);
  });

  it("[U2] subscribes anew on each connection to what is said to this gateway", async () => {
    const { clock, transport } = start();
    await clock.advance(0);
    transport.setLink(false);
    transport.subscribed = [];
    transport.setLink(true);
    await clock.advance(5_000);
    expect(transport.subscribed).toEqual([
      `dl/1/${site}/+/desired`,
      `dl/1/${site}/+/receipt`,
      `dl/1/${site}/${gatewayId}/result/+`,
      `dl/1/${site}/+/command/unlock`,
      `dl/1/${site}/${gatewayId}/command/gateway`,
    ]);
  });

  it("[U3] a receipt is kept, and another device's is not taken", async () => {
    const { clock, transport, store } = start();
    await clock.advance(0);
    const body = JSON.stringify({ boot: 1, sequence: 1, at: { unixSeconds: null, quality: "unset" }, kind: "boot" });
    await store.appendEvents({
      device: lockId,
      receivedAtMs: clock.nowMs(),
      events: [{ boot: 1, sequence: 1, body }],
    });
    transport.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: "lock-c2", through: 1, missing: [] });
    transport.say(`dl/1/${site}/${lockId}/receipt`, "{");
    await clock.advance(0);
    expect(await store.outbox()).toHaveLength(1);
    transport.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: lockId, through: 1, missing: [] });
    await clock.advance(0);
    expect(await store.outbox()).toEqual([]);
  });
});

describe("time for a lock", () => {
  const nonce = new Uint8Array(16).fill(9);
  const answerOf = (id: unknown) => ({
    v: 1,
    id,
    device: lockId,
    state: "done",
    answer: { bytes: base64Of(40, 1), signature: base64Of(64, 2) },
  });

  it("[U7] is asked with the lock's nonce and given back as the authority signed it", async () => {
    const { clock, transport, upstream } = start();
    await clock.advance(0);
    transport.onPublish = ({ topic, payload }) => {
      if (!topic.endsWith("authority/command/time")) return;
      const command = JSON.parse(payload) as Record<string, unknown>;
      expect(command).toMatchObject({ from: gatewayId, device: lockId, nonce: base64Of(16, 9) });
      transport.say(`dl/1/${site}/${gatewayId}/result/time`, answerOf("not ours"));
      transport.say(`dl/1/${site}/${gatewayId}/result/time`, answerOf(command["id"]));
    };
    const answer = await upstream.askTime(lockId, nonce);
    expect(answer).toEqual({ bytes: new Uint8Array(40).fill(1), signature: new Uint8Array(64).fill(2) });
  });

  it("[U7] is not waited for longer than the lock would take it, nor without a link", async () => {
    const { clock, transport, upstream } = start();
    await clock.advance(0);
    const silent = upstream.askTime(lockId, nonce);
    await clock.advance(2_000);
    expect(await silent).toBeUndefined();
    transport.setLink(false);
    await clock.advance(0);
    expect(await upstream.askTime("lock-c2" as DeviceId, nonce)).toBeUndefined();
  });

  it("[U7] ends at once when the link goes, or the authority refuses", async () => {
    const { clock, transport, upstream } = start();
    await clock.advance(0);
    const cut = upstream.askTime(lockId, nonce);
    transport.setLink(false);
    await clock.advance(0);
    expect(await cut).toBeUndefined();
    transport.setLink(true);
    await clock.advance(5_000);
    transport.onPublish = ({ payload }) => {
      const { id } = JSON.parse(payload) as { id: string };
      transport.say(`dl/1/${site}/${gatewayId}/result/time`, {
        v: 1,
        id,
        device: lockId,
        state: "refused",
        reason: "?",
      });
    };
    expect(await upstream.askTime(lockId, nonce)).toBe("refused");
  });
});
