/**
 * Trials of size by photo with known truth: a sticker printed at some scale, on a panel or beside a card, photographed, measured. Run
 * as a sample by the tests and as whole campaigns by `scripts/bench sticker`.
 */
import { assert, type Result } from "../../protocol/base/result.ts";
import {
  calibrationCardBorderMm,
  calibrationCardHeightMm,
  calibrationCardHollowMm,
  calibrationCardMarginMm,
  calibrationCardMarkMm,
  calibrationCardMarks,
  calibrationCardWidthMm,
} from "../../protocol/sticker/size/calibration-card.ts";
import { measureSize } from "../../protocol/sticker/size/measure-size.ts";
import type {
  BezelDimensions,
  SizeFault,
  SizeMeasurement,
  SizeReference,
} from "../../protocol/sticker/size/size-types.ts";
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { aimShot, type RenderedPhoto, renderGrey, type Shot } from "./camera.ts";
import { evenLight } from "./light.ts";
import type { CodeTruth } from "./photo-truth.ts";
import type { Drawing } from "./references.ts";
import { buildScene, orderScene, type SceneOrder } from "./scene.ts";
import { phoneSensor } from "./sensor.ts";
import { mountCode } from "./sticker-face.ts";
import { inventText, makeSymbol } from "./symbol-maker.ts";
import type { WallKind } from "./walls.ts";

export type SizeScene =
  | "bezel"
  | "id-1"
  | "calibration-card"
  | "scan"
  /** No reference at all, and things that are none. */
  | "nothing"
  | "phone"
  | "business-card"
  | "picture-frame";

export type SizePhoto = RenderedPhoto & {
  readonly code: CodeTruth;
  /** What the one who measures is told. */
  readonly reference: SizeReference;
  readonly focalRatio: number | undefined;
  readonly moduleMm: number;
};

export type SizeTrial = {
  readonly scene: SizeScene;
  readonly seed: number;
  readonly answer: Result<SizeMeasurement, SizeFault>;
  /** Measured against true, in percent; undefined where nothing was measured. */
  readonly errorPercent: { readonly x: number; readonly y: number; readonly mean: number } | undefined;
  /** Truth lies in the stated interval, on each axis. */
  readonly covered: { readonly x: boolean; readonly y: boolean } | undefined;
  /** What a check at `tolerancePercent` says: some axis is off by more. */
  readonly flagged: boolean;
};

const sizeTolerancePercent = 2;

/** Renders the seed's scene at `scale` (1: as ordered) and measures it with the map that `locate` gives, or the true one. */
export function runSizeTrial(
  scene: SizeScene,
  seed: number,
  scale: number,
  mapOf: (photo: SizePhoto) => CodeTruth["map"] | undefined = (photo) => photo.code.map,
): SizeTrial | undefined {
  const photo = takeSizePhoto(scene, seed, scale);
  const map = mapOf(photo);
  if (map === undefined) return undefined;
  const { picture, code, reference, focalRatio, moduleMm } = photo;
  const answer = measureSize({ picture, map, dark: code.symbol, moduleMm, reference, focalRatio });
  return { scene, seed, answer, ...judge(answer, code) };
}

/** What a campaign showed; errors in percent of the true size. */
export type SizeFigures = {
  readonly scene: SizeScene;
  readonly scale: number;
  readonly trials: number;
  readonly measured: number;
  /** Of the mean of both sides, as the goal is stated, and of the worse side. */
  readonly medianErrorPercent: number;
  readonly p95ErrorPercent: number;
  readonly p95WorseSidePercent: number;
  readonly maxErrorPercent: number;
  /** Share of sides whose stated 95 % interval holds the truth. */
  readonly coverage: number;
  /** Share of measured trials that are out of a tolerance of 2 %. */
  readonly flaggedShare: number;
  readonly reasons: Readonly<Record<string, number>>;
};

