import { describe, expect, it } from "vitest";
import { aimShot, renderGrey } from "../../../../emulator/camera/camera.ts";
import { buildScene, orderScene } from "../../../../emulator/camera/scene.ts";
import { mountCode } from "../../../../emulator/camera/sticker-face.ts";
import { makeSymbol } from "../../../../emulator/camera/symbol-maker.ts";
import type { GreyPicture } from "../../../../protocol/sticker/grey-picture.ts";
import { distance, type SymbolMap } from "../../../../protocol/sticker/plane.ts";
import { measureSize, refineMap } from "../../../../protocol/sticker/size/measure-size.ts";
import { drawScene, roundedRectangle, symbolFace, trueMap } from "./draw-scene.ts";

const symbol = makeSymbol("HTTPS://D.EXAMPLE/L/ABCDEFGHJKMNPQRSTVWXYZ12", "Q", 3, 4);
const place = { xMm: 0, yMm: 0, turnDegrees: 0, moduleX: 1, moduleY: 1 };

function scene(order: {
  readonly yaw?: number;
  readonly growth?: number;
  readonly card?: boolean;
  readonly corner?: number;
}) {
  const { yaw = 15, growth = 0, card = false, corner = 3.18 } = order;
  const camera = {
    ...(card ? { width: 1100, height: 750 } : { width: 480, height: 400 }),
    pose: { distanceMm: card ? 260 : 150, yaw, pitch: -9, roll: 6, aimXMm: card ? 40 : 0, aimYMm: 0 },
    lens: { focalRatio: 0.9, k1: -0.01, k2: 0 },
  };
  const sticker = { heightMm: 0, xMm: 0, yMm: 0, turnDegrees: 0 };
  const paint = symbolFace(symbol.modules, symbol.dark, { moduleX: 1, moduleY: 1, growth });
  const things = [
    { ...sticker, paint },
    {
      heightMm: 0.76,
      xMm: 74,
      yMm: 3,
      turnDegrees: 4,
      paint: card ? roundedRectangle(85.6, 53.98, corner, 0.2) : () => -1,
    },
  ];
  const picture = drawScene({ seed: 5, ...camera, wall: () => 0.5, things, blurPx: 0.8, noise: 2 });
  return { picture, map: trueMap(camera, symbol.modules, place) };
}

/** Off by up to a third of a module, as a locator's map may be. */
function disturbed(map: SymbolMap): SymbolMap {
  return {
    modules: map.modules,
    toPicture: (column, row) => map.toPicture(column + 0.3 - row / 120, row - 0.25 + column / 100),
  };
}

function worstCorner(one: SymbolMap, other: SymbolMap): number {
  const corners = [0, one.modules].flatMap((row) => [0, one.modules].map((column) => ({ column, row })));
  return Math.max(
    ...corners.map(({ column, row }) => distance(one.toPicture(column, row), other.toPicture(column, row))),
  );
}

describe("a symbol's map refined to its own edges", () => {
  it("[Q86] is right to a sixth of a pixel at all corners from a map that was a third of a module off", () => {
    const { picture, map } = scene({});
    const refined = refineMap(picture, disturbed(map), symbol.dark);
    expect(worstCorner(disturbed(map), map)).toBeGreaterThan(1);
    expect(refined === undefined ? Number.NaN : worstCorner(refined, map)).toBeLessThan(0.17);
  });

  it.each([-0.2, 0.2])("[Q86] is not moved by ink that has grown by %f modules", (growth) => {
    const { picture, map } = scene({ growth });
    const refined = refineMap(picture, map, symbol.dark);
    expect(refined === undefined ? Number.NaN : worstCorner(refined, map)).toBeLessThan(0.2);
  });

  it("[Q86] has none for a picture that does not show the symbol", () => {
    const { map, picture } = scene({});
    const blank: GreyPicture = { ...picture, luma: new Uint8Array(picture.luma.length).fill(120) };
    expect(refineMap(blank, map, symbol.dark)).toBeUndefined();
    const size = measureSize({ picture: blank, map, dark: symbol.dark, moduleMm: 1, reference: { kind: "id-1" } });
    expect(size).toMatchObject({ ok: false, fault: { code: "symbol-unclear" } });
  });

  it("[Q86] has no one plane for a sticker around a thin pipe", () => {
    const surface = { kind: "cylinder", radiusMm: 35, turn: 0, bulge: "out" } as const;
    const pipe = buildScene(orderScene({ seed: 3, wall: "plain", surface, codes: [mountCode({ symbol })] }));
    const pose = { distanceMm: 130, yaw: 4, pitch: 3, roll: 2, aimXMm: 0, aimYMm: 0 };
    const { picture, truth } = renderGrey(pipe, aimShot({ seed: 3, pose }));
    const map = truth.codes[0]?.map;
    expect(map).toBeDefined();
    if (map === undefined) return;
    expect(refineMap(picture, map, symbol.dark)).toBeUndefined();
    const size = measureSize({ picture, map, dark: symbol.dark, moduleMm: 1, reference: { kind: "auto" } });
    expect(size).toMatchObject({ ok: false, fault: { code: "symbol-not-flat" } });
  });
});

describe("a card beside it, drawn by the test's own renderer", () => {
  it("[Q84] gives the size to a per cent", () => {
    const { picture, map } = scene({ card: true });
    const size = measureSize({
      picture,
      map,
      dark: symbol.dark,
      moduleMm: 1,
      reference: { kind: "id-1" },
      focalRatio: 0.9,
    });
    expect(size).toMatchObject({ ok: true, value: { reference: "id-1" } });
    if (!size.ok) return;
    expect(Math.abs(size.value.scalePercent.x - 100)).toBeLessThan(1);
    expect(Math.abs(size.value.scalePercent.y - 100)).toBeLessThan(1);
    expect(Math.abs(size.value.scalePercent.x - 100)).toBeLessThan(size.value.uncertaintyPercent.x);
  });

  it("[Q87] with square corners is none", () => {
    const { picture, map } = scene({ card: true, corner: 0 });
    const size = measureSize({
      picture,
      map,
      dark: symbol.dark,
      moduleMm: 1,
      reference: { kind: "id-1" },
      focalRatio: 0.9,
    });
    expect(size).toMatchObject({ ok: false, fault: { code: "no-reference", tried: [{ reason: "wrong-corners" }] } });
  });
});
