/** The same sticker photographed ten ways by the emulated camera: the grade is the sticker's, not the shot's. */
import { describe, expect, it } from "vitest";
import { aimShot, renderGrey } from "../../../../emulator/camera/camera.ts";
import { evenLight } from "../../../../emulator/camera/light.ts";
import { buildScene, orderScene, type SurfaceOrder } from "../../../../emulator/camera/scene.ts";
import { phoneSensor } from "../../../../emulator/camera/sensor.ts";
import { type MountedCode, mountCode } from "../../../../emulator/camera/sticker-face.ts";
import { makeSymbol } from "../../../../emulator/camera/symbol-maker.ts";
import { seededRandom } from "../../../../emulator/world/random.ts";
import { gradeSymbol, type SymbolGrade } from "../../../../protocol/sticker/grade/grade.ts";
import type { SymbolMap } from "../../../../protocol/sticker/plane.ts";
import type { MaskPattern } from "../../../../protocol/sticker/qr/layout.ts";
import { readSymbols } from "../../../../protocol/sticker/read-symbols.ts";

const symbol = makeSymbol("HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5", "Q", 3, 4);

const stickers: readonly (readonly [string, Partial<MountedCode>])[] = [
  ["clean", {}],
  ["pale", { inkReflectance: 0.62 }],
  ["with ink that has grown", { growthX: 0.25, growthY: 0.2 }],
  ["faded unevenly", { damage: [{ kind: "fade", amount: 0.6, uneven: 0.5, turn: 1 }] }],
  ["with a dirty finder", { damage: [{ kind: "dirt", at: [5, 1.5], radius: 1.2, shade: 0.3, opacity: 0.7 }] }],
];

type Shots = {
  readonly code?: Partial<MountedCode>;
  readonly surface?: SurfaceOrder;
  readonly shadow?: boolean;
  readonly useReader?: boolean;
};

/** Ten shots of a phone from 11 to 18 cm, tilted up to 20 degrees, turned any way, in changing and uneven light. */
function takeTenShots({
  code = {},
  surface,
  shadow = false,
  useReader = false,
}: Shots): readonly (SymbolGrade | undefined)[] {
  const scene = buildScene(
    orderScene({
      ...{ seed: 5, wall: "plaster", codes: [mountCode({ symbol, moduleMm: 1, ...code })] },
      ...(surface === undefined ? {} : { surface }),
    }),
  );
  return Array.from({ length: 10 }, (_, at) => {
    const random = seededRandom(at, "ten-shots");
    const between = (least: number, most: number): number => least + (most - least) * random.next();
    const { picture, truth } = renderGrey(
      scene,
      aimShot({
        ...{ seed: at, width: 1024, height: 768 },
        pose: {
          ...{ distanceMm: between(110, 180), yaw: between(-20, 20), pitch: between(-20, 20), roll: between(0, 360) },
          ...{ aimXMm: between(-3, 3), aimYMm: between(-3, 3) },
        },
        light: {
          ...{ ...evenLight, exposure: between(0.5, 0.95), fall: between(0, 0.4), fallTurn: between(0, 6.28) },
          shadows: shadow
            ? [{ kind: "edge", x: between(-9, 9), y: between(-9, 9), turn: 1, left: 0.5, softMm: 8 }]
            : [],
        },
        sensor: { ...phoneSensor, noise: between(1, 3), blurPx: between(0.5, 0.9) },
      }),
    );
    const [hung] = truth.codes;
    if (hung === undefined) return undefined;
    const map: SymbolMap | undefined = useReader ? readSymbols(picture)[0]?.map : hung.map;
    if (map === undefined) return undefined;
    const graded = gradeSymbol(
      picture,
      {
        ...{ map, version: hung.version, level: hung.errorCorrectionLevel, mask: hung.maskPattern as MaskPattern },
        ...{ dark: hung.symbol, inverted: hung.inverted },
      },
      { edition: "2024", reflectance: "uncalibrated" },
    );
    return graded.ok ? graded.value : undefined;
  });
}

function spreadOf(shots: readonly (SymbolGrade | undefined)[]): number {
  const grades = shots.map((graded) => graded?.overall.grade ?? Number.NaN);
  return Math.max(...grades) - Math.min(...grades);
}

describe("ten photographs of one sticker", () => {
  it.each(stickers)("[Q39] are graded within half a grade: %s", (_, code) => {
    const shots = takeTenShots({ code });
    expect(spreadOf(shots)).toBeLessThanOrEqual(0.5);
    expect(shots.some((graded) => graded?.caveats.includes("shadow-edge"))).toBe(false);
  });

  it("[Q39] are graded within half a grade on the reader's own map", () => {
    expect(spreadOf(takeTenShots({ code: { inkReflectance: 0.62 }, useReader: true }))).toBeLessThanOrEqual(0.5);
  });

  it("[Q40] are graded within half a grade on a pipe, whose bend is named", () => {
    const shots = takeTenShots({ surface: { kind: "cylinder", radiusMm: 60, turn: 0.3, bulge: "out" } });
    expect(spreadOf(shots)).toBeLessThanOrEqual(0.5);
    expect(shots.every((graded) => graded?.caveats.includes("bent-surface"))).toBe(true);
  });

  it("[Q39] across which a shadow falls say so, since their grades are not the sticker's", () => {
    const shots = takeTenShots({ shadow: true });
    expect(shots.filter((graded) => graded?.caveats.includes("shadow-edge")).length).toBeGreaterThanOrEqual(9);
  });
});