/** Runs the trials of `seeds`; a scene without a true reference should measure none. */
export function runSizeCampaign(
  scene: SizeScene,
  seeds: readonly number[],
  scale: number,
  mapOf?: (photo: SizePhoto) => CodeTruth["map"] | undefined,
): SizeFigures {
  const trials = seeds.map((seed) => runSizeTrial(scene, seed, scale, mapOf));
  const means: number[] = [];
  const worse: number[] = [];
  const covered: boolean[] = [];
  const reasons: Record<string, number> = {};
  let flagged = 0;
  for (const trial of trials) {
    if (trial?.errorPercent === undefined || trial.covered === undefined) {
      const reason = reasonOf(trial);
      reasons[reason] = (reasons[reason] ?? 0) + 1;
      continue;
    }
    means.push(Math.abs(trial.errorPercent.mean));
    worse.push(Math.max(Math.abs(trial.errorPercent.x), Math.abs(trial.errorPercent.y)));
    covered.push(trial.covered.x, trial.covered.y);
    if (trial.flagged) flagged++;
  }
  return {
    ...{ scene, scale, trials: seeds.length, measured: means.length, reasons },
    medianErrorPercent: quantile(means, 0.5),
    p95ErrorPercent: quantile(means, 0.95),
    p95WorseSidePercent: quantile(worse, 0.95),
    maxErrorPercent: quantile(means, 1),
    coverage: covered.filter(Boolean).length / Math.max(1, covered.length),
    flaggedShare: flagged / Math.max(1, means.length),
  };
}

