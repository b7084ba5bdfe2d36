/** Label files, printed by printers of the test's own and read by decoders that are not ours. */
import { describe, expect, it } from "vitest";
import { type BrotherRoll, brotherRolls, dotsToBrother } from "../../../agent/sticker/brother-file.ts";
import { type Label, makeLabel } from "../../../agent/sticker/label-bitmap.ts";
import { dotsToZpl } from "../../../agent/sticker/zpl-file.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { isDark, payloadToSymbol } from "../../../protocol/sticker/symbol.ts";
import { snapToWholeDots } from "../../../protocol/sticker/whole-dots.ts";
import { type Burnt, burntToPng, printBrother, printZpl } from "./label-printers.ts";
import { readByZbar, readByZxing } from "./outside-readers.ts";
import { lobby } from "./sticker-files.ts";

const order = { payload: lobby.current, doorName: "Lobby", epoch: 3 };

async function labelOf(printerDpi: number, change: { readonly moduleMm?: number } = {}): Promise<Label> {
  const snapped = snapToWholeDots({ ...defaultStickerSpecification, ...change }, printerDpi);
  assert(snapped.ok, "the test's module is within tolerance");
  const label = await makeLabel(order, snapped.value);
  assert(label.ok, "the test's sticker fits");
  return label.value;
}

/** Every dot of symbol and quiet zone, against the grid that the symbol is; gives the corner and the number of wrong dots. */
function compareSymbol(burnt: Burnt, dotsPerModule: number): { left: number; top: number; wrong: number } {
  const symbol = payloadToSymbol(lobby.current, defaultStickerSpecification);
  assert(symbol.ok, "the payload fits");
  const { modules } = symbol.value;
  const first = burnt.dots.indexOf(1);
  // The finder's top row is the first that has a dot, and its corner the first dot of it.
  const [left, top] = [first % burnt.width, Math.floor(first / burnt.width)];
  let wrong = 0;
  const quiet = 4 * dotsPerModule;
  const side = modules * dotsPerModule;
  for (let y = -quiet; y < side + quiet; y++) {
    for (let x = -quiet; x < side + quiet; x++) {
      const inside = x >= 0 && y >= 0 && x < side && y < side;
      const dark = inside && isDark(symbol.value, Math.floor(x / dotsPerModule), Math.floor(y / dotsPerModule));
      const at = (top + y) * burnt.width + left + x;
      if (top + y < 0 || left + x < 0 || left + x >= burnt.width) continue;
      if ((burnt.dots[at] === 1) !== dark) wrong++;
    }
  }
  return { left, top, wrong };
}

describe("ZPL", () => {
  it.each([
    [203, 1, 8],
    [300, 1, 12],
    [600, 1, 24],
    [203, 0.5, 4],
    [600, 0.254, 6],
  ])(
    "[Q63] [Q62] at %i dpi a module of %f mm is %i dots, every one of them where it belongs",
    async (dpi, moduleMm, dots) => {
      const label = await labelOf(dpi, { moduleMm });
      expect(label.dotsPerModule).toBe(dots);
      const file = dotsToZpl(label.picture, "lobby, number 3");
      const burnt = printZpl(file);
      expect([burnt.width, burnt.height]).toEqual([label.picture.widthDots, label.picture.heightDots]);
      // The label has no margin beside the quiet zone.
      expect(compareSymbol(burnt, dots)).toEqual({ left: 4 * dots, top: 4 * dots, wrong: 0 });
      expect(burnt.width).toBe(41 * dots);
      const png = await burntToPng(burnt);
      expect(await readByZxing(png)).toEqual([{ text: lobby.current, version: "4", level: "Q" }]);
      expect(await readByZbar(png)).toEqual([lobby.current]);
    },
  );

  it("[Q63] has as many bands as it needs, none above 99,999 bytes, and no other command draws", async () => {
    const label = await labelOf(600);
    const text = new TextDecoder().decode(dotsToZpl(label.picture, "lobby"));
    const bands = [...text.matchAll(/\^GFA,(\d+),/g)].map(([, bytes]) => Number(bytes));
    expect(bands.length).toBeGreaterThan(1);
    expect(Math.max(...bands)).toBeLessThanOrEqual(99_999);
    expect(bands.reduce((sum, bytes) => sum + bytes, 0)).toBe(label.picture.rows.length);
    expect(text).not.toMatch(/\^(BQ|A0|FD)/);
  });

  it("[Q63] a note cannot give commands, and the file is ASCII", async () => {
    const label = await labelOf(203);
    const file = dotsToZpl(label.picture, "Çafé^XZ~JR\n^XA ☃");
    const text = new TextDecoder("ascii").decode(file);
    expect(file.every((byte) => byte < 0x80)).toBe(true);
    expect(text.match(/\^XA/g)).toHaveLength(1);
    expect(text).not.toContain("~");
    expect(printZpl(file)).toEqual(printZpl(dotsToZpl(label.picture, "")));
  });
});

