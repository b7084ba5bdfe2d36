/**
 * How far a sticker is from flat: the map of its modules against the plane through its middle. A corner that comes off stands out by itself;
 * a sticker on something round bends on opposite sides. Rules: SPEC Q78.
 */
import { applyHomography, distance, homographyBetween, type Point, type SymbolMap } from "../plane.ts";

/** In modules; corners: top left, top right, bottom right, bottom left as the symbol was printed. */
export type Bend = {
  readonly corners: readonly [number, number, number, number];
  readonly kind: "flat" | "corner-lifted" | "curved";
};

/** Measures the bend of a map that follows the paper; a map that is a homography is flat by its nature. Undefined for a degenerate one. */
export function measureBend(map: SymbolMap): Bend | undefined {
  const { modules, toPicture } = map;
  const [from, to]: [Point[], Point[]] = [[], []];
  for (let row = 0; row <= middleSteps; row++) {
    for (let column = 0; column <= middleSteps; column++) {
      const x = modules * (middleFrom + ((1 - 2 * middleFrom) * column) / middleSteps);
      const y = modules * (middleFrom + ((1 - 2 * middleFrom) * row) / middleSteps);
      from.push({ x, y });
      to.push(toPicture(x, y));
    }
  }
  const plane = homographyBetween(from, to);
  if (plane === undefined) return undefined;
  const offAt = (x: number, y: number): number => {
    const flat = applyHomography(plane, x, y);
    const module = distance(applyHomography(plane, x + 0.5, y), applyHomography(plane, x - 0.5, y));
    return distance(flat, toPicture(x, y)) / Math.max(module, 1e-6);
  };
  const near = 0.5;
  const far = modules - near;
  const corners = [offAt(near, near), offAt(far, near), offAt(far, far), offAt(near, far)] as const;
  return { corners, kind: kindOf(corners) };
}

function kindOf(corners: Bend["corners"]): Bend["kind"] {
  const sorted = corners.toSorted((a, b) => b - a);
  const [first = 0, second = 0] = sorted;
  if (first < liftedMin) return "flat";
  return second < first * aloneShare ? "corner-lifted" : "curved";
}

const middleFrom = 0.2;
const middleSteps = 6;
// Lens and measuring move a corner by less.
const liftedMin = 0.45;
const aloneShare = 0.5;
