/**
 * Families of seeded photographs to measure readers on, modelled on the categories of the BoofCV set of photographs
 * (P. Abeles, "Study of QR code scanning performance in different environments"). `benchmarkPhoto("glare", 7)` is the same
 * picture on every run. They are meant to be hard: a reader that reads all of them is better than any we know.
 */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { renderGrey } from "./camera.ts";
import type { Damage } from "./condition.ts";
import { fitInPicture } from "./fit.ts";
import { type CastShadow, evenLight, type Glare, type Light, type Spot } from "./light.ts";
import type { PhotoTruth } from "./photo-truth.ts";
import { buildScene, orderScene, type SceneOrder } from "./scene.ts";
import { phoneSensor, type Sensor } from "./sensor.ts";
import { type MountedCode, mountCode } from "./sticker-face.ts";
import { inventText, makeSymbol, type PrintedSymbol } from "./symbol-maker.ts";
import type { WallKind } from "./walls.ts";

export const benchmarkCategories = [
  "blurred",
  "bright_spots",
  "brightness",
  "close",
  "curved",
  "damaged",
  "glare",
  "high_version",
  "lots",
  "monitor",
  "nominal",
  "noncompliant",
  "pathological",
  "perspective",
  "rotations",
  "shadows",
] as const;

export type BenchmarkCategory = (typeof benchmarkCategories)[number];

export type BenchmarkPhoto = {
  readonly category: BenchmarkCategory;
  readonly seed: number;
  readonly picture: GreyPicture;
  readonly truth: PhotoTruth;
};

export function benchmarkPhoto(category: BenchmarkCategory, seed: number): BenchmarkPhoto {
  const random = chance(seededRandom(seed, `camera/benchmark/${category}`));
  const plan = recipes[category](random, planNominal(random));
  const scene = buildScene(
    orderScene({
      ...{ seed, codes: plan.codes, wall: plan.wall, wallTone: plan.wallTone, surface: plan.surface },
      ...{ wallMm: (2.2 * plan.sizeMm) / plan.fill, wallTexels: 640 },
      ...(plan.sheet === undefined ? {} : { sheet: plan.sheet }),
      ...(plan.screenPitchMm === undefined ? {} : { screenPitchMm: plan.screenPitchMm }),
    }),
  );
  const shot = fitInPicture(
    scene,
    {
      ...{ seed, width: plan.width, height: plan.height, light: plan.light, sensor: phoneSensor, raysAcross: 2 },
      pose: {
        ...{ distanceMm: 200, yaw: plan.yaw, pitch: plan.pitch, roll: plan.roll },
        ...{ aimXMm: plan.sizeMm * random.between(-0.1, 0.1), aimYMm: plan.sizeMm * random.between(-0.1, 0.1) },
      },
      lens: { focalRatio: random.between(0.7, 0.95), k1: random.between(-0.06, 0.03), k2: random.between(-0.01, 0.02) },
    },
    plan.fill,
  );
  // Focus and shake are chosen in modules, so they can be told in pixels only now.
  const pxPerModule = shot.pxPerModule;
  const sensor = plan.sensor(pxPerModule);
  const raysAcross = pxPerModule < 3 || plan.screenPitchMm !== undefined ? 3 : 2;
  const { picture, truth } = renderGrey(scene, { ...shot, sensor, raysAcross });
  return { category, seed, picture, truth };
}

type Plan = {
  readonly width: number;
  readonly height: number;
  readonly wall: WallKind;
  readonly wallTone: number;
  readonly surface: SceneOrder["surface"];
  readonly sheet?: NonNullable<SceneOrder["sheet"]>;
  readonly codes: readonly MountedCode[];
  /** Side of everything that must be in the picture. */
  readonly sizeMm: number;
  /** Share of the picture's shorter side that it takes. */
  readonly fill: number;
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  readonly light: Light;
  readonly sensor: (pxPerModule: number) => Sensor;
  readonly screenPitchMm?: number;
};

type Chance = SeededRandom & {
  readonly between: (low: number, high: number) => number;
  readonly pick: <const Value>(values: readonly [Value, ...Value[]]) => Value;
  readonly sign: () => 1 | -1;
  readonly odds: (share: number) => boolean;
};

function chance(random: SeededRandom): Chance {
  return {
    ...random,
    between: (low, high) => low + (high - low) * random.next(),
    pick: (values) => values[random.integer(values.length)] ?? values[0],
    sign: () => (random.next() < 0.5 ? 1 : -1),
    odds: (share) => random.next() < share,
  };
}

