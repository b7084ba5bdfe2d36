import { PDFDocument, PrintScaling } from "pdf-lib";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { checkFile, checkStickerFile, stickerFileBytesMax } from "../../../agent/sticker/check-sticker.ts";
import { shrinkToPage } from "../../../emulator/camera/office-printer.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { payloadToSymbol, symbolRuns } from "../../../protocol/sticker/symbol.ts";
import { lobby, type PrintedSticker, panels, payload, print } from "./sticker-files.ts";

const known = { panels, expectedPanel: "lobby" };
let good: PrintedSticker;
beforeAll(async () => {
  good = await print();
});

async function check(bytes: Uint8Array, change: Partial<typeof known> = {}) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, { ...known, ...change });
  assert(result.ok, "the test's file is readable");
  return { ...result.value, codes: result.value.findings.map((finding) => finding.code) };
}

async function faultOf(bytes: Uint8Array) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, known);
  return result.ok ? undefined : result.fault;
}

/** Our PNG in another format; `density` in dpi. */
async function convert(format: "png" | "jpeg" | "webp" | "tiff", density: number | undefined, widthPx = 1181) {
  // By way of raw pixels, because sharp carries a PNG's density over to whatever it writes.
  const { data, info } = await sharp(good.png).resize({ width: widthPx }).raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const resized = sharp(data, { raw: { width, height, channels } }).toFormat(format);
  return new Uint8Array(await (density === undefined ? resized : resized.withMetadata({ density })).toBuffer());
}

describe("good files", () => {
  it("pass: PNG to a pixel, PDF to a thousandth", async () => {
    const png = await check(good.png);
    expect(png).toMatchObject({
      verdict: "pass",
      format: "png",
      payload: lobby.current,
      size: { measurable: true, source: "raster", uniform: true },
      quality: { symbolVersion: 4, errorCorrectionLevel: "Q", moduleErrors: 0, quietZoneModules: 4 },
      identity: { verdict: "current", panel: "lobby", epoch: 3, listAgeMs: 5_000 },
      findings: [],
    });
    assert(png.size.measurable, "a PNG with density is measurable");
    expect(png.size.widthMm).toBeCloseTo(33, 2);
    const pdf = await check(good.pdf);
    expect(pdf).toMatchObject({ verdict: "pass", format: "pdf", findings: [], quality: { printScalingOff: true } });
    assert(pdf.size.measurable, "a vector PDF is measurable");
    expect(pdf.size.source).toBe("vector");
    expect(pdf.size.widthMm).toBeCloseTo(33, 3);
    expect(pdf.size.heightMm).toBeCloseTo(33, 3);
  });

  it.each([
    ["png", 600, 1181],
    ["jpeg", 600, 1181],
    ["webp", 600, 1181],
    ["tiff", 600, 1181],
    ["jpeg", 300, 591],
    ["png", 203, 400],
  ] as const)("pass as %s at %d dpi, %d px wide", async (format, dpi, widthPx) => {
    // 50 mm of face: the width in pixels decides the true density, within half a pixel.
    const report = await check(await convert(format, dpi, widthPx));
    expect(report.codes).toEqual([]);
    assert(report.size.measurable, "a file with density is measurable");
    expect(Math.abs(report.size.scalePercent.x - 100)).toBeLessThan(0.3);
  });

  it("pass when the page lies on its side, by EXIF or by pixels", async () => {
    const exif = await sharp(good.png).jpeg().withMetadata({ density: 609.6, orientation: 6 }).toBuffer();
    expect((await check(new Uint8Array(exif))).verdict).toBe("pass");
    const turned = await sharp(good.png).rotate(90).withMetadata({ density: 609.6 }).png().toBuffer();
    expect((await check(new Uint8Array(turned))).verdict).toBe("pass");
  });
});

