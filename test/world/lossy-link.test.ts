import { describe, expect, it } from "vitest";
import { LossyLink, type LossyLinkOptions } from "./lossy-link.ts";

function deliver(options: LossyLinkOptions, count: number): { numbers: number[]; lastMs: number; link: LossyLink } {
  const link = new LossyLink(options);
  for (let number = 0; number < count; number++) link.push(Uint8Array.of(number >> 8, number & 255), 0);
  const numbers: number[] = [];
  let lastMs = 0;
  for (let next = link.nextMs(); next !== undefined; next = link.nextMs()) {
    lastMs = next;
    numbers.push(...link.take(next).map((frame) => (frame[0] ?? 0) * 256 + (frame[1] ?? 0)));
  }
  return { numbers, lastMs, link };
}

describe("LossyLink", () => {
  it("carries what its slots hold, in order, when nothing is wrong", () => {
    const { numbers, lastMs } = deliver({ seed: 1, intervalMs: 50, framesPerEvent: 5 }, 20);
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(lastMs).toBe(250);
  });

  it("loses and doubles about the share it was told, and the same frames for the same seed", () => {
    const options = { seed: 7, loss: 0.1, duplication: 0.05 };
    const { numbers, link } = deliver(options, 5_000);
    expect(link.counts.lost).toBeGreaterThan(400);
    expect(link.counts.lost).toBeLessThan(600);
    expect(link.counts.doubled).toBeGreaterThan(150);
    expect(numbers.length).toBe(5_000 - link.counts.lost + link.counts.doubled);
    expect(deliver(options, 5_000).numbers).toEqual(numbers);
  });

  it("lets frames be overtaken by at most its depth", () => {
    const { numbers } = deliver({ seed: 3, reorderDepth: 8 }, 2_000);
    const overtakenBy = numbers.map((number, at) => numbers.slice(0, at).filter((other) => other > number).length);
    expect(Math.max(...overtakenBy)).toBeLessThanOrEqual(8);
    expect(Math.max(...overtakenBy)).toBeGreaterThanOrEqual(5);
  });
});
