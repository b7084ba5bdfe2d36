/** The camera's truth against its pictures: whoever measures with it must be able to believe it. */
import { describe, expect, it } from "vitest";
import { aimShot, renderGrey, type Shot } from "../../../emulator/camera/camera.ts";
import type { Damage } from "../../../emulator/camera/condition.ts";
import { evenLight } from "../../../emulator/camera/light.ts";
import { type CodeTruth, moduleState, type PhotoTruth } from "../../../emulator/camera/photo-truth.ts";
import { buildScene, orderScene, type SceneOrder } from "../../../emulator/camera/scene.ts";
import { idealSensor, phoneSensor } from "../../../emulator/camera/sensor.ts";
import { type MountedCode, mountCode } from "../../../emulator/camera/sticker-face.ts";
import { makeSymbol } from "../../../emulator/camera/symbol-maker.ts";
import { assert } from "../../../protocol/base/result.ts";
import { type GreyPicture, lumaAt } from "../../../protocol/sticker/grey-picture.ts";
import { applyHomography, homographyBetween, type Point } from "../../../protocol/sticker/plane.ts";

const symbol = makeSymbol("HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5", "Q", 3, 4);
const straight = { distanceMm: 80, yaw: 0, pitch: 0, roll: 0, aimXMm: 0, aimYMm: 0 };

function photograph(code: Partial<MountedCode>, shot: Partial<Shot>, order: Partial<SceneOrder> = {}) {
  const scene = buildScene(orderScene({ seed: 7, codes: [mountCode({ symbol, ...code })], ...order }));
  const { picture, truth } = renderGrey(scene, aimShot({ seed: 7, pose: straight, ...shot }));
  const [codeTruth] = truth.codes;
  assert(codeTruth !== undefined, "a code was mounted");
  return { picture, truth, code: codeTruth };
}

/** How many modules look other than they were printed, by a threshold between the neighbourhood's darkest and lightest. */
function misread(picture: GreyPicture, code: CodeTruth): number {
  const { modules, map, printed } = code;
  const lumas = Array.from({ length: modules * modules }, (_, at) => {
    const { x, y } = map.toPicture((at % modules) + 0.5, Math.floor(at / modules) + 0.5);
    return lumaAt(picture, x, y);
  });
  return lumas.filter((luma, at) => {
    const [column, row] = [at % modules, Math.floor(at / modules)];
    const near = lumas.filter((_, other) => {
      return Math.abs((other % modules) - column) <= 4 && Math.abs(Math.floor(other / modules) - row) <= 4;
    });
    return luma < (Math.min(...near) + Math.max(...near)) / 2 !== (printed[at] === 1);
  }).length;
}

describe("the map of a code", () => {
  const pose = { distanceMm: 95, yaw: 42, pitch: -28, roll: 70, aimXMm: 3, aimYMm: -4 };
  const bent = { focalRatio: 0.7, k1: -0.09, k2: 0.03 };
  const cases: readonly (readonly [string, Partial<MountedCode>, Partial<Shot>, Partial<SceneOrder>])[] = [
    ["straight in front", {}, {}, {}],
    ["tilted through a bent lens", {}, { pose, lens: bent }, {}],
    ["turned, scaled and away from the middle", { turnDegrees: 33, scaleX: 0.9, xMm: 8, yMm: -6 }, {}, {}],
    ["mirrored", { mirrored: true }, { pose }, {}],
    ["on a pipe", {}, {}, { surface: { kind: "cylinder", radiusMm: 24, turn: 0.5, bulge: "out" } }],
    ["inside a pipe", {}, { pose }, { surface: { kind: "cylinder", radiusMm: 30, turn: 1.2, bulge: "in" } }],
    [
      "on crumpled paper",
      {},
      { pose: { ...straight, yaw: 20, roll: 30 } },
      { surface: { kind: "crumpled", heightMm: 2.5, lengthMm: 22 } },
    ],
    ["on folded paper", {}, {}, { surface: { kind: "folded", xMm: 4, yMm: 0, turn: 0.4, angle: 0.6 } }],
    ["on a proud bezel's plate", {}, { pose }, { bezel }],
  ];
  it.each(cases)("finds every module: %s", (_, code, shot, order) => {
    const seen = photograph(code, { width: 800, height: 600, ...shot }, order);
    expect(seen.code.whole).toBe(true);
    expect(misread(seen.picture, seen.code)).toBe(0);
  });

  it("is a homography on a flat wall behind a pinhole, to a thousandth of a pixel", () => {
    const { map, corners, modules } = photograph({}, { pose }).code;
    const flat = homographyBetween(square(modules), corners);
    assert(flat !== undefined, "four corners fix a homography");
    for (let row = -4; row <= modules + 4; row += 3) {
      for (let column = -4; column <= modules + 4; column += 3) {
        expect(apart(applyHomography(flat, column, row), map.toPicture(column, row))).toBeLessThan(1e-3);
      }
    }
  });
});

