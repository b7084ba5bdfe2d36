import { describe, expect, it } from "vitest";
import { measureBend } from "../../../../protocol/sticker/condition/bend.ts";
import { judgeFade } from "../../../../protocol/sticker/condition/fade.ts";
import { type TriageCause, triageCondition } from "../../../../protocol/sticker/condition/triage.ts";

const day = 86_400_000;

describe("fading", () => {
  it("[Q80] is told by the contrast of today, or by where three scans over a month are going", () => {
    expect(judgeFade(94, 70, [], 0)).toEqual({ contrastPercent: 94, perMonth: undefined, daysLeft: undefined });
    expect(judgeFade(60, 70, [], undefined)).toMatchObject({ daysLeft: 0 });
    const earlier = [
      { atMs: 0, contrastPercent: 94 },
      { atMs: 60 * day, contrastPercent: 88 },
    ];
    const judged = judgeFade(82, 70, earlier, 120 * day);
    expect(judged.perMonth).toBeCloseTo(-3, 6);
    expect(judged.daysLeft).toBeCloseTo(120, 6);
  });

  it("[Q80] two scans, a short month, or scans that stay as they are make no trend", () => {
    expect(judgeFade(88, 70, [{ atMs: 0, contrastPercent: 94 }], 90 * day).perMonth).toBeUndefined();
    const hurried = [0, 1, 2].map((at) => ({ atMs: at * day, contrastPercent: 94 - at }));
    expect(judgeFade(90, 70, hurried, 4 * day).perMonth).toBeUndefined();
    const steady = [0, 40, 80].map((at) => ({ atMs: at * day, contrastPercent: 90 + (at % 3) / 10 }));
    expect(judgeFade(90, 70, steady, 120 * day).daysLeft).toBeUndefined();
  });
});

describe("bending", () => {
  const mapOf = (lift: (column: number, row: number) => number) => ({
    modules: 33,
    toPicture: (column: number, row: number) => ({ x: 10 * column, y: 10 * row - 10 * lift(column, row) }),
  });

  it("[Q78] a corner that stands out alone has come off; opposite sides together are a curve", () => {
    expect(measureBend(mapOf(() => 0))?.kind).toBe("flat");
    const corner = measureBend(mapOf((column, row) => Math.max(0, (column + row - 48) / 16)));
    expect(corner?.kind).toBe("corner-lifted");
    expect(corner?.corners.indexOf(Math.max(...corner.corners))).toBe(2);
    expect(measureBend(mapOf((column) => ((column - 16.5) / 16.5) ** 2 * 3))?.kind).toBe("curved");
  });
});

describe("triage", () => {
  const routeOf = (...causes: readonly TriageCause[]) => triageCondition(new Set(causes)).route;

  it("[Q81] row 40: only the sticker at fault: rotate and reprint", () => {
    for (const cause of [
      "torn",
      "peeling",
      "scratch",
      "fade",
      "wrong-size",
      "quiet-zone-eaten",
      "wrong-sticker",
    ] as const) {
      expect(triageCondition(new Set([cause]))).toMatchObject({ part: "sticker", route: "rotate-and-reprint" });
    }
  });

  it("[Q81] row 39: housing and adhesive are told by the person in front of the panel, and come first", () => {
    const torn = new Set<TriageCause>(["torn"]);
    expect(triageCondition(torn, { housing: "damaged" })).toMatchObject({
      part: "housing",
      route: "order-replacement",
    });
    expect(triageCondition(torn, { mount: "fallen" })).toMatchObject({
      part: "adhesive",
      route: "remount-with-fresh-tape",
      reason: expect.stringContaining("Do not reuse the old tape"),
    });
  });

  it("[Q81] dirt is cleaned before anything is thrown away, glare is photographed again, a cover comes off first", () => {
    expect(routeOf("dirt")).toBe("clean-and-rescan");
    expect(routeOf("glare")).toBe("photograph-again");
    expect(routeOf("glare", "peeling", "torn", "fade")).toBe("photograph-again");
    expect(routeOf("glare", "scratch")).toBe("rotate-and-reprint");
    expect(routeOf("glare", "dirt")).toBe("clean-and-rescan");
    expect(routeOf("glare", "scratch")).toBe("rotate-and-reprint");
    expect(routeOf("overlay", "scratch")).toBe("remove-what-covers");
    expect(routeOf("unreadable")).toBe("photograph-again");
    expect(routeOf()).toBe("nothing");
  });
});