/** A sharp picture of a new print on white paper, a little tilted: what every category starts from. */
function planNominal(random: Chance): Plan {
  const [width, height] = random.pick(pictureSizes);
  const symbol = inventSymbol(random, random.between(2, 60));
  const moduleMm = random.between(0.7, 1.6);
  const code = mountCode({
    ...{ symbol, moduleMm, quietZoneModules: random.between(3, 6), gloss: random.between(0.2, 0.8) },
    ...{ paperReflectance: random.between(0.7, 0.88), inkReflectance: random.between(0.03, 0.1) },
    ...{ growthX: random.between(-0.08, 0.18), growthY: random.between(-0.08, 0.18) },
  });
  const light: Light = {
    ...evenLight,
    ...{ exposure: random.between(0.5, 1.05), fall: random.between(0, 0.6), fallTurn: random.between(0, 6.28) },
  };
  const noise = random.between(1.5, 4);
  const jpegQuality = Math.round(random.between(78, 93));
  return {
    ...{ width, height, wall: random.pick(walls), wallTone: random.between(0.25, 0.7), surface: { kind: "flat" } },
    ...{ codes: [code], sizeMm: symbol.modules * moduleMm, fill: random.between(0.22, 0.75) },
    ...{ yaw: random.between(-15, 15), pitch: random.between(-15, 15), roll: random.between(-25, 25), light },
    sensor: () => ({ ...phoneSensor, noise, jpegQuality, blurPx: 0.7 }),
  };
}

type Recipe = (random: Chance, plan: Plan) => Plan;

const recipes: Readonly<Record<BenchmarkCategory, Recipe>> = {
  nominal: (_, plan) => plan,
  blurred: (random, plan) => {
    const shake = random.odds(0.35);
    const [defocus, motion] = shake ? [0.15, random.between(0.7, 1.7)] : [random.between(0.35, 0.95), 0];
    const motionTurn = random.between(0, Math.PI);
    return withSensor(plan, (px) => ({ defocusPx: defocus * px, motionPx: motion * px, motionTurn }));
  },
  bright_spots: (random, plan) => {
    const spots = Array.from({ length: 1 + random.integer(3) }, () => castSpot(random, plan.sizeMm));
    // A torch on laminate also shines back.
    const glares = spots.map(({ gain, ...place }) => ({ ...place, strength: random.odds(0.7) ? gain / 5 : 0 }));
    const codes = plan.codes.map((code) => ({ ...code, gloss: 1 }));
    return { ...plan, codes, light: { ...plan.light, exposure: random.between(0.18, 0.6), spots, glares } };
  },
  brightness: (random, plan) => {
    const exposure = random.odds(0.6) ? random.between(0.015, 0.1) : random.between(2, 5.5);
    const noise = random.between(3, 7);
    return withSensor({ ...plan, light: { ...plan.light, exposure } }, () => ({ noise }));
  },
  close: (random, plan) => ({ ...plan, fill: random.between(0.82, 0.97), yaw: plan.yaw / 2, pitch: plan.pitch / 2 }),
  curved: (random, plan) => bend(random, plan),
  damaged: (random, plan) => {
    const [code] = plan.codes;
    if (code === undefined) return plan;
    const damage = inventDamage(random, code.symbol, 2 + random.integer(4));
    return { ...plan, codes: [{ ...code, damage }] };
  },
  glare: (random, plan) => {
    const glares = Array.from({ length: 1 + random.integer(3) }, () => castGlare(random, plan.sizeMm));
    const codes = plan.codes.map((code) => ({ ...code, gloss: 1 }));
    return { ...plan, codes, light: { ...plan.light, exposure: random.between(0.4, 1), glares } };
  },
  high_version: (random, plan) => {
    const symbol = denseSymbol(random, 20 + random.integer(21));
    const [code] = plan.codes;
    const moduleMm = random.between(0.5, 0.8);
    const codes = code === undefined ? [] : [{ ...code, symbol, moduleMm }];
    const size = { width: 1600, height: 1200, sizeMm: symbol.modules * moduleMm, fill: random.between(0.72, 0.95) };
    return { ...plan, ...size, codes, yaw: plan.yaw * 0.7, pitch: plan.pitch * 0.7 };
  },
  lots: (random, plan) => manyCodes(random, plan),
  monitor: (random, plan) => {
    const [code] = plan.codes;
    const moduleMm = code?.moduleMm ?? 1;
    const codes = plan.codes.map((one) => ({ ...one, growthX: 0, growthY: 0, inkReflectance: 0.015, gloss: 0.9 }));
    const screenPitchMm = moduleMm / (3 + random.integer(6));
    return { ...plan, codes, screenPitchMm, fill: random.between(0.35, 0.85) };
  },
  noncompliant: (random, plan) => misprint(random, plan),
  pathological: (random, plan) => {
    const wall = random.pick(["frames", "half-codes", "checkers", "text", "grid", "modules"]);
    const tilt = { yaw: random.sign() * random.between(20, 48), pitch: random.sign() * random.between(10, 40) };
    const surface =
      random.odds(0.5) && plan.codes.length > 0
        ? ({ kind: "crumpled", heightMm: plan.sizeMm * 0.06, lengthMm: plan.sizeMm * 0.6 } as const)
        : plan.surface;
    return { ...plan, ...tilt, wall, surface, wallTone: 0.75, roll: random.between(-180, 180) };
  },
  perspective: (random, plan) => {
    const strong = random.sign() * random.between(44, 68);
    const weak = random.between(-25, 25);
    const [yaw, pitch] = random.odds(0.5) ? [strong, weak] : [weak, strong];
    return { ...plan, yaw, pitch, fill: random.between(0.4, 0.8) };
  },
  rotations: (random, plan) => ({ ...plan, roll: random.between(-180, 180), fill: random.between(0.3, 0.8) }),
  shadows: (random, plan) => {
    const shadows = Array.from({ length: 1 + random.integer(2) }, () => castShadow(random, plan.sizeMm));
    return { ...plan, light: { ...plan.light, exposure: random.between(0.9, 1.5), shadows } };
  },
};

