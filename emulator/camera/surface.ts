/**
 * What a sheet lies on: a flat wall, a pipe, crumpled or folded paper. A surface has its own flat coordinates (u, v) in mm,
 * as if it were smoothed out, and a place in space: X to the right, Y down, Z into the wall, so that what stands proud of
 * the wall has a negative Z.
 */
import type { Noise } from "./noise.ts";

export type Vector = readonly [x: number, y: number, z: number];

/** Where a ray meets a surface; `shade` is how much lamp light its slope catches, 1 for a flat one. */
export type Meeting = { readonly u: number; readonly v: number; readonly shade: number };

export type Surface = {
  readonly flat: boolean;
  /** The point that lies `height` mm above (u, v). */
  readonly lift: (u: number, v: number, height: number) => Vector;
  /** Where a ray meets the shell `height` mm above the surface; undefined where it passes by. */
  readonly meet: (origin: Vector, direction: Vector, height: number) => Meeting | undefined;
};

/** The wall itself, or a plane `depth` mm behind it. */
export function flatSurface(depth = 0): Surface {
  return {
    flat: true,
    lift: (u, v, height) => [u, v, depth - height],
    meet: (origin, direction, height) => {
      const t = (depth - height - origin[2]) / direction[2];
      return t > 0 ? { u: origin[0] + t * direction[0], v: origin[1] + t * direction[1], shade: 1 } : undefined;
    },
  };
}

/**
 * A pipe or pole (`bulge` "out") or the inside of one ("in") that touches the wall plane along a line through the middle,
 * its axis turned by radians (0: upright). The sheet is wrapped without stretching.
 */
export function cylinderSurface(radius: number, axisTurn: number, bulge: "out" | "in", lamp: Lamp): Surface {
  const [cosine, sine] = [Math.cos(axisTurn), Math.sin(axisTurn)];
  const sign = bulge === "out" ? 1 : -1;
  const turnIn = (x: number, y: number) => [x * cosine + y * sine, y * cosine - x * sine] as const;
  return {
    flat: false,
    lift: (u, v, height) => {
      const [across, along] = turnIn(u, v);
      const reach = radius + sign * height;
      const x = reach * Math.sin(across / radius);
      const z = sign * (radius - reach * Math.cos(across / radius));
      return [x * cosine - along * sine, x * sine + along * cosine, z];
    },
    meet: (origin, direction, height) => {
      const [ox, oy] = turnIn(origin[0], origin[1]);
      const [dx, dy] = turnIn(direction[0], direction[1]);
      const centre = sign * radius;
      const reach = radius + sign * height;
      const oz = origin[2] - centre;
      const a = dx * dx + direction[2] * direction[2];
      const b = ox * dx + oz * direction[2];
      const c = ox * ox + oz * oz - reach * reach;
      const root = b * b - a * c;
      if (root <= 0) return undefined;
      const t = (-b - sign * Math.sqrt(root)) / a;
      if (t <= 0) return undefined;
      const x = ox + t * dx;
      const z = oz + t * direction[2];
      const angle = Math.atan2(x, -sign * z);
      const [across, along] = [radius * angle, oy + t * dy];
      const slope = sign * Math.sin(angle);
      const shade = lit(lamp, slope * cosine, slope * sine, Math.cos(angle));
      return { u: across * cosine - along * sine, v: across * sine + along * cosine, shade };
    },
  };
}

/**
 * Paper that was crumpled and smoothed again: bumps of `height` mm about `length` mm across. The paper keeps its size by
 * moving sideways a little where it is steep.
 */
export function crumpledSurface(noise: Noise, height: number, length: number, lamp: Lamp): Surface {
  // The small number rounds the ridges: paper bends, it does not break.
  const bump = (u: number, v: number) => height * (1 - 2 * Math.sqrt(noise(u / length, v / length) ** 2 + 0.004));
  const shiftU = (u: number, v: number) => 0.25 * height * noise(u / length + 31.7, v / length + 3.1);
  const shiftV = (u: number, v: number) => 0.25 * height * noise(u / length + 11.9, v / length + 47.3);
  return {
    flat: false,
    lift: (u, v, above) => [u + shiftU(u, v), v + shiftV(u, v), -above - bump(u, v)],
    meet: (origin, direction, above) => {
      let t = (-above - origin[2]) / direction[2];
      if (t <= 0) return undefined;
      let u = origin[0] + t * direction[0];
      let v = origin[1] + t * direction[1];
      // The bumps are low and wide, so each round leaves a small part of the error of the last; going part of the way
      // each time also settles where a steep slope is seen from the side.
      for (let round = 0; round < 16; round++) {
        t = (-above - bump(u, v) - origin[2]) / direction[2];
        const [sideU, sideV] = [shiftU(u, v), shiftV(u, v)];
        const [stepU, stepV] = [origin[0] + t * direction[0] - sideU - u, origin[1] + t * direction[1] - sideV - v];
        u += 0.75 * stepU;
        v += 0.75 * stepV;
        if (Math.abs(stepU) + Math.abs(stepV) < 1e-5) break;
      }
      const step = length / 24;
      const slopeU = (bump(u + step, v) - bump(u - step, v)) / (2 * step);
      const slopeV = (bump(u, v + step) - bump(u, v - step)) / (2 * step);
      const size = Math.hypot(slopeU, slopeV, 1);
      return { u, v, shade: lit(lamp, -slopeU / size, -slopeV / size, 1 / size) };
    },
  };
}

/** A sheet folded once: beyond the line through (u, v) across `turn` it rises from the wall by `angle` radians. */
export function foldedSurface(u0: number, v0: number, turn: number, angle: number, lamp: Lamp): Surface {
  const [nx, ny] = [Math.cos(turn), Math.sin(turn)];
  const [rise, run] = [Math.sin(angle), Math.cos(angle)];
  const beyond = (u: number, v: number) => (u - u0) * nx + (v - v0) * ny;
  const wing = lit(lamp, -nx * rise, -ny * rise, run);
  return {
    flat: false,
    lift: (u, v, height) => {
      const d = Math.max(0, beyond(u, v));
      return [u + nx * d * (run - 1), v + ny * d * (run - 1), -height - d * rise];
    },
    meet: (origin, direction, height) => {
      const flat = (-height - origin[2]) / direction[2];
      if (flat <= 0) return undefined;
      const [u, v] = [origin[0] + flat * direction[0], origin[1] + flat * direction[1]];
      // The wing: the plane through the fold with Z = -height - (distance beyond the fold) * tan(angle).
      const slope = rise / run;
      const speed = direction[2] + slope * (direction[0] * nx + direction[1] * ny);
      const t = -(origin[2] + height + slope * beyond(origin[0], origin[1])) / speed;
      const [x, y] = [origin[0] + t * direction[0], origin[1] + t * direction[1]];
      const d = beyond(x, y) / run;
      if (t > 0 && d > 0) return { u: x + nx * d * (1 - run), v: y + ny * d * (1 - run), shade: wing };
      return beyond(u, v) > 0 ? undefined : { u, v, shade: 1 };
    },
  };
}

/** Direction towards the lamp, and how much of the light has a direction at all (0 overcast .. 1 bare sun). */
export type Lamp = { readonly towards: Vector; readonly share: number };

/** `nx, ny` and `nOut` are the outward normal; a flat wall gets 1. */
function lit(lamp: Lamp, nx: number, ny: number, nOut: number): number {
  const [lx, ly, lz] = lamp.towards;
  const flat = Math.max(0.05, -lz);
  const own = Math.max(0, nx * lx + ny * ly - nOut * lz);
  return 1 - lamp.share + (lamp.share * own) / flat;
}