describe("scaled files", () => {
  it.each([90, 93, 94, 95.5, 97])("PNG fit to page at %f %% is refused with the percentage", async (percent) => {
    const report = await check(await shrinkToPage(good.png, percent));
    expect(report.verdict).toBe("fail");
    expect(report.codes).toEqual(["fit-to-page"]);
    assert(report.size.measurable, "the shrunken PNG keeps its density");
    expect(Math.abs(report.size.scalePercent.x - percent)).toBeLessThan(0.15);
    expect(Math.abs(report.size.scalePercent.y - percent)).toBeLessThan(0.15);
    expect(report.identity.verdict).toBe("current");
  });

  it("PDF shrunk by a program that wraps the page is measured through its matrices", async () => {
    const document = await PDFDocument.create({ updateMetadata: false });
    const [page] = await document.embedPdf(good.pdf);
    assert(page !== undefined, "our PDF has a page");
    document.addPage([595, 842]).drawPage(page, { x: 18, y: 25, xScale: 0.94, yScale: 0.94 });
    document.catalog.getOrCreateViewerPreferences().setPrintScaling(PrintScaling.None);
    const report = await check(await document.save({ useObjectStreams: false }));
    expect(report.codes).toEqual(["fit-to-page"]);
    assert(report.size.measurable, "a vector PDF is measurable");
    expect(report.size.scalePercent.x).toBeCloseTo(94, 2);
    expect(report.size.scalePercent.y).toBeCloseTo(94, 2);
  });

  it("PDF without the print dialog's preset is named", async () => {
    const document = await PDFDocument.load(good.pdf, { updateMetadata: false });
    document.catalog.getOrCreateViewerPreferences().setPrintScaling(PrintScaling.AppDefault);
    expect((await check(await document.save({ useObjectStreams: false }))).codes).toEqual(["print-scaling-not-off"]);
  });

  it("stretched files are named with both percents, whether by pixels or by density", async () => {
    const { width, height } = await sharp(good.png).metadata();
    const stretched = await sharp(good.png)
      .resize({ width, height: Math.round(height * 0.95), fit: "fill" })
      .withMetadata({ density: 609.6 })
      .png()
      .toBuffer();
    const report = await check(new Uint8Array(stretched));
    expect(report.codes).toEqual(["scaled-unevenly"]);
    assert(report.size.measurable, "the stretched PNG keeps its density");
    expect(report.size.scalePercent.x).toBeCloseTo(100, 0);
    expect(report.size.scalePercent.y).toBeCloseTo(95, 0);
    const lying = Buffer.from(good.png);
    const at = lying.indexOf("pHYs");
    lying.writeUInt32BE(20_000, at + 8);
    lying.writeUInt32BE(crc32(lying.subarray(at, at + 13)), at + 13);
    expect((await check(new Uint8Array(lying))).codes).toEqual(["scaled-unevenly"]);
  });

  it("[Q15] no density, or the 72 dpi that a JPEG states when nobody measured: not measurable", async () => {
    for (const bytes of [
      await convert("png", undefined),
      await convert("webp", undefined),
      await convert("jpeg", 72),
      await convert("jpeg", undefined),
    ]) {
      const report = await check(bytes);
      expect(report).toMatchObject({ verdict: "not-measurable", size: { measurable: false, reason: "no-density" } });
      expect(report.codes).toEqual(["density-missing"]);
      expect(report.identity.verdict).toBe("current");
    }
  });
});

describe("whose sticker", () => {
  it.each([
    ["retired", lobby.retired[1]],
    ["misplaced", payload(2, 1)],
    ["newer-than-known", payload(1, 4)],
    ["altered", payload(1, 3, "https://doors.example", new Uint8Array(32))],
    ["foreign", payload(1, 3, "https://evil.example")],
  ] as const)("%s is told from PNG and PDF alike", async (verdict, text) => {
    const files = await print({ payload: text ?? "" });
    for (const bytes of [files.png, files.pdf]) {
      const report = await check(bytes);
      expect(report.verdict).toBe("fail");
      expect(report.identity.verdict).toBe(verdict);
      expect(report.codes).toEqual([`sticker-${verdict}`]);
    }
  });

  it("a white picture and a PDF without a symbol are unreadable", async () => {
    const white = await sharp({ create: { width: 300, height: 300, channels: 3, background: "#fff" } })
      .png()
      .toBuffer();
    const document = await PDFDocument.create({ updateMetadata: false });
    document.addPage([300, 300]).drawRectangle({ x: 10, y: 10, width: 50, height: 50 });
    for (const bytes of [new Uint8Array(white), await document.save({ useObjectStreams: false })]) {
      const report = await check(bytes);
      expect(report).toMatchObject({ verdict: "fail", payload: undefined, identity: { verdict: "unreadable" } });
      expect(report.codes).toContain("sticker-unreadable");
    }
  });
});

