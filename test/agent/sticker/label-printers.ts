/**
 * Two label printers, as slow and obvious as can be, written from their manuals and not from our code: they take a file and give the dots that
 * would be burnt. What they do not know stops them.
 */
import sharp from "sharp";

export interface Burnt {
  readonly width: number;
  readonly height: number;
  /** 1 is black; row by row. */
  readonly dots: Uint8Array;
}

/** ZPL II: `^PW`, `^LL`, `^FO`, `^GFA` with plain hexadecimal; settings that change nothing here are passed over. */
export function printZpl(file: Uint8Array): Burnt {
  const text = new TextDecoder("ascii", { fatal: true }).decode(file).replace(/[\r\n]/g, "");
  if (!text.startsWith("^XA") || !text.endsWith("^XZ")) throw new Error("not one whole format");
  let [width, height, left, top] = [0, 0, 0, 0];
  let dots = new Uint8Array(0);
  for (const command of text.slice(3, -3).split("^").slice(1)) {
    const [code, rest] = [command.slice(0, 2), command.slice(2)];
    if (code === "PW") width = Number(rest);
    else if (code === "LL") {
      height = Number(rest);
      dots = new Uint8Array(width * height);
    } else if (code === "FO") [left = 0, top = 0] = rest.split(",").map(Number);
    else if (code === "GF") {
      const [kind, bytes, total, perRow, hex = ""] = rest.split(",");
      const count = Number(total);
      if (kind !== "A" || bytes !== total || count > 99_999 || hex.length !== 2 * count) throw new Error("bad ^GF");
      for (let at = 0; at < count; at++) {
        const byte = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
        for (let bit = 0; bit < 8; bit++) {
          if (((byte >> (7 - bit)) & 1) === 0) continue;
          const x = left + (at % Number(perRow)) * 8 + bit;
          const y = top + Math.floor(at / Number(perRow));
          if (x >= width || y >= height) throw new Error(`a dot beyond the label at ${x}, ${y}`);
          dots[y * width + x] = 1;
        }
      }
    } else if (!["FX", "FS", "FW", "PO", "PM", "LR", "LH", "PQ"].includes(code)) throw new Error(`unknown ^${code}`);
  }
  return { width, height, dots };
}

export interface BrotherJob extends Burnt {
  readonly rollMm: number;
  readonly mediaType: number;
  readonly feedDots: number;
  readonly cuts: boolean;
}

/** Brother QL raster mode, monochrome at 300 dpi; seen from the front, so that the first pin is at the right. */
export function printBrother(file: Uint8Array): BrotherJob {
  let at = 0;
  const take = (count: number): Uint8Array => {
    if (at + count > file.length) throw new Error("the stream ends within a command");
    at += count;
    return file.subarray(at - count, at);
  };
  const lines: Uint8Array[] = [];
  let [rollMm, mediaType, announced, feedDots, cuts, isReset, isRaster] = [0, 0, 0, 0, false, false, false];
  for (;;) {
    const [command = 0] = take(1);
    if (command === 0x00) continue;
    if (command === 0x1a) break;
    if (command === 0x67) {
      const [zero, length = 0] = take(2);
      if (!isReset || !isRaster || zero !== 0 || length !== 90) throw new Error("bad raster line");
      lines.push(take(length));
      continue;
    }
    if (command !== 0x1b) throw new Error(`unknown command ${command} at ${at - 1}`);
    const [kind] = take(1);
    if (kind === 0x40) {
      isReset = true;
      continue;
    }
    const [function_] = take(1);
    if (kind !== 0x69) throw new Error("unknown escape");
    if (function_ === 0x61) isRaster = take(1)[0] === 1;
    else if (function_ === 0x7a) {
      const info = take(10);
      [, mediaType = 0, rollMm = 0] = info;
      announced = new DataView(info.buffer, info.byteOffset).getUint32(4, true);
    } else if (function_ === 0x4d) cuts = ((take(1)[0] ?? 0) & 0x40) !== 0;
    else if (function_ === 0x41 || function_ === 0x4b) take(1);
    else if (function_ === 0x64) feedDots = new DataView(take(2).slice().buffer).getUint16(0, true);
    else throw new Error(`unknown ESC i ${function_}`);
  }
  if (at !== file.length || lines.length !== announced) throw new Error("not as announced");
  const dots = new Uint8Array(720 * lines.length);
  lines.forEach((line, y) => {
    for (let pin = 0; pin < 720; pin++) {
      if ((((line[pin >> 3] ?? 0) >> (7 - (pin & 7))) & 1) === 1) dots[y * 720 + (719 - pin)] = 1;
    }
  });
  return { width: 720, height: lines.length, dots, rollMm, mediaType, feedDots, cuts };
}

export async function burntToPng({ width, height, dots }: Burnt): Promise<Uint8Array> {
  const luma = Uint8Array.from(dots, (dot) => (dot === 1 ? 0 : 255));
  return new Uint8Array(
    await sharp(luma, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer(),
  );
}
