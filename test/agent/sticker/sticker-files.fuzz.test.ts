/** The fuzz promise of the readers of print files: whatever a file holds, what was read or a named fault, never a throw (SPEC Q20, Q24, Q25). */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { openPdf } from "../../../agent/sticker/pdf-file.ts";
import { readDensity } from "../../../agent/sticker/picture-density.ts";
import { readPicture } from "../../../agent/sticker/picture-file.ts";
import { readSvg } from "../../../agent/sticker/svg-file.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { Result } from "../../../protocol/base/result.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";
import { print } from "./sticker-files.ts";

let pdf: Uint8Array;
let png: Uint8Array;
beforeAll(async () => {
  const printed = await print();
  pdf = printed.pdf;
  png = printed.png;
});

/** Words of PDF, put where another word stood: names, operators, numbers that are too large, and dictionaries without an end. */
const words = [
  "/Page",
  "/Kids",
  "/Length 999999999",
  "/Filter",
  "/Encrypt",
  "cm",
  "re",
  "f",
  "q",
  "Q",
  "Do",
  "1e99",
  "-0",
  "<<",
  ">>",
  "R",
  "endobj",
  "stream",
  "0 0 0 0 0 0 cm",
];

async function readFirstPage(bytes: Uint8Array) {
  const opened = openPdf(bytes);
  return opened.ok ? opened.value.drawPage(0) : opened;
}

function codeOf(result: Result<unknown, { readonly code: string }>): string {
  return result.ok ? "ok" : result.fault.code;
}

const change = fc.tuple(fc.nat(), fc.nat(8), fc.constantFrom(...words));