describe("scans", () => {
  it.each([
    [300, 1.3],
    [200, -2.4],
  ])(
    "[Q48] [Q49] [Q56] a noisy scan at %d dpi, turned by %f degrees, with ink that spread, passes",
    async (dpi, turn) => {
      const pixels = async (image: ReturnType<typeof sharp>) => {
        const { data, info } = await image.greyscale().raw().toBuffer({ resolveWithObject: true });
        const { width, height, channels } = info;
        return { data, raw: { raw: { width, height, channels } } };
      };
      const page = await pixels(sharp(good.png).rotate(turn, { background: "#fff" }));
      // Blurred and cut at a lighter grey, dark parts grow; the second blur is the scanner's.
      const ink = await pixels(sharp(page.data, page.raw).blur(2).linear(2.2, -190).blur(1.5));
      const width = Math.round(page.raw.raw.width * (dpi / 609.6));
      const scan = await pixels(sharp(ink.data, ink.raw).resize({ width }));
      const { next } = seededRandom(dpi, "scan");
      for (let at = 0; at < scan.data.length; at++) {
        const noise = (next() + next() + next() - 1.5) * 14;
        scan.data[at] = Math.max(0, Math.min(255, 25 + 0.85 * (scan.data[at] ?? 0) + noise));
      }
      const jpeg = await sharp(scan.data, scan.raw).jpeg({ quality: 80 }).withMetadata({ density: dpi }).toBuffer();
      const checked = await checkFile(new Uint8Array(jpeg), { specification: defaultStickerSpecification, known });
      assert(checked.ok && checked.value.kind === "print", "a scan with a density is no photograph");
      const { report } = checked.value;
      expect(report).toMatchObject({ verdict: "pass", findings: [] });
      assert(report.size.measurable, "a scan with a density is measurable");
      expect(Math.abs(report.size.scalePercent.x - 100)).toBeLessThan(0.3);
      expect(Math.abs(report.size.scalePercent.y - 100)).toBeLessThan(0.3);
    },
  );
});

