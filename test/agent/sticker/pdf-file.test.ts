import { deflateSync } from "node:zlib";
import { PDFDocument, PDFName, PDFNumber, PrintScaling } from "pdf-lib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { checkStickerFile } from "../../../agent/sticker/check-sticker.ts";
import { drawPaper } from "../../../agent/sticker/paper-drawing.ts";
import { openPdf } from "../../../agent/sticker/pdf-file.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { lobby, panels, print } from "./sticker-files.ts";

const latin = (text: string) => Buffer.from(text, "latin1");

/** A page of 6 x 6 points at one point a millimetre, so that tests can think in squares. */
function pdf(content: string | Uint8Array, more: { page?: string; stream?: string; objects?: readonly Buffer[] } = {}) {
  const body = typeof content === "string" ? latin(content) : content;
  const unit = 72 / 25.4;
  return new Uint8Array(
    Buffer.concat([
      latin("%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/ViewerPreferences<</PrintScaling/None>>>>endobj\n"),
      latin("2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 6 6]>>endobj\n"),
      latin(`3 0 obj<</Type/Page/Parent 2 0 R/UserUnit ${unit}/Contents 4 0 R${more.page ?? ""}>>endobj\n`),
      latin(`4 0 obj<<${more.stream ?? ""}/Length ${body.length}>>stream\n`),
      body,
      latin("\nendstream endobj\n"),
      ...(more.objects ?? []),
      latin("trailer<</Root 1 0 R>>\n%%EOF"),
    ]),
  );
}

function object(number: number, dictionary: string, body: Uint8Array | string): Buffer {
  const bytes = typeof body === "string" ? latin(body) : body;
  return Buffer.concat([
    latin(`${number} 0 obj<<${dictionary}/Length ${bytes.length}>>stream\n`),
    bytes,
    latin("\nendstream endobj\n"),
  ]);
}

/** Luma in the middle of each of the page's squares, and what was passed over. */
async function seen(
  bytes: Uint8Array,
): Promise<{ readonly rows: readonly string[]; readonly notRead: readonly string[] }> {
  const opened = openPdf(bytes);
  assert(opened.ok, "the test's PDF opens");
  const drawing = await opened.value.drawPage(0);
  assert(drawing.ok, "the test's page is drawn");
  const { widthMm, heightMm } = drawing.value;
  const picture = drawPaper(drawing.value, { left: 0, top: 0, right: widthMm, bottom: heightMm }, 5);
  assert(picture !== undefined, "the test's page is small");
  const rows = Array.from({ length: Math.round(heightMm) }, (_, row) =>
    Array.from({ length: Math.round(widthMm) }, (_each, column) => {
      const luma = picture.luma[(row * 5 + 2) * picture.width + column * 5 + 2] ?? 0;
      return luma > 200 ? "." : luma > 90 ? "o" : "#";
    }).join(""),
  );
  return { rows, notRead: drawing.value.notRead };
}

async function faultOf(bytes: Uint8Array) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, { panels });
  return result.ok ? undefined : result.fault;
}

async function check(bytes: Uint8Array) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, { panels, expectedPanel: "lobby" });
  assert(result.ok, "the test's PDF is readable");
  return { ...result.value, codes: result.value.findings.map((finding) => finding.code) };
}

/** Two squares a side at the top left: y grows upward in PDF. */
const corner = ["##....", "##....", "......", "......", "......", "......"];

