/**
 * How much of the radio's capacity a transfer of 160 kB uses: the session beside one request at a time and a plain window.
 *
 * Capacity is what the link delivers: slots times (1 - loss), since a lost frame has used its slot and nobody can have it. Counted is
 * from a moment anywhere in a connection interval until the last message is whole at the other end, headers and the wait for the
 * first event included; a frame carries 220 bytes of 244 in all three ways.
 */
import { type Figure, rounded } from "./result.ts";
import { BenchSession, type LinkModel, oneAtATimeMs, payloadBytes, plainWindowMs } from "./sync-link.ts";

export const goodputModel =
  "goodput: each interval carries so many frames each way, a frame goes out in the next event at the earliest, a lost one has used its slot, a reordered one comes up to 8 slots late; capacity is the slots that are not lost; 160 kB, mean of all seeds";

/** A mean of fewer seeds says little where a lost last frame costs a tenth of the transfer. */
export function goodputFigures(seeds: number): readonly Figure[] {
  return links.flatMap((link) => losses.flatMap((loss) => figuresOf({ ...link, loss, reorderDepth: 8 }, seeds)));
}

function figuresOf(model: Required<Omit<LinkModel, "duplication" | "delayMs">>, seeds: number): Figure[] {
  const measure = (share: (seed: number) => number): readonly number[] =>
    Array.from({ length: seeds }, (_, index) => share(index + 2));
  const shares = measure((seed) => sessionShare(model, seed));
  const share = mean(shares);
  const id = `goodput-${model.framesPerEvent}-per-${model.intervalMs}-ms-loss-${model.loss * 100}`;
  const beside = (name: string, other: number): Figure => ({
    id: `${id}-beside-${name}`,
    value: rounded(share),
    unit: "share of the link",
    anchor: { name, value: rounded(other) },
    ratio: rounded(share / other),
    holds: true,
  });
  const one = mean(measure((seed) => shareOf(model, oneFrames, oneAtATimeMs(model, oneFrames, seed))));
  const window = mean(measure((seed) => shareOf(model, windowFrames, plainWindowMs(model, windowFrames, seed))));
  return [
    { id, value: rounded(share), unit: "share of the link", target: "value >= 0.9", holds: share >= 0.9 },
    { id: `${id}-lowest-seed`, value: rounded(Math.min(...shares)), unit: "share of the link", holds: true },
    beside("one-request-at-a-time", one),
    beside("window-without-bitmap", window),
  ];
}

function sessionShare(model: LinkModel, seed: number): number {
  const session = new BenchSession(model, seed);
  // Who begins to send knows nothing of the radio's events.
  session.idle(((seed * goldenShare) % 1) * (model.intervalMs ?? 0));
  const beganMs = session.nowMs;
  const messages = Array.from({ length: messageCount }, (_, index) => new Uint8Array(messageBytes).fill(index));
  session.send("courier", messages);
  return shareOf(model, (messageCount * (messageBytes + lengthBytes)) / payloadBytes, session.nowMs - beganMs);
}

function shareOf({ intervalMs = 50, framesPerEvent = 6, loss = 0 }: LinkModel, frames: number, ms: number): number {
  const slots = ms / (intervalMs / framesPerEvent);
  return frames / (slots * (1 - loss));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const losses = [0, 0.01, 0.1];
/** BlueZ's own interval with what phones and gateways really carry, the same filled at 1M and at 2M PHY, and a short one at 2M. */
const links = [
  { intervalMs: 50, framesPerEvent: 6 },
  { intervalMs: 50, framesPerEvent: 19 },
  { intervalMs: 15, framesPerEvent: 10 },
  { intervalMs: 50, framesPerEvent: 35 },
] as const;
const messageCount = 8;
const messageBytes = 20_000;
const lengthBytes = 2;
const oneFrames = 60;
const windowFrames = 300;
/** Multiples of it fall evenly into an interval. */
const goldenShare = 0.618_034;