describe("size", () => {
  it("of a scan is its density times its mm, to 0.1 % as measured on the edges in the picture", () => {
    const shot = { width: 1000, height: 1000, scanPixelsPerMm: 24, sensor: idealSensor, raysAcross: 4 };
    const { picture, code } = photograph({ scaleX: 0.97, moduleMm: 1.016 }, shot);
    expect(code.widthMm).toBeCloseTo(33 * 1.016 * 0.97, 9);
    // Rows through finder edges: row 3 for left and right, column 3 for top and bottom.
    const left = edgeBetween(picture, code.map.toPicture(-1, 3.5), code.map.toPicture(1, 3.5));
    const right = edgeBetween(picture, code.map.toPicture(32, 3.5), code.map.toPicture(34, 3.5));
    const top = edgeBetween(picture, code.map.toPicture(3.5, -1), code.map.toPicture(3.5, 1));
    const bottom = edgeBetween(picture, code.map.toPicture(3.5, 32), code.map.toPicture(3.5, 34));
    expect(Math.abs((right.x - left.x) / 24 / code.widthMm - 1)).toBeLessThan(0.001);
    expect(Math.abs((bottom.y - top.y) / 24 / code.heightMm - 1)).toBeLessThan(0.001);
  });

  it("of edges in a tilted picture agrees with the truth to a tenth of a pixel", () => {
    const pose = { ...straight, yaw: 30, pitch: 15, roll: 20 };
    const shot = { width: 1200, height: 900, pose, sensor: { ...idealSensor, blurPx: 0.7 }, raysAcross: 4 };
    const { picture, code } = photograph({}, shot);
    for (const at of [1.5, 3.5, 5.5]) {
      const edge = edgeBetween(picture, code.map.toPicture(-0.8, at), code.map.toPicture(0.8, at));
      expect(apart(edge, code.map.toPicture(0, at))).toBeLessThan(0.1);
    }
  });

  it("follows focal length and distance, and a proud bezel is nearer than what it frames", () => {
    const { truth, code } = photograph({}, { pose: { ...straight, distanceMm: 400 } }, { bezel });
    const focal = 0.78 * 640;
    expect(width(code.corners)).toBeCloseTo((focal * 33) / 400, 2);
    assert(truth.bezel !== undefined, "a bezel was mounted");
    expect(width(truth.bezel.corners)).toBeCloseTo((focal * 60) / (400 - 5), 1);
  });

  it("shows the bezel and the card where the truth says, each lighter than what lies beside it", () => {
    const cards = [{ xMm: 0, yMm: 60, turnDegrees: 8, heldOffMm: 0, look: "bright" }] as const;
    const pose = { ...straight, distanceMm: 260, yaw: 20 };
    const shot = { width: 1200, height: 900, pose, sensor: idealSensor };
    const order = { bezel: { ...bezel, lipShade: 0.9 }, cards, wall: "plain", wallTone: 0.2 } as const;
    const { picture, truth } = photograph({}, shot, order);
    for (const outline of [truth.bezel, truth.cards[0]]) {
      assert(outline !== undefined, "it is in the picture");
      const edge = edgeAcross(picture, outline.corners[3], outline.corners[0], outline.corners[1]);
      expect(edge.error).toBeLessThan(0.35);
    }
    expect(truth.cards[0]).toMatchObject({ widthMm: 85.6, heightMm: 53.98, proudMm: 0.76 });
  });
});

