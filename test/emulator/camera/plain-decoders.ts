/** Other people's decoders, for what our own reader cannot prove about the camera: that its pictures are pictures of codes. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { scanGrayBuffer } from "@undecaf/zbar-wasm";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import { type GreyPicture, greyToRgba } from "../../../protocol/sticker/grey-picture.ts";

/** Texts of all QR codes that zxing-cpp reads, trying hard. */
export async function readByZxing(picture: GreyPicture): Promise<readonly string[]> {
  await loadZxing();
  const { width, height } = picture;
  const data = new Uint8ClampedArray(greyToRgba(picture));
  const found = await readBarcodes(
    { data, width, height, colorSpace: "srgb" },
    { formats: ["QRCode"], tryHarder: true, maxNumberOfSymbols: 60 },
  );
  return found.filter(({ isValid }) => isValid).map(({ text }) => text);
}

/** Texts of all QR codes that ZBar reads; its bar codes are another matter. */
export async function readByZbar({ width, height, luma }: GreyPicture): Promise<readonly string[]> {
  const found = await scanGrayBuffer(new Uint8Array(luma).buffer, width, height);
  return found.filter(({ typeName }) => typeName === "ZBAR_QRCODE").map((symbol) => symbol.decode());
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
