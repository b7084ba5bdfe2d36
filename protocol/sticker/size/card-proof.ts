/** What tells a card from other rectangles of its shape: an ID-1 card's round corners, the calibration card's four marks. */
import { type GreyPicture, lumaAt } from "../grey-picture.ts";
import {
  calibrationCardBorderMm,
  calibrationCardHeightMm,
  calibrationCardHollowMm,
  calibrationCardMarkMm,
  calibrationCardMarks,
  calibrationCardWidthMm,
} from "./calibration-card.ts";
import type { ReferenceShape, Scene } from "./scene-fit.ts";
import { at, projection, referenceToFace } from "./scene-model.ts";

/**
 * How many more corners are seen to be round than square, -4..4. On the line from a corner to the middle, a round corner begins
 * r (sqrt 2 - 1) inside the place where the sides would meet; 1.3 mm for a card.
 */
export function roundCorners(picture: GreyPicture, scene: Scene, shape: ReferenceShape, radiusMm: number): number {
  const look = referenceLooker(picture, scene);
  const [halfWidth, halfHeight] = [shape.widthMm / 2, shape.heightMm / 2];
  const gap = radiusMm * (Math.SQRT2 - 1);
  let votes = 0;
  for (const [sideX, sideY] of corners) {
    const luma = (inside: number): number =>
      look(sideX * (halfWidth - inside * Math.SQRT1_2), sideY * (halfHeight - inside * Math.SQRT1_2));
    // Round: the sliver between both places looks like what is outside. Square: like what is inside.
    const outside = (luma(-0.5) + luma(-0.9)) / 2;
    const sliver = (luma(0.45 * gap) + luma(0.6 * gap)) / 2;
    const inside = (luma(gap + 0.9) + luma(gap + 1.3)) / 2;
    if (Math.abs(inside - outside) < cornerStepMin) continue;
    votes += Math.abs(sliver - outside) < Math.abs(sliver - inside) ? 1 : -1;
  }
  return votes;
}

/** True when border, inside and marks are as dark and as light as they should be, either way up. */
export function cardMarksSeen(picture: GreyPicture, scene: Scene): boolean {
  const look = referenceLooker(picture, scene);
  return [1, -1].some((way) => {
    const luma = (x: number, y: number): number =>
      look(way * (x - calibrationCardWidthMm / 2), way * (y - calibrationCardHeightMm / 2));
    const border = calibrationCardBorderMm / 2;
    const dark = [
      luma(calibrationCardWidthMm / 2, border),
      luma(calibrationCardWidthMm / 2, calibrationCardHeightMm - border),
      luma(border, calibrationCardHeightMm / 2),
      luma(calibrationCardWidthMm - border, calibrationCardHeightMm / 2),
    ];
    const light: number[] = [];
    for (const [one, mark] of calibrationCardMarks.entries()) {
      const off = (calibrationCardHollowMm / 2 + calibrationCardMarkMm / 2) / 2;
      dark.push(
        luma(mark.x - off, mark.y),
        luma(mark.x + off, mark.y),
        luma(mark.x, mark.y - off),
        luma(mark.x, mark.y + off),
      );
      (one === 0 ? light : dark).push(luma(mark.x, mark.y));
      const beside = calibrationCardMarkMm / 2 + 1.5;
      light.push(luma(mark.x, mark.y - beside), luma(mark.x, mark.y + beside));
    }
    return Math.max(...dark) + markStepMin < Math.min(...light);
  });
}

/** Luma at mm of the reference's own plane. */
function referenceLooker(picture: GreyPicture, scene: Scene): (x: number, y: number) => number {
  const project = projection(scene.frame, scene.parameters);
  const face = referenceToFace(scene.parameters);
  const depth = -(scene.parameters[at.proud] ?? 0);
  return (x, y) => {
    const place = face(x, y);
    const seen = project(place.x, place.y, depth);
    return lumaAt(picture, seen.x, seen.y);
  };
}

const corners = [
  [-1, -1],
  [1, -1],
  [1, 1],
  [-1, 1],
] as const;
const cornerStepMin = 12;
const markStepMin = 15;
