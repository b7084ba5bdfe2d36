/** `doorlink sticker make`, `rotate`, `retire` and `card` by their words: files, sizes said, and one line for what cannot be. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StickerCommandDeps } from "../../../agent/sticker/command-parts.ts";
import { type AgentAnswers, runSticker } from "./run-sticker.ts";
import { garage, lobby } from "./sticker-files.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-make-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(words: readonly string[], answers: AgentAnswers = {}) {
  const rotated = { ...lobby, epoch: 4, retired: [...lobby.retired, lobby.current] };
  return runSticker(words, { changeSticker: async () => ({ ok: true, value: rotated }), ...answers });
}

const oneLine = /^[^\n]+\n$/;

describe("make", () => {
  it("[Q62] says the size that was chosen, for people and for machines", async () => {
    const out = join(folder, "labels");
    const words = ["make", "lobby", "garage", "--out", out, "--format", "zpl,brother,png", "--printer-dpi", "300"];
    const made = await run([...words, "--json"]);
    expect(made).toMatchObject({ exit: 0, warned: "" });
    const said = JSON.parse(made.out);
    expect(said.printer).toMatchObject({ dpi: 300, dotsPerModule: 12, moduleMm: 1.016 });
    expect(said.printer.offPercent).toBeCloseTo(1.6, 6);
    expect(said.stickers.map(({ panel, symbol }: { panel: string; symbol: unknown }) => [panel, symbol])).toEqual([
      ["lobby", { modules: 33, version: 4, moduleMm: 1.016, sizeMm: 33 * 1.016 }],
      ["garage", { modules: 33, version: 4, moduleMm: 1.016, sizeMm: 33 * 1.016 }],
    ]);
    expect((await readdir(out)).toSorted()).toEqual(
      ["garage-1", "lobby-3"].flatMap((name) => [`${name}.brother.prn`, `${name}.png`, `${name}.zpl`]),
    );
    const text = (await run(words)).out;
    expect(text).toContain("33.528 x 33.528 mm, 33 modules, module 1.016 mm = 12 dots at 300 dpi, +1.6 %");
    expect(text).toContain("as it is");
  });

  it("[Q62] the PNG has the printer's own dots and density, and passes the check at that size", async () => {
    const out = join(folder, "printer");
    await run(["make", "lobby", "--out", out, "--format", "png,pdf", "--printer-dpi", "300"]);
    const png = await readFile(join(out, "lobby-3.png"));
    const at = png.indexOf("pHYs");
    expect(png.readUInt32BE(at + 4)).toBe(Math.round(300 / 0.0254));
    const wanted = join(folder, "whole.yaml");
    await writeFile(wanted, "moduleMm: 1.016\nprinterDpi: 300\n");
    for (const name of ["lobby-3.png", "lobby-3.pdf"]) {
      const checked = await run(["check", join(out, name), "--specification", wanted, "--json"]);
      expect([name, checked.exit, JSON.parse(checked.out).findings]).toEqual([name, 0, []]);
    }
  });

  it("[Q61] puts many panels on one sheet, and each of them once", async () => {
    const out = join(folder, "sheet");
    const words = ["make", "lobby", "garage", "lobby", "--sheet", "--format", "pdf", "--paper", "letter", "--out", out];
    const made = await run([...words, "--json"]);
    const said = JSON.parse(made.out);
    expect(said.sheet).toEqual({ pdf: join(out, "stickers.pdf"), pages: 1 });
    expect(said.stickers.map(({ panel, files }: { panel: string; files: object }) => [panel, files])).toEqual([
      ["lobby", {}],
      ["garage", {}],
    ]);
    expect(await readdir(out)).toEqual(["stickers.pdf"]);
  });

  it("what cannot be made is one line with its way out, and no file", async () => {
    const out = join(folder, "none");
    const small = join(folder, "small.yaml");
    await writeFile(small, "moduleMm: 0.9\n");
    const huge = join(folder, "huge.yaml");
    await writeFile(huge, "moduleMm: 6\n");
    for (const [way, ...words] of [
      ["--printer-dpi 203, 300 or 600", "--format", "zpl"],
      ["300 dots to the inch", "--format", "brother", "--printer-dpi", "203"],
      ["moduleMm: 0.593 (7 dots)", "--format", "brother", "--roll", "29"],
      ["moduleMm: 0.875 (7 dots) or 1 (8 dots)", "--printer-dpi", "203", "--specification", small],
      ["--format svg", "--specification", huge],
      ["leave --format pdf in", "--sheet", "--format", "png"],
      ["pdf, svg, png, zpl, brother", "--format", "gif"],
      ["203, 300, 600", "--printer-dpi", "72"],
      ["29, 38, 50, 54, 62", "--roll", "12"],
      ["a4, letter", "--paper", "a0"],
    ]) {
      const refused = await run(["make", "lobby", "--out", out, ...words]);
      expect([way, refused.exit, refused.out]).toEqual([way, 2, ""]);
      expect(refused.warned).toMatch(oneLine);
      expect(refused.warned).toContain(way);
    }
    expect((await readdir(folder)).includes("none")).toBe(false);
  });

  it("nothing of a run is written when one of its panels cannot be printed", async () => {
    const retired = { ...garage, current: null, retired: [garage.current] };
    const out = join(folder, "half");
    const refused = await run(["make", "lobby", "garage", "--out", out], { fetchPanels: async () => [lobby, retired] });
    expect(refused).toMatchObject({ exit: 2, out: "" });
    expect(refused.warned).toBe(
      'garage has no valid sticker since it was retired: "doorlink sticker rotate garage" mints one\n',
    );
    expect((await readdir(folder)).includes("half")).toBe(false);
  });
});

describe("rotate and retire", () => {
  it("[Q59] ask for the number that the list shows, and say what died and what is to be printed", async () => {
    const asked: unknown[] = [];
    const changeSticker: StickerCommandDeps["changeSticker"] = async (change) => {
      asked.push(change);
      return { ok: true, value: { ...lobby, epoch: 4, seenAtMs: null } };
    };
    const rotated = await run(["rotate", "lobby"], { changeSticker });
    expect(asked).toEqual([{ panel: "lobby", action: "rotate", epoch: 3 }]);
    expect(rotated.out).toContain("number 3, wherever it still hangs");
    expect(rotated.out).toContain("reprint pending");
    expect(rotated.out).toContain("doorlink sticker make lobby --out DIR");
    await run(["retire", "lobby"], { changeSticker });
    expect(asked[1]).toEqual({ panel: "lobby", action: "retire", epoch: 3 });
  });

  it.each([
    [{ code: "authority-silent", reason: "unreachable" }, 3, "nothing was done"],
    [{ code: "authority-silent", reason: "no-answer" }, 3, "it may have been done"],
    [{ code: "list-behind" }, 3, "the new list is not here yet"],
    [{ code: "authority-refused", reason: "another-rotation" }, 1, "at another number by now"],
    [{ code: "authority-refused", reason: "too-often" }, 1, "too often today"],
    [{ code: "authority-refused", reason: "no-rotations-left" }, 1, "65,535"],
    [{ code: "authority-refused", reason: "no-such-panel" }, 1, "not in its site file"],
    [{ code: "bad-request", reason: "expected" }, 2, "bad-request"],
  ])("[Q59] %j is exit %i and one line", async (fault, exit, line) => {
    for (const action of ["rotate", "retire"]) {
      const refused = await run([action, "lobby"], { changeSticker: async () => ({ ok: false, fault }) });
      expect([refused.exit, refused.out]).toEqual([exit, ""]);
      expect(refused.warned).toMatch(oneLine);
      expect(refused.warned).toContain(line);
    }
  });

  it("an agent that is not there, and a panel that is not known, are said before anybody is asked", async () => {
    const changeSticker = () => Promise.reject(new Error("connection refused"));
    expect(await run(["rotate", "attic"], { changeSticker })).toMatchObject({ exit: 2, out: "" });
    const silent = await run(["rotate", "lobby"], { changeSticker });
    expect(silent).toEqual({ exit: 3, out: "", warned: "the agent does not answer: connection refused\n" });
  });
});

describe("card", () => {
  it("[Q66] writes the PDF and says its size; a folder that is not there is exit 3", async () => {
    const file = join(folder, "card.pdf");
    const made = await run(["card", "--out", file, "--paper", "letter", "--json"]);
    expect(JSON.parse(made.out)).toEqual({ pdf: file, widthMm: 85.6, heightMm: 53.98, paper: "letter" });
    expect((await readFile(file)).subarray(0, 5).toString()).toBe("%PDF-");
    const refused = await run(["card", "--out", join(folder, "nowhere", "card.pdf")]);
    expect(refused.exit).toBe(3);
    expect(refused.warned).toMatch(oneLine);
  });
});
