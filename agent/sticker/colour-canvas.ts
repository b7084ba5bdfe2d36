/** A small picture in colours: rectangles, tints, lines and stroke letters, written as PNG. No library, so that it may be used anywhere. */
import { crc32, deflateSync } from "node:zlib";
import { concatBytes, utf8 } from "../../protocol/base/bytes.ts";
import { capHeight, setLine, strokeWidth } from "./lettering.ts";
import { pathToSubpaths } from "./svg-path.ts";

export type Colour = readonly [red: number, green: number, blue: number];

export class ColourCanvas {
  readonly width: number;
  readonly height: number;
  readonly #rgb: Uint8Array;

  /** White. */
  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.#rgb = new Uint8Array(3 * width * height).fill(255);
  }

  /** Lays a colour over a pixel; `cover` 0..1. Places outside are left alone. */
  blend(x: number, y: number, colour: Colour, cover: number): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height || cover <= 0) return;
    const at = 3 * (Math.floor(y) * this.width + Math.floor(x));
    const share = Math.min(1, cover);
    for (const [channel, value] of colour.entries()) {
      const before = this.#rgb[at + channel] ?? 0;
      this.#rgb[at + channel] = before + (value - before) * share;
    }
  }

  fill(left: number, top: number, width: number, height: number, colour: Colour, cover = 1): void {
    for (let y = Math.round(top); y < Math.round(top + height); y++) {
      for (let x = Math.round(left); x < Math.round(left + width); x++) this.blend(x, y, colour, cover);
    }
  }

  /** A line with round ends, smooth at its edges. */
  line(x0: number, y0: number, x1: number, y1: number, thickness: number, colour: Colour): void {
    const half = thickness / 2;
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    for (let y = Math.floor(Math.min(y0, y1) - half - 1); y <= Math.max(y0, y1) + half + 1; y++) {
      for (let x = Math.floor(Math.min(x0, x1) - half - 1); x <= Math.max(x0, x1) + half + 1; x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = length === 0 ? 0 : Math.max(0, Math.min(1, (px * dx + py * dy) / length));
        this.blend(x, y, colour, half + 0.5 - Math.hypot(px - along * dx, py - along * dy));
      }
    }
  }

  /** Capitals `height` pixels high, their upper left corner at (left, top). */
  write(text: string, left: number, top: number, height: number, colour: Colour): void {
    const scale = height / capHeight;
    for (const { path, x } of setLine(text).glyphs) {
      for (const { points, closed } of pathToSubpaths(path, glyphPointsMax).subpaths) {
        const place = (at: number) =>
          [left + (x + (points[at] ?? 0)) * scale, top + (points[at + 1] ?? 0) * scale] as const;
        for (let at = 0; at + 3 < points.length; at += 2) {
          this.line(...place(at), ...place(at + 2), strokeWidth * scale, colour);
        }
        if (closed && points.length >= 4)
          this.line(...place(points.length - 2), ...place(0), strokeWidth * scale, colour);
      }
    }
  }

  /** 8-bit RGB. Source: the PNG specification (ISO/IEC 15948). */
  toPng(): Uint8Array {
    const rows = new Uint8Array((3 * this.width + 1) * this.height);
    for (let y = 0; y < this.height; y++) {
      // Each row begins with its filter, 0 for none.
      rows.set(this.#rgb.subarray(3 * y * this.width, 3 * (y + 1) * this.width), y * (3 * this.width + 1) + 1);
    }
    const header = new Uint8Array(13);
    const view = new DataView(header.buffer);
    view.setUint32(0, this.width);
    view.setUint32(4, this.height);
    // Eight bits, red green blue; the standard's one compression and filter; not interlaced.
    header.set([8, 2, 0, 0, 0], 8);
    const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
    const data = new Uint8Array(deflateSync(rows));
    return concatBytes(signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array(0)));
  }
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = concatBytes(utf8(type), data);
  const made = new Uint8Array(body.length + 8);
  const view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  made.set(body, 4);
  view.setUint32(4 + body.length, crc32(body));
  return made;
}

const glyphPointsMax = 1_000;
