/**
 * From light to bytes: defocus, shake, optics, vignetting, noise, tone curve, sharpening. Works on planes of linear light,
 * 1 being the brightest the sensor tells apart.
 */
import type { SeededRandom } from "../world/random.ts";

export type Sensor = {
  /** Standard deviation in px of what lens and colour filter always blur. */
  readonly blurPx: number;
  /** Radius in px of the disc that a point out of focus becomes. */
  readonly defocusPx: number;
  /** Length in px and direction (radians) of the hand's shake. */
  readonly motionPx: number;
  readonly motionTurn: number;
  /** Standard deviation in levels of 255 at mid grey; darker parts get a little less light noise and more of the curve. */
  readonly noise: number;
  /** Share of light lost in the corners. */
  readonly vignette: number;
  /** Level = 255 * light^(1/gamma); 1 keeps levels proportional to light. */
  readonly gamma: number;
  /** 0 none .. 1 the halos of an eager phone. */
  readonly sharpen: number;
  /** 1..100; undefined keeps every level. */
  readonly jpegQuality: number | undefined;
};

/** A good phone held still. */
export const phoneSensor: Sensor = {
  ...{ blurPx: 0.6, defocusPx: 0, motionPx: 0, motionTurn: 0, noise: 2 },
  ...{ vignette: 0.15, gamma: 2.2, sharpen: 0.3, jpegQuality: 88 },
};

/** Levels are light times 255 and nothing else happens: for tests that judge a grader by its reflectances. */
export const idealSensor: Sensor = {
  ...{ blurPx: 0, defocusPx: 0, motionPx: 0, motionTurn: 0, noise: 0 },
  ...{ vignette: 0, gamma: 1, sharpen: 0, jpegQuality: undefined },
};

export type Plane = { readonly width: number; readonly height: number; readonly light: Float32Array };

/** What lens and shake do to light, before any of it is noise. */
export function blurLight(plane: Plane, sensor: Sensor): Plane {
  let light = plane.light;
  const { width, height } = plane;
  if (sensor.defocusPx > 0.3) light = blurDisc({ width, height, light }, sensor.defocusPx);
  if (sensor.motionPx > 0.3) light = blurLine({ width, height, light }, sensor.motionPx, sensor.motionTurn);
  if (sensor.blurPx > 0.05) light = blurGauss({ width, height, light }, sensor.blurPx);
  return { width, height, light };
}

/**
 * Vignetting, noise, tone curve and sharpening: linear light to levels 0..255. `shared` is a noise stream; planes of one
 * picture that get equal streams get equal noise.
 */
export function developLight(plane: Plane, sensor: Sensor, shared: SeededRandom): Uint8Array {
  const { width, height, light } = plane;
  const levels = new Float32Array(width * height);
  const curve = toneCurve(sensor.gamma);
  const noise = noiseTable(shared);
  let state = shared.integer(2 ** 32) | 1;
  // Levels per unit of light at mid grey (0.2): turns noise as it is seen into noise as it arises.
  const slope = (255 / sensor.gamma) * 0.2 ** (1 / sensor.gamma - 1);
  const strength = sensor.noise / slope;
  const [middleX, middleY] = [width / 2, height / 2];
  const corner = middleX * middleX + middleY * middleY;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const [dx, dy] = [x - middleX, y - middleY];
      let lit = (light[at] ?? 0) * (1 - (sensor.vignette * (dx * dx + dy * dy)) / corner);
      if (strength > 0) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        lit += strength * Math.sqrt(0.3 + 3.5 * Math.min(1, lit)) * (noise[state & noiseMask] ?? 0);
      }
      const clipped = lit <= 0 ? 0 : lit >= 1 ? curveSteps : lit * curveSteps;
      const below = clipped | 0;
      const low = curve[below] ?? 0;
      levels[at] = low + ((curve[below + 1] ?? low) - low) * (clipped - below);
    }
  }
  return roundLevels(sensor.sharpen > 0 ? sharpen({ width, height, light: levels }, sensor.sharpen) : levels);
}

/** Level of a light, without noise: what a tone curve alone makes of it. */
export function levelOfLight(light: number, gamma: number): number {
  return 255 * Math.max(0, Math.min(1, light)) ** (1 / gamma);
}

function roundLevels(levels: Float32Array): Uint8Array {
  const bytes = new Uint8Array(levels.length);
  for (let at = 0; at < levels.length; at++) {
    const level = (levels[at] ?? 0) + 0.5;
    bytes[at] = level <= 0 ? 0 : level >= 255 ? 255 : level;
  }
  return bytes;
}

function toneCurve(gamma: number): Float32Array {
  return Float32Array.from({ length: curveSteps + 2 }, (_, at) => levelOfLight(at / curveSteps, gamma));
}

function noiseTable(random: SeededRandom): Float32Array {
  return Float32Array.from({ length: noiseMask + 1 }, () => random.gaussian());
}

/** Unsharp mask on levels, as the phone's own picture processing does it. */
function sharpen(plane: Plane, amount: number): Float32Array {
  const soft = blurGauss(plane, 1.1);
  const sharp = new Float32Array(plane.light.length);
  for (let at = 0; at < sharp.length; at++) {
    const level = plane.light[at] ?? 0;
    sharp[at] = level + amount * (level - (soft[at] ?? 0));
  }
  return sharp;
}