describe("what a page paints", () => {
  it.each([
    ["a rectangle", "0 4 2 2 re f"],
    ["a path", "0 4 m 2 4 l 2 6 l 0 6 l h f"],
    ["curves that are straight", "0 4 m 1 4 2 4 2 4 c 2 5 2 6 v 1 6 0 6 y f"],
    ["a pen", "2 w 0 5 m 2 5 l S"],
    ["a pen by graphics state", "/G gs 0 5 m 2 5 l S"],
    ["a matrix", "q 2 0 0 2 0 4 cm 0 0 1 1 re f Q"],
    ["white over black", "0 4 6 2 re f 1 g 2 4 4 2 re f"],
    ["colours of ink", "0 0 0 0 k 0 0 6 6 re f 0 0 0 1 k 0 4 2 2 re f"],
    ["a separation", "/S cs 0 scn 0 0 6 6 re f 1 scn 0 4 2 2 re f"],
    ["a colour in the space that a page begins with", "1 sc 0 0 6 6 re f 0 scn 0 4 2 2 re f"],
    ["a clip", "q 0 4 2 2 re W n 0 0 6 6 re f Q"],
    ["a hole", "0 4 2 2 re 3 0 2 2 re 3 0 2 2 re f*"],
    ["a form in a form", "/F Do"],
    ["an image", "q 2 0 0 2 0 4 cm /I Do Q"],
    ["a stencil", "q 6 0 0 6 0 0 cm /M Do Q"],
    ["an image of a palette with a mask", "q 6 0 0 6 0 0 cm /P Do Q"],
    ["an inline image", "q 2 0 0 2 0 4 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \u0000 EI Q"],
    ["strings and comments that look like operators", "(0 0 6 6 re f) % 0 0 6 6 re f\n0 4 2 2 re f"],
  ])("[Q54] %s", async (_, content) => {
    const resources =
      "/Resources<</ExtGState<</G<</LW 2>>>>/ColorSpace<</S[/Separation/Black/DeviceCMYK 9 0 R]>>" +
      "/XObject<</F 5 0 R/I 7 0 R/M 8 0 R/P 10 0 R>>>>";
    const objects = [
      object(5, "/Subtype/Form/Matrix[1 0 0 1 0 4]/BBox[0 0 2 2]/Resources<</XObject<</X 6 0 R>>>>", "/X Do"),
      object(6, "/Subtype/Form/BBox[0 0 9 9]", "0 0 9 9 re f"),
      object(7, "/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceRGB", Uint8Array.of(0, 0, 0)),
      object(8, "/Subtype/Image/Width 3/Height 3/ImageMask true", Uint8Array.of(0x60, 0xe0, 0xe0)),
      object(
        10,
        "/Subtype/Image/Width 3/Height 1/BitsPerComponent 1/ColorSpace[/Indexed/DeviceGray 1<ff00>]/SMask 11 0 R",
        Uint8Array.of(0xe0),
      ),
      object(
        11,
        "/Subtype/Image/Width 3/Height 3/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode" +
          "/DecodeParms<</Predictor 15/Columns 3>>",
        deflateSync(Uint8Array.of(0, 255, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0)),
      ),
    ];
    expect(await seen(pdf(content, { page: resources, objects }))).toEqual({ rows: corner, notRead: [] });
  });

  it.each([
    ["FlateDecode", deflateSync(latin("0 4 2 2 re f"))],
    ["ASCIIHexDecode", latin(`${latin("0 4 2 2 re f").toString("hex")}>`)],
    ["RunLengthDecode", Buffer.concat([Buffer.of(11), latin("0 4 2 2 re f"), Buffer.of(128)])],
    ["ASCII85Decode", latin("0H`1p1*A=pEb-A*".concat("~>"))],
    ["LZWDecode", Buffer.from("800c04034100ca0a20391944066808", "hex")],
  ])("[Q53] content by %s", async (filter, packed) => {
    expect((await seen(pdf(packed, { stream: `/Filter/${filter}` }))).rows).toEqual(corner);
  });

  it.each([
    ["text", "BT /F 9 Tf (a) Tj ET", "text"],
    ["a shading", "/S sh", "shading"],
    ["a pattern", "/Pattern cs /P scn 0 0 2 2 re f", "pattern"],
    ["a crooked clip", "0 0 m 6 0 l 3 6 l h W n", "clip"],
    ["JPEG 2000", "/J Do", "image (JPXDecode)"],
  ])("[Q54] %s is named as not read", async (_, content, named) => {
    const objects = [object(5, "/Subtype/Image/Width 9/Height 9/Filter/JPXDecode", "x")];
    const { notRead } = await seen(pdf(content, { page: "/Resources<</XObject<</J 5 0 R>>>>", objects }));
    expect(notRead).toEqual([named]);
  });

  it("[Q54] hidden text, as over a scan, is not on paper", async () => {
    expect((await seen(pdf("BT 3 Tr (a) Tj ET"))).notRead).toEqual([]);
  });
});

describe("paper", () => {
  it.each([
    [90, ["....##", "....##", "......", "......", "......", "......"]],
    [180, ["......", "......", "......", "......", "....##", "....##"]],
    [270, ["......", "......", "......", "......", "##....", "##...."]],
    [-90, ["......", "......", "......", "......", "##....", "##...."]],
  ])("[Q53] turned by %d degrees", async (turn, rows) => {
    expect((await seen(pdf("0 4 2 2 re f", { page: `/Rotate ${turn}` }))).rows).toEqual(rows);
  });

  it("[Q53] the crop box is what is printed, and the later of two objects counts", async () => {
    const cropped = await seen(pdf("0 4 2 2 re f", { page: "/CropBox[1 3 5 6]" }));
    expect(cropped.rows).toEqual(["#...", "#...", "...."]);
    const updated = pdf("0 0 6 6 re f", { objects: [object(4, "", "0 4 2 2 re f")] });
    expect((await seen(updated)).rows).toEqual(corner);
  });

  it("[Q53] object streams, rotated pages, units and pages before it change nothing that is measured", async () => {
    const { pdf: own } = await print();
    const document = await PDFDocument.create({ updateMetadata: false });
    document.addPage([100, 100]);
    const [inner] = await document.embedPdf(own);
    assert(inner !== undefined, "our PDF has a page");
    const page = document.addPage([400, 500]);
    page.drawPage(inner, { x: -50, y: -90, xScale: 0.5, yScale: 0.5 });
    page.node.set(PDFName.of("UserUnit"), PDFNumber.of(2));
    page.node.set(PDFName.of("Rotate"), PDFNumber.of(270));
    document.catalog.getOrCreateViewerPreferences().setPrintScaling(PrintScaling.None);
    for (const useObjectStreams of [true, false]) {
      const report = await check(await document.save({ useObjectStreams }));
      expect(report).toMatchObject({ verdict: "pass", page: 2, pages: 2, payload: lobby.current });
      assert(report.size.measurable, "a vector PDF is measurable");
      expect(Math.abs(report.size.scalePercent.x - 100)).toBeLessThan(0.01);
    }
  });

  it("[Q54] a PNG and a JPEG placed in a PDF are measured by their matrix", async () => {
    const { png } = await print();
    const jpeg = await sharp(png).jpeg().toBuffer();
    for (const scale of [1, 0.95]) {
      const document = await PDFDocument.create({ updateMetadata: false });
      document.catalog.getOrCreateViewerPreferences().setPrintScaling(PrintScaling.None);
      const image = scale === 1 ? await document.embedPng(png) : await document.embedJpg(jpeg);
      const points = (pixels: number) => (pixels / 24) * (72 / 25.4) * scale;
      const [width, height] = [points(image.width), points(image.height)];
      document.addPage([width + 20, height + 20]).drawImage(image, { x: 10, y: 10, width, height });
      const report = await check(await document.save());
      expect(report.codes).toEqual(scale === 1 ? [] : ["fit-to-page"]);
      assert(report.size.measurable, "a placed picture is measurable");
      expect(report.size.source).toBe("raster");
      expect(Math.abs(report.size.scalePercent.x - 100 * scale)).toBeLessThan(0.13);
    }
  });
});

