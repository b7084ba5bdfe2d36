/** Light on the wall: how bright each point of it is lit, and what shines from it into the lens. Places in mm on the wall. */
import { seededRandom } from "../world/random.ts";
import { layeredNoise } from "./noise.ts";

export type Shadow =
  /** Everything beyond a line through (x, y) across `turn` lies in shadow. */
  | { readonly kind: "edge"; readonly x: number; readonly y: number; readonly turn: number }
  /** A bar `width` mm wide, as of a pole or a railing. */
  | { readonly kind: "bar"; readonly x: number; readonly y: number; readonly turn: number; readonly width: number }
  /** A hand or a head. */
  | { readonly kind: "blob"; readonly x: number; readonly y: number; readonly radius: number }
  /** Sun through leaves: patches about `size` mm across. */
  | { readonly kind: "leaves"; readonly size: number; readonly seed: number };

export type CastShadow = Shadow & {
  /** What is left of the light in the shadow, 0..1. */
  readonly left: number;
  /** Width of the edge in mm. */
  readonly softMm: number;
};

/** A lamp, torch or sun patch that lights part of the wall `gain` times more than the rest. */
export type Spot = {
  readonly x: number;
  readonly y: number;
  readonly radiusX: number;
  readonly radiusY: number;
  readonly turn: number;
  readonly gain: number;
  /** 0: falls off from its middle as a torch does; 1: evenly bright with a sharp edge as sun through a window. */
  readonly evenness: number;
};

/** A reflection of a lamp or window on a glossy face: light that comes on top, ink or paper alike. */
export type Glare = Omit<Spot, "gain"> & {
  /** Against fully lit white: 0.2 a veil, 1 washes out, 3 burns a core. */
  readonly strength: number;
};

export type Light = {
  /** 1 renders fully lit white near the top of the scale; 0.1 is a dark hall, 4 burns out. */
  readonly exposure: number;
  /** How much is lost across 200 mm towards `fallTurn` (radians). */
  readonly fall: number;
  readonly fallTurn: number;
  readonly shadows: readonly CastShadow[];
  readonly spots: readonly Spot[];
  readonly glares: readonly Glare[];
};

export const evenLight: Light = { exposure: 1, fall: 0, fallTurn: 0, shadows: [], spots: [], glares: [] };

export type LightField = {
  /** Factor on reflectance. */
  readonly lightAt: (x: number, y: number) => number;
  /** What comes on top on a fully glossy face. */
  readonly glareAt: (x: number, y: number) => number;
  readonly even: boolean;
};

export function lightField(light: Light): LightField {
  const shadows = light.shadows.map(shadowReader);
  const spots = light.spots.map((spot) => ({ gain: spot.gain, at: spotReader(spot) }));
  const glares = light.glares.map((glare) => ({ strength: glare.strength, at: spotReader(glare) }));
  const [fallX, fallY] = [Math.cos(light.fallTurn) / 200, Math.sin(light.fallTurn) / 200];
  return {
    even: light.fall === 0 && shadows.length + spots.length === 0,
    lightAt: (x, y) => {
      let lit = light.exposure * Math.max(0.1, 1 - light.fall * (x * fallX + y * fallY));
      for (const shadow of shadows) lit *= shadow(x, y);
      let gain = 1;
      for (const spot of spots) gain += (spot.gain - 1) * spot.at(x, y);
      return lit * gain;
    },
    glareAt: (x, y) => {
      let sum = 0;
      for (const glare of glares) sum += glare.strength * glare.at(x, y);
      return sum * light.exposure;
    },
  };
}

function shadowReader(shadow: CastShadow): (x: number, y: number) => number {
  const { left, softMm } = shadow;
  const depth = shadowDepth(shadow);
  return (x, y) => 1 - (1 - left) * smoothStep(0.5 + depth(x, y) / Math.max(softMm, 0.05));
}

/** Signed distance into the shadow, in mm: positive inside. */
function shadowDepth(shadow: Shadow): (x: number, y: number) => number {
  switch (shadow.kind) {
    case "edge": {
      const [nx, ny] = [Math.cos(shadow.turn), Math.sin(shadow.turn)];
      return (x, y) => (x - shadow.x) * nx + (y - shadow.y) * ny;
    }
    case "bar": {
      const [nx, ny] = [Math.cos(shadow.turn), Math.sin(shadow.turn)];
      return (x, y) => shadow.width / 2 - Math.abs((x - shadow.x) * nx + (y - shadow.y) * ny);
    }
    case "blob":
      return (x, y) => shadow.radius - Math.hypot(x - shadow.x, y - shadow.y);
    case "leaves": {
      const noise = layeredNoise(seededRandom(shadow.seed, "camera/leaves"), 3);
      return (x, y) => shadow.size * noise(x / shadow.size, y / shadow.size);
    }
  }
}

/** 1 in the middle, 0 far away. */
function spotReader(spot: Omit<Spot, "gain">): (x: number, y: number) => number {
  const [cosine, sine] = [Math.cos(spot.turn), Math.sin(spot.turn)];
  return (x, y) => {
    const u = ((x - spot.x) * cosine + (y - spot.y) * sine) / spot.radiusX;
    const v = ((y - spot.y) * cosine - (x - spot.x) * sine) / spot.radiusY;
    const squared = u * u + v * v;
    if (squared > 12) return 0;
    const soft = Math.exp(-squared);
    const hard = smoothStep(0.5 + (1 - Math.sqrt(squared)) * 8);
    return soft + (hard - soft) * spot.evenness;
  };
}

function smoothStep(part: number): number {
  const clamped = Math.max(0, Math.min(1, part));
  return clamped * clamped * (3 - 2 * clamped);
}
