/**
 * Seeded photographs in which there is no QR code, though some look like it: text, grids, leaves, frames within frames with
 * a finder's own proportions, targets, checkers, bar codes, random modules, and finders around modules that say nothing.
 * Whatever a reader reads in them is false.
 */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { seededRandom } from "../world/random.ts";
import { aimShot, renderGrey } from "./camera.ts";
import { evenLight } from "./light.ts";
import { buildScene, orderScene } from "./scene.ts";
import { phoneSensor } from "./sensor.ts";
import type { WallKind } from "./walls.ts";

export type NegativePhoto = { readonly kind: WallKind; readonly seed: number; readonly picture: GreyPicture };

/** How many there are to a full campaign; every seed 1.. gives another one, all kinds in turn. */
export const negativesInCampaign = 1_120;

export function negativePhoto(seed: number): NegativePhoto {
  const random = seededRandom(seed, "camera/negative");
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const kind = negativeKinds[seed % negativeKinds.length] ?? "text";
  const [width, height] = pictureSizes[random.integer(pictureSizes.length)] ?? [640, 480];
  const wallMm = between(180, 420);
  const scene = buildScene(
    orderScene({ seed, wall: kind, wallMm, wallTexels: 900, wallTone: between(0.5, 0.85), ...surfaceless }),
  );
  const light = { ...evenLight, exposure: between(0.35, 1.15), fall: between(0, 0.6), fallTurn: between(0, 6) };
  const glare = {
    ...{ x: between(-60, 60), y: between(-60, 60), radiusX: between(5, 40), radiusY: between(5, 40) },
    ...{ turn: between(0, 3), strength: between(0.5, 4), evenness: random.next() },
  };
  const shot = aimShot({
    ...{ seed, width, height },
    pose: {
      ...{ distanceMm: between(120, 330), yaw: between(-35, 35), pitch: between(-35, 35), roll: between(-180, 180) },
      ...{ aimXMm: between(-40, 40), aimYMm: between(-40, 40) },
    },
    lens: { focalRatio: 0.8, k1: between(-0.05, 0.02), k2: 0 },
    light: random.next() < 0.2 ? { ...light, glares: [glare] } : light,
    sensor: {
      ...phoneSensor,
      ...{ noise: between(1, 6), defocusPx: random.next() < 0.25 ? between(0.5, 3) : 0 },
      jpegQuality: Math.round(between(70, 92)),
    },
  });
  return { kind, seed, picture: renderGrey(scene, shot).picture };
}

/** What looks most like a code comes most often. */
export const negativeKinds: readonly WallKind[] = [
  ...(["plaster", "brick", "tiles", "wood", "foliage", "foliage", "text", "text", "text", "grid", "grid"] as const),
  ...(["checkers", "frames", "frames", "frames", "rings", "rings", "bars", "bars"] as const),
  ...(["modules", "modules", "half-codes", "half-codes", "half-codes"] as const),
];

const surfaceless = { surface: { kind: "flat" }, codes: [] } as const;
const pictureSizes: readonly (readonly [number, number])[] = [
  [640, 480],
  [800, 600],
  [480, 640],
  [1024, 768],
];
