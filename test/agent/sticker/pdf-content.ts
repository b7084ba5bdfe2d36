/** A PDF of ours taken apart by hand, so that no PDF reader of ours has a part in the tests of what we write. */
import { inflateSync } from "node:zlib";

/** All content streams, unpacked, one after the other. */
export function contentOf(pdf: Uint8Array): string {
  const raw = Buffer.from(pdf);
  const contents: string[] = [];
  for (let at = raw.indexOf("stream\n"); at >= 0; at = raw.indexOf("stream\n", at + 1)) {
    if (raw.subarray(at - 3, at).toString() === "end") continue;
    const end = raw.indexOf("\nendstream", at);
    contents.push(inflateSync(raw.subarray(at + 7, end)).toString("latin1"));
  }
  return contents.join("\n");
}

export interface FilledRectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly grey: number;
}

/** Filled rectangles in the numbers of the file, in the order of drawing. */
export function rectanglesIn(content: string): readonly FilledRectangle[] {
  const found: FilledRectangle[] = [];
  let grey = 0;
  for (const line of content.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words.at(-1) === "g") grey = Number(words[0]);
    if (words.at(-1) !== "re") continue;
    const [x = 0, y = 0, width = 0, height = 0] = words.map(Number);
    found.push({ x, y, width, height, grey });
  }
  return found;
}

/** Straight strokes, each from `m` to the `l` behind it. */
export function strokesIn(content: string) {
  const strokes = content.matchAll(/^(\S+) (\S+) m\n(\S+) (\S+) l$/gm);
  return [...strokes].map(([, x0, y0, x1, y1]) => ({ x0: Number(x0), y0: Number(y0), x1: Number(x1), y1: Number(y1) }));
}
