import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSymbol } from "../../../emulator/camera/symbol-maker.ts";
import { drawUpright } from "../../protocol/sticker/drawn-symbols.ts";
import { runSticker } from "./run-sticker.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-read-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(...words: readonly string[]) {
  return runSticker(["read", ...words], { fetchPanels: () => Promise.reject(new Error("reading needs no agent")) });
}

async function savePng(name: string, text: string, orientation?: number): Promise<string> {
  const { width, height, luma } = drawUpright(makeSymbol(text, "M", 1, 2), 4);
  const file = join(folder, name);
  const raw = sharp(Buffer.from(luma), { raw: { width, height, channels: 1 } });
  await (orientation === undefined ? raw.png() : raw.jpeg({ quality: 95 }).withMetadata({ orientation })).toFile(file);
  return file;
}

describe("doorlink sticker read", () => {
  it("[Q35] writes one line a file, goes on after a bad one, and ends with 2 for it", async () => {
    const one = await savePng("one.png", "FIRST");
    const bad = join(folder, "bad.png");
    await writeFile(bad, "this is no picture");
    const two = await savePng("two.png", "SECOND");
    const { out, exit } = await run("--json", one, bad, join(folder, "missing.png"), two);
    expect(exit).toBe(2);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ file }) => file)).toEqual([one, bad, join(folder, "missing.png"), two]);
    expect(lines[0]).toMatchObject({ texts: [{ text: "FIRST", version: 2 }] });
    expect(lines[0].texts[0].corners).toHaveLength(4);
    expect(lines[0].texts[0].ms).toBeLessThanOrEqual(lines[0].ms);
    expect(lines[1]).toMatchObject({ texts: [], error: expect.stringContaining("not-a-picture") });
    expect(lines[2].error).toContain("missing.png");
    expect(lines[3].texts[0].text).toBe("SECOND");
  });

  it("[Q35] gives corners in pixels as stored, whatever EXIF says of the picture's turn", async () => {
    const turned = await savePng("turned.jpg", "THIRD", 6);
    const { out, exit } = await run("--json", turned);
    expect(exit).toBe(0);
    const [[x, y]] = JSON.parse(out).texts[0].corners;
    expect(Math.hypot(x - 16, y - 16)).toBeLessThan(1);
  });

  it("[Q35] ends with 1 when nothing was read, and refuses a budget that is none", async () => {
    const empty = join(folder, "empty.png");
    await sharp({ create: { width: 60, height: 60, channels: 3, background: "#fff" } })
      .png()
      .toFile(empty);
    expect(await run(empty)).toMatchObject({ exit: 1, warned: "" });
    expect(await run("--seconds", "never", empty)).toMatchObject({ exit: 2, out: "" });
    const one = await savePng("plain.png", "FIRST");
    expect((await run(one)).out).toContain('"FIRST" (version 2)');
  });
});
