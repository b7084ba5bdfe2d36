/**
 * Camera, sticker and reference as one set of numbers, and where each edge of them falls in the picture.
 *
 * Theory: the sticker's face is the plane Z = 0 in mm, the symbol's middle its origin, its rows along X, Z away from the camera;
 * the reference is a rectangle of known sides in the parallel plane Z = -proud. A pinhole with one radial term looks at both. The
 * symbol's module per axis is free, so fitting all edges at once gives the size, and how sure it is, in one answer: what is
 * only roughly known (focal length, distortion, how proud the reference is, where an edge truly ends) enters as a prior and comes
 * out as uncertainty.
 */
import type { Point } from "../plane.ts";

/** Places of the parameters. Lengths in mm, angles in radians, growth of the symbol in modules. */
export const at = {
  turn: 0,
  shift: 3,
  logFocal: 6,
  bend: 7,
  /** Of the module's mean side, and of its height over its width. */
  logModule: 8,
  logAspect: 9,
  growthX: 10,
  growthY: 11,
  referenceX: 12,
  referenceY: 13,
  referenceTurn: 14,
  proud: 15,
  /** Of the reference's width over its height, against what it should be. */
  logReferenceAspect: 16,
  /** How far each side is seen outside its place: top, right, bottom, left. */
  sides: 17,
  /** Ink growth of a printed frame, on each of its edges. */
  frameGrowth: 21,
} as const;
export const parameterCount = 22;

export type SceneFrame = {
  readonly modules: number;
  readonly centreX: number;
  readonly centreY: number;
  /** The turn that the three small turning parameters come on top of, row by row. */
  readonly turn: readonly number[];
  readonly mirrored: boolean;
};

/** A point of the plane `depth` mm behind the sticker's face (negative: in front), in the picture. */
export type Projection = (x: number, y: number, depth: number) => Point;

export function projection(frame: SceneFrame, parameters: ArrayLike<number>): Projection {
  const r = multiply3(turnBy(parameters[0] ?? 0, parameters[1] ?? 0, parameters[2] ?? 0), frame.turn);
  const [r0 = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0, r5 = 0, r6 = 0, r7 = 0, r8 = 0] = r;
  const [tx, ty, tz] = [parameters[3] ?? 0, parameters[4] ?? 0, parameters[5] ?? 0];
  const focal = Math.exp(parameters[at.logFocal] ?? 0);
  const bend = parameters[at.bend] ?? 0;
  const { centreX, centreY } = frame;
  return (x, y, depth) => {
    const far = r6 * x + r7 * y + r8 * depth + tz;
    const a = (r0 * x + r1 * y + r2 * depth + tx) / far;
    const b = (r3 * x + r4 * y + r5 * depth + ty) / far;
    const scale = focal * (1 + bend * (a * a + b * b));
    return { x: centreX + scale * a, y: centreY + scale * b };
  };
}

/** Module units to mm on the sticker's face. */
export function moduleToFace(frame: SceneFrame, parameters: ArrayLike<number>): (column: number, row: number) => Point {
  const half = frame.modules / 2;
  const module = modulesMm(parameters);
  const x = frame.mirrored ? -module.x : module.x;
  const { y } = module;
  return (column, row) => ({ x: (column - half) * x, y: (row - half) * y });
}

/** A module's width and height in mm. */
export function modulesMm(parameters: ArrayLike<number>): { readonly x: number; readonly y: number } {
  const [mean, aspect] = [parameters[at.logModule] ?? 0, parameters[at.logAspect] ?? 0];
  return { x: Math.exp(mean - aspect / 2), y: Math.exp(mean + aspect / 2) };
}

/** The reference's own plane (mm from its middle, along its width and height) to mm of the sticker's plane. */
export function referenceToFace(parameters: ArrayLike<number>): (x: number, y: number) => Point {
  const [middleX, middleY] = [parameters[at.referenceX] ?? 0, parameters[at.referenceY] ?? 0];
  const [cosine, sine] = [Math.cos(parameters[at.referenceTurn] ?? 0), Math.sin(parameters[at.referenceTurn] ?? 0)];
  return (x, y) => ({ x: middleX + x * cosine - y * sine, y: middleY + x * sine + y * cosine });
}

/** Rodrigues: the turn by a vector whose length is the angle in radians; row by row. */
export function turnBy(x: number, y: number, z: number): readonly number[] {
  const angle = Math.hypot(x, y, z);
  if (angle < 1e-12) return [1, -z, y, z, 1, -x, -y, x, 1];
  const [u, v, w] = [x / angle, y / angle, z / angle];
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const k = 1 - c;
  return [
    c + u * u * k,
    u * v * k - w * s,
    u * w * k + v * s,
    v * u * k + w * s,
    c + v * v * k,
    v * w * k - u * s,
    w * u * k - v * s,
    w * v * k + u * s,
    c + w * w * k,
  ];
}

export function multiply3(left: readonly number[], right: readonly number[]): readonly number[] {
  const out: number[] = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += (left[row * 3 + k] ?? 0) * (right[k * 3 + column] ?? 0);
      out.push(sum);
    }
  }
  return out;
}
