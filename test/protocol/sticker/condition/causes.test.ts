import { describe, expect, it } from "vitest";
import { type Mishap, photographMishap } from "../../../../emulator/camera/sticker-photos.ts";
import { assert } from "../../../../protocol/base/result.ts";
import { mapCells } from "../../../../protocol/sticker/condition/cell-map.ts";
import { judgeCondition } from "../../../../protocol/sticker/condition/judge-condition.ts";
import { defaultStickerSpecification } from "../../../../protocol/sticker/specification.ts";

const payload = "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5";

/** The condition as seen through the true map, so that nothing but the condition is judged. */
function conditionOf(mishap: Mishap, seed: number, severity: number) {
  const { picture, truth } = photographMishap(payload, mishap, seed, severity);
  const [code] = truth.codes;
  assert(code !== undefined, "the photo shows a code");
  const symbol = { map: code.map, dark: code.symbol, inverted: false };
  const condition = judgeCondition({ picture, symbol, specification: defaultStickerSpecification });
  return { picture, symbol, code, condition };
}

describe("causes", () => {
  const cases: readonly (readonly [Mishap, string | undefined, number])[] = [
    ["sound", undefined, 0.5],
    ["scratch", "scratch", 0.3],
    ["scratch", "scratch", 1],
    ["dirt", "dirt", 0.2],
    ["dirt", "dirt", 1],
    ["tear", "torn", 0.6],
    ["peel", "peeling", 0.2],
    ["peel", "peeling", 0.9],
    ["cover", "covered", 0.6],
    ["frame", "quiet-zone-eaten", 0.3],
    ["glare", "glare", 0.2],
    ["glare", "glare", 0.8],
  ];
  it.each(cases)(
    "[Q78] of a photo after the mishap %s is %s, and nothing else (severity %d)",
    (mishap, code, severity) => {
      const { condition } = conditionOf(mishap, 21, severity);
      expect(condition.findings.map((finding) => finding.code)).toEqual(code === undefined ? [] : [code]);
      for (const { where, measured, expected, remedy } of condition.findings) {
        expect([where, measured, expected, remedy].every((text) => text.length > 3)).toBe(true);
      }
    },
  );

  it("[Q78] a scratch that bares paper shows on ink only, and is one line all the same", () => {
    const { condition } = conditionOf("scratch", 22, 0.5);
    const patches = condition.causes.flatMap(({ code, patch }) => (code === "scratch" && patch ? [patch] : []));
    expect(patches).toHaveLength(1);
    expect(patches[0]?.length).toBeGreaterThan(12);
    expect(patches[0]?.width).toBeLessThan(3);
  });

  it("[Q78] a region that identity calls overlaid is named so, and the other code's text is told", () => {
    const { picture, symbol } = conditionOf("overlay", 23, 0.7);
    const overlaid = { column: 0, row: 0, columns: 33, rows: 33 };
    const specification = defaultStickerSpecification;
    const order = { picture, symbol, specification, overlaid, overlaidTexts: ["https://evil.example"] };
    const [finding] = judgeCondition(order).findings;
    expect(finding).toMatchObject({ code: "overlay", measured: expect.stringContaining("https://evil.example") });
  });

  it("[Q79] glare beside dirt hides neither", () => {
    expect(conditionOf("glare", 24, 0.4).condition.findings[0]?.remedy).toContain("before condemning");
    expect(conditionOf("dirt", 24, 0.4).condition.findings[0]?.remedy).toContain("dry cloth");
  });
});

describe("the cell map", () => {
  it("[Q77] marks what the camera's truth says is not intact, and hardly anything else", () => {
    const { picture, symbol, code } = conditionOf("dirt", 25, 0.8);
    const cells = mapCells(picture, symbol);
    assert(cells !== undefined, "ink and paper differ");
    let [found, missed, invented] = [0, 0, 0];
    for (const [at, state] of code.states.entries()) {
      const cell = (Math.floor(at / 33) + 4) * 3 * cells.side + ((at % 33) + 4) * 3 + cells.side + 1;
      const isMarked = cells.states[cell] !== 0;
      // 1 is flipped: shows the other shade.
      if (state === 1 && isMarked) found++;
      if (state === 1 && !isMarked) missed++;
      if (state === 0 && isMarked) invented++;
    }
    expect(found).toBeGreaterThan(30);
    expect(missed).toBeLessThanOrEqual(2);
    expect(invented).toBeLessThanOrEqual(5);
  });

  it("[Q77] is not drawn where ink and paper do not differ", () => {
    const { symbol } = conditionOf("sound", 26, 0);
    const blank = { width: 900, height: 700, luma: new Uint8Array(900 * 700).fill(200) };
    expect(mapCells(blank, symbol)).toBeUndefined();
    const condition = judgeCondition({ picture: blank, symbol, specification: defaultStickerSpecification });
    expect(condition.findings.map(({ code }) => code)).toEqual(["fade"]);
  });
});
