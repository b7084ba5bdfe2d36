/**
 * The text of a symbol whose codewords are known. `jsqr` reads it from a clean drawing of the symbol; what it cannot (bytes that are
 * not UTF-8) is read from the segments by their charset.
 */
import jsqr from "jsqr";
import { greyToRgba } from "./grey-picture.ts";
import { readSegments, type Segment } from "./qr/segments.ts";

export type MessageText = { readonly text: string; readonly bytes: Uint8Array; readonly paddingHolds: boolean };

/** `dark` is the clean symbol. Undefined when there is no text in it, or its segments are not well formed. */
export function readMessage(
  data: Uint8Array,
  version: number,
  dark: Uint8Array,
  modules: number,
): MessageText | undefined {
  const message = readSegments(data, version);
  if (!message.ok) return undefined;
  const { segments, paddingHolds } = message.value;
  const bytes = joined(segments.map((segment) => segment.bytes));
  if (bytes.length === 0) return undefined;
  const drawn = drawSymbol(dark, modules);
  // jsQR keeps options between calls, so each call states its own (its `defaultOptions` is mutated).
  const read = jsqr.default(greyToRgba(drawn), drawn.width, drawn.height, { inversionAttempts: "dontInvert" });
  const text = read !== null && read.data !== "" && jsqrReadsWhole(segments) ? read.data : segmentsText(segments);
  return text === "" ? undefined : { text, bytes, paddingHolds };
}

/** jsQR leaves out, without a word, each byte segment that is not UTF-8, and knows no other charset. */
function jsqrReadsWhole(segments: readonly Segment[]): boolean {
  return segments.every(
    ({ mode, bytes, designator }) =>
      mode !== "byte" ||
      ((designator === undefined || designator === utf8Designator) && decodeAs("utf-8", bytes) !== undefined),
  );
}

function drawSymbol(dark: Uint8Array, modules: number) {
  const side = (modules + 2 * quietModules) * drawnModulePx;
  const luma = new Uint8Array(side * side).fill(255);
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      if (dark[row * modules + column] !== 1) continue;
      for (let y = 0; y < drawnModulePx; y++) {
        const from = ((row + quietModules) * drawnModulePx + y) * side + (column + quietModules) * drawnModulePx;
        luma.fill(0, from, from + drawnModulePx);
      }
    }
  }
  return { width: side, height: side, luma };
}

function segmentsText(segments: readonly Segment[]): string {
  let text = "";
  for (let at = 0; at < segments.length; at++) {
    const segment = segments[at];
    if (segment === undefined) continue;
    if (segment.mode === "kanji") {
      text += decodeAs("shift_jis", segment.bytes) ?? "";
      continue;
    }
    // Bytes of one charset may be cut into several segments in the middle of a character.
    const parts = [segment.bytes];
    while (segments[at + 1]?.mode === "byte" && segments[at + 1]?.designator === segment.designator) {
      at++;
      parts.push(segments[at]?.bytes ?? new Uint8Array(0));
    }
    text += bytesText(joined(parts), segment.designator);
  }
  return text;
}

function bytesText(bytes: Uint8Array, designator: number | undefined): string {
  const named = designator === undefined ? undefined : charsets.get(designator);
  for (const charset of named === undefined ? guessedCharsets : [named, ...guessedCharsets]) {
    const text = decodeAs(charset, bytes);
    if (text !== undefined && (charset === named || charset !== "shift_jis" || looksJapanese(text))) return text;
  }
  return "";
}

/** A single accented letter of windows-1252 is a half-width katakana in Shift JIS; one alone is not believed. */
function looksJapanese(text: string): boolean {
  return /[\u3000-\u9fff]|[\uff61-\uff9f]{3}/.test(text);
}

/** Undefined when the bytes are none of that charset. */
function decodeAs(charset: string, bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    // A fatal decoder has this one way to say that a byte does not belong.
    return undefined;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const utf8Designator = 26;
const quietModules = 4;
const drawnModulePx = 4;
const guessedCharsets = ["utf-8", "shift_jis", "windows-1252"];
// ECI designators of AIM ITS/04-023.
const charsets = new Map<number, string>([
  [1, "windows-1252"],
  [3, "windows-1252"],
  [4, "iso-8859-2"],
  [7, "iso-8859-5"],
  [9, "iso-8859-7"],
  [20, "shift_jis"],
  [21, "windows-1250"],
  [22, "windows-1251"],
  [23, "windows-1252"],
  [24, "windows-1256"],
  [25, "utf-16be"],
  [26, "utf-8"],
  [28, "big5"],
  [29, "gb18030"],
  [30, "euc-kr"],
  [32, "gb18030"],
]);