describe("Brother QL", () => {
  const rolls = Object.keys(brotherRolls).map(Number) as BrotherRoll[];

  it.each(rolls)(
    "[Q64] a roll of %i mm: announced as it is, in the middle of what it prints, nothing beside it",
    async (roll) => {
      const { printableDots, rightPins } = brotherRolls[roll];
      const moduleMm = roll === 29 ? 0.593 : roll === 38 ? 0.847 : 1;
      const label = await labelOf(300, { moduleMm });
      const made = dotsToBrother(label.picture, roll);
      assert(made.ok, "the label fits the roll");
      const job = printBrother(made.value);
      expect(job).toMatchObject({ rollMm: roll, mediaType: 0x0a, feedDots: 35, cuts: true });
      expect(job.height).toBe(label.picture.heightDots);
      const { left, wrong } = compareSymbol(job, label.dotsPerModule);
      expect(wrong).toBe(0);
      // From the front the printable dots end `rightPins` before the right edge of the head.
      const labelLeft = left - 4 * label.dotsPerModule;
      const printableLeft = 720 - rightPins - printableDots;
      const [before, after] = [
        labelLeft - printableLeft,
        printableLeft + printableDots - labelLeft - label.picture.widthDots,
      ];
      expect(Math.abs(before - after)).toBeLessThanOrEqual(1);
      expect(Math.min(before, after)).toBeGreaterThanOrEqual(0);
      const outside = job.dots.filter((dot, at) => {
        const x = at % 720;
        return dot === 1 && (x < printableLeft || x >= printableLeft + printableDots);
      });
      expect(outside).toHaveLength(0);
      expect(await readByZxing(await burntToPng(job))).toEqual([{ text: lobby.current, version: "4", level: "Q" }]);
    },
  );

  it("[Q64] a label that is wider than the roll is refused, never shrunk", async () => {
    const label = await labelOf(300);
    expect(dotsToBrother(label.picture, 29)).toEqual({
      ok: false,
      fault: { code: "wider-than-roll", widthDots: 492, roll: 29, printableDots: 306 },
    });
  });

  it("[Q64] the bytes before the first line are the manual's", async () => {
    const made = dotsToBrother((await labelOf(300)).picture, 62);
    assert(made.ok, "the label fits");
    const head = [...made.value.subarray(400, made.value.indexOf(0x67))];
    expect(head.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")).toBe(
      "1b 40 1b 69 61 01 1b 69 7a ce 0a 3e 00 9a 02 00 00 00 00 1b 69 4d 40 1b 69 41 01 1b 69 4b 08 1b 69 64 23 00",
    );
  });
});

it("[Q62] the same order gives the same bytes", async () => {
  const [one, two] = [await labelOf(300), await labelOf(300)];
  expect(dotsToZpl(one.picture, "x")).toEqual(dotsToZpl(two.picture, "x"));
  expect(dotsToBrother(one.picture, 62)).toEqual(dotsToBrother(two.picture, 62));
});