describe("bad files", () => {
  it("[Q25] encryption is named, wherever the trailer stands", async () => {
    const plain = latin("\ntrailer<</Root 1 0 R/Encrypt 9 0 R>>");
    expect(await faultOf(new Uint8Array(Buffer.concat([pdf(""), plain])))).toEqual({ code: "pdf-encrypted" });
    const stream = object(9, "/Type/XRef/Root 1 0 R/Encrypt 8 0 R", "x");
    expect(await faultOf(pdf("", { objects: [stream] }))).toEqual({ code: "pdf-encrypted" });
  });

  it("[Q25] [Q53] bombs of every kind end by name, and soon", async () => {
    const flate = "/Filter/FlateDecode";
    const spaces = Buffer.alloc(40_000_000, 32);
    const large = { code: "pdf-too-large", what: "content" };
    expect(await faultOf(pdf(deflateSync(spaces), { stream: flate }))).toMatchObject(large);
    const twice = { stream: "/Filter[/FlateDecode/FlateDecode]" };
    expect(await faultOf(pdf(deflateSync(deflateSync(spaces)), twice))).toMatchObject(large);
    const objects = [object(9, `/Type/ObjStm/N 9/First 9${flate}`, deflateSync(spaces))];
    expect(await faultOf(pdf("", { objects }))).toMatchObject(large);
    const escaped = [object(9, `/Type/Obj#53tm/N 9/First 9/Filter/Flate#44ecode`, deflateSync(spaces))];
    expect(await faultOf(pdf("", { objects: escaped }))).toMatchObject(large);
    const fills = deflateSync(latin("0 0 6 6 re f ".repeat(300_000)));
    expect(await faultOf(pdf(fills, { stream: flate }))).toMatchObject({ code: "drawing-too-large" });
    const many = deflateSync(latin("q ".repeat(1_100_000)));
    expect(await faultOf(pdf(many, { stream: flate }))).toMatchObject({ code: "pdf-too-large", what: "operators" });
  });

  it("[Q54] pictures that are larger than they say, or than is read, are named", async () => {
    const grey = "/Subtype/Image/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode";
    const named = async (dictionary: string, bytes: Uint8Array) =>
      faultOf(pdf("/I Do", { page: "/Resources<</XObject<</I 5 0 R>>>>", objects: [object(5, dictionary, bytes)] }));
    const bomb = deflateSync(Buffer.alloc(30_000_000));
    expect(await named(`${grey}/Width 9/Height 9`, bomb)).toMatchObject({ what: ["image larger than it says"] });
    const huge = `${grey}/Width 99999/Height 99999`;
    expect(await named(huge, bomb)).toMatchObject({
      code: "drawing-not-read",
      what: ["image of over 40 million pixels"],
    });
  });

  it("[Q53] circles of pages, forms and references end", async () => {
    const loop = object(5, "/Subtype/Form/Resources<</XObject<</F 5 0 R>>>>", "/F Do /F Do");
    const form = pdf("/F Do", { page: "/Resources<</XObject<</F 5 0 R>>>>", objects: [loop] });
    expect(await faultOf(form)).toMatchObject({ code: "drawing-not-read", what: ["form"] });
    const kids = latin("%PDF-1.4 1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Kids[2 0 R 2 0 R]>>endobj");
    expect(await faultOf(new Uint8Array(kids))).toEqual({ code: "pdf-damaged" });
    const references = latin("%PDF-1.4 1 0 obj 2 0 R endobj 2 0 obj 1 0 R endobj trailer<</Root 1 0 R>>");
    expect(await faultOf(new Uint8Array(references))).toEqual({ code: "pdf-damaged" });
  });
});
