/** QR decoders that are not ours, for pictures of our own print files: what they read is what a phone would. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { scanGrayBuffer } from "@undecaf/zbar-wasm";
import sharp from "sharp";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";

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

let loading: Promise<unknown> | undefined;

/** By default it would fetch its module from the network. */
function loadZxing(): Promise<unknown> {
  loading ??= prepareZXingModule({
    overrides: {
      wasmBinary: new Uint8Array(
        readFileSync(createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm")),
      ).buffer,
    },
    fireImmediately: true,
  });
  return loading;
}
