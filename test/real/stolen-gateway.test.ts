/** A whole house at work, real processes; then somebody takes the gateway and reads every byte of its disk. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { cloudKeysFromSeed } from "../../emulator/cloud/authority-keys.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { CheckoutHouse, mapleCourtFile, post, until } from "./checkout-house.ts";

/** As the house starts its cloud. */
const HOUSE_SEED = 7;
/** What only a person or a device should know, by the name of its field in the site's file. */
const secretField = /^(password|secret|code|pin|number|text|template|plate|email|phone)$/i;

let house: CheckoutHouse;
beforeAll(async () => {
  house = await CheckoutHouse.create();
  await house.startCloud();
  await house.startSite();
  await house.startAgent();
}, 60_000);
afterAll(() => house.stopAll());

describe("a stolen gateway", () => {
  it("[V1] [X8] has its own key on its disk, and no secret of the authority, of a lock, of a device or of a person", async () => {
    await until("a visit that went through", async () => {
      const answer = await post(`${house.agentUrl}/api/sync`, { device: "lobby-lock" });
      return z.object({ outcome: z.string() }).safeParse(answer).success;
    });
    await house.stop("agent");
    const disk = bytesBelow(join(house.folder, "agent", "state"));
    const secrets = secretsOfHouse();
    expect(secrets.size).toBeGreaterThan(80);
    // It is the right disk, after a visit: the site's list, sealed bundles and the lock's sealed log are there, and its own key is.
    for (const sign of ["lobby-lock", "bundles", "sealed-log"]) expect(disk.includes(sign), sign).toBe(true);
    expect(readFileSync(join(house.folder, "agent", "state", "courier.key"), "utf8").trim()).toHaveLength(44);
    const found = [...secrets].filter(([, bytes]) => formsOf(bytes).some((form) => disk.includes(form)));
    // By its name alone: the message must not print what it must not.
    expect(found.map(([name]) => name)).toEqual([]);
  }, 60_000);
});

/** By what it is. */
function secretsOfHouse(): ReadonlyMap<string, Uint8Array> {
  const keys = cloudKeysFromSeed(seededRandom(HOUSE_SEED, "authority").bytes(32));
  const secrets = new Map<string, Uint8Array>([
    ...Object.entries(keys.roles).map(([role, key]) => [`the ${role} key`, key] as const),
    ["the root", keys.root],
    ["the sticker key", keys.sticker],
    ["the secret of cards", keys.cardSecret],
  ]);
  const site: unknown = parse(readFileSync(mapleCourtFile, "utf8"));
  const named = z.object({ id: z.string() });
  const { doors, devices } = z.object({ doors: z.array(named), devices: z.array(named) }).parse(site);
  for (const { id } of doors) {
    for (const epoch of [1, 2]) secrets.set(`daily key ${epoch} of ${id}`, keys.dailyKey(id, epoch));
  }
  for (const { id } of devices) {
    secrets.set(`password of ${id}`, utf8(keys.enrolledPassword(id)));
    secrets.set(`report key of ${id}`, keys.enrolledReportKey(id));
    secrets.set(`code hash key of ${id}`, keys.enrolledCodeHashKey(id));
    secrets.set(`entry tag key of ${id}`, keys.enrolledEntryTagKey(id));
  }
  const state = JSON.parse(readFileSync(join(house.folder, "site", "site.json"), "utf8"));
  const { cards } = z.object({ cards: z.record(z.string(), z.string()) }).parse(state);
  for (const [card, key] of Object.entries(cards)) secrets.set(`key of ${card}`, Buffer.from(key, "base64"));
  collect(site, "site", secrets);
  return secrets;
}

/** Every text of 6 characters or more under a secret's field; shorter ones stand in other words by chance. */
function collect(value: unknown, where: string, found: Map<string, Uint8Array>): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, below] of Object.entries(value)) {
    const place = `${where}.${key}`;
    if (secretField.test(key) && typeof below === "string" && below.length >= 6) found.set(place, utf8(below));
    else collect(below, place, found);
  }
}

/** As it is, and as a JSON document would have it. */
function formsOf(secret: Uint8Array): readonly (Buffer | string)[] {
  const bytes = Buffer.from(secret);
  return [bytes, bytes.toString("base64"), bytes.toString("hex")];
}

function bytesBelow(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true });
  return Buffer.concat(
    files.filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name))),
  );
}
