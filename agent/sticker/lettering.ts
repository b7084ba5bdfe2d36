/**
 * Monoline capitals for the face of a sticker, as SVG paths. The gateway may have no font at all, and a PDF that leaves
 * fonts to the viewer looks different everywhere; these strokes are the same in PDF and PNG on every machine.
 */

/** `path` stands on a line of cap height `capHeight` starting at (0, 0), y down; `missing`: characters left out, once each. */
export type LetteredLine = {
  readonly glyphs: readonly { readonly path: string; readonly x: number }[];
  readonly width: number;
  readonly missing: string;
};

/** Units of the glyphs: a capital is 10 high, a stroke 1.3 wide. */
export const capHeight = 10;
export const strokeWidth = 1.3;

/** Sets one line. Lower case becomes capitals and accents go; a character without a stroke form is left out and named. */
export function setLine(text: string): LetteredLine {
  const glyphs: { path: string; x: number }[] = [];
  const missing = new Set<string>();
  let x = 0;
  let width = 0;
  for (const character of plainCapitals(text)) {
    if (character === " ") {
      x += spaceWidth;
      continue;
    }
    const glyph = glyphByCharacter[character];
    if (glyph === undefined) {
      missing.add(character);
      continue;
    }
    glyphs.push({ path: glyph.path, x });
    width = x + glyph.width;
    x = width + letterGap;
  }
  return { glyphs, width, missing: [...missing].join("") };
}

function plainCapitals(text: string): string {
  return text
    .normalize("NFD")
    .replace(/\p{Diacritic}/gu, "")
    .toUpperCase()
    .replace(/Ł/g, "L")
    .replace(/Ø/g, "O")
    .replace(/Æ/g, "AE")
    .replace(/Œ/g, "OE")
    .replace(/Đ/g, "D")
    .replace(/[‘’]/g, "'")
    .replace(/[–—]/g, "-")
    .replace(/\s+/g, " ")
    .trim();
}

const letterGap = 2.3;
const spaceWidth = 3.6;

