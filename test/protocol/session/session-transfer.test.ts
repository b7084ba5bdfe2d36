import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import { type LossyLinkOptions, seededBytes } from "../../world/lossy-link.ts";
import { closedOf, SessionPair, startMs } from "../../world/session-pair.ts";

/** Sends `size` bytes each way in messages of up to 20,000 bytes, to the end; any failure names its seed. */
function transfer(seed: number, size: number, link: Omit<LossyLinkOptions, "seed">): SessionPair {
  const pair = new SessionPair({ seed, link });
  const up = messagesOf(seed, size);
  const down = messagesOf(seed + 500, size);
  for (const message of up) pair.courier.session.send(message);
  for (const message of down) pair.lock.session.send(message);
  pair.lock.session.finish();
  pair.run(() => closedOf(pair.lock) !== undefined && closedOf(pair.courier) !== undefined, startMs + 600_000);
  const label = `seed ${seed}, ${size} bytes, ${JSON.stringify(link)}`;
  expect(closedOf(pair.lock)?.reason, label).toBe("finished");
  expect(closedOf(pair.courier)?.reason, label).toBe("finished");
  expect(digest(pair.lock.messages), label).toBe(digest(up));
  expect(digest(pair.courier.messages), label).toBe(digest(down));
  expect(pair.toLock.counts.longestFrame, label).toBeLessThanOrEqual(244);
  expect(pair.toCourier.counts.longestFrame, label).toBeLessThanOrEqual(244);
  return pair;
}

function messagesOf(seed: number, size: number): Uint8Array[] {
  const whole = seededBytes(seed, size);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < size; at += 20_000) messages.push(whole.subarray(at, at + 20_000));
  return messages;
}

function digest(messages: readonly Uint8Array[]): string {
  return messages.map((message) => `${message.length}:${bytesToHex(sha256(message)).slice(0, 16)}`).join(" ");
}

const sizes = [0, 1, 217, 218, 219, 220, 440, 5_000, 65_000];

describe("transfers both ways at once", () => {
  it.each(sizes)("[S12] %i bytes arrive over a sound link, with two probes of two frames repeated at most", (size) => {
    // With both windows full at once, the first acknowledgements stand in a queue longer than any round trip seen so far.
    const pair = transfer(size + 1, size, {});
    const atMost = size > 32 * 220 ? 4 : 0;
    expect(pair.courier.session.progress().framesRetransmitted).toBeLessThanOrEqual(atMost);
    expect(pair.lock.session.progress().framesRetransmitted).toBeLessThanOrEqual(atMost);
  });

  it.each([0.01, 0.1, 0.3])("[S12] all sizes arrive at a loss of %f with doubles and reordering", (loss) => {
    for (const [index, size] of sizes.entries()) {
      for (const seed of [1, 2, 3]) transfer(seed * 100 + index, size, { loss, duplication: 0.05, reorderDepth: 8 });
    }
  });

  it("[S12] 160 kB arrive each way at a loss of 30 %, doubles and reordering", () => {
    const pair = transfer(8, 160_000, { loss: 0.3, duplication: 0.1, reorderDepth: 8 });
    expect(pair.lock.session.progress().dropped.replayed).toBeGreaterThan(20);
  });

  it("[S12] reordering by eight places alone makes next to no repetitions", () => {
    const pair = transfer(11, 65_000, { reorderDepth: 8 });
    const { framesRetransmitted, framesSent } = pair.courier.session.progress();
    expect(framesRetransmitted / framesSent).toBeLessThan(0.03);
  });

  it("[S12] a link that overtakes further than expected is learnt, not fought", () => {
    const pair = transfer(12, 160_000, { reorderDepth: 24, framesPerEvent: 12 });
    const { framesRetransmitted, framesSent } = pair.courier.session.progress();
    expect(framesRetransmitted / framesSent).toBeLessThan(0.1);
  });

  it("[S12] the same seed gives the same frames at the same times", () => {
    const link = { loss: 0.1, duplication: 0.05, reorderDepth: 8 };
    const [first, second] = [transfer(5, 30_000, link), transfer(5, 30_000, link)];
    expect(second.courier.sent).toEqual(first.courier.sent);
    expect(second.lock.sent).toEqual(first.lock.sent);
  });
});

describe("repairs", () => {
  it("[S12] what was lost goes out again once in mid-transfer, twice at its end or when it was lost before, and rarely more", () => {
    let [sent, repeated, lost] = [0, 0, 0];
    for (const seed of [1, 2, 3, 4]) {
      const pair = transfer(seed, 160_000, { loss: 0.1, reorderDepth: 8, framesPerEvent: 19 });
      sent += pair.toLock.counts.offered;
      lost += pair.toLock.counts.lost;
      repeated += pair.courier.session.progress().framesRetransmitted;
    }
    expect(repeated - lost).toBeGreaterThan(4);
    expect((repeated - lost) / sent).toBeLessThan(0.04);
  });
});

describe("goodput", () => {
  // The link's capacity is the share of its slots that it does not lose; what is lost twice, and the end, cost the rest.
  it.each([
    { intervalMs: 50, framesPerEvent: 6, loss: 0, least: 0.95 },
    { intervalMs: 50, framesPerEvent: 6, loss: 0.1, least: 0.9 },
    { intervalMs: 50, framesPerEvent: 19, loss: 0, least: 0.95 },
    { intervalMs: 50, framesPerEvent: 19, loss: 0.1, least: 0.9 },
    { intervalMs: 50, framesPerEvent: 35, loss: 0, least: 0.95 },
    { intervalMs: 50, framesPerEvent: 35, loss: 0.01, least: 0.9 },
    { intervalMs: 50, framesPerEvent: 35, loss: 0.1, least: 0.9 },
    { intervalMs: 15, framesPerEvent: 10, loss: 0.01, least: 0.9 },
  ])(
    "[S12] $framesPerEvent frames each $intervalMs ms, loss $loss, reordering by 8: at least $least of the link",
    (model) => {
      const { least, ...link } = model;
      const size = 300_000;
      const pair = new SessionPair({ link: { ...link, reorderDepth: 8 }, seed: 2 });
      pair.run(() => pair.courier.events.length > 0);
      const fromMs = pair.nowMs;
      for (const message of messagesOf(1, size)) pair.courier.session.send(message);
      pair.run(() => pair.lock.messages.length === 15);
      const slots = (pair.nowMs - fromMs) / pair.toLock.slotMs;
      const needed = (size + 30) / 220;
      expect(needed / (slots * (1 - link.loss))).toBeGreaterThan(least);
    },
  );
});
