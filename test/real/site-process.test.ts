import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { CheckoutHouse, checkout, mapleCourtFile, post, runCommand, until } from "./checkout-house.ts";

const worldSchema = z.object({
  broughtUp: z.boolean(),
  start: z.number(),
  devices: z.array(
    z.object({
      id: z.string(),
      bootCount: z.number(),
      logNext: z.number().nullable(),
      clock: z.object({ quality: z.string() }).optional(),
      paired: z.boolean().optional(),
    }),
  ),
});
const logSchema = z.object({ events: z.array(z.object({ boot: z.number(), sequence: z.number(), kind: z.string() })) });

describe("the process of an emulated site", () => {
  let house: CheckoutHouse;

  beforeAll(async () => {
    house = await CheckoutHouse.create();
  });
  afterAll(async () => {
    await house.stopAll();
  });

  const world = async () => worldSchema.parse(await (await fetch(`${house.siteUrl}/api/world`)).json());

  it("waits for the cloud, whichever of them starts first", async () => {
    const site = house.startSite();
    await until("the world's API", async () => {
      const answered = await fetch(`${house.siteUrl}/healthz`).catch(() => undefined);
      return answered?.ok === true;
    });
    expect((await world()).broughtUp).toBe(false);
    await house.startCloud();
    await site;
    const seen = await world();
    expect(seen.broughtUp).toBe(true);
    expect(seen.devices.filter(({ paired }) => paired === true)).toHaveLength(3);
  });

  it("a port in use is one clear line and exit code 3", async () => {
    const ended = await runCommand("emulator/front.js", [
      ...house.siteArguments,
      "--bus-dir",
      join(house.folder, "bus-2"),
      "--state",
      join(house.folder, "site-2"),
    ]);
    expect(ended.exitCode).toBe(3);
    expect(ended.stderr.trim().split("\n")).toEqual([expect.stringContaining(`port ${house.port(0)} is in use`)]);
    expect(ended.stdout).toBe("");
  });

  it("no dbus-daemon is one clear line with the way out, and exit code 3", async () => {
    const ended = await runCommand(
      "emulator/front.js",
      [...house.siteArguments, "--state", join(house.folder, "site-3")],
      {
        ...process.env,
        PATH: "/nowhere",
      },
    );
    expect(ended.exitCode).toBe(3);
    expect(ended.stderr.trim().split("\n")).toEqual([expect.stringContaining("apt-get install dbus-daemon")]);
  });

  it("a malformed site file: every mistake with file, line and what was expected, exit code 2, and no trace", async () => {
    const file = join(checkout, "test/emulator/world/malformed/many-mistakes.yaml");
    const ended = await runCommand("emulator/front.js", ["site", file, "--state", join(house.folder, "site-4")]);
    expect(ended.exitCode).toBe(2);
    const lines = ended.stderr.trim().split("\n");
    expect(lines).toHaveLength(11);
    for (const line of lines) expect(line).toMatch(/many-mistakes\.yaml:\d+:\d+ .*expected .*came/);
  });

  it("usage mistakes are said all at once, exit code 2", async () => {
    const ended = await runCommand("emulator/front.js", [
      "site",
      "/nowhere.yaml",
      "--http-port",
      "x",
      "--seed",
      "1.5",
      "--cloud",
      "ftp://x",
    ]);
    expect(ended.exitCode).toBe(2);
    const names = ended.stderr
      .trim()
      .split("\n")
      .map((line) => line.split(": ")[1]);
    expect(names).toEqual(["file", "--http-port", "--seed", "--cloud"]);
    expect((await runCommand("emulator/front.js", ["site"])).exitCode).toBe(2);
    expect((await runCommand("emulator/front.js", ["site", mapleCourtFile, "--no-such"])).exitCode).toBe(2);
  });

  it("takes no change from a foreign web page", async () => {
    const response = await fetch(`${house.siteUrl}/api/people/ana-reyes/try`, {
      method: "POST",
      body: "device=lobby-lock",
    });
    expect(response.status).toBe(415);
  });

  it("row 63, row 66: a phone opens by a session over the air, a mechanical key without asking, a copied card not at all", async () => {
    const attempt = (person: string, what: object) => post(`${house.siteUrl}/api/people/${person}/try`, what);
    // No gateway has brought this lock a policy: it hears the phone out, knows nobody, and says so in its log.
    const app = { device: "apartment-2a-lock", credential: "chloe-app" };
    expect(await attempt("chloe-martin", app)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    expect(await attempt("chloe-martin", { ...app, phone: "ben-phone" })).toEqual({ code: "not-signed-in-there" });
    expect(await attempt("ella-novak", { device: "lobby-lock", credential: "chloe-app" })).toEqual({
      code: "credential-not-theirs",
    });
    const key = { device: "apartment-2a-lock", credential: "chloe-key" };
    expect(await attempt("chloe-martin", key)).toMatchObject({ granted: true, indicator: "none" });
    expect(await attempt("chloe-martin", { ...key, device: "lobby-lock" })).toEqual({ code: "no-keyway" });
    expect(await attempt("chloe-martin", { ...key, device: "roof-lock" })).toEqual({ code: "key-does-not-fit" });
    const log = logSchema.parse(await (await fetch(`${house.siteUrl}/api/devices/apartment-2a-lock/log`)).json());
    expect(log.events.map(({ kind }) => kind).slice(-2)).toEqual(["access-denied", "door"]);
    const deadbolt = (lock: string) => post(`${house.siteUrl}/api/locks/${lock}/deadbolt`, { deadbolt: "extended" });
    expect(await deadbolt("roof-lock")).toEqual({ device: "roof-lock", deadbolt: "extended" });
    expect(await deadbolt("lobby-lock")).toEqual({ code: "no-deadbolt" });
  });

  it("row 73, row 77: somebody signs in on another phone, and out again; a password reset reaches every phone", async () => {
    const app = (what: string, body: object) => post(`${house.siteUrl}/api/people/chloe-martin/${what}`, body);
    const on = { phone: "ben-phone" };
    expect(await app("sign-in", on)).toEqual({ person: "chloe-martin", signedInOn: ["ben-phone", "chloe-phone"] });
    expect(await app("codes", on)).toEqual({ codes: [{ doors: ["apartment-2a"], code: "4815162" }] });
    expect(await app("sign-out", on)).toEqual({ person: "chloe-martin", signedInOn: ["chloe-phone"] });
    expect(await app("codes", on)).toEqual({ code: "phone-signed-out" });
    await post(`${house.cloudUrl}/api/people/chloe-martin/password-reset`, {});
    await until("the phone to hear of it", async () => {
      const answered = z.object({ code: z.string().optional() }).parse(await app("codes", {}));
      return answered.code === "phone-signed-out";
    });
  });

  it("ends within two seconds, and started again its locks are paired, their logs go on, their clocks lost power", async () => {
    await post(`${house.siteUrl}/api/people/ana-reyes/try`, { device: "lobby-lock" });
    const before = await world();
    const { exitCode, tookMs } = await house.stop("site");
    expect(exitCode).toBe(0);
    expect(tookMs).toBeLessThan(2_500);
    await house.startSite();
    const after = await world();
    expect(after.start).toBe(before.start);
    const [was, is] = [before, after].map(({ devices }) => devices.find(({ id }) => id === "lobby-lock"));
    expect(is).toMatchObject({ bootCount: (was?.bootCount ?? 0) + 1, paired: true, clock: { quality: "lower-bound" } });
    const log = logSchema.parse(await (await fetch(`${house.siteUrl}/api/devices/lobby-lock/log`)).json());
    expect(log.events.map(({ sequence }) => sequence)).toEqual(log.events.map((_, index) => index + 1));
    expect(log.events.at(-1)).toMatchObject({ kind: "boot", boot: is?.bootCount });
  });
});
