/** A lock's word in a pairing, carried to the authority and back. */
import { describe, expect, it } from "vitest";
import type { PairAnswer } from "../../../agent/upstream/upstream.ts";
import { Upstream } from "../../../agent/upstream/upstream.ts";
import { base64Of, gatewayId, lockId, memoryLog, site } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { MemoryUpstream } from "../../world/memory-upstream.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

async function start(options: { readonly up?: boolean } = {}) {
  const clock = new SteppedClock();
  const transport = new MemoryUpstream({ up: options.up ?? true });
  const logged: { level: string; text: string }[] = [];
  let count = 0;
  const upstream = new Upstream({
    site,
    gateway: gatewayId,
    transport,
    store: new MemoryStore(),
    clock,
    random: { bytes: (length) => new Uint8Array(length).fill(++count), fraction: () => 0.999 },
    log: memoryLog(logged),
    backoff: { firstMs: 1_000, capMs: 30_000 },
    onDesired: async () => undefined,
    onUnlock: () => undefined,
    onStoreError: (error) => {
      throw error;
    },
  });
  void upstream.run();
  await clock.advance(0);
  return { clock, transport, upstream, logged };
}

const question = {
  device: lockId,
  address: "C0:FF:EE:00:00:01",
  statement: base64Of(120, 1),
  mac: base64Of(32, 2),
};

/** The authority says these, one after the other, to each question. */
function authoritySays(
  transport: MemoryUpstream,
  answersTo: (id: string) => readonly Readonly<Record<string, unknown>>[],
): Record<string, unknown>[] {
  const asked: Record<string, unknown>[] = [];
  transport.onPublish = ({ topic, payload, retain }) => {
    if (!topic.endsWith("authority/command/pair")) return;
    expect(retain).toBe(false);
    const command = JSON.parse(payload) as Record<string, unknown>;
    asked.push(command);
    for (const answer of answersTo(String(command["id"]))) {
      transport.say(`dl/1/${site}/${gatewayId}/result/pair`, { v: 1, device: lockId, ...answer });
    }
  };
  return asked;
}

describe("a lock's word in a pairing", () => {
  it("[Z9] goes to the authority as it is, and what that sealed comes back as it is", async () => {
    const { transport, upstream } = await start();
    const asked = authoritySays(transport, (id) => [{ id, state: "done", sealed: base64Of(60, 7) }]);
    expect(await upstream.askPairing(question)).toEqual({ ok: true, sealed: new Uint8Array(60).fill(7) });
    expect(asked).toEqual([{ v: 1, id: expect.any(String), from: gatewayId, ...question }]);
    expect(await upstream.askPairing({ ...question, confirmation: base64Of(32, 3) })).toMatchObject({ ok: true });
    expect(asked[1]).toMatchObject({ confirmation: base64Of(32, 3) });
    expect(asked[1]?.["id"]).not.toBe(asked[0]?.["id"]);
  });

  it("[Z9] is done without anything sealed when it was the last", async () => {
    const { transport, upstream } = await start();
    authoritySays(transport, (id) => [{ id, state: "done" }]);
    expect(await upstream.askPairing(question)).toEqual({ ok: true, sealed: undefined });
  });

  it("is refused with the authority's reason, or by its state where it gives none", async () => {
    const { transport, upstream } = await start();
    authoritySays(transport, (id) => [{ id, state: "refused", reason: "not-open" }]);
    expect(await upstream.askPairing(question)).toEqual({ ok: false, reason: "not-open" });
    authoritySays(transport, (id) => [{ id, state: "failed" }]);
    expect(await upstream.askPairing(question)).toEqual({ ok: false, reason: "failed" });
  });

  it("waits on while the authority works, and hears its own answer alone", async () => {
    const { transport, upstream } = await start();
    authoritySays(transport, (id) => [
      { id: "another", state: "done", sealed: base64Of(60, 1) },
      { id, state: "accepted" },
      { id, state: "executing" },
      { id, state: "done", sealed: base64Of(60, 2) },
      { id, state: "refused", reason: "not-open" },
    ]);
    expect(await upstream.askPairing(question)).toEqual({ ok: true, sealed: new Uint8Array(60).fill(2) });
  });

  it("an answer of another shape is refused and counted, and no answer", async () => {
    const { clock, transport, upstream } = await start();
    authoritySays(transport, (id) => [
      { id, state: "done", sealed: "no base64" },
      { id, state: "refused", reason: "because" },
      { id, state: "done", sealed: base64Of(10_000, 1) },
    ]);
    const answer = upstream.askPairing(question);
    await clock.advance(10_000);
    expect(await answer).toEqual({ ok: false, reason: "no-answer" });
    expect(upstream.status().refused).toBe(3);
  });

  it("without a link it is unreachable at once; a link that goes ends it at once", async () => {
    const { clock, transport, upstream } = await start({ up: false });
    expect(await upstream.askPairing(question)).toEqual({ ok: false, reason: "unreachable" });
    transport.setLink(true);
    await clock.advance(5_000);
    const waiting = upstream.askPairing(question);
    await clock.advance(1_000);
    transport.setLink(false);
    await clock.advance(0);
    expect(await waiting).toEqual({ ok: false, reason: "unreachable" });
  });

  it("an authority that says nothing is waited for 8 seconds, less than the lock waits for its courier", async () => {
    const { clock, upstream } = await start();
    const answers: PairAnswer[] = [];
    void upstream.askPairing(question).then((answer) => answers.push(answer));
    await clock.advance(7_900);
    expect(answers).toEqual([]);
    await clock.advance(100);
    expect(answers).toEqual([{ ok: false, reason: "no-answer" }]);
  });

  it("what comes too late is heard by nobody, and by no later question", async () => {
    const { clock, transport, upstream } = await start();
    const asked = authoritySays(transport, () => []);
    const first = upstream.askPairing(question);
    await clock.advance(9_000);
    expect(await first).toMatchObject({ ok: false });
    const second = upstream.askPairing(question);
    const late = { v: 1, device: lockId, id: asked[0]?.["id"], state: "done", sealed: base64Of(60, 1) };
    transport.say(`dl/1/${site}/${gatewayId}/result/pair`, late);
    await clock.advance(9_000);
    expect(await second).toEqual({ ok: false, reason: "no-answer" });
    expect(upstream.status().refused).toBe(0);
  });
});