function blurGauss({ width, height, light }: Plane, sigma: number): Float32Array {
  const radius = Math.max(1, Math.ceil(3 * sigma));
  const kernel = Float32Array.from({ length: 2 * radius + 1 }, (_, at) =>
    Math.exp(-((at - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = kernel.reduce((sum, part) => sum + part, 0);
  for (let at = 0; at < kernel.length; at++) kernel[at] = (kernel[at] ?? 0) / total;
  const across = new Float32Array(light.length);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      let sum = 0;
      const safe = x >= radius && x + radius < width;
      for (let tap = -radius; tap <= radius; tap++) {
        const from = safe ? x + tap : Math.max(0, Math.min(width - 1, x + tap));
        sum += (light[row + from] ?? 0) * (kernel[tap + radius] ?? 0);
      }
      across[row + x] = sum;
    }
  }
  const down = new Float32Array(light.length);
  for (let y = 0; y < height; y++) {
    const to = y * width;
    for (let tap = -radius; tap <= radius; tap++) {
      const from = Math.max(0, Math.min(height - 1, y + tap)) * width;
      const part = kernel[tap + radius] ?? 0;
      for (let x = 0; x < width; x++) down[to + x] = (down[to + x] ?? 0) + (across[from + x] ?? 0) * part;
    }
  }
  return down;
}

/** Means over a disc, by running sums of each row, so that the time grows with the radius and not with its square. */
function blurDisc({ width, height, light }: Plane, radius: number): Float32Array {
  const out = new Float32Array(light.length);
  const reach = Math.floor(radius);
  const sums = new Float64Array(width + 1);
  const rowSums = new Float32Array(width);
  let area = 0;
  for (let dy = -reach; dy <= reach; dy++) area += 2 * Math.sqrt(radius * radius - dy * dy);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) sums[x + 1] = (sums[x] ?? 0) + (light[y * width + x] ?? 0);
    for (let dy = 0; dy < radius; dy++) {
      spreadRow(sums, width, Math.sqrt(radius * radius - dy * dy), rowSums);
      for (const to of dy === 0 ? [y] : [y - dy, y + dy]) {
        if (to < 0 || to >= height) continue;
        const row = to * width;
        for (let x = 0; x < width; x++) out[row + x] = (out[row + x] ?? 0) + (rowSums[x] ?? 0) / area;
      }
    }
  }
  return evenOutRows(out, width, height, radius, reach, area);
}

/** Sums of `light` from x - half to x + half, edges counted in part. */
function spreadRow(sums: Float64Array, width: number, half: number, rowSums: Float32Array): void {
  const until = (place: number) => {
    const clamped = Math.max(0, Math.min(width, place));
    const whole = Math.min(width - 1, Math.floor(clamped));
    const low = sums[whole] ?? 0;
    return low + ((sums[whole + 1] ?? 0) - low) * (clamped - whole);
  };
  for (let x = 0; x < width; x++) {
    const [from, to] = [x + 0.5 - half, x + 0.5 + half];
    const seen = Math.min(width, to) - Math.max(0, from);
    rowSums[x] = ((until(to) - until(from)) * 2 * half) / seen;
  }
}

/** Near the upper and lower edge part of the disc saw nothing; it is scaled up by what it missed. */
function evenOutRows(
  out: Float32Array,
  width: number,
  height: number,
  radius: number,
  reach: number,
  area: number,
): Float32Array {
  for (let y = 0; y < height; y++) {
    if (y >= reach && y + reach < height) continue;
    let seen = 0;
    for (let dy = -reach; dy <= reach; dy++) {
      if (y + dy >= 0 && y + dy < height) seen += 2 * Math.sqrt(radius * radius - dy * dy);
    }
    for (let x = 0; x < width; x++) out[y * width + x] = ((out[y * width + x] ?? 0) * area) / seen;
  }
  return out;
}

function blurLine({ width, height, light }: Plane, length: number, turn: number): Float32Array {
  const steps = Math.max(2, Math.ceil(length) + 1);
  const out = new Float32Array(light.length);
  for (let step = 0; step < steps; step++) {
    const along = (step / (steps - 1) - 0.5) * length;
    const [dx, dy] = [along * Math.cos(turn), along * Math.sin(turn)];
    addShifted(out, { width, height, light }, dx, dy, 1 / steps);
  }
  return out;
}

function addShifted(out: Float32Array, { width, height, light }: Plane, dx: number, dy: number, share: number): void {
  const [left, top] = [Math.floor(dx), Math.floor(dy)];
  const [fx, fy] = [dx - left, dy - top];
  for (let y = 0; y < height; y++) {
    const upper = Math.max(0, Math.min(height - 1, y + top)) * width;
    const lower = Math.max(0, Math.min(height - 1, y + top + 1)) * width;
    for (let x = 0; x < width; x++) {
      const from = Math.max(0, Math.min(width - 1, x + left));
      const next = Math.max(0, Math.min(width - 1, x + left + 1));
      const above = (light[upper + from] ?? 0) * (1 - fx) + (light[upper + next] ?? 0) * fx;
      const below = (light[lower + from] ?? 0) * (1 - fx) + (light[lower + next] ?? 0) * fx;
      const at = y * width + x;
      out[at] = (out[at] ?? 0) + share * (above * (1 - fy) + below * fy);
    }
  }
}

const curveSteps = 4096;
// A power of two less one, so that a mask picks from the table.
const noiseMask = 8191;
