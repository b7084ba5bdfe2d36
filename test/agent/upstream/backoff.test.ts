import { describe, expect, it } from "vitest";
import { fullJitterMs } from "../../../agent/upstream/backoff.ts";

describe("full-jitter back-off", () => {
  const rules = { firstMs: 500, capMs: 60_000 };

  it("[U1] is anywhere between nothing and a ceiling that doubles up to the cap", () => {
    expect([1, 2, 3, 4].map((failures) => fullJitterMs(rules, failures, 0.999_999))).toEqual([499, 999, 1_999, 3_999]);
    expect(fullJitterMs(rules, 9, 0)).toBe(0);
    expect(fullJitterMs(rules, 10_000, 0.5)).toBe(30_000);
  });
});