const glyphByCharacter: Readonly<Record<string, { readonly width: number; readonly path: string }>> = {
  A: { width: 7, path: "M0 10L3.5 0L7 10M1.2 6.6H5.8" },
  B: { width: 6.2, path: "M0 4.7H3.4A2.35 2.35 0 0 0 3.4 0H0V10H3.6A2.65 2.65 0 0 0 3.6 4.7" },
  C: { width: 6.5, path: "M6.5 2.6A3.3 3.3 0 0 0 0 3.3V6.7A3.3 3.3 0 0 0 6.5 7.4" },
  D: { width: 6.5, path: "M0 0V10H3A3.5 3.5 0 0 0 6.5 6.5V3.5A3.5 3.5 0 0 0 3 0Z" },
  E: { width: 5.6, path: "M5.6 0H0V10H5.6M0 4.8H4.8" },
  F: { width: 5.4, path: "M5.4 0H0V10M0 4.8H4.6" },
  G: { width: 6.6, path: "M6.5 2.6A3.3 3.3 0 0 0 0 3.3V6.7A3.3 3.3 0 0 0 6.6 6.7V5.4H3.8" },
  H: { width: 6.4, path: "M0 0V10M6.4 0V10M0 4.8H6.4" },
  I: { width: 0, path: "M0 0V10" },
  J: { width: 4.6, path: "M4.6 0V7.4A2.5 2.6 0 0 1 0 8.5" },
  K: { width: 6.4, path: "M0 0V10M6.2 0L0 6.2M2.3 4L6.4 10" },
  L: { width: 5.4, path: "M0 0V10H5.4" },
  M: { width: 8, path: "M0 10V0L4 6.5L8 0V10" },
  N: { width: 6.4, path: "M0 10V0L6.4 10V0" },
  O: { width: 6.8, path: "M3.4 0A3.4 3.4 0 0 1 6.8 3.4V6.6A3.4 3.4 0 0 1 0 6.6V3.4A3.4 3.4 0 0 1 3.4 0Z" },
  P: { width: 6.2, path: "M0 10V0H3.5A2.7 2.7 0 0 1 3.5 5.4H0" },
  Q: {
    width: 6.8,
    path: "M3.4 0A3.4 3.4 0 0 1 6.8 3.4V6.6A3.4 3.4 0 0 1 0 6.6V3.4A3.4 3.4 0 0 1 3.4 0ZM4.2 7.4L6.9 10.4",
  },
  R: { width: 6.4, path: "M0 10V0H3.5A2.7 2.7 0 0 1 3.5 5.4H0M3.3 5.4L6.4 10" },
  S: {
    width: 6.2,
    path: "M6 2.2C5.7 0.7 4.4 0 3.1 0C1.4 0 0.2 1 0.2 2.5C0.2 4.2 1.7 4.6 3.1 4.9C4.7 5.2 6.2 5.7 6.2 7.5C6.2 9 4.9 10 3.1 10C1.5 10 0.2 9.2 0 7.6",
  },
  T: { width: 6.4, path: "M0 0H6.4M3.2 0V10" },
  U: { width: 6.6, path: "M0 0V6.7A3.3 3.3 0 0 0 6.6 6.7V0" },
  V: { width: 6.8, path: "M0 0L3.4 10L6.8 0" },
  W: { width: 9.8, path: "M0 0L2.4 10L4.9 1.5L7.4 10L9.8 0" },
  X: { width: 6.4, path: "M0 0L6.4 10M6.4 0L0 10" },
  Y: { width: 6.6, path: "M0 0L3.3 5.2L6.6 0M3.3 5.2V10" },
  Z: { width: 6.2, path: "M0 0H6.2L0 10H6.2" },
  "0": { width: 6, path: "M3 0A3 3 0 0 1 6 3V7A3 3 0 0 1 0 7V3A3 3 0 0 1 3 0Z" },
  "1": { width: 2.6, path: "M0 2L2.6 0V10" },
  "2": { width: 6, path: "M0.1 2.8A2.9 2.8 0 0 1 5.9 2.8C5.9 4.6 4.6 5.6 3 7.2L0.1 10H6" },
  "3": {
    width: 6,
    path: "M0.3 1.9C0.8 0.7 1.7 0 3 0C4.6 0 5.7 1 5.7 2.4C5.7 3.9 4.5 4.7 2.7 4.7C4.7 4.7 6 5.7 6 7.3C6 8.9 4.8 10 3 10C1.4 10 0.3 9.2 0 7.8",
  },
  "4": { width: 6.4, path: "M4.6 10V0L0 7.2H6.4" },
  "5": {
    width: 6,
    path: "M5.6 0H0.9L0.5 4.6C1.2 4 2 3.7 2.9 3.7C4.7 3.7 6 4.9 6 6.8C6 8.7 4.7 10 2.9 10C1.4 10 0.4 9.2 0 8",
  },
  "6": { width: 6, path: "M5.5 1.7C5 0.6 4.1 0 3.1 0A3 3 0 0 0 0.1 3V7A2.95 3 0 0 0 6 7A2.95 3 0 0 0 0.1 7" },
  "7": { width: 6, path: "M0 0H6L2.2 10" },
  "8": {
    width: 5.6,
    path: "M2.8 4.7A2.5 2.35 0 0 1 2.8 0A2.5 2.35 0 0 1 2.8 4.7A2.8 2.65 0 0 0 2.8 10A2.8 2.65 0 0 0 2.8 4.7",
  },
  "9": { width: 6, path: "M0.5 8.3C1 9.4 1.9 10 2.9 10A3 3 0 0 0 5.9 7V3A2.95 3 0 0 0 0 3A2.95 3 0 0 0 5.9 3" },
  "-": { width: 3.6, path: "M0 5.4H3.6" },
  ".": { width: 0, path: "M0 10V9.9" },
  ",": { width: 0.6, path: "M0.6 9.7L0 11.4" },
  ":": { width: 0, path: "M0 10V9.9M0 3.4V3.3" },
  "·": { width: 0, path: "M0 5.4V5.3" },
  "'": { width: 0, path: "M0 0V2.4" },
  "/": { width: 4.4, path: "M0 11L4.4 -1" },
  "+": { width: 5, path: "M0 5.4H5M2.5 2.9V7.9" },
  "#": { width: 6, path: "M1.8 0L0.8 10M5.2 0L4.2 10M0.2 3.3H6M0 6.7H5.8" },
  "(": { width: 1.6, path: "M1.6 -0.6C-0.5 3 -0.5 7 1.6 10.6" },
  ")": { width: 1.6, path: "M0 -0.6C2.1 3 2.1 7 0 10.6" },
  "&": {
    width: 7,
    path: "M7 10L1.4 3.4C0.4 2.2 1 0 2.9 0C4.7 0 5.4 2 4 3.2L1.6 5C-0.6 6.6 0.2 10 3 10C5 10 6.6 8.4 6.8 5.8",
  },
};
