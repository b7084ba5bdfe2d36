import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { checkStickerFile } from "../../../agent/sticker/check-sticker.ts";
import { drawPaper } from "../../../agent/sticker/paper-drawing.ts";
import { readSvg } from "../../../agent/sticker/svg-file.ts";
import { assert } from "../../../protocol/base/result.ts";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { payloadToSymbol, symbolRuns, symbolToSvg } from "../../../protocol/sticker/symbol.ts";
import { lobby, panels, print } from "./sticker-files.ts";

const made = payloadToSymbol(lobby.current, defaultStickerSpecification);
assert(made.ok, "the test's payload fits");
const symbol = made.value;
/** Modules in units of one, from (0, 0). */
const modules = symbolRuns(symbol)
  .map(({ column, row, width }) => `M${column} ${row}h${width}v1h-${width}z`)
  .join("");

const utf8 = (text: string) => new TextEncoder().encode(text);
const size = 'width="41mm" height="41mm" viewBox="0 0 41 41"';
const wrap = (body: string, attributes = size) =>
  utf8(
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${attributes}>${body}</svg>`,
  );

async function check(bytes: Uint8Array) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, { panels, expectedPanel: "lobby" });
  assert(result.ok, "the test's SVG is readable");
  return { ...result.value, codes: result.value.findings.map((finding) => finding.code) };
}

async function faultOf(bytes: Uint8Array) {
  const result = await checkStickerFile(bytes, defaultStickerSpecification, { panels });
  return result.ok ? undefined : result.fault;
}

/** Luma in the middle of each mm of a 6 x 6 mm drawing. */
async function seen(
  body: string,
  attributes = 'width="6mm" height="6mm" viewBox="0 0 6 6"',
): Promise<readonly string[]> {
  const read = await readSvg(wrap(body, attributes));
  assert(read.ok, "the test's SVG is readable");
  const picture = drawPaper(read.value.drawing, { left: 0, top: 0, right: 6, bottom: 6 }, 5);
  assert(picture !== undefined, "the test's SVG is small");
  const rows = Array.from({ length: 6 }, (_, row) =>
    Array.from({ length: 6 }, (_each, column) => {
      const luma = picture.luma[(row * 5 + 2) * picture.width + column * 5 + 2] ?? 0;
      return luma > 200 ? "." : luma > 90 ? "o" : "#";
    }).join(""),
  );
  return rows;
}

const corner = ["##....", "##....", "......", "......", "......", "......"];

describe("what a shape covers", () => {
  it.each([
    ["a rectangle", '<rect width="2" height="2"/>'],
    ["a path with curves that are straight", '<path d="M0 0C1 0 2 0 2 0Q2 1 2 2T2 2L0 2z"/>'],
    ["relative commands and short numbers", '<path d="m0,0 2,0 0 2-2 0z"/>'],
    ["h and v", '<path d="M0 0h2V2H0z"/>'],
    ["a polygon", '<polygon points="0,0 2,0 2,2 0,2"/>'],
    ["a pen across", '<path stroke="#000" stroke-width="2" d="M0 1h2"/>'],
    ["a pen of a line", '<line x1="1" y1="0" x2="1" y2="2" stroke="black" stroke-width="2"/>'],
    ["a square cap", '<path fill="none" stroke="#000" stroke-width="2" stroke-linecap="square" d="M1 1h.001"/>'],
    ["a group's transform", '<g transform="translate(-1 -1) scale(2)"><rect x=".5" y=".5" width="1" height="1"/></g>'],
    ["a quarter turn", '<rect width="2" height="2" transform="rotate(90) translate(0 -2)"/>'],
    ["a matrix", '<rect width="1" height="1" transform="matrix(2 0 0 2 0 0)"/>'],
    ["use", '<defs><rect id="a" width="1" height="1"/></defs><g transform="scale(2)"><use xlink:href="#a"/></g>'],
    [
      "use of a symbol",
      '<symbol id="s" viewBox="0 0 1 1"><rect width="1" height="1"/></symbol><use href="#s" width="2" height="2"/>',
    ],
    ["an inner window", '<svg width="2" height="2" viewBox="0 0 10 10"><rect width="10" height="10"/></svg>'],
    ["a class", '<style>.m{fill:black} rect{fill:none}</style><rect class="m" width="2" height="2"/>'],
    ["style before attributes", '<rect fill="white" style="fill:#000" width="2" height="2"/>'],
    ["an inherited colour", '<g color="#111"><g fill="currentColor"><rect width="2" height="2"/></g></g>'],
    ["a white cover", '<rect width="6" height="2"/><rect x="2" width="4" height="2" fill="rgb(100%,100%,100%)"/>'],
    ["what is not shown", '<rect width="2" height="2"/><g display="none"><rect width="6" height="6"/></g>'],
    ["a hole", '<path fill-rule="evenodd" d="M0 0h2v2H0zM3 3h2v2h-2zM3 3h2v2h-2z"/>'],
  ])("[Q51] %s", async (_, body) => {
    expect(await seen(body)).toEqual(corner);
  });

  it("[Q51] rings, circles and half-covered areas", async () => {
    expect(await seen('<path d="M0 0h6v6H0zM1 1v4h4V1z"/>')).toEqual(["######", ...Array(4).fill("#....#"), "######"]);
    expect(await seen('<circle cx="3" cy="3" r="1.9"/>')).toEqual([
      "......",
      "..##..",
      ".####.",
      ".####.",
      "..##..",
      "......",
    ]);
    expect((await seen('<rect width="6" height="6" fill-opacity=".5"/>'))[0]).toBe("oooooo");
  });

  it.each([
    [
      'viewBox="0 0 12 6"',
      '<rect width="12" height="6"/>',
      ["......", "######", "######", "######", "......", "......"],
    ],
    ['viewBox="0 0 12 6" preserveAspectRatio="none"', '<rect width="4" height="2"/>', corner],
    ['viewBox="0 0 12 6" preserveAspectRatio="xMinYMin"', '<rect width="4" height="4"/>', corner],
    ['viewBox="0 0 12 6" preserveAspectRatio="xMinYMid slice"', '<rect width="2" height="2"/>', corner],
  ])("[Q51] a window of %s", async (view, body, expected) => {
    const rows = await seen(body, `width="6mm" height="6mm" ${view}`);
    // The middle rows of a letterbox lie on half millimetres.
    if (view === 'viewBox="0 0 12 6"') expect(rows.filter((row) => row === "######").length).toBeGreaterThanOrEqual(2);
    else expect(rows).toEqual(expected);
  });
});

describe("sizes", () => {
  it.each([
    ["41mm", "41mm"],
    ["4.1cm", "4.1cm"],
    [`${41 / 25.4}in`, `${41 / 25.4}in`],
    [`${(41 * 72) / 25.4}pt`, "41mm"],
    ["41mm", undefined],
    ["164q", "41mm"],
  ])("[Q51] %s by %s is 41 mm", async (width, height) => {
    const attributes = `width="${width}"${height === undefined ? "" : ` height="${height}"`} viewBox="-4 -4 41 41"`;
    const report = await check(wrap(`<path d="${modules}"/>`, attributes));
    expect(report.codes).toEqual([]);
    assert(report.size.measurable, "an SVG in mm is measurable");
    expect(report.size.source).toBe("vector");
    expect(Math.abs(report.size.scalePercent.x - 100)).toBeLessThan(0.01);
    expect(Math.abs(report.size.scalePercent.y - 100)).toBeLessThan(0.01);
  });

  it.each(['width="41" height="41"', 'width="155px" height="155px"', 'width="100%"', ""])(
    "[Q51] no physical size in '%s': not measurable",
    async (attributes) => {
      const report = await check(wrap(`<path d="${modules}"/>`, `${attributes} viewBox="-4 -4 41 41"`));
      expect(report.codes).toEqual(["density-missing"]);
      expect(report).toMatchObject({ verdict: "not-measurable", size: { measurable: false, reason: "no-density" } });
    },
  );

  it("[Q51] our own SVG passes; stretched, shrunk and with rounded modules it does not", async () => {
    const own = symbolToSvg(symbol, defaultStickerSpecification);
    expect((await check(utf8(own))).verdict).toBe("pass");
    const shrunk = own.replaceAll("41mm", "38.95mm");
    expect((await check(utf8(shrunk))).codes).toEqual(["fit-to-page"]);
    const stretched = own.replace('height="41mm"', 'height="43mm" preserveAspectRatio="none"');
    expect((await check(utf8(stretched))).codes).toEqual(["scaled-unevenly"]);
    const rounded = symbolRuns(symbol).map(({ column, row, width }) => {
      const at = (module: number) => Math.round(module * 3.7) / 3.7;
      const [left, top] = [at(column), at(row)];
      return `<rect x="${left + 4}" y="${top + 4}" width="${at(column + width) - left}" height="${at(row + 1) - top}"/>`;
    });
    expect((await check(wrap(rounded.join("")))).codes).toEqual(["modules-uneven"]);
  });

  it("[Q54] a PNG inside is measured by its place, to a pixel of its own", async () => {
    const { png } = await print();
    const { width, height } = await sharp(png).metadata();
    const data = Buffer.from(png).toString("base64");
    const at = (scale: number) => {
      const [w, h] = [(width / 24) * scale, (height / 24) * scale];
      const image = `<image width="${w}" height="${h}" href="data:image/png;base64,${data}"/>`;
      return wrap(image, `width="${w}mm" height="${h}mm" viewBox="0 0 ${w} ${h}"`);
    };
    const report = await check(at(1));
    expect(report).toMatchObject({ verdict: "pass", size: { source: "raster" } });
    expect((await check(at(0.95))).codes).toEqual(["fit-to-page"]);
  });
});

describe("dangers", () => {
  it.each([
    ["<script>alert(1)</script>", { code: "svg-active", what: "script" }],
    ['<rect onclick="x()"/>', { code: "svg-active", what: "event-handler" }],
    ["<foreignObject/>", { code: "svg-active", what: "foreign-object" }],
    ["<rect><animate/></rect>", { code: "svg-active", what: "animation" }],
    ['<a href="javascript:x()"/>', { code: "svg-active", what: "script" }],
    ['<image href="https://elsewhere.example/a.png"/>', { code: "svg-outside-link", where: "image" }],
    ['<image xlink:href="file:///etc/hostname"/>', { code: "svg-outside-link", where: "image" }],
    ['<use href="other.svg#a"/>', { code: "svg-outside-link", where: "use" }],
    ['<rect fill="url(http://elsewhere.example/#a)"/>', { code: "svg-outside-link", where: "fill" }],
    ["<style>@import 'a.css';</style>", { code: "svg-outside-link", where: "style" }],
    ["<style>rect{fill:url(//elsewhere.example)}</style>", { code: "svg-outside-link", where: "style" }],
    ["<g>", { code: "svg-damaged", line: 1 }],
  ])("[Q52] %s is refused by name", async (body, fault) => {
    expect(await faultOf(wrap(body))).toEqual(fault);
  });

  it("[Q52] entities are not expanded, outside document types not fetched, other roots not read", async () => {
    const head = '<?xml version="1.0"?><!DOCTYPE svg';
    const tail = `<svg xmlns="http://www.w3.org/2000/svg" ${size}><path d="${modules}"/></svg>`;
    expect(await faultOf(utf8(`${head} [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>${tail}`))).toEqual({
      code: "svg-entities",
    });
    expect(await faultOf(utf8(`${head} SYSTEM "file:///etc/hostname">${tail}`))).toBeUndefined();
    expect(await faultOf(utf8(`<?xml-stylesheet href="a.css"?>${tail}`))).toMatchObject({ code: "svg-outside-link" });
    expect(await faultOf(utf8(`<html>${tail}</html>`))).toMatchObject({ code: "svg-damaged" });
  });

  it("[Q52] bombs end by name within their limits", async () => {
    const laughs = Array.from({ length: 12 }, (_, at) => {
      return `<g id="g${at + 1}">${`<use href="#g${at}"/>`.repeat(10)}</g>`;
    });
    const bomb = `<defs><rect id="g0" width="1" height="1"/>${laughs.join("")}</defs><use href="#g12"/>`;
    expect(await faultOf(wrap(bomb))).toMatchObject({ code: "svg-too-large", what: "uses" });
    expect(await faultOf(wrap('<g id="a"><use href="#a"/></g>'))).toMatchObject({
      code: "svg-too-large",
      what: "depth",
    });
    expect(await faultOf(wrap("<g>".repeat(5_000)))).toMatchObject({ code: "svg-too-large", what: "depth" });
    expect(await faultOf(wrap("<g/>", 'width="1e9mm" height="1e9mm"'))).toMatchObject({
      code: "svg-too-large",
      what: "size",
    });
    expect(await faultOf(wrap(" ".repeat(17_000_000)))).toMatchObject({ code: "svg-too-large", what: "text" });
    const full = '<path d="M0 0L41 1L41 41L0 40z"/>'.repeat(100_000);
    expect(await faultOf(wrap(full))).toEqual({ code: "drawing-too-large", format: "svg" });
  });

  it("[Q54] what could hold a symbol and is not read is a fault; beside a symbol it is named", async () => {
    const gradient = '<linearGradient id="a"/><rect fill="url(#a)" width="2" height="2"/>';
    expect(await faultOf(wrap(gradient))).toEqual({
      code: "drawing-not-read",
      format: "svg",
      what: ["gradient or pattern"],
    });
    const beside = await check(
      wrap(`${gradient}<g transform="translate(4 4)"><path d="${modules}"/></g><text>a</text>`),
    );
    expect(beside).toMatchObject({ verdict: "pass", notRead: ["gradient or pattern", "text"] });
    expect(await check(wrap("<text>a</text>"))).toMatchObject({ verdict: "fail", codes: ["sticker-unreadable"] });
  });
});
