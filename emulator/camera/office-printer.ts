/** What an office printer does to a print file when nobody looks. Knows sharp: short-lived processes only. */
import sharp from "sharp";
import { readU32 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";

/**
 * "Fit to page": the content shrinks to `percent` in the middle of an unchanged sheet, as print dialogs do to keep it off
 * the printer's margins. Takes and gives a PNG; the sheet's pixels and density stay as they were. Same input, same bytes.
 */
export async function shrinkToPage(png: Uint8Array, percent: number): Promise<Uint8Array> {
  assert(percent > 0 && percent <= 100, "fit to page shrinks to 0..100 percent");
  const { width, height } = await sharp(png).metadata();
  const innerWidth = Math.round((width * percent) / 100);
  const innerHeight = Math.round((height * percent) / 100);
  const left = Math.floor((width - innerWidth) / 2);
  const top = Math.floor((height - innerHeight) / 2);
  const density = pixelsPerMetre(png);
  const sheet = sharp(png)
    .resize({ width: innerWidth, height: innerHeight, fit: "fill", kernel: "lanczos3" })
    .extend({
      left,
      top,
      right: width - innerWidth - left,
      bottom: height - innerHeight - top,
      background: "#fff",
    })
    .png({ compressionLevel: 9 });
  const kept = density === undefined ? sheet : sheet.withDensity(density * 0.0254);
  return new Uint8Array(await kept.toBuffer());
}

/** Reads pHYs itself, because sharp rounds it to whole dpi; undefined when the PNG states none. */
function pixelsPerMetre(png: Uint8Array): number | undefined {
  let at = 8;
  while (at + 17 <= png.length) {
    const name = new TextDecoder("latin1").decode(png.subarray(at + 4, at + 8));
    if (name === "pHYs") return readU32(png, at + 8);
    if (name === "IDAT") return undefined;
    at += 12 + readU32(png, at);
  }
  return undefined;
}
