import { PDFDocument, PrintScaling } from "pdf-lib";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { checkStickerFile, stickerFileBytesMax } from "../../../agent/sticker/check-sticker.ts";
import type { PrintedSticker } from "../../../agent/sticker/print-sticker.ts";
import { shrinkToPage } from "../../../emulator/camera/office-printer.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { lobby, panels, payload, print } from "./sticker-files.ts";

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

describe("bad files", () => {
  it("[Q24] not a picture, whatever its name or first words", async () => {
    expect(await faultOf(new Uint8Array())).toEqual({ code: "file-empty" });
    expect(await faultOf(new TextEncoder().encode("hello, world"))).toMatchObject({ code: "not-a-picture" });
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
    expect(await faultOf(new TextEncoder().encode(svg))).toMatchObject({ code: "not-a-picture" });
    expect(await faultOf(new TextEncoder().encode("GIF89a......"))).toMatchObject({ code: "not-a-picture" });
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
      create: { width: 20_000, height: 20_000, channels: 3, background: "#fff" },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 1, palette: false })
      .toBuffer();
    expect(bomb.length).toBeLessThan(20_000_000);
    const before = process.memoryUsage().rss;
    expect(await faultOf(new Uint8Array(bomb))).toEqual({
      code: "picture-too-large",
      width: 20_000,
      height: 20_000,
      maxPixels: 80_000_000,
    });
    // 400 million pixels would be 1.2 GB.
    expect(process.memoryUsage().rss - before).toBeLessThan(300_000_000);
  });

  it("[Q24] a file over 64 MB is not looked at", async () => {
    expect(await faultOf(new Uint8Array(stickerFileBytesMax + 1))).toMatchObject({ code: "file-too-large" });
  });

  it("[Q25] PDFs: truncated, encrypted, with object streams, with a content bomb", async () => {
    expect(await faultOf(good.pdf.slice(0, 600))).toMatchObject({ code: "pdf-damaged" });
    expect(await faultOf(new TextEncoder().encode("%PDF-1.7\n"))).toMatchObject({ code: "pdf-damaged" });
    const document = await PDFDocument.load(good.pdf, { updateMetadata: false });
    expect(await faultOf(await document.save({ useObjectStreams: true }))).toEqual({
      code: "pdf-not-supported",
      what: "object-streams",
    });
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
      for (let round = 0; round < 25; round++) {
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