function withSensor(plan: Plan, change: (pxPerModule: number) => Partial<Sensor>): Plan {
  return { ...plan, sensor: (px) => ({ ...plan.sensor(px), ...change(px) }) };
}

/** A pipe, a bottle, the inside of a cup, or paper that was crumpled. */
function bend(random: Chance, plan: Plan): Plan {
  if (random.odds(0.25)) {
    const heightMm = plan.sizeMm * random.between(0.03, 0.07);
    return { ...plan, surface: { kind: "crumpled", heightMm, lengthMm: plan.sizeMm * random.between(0.5, 0.9) } };
  }
  const bulge = random.odds(0.85) ? "out" : "in";
  const radiusMm = plan.sizeMm * random.between(0.48, 1.3);
  const turn = random.pick([0, Math.PI / 2, random.between(0, Math.PI)]);
  return { ...plan, surface: { kind: "cylinder", radiusMm, turn, bulge }, fill: random.between(0.3, 0.7) };
}

function manyCodes(random: Chance, plan: Plan): Plan {
  const [columns, rows] = [3 + random.integer(4), 2 + random.integer(4)];
  const pitch = 44;
  const codes = Array.from({ length: columns * rows }, (_, at) => {
    const symbol = inventSymbol(random, random.between(2, 30));
    const place = {
      xMm: ((at % columns) - (columns - 1) / 2) * pitch,
      yMm: (Math.floor(at / columns) - (rows - 1) / 2) * pitch,
    };
    const look = { moduleMm: 30 / symbol.modules, turnDegrees: random.odds(0.3) ? random.between(-180, 180) : 0 };
    return mountCode({ symbol, ...place, ...look, quietZoneModules: 3 });
  });
  const sheet = { widthMm: columns * pitch + 10, heightMm: rows * pitch + 10, shade: 0.82 };
  const size = { width: 1600, height: 1200, sizeMm: Math.max(columns * 0.75, rows) * pitch, fill: 0.86 };
  return { ...plan, ...size, codes, sheet, roll: plan.roll / 3 };
}

/** What designers and careless printers do. */
function misprint(random: Chance, plan: Plan): Plan {
  const [code] = plan.codes;
  if (code === undefined) return plan;
  const faults: readonly [Partial<MountedCode>, ...Partial<MountedCode>[]] = [
    { quietZoneModules: 0 },
    { quietZoneModules: 0.7, inkReflectance: 0.12 },
    { inverted: true },
    { inverted: true, quietZoneModules: 0 },
    { mirrored: true },
    { roundness: 0.5, growthX: 0, growthY: 0 },
    { paperReflectance: 0.5, inkReflectance: 0.28 },
    { scaleX: 0.75 },
    { growthX: 0.42, growthY: 0.42 },
    { growthX: -0.35, growthY: -0.35 },
  ];
  const wallTone = random.pick([0.04, 0.1, 0.3]);
  return {
    ...plan,
    codes: [{ ...code, ...random.pick(faults) }],
    wallTone,
    wall: random.pick(["plain", "wood", "brick"]),
  };
}