describe("any print file", () => {
  it("[Q25] a PDF with bytes changed, cut, doubled and put in", fuzzTimeout, async () => {
    const faults = new Set<string>();
    await fc.assert(
      fc.asyncProperty(almost([pdf]), async (bytes) => {
        faults.add(codeOf(await readFirstPage(bytes)));
      }),
      fuzzRuns(60),
    );
    expect([...faults].filter((code) => !pdfOutcomes.has(code))).toEqual([]);
    expect(faults.size).toBeGreaterThan(1);
  });

  it("[Q25] a PDF with words of PDF put in", fuzzTimeout, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = changes.reduce((whole, [place, remove, word]) => {
          const at = place % whole.length;
          return Uint8Array.from([...whole.subarray(0, at), ...utf8(word), ...whole.subarray(at + remove)]);
        }, pdf);
        const read = await readFirstPage(bytes);
        expect(pdfOutcomes).toContain(codeOf(read));
        if (!read.ok) return;
        for (const { bounds } of read.value.items) expect(Object.values(bounds).every(Number.isFinite)).toBe(true);
      }),
      fuzzRuns(60),
    );
  });

  it(
    "[Q52] an SVG with bytes changed, cut, doubled and put in, and with words of SVG put in",
    fuzzTimeout,
    async () => {
      const seen = new Set<string>();
      const svg = utf8(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9mm" height="9mm" viewBox="0 0 9 9"><style>.a{fill:#000}</style>' +
          '<defs><g id="g"><rect class="a" width="1" height="1" rx=".2"/></g></defs><use href="#g" transform="scale(2)"/>' +
          '<path d="M1 1h2v2h-2zA1 1 0 015 5C1 2 3 4 5 6z" stroke="red"/></svg>',
      );
      // Half of the words between tags, where they mean most.
      const ends = [...svg.keys()].filter((at) => svg[at - 1] === 0x3e);
      const between = fc.tuple(fc.constantFrom(...ends), fc.constant(0), fc.constantFrom(...svgWords));
      const piece = fc.oneof(between, fc.tuple(fc.nat(), fc.nat(8), fc.constantFrom(...svgWords)));
      const worded = fc.array(piece, { minLength: 1, maxLength: 3 }).map((changes) =>
        changes.reduce((whole, [place, remove, word]) => {
          const at = place % whole.length;
          return Uint8Array.from([...whole.subarray(0, at), ...utf8(word), ...whole.subarray(at + remove)]);
        }, svg),
      );
      await fc.assert(
        fc.asyncProperty(fc.oneof(almost([svg]), worded), async (bytes) => {
          const read = await readSvg(bytes);
          const code = codeOf(read);
          seen.add(code);
          expect(code).toMatch(/^(ok|svg-(damaged|active|outside-link|entities|too-large|not-supported))$/);
          if (!read.ok) return;
          for (const { bounds } of read.value.drawing.items) {
            expect(Object.values(bounds).every(Number.isFinite)).toBe(true);
          }
        }),
        fuzzRuns(300),
      );
      expect(seen.size).toBeGreaterThan(2);
    },
  );

  it("[Q24] a picture with bytes changed, cut, doubled and put in", fuzzTimeout, async () => {
    const pictureOutcomes = new Set([
      "ok",
      "not-a-picture",
      "picture-damaged",
      "picture-too-small",
      "picture-too-large",
      "picture-animated",
    ]);
    await fc.assert(
      fc.asyncProperty(almost([png]), async (bytes) => {
        const read = await readPicture(bytes);
        expect(pictureOutcomes).toContain(read.ok ? "ok" : read.fault.code);
      }),
      fuzzRuns(40),
    );
  });

  it("[Q15] any bytes give a density between 30 and 10,000 dpi, or none", fuzzTimeout, () => {
    const jfif = Uint8Array.from([
      0xff,
      0xd8,
      0xff,
      0xe0,
      0,
      16,
      ...utf8("JFIF\0"),
      1,
      2,
      1,
      1,
      44,
      1,
      44,
      0,
      0,
      0xff,
      0xda,
    ]);
    const tiff = Uint8Array.from([
      ...[0x49, 0x49, 0x2a, 0, 8, 0, 0, 0, 3, 0],
      ...[0x1a, 1, 5, 0, 1, 0, 0, 0, 50, 0, 0, 0],
      ...[0x1b, 1, 5, 0, 1, 0, 0, 0, 50, 0, 0, 0],
      ...[0x28, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0],
      ...[0, 0, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0],
    ]);
    const exif = Uint8Array.from([
      0xff,
      0xd8,
      0xff,
      0xe1,
      0,
      tiff.length + 8,
      ...utf8("Exif\0\0"),
      ...tiff,
      0xff,
      0xda,
    ]);
    const webp = Uint8Array.from([...utf8("RIFF"), 0, 0, 0, 0, ...utf8("WEBPEXIF"), tiff.length, 0, 0, 0, ...tiff]);
    const head = png.slice(0, 200);
    let stated = 0;
    fc.assert(
      fc.property(
        fc.constantFrom("png", "jpeg", "webp", "tiff"),
        almost([jfif, exif, webp, tiff, head]),
        (format, bytes) => {
          const density = readDensity(bytes, format);
          if (density === undefined) return;
          stated++;
          for (const perMm of [density.x, density.y]) {
            expect(perMm * 25.4).toBeGreaterThanOrEqual(30);
            expect(perMm * 25.4).toBeLessThanOrEqual(10_000);
          }
        },
      ),
      fuzzRuns(600),
    );
    expect(stated).toBeGreaterThan(0);
  });
});

const svgWords = [
  "<use href='#g'/>",
  "<svg width='0'>",
  "</g>",
  "1e999",
  "NaN",
  "-",
  "<script/>",
  "<image href='data:image/png;base64,AAAA'/>",
  'transform="rotate(a)"',
  'href="http://a"',
  "&amp;",
  "&bad;",
  "<![CDATA[",
  "A1 1 0 0 0",
  'style="fill:__proto__;constructor:1"',
  "%",
];

const pdfOutcomes: ReadonlySet<string> = new Set([
  "ok",
  "pdf-damaged",
  "pdf-encrypted",
  "pdf-not-supported",
  "pdf-too-large",
]);
