import { createHash } from "node:crypto";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { shrinkToPage } from "../../../emulator/camera/office-printer.ts";
import { photographSticker } from "../../../emulator/camera/photograph.ts";
import { readPhoto } from "../../../emulator/camera/read-photo.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { payloadToSymbol, symbolToSvg } from "../../../protocol/sticker/symbol.ts";

const payload = "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5";
let sticker: Uint8Array;

beforeAll(async () => {
  const symbol = payloadToSymbol(payload, defaultStickerSpecification);
  assert(symbol.ok, "the test's payload fits");
  const svg = symbolToSvg(symbol.value, defaultStickerSpecification).replace(/(width|height)="41mm"/g, '$1="984"');
  const symbolPng = await sharp(Buffer.from(svg)).png().toBuffer();
  sticker = new Uint8Array(
    await sharp(symbolPng)
      .extend({ top: 108, left: 108, right: 108, bottom: 449, background: "#fff" })
      .withMetadata({ density: 609.6 })
      .png()
      .toBuffer(),
  );
});

describe("photograph", () => {
  it("is read by plain jsQR for four seeds, each picture another one, with the symbol where the truth says", async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 4; seed++) {
      const photo = await photographSticker({ sticker, seed });
      seen.add(createHash("sha256").update(photo.picture).digest("hex"));
      const read = await readPhoto(photo.picture);
      assert(read.ok, `seed ${seed} reads`);
      expect(read.value.text).toBe(payload);
      const [left, top] = photo.truth.stickerCorners[0] ?? [0, 0];
      const [symbolLeft, symbolTop] = read.value.corners[0] ?? [0, 0];
      // The symbol's corner is 8.5 mm in from the sticker's, on both axes: 35 to 80 px at these distances.
      const apart = Math.hypot(symbolLeft - left, symbolTop - top);
      const module = 1000 / photo.truth.distanceMm;
      expect(apart / (8.5 * Math.SQRT2 * module)).toBeGreaterThan(0.8);
      expect(apart / (8.5 * Math.SQRT2 * module)).toBeLessThan(1.25);
    }
    expect(seen.size).toBe(4);
  }, 60_000);

  it("gives the same bytes and the same truth for the same seed, as JPEG and as PNG", async () => {
    for (const format of ["jpeg", "png"] as const) {
      const order = { sticker, seed: 5, format, widthPx: 640, heightPx: 480 };
      const [one, two] = [await photographSticker(order), await photographSticker(order)];
      expect(one.picture).toEqual(two.picture);
      expect(one.truth).toEqual(two.truth);
      const metadata = await sharp(one.picture).metadata();
      expect([metadata.format, metadata.width, metadata.height]).toEqual([format, 640, 480]);
    }
  });
});

describe("phone", () => {
  it("names what it cannot read: no picture, no code, an empty code, too large", async () => {
    expect(await readPhoto(new TextEncoder().encode("hello"))).toEqual({ ok: false, fault: { code: "not-a-picture" } });
    expect(await readPhoto(sticker.slice(0, 2_000))).toEqual({ ok: false, fault: { code: "not-a-picture" } });
    const plain = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: "#777" }, limitInputPixels: false })
        .png({ compressionLevel: 1 })
        .toBuffer();
    expect(await readPhoto(new Uint8Array(await plain(200, 200)))).toEqual({
      ok: false,
      fault: { code: "no-code-seen" },
    });
    expect(await readPhoto(new Uint8Array(await plain(8_000, 7_000)))).toMatchObject({
      ok: false,
      fault: { code: "picture-too-large" },
    });
  });

  it("reads a light-on-dark code after any other call: jsQR's options are fresh each time", async () => {
    const inverted = new Uint8Array(await sharp(sticker).negate({ alpha: false }).png().toBuffer());
    for (const picture of [sticker, inverted, sticker, inverted]) {
      expect(await readPhoto(picture)).toMatchObject({ ok: true, value: { text: payload, symbolVersion: 4 } });
    }
  });
});

describe("office printer", () => {
  it("keeps the sheet and its density to the bit, and shrinks what is on it about the middle", async () => {
    const shrunk = await shrinkToPage(sticker, 94);
    const density = (png: Uint8Array) => Buffer.from(png).readUInt32BE(Buffer.from(png).indexOf("pHYs") + 4);
    expect(density(sticker)).toBe(24_000);
    expect(density(shrunk)).toBe(24_000);
    const [before, after] = [await sharp(sticker).metadata(), await sharp(shrunk).metadata()];
    expect([after.width, after.height]).toEqual([before.width, before.height]);
    expect(await shrinkToPage(sticker, 94)).toEqual(shrunk);
  });
});
