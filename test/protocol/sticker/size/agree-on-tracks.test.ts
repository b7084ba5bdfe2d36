import { describe, expect, it } from "vitest";
import { agreeOnTracks, type TrackedLine } from "../../../../protocol/sticker/size/agree-on-tracks.ts";
import type { ReferenceShape } from "../../../../protocol/sticker/size/scene-fit.ts";

const shape: ReferenceShape = {
  widthMm: 80,
  heightMm: 50,
  lines: [0, 1, 2, 3].map((side) => ({
    side: side === 0 ? 0 : side === 1 ? 1 : side === 2 ? 2 : 3,
    inset: 0,
    growth: 0,
    facing: 1,
  })),
};

/** A card moved 0.4 mm right and 0.2 mm up and seen 1 % larger, whose sides are so far outside their places. */
const outward = [0.25 + 0.2, 0.4 + 0.4, 0.25 - 0.2, 0.4 - 0.4];

function lines(others: readonly (readonly [offset: number, share: number])[][], footMm = 0): readonly TrackedLine[] {
  return shape.lines.map(({ side, facing }, line) => ({
    side,
    facing,
    footMm,
    tracks: [[outward[line] ?? 0, 0.95] as const, ...(others[line] ?? [])].map(([offset, share]) => ({
      ...{ line, outward: offset, share },
      edges: [{ line, along: offset, seen: { x: 0, y: 0 }, normal: { x: 1, y: 0 } }],
    })),
  }));
}

describe("tracks that agree", () => {
  it("[Q87] are those that one move and one growth explain", () => {
    const noise = [[[-0.9, 0.9]], [[-0.5, 0.97]], [[1.1, 0.8]], [[-1.2, 0.99]]] as const;
    const agreed = agreeOnTracks(
      lines(noise.map((some) => some.map(([offset, share]) => [offset, share]))),
      shape,
      0.3,
    );
    expect(agreed?.move.x).toBeCloseTo(0.4, 1);
    expect(agreed?.move.y).toBeCloseTo(-0.2, 1);
    expect(agreed?.move.grow).toBeCloseTo(0.01, 2);
    expect(agreed?.edges.map(({ along }) => along)).toEqual(outward);
    expect(agreed?.score).toBeGreaterThan(0.7);
  });

  it("[Q88] are the front edges where each has its foot beside it, as far off as the camera says", () => {
    const feet = outward.map((offset): (readonly [number, number])[] => [[offset + 0.6, 0.99]]);
    const agreed = agreeOnTracks(lines(feet, 0.6), shape, 0.3);
    expect(agreed?.edges.map(({ along }) => along)).toEqual(outward);
  });

  it("[Q87] are none when a side shows nothing", () => {
    const three = lines([]).map((line, side) => (side === 2 ? { ...line, tracks: [] } : line));
    expect(agreeOnTracks(three, shape, 0.3)).toBeUndefined();
  });
});
