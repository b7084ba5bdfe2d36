import { expect, it } from "vitest";
import { LoopLagMeter } from "../../../agent/machine/loop-lag.ts";

it("[G30] a loop that stood still shows, and is forgotten once it was asked for", async () => {
  const meter = new LoopLagMeter();
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 110));
  await turn();
  await turn();
  meter.take();
  await turn();
  const until = performance.now() + 400;
  while (performance.now() < until) Math.sqrt(until);
  await turn();
  const lag = meter.take();
  expect(lag?.maxMs).toBeGreaterThan(150);
  expect(lag?.p50Ms).toBeLessThanOrEqual(lag?.p99Ms ?? 0);
  expect(meter.take()).toBe(null);
  meter.stop();
});
