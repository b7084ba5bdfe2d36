/**
 * Rows 14, 40 and 51: a sticker is rotated and reprinted, and the old one is dead everywhere it is checked: where phones resolve it, in the
 * directory, at the call, at the agent's check, and on the list of a gateway without a link. Real agent and cloud code, one stepped clock.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { judgePayload } from "../../protocol/sticker/verdict.ts";
import { StickerHouse } from "../world/sticker-house.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-rotate-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("rotate and reprint", () => {
  it("[Q58] row 51: the printed sticker of before is dead at once in every place, and the new one is not", async () => {
    const house = await StickerHouse.start();
    const before = join(folder, "before");
    const made = await house.run("make", "lobby-link", "--out", before, "--format", "png", "--json");
    expect(made.exit).toBe(0);
    const old = (await house.panel()).current ?? "";
    expect(await house.open(old)).toBe(200);

    const after = join(folder, "after");
    const rotated = await house.run("rotate", "lobby-link", "--out", after, "--format", "png", "--json");
    expect(rotated).toMatchObject({ exit: 0, warned: "" });
    const said = JSON.parse(rotated.out);
    expect(said).toMatchObject({ panel: "lobby-link", epoch: 2, retired: old });
    expect(said.payload).not.toBe(old);

    // Where a phone resolves it, the directory, and the call.
    expect(await house.open(old)).toBe(410);
    expect(await house.open(said.payload)).toBe(200);
    const call = { method: "POST" as const, url: `/L/${old.slice(-24)}/call`, payload: { resident: "alice" } };
    expect((await house.cloud.cloud.http.inject(call)).statusCode).toBe(410);
    // The agent's check of what was printed before and after.
    const checkOld = await house.run("check", join(before, "lobby-link-1.png"), "--json");
    expect(checkOld.exit).toBe(1);
    expect(JSON.parse(checkOld.out)).toMatchObject({
      verdict: "fail",
      identity: { verdict: "retired", panel: "lobby-link", epoch: 1, currentEpoch: 2 },
    });
    const checkNew = await house.run("check", join(after, "lobby-link-2.png"), "--panel", "lobby-link", "--json");
    expect([checkNew.exit, JSON.parse(checkNew.out).identity.verdict]).toEqual([0, "current"]);
  });

  it("[Q65] row 51: without a link the list still says so, with its age, and after a restart it says so with the age of the rotation", async () => {
    const house = await StickerHouse.start();
    const old = (await house.panel()).current ?? "";
    expect((await house.run("rotate", "lobby-link")).exit).toBe(0);
    house.setLink(false);
    await house.clock.advance(3 * 3_600_000);
    const offline = judgePayload(old, { panels: await house.panels() });
    expect(offline).toMatchObject({ verdict: "retired", reason: "on-the-list", epoch: 1, currentEpoch: 2 });
    expect(offline.listAgeMs).toBeGreaterThanOrEqual(3 * 3_600_000);
    expect(offline.listAgeMs).toBeLessThan(3 * 3_600_000 + 60_000);
    house.killGateway();
    await house.startGateway();
    const restarted = judgePayload(old, { panels: await house.panels() });
    expect(restarted).toMatchObject({ verdict: "retired", epoch: 1 });
    expect(restarted.listAgeMs).toBeGreaterThanOrEqual(3 * 3_600_000);
  });

  it("[Q65] a gateway that was not there hears of the rotation with the link, and until then its age says how old its word is", async () => {
    const house = await StickerHouse.start();
    const old = (await house.panel()).current ?? "";
    house.setLink(false);
    await house.cloud.cloud.http.inject({ method: "POST", url: "/api/panels/lobby-link/rotate" });
    await house.clock.advance(600_000);
    // It cannot know; what decides for a phone is the authority.
    const stale = judgePayload(old, { panels: await house.panels() });
    expect(stale).toMatchObject({ verdict: "current" });
    expect(stale.listAgeMs).toBeGreaterThanOrEqual(600_000);
    expect(await house.open(old)).toBe(410);
    house.setLink(true);
    await house.clock.advance(60_000);
    const told = judgePayload(old, { panels: await house.panels() });
    expect(told).toMatchObject({ verdict: "retired", currentEpoch: 2 });
    expect(told.listAgeMs).toBeLessThan(120_000);
  });

  it("[Q58] a retired panel has no valid sticker anywhere, nothing to print, and gets one again by a rotation", async () => {
    const house = await StickerHouse.start();
    const old = (await house.panel()).current ?? "";
    const retired = await house.run("retire", "lobby-link", "--json");
    expect(JSON.parse(retired.out)).toEqual({
      panel: "lobby-link",
      doorName: "Lobby",
      epoch: 1,
      payload: null,
      retired: old,
    });
    expect(await house.panel()).toMatchObject({ epoch: 1, current: null, retired: [old], seenAtMs: null });
    expect(await house.open(old)).toBe(410);
    expect(judgePayload(old, { panels: await house.panels() })).toMatchObject({ verdict: "retired", epoch: 1 });
    const made = await house.run("make", "lobby-link", "--out", folder);
    expect(made).toMatchObject({ exit: 2, out: "" });
    expect(made.warned).toContain('"doorlink sticker rotate lobby-link" mints one');
    // Twice is once.
    expect((await house.run("retire", "lobby-link")).exit).toBe(0);
    const rotated = JSON.parse((await house.run("rotate", "lobby-link", "--json")).out);
    expect(rotated).toMatchObject({ epoch: 2, retired: null });
    expect(await house.panel()).toMatchObject({ epoch: 2, current: rotated.payload, retired: [old] });
    expect([await house.open(old), await house.open(rotated.payload)]).toEqual([410, 200]);
  });

  it("[Q60] row 14: a rotation is a reprint that is waited for, until the new sticker is seen on the wall", async () => {
    const house = await StickerHouse.start();
    const onWall = async () => (await house.run("list")).out.split("\n").find((line) => line.startsWith("lobby-link"));
    expect(await onWall()).toContain("reprint pending");
    const { payload } = JSON.parse((await house.run("rotate", "lobby-link", "--json")).out);
    expect(await house.panel()).toMatchObject({ epoch: 2, seenAtMs: null });
    // Opened by a phone: the list says so without anybody having asked.
    expect(await house.open(payload)).toBe(200);
    const seen = await house.panel();
    expect(seen.seenAtMs).toBeGreaterThanOrEqual(seen.rotatedAtMs ?? Number.POSITIVE_INFINITY);
    expect(await onWall()).toMatch(/seen \d{4}-\d{2}-\d{2}/);
    // The next rotation waits again; this time a check on the wall shows it.
    await house.run("rotate", "lobby-link");
    expect(await onWall()).toContain("reprint pending");
    expect(await house.change({ panel: "lobby-link", action: "seen", epoch: 3 })).toMatchObject({ ok: true });
    const { seenAtMs } = await house.panel();
    expect(seenAtMs).not.toBeNull();
    // What is seen later changes nothing.
    await house.clock.advance(3_600_000);
    await house.open((await house.panel()).current ?? "");
    expect(await house.panel()).toMatchObject({ seenAtMs });
    expect((await house.run("list", "--json")).out).toContain(`"seenAtMs":${seenAtMs}`);
  });

  it("prints nothing and ends nothing when what is asked for cannot be printed", async () => {
    const house = await StickerHouse.start();
    const refused = await house.run("rotate", "lobby-link", "--out", folder, "--format", "zpl");
    expect(refused).toMatchObject({ exit: 2, out: "" });
    expect(await house.panel()).toMatchObject({ epoch: 1 });
    // A folder that cannot be written is found out after the rotation; the line says what to do then.
    const file = join(folder, "a-file");
    await (await import("node:fs/promises")).writeFile(file, "");
    const rotated = await house.run("rotate", "lobby-link", "--out", join(file, "below"));
    expect(rotated.exit).toBe(3);
    expect(rotated.warned).toContain(
      'lobby-link is at number 2 now; print it with "doorlink sticker make lobby-link --out DIR"',
    );
    expect(await readFile(file, "utf8")).toBe("");
  });
});

describe("who may ask, and what stays of it", () => {
  it("[Q59] every question of a gateway or a manager is on the record, with what became of it, before it is done", async () => {
    const house = await StickerHouse.start();
    await house.run("rotate", "lobby-link");
    await house.change({ panel: "lobby-link", action: "rotate", epoch: 1 });
    await house.cloud.cloud.http.inject({ method: "POST", url: "/api/panels/roof-link/retire" });
    const { stickers } = (await house.cloud.cloud.http.inject({ url: "/api/record/stickers" })).json();
    expect(stickers).toMatchObject([
      { by: "gateway-main", panel: "lobby-link", action: "rotate", rotation: 1, outcome: "done" },
      { by: "gateway-main", panel: "lobby-link", action: "rotate", rotation: 2, outcome: "another-rotation" },
      { by: "manager", panel: "roof-link", action: "retire", rotation: 1, outcome: "done" },
    ]);
  });

  it("[Q59] a question that is asked again, or from an old list, ends nothing that its asker has not seen", async () => {
    const house = await StickerHouse.start();
    const rotate = { panel: "lobby-link", action: "rotate", epoch: 1 } as const;
    expect(await house.change(rotate)).toMatchObject({ ok: true, value: { epoch: 2 } });
    const again = { ok: false, fault: { code: "authority-refused", reason: "another-rotation" } };
    expect(await house.change(rotate)).toEqual(again);
    expect(await house.change({ ...rotate, action: "retire" })).toEqual(again);
    expect(await house.change({ ...rotate, action: "seen" })).toEqual(again);
    expect(await house.panel()).toMatchObject({ epoch: 2, seenAtMs: null });
  });

  it("[Q59] gateways change a panel's sticker at most 20 times in a day; a manager is not held off, and the next day is another", async () => {
    const house = await StickerHouse.start();
    const rotate = async () =>
      house.change({ panel: "lobby-link", action: "rotate", epoch: (await house.panel()).epoch });
    for (let count = 0; count < 20; count++) expect((await rotate()).ok).toBe(true);
    const tooOften = { ok: false, fault: { code: "authority-refused", reason: "too-often" } };
    expect(await rotate()).toEqual(tooOften);
    // Seen is no change, and another panel is another.
    expect((await house.change({ panel: "lobby-link", action: "seen", epoch: 21 })).ok).toBe(true);
    expect((await house.change({ panel: "roof-link", action: "rotate", epoch: 1 })).ok).toBe(true);
    const manager = await house.cloud.cloud.http.inject({ method: "POST", url: "/api/panels/lobby-link/rotate" });
    expect(manager.json()).toMatchObject({ rotation: 22 });
    await house.clock.advance(86_400_000);
    expect(await rotate()).toMatchObject({ ok: true, value: { epoch: 23 } });
  });

  it("[Q59] what cannot be judged is refused by its name, and another gateway's name is not believed", async () => {
    const house = await StickerHouse.start();
    const command = { v: 1, id: "s-1", from: "gateway-main", device: "lobby-link", action: "rotate", rotation: 1 };
    expect(house.says("authority/command/sticker", { ...command, from: "gateway-other" })).toBe(false);
    expect(house.says("authority/command/sticker", { ...command, action: "open" })).toBe(false);
    expect(house.says("lobby-link/command/sticker", command)).toBe(false);
    expect((await house.panel()).epoch).toBe(1);
    expect(await house.change({ panel: "cellar-link", action: "rotate", epoch: 1 })).toEqual({
      ok: false,
      fault: { code: "no-such-panel" },
    });
    house.cloud.cloud.authority.retireSticker("roof-link");
    expect(await house.change({ panel: "roof-link", action: "seen", epoch: 1 })).toMatchObject({
      fault: { reason: "no-valid-sticker" },
    });
  });

  it("[Q59] without a link nothing is asked and nothing waits: the line says so, and the sticker is the one it was", async () => {
    const house = await StickerHouse.start();
    house.setLink(false);
    await house.clock.advance(1_000);
    const rotated = await house.run("rotate", "lobby-link");
    expect(rotated).toMatchObject({ exit: 3, out: "" });
    expect(rotated.warned).toMatch(/^no link to the authority[^\n]*nothing was done[^\n]*\n$/);
    house.setLink(true);
    await house.clock.advance(60_000);
    expect(await house.panel()).toMatchObject({ epoch: 1 });
  });
});
