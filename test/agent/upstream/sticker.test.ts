/** A gateway's question about a sticker, carried to the authority and back. */
import { describe, expect, it } from "vitest";
import { Upstream } from "../../../agent/upstream/upstream.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { gatewayId, memoryLog, site } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { MemoryUpstream } from "../../world/memory-upstream.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

async function start(options: { readonly up?: boolean } = {}) {
  const clock = new SteppedClock();
  const transport = new MemoryUpstream({ up: options.up ?? true });
  let count = 0;
  const upstream = new Upstream({
    site,
    gateway: gatewayId,
    transport,
    store: new MemoryStore(),
    clock,
    random: { bytes: (length) => new Uint8Array(length).fill(++count), fraction: () => 0.999 },
    log: memoryLog([]),
    backoff: { firstMs: 1_000, capMs: 30_000 },
    onDesired: async () => undefined,
    onUnlock: () => undefined,
    onStoreError: (error) => {
      throw error;
    },
  });
  void upstream.run();
  await clock.advance(0);
  return { clock, transport, upstream };
}

const panel = "lobby-link" as DeviceId;
const question = { device: panel, action: "rotate" as const, rotation: 3 };

function authoritySays(transport: MemoryUpstream, ...answers: readonly Readonly<Record<string, unknown>>[]) {
  const asked: Record<string, unknown>[] = [];
  transport.onPublish = ({ topic, payload, retain }) => {
    if (topic !== `dl/1/${site}/authority/command/sticker`) return;
    expect(retain).toBe(false);
    const command = JSON.parse(payload) as Record<string, unknown>;
    asked.push(command);
    for (const answer of answers) {
      transport.say(`dl/1/${site}/${gatewayId}/result/sticker`, { v: 1, id: command["id"], device: panel, ...answer });
    }
  };
  return asked;
}

describe("a question about a sticker", () => {
  it("[Q59] goes to the authority under the gateway's own name, each under its own id", async () => {
    const { transport, upstream } = await start();
    const asked = authoritySays(transport, { state: "accepted" }, { state: "done", rotation: 4 });
    expect(await upstream.askSticker(question)).toEqual({ ok: true, rotation: 4 });
    expect(asked).toEqual([{ v: 1, id: expect.any(String), from: gatewayId, ...question }]);
    await upstream.askSticker(question);
    expect(asked[1]?.["id"]).not.toBe(asked[0]?.["id"]);
  });

  it("[Q59] a refusal has its reason, and what is no answer settles nothing", async () => {
    const { transport, upstream, clock } = await start();
    authoritySays(transport, { state: "refused", reason: "another-rotation" });
    expect(await upstream.askSticker(question)).toEqual({ ok: false, reason: "another-rotation" });
    // Done without the rotation that was made says nothing that could be printed.
    authoritySays(transport, { state: "done" });
    expect(await upstream.askSticker(question)).toEqual({ ok: false, reason: "done" });
    authoritySays(transport, { state: "refused", reason: "because" }, { id: "another", state: "done", rotation: 4 });
    const waiting = upstream.askSticker(question);
    await clock.advance(8_000);
    expect(await waiting).toEqual({ ok: false, reason: "no-answer" });
  });

  it("[Q59] without a link, and when it is lost meanwhile, the answer is that nobody can be reached", async () => {
    const { upstream: alone } = await start({ up: false });
    expect(await alone.askSticker(question)).toEqual({ ok: false, reason: "unreachable" });
    const { transport, upstream, clock } = await start();
    const waiting = upstream.askSticker(question);
    transport.setLink(false);
    await clock.advance(0);
    expect(await waiting).toEqual({ ok: false, reason: "unreachable" });
  });
});
