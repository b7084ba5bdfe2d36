import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyHomography,
  type Homography,
  homographyBetween,
  invertHomography,
  multiplyHomographies,
  type Point,
} from "../../../protocol/sticker/plane.ts";

const views = fc
  .record({
    turn: fc.double({ min: -3, max: 3, noNaN: true }),
    scale: fc.double({ min: 0.5, max: 40, noNaN: true }),
    x: fc.double({ min: -2000, max: 2000, noNaN: true }),
    y: fc.double({ min: -2000, max: 2000, noNaN: true }),
    tilt: fc.double({ min: -0.004, max: 0.004, noNaN: true }),
    lean: fc.double({ min: -0.004, max: 0.004, noNaN: true }),
  })
  .map(({ turn, scale, x, y, tilt, lean }): Homography => {
    const [cos, sin] = [scale * Math.cos(turn), scale * Math.sin(turn)];
    return [cos, -sin, x, sin, cos, y, tilt, lean, 1];
  });

const square: readonly Point[] = [0, 11, 33].flatMap((x) => [0, 14, 33].map((y) => ({ x, y })));

describe("homographies", () => {
  it("are found again from what they did to points, from four and from many", () => {
    fc.assert(
      fc.property(views, (view) => {
        const seen = square.map(({ x, y }) => applyHomography(view, x, y));
        const corners = [0, 2, 6, 8];
        const four = homographyBetween(
          corners.map((at) => square[at] ?? { x: 0, y: 0 }),
          corners.map((at) => seen[at] ?? { x: 0, y: 0 }),
        );
        for (const found of [homographyBetween(square, seen), four]) {
          if (found === undefined) expect.fail("no homography");
          const there = applyHomography(found, 20, 7);
          const expected = applyHomography(view, 20, 7);
          expect(Math.hypot(there.x - expected.x, there.y - expected.y)).toBeLessThan(1e-4);
        }
      }),
    );
  });

  it("are undone by their inverse", () => {
    fc.assert(
      fc.property(views, (view) => {
        const back = multiplyHomographies(invertHomography(view), view);
        const { x, y } = applyHomography(back, 12, 31);
        expect(Math.hypot(x - 12, y - 31)).toBeLessThan(1e-6);
      }),
    );
  });

  it("are not made from points on one line, nor from three", () => {
    const line = [1, 2, 3, 4].map((x) => ({ x, y: 2 * x }));
    expect(homographyBetween(line, line)).toBeUndefined();
    expect(homographyBetween(square.slice(0, 3), square.slice(0, 3))).toBeUndefined();
  });
});
