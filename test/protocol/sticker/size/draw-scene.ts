/**
 * A small, slow, obvious renderer for tests of size by photo: flat things at heights before a wall, seen through a pinhole with one
 * radial term, four looks a pixel, blurred and noisy. It shares the camera's geometry with the emulated camera and nothing else.
 */
import { aimCamera, type Lens, type Pose } from "../../../../emulator/camera/lens.ts";
import { seededRandom } from "../../../../emulator/world/random.ts";
import type { GreyPicture } from "../../../../protocol/sticker/grey-picture.ts";
import type { Point, SymbolMap } from "../../../../protocol/sticker/plane.ts";

/** Reflectance 0..1 at mm from its middle, negative where it is not. */
export type Paint = (x: number, y: number) => number;

export type Thing = {
  readonly heightMm: number;
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  readonly paint: Paint;
};

export type SceneDrawing = {
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly pose: Pose;
  readonly lens: Lens;
  readonly wall: Paint;
  readonly things: readonly Thing[];
  readonly blurPx: number;
  readonly noise: number;
};

export function drawScene(scene: SceneDrawing): GreyPicture {
  const { width, height } = scene;
  const camera = aimCamera(scene, scene.pose, scene.lens);
  const nearestFirst = scene.things.toSorted((one, other) => other.heightMm - one.heightMm);
  const placed = nearestFirst.map((thing) => {
    const turn = (thing.turnDegrees * Math.PI) / 180;
    return { ...thing, cosine: Math.cos(turn), sine: Math.sin(turn) };
  });
  const look = (px: number, py: number): number => {
    const { origin, direction } = camera.ray(px, py);
    for (const thing of placed) {
      const t = (-thing.heightMm - origin[2]) / direction[2];
      const x = origin[0] + t * direction[0] - thing.xMm;
      const y = origin[1] + t * direction[1] - thing.yMm;
      const shade = thing.paint(x * thing.cosine + y * thing.sine, y * thing.cosine - x * thing.sine);
      if (shade >= 0) return shade;
    }
    const t = -origin[2] / direction[2];
    return scene.wall(origin[0] + t * direction[0], origin[1] + t * direction[1]);
  };
  const linear = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const dy of [0.25, 0.75]) for (const dx of [0.25, 0.75]) sum += look(x + dx, y + dy);
      linear[y * width + x] = sum / 4;
    }
  }
  return expose(blur(linear, width, height, scene.blurPx), width, height, scene);
}

/** Where the symbol's modules are in truth. */
export function trueMap(
  scene: Pick<SceneDrawing, "width" | "height" | "pose" | "lens">,
  modules: number,
  place: {
    readonly xMm: number;
    readonly yMm: number;
    readonly turnDegrees: number;
    readonly moduleX: number;
    readonly moduleY: number;
  },
): SymbolMap {
  const camera = aimCamera(scene, scene.pose, scene.lens);
  const turn = (place.turnDegrees * Math.PI) / 180;
  const toPicture = (column: number, row: number): Point => {
    const x = (column - modules / 2) * place.moduleX;
    const y = (row - modules / 2) * place.moduleY;
    const onWall = [
      place.xMm + x * Math.cos(turn) - y * Math.sin(turn),
      place.yMm + x * Math.sin(turn) + y * Math.cos(turn),
      0,
    ] as const;
    return camera.project(onWall) ?? { x: Number.NaN, y: Number.NaN };
  };
  return { modules, toPicture };
}

export function symbolFace(
  modules: number,
  dark: Uint8Array,
  order: { readonly moduleX: number; readonly moduleY: number; readonly growth: number },
): Paint {
  const half = modules / 2;
  const isDark = (column: number, row: number): boolean =>
    column >= 0 &&
    row >= 0 &&
    column < modules &&
    row < modules &&
    dark[Math.floor(row) * modules + Math.floor(column)] === 1;
  const reach = order.growth / 2;
  return (x, y) => {
    const column = x / order.moduleX + half;
    const row = y / order.moduleY + half;
    if (column < -4 || row < -4 || column > modules + 4 || row > modules + 4) return -1;
    for (const right of [-reach, reach])
      for (const down of [-reach, reach]) if (isDark(column + right, row + down)) return 0.06;
    return 0.85;
  };
}

export function roundedRectangle(width: number, height: number, corner: number, shade: number | Paint): Paint {
  return (x, y) => {
    const outX = Math.abs(x) - (width / 2 - corner);
    const outY = Math.abs(y) - (height / 2 - corner);
    const outside = Math.hypot(Math.max(outX, 0), Math.max(outY, 0)) + Math.min(Math.max(outX, outY), 0) - corner;
    if (outside > 0) return -1;
    return typeof shade === "number" ? shade : shade(x, y);
  };
}

function expose(linear: Float32Array, width: number, height: number, scene: SceneDrawing): GreyPicture {
  const random = seededRandom(scene.seed, "size/noise");
  const luma = new Uint8Array(width * height);
  for (let at = 0; at < luma.length; at++) {
    // sRGB is close to a power of 1/2.2; what matters is that it bends.
    const tone = 255 * Math.max(0, linear[at] ?? 0) ** (1 / 2.2);
    luma[at] = Math.max(0, Math.min(255, Math.round(tone + scene.noise * random.gaussian())));
  }
  return { width, height, luma };
}

function blur(from: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const reach = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / sigma) ** 2));
  const total = kernel.reduce((sum, value) => sum + value, 0);
  const pass = (source: Float32Array, stepX: number, stepY: number): Float32Array => {
    const out = new Float32Array(source.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) {
          const px = Math.min(width - 1, Math.max(0, x + k * stepX));
          const py = Math.min(height - 1, Math.max(0, y + k * stepY));
          sum += (kernel[k + reach] ?? 0) * (source[py * width + px] ?? 0);
        }
        out[y * width + x] = sum / total;
      }
    }
    return out;
  };
  return pass(pass(from, 1, 0), 0, 1);
}
