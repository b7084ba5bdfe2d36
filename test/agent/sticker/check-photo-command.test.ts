import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NotedCheck, StickerChange } from "../../../agent/sticker/command-parts.ts";
import { emulatedBezel, photographSticker } from "../../../emulator/camera/photograph.ts";
import type { PanelRecord } from "../../../protocol/sticker/verdict.ts";
import { checkedAtMs, runSticker } from "./run-sticker.ts";
import { lobby, print } from "./sticker-files.ts";

const monthMs = 30 * 86_400_000;
const waiting: PanelRecord = { ...lobby, seenAtMs: null };

let folder: string;
let photo: string;
let specification: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-photo-"));
  photo = join(folder, "wall.jpg");
  specification = join(folder, "sticker.yaml");
  const { png } = await print();
  await writeFile(photo, (await photographSticker({ sticker: png, seed: 5 })).picture);
  await writeFile(specification, `bezel: ${JSON.stringify(emulatedBezel)}\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs `doorlink sticker check` where the reprint of the lobby's sticker is waited for. */
async function check(...words: readonly string[]) {
  const asked: StickerChange[] = [];
  const noted: NotedCheck[] = [];
  const ran = await runSticker(["check", ...words], {
    fetchPanels: async () => [waiting],
    changeSticker: async (change) => {
      asked.push(change);
      return { ok: true, value: { ...lobby, seenAtMs: checkedAtMs } };
    },
    noteCheck: async (each) => {
      noted.push(each);
    },
  });
  return { ...ran, asked, noted };
}

describe("doorlink sticker check of a photo", () => {
  it("[Q60] row 14: a photo of the wall in which the current sticker is whole ends the wait for its reprint", async () => {
    const seen = await check(photo, "--as", "photo", "--panel", "lobby", "--specification", specification, "--json");
    expect(JSON.parse(seen.out)).toMatchObject({ kind: "photo", verdict: "pass", identity: { verdict: "current" } });
    expect(seen).toMatchObject({ exit: 0, asked: [{ panel: "lobby", action: "seen", epoch: lobby.epoch }] });
    // [G35] The agent shows the last check; it is told verdict, identity and letter, and neither picture nor payload.
    expect(seen.noted).toEqual([{ panel: "lobby", verdict: "pass", identity: "current", letter: "A" }]);
  });

  it("[Q60] nothing is told when nobody said which panel it hangs at", async () => {
    const seen = await check(photo, "--as", "photo", "--specification", specification, "--json");
    expect(seen).toMatchObject({ exit: 0, asked: [], noted: [] });
  });

  it("[G35] an agent that cannot be told of a check is a warning, and no failure", async () => {
    const words = ["check", photo, "--as", "photo", "--panel", "lobby", "--specification", specification];
    const ran = await runSticker(words, {
      fetchPanels: async () => [{ ...lobby, seenAtMs: 1 }],
      noteCheck: () => Promise.reject(new Error("nobody there")),
    });
    expect(ran).toMatchObject({ exit: 0, warned: "the agent was not told of this check: nobody there\n" });
  });

  it("[Q83] rows 7 and 13: earlier checks say what cleaning changed and how it fades", async () => {
    const earlier: string[] = [];
    for (const [at, contrastPercent] of [99, 97, 96].entries()) {
      const file = join(folder, `earlier-${at}.json`);
      const checkedThenMs = checkedAtMs - (3 - at) * monthMs;
      const quality = { contrastPercent, moduleErrors: 40 };
      const grade = { overall: { grade: 1 } };
      await writeFile(file, JSON.stringify({ kind: "photo", checkedAtMs: checkedThenMs, quality, grade }));
      earlier.push(file);
    }
    const words = ["--as", "photo", "--specification", specification, "--earlier", ...earlier];
    const seen = await check(photo, ...words);
    expect(seen.out).toMatch(
      /since 2026-08-\d\d \d\d:\d\d UTC: wrong modules 40 -> 0, contrast 96 -> \d\d %, grade 1.0 -> 4.0/,
    );
    const json = JSON.parse((await check(photo, ...words, "--json")).out);
    expect(json.since).toContain("wrong modules 40 -> 0");
  });

  it("[Q83] what is no earlier check is named with what was expected", async () => {
    const refused = await check(photo, "--as", "photo", "--earlier", specification);
    expect(refused).toMatchObject({ exit: 2, out: "" });
    expect(refused.warned).toBe(
      `${specification}: the output of an earlier \`doorlink sticker check PHOTO --json\` is expected\n`,
    );
  });

  it("[Q83] rows 39 and 40: what the person in front of it sees decides between sticker, housing and tape", async () => {
    const damaged = await check(photo, "--as", "photo", "--specification", specification, "--housing", "damaged");
    expect(damaged.out).toContain("order a replacement");
    const fallen = await check(photo, "--as", "photo", "--specification", specification, "--mount", "fallen");
    expect(fallen.out).toContain("fresh VHB tape");
    const refused = await check(photo, "--mount", "wobbly");
    expect(refused).toMatchObject({ exit: 2, out: "" });
    expect(refused.warned).toContain("--mount: firm, loose or fallen");
  });
});
