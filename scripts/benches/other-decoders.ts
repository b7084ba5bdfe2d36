/** Other people's QR decoders on the same grey pictures, with the time that decoding alone took. Development dependencies only. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { scanGrayBuffer } from "@undecaf/zbar-wasm";
import jsqr from "jsqr";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import { type GreyPicture, greyToRgba } from "../../protocol/sticker/grey-picture.ts";

export type Decoded = { readonly texts: readonly string[]; readonly ms: number };

export const otherDecoders = ["jsqr", "zxing", "zbar"] as const;

export type OtherDecoder = (typeof otherDecoders)[number];

export async function decodeBy(decoder: OtherDecoder, picture: GreyPicture): Promise<Decoded> {
  switch (decoder) {
    case "jsqr":
      return decodeByJsqr(picture);
    case "zxing":
      return await decodeByZxing(picture);
    case "zbar":
      return await decodeByZbar(picture);
  }
}

/** As most web pages call it; an empty text counts as nothing read. */
function decodeByJsqr(picture: GreyPicture): Decoded {
  const rgba = greyToRgba(picture);
  const started = performance.now();
  const read = jsqr.default(rgba, picture.width, picture.height, { inversionAttempts: "attemptBoth" });
  const ms = performance.now() - started;
  return { texts: read === null || read.data === "" ? [] : [read.data], ms };
}

async function decodeByZxing(picture: GreyPicture): Promise<Decoded> {
  await loadZxing();
  const { width, height } = picture;
  const data = new Uint8ClampedArray(greyToRgba(picture));
  const started = performance.now();
  const found = await readBarcodes(
    { data, width, height, colorSpace: "srgb" },
    { formats: ["QRCode"], tryHarder: true, maxNumberOfSymbols: 60 },
  );
  const ms = performance.now() - started;
  return { texts: found.filter(({ isValid }) => isValid).map(({ text }) => text), ms };
}

async function decodeByZbar({ width, height, luma }: GreyPicture): Promise<Decoded> {
  const grey = new Uint8Array(luma).buffer;
  const started = performance.now();
  const found = await scanGrayBuffer(grey, width, height);
  const ms = performance.now() - started;
  return { texts: found.filter(({ typeName }) => typeName === "ZBAR_QRCODE").map((symbol) => symbol.decode()), ms };
}

let loading: Promise<unknown> | undefined;

/** By default it would fetch its module from the network. */
function loadZxing(): Promise<unknown> {
  const file = createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm");
  loading ??= prepareZXingModule({
    overrides: { wasmBinary: new Uint8Array(readFileSync(file)).buffer },
    fireImmediately: true,
  });
  return loading;
}
