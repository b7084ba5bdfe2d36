/** Steps back until everything that matters is in the picture. */
import type { Shot } from "./camera.ts";
import { aimCamera } from "./lens.ts";
import type { PlacedCode, Scene } from "./scene.ts";
import type { Vector } from "./surface.ts";

export type FittedShot = Shot & { readonly pxPerModule: number };

/**
 * The shot at the distance where the codes (with their quiet zones) take about `fill` of the picture's shorter side, or
 * farther away when they would not be whole. `pxPerModule` is the mean of the first code there.
 */
export function fitInPicture(scene: Scene, shot: Shot, fill: number): FittedShot {
  const outline = scene.codes.flatMap(outlineOf);
  const shorter = Math.min(shot.width, shot.height);
  let distanceMm = 40;
  for (let step = 0; step < 400; step++) {
    const camera = aimCamera(shot, { ...shot.pose, distanceMm }, shot.lens);
    const places = outline.map(camera.project);
    const seen = places.filter((place) => place !== undefined);
    const whole =
      seen.length === outline.length &&
      seen.every(({ x, y }) => x > margin && y > margin && x < shot.width - margin && y < shot.height - margin);
    const extent = Math.sqrt(spanOf(seen.map(({ x }) => x)) * spanOf(seen.map(({ y }) => y)));
    if (whole && extent <= fill * shorter) break;
    distanceMm *= 1.025;
  }
  const pose = { ...shot.pose, distanceMm };
  return { ...shot, pose, pxPerModule: modulePx(scene.codes[0], { ...shot, pose }) };
}

/** Points around the symbol, not only its corners: a bent one may reach farthest in between. */
function outlineOf({ face, item }: PlacedCode): readonly Vector[] {
  const half = { x: face.halfWidthMm, y: face.halfHeightMm };
  const [cosine, sine] = [Math.cos(item.turn), Math.sin(item.turn)];
  const places: Vector[] = [];
  for (let step = -2; step <= 2; step++) {
    for (const [x, y] of [
      [half.x, (step / 2) * half.y],
      [-half.x, (step / 2) * half.y],
      [(step / 2) * half.x, half.y],
      [(step / 2) * half.x, -half.y],
    ] as const) {
      places.push(item.surface.lift(item.xMm + x * cosine - y * sine, item.yMm + x * sine + y * cosine, 0));
    }
  }
  return places;
}

function modulePx(code: PlacedCode | undefined, shot: Shot): number {
  if (code === undefined) return 1;
  const camera = aimCamera(shot, shot.pose, shot.lens);
  const { xMm, yMm, surface } = code.item;
  const here = camera.project(surface.lift(xMm, yMm, 0));
  const across = camera.project(surface.lift(xMm + code.face.moduleXMm, yMm, 0));
  const down = camera.project(surface.lift(xMm, yMm + code.face.moduleYMm, 0));
  if (here === undefined || across === undefined || down === undefined) return 1;
  return (Math.hypot(across.x - here.x, across.y - here.y) + Math.hypot(down.x - here.x, down.y - here.y)) / 2;
}

function spanOf(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

const margin = 4;