describe("kinds of picture", () => {
  it("[Q55] CMYK, 16-bit, palette, transparent and grey pictures give the same report", async () => {
    const raw = await sharp(good.png).raw().toBuffer({ resolveWithObject: true });
    const { width, height, channels } = raw.info;
    const pixels = () => sharp(raw.data, { raw: { width, height, channels } });
    const rgba = Buffer.alloc(width * height * 4);
    for (let at = 0; at < width * height; at++) rgba[4 * at + 3] = 255 - (raw.data[at * channels] ?? 0);
    const ink = sharp(rgba, { raw: { width, height, channels: 4 } });
    const density = { density: 609.6 };
    for (const image of [
      pixels().toColourspace("cmyk").jpeg().withMetadata(density),
      pixels().toColourspace("cmyk").tiff().withMetadata(density),
      pixels().toColourspace("grey16").png().withMetadata(density),
      pixels().png({ palette: true }).withMetadata(density),
      ink.clone().png().withMetadata(density),
      ink.clone().webp({ lossless: true }).withMetadata(density),
    ]) {
      const report = await check(new Uint8Array(await image.toBuffer()));
      expect(report.codes).toEqual([]);
      expect(report.quality.contrastPercent).toBeGreaterThan(80);
    }
  });

  it("[Q55] animated pictures are named with their frames; of a TIFF of pages the first is read", async () => {
    const frames = await Promise.all(
      [1, 2, 3].map((frame) =>
        sharp({ create: { width: 40, height: 40, channels: 3, background: { r: 60 * frame, g: 0, b: 0 } } })
          .png()
          .toBuffer(),
      ),
    );
    const webp = await sharp(frames, { join: { animated: true } })
      .webp()
      .toBuffer();
    expect(await faultOf(new Uint8Array(webp))).toEqual({ code: "picture-animated", format: "webp", frames: 3 });
    const control = Buffer.alloc(20);
    control.writeUInt32BE(8, 0);
    control.write("acTL", 4, "latin1");
    control.writeUInt32BE(5, 8);
    control.writeUInt32BE(crc32(control.subarray(4, 16)), 16);
    const animated = Buffer.concat([good.png.subarray(0, 33), control, good.png.subarray(33)]);
    expect(await faultOf(new Uint8Array(animated))).toEqual({ code: "picture-animated", format: "png", frames: 5 });
    const page = await sharp(good.png).resize({ width: 600 }).toBuffer();
    const pages = await sharp([page, page], { join: { animated: true } })
      .tiff()
      .withMetadata({ density: 305 })
      .toBuffer();
    expect(await check(new Uint8Array(pages))).toMatchObject({ page: 1, pages: 2, payload: lobby.current });
  });

  it("[Q56] a photograph is told by its exposure, its tilt or its turn; the caller may overrule that", async () => {
    const options = { specification: defaultStickerSpecification, known };
    const kindOf = async (bytes: Uint8Array, as?: "print" | "photo") => {
      const result = await checkFile(bytes, { ...options, as });
      return result.ok ? result.value.kind : result.fault.code;
    };
    const small = sharp(await sharp(good.png).resize({ width: 600 }).toBuffer());
    const jpeg = (image: ReturnType<typeof small.clone>) => image.jpeg().toBuffer();
    const exposed = small.clone().withExif({ IFD2: { ExposureTime: "1/60" } });
    const turned = small.clone().rotate(1.5, { background: "#fff" });
    expect(await kindOf(good.png)).toBe("print");
    expect(await kindOf(good.pdf, "photo")).toBe("print");
    expect(await kindOf(new Uint8Array(await jpeg(small.clone())))).toBe("print");
    expect(await kindOf(new Uint8Array(await jpeg(exposed)))).toBe("photo");
    expect(await kindOf(new Uint8Array(await jpeg(exposed)), "print")).toBe("print");
    expect(await kindOf(new Uint8Array(await jpeg(turned)))).toBe("photo");
    expect(await kindOf(new Uint8Array(await jpeg(turned.clone().withMetadata({ density: 305 }))))).toBe("print");
    expect(await kindOf(good.png, "photo")).toBe("photo");
    expect(await kindOf(new Uint8Array(await jpeg(small.clone().rotate(20, { background: "#fff" }))))).toBe("photo");
  });

  it("[Q57] of several symbols all are judged, or those of the expected panel", async () => {
    const sheet = (payloads: readonly string[]) => {
      const faces = payloads.map((text, index) => {
        const symbol = payloadToSymbol(text, defaultStickerSpecification);
        assert(symbol.ok, "the test's payload fits");
        const runs = symbolRuns(symbol.value).map(
          ({ column, row, width }) => `M${column} ${row}h${width}v1h-${width}z`,
        );
        return `<path transform="translate(${8 + index * 48} 8)" d="${runs.join("")}"/>`;
      });
      const size = `width="${payloads.length * 48 + 8}mm" height="49mm" viewBox="0 0 ${payloads.length * 48 + 8} 49"`;
      return new TextEncoder().encode(`<svg xmlns="http://www.w3.org/2000/svg" ${size}>${faces.join("")}</svg>`);
    };
    const both = sheet([lobby.current, payload(2, 1)]);
    expect(await check(both)).toMatchObject({ verdict: "pass", payload: lobby.current, symbols: [{}, {}] });
    expect(await check(both, { expectedPanel: "garage" })).toMatchObject({ verdict: "pass", payload: payload(2, 1) });
    const result = await checkStickerFile(both, defaultStickerSpecification, { panels });
    expect(result).toMatchObject({ ok: true, value: { verdict: "pass" } });
    const old = await checkStickerFile(
      sheet([payload(2, 1), payload(1, 1), payload(1, 2)]),
      defaultStickerSpecification,
      {
        panels,
      },
    );
    assert(old.ok, "the sheet is readable");
    expect(old.value.verdict).toBe("fail");
    expect(old.value.findings.map(({ code, where }) => `${code}: ${where}`)).toEqual([
      "sticker-retired: payload",
      "sticker-retired: payload of lobby (one of 3)",
    ]);
  });
});

