/** Other people's decoders, for what our own reader cannot prove about the camera: that its pictures are pictures of codes. */
import { scanGrayBuffer } from "@undecaf/zbar-wasm";
import { readBarcodes } from "zxing-wasm/reader";
import { type GreyPicture, greyToRgba } from "../../../protocol/sticker/grey-picture.ts";
import { loadZxing } from "../../load-zxing.ts";

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
