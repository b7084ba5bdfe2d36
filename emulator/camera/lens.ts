/**
 * A pinhole with radial distortion in front of the wall, or a flat-bed scanner. Picture coordinates: pixel (i, j) covers
 * [i, i+1) x [j, j+1). Wall coordinates: mm, X right, Y down, Z into the wall.
 */
import type { Vector } from "./surface.ts";

export type Point = { readonly x: number; readonly y: number };

export type Pose = {
  readonly distanceMm: number;
  /** Degrees: about the vertical, the horizontal and the viewing axis. */
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  /** The point of the wall that the middle of the picture shows. */
  readonly aimXMm: number;
  readonly aimYMm: number;
};

export type Lens = {
  /** Focal length over the longer side of the picture: 0.78 sees 65 degrees across, as a phone's main camera does. */
  readonly focalRatio: number;
  /** Radial distortion of r (in focal lengths): r * (1 + k1 r^2 + k2 r^4). */
  readonly k1: number;
  readonly k2: number;
};

export type Camera = {
  readonly width: number;
  readonly height: number;
  /** Undefined behind the lens. */
  readonly project: (place: Vector) => Point | undefined;
  readonly ray: (x: number, y: number) => { readonly origin: Vector; readonly direction: Vector };
};

export function aimCamera(size: { readonly width: number; readonly height: number }, pose: Pose, lens: Lens): Camera {
  const { width, height } = size;
  const focal = lens.focalRatio * Math.max(width, height);
  const [r0, r1, r2] = rotation(pose);
  const origin: Vector = [
    pose.aimXMm - r2[0] * pose.distanceMm,
    pose.aimYMm - r2[1] * pose.distanceMm,
    -r2[2] * pose.distanceMm,
  ];
  return {
    width,
    height,
    project: ([x, y, z]) => {
      const from: Vector = [x - origin[0], y - origin[1], z - origin[2]];
      const depth = dot(r2, from);
      if (depth <= 1e-6) return undefined;
      const [a, b] = [dot(r0, from) / depth, dot(r1, from) / depth];
      const bend = bendAt(lens, a * a + b * b);
      return { x: width / 2 + focal * a * bend, y: height / 2 + focal * b * bend };
    },
    ray: (x, y) => {
      const [a, b] = straighten(lens, (x - width / 2) / focal, (y - height / 2) / focal);
      return {
        origin,
        direction: [r0[0] * a + r1[0] * b + r2[0], r0[1] * a + r1[1] * b + r2[1], r0[2] * a + r1[2] * b + r2[2]],
      };
    },
  };
}

/** Looks straight down everywhere at once: no perspective, a stated density. Only the pose's roll and aim count. */
export function aimScanner(
  size: { readonly width: number; readonly height: number },
  pixelsPerMm: number,
  pose: Pick<Pose, "roll" | "aimXMm" | "aimYMm">,
): Camera {
  const { width, height } = size;
  const [cosine, sine] = [Math.cos((pose.roll * Math.PI) / 180), Math.sin((pose.roll * Math.PI) / 180)];
  return {
    width,
    height,
    project: ([x, y]) => {
      const [dx, dy] = [(x - pose.aimXMm) * pixelsPerMm, (y - pose.aimYMm) * pixelsPerMm];
      return { x: width / 2 + dx * cosine - dy * sine, y: height / 2 + dx * sine + dy * cosine };
    },
    ray: (x, y) => {
      const [dx, dy] = [(x - width / 2) / pixelsPerMm, (y - height / 2) / pixelsPerMm];
      return {
        origin: [pose.aimXMm + dx * cosine + dy * sine, pose.aimYMm - dx * sine + dy * cosine, -1_000],
        direction: [0, 0, 1],
      };
    },
  };
}

/** Rows of Rz * Rx * Ry: the camera's own axes (right, down, forward) in wall coordinates. */
function rotation(pose: Pose): readonly [Vector, Vector, Vector] {
  const radians = Math.PI / 180;
  const [cy, sy] = [Math.cos(pose.yaw * radians), Math.sin(pose.yaw * radians)];
  const [cp, sp] = [Math.cos(pose.pitch * radians), Math.sin(pose.pitch * radians)];
  const [cr, sr] = [Math.cos(pose.roll * radians), Math.sin(pose.roll * radians)];
  return [
    [cr * cy - sr * sp * sy, -sr * cp, cr * sy + sr * sp * cy],
    [sr * cy + cr * sp * sy, cr * cp, sr * sy - cr * sp * cy],
    [-cp * sy, sp, cp * cy],
  ];
}

function bendAt(lens: Lens, squared: number): number {
  return 1 + squared * (lens.k1 + squared * lens.k2);
}

/** Undoes the distortion by repeated division; it settles for every lens whose distortion does not fold the picture. */
function straighten(lens: Lens, x: number, y: number): readonly [number, number] {
  if (lens.k1 === 0 && lens.k2 === 0) return [x, y];
  let [a, b] = [x, y];
  for (let round = 0; round < 12; round++) {
    const bend = bendAt(lens, a * a + b * b);
    a = x / bend;
    b = y / bend;
  }
  return [a, b];
}

function dot(left: Vector, right: Vector): number {
  return left[0] * right[0] + left[1] * right[1] + left[2] * right[2];
}
