import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadCourierKey } from "../../agent/courier-key.ts";
import type { Random } from "../../agent/ports/random.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-key-"));
});
afterEach(() => rm(folder, { recursive: true }));

const random = (fill: number): Random => ({ bytes: (length) => new Uint8Array(length).fill(fill), fraction: () => 0 });

describe("the courier's key", () => {
  it("[G8] is made once, for its owner's eyes, and is the same after a restart", async () => {
    expect(await loadCourierKey(folder, random(1))).toEqual(new Uint8Array(32).fill(1));
    expect(await loadCourierKey(folder, random(2))).toEqual(new Uint8Array(32).fill(1));
    expect((await stat(join(folder, "courier.key"))).mode & 0o777).toBe(0o600);
  });

  it("[G8] is never overwritten by another when it cannot be read", async () => {
    await writeFile(join(folder, "courier.key"), "not a key\n");
    await expect(loadCourierKey(folder, random(1))).rejects.toMatchObject({ code: "unavailable" });
    expect(await readFile(join(folder, "courier.key"), "utf8")).toBe("not a key\n");
  });

  it("[G8] says so when the state directory cannot be written", async () => {
    await expect(loadCourierKey("/nowhere/at/all", random(1))).rejects.toMatchObject({ code: "unavailable" });
  });
});
