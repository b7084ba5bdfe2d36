import jsqr from "jsqr";
import { create } from "qrcode";
import { describe, expect, it } from "vitest";
import {
  blockShapes,
  codewordsToModules,
  correctCodewords,
  modulesToCodewords,
} from "../../../../protocol/sticker/qr/codewords.ts";
import {
  formatBits,
  maskPatterns,
  nearestFormats,
  nearestVersion,
  versionBits,
} from "../../../../protocol/sticker/qr/format.ts";
import { formatPlaces, moduleRole, symbolLayout, versionPlaces } from "../../../../protocol/sticker/qr/layout.ts";
import { readSegments } from "../../../../protocol/sticker/qr/segments.ts";

const levels = ["L", "M", "Q", "H"] as const;
const versions = Array.from({ length: 40 }, (_, at) => at + 1);

/** A symbol that `qrcode` made, which none of us wrote. */
function made(version: number, level: "L" | "M" | "Q" | "H", mask: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7, text: string) {
  const { modules } = create(text, { version, errorCorrectionLevel: level, maskPattern: mask });
  return Uint8Array.from(modules.data, (dark) => (dark ? 1 : 0));
}

describe("the standard's symbol, against an encoder and a decoder that we did not write", () => {
  it("reads the codewords of every version, level and mask and makes the same modules again", () => {
    for (const version of versions) {
      for (const [at, level] of levels.entries()) {
        const mask = maskPatterns[(version + at) % 8] ?? 0;
        const text = `V${version} ${level} m${mask} é`;
        const dark = version === 1 && level === "H" ? made(1, "H", mask, "1H") : made(version, level, mask, text);
        const corrected = correctCodewords(modulesToCodewords(dark, version, mask), version, level);
        if (!corrected.ok) expect.fail(`version ${version} level ${level}: ${corrected.fault.code}`);
        expect(corrected.value.blocks.every((block) => block.errors === 0)).toBe(true);
        expect(codewordsToModules(corrected.value.data, version, level, mask)).toEqual(dark);
        const message = readSegments(corrected.value.data, version);
        if (!message.ok) expect.fail(message.fault.code);
        const bytes = message.value.segments.flatMap((segment) => [...segment.bytes]);
        expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(version === 1 && level === "H" ? "1H" : text);
        expect(message.value.paddingHolds).toBe(true);
      }
    }
  });

  it("makes every mask as the encoder makes it", () => {
    for (const mask of maskPatterns) {
      const dark = made(7, "M", mask, "ALL EIGHT MASKS");
      const corrected = correctCodewords(modulesToCodewords(dark, 7, mask), 7, "M");
      if (!corrected.ok) expect.fail(corrected.fault.code);
      expect(codewordsToModules(corrected.value.data, 7, "M", mask)).toEqual(dark);
    }
  });

  it("makes symbols that jsQR reads", () => {
    for (const version of [1, 2, 6, 7, 14, 21, 32, 40]) {
      const dark = made(version, "M", 3, "jsqr reads");
      const corrected = correctCodewords(modulesToCodewords(dark, version, 3), version, "M");
      if (!corrected.ok) expect.fail(corrected.fault.code);
      expect(readByJsqr(codewordsToModules(corrected.value.data, version, "M", 3), 17 + 4 * version)).toBe(
        "jsqr reads",
      );
    }
  });

  it("reads both copies of format and version information where the encoder put them", () => {
    for (const version of versions) {
      const modules = 17 + 4 * version;
      const dark = made(version, "Q", 5, "1");
      const bits = (places: readonly { column: number; row: number }[]) =>
        places.reduce((word, { column, row }) => (word << 1) | (dark[row * modules + column] ?? 0), 0);
      const { first, second } = formatPlaces(modules);
      for (const copy of [first, second]) {
        expect(nearestFormats(bits(copy))[0]).toEqual({ level: "Q", mask: 5, distance: 0 });
      }
      if (version < 7) continue;
      const copies = versionPlaces(modules);
      for (const copy of [copies.first, copies.second]) {
        expect(nearestVersion(bits(copy))).toEqual({ version, distance: 0 });
      }
    }
  });
});

describe("format and version information under damage", () => {
  it("finds every format with any three bits wrong, and the table's own examples", () => {
    // ISO/IEC 18004 annex C.2: level M with mask 5 reads 100000011001110 as printed.
    expect(formatBits("M", 5)).toBe(0b100000011001110);
    // ISO/IEC 18004 annex D.1: version 7 reads 000111110010010100.
    expect(versionBits(7)).toBe(0b000111110010010100);
    for (let a = 0; a < 15; a++) {
      for (let b = a + 1; b < 15; b++) {
        for (let c = b + 1; c < 15; c++) {
          const [nearest] = nearestFormats(formatBits("H", 2) ^ (1 << a) ^ (1 << b) ^ (1 << c));
          expect(nearest).toEqual({ level: "H", mask: 2, distance: 3 });
        }
      }
    }
  });
});

describe("codewords beyond repair", () => {
  it("says which block cannot be corrected", () => {
    const dark = made(5, "Q", 0, "FOUR BLOCKS");
    const codewords = modulesToCodewords(dark, 5, 0);
    // Every fourth codeword belongs to the same block.
    for (let at = 1; at < 60; at += 4) codewords[at] = (codewords[at] ?? 0) ^ 0x5a;
    expect(correctCodewords(codewords, 5, "Q")).toEqual({ ok: false, fault: { code: "not-correctable", block: 1 } });
  });

  it("counts the blocks of the standard's table 9", () => {
    expect(blockShapes(5, "Q")).toEqual([
      { dataCodewords: 15, correctionCodewords: 18 },
      { dataCodewords: 15, correctionCodewords: 18 },
      { dataCodewords: 16, correctionCodewords: 18 },
      { dataCodewords: 16, correctionCodewords: 18 },
    ]);
  });
});

describe("the layout", () => {
  it("has the alignment patterns of annex E", () => {
    const lines = (version: number) => [...new Set(symbolLayout(version).alignmentCentres.map(({ row }) => row))];
    expect(lines(1)).toEqual([]);
    expect(lines(2)).toEqual([18]);
    expect(lines(7)).toEqual([6, 22, 38]);
    expect(lines(14)).toEqual([6, 26, 46, 66]);
    expect(lines(32)).toEqual([6, 34, 60, 86, 112, 138]);
    expect(lines(40)).toEqual([6, 30, 58, 86, 114, 142, 170]);
  });

  it("leaves 807 modules for data and correction in version 4", () => {
    expect(symbolLayout(4).roles.filter((role) => role === moduleRole.data).length).toBe(807);
  });
});

function readByJsqr(dark: Uint8Array, modules: number): string | undefined {
  const scale = 4;
  const side = (modules + 8) * scale;
  const rgba = new Uint8ClampedArray(side * side * 4).fill(255);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const column = Math.floor(x / scale) - 4;
      const row = Math.floor(y / scale) - 4;
      const inside = column >= 0 && row >= 0 && column < modules && row < modules;
      if (inside && dark[row * modules + column] === 1) rgba.fill(0, 4 * (y * side + x), 4 * (y * side + x) + 3);
    }
  }
  return jsqr.default(rgba, side, side, { inversionAttempts: "dontInvert" })?.data;
}