function reasonOf(trial: SizeTrial | undefined): string {
  if (trial === undefined || trial.answer.ok) return "no-map";
  const { fault } = trial.answer;
  return fault.code === "no-reference" ? fault.tried.map(({ reason }) => reason).join("+") : fault.code;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

function judge(
  answer: Result<SizeMeasurement, SizeFault>,
  code: CodeTruth,
): Pick<SizeTrial, "errorPercent" | "covered" | "flagged"> {
  if (!answer.ok) return { errorPercent: undefined, covered: undefined, flagged: false };
  const { moduleMm, uncertaintyPercent, scalePercent } = answer.value;
  const x = 100 * (moduleMm.x / code.moduleXMm - 1);
  const y = 100 * (moduleMm.y / code.moduleYMm - 1);
  const off = Math.max(Math.abs(scalePercent.x - 100), Math.abs(scalePercent.y - 100));
  return {
    errorPercent: { x, y, mean: (x + y) / 2 },
    covered: { x: Math.abs(x) <= uncertaintyPercent.x, y: Math.abs(y) <= uncertaintyPercent.y },
    flagged: off > sizeTolerancePercent,
  };
}

/** One seed, one photograph. */
export function takeSizePhoto(scene: SizeScene, seed: number, scale: number): SizePhoto {
  const random = seededRandom(seed, `camera/size/${scene}`);
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const moduleMm = 1;
  const symbol = makeSymbol(inventText(random, 18), "Q", 3, 4);
  const growth = between(-0.08, 0.16);
  const code = mountCode({
    ...{
      symbol,
      moduleMm,
      scaleX: scale,
      scaleY: scale,
      growthX: growth,
      growthY: growth,
      turnDegrees: between(-2, 2),
    },
    ...{ inkReflectance: between(0.03, 0.1), paperReflectance: between(0.7, 0.88) },
  });
  const walls: readonly WallKind[] = ["plain", "plaster", "plaster", "brick", "wood", "tiles"];
  const around = {
    ...{ seed, wall: walls[random.integer(walls.length)] ?? "plain", wallTone: between(0.25, 0.75), codes: [code] },
    ...{ wallMm: 500, wallTexels: 1000 },
    lamp: { towards: [between(-0.6, 0.6), -0.6, -0.6], share: between(0.2, 0.8) },
  } as const;
  const placed = placeReference(scene, random, between);
  const order = orderScene({ ...around, ...placed.things });
  const shot = chooseShot(scene, seed, placed.middle, between);
  const photo = renderGrey(buildScene(order), shot);
  const [truth] = photo.truth.codes;
  assert(truth !== undefined, "a size trial has one code");
  const focal = shot.lens.focalRatio;
  // Half of the phones say their focal length, a per cent or two off.
  const focalRatio = random.next() < 0.5 ? focal * between(0.98, 1.02) : undefined;
  return { ...photo, code: truth, reference: placed.reference, focalRatio, moduleMm };
}

type Between = (low: number, high: number) => number;

type Placed = {
  readonly things: Partial<SceneOrder>;
  readonly reference: SizeReference;
  /** What the camera looks at. */
  readonly middle: readonly [number, number];
};

function placeReference(scene: SizeScene, random: SeededRandom, between: Between): Placed {
  const beside = besidePlace(random, between);
  const { place } = beside;
  const middle = [place.xMm / 2, place.yMm / 2] as const;
  switch (scene) {
    case "bezel":
      return placeBezel(between);
    case "id-1": {
      const looks = ["bright", "dark", "patterned"] as const;
      const look = looks[random.integer(3)] ?? "bright";
      const card = { ...place, heldOffMm: between(0, 0.5), look };
      return { things: { cards: [card] }, reference: { kind: "id-1" }, middle };
    }
    case "calibration-card": {
      const reference = { kind: "calibration-card" } as const;
      return {
        things: { drawings: [calibrationDrawing(place, between(0.1, 0.6), between(-0.06, 0.1))] },
        reference,
        middle,
      };
    }
    case "scan":
    case "nothing":
      return {
        things: {},
        reference: scene === "scan" ? { kind: "density", density: scanDensity } : everything,
        middle: [0, 0],
      };
    default:
      return { things: { drawings: [decoy(scene, place, between)] }, reference: everything, middle };
  }
}

/** Panels of 80 x 130 to 130 x 190 mm with the sticker somewhere on them. */
function placeBezel(between: Between): Placed {
  const [widthMm, heightMm, proudMm] = [between(80, 130), between(130, 190), between(0.5, 3)];
  const lipMm = between(4, 9);
  const [xMm, yMm] = [between(-0.1, 0.1) * widthMm, between(-0.2, 0.2) * heightMm];
  const bezel = {
    ...{ widthMm, heightMm, xMm, yMm, proudMm, turnDegrees: between(-1, 1), lipMm },
    ...{ cornerMm: between(1, 7), lipShade: between(0.08, 0.7), plateShade: between(0.2, 0.6) },
  };
  // What the site wrote down with a ruler and a calliper.
  const written: BezelDimensions = {
    widthMm: widthMm + between(-0.1, 0.1),
    heightMm: heightMm + between(-0.1, 0.1),
    proudMm: proudMm + between(-0.2, 0.2),
    lipMm: lipMm + between(-0.1, 0.1),
  };
  return { things: { bezel }, reference: { kind: "bezel", ...written }, middle: [xMm, yMm] };
}

type Place = { readonly xMm: number; readonly yMm: number; readonly turnDegrees: number };

/** Left, right, above or below, some mm away, lengthwise or upright, as a hand puts it. */
function besidePlace(random: SeededRandom, between: Between): { readonly place: Place } {
  const turnDegrees = 90 * random.integer(2) + between(-12, 12);
  const direction = random.integer(4);
  const upright = turnDegrees > 45;
  const lengthwise = direction % 2 === 0 ? !upright : upright;
  const away = 21 + between(8, 20) + (lengthwise ? 46 : 31);
  const [x, y] = [
    [1, 0],
    [0, 1],
    [-1, 0],
    [0, -1],
  ][direction] ?? [1, 0];
  const aside = between(-15, 15);
  return { place: { xMm: away * (x ?? 0) + aside * (y ?? 0), yMm: away * (y ?? 0) + aside * (x ?? 0), turnDegrees } };
}

function chooseShot(scene: SizeScene, seed: number, middle: readonly [number, number], between: Between): Shot {
  const size = { width: 2000, height: 1500 };
  const fall = { fall: between(0, 0.5), fallTurn: between(0, 6.28), exposure: between(0.7, 1.1) };
  const sensor = {
    ...phoneSensor,
    ...{ blurPx: between(0.6, 1.1), defocusPx: between(0, 1), noise: between(1.5, 4), jpegQuality: 86 },
  };
  const light = { ...evenLight, ...fall };
  const [aimXMm, aimYMm] = [middle[0] + between(-10, 10), middle[1] + between(-10, 10)];
  if (scene === "scan") {
    const pose = { distanceMm: 1, yaw: 0, pitch: 0, roll: between(-4, 4), aimXMm: 0, aimYMm: 0 };
    const scanSize = { width: 900, height: 900 };
    return aimShot({ seed, ...scanSize, pose, scanPixelsPerMm: scanDensity.x, sensor, raysAcross: 2 });
  }
  const pose = {
    ...{ distanceMm: between(220, 330), yaw: between(-22, 22), pitch: between(-22, 22), roll: between(-15, 15) },
    ...{ aimXMm, aimYMm },
  };
  const lens = { focalRatio: between(0.7, 0.82), k1: between(-0.03, 0.02), k2: between(-0.005, 0.005) };
  return aimShot({ seed, ...size, pose, lens, light, sensor, raysAcross: 2 });
}

function calibrationDrawing(place: Place, heightAboveMm: number, growthMm: number): Drawing {
  const margin = calibrationCardMarginMm;
  const rect = (left: number, top: number, width: number, height: number, shade: number, growth: number) => ({
    ...{ left: left + margin - growth, top: top + margin - growth, shade },
    ...{ width: width + 2 * growth, height: height + 2 * growth },
  });
  const inside = calibrationCardBorderMm;
  const [ink, paper] = [0.06, 0.85];
  const marks = [
    rect(0, 0, calibrationCardWidthMm, calibrationCardHeightMm, ink, growthMm),
    rect(inside, inside, calibrationCardWidthMm - 2 * inside, calibrationCardHeightMm - 2 * inside, paper, -growthMm),
    ...calibrationCardMarks.map(({ x, y }) => {
      const side = calibrationCardMarkMm;
      return rect(x - side / 2, y - side / 2, side, side, ink, growthMm);
    }),
  ];
  const [first] = calibrationCardMarks;
  if (first !== undefined) {
    const hollow = calibrationCardHollowMm;
    marks.push(rect(first.x - hollow / 2, first.y - hollow / 2, hollow, hollow, paper, -growthMm));
  }
  const size = { widthMm: calibrationCardWidthMm + 2 * margin, heightMm: calibrationCardHeightMm + 2 * margin };
  return { name: "calibration card", ...size, ...place, heightAboveMm, paper, marks };
}

function decoy(scene: "phone" | "business-card" | "picture-frame", place: Place, between: Between): Drawing {
  const mark = (left: number, top: number, width: number, height: number, shade: number) => ({
    left,
    top,
    width,
    height,
    shade,
  });
  switch (scene) {
    case "phone": {
      const [widthMm, heightMm] = [between(145, 160), between(68, 76)];
      const screen = mark(4, 4, widthMm - 8, heightMm - 8, between(0.1, 0.5));
      return { name: scene, widthMm, heightMm, ...place, heightAboveMm: 8, paper: 0.04, marks: [screen] };
    }
    case "business-card": {
      const marks = [
        mark(8, 10, 40, 3, 0.1),
        mark(8, 18, 30, 1.5, 0.2),
        mark(8, 22, 34, 1.5, 0.2),
        mark(60, 35, 16, 12, 0.3),
      ];
      return { name: scene, widthMm: 85, heightMm: 55, ...place, heightAboveMm: 0.4, paper: between(0.8, 0.95), marks };
    }
    case "picture-frame": {
      const [widthMm, heightMm] = [180, 130];
      const frame = between(8, 16);
      const inner = mark(frame, frame, widthMm - 2 * frame, heightMm - 2 * frame, between(0.3, 0.7));
      // Its middle is farther away, so that it does not cover the sticker.
      const away = { ...place, xMm: place.xMm * 1.7, yMm: place.yMm * 1.7 };
      return { name: scene, widthMm, heightMm, ...away, heightAboveMm: 5, paper: 0.12, marks: [inner] };
    }
  }
}

const scanDensity = { x: 300 / 25.4, y: 300 / 25.4 };
/** A site that takes any reference, and whose panels have a bezel. */
const everything: SizeReference = { kind: "auto", bezel: { widthMm: 120, heightMm: 180, proudMm: 2 } };
