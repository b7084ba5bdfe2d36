/**
 * A label as ZPL II, for Zebra printers and those that speak like them. The face goes as a graphic field (`^GF`), dot for dot.
 *
 * Not `^BQ`, the printer's own QR symbol: it takes 1 to 10 dots a module, so at 600 dpi at most 0.42 mm; it chooses the version
 * itself, so the symbol's size is the printer's and not the specification's; and what mask it takes is up to the firmware. What is
 * printed here is, module for module, what was minted, checked and will be graded.
 * Source: ZPL II Programming Guide, `^GF`, `^BQ`, `^PW`, `^LL`; SPEC Q63.
 */
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DotPicture } from "./label-bitmap.ts";

/** `note` is a comment in the file; what ZPL would take for a command in it goes. */
export function dotsToZpl(picture: DotPicture, note: string): Uint8Array {
  const { widthDots, heightDots, bytesPerRow, rows } = picture;
  const rowsPerField = Math.max(1, Math.floor(fieldBytesMax / bytesPerRow));
  const lines = ["^XA", `^FX ${note.replace(/[\^~]/g, "").replace(/[^ -~]/g, "?")}^FS`];
  // Whatever the last label turned, mirrored or inverted; what was set to fit the paper stays.
  lines.push("^FWN", "^PON", "^PMN", "^LRN", "^LH0,0", `^PW${widthDots}`, `^LL${heightDots}`);
  for (let top = 0; top < heightDots; top += rowsPerField) {
    const count = Math.min(rowsPerField, heightDots - top);
    const bytes = count * bytesPerRow;
    lines.push(`^FO0,${top}^GFA,${bytes},${bytes},${bytesPerRow},`);
    for (let row = top; row < top + count; row++) lines.push(rowToHex(rows, row, bytesPerRow));
    lines.push("^FS");
  }
  lines.push("^PQ1,0,1,Y", "^XZ", "");
  return utf8(lines.join("\n"));
}

function rowToHex(rows: Uint8Array, row: number, bytesPerRow: number): string {
  return Buffer.from(rows.buffer, rows.byteOffset + row * bytesPerRow, bytesPerRow)
    .toString("hex")
    .toUpperCase();
}

/** Older firmware takes no more bytes in one field than five digits say; a label at 600 dpi has more, and goes in bands. */
const fieldBytesMax = 99_999;