describe("bad files", () => {
  it("[Q24] not a picture, whatever its name or first words", async () => {
    expect(await faultOf(new Uint8Array())).toEqual({ code: "file-empty" });
    expect(await faultOf(new TextEncoder().encode("hello, world"))).toMatchObject({ code: "not-a-picture" });
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
    expect(await faultOf(new TextEncoder().encode(svg))).toEqual({ code: "svg-outside-link", where: "image" });
    const gif = await faultOf(new TextEncoder().encode("GIF89a......"));
    expect(gif).toMatchObject({ code: "not-a-picture", looksLike: "GIF" });
    expect(await faultOf(good.png.slice(0, 8))).toMatchObject({ code: "picture-damaged", where: "header" });
  });

  it("[Q24] truncated pictures of every format are named as damaged, at any length", async () => {
    for (const format of ["png", "jpeg", "webp", "tiff"] as const) {
      const whole = await convert(format, 600, 400);
      expect(await faultOf(whole)).toBeUndefined();
      for (const share of [0.2, 0.5, 0.9]) {
        const cut = whole.slice(0, Math.floor(whole.length * share));
        expect(await faultOf(cut)).toMatchObject({ code: "picture-damaged", format });
      }
    }
  });

  it("[Q24] 1 x 1 pixel is too small for any symbol", async () => {
    const dot = await sharp({ create: { width: 1, height: 1, channels: 3, background: "#000" } })
      .png()
      .toBuffer();
    expect(await faultOf(new Uint8Array(dot))).toEqual({ code: "picture-too-small", width: 1, height: 1, minimum: 21 });
  });

  it("[Q24] a decompression bomb is refused by its header, before a pixel is unpacked", async () => {
    const bomb = await sharp({
      create: { width: 20_000, height: 6_000, channels: 3, background: "#fff" },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 1, palette: false })
      .toBuffer();
    expect(bomb.length).toBeLessThan(20_000_000);
    const before = process.memoryUsage().rss;
    expect(await faultOf(new Uint8Array(bomb))).toEqual({
      code: "picture-too-large",
      width: 20_000,
      height: 6_000,
      maxPixels: 80_000_000,
    });
    // 120 million pixels would be 360 MB.
    expect(process.memoryUsage().rss - before).toBeLessThan(300_000_000);
  });

  it("[Q24] a file over 64 MB is not looked at", async () => {
    expect(await faultOf(new Uint8Array(stickerFileBytesMax + 1))).toMatchObject({ code: "file-too-large" });
  });

  it("[Q25] PDFs: truncated, encrypted, with a content bomb; object streams are read", async () => {
    expect(await faultOf(good.pdf.slice(0, 600))).toMatchObject({ code: "pdf-damaged" });
    expect(await faultOf(new TextEncoder().encode("%PDF-1.7\n"))).toMatchObject({ code: "pdf-damaged" });
    const document = await PDFDocument.load(good.pdf, { updateMetadata: false });
    expect(await check(await document.save({ useObjectStreams: true }))).toMatchObject({ verdict: "pass" });
    document.context.trailerInfo.Encrypt = document.context.register(document.context.obj({ Filter: "Standard" }));
    expect(await faultOf(await document.save({ useObjectStreams: false }))).toEqual({ code: "pdf-encrypted" });

    const bomb = await PDFDocument.create({ updateMetadata: false });
    const page = bomb.addPage([300, 300]);
    page.node.addContentStream(bomb.context.register(bomb.context.flateStream(new Uint8Array(40_000_000).fill(32))));
    const bombBytes = await bomb.save({ useObjectStreams: false });
    expect(bombBytes.length).toBeLessThan(1_000_000);
    expect(await faultOf(bombBytes)).toMatchObject({ code: "pdf-too-large", what: "content" });
  });

  it("[Q25] gives a value or a fault for damaged PDFs and pictures, never a throw", async () => {
    let state = 7;
    const next = (max: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % max;
    };
    for (const whole of [good.pdf, await convert("jpeg", 300, 200), await convert("tiff", 300, 100)]) {
      for (let round = 0; round < 8; round++) {
        const damaged = whole.slice();
        for (let hit = 0; hit < 8; hit++) damaged[next(damaged.length)] = next(256);
        const result = await checkStickerFile(damaged, defaultStickerSpecification, known);
        if (!result.ok) expect(result.fault.code).toMatch(/^(pdf|picture|not-a)-/);
      }
    }
  });
});

/** The checksum of PNG chunks (ISO 3309), to change a chunk and keep the file whole. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