describe("light on modules", () => {
  it("through an ideal sensor is reflectance times 255, exact where the print says so", () => {
    const tones: Damage[] = [{ kind: "tone", modules: [200, 201, 202], reflectance: 0.4 }];
    const code = { damage: tones, paperReflectance: 0.8, inkReflectance: 0.06 };
    const seen = photograph(code, { scanPixelsPerMm: 12, sensor: idealSensor });
    for (let at = 0; at < 33 * 33; at++) {
      const { x, y } = seen.code.map.toPicture((at % 33) + 0.5, Math.floor(at / 33) + 0.5);
      const expected = at >= 200 && at <= 202 ? 0.4 : symbol.dark[at] === 1 ? 0.06 : 0.8;
      expect(Math.abs(lumaAt(seen.picture, x, y) - 255 * expected)).toBeLessThanOrEqual(1);
      expect(seen.code.reflectance[at]).toBeCloseTo(expected, 5);
    }
  });

  it.each([-0.3, 0.25])("grows dark by %d modules", (growth) => {
    const shot = { scanPixelsPerMm: 24, width: 1000, height: 1000, sensor: idealSensor, raysAcross: 4 };
    const { picture, code } = photograph({ growthX: growth, growthY: 0 }, shot);
    // The finder's left bar, one module wide: from white through black to white.
    const from = edgeBetween(picture, code.map.toPicture(-0.5, 3.5), code.map.toPicture(0.5, 3.5));
    const to = edgeBetween(picture, code.map.toPicture(0.5, 3.5), code.map.toPicture(1.5, 3.5));
    expect((to.x - from.x) / 24).toBeCloseTo(1 + growth, 1);
    const upper = edgeBetween(picture, code.map.toPicture(3.5, -0.5), code.map.toPicture(3.5, 0.5));
    expect(apart(upper, code.map.toPicture(3.5, 0))).toBeLessThan(0.6);
  });
});

describe("states of modules", () => {
  const stateCount = (code: CodeTruth, state: number) => code.states.filter((one) => one === state).length;

  it("are intact on a new sticker, and exactly the flipped ones on a misprinted", () => {
    expect(photograph({}, {}).code.destroyed).toBe(0);
    const modules = [40, 300, 301, 900];
    const { code } = photograph({ damage: [{ kind: "flip", modules }] }, {});
    expect([...code.states.keys()].filter((at) => code.states[at] === moduleState.flipped)).toEqual(modules);
  });

  it("agree with the picture: whatever is not intact is what reads wrong", () => {
    const damage: Damage[] = [
      { kind: "overlay", middle: [20, 20], size: [9, 7], turn: 0, shade: 0.85 },
      { kind: "scratch", from: [2, 12], to: [30, 16], width: 1, shade: 0.05 },
    ];
    const { picture, code } = photograph({ damage }, { scanPixelsPerMm: 14, sensor: idealSensor });
    const threshold = 255 * ((code.paperReflectance + code.inkReflectance) / 2);
    for (let at = 0; at < code.states.length; at++) {
      const reads = (code.reflectance[at] ?? 0) * 255 < threshold === (symbol.dark[at] === 1);
      expect(reads).toBe(code.states[at] !== moduleState.flipped);
      const { x, y } = code.map.toPicture((at % 33) + 0.5, Math.floor(at / 33) + 0.5);
      if (code.states[at] === moduleState.intact && Math.abs((code.reflectance[at] ?? 0) * 255 - threshold) > 60) {
        expect(lumaAt(picture, x, y) < threshold).toBe(symbol.dark[at] === 1);
      }
    }
    // 9 x 7 modules lie under the overlay; about half of them happen to show their own shade.
    expect(stateCount(code, moduleState.covered)).toBeGreaterThan(15);
    expect(stateCount(code, moduleState.flipped)).toBeGreaterThan(25);
  });

  it("are worse the more there is of anything", () => {
    const glare = { x: 0, y: 0, radiusX: 6, radiusY: 9, turn: 0.3, evenness: 0.5 };
    const destroyed = (strength: number) =>
      photograph({}, { light: { ...evenLight, glares: [{ ...glare, strength }] } }).code.destroyed;
    expect([destroyed(0), destroyed(1) < destroyed(3), destroyed(3) > 0.05]).toEqual([0, true, true]);
    const peeled = (reach: number) => photograph({ damage: [{ kind: "peel", corner: 2, reach }] }, {}).code.destroyed;
    expect([peeled(4), peeled(20) > 0.02, peeled(30) > peeled(20)]).toEqual([0, true, true]);
    const faded = (amount: number) =>
      photograph({ damage: [{ kind: "fade", amount, uneven: 0, turn: 0 }] }, {}).code.destroyed;
    expect([faded(0.4), faded(0.99)]).toEqual([0, 1]);
  });
});