/** Scratches, dirt, peeled corners, tears, foreign stickers and fade, about as much as error correction can just take. */
function inventDamage(source: SeededRandom, symbol: PrintedSymbol, pieces: number): readonly Damage[] {
  const random = chance(source);
  const n = symbol.modules;
  const place = () => [random.between(0, n), random.between(0, n)] as const;
  return Array.from({ length: pieces }, (): Damage => {
    switch (random.integer(7)) {
      case 0:
      case 1: {
        const width = random.between(0.3, 1.3);
        return { kind: "scratch", from: place(), to: place(), width, shade: random.pick([0.75, 0.85, 0.15]) };
      }
      case 2:
      case 3: {
        const radius = n * random.between(0.03, 0.13);
        const look = { shade: random.pick([0.08, 0.25, 0.6, 0.85]), opacity: random.between(0.7, 1) };
        return { kind: "dirt", at: place(), radius, ...look };
      }
      case 4:
        return { kind: "peel", corner: random.pick([0, 1, 2, 3]), reach: n * random.between(0.15, 0.45) };
      case 5:
        return { kind: "tear", at: place(), radius: n * random.between(0.05, 0.14) };
      default: {
        const size = [n * random.between(0.1, 0.3), n * random.between(0.08, 0.25)] as const;
        const look = { turn: random.between(0, 3), shade: random.pick([0.85, 0.5, 0.1]) };
        return { kind: "overlay", middle: place(), size, ...look };
      }
    }
  });
}

function castSpot(random: Chance, sizeMm: number): Spot {
  return {
    ...{ x: sizeMm * random.between(-0.5, 0.5), y: sizeMm * random.between(-0.5, 0.5), turn: random.between(0, 3.14) },
    ...{ radiusX: sizeMm * random.between(0.1, 0.45), radiusY: sizeMm * random.between(0.1, 0.45) },
    ...{ gain: random.between(4, 22), evenness: random.between(0, 1) },
  };
}

function castGlare(random: Chance, sizeMm: number): Glare {
  return {
    ...{ x: sizeMm * random.between(-0.45, 0.45), y: sizeMm * random.between(-0.45, 0.45) },
    ...{ radiusX: sizeMm * random.between(0.06, 0.3), radiusY: sizeMm * random.between(0.06, 0.45) },
    ...{ turn: random.between(0, 3.14), strength: random.between(0.4, 4), evenness: random.between(0, 0.7) },
  };
}

function castShadow(random: Chance, sizeMm: number): CastShadow {
  const left = random.between(0.1, 0.45);
  const softMm = random.odds(0.5) ? random.between(0.2, 1) : sizeMm * random.between(0.05, 0.3);
  const [x, y] = [sizeMm * random.between(-0.3, 0.3), sizeMm * random.between(-0.3, 0.3)];
  const turn = random.between(-Math.PI, Math.PI);
  switch (random.integer(4)) {
    case 0:
      return { kind: "edge", x, y, turn, left, softMm };
    case 1:
      return { kind: "bar", x, y, turn, width: sizeMm * random.between(0.1, 0.4), left, softMm };
    case 2:
      return { kind: "blob", x, y, radius: sizeMm * random.between(0.2, 0.5), left, softMm };
    default:
      return { kind: "leaves", size: sizeMm * random.between(0.15, 0.5), seed: random.integer(1e9), left, softMm };
  }
}

function inventSymbol(random: Chance, length: number): PrintedSymbol {
  const level = random.pick(["L", "M", "M", "Q", "H"]);
  return makeSymbol(inventText(random, Math.round(length)), level, random.pick([0, 1, 2, 3, 4, 5, 6, 7]));
}

/** A text that fills its version nearly, so that the message and not padding is what is read. */
function denseSymbol(random: Chance, version: number): PrintedSymbol {
  const modules = 17 + 4 * version;
  const level = random.pick(["L", "M"]);
  // Bytes that fit are about this share of all modules; a little less, so that it always fits.
  const length = Math.floor(((modules * modules) / 8) * (level === "L" ? 0.66 : 0.5)) - 40;
  return makeSymbol(inventText(random, length), level, random.pick([0, 1, 2, 3, 4, 5, 6, 7]), version);
}

const walls: readonly [WallKind, ...WallKind[]] = ["plaster", "brick", "tiles", "wood", "plain", "text", "foliage"];
const pictureSizes: readonly [readonly [number, number], ...(readonly [number, number])[]] = [
  [640, 480],
  [800, 600],
  [1024, 768],
  [960, 1280],
  [1280, 960],
  [1600, 1200],
];
