/** QR decoders that are not ours, for pictures of our own print files: what they read is what a phone would. */
import { scanGrayBuffer } from "@undecaf/zbar-wasm";
import sharp from "sharp";
import { readBarcodes } from "zxing-wasm/reader";
import { loadZxing } from "../../load-zxing.ts";

export interface OutsideReading {
  readonly text: string;
  readonly version: string | undefined;
  readonly level: string | undefined;
}

/** zxing-cpp's word on an encoded picture. */
export async function readByZxing(png: Uint8Array): Promise<readonly OutsideReading[]> {
  await loadZxing();
  const read = await readBarcodes(png, { formats: ["QRCode"] });
  return read
    .filter(({ isValid }) => isValid)
    .map(({ text, version, ecLevel }) => ({ text, version: String(version), level: ecLevel }));
}

/** ZBar's word on an encoded picture. */
export async function readByZbar(png: Uint8Array): Promise<readonly string[]> {
  const { data, info } = await sharp(png)
    .flatten({ background: "#fff" })
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const found = await scanGrayBuffer(new Uint8Array(data).buffer, info.width, info.height);
  return found.map((symbol) => symbol.decode());
}