it("gives the same bytes and the same truth for the same seeds", () => {
  const once = () => photograph({ damage: [{ kind: "tear", at: [20, 9], radius: 4 }] }, { sensor: phoneSensor });
  const [one, two] = [once(), once()];
  expect(two.picture).toEqual(one.picture);
  expect(facts(two.truth)).toEqual(facts(one.truth));
  expect(photograph({}, { seed: 8 }).picture.luma).not.toEqual(photograph({}, { seed: 9 }).picture.luma);
});

const bezel = {
  ...{ widthMm: 60, heightMm: 80, xMm: 0, yMm: 0, turnDegrees: 0, lipMm: 4, proudMm: 5, cornerMm: 3 },
  ...{ lipShade: 0.2, plateShade: 0.5 },
};

function facts(truth: PhotoTruth): string {
  return JSON.stringify(truth);
}

function square(side: number): readonly Point[] {
  return [
    { x: 0, y: 0 },
    { x: side, y: 0 },
    { x: side, y: side },
    { x: 0, y: side },
  ];
}

function apart(one: Point, other: Point): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

function width(corners: readonly [Point, Point, Point, Point]): number {
  return apart(corners[0], corners[1]);
}

/** Where luma crosses the middle between its ends on the way from one point to another. */
function edgeBetween(picture: GreyPicture, from: Point, to: Point): Point {
  const steps = 400;
  const at = (step: number) => ({
    x: from.x + ((to.x - from.x) * step) / steps,
    y: from.y + ((to.y - from.y) * step) / steps,
  });
  const luma = (step: number) => lumaAt(picture, at(step).x, at(step).y);
  const middle = (luma(0) + luma(steps)) / 2;
  const rises = luma(0) < middle;
  for (let step = 1; step <= steps; step++) if (luma(step) < middle !== rises) return at(step);
  return to;
}

/** How far the visible edge from `before` to `corner` is from the true one, looked at half way, across the edge. */
function edgeAcross(picture: GreyPicture, before: Point, corner: Point, after: Point): { readonly error: number } {
  const middle = { x: (before.x + corner.x) / 2, y: (before.y + corner.y) / 2 };
  const length = apart(corner, after);
  const inwards = { x: (after.x - corner.x) / length, y: (after.y - corner.y) / length };
  const outside = { x: middle.x - 6 * inwards.x, y: middle.y - 6 * inwards.y };
  const inside = { x: middle.x + 6 * inwards.x, y: middle.y + 6 * inwards.y };
  return { error: apart(edgeBetween(picture, outside, inside), middle) };
}
