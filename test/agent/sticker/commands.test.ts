import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StickerCommandDeps } from "../../../agent/sticker/command-parts.ts";
import { shrinkToPage } from "../../../emulator/camera/office-printer.ts";
import { runSticker } from "./run-sticker.ts";
import { lobby, panels, payload, print } from "./sticker-files.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-sticker-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(words: readonly string[], fetchPanels: StickerCommandDeps["fetchPanels"] = async () => panels) {
  return runSticker(words, { fetchPanels });
}

describe("doorlink sticker", () => {
  it("make writes its files, and check passes them", async () => {
    const out = join(folder, "made", "deep");
    const made = await run(["make", "lobby", "--out", out, "--json"]);
    expect(made).toMatchObject({ exit: 0, warned: "" });
    expect(JSON.parse(made.out)).toMatchObject({
      stickers: [{ panel: "lobby", epoch: 3, payload: lobby.current, listAgeMs: 5_000 }],
    });
    expect((await readdir(out)).toSorted()).toEqual(["lobby-3.pdf", "lobby-3.png", "lobby-3.svg"]);
    expect(new Uint8Array(await readFile(join(out, "lobby-3.pdf")))).toEqual((await print()).pdf);
    for (const name of ["lobby-3.pdf", "lobby-3.png"]) {
      const checked = await run(["check", join(out, name), "--panel", "lobby", "--json"]);
      expect(checked.exit).toBe(0);
      expect(JSON.parse(checked.out)).toMatchObject({
        verdict: "pass",
        findings: [],
        identity: { verdict: "current" },
      });
    }
  });

  it("check refuses a shrunken file with exit 1, the percentage and the remedy", async () => {
    const file = join(folder, "shrunk.png");
    await writeFile(file, await shrinkToPage((await print()).png, 94));
    const checked = await run(["check", file]);
    expect(checked.exit).toBe(1);
    expect(checked.out).toContain("fit-to-page: 94.0 % (31.0");
    expect(checked.out).toContain("verdict  FAIL");
    expect(checked.out).toContain('Print again at 100 % ("actual size")');
  });

  it("check tells a retired sticker, and another panel's when a panel is asked for", async () => {
    const old = join(folder, "old.png");
    await writeFile(old, (await print({ payload: payload(1, 2) })).png);
    const checked = await run(["check", old, "--json"]);
    expect(checked.exit).toBe(1);
    expect(JSON.parse(checked.out)).toMatchObject({ identity: { verdict: "retired", epoch: 2, currentEpoch: 3 } });
    const garage = join(folder, "garage.pdf");
    await writeFile(garage, (await print({ payload: payload(2, 1) })).pdf);
    expect((await run(["check", garage])).exit).toBe(0);
    expect((await run(["check", garage, "--panel", "lobby"])).out).toContain("misplaced (garage");
  });

  it("list shows panels aligned, and everything as JSON", async () => {
    const listed = await run(["list"]);
    expect(listed.exit).toBe(0);
    expect(listed.out.split("\n")[1]).toBe(`lobby   Lobby   3       2        unknown  5 s       ${lobby.current}`);
    expect(JSON.parse((await run(["list", "--json"])).out)).toEqual({ panels });
  });

  it("a specification file changes what is expected; its mistakes come all at once", async () => {
    const wanted = join(folder, "large.yaml");
    await writeFile(wanted, "moduleMm: 1.5\n");
    const small = join(folder, "small.png");
    await writeFile(small, (await print()).png);
    const checked = await run(["check", small, "--specification", wanted]);
    expect(checked.exit).toBe(1);
    expect(checked.out).toContain("33.00 x 33.00 mm of 49.50 mm: 66.7 %");
    const broken = join(folder, "broken.yaml");
    await writeFile(broken, "moduleMm: -1\nquietZoneModules: 1\n");
    const refused = await run(["check", small, "--specification", broken]);
    expect(refused.exit).toBe(2);
    expect(refused.warned).toContain("moduleMm: ");
    expect(refused.warned).toContain("quietZoneModules: ");
  });

  it("bad input is one line and exit 2", async () => {
    const notPicture = join(folder, "note.txt");
    await writeFile(notPicture, "not a picture");
    for (const words of [
      ["check", notPicture],
      ["check", join(folder, "missing.png")],
      ["check", folder],
      ["make", "attic", "--out", folder],
      ["make", "../../etc", "--out", folder],
      ["check", join(folder, "shrunk.png"), "--panel", "attic"],
    ]) {
      const { exit, warned, out } = await run(words);
      expect(exit, words.join(" ")).toBe(2);
      expect(warned).toMatch(/^[^\n]+\n$/);
      expect(out).toBe("");
    }
  });

  it("an agent that does not answer, or a folder that cannot be written, is exit 3", async () => {
    const silent = async () => Promise.reject(new Error("connection refused"));
    expect(await run(["list"], silent)).toEqual({
      exit: 3,
      out: "",
      warned: "the agent does not answer: connection refused\n",
    });
    const file = join(folder, "a-file");
    await writeFile(file, "");
    expect((await run(["make", "lobby", "--out", join(file, "below")])).exit).toBe(3);
  });
});
