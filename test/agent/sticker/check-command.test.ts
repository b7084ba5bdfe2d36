import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultStickerSpecification } from "../../../protocol/sticker/specification.ts";
import { payloadToSymbol, symbolToSvg } from "../../../protocol/sticker/symbol.ts";
import { runSticker } from "./run-sticker.ts";
import { lobby, print } from "./sticker-files.ts";

let folder: string;
let svg: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-check-"));
  const symbol = payloadToSymbol(lobby.current, defaultStickerSpecification);
  svg = join(folder, "sticker.svg");
  if (symbol.ok) await writeFile(svg, symbolToSvg(symbol.value, defaultStickerSpecification));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function check(...words: readonly string[]) {
  return runSticker(["check", ...words]);
}

describe("doorlink sticker check", () => {
  it("[Q51] passes our own SVG, as JSON with its kind and in words", async () => {
    const json = await check(svg, "--panel", "lobby", "--json");
    expect(json.exit).toBe(0);
    expect(JSON.parse(json.out)).toMatchObject({ kind: "print", format: "svg", verdict: "pass", findings: [] });
    const words = await check(svg);
    expect(words.out).toContain("verdict  PASS");
    expect(words.out).toContain("33.00 x 33.00 mm of 33.00 mm: 100.0 %");
  });

  it("[Q56] says that a print file gets no picture and no report", async () => {
    const checked = await check(svg, "--report", join(folder, "report.pdf"));
    expect(checked).toMatchObject({ exit: 0, warned: expect.stringContaining("--as photo") });
  });

  it("[Q50] judges the printer's dots when it is named", async () => {
    expect((await check(svg, "--printer-dpi", "203")).exit).toBe(0);
    const broken = await check(svg, "--printer-dpi", "300");
    expect(broken.exit).toBe(1);
    expect(broken.out).toContain("printer-dots-not-whole: 11.81 x 11.81 dots a module at 300 dpi");
    expect(broken.out).toContain("remedy: Make the module 1.016 mm (12 dots).");
  });

  it.each([
    [["--printer-dpi", "many"], "--printer-dpi: a number"],
    [["--printer-dpi", "50"], "--printer-dpi: a number"],
    [["--as", "poster"], "--as: print or photo"],
    [["--edition", "1999"], "--edition: 2011 or 2024"],
  ])("%j is refused as usage", async (words, line) => {
    const refused = await check(svg, ...words);
    expect(refused).toMatchObject({ exit: 2, out: "" });
    expect(refused.warned).toContain(line);
  });

  it("[Q52] [Q55] names what a file is that is not checked", async () => {
    const script = join(folder, "script.svg");
    await writeFile(script, '<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>');
    expect(await check(script)).toMatchObject({ exit: 2, warned: `${script}: svg-active (what script)\n` });
    const gif = join(folder, "a.png");
    await writeFile(
      gif,
      await sharp({ create: { width: 30, height: 30, channels: 3, background: "#fff" } })
        .gif()
        .toBuffer(),
    );
    expect((await check(gif)).warned).toContain("not-a-picture (expected PNG, JPEG, WebP or TIFF");
    expect((await check(gif)).warned).toContain("looksLike GIF");
  });

  it("[Q56] takes a picture for a photograph when told so", async () => {
    const png = join(folder, "photo.png");
    await writeFile(png, (await print()).png);
    const photo = await check(png, "--as", "photo", "--json");
    expect(photo.exit).toBe(1);
    expect(JSON.parse(photo.out)).toMatchObject({ kind: "photo", verdict: "not-measurable", payload: lobby.current });
  });
});
