import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runDecide } from "../../../agent/commands/decide.ts";
import { runOdds } from "../../../agent/commands/odds.ts";
import { mapleCourt } from "../../protocol/site/fixtures.ts";

let folder = "";
const file = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-decide-"));
  await writeFile(file("site.yaml"), mapleCourt);
  await writeFile(file("world.yaml"), `${mapleCourt}world: { phones: [] }\n`);
  await writeFile(
    file("key.yaml"),
    mapleCourt
      .concat("  - { id: max-key, kind: mechanical-key, person: max }\n")
      .replace("devices:\n", "  - { id: cellar, name: Cellar, kind: SERVICE }\ndevices:\n"),
  );
  await writeFile(
    file("wrong.yaml"),
    mapleCourt.replace("door: lobby, serial: C2-0001", "door: loby, serial: C2-0001"),
  );
  await writeFile(
    file("short.yaml"),
    mapleCourt
      .replace("timeZone: America/New_York", "timeZone: America/New_York\n  doorcodeDigits: 4")
      .replace('"4815162"', '"4815"'),
  );
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command and keeps what it wrote. */
async function run<Options>(
  command: (
    options: Options,
    output: { write: (text: string) => void; warn: (text: string) => void },
  ) => Promise<number>,
  options: Options,
) {
  const said = { out: "", err: "" };
  const write = (text: string): void => {
    said.out += text;
  };
  const warn = (text: string): void => {
    said.err += text;
  };
  return { code: await command(options, { write, warn }), ...said };
}

const question = (differing: object = {}) => ({
  site: file("site.yaml"),
  door: "lobby",
  credential: "eve-card",
  at: "2026-11-24T12:00:00-05:00",
  ...differing,
});

describe("doorlink decide", () => {
  it("says granted, with exit code 0", async () => {
    const { code, out, err } = await run(runDecide, question());
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^lobby-lock \(C2\) {2}granted\n/);
  });

  it("says denied with all checks, the reason and the remedy, with exit code 1", async () => {
    const { code, out } = await run(runDecide, question({ at: "2026-11-26T20:00:00-05:00" }));
    expect(code).toBe(1);
    expect(out).toMatch(/^lobby-lock \(C2\) {2}denied: OUT_OF_SCHEDULE\n/);
    expect(out).toMatch(/\n {2}credential +passed\n/);
    expect(out).toMatch(/\n {2}schedule +failed OUT_OF_SCHEDULE\n/);
    expect(out).toMatch(/\n {2}holiday +failed HOLIDAY_RESTRICTED\n/);
    expect(out).toMatch(/\n {2}holiday in the way +founders-day\n/);
    expect(out).toMatch(/\n {2}remedy +Come within the schedule/);
  });

  it("writes one JSON object", async () => {
    const { code, out } = await run(runDecide, question({ json: true, door: "garage", credential: "loose-card" }));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      granted: false,
      devices: [{ device: "garage-reader", primaryReason: "CREDENTIAL_UNASSIGNED", detail: "Invalid RF Card" }],
    });
    expect(out.trim().split("\n")).toHaveLength(1);
  });

  it("[D19] prints the remedy in one line with its steps and that it was proved, and all of it as JSON", async () => {
    const roof = { door: "roof", credential: "cara-pin", at: "2026-11-24T12:00:00-05:00", payment: "yes" };
    const { out } = await run(runDecide, question(roof));
    expect(out).toMatch(
      /\n {2}remedy +Renew the door's licence\. \| with payment permission, Doors > Roof: renew the unsubscribed door \| User > Personnel > Cara Cole > \+Add to Existing Access Group: Residents\n/,
    );
    expect(out).toMatch(/\n {2}after it +proved on a copy: it opens; also a key to lobby, garage, gym\n/);
    const asJson = JSON.parse((await run(runDecide, question({ ...roof, json: true }))).out);
    expect(asJson.devices[0]).toMatchObject({
      verdict: "denied",
      remedies: [
        { reason: "DOOR_LICENSE_EXPIRED", steps: [{ path: ["Doors", "Roof"] }] },
        { reason: "NO_ACCESS_RIGHTS" },
      ],
      fix: { opens: true, changes: [{ kind: "license-door" }, { kind: "join-group", group: "residents" }] },
    });
  });

  it("rows 67, 68, 70: a denial says what opens now, who may give a code, and how to reach property management", async () => {
    const denied = question({ credential: "alice-pin" });
    const { code, out } = await run(runDecide, denied);
    expect(code).toBe(1);
    expect(out).toMatch(/\nalso opens now +alice-app \(BLE\), alice-code \(Doorcode\)\n/);
    expect(out).toMatch(/\na daily code from +alice, /);
    expect(out).toMatch(/\nproperty management +Maple Management, \+1 555 0100, desk@maple\.example\n$/);
    const asJson = JSON.parse((await run(runDecide, { ...denied, json: true })).out);
    expect(asJson.alternatives).toMatchObject({
      codeIssuers: expect.arrayContaining(["max"]),
      propertyManager: { phone: "+1 555 0100" },
    });
    // Of somebody who has nothing else, and of nobody, that is said, too; and a grant needs none of it.
    const loose = await run(runDecide, question({ door: "garage", credential: "loose-card" }));
    expect(loose.out).toMatch(/also opens now +nothing that this person has\n/);
    expect((await run(runDecide, question())).out).not.toContain("property management");
  });

  it("row 99: a credential of nobody: how to have the fix tried", async () => {
    const loose = question({ door: "garage", credential: "loose-card" });
    expect((await run(runDecide, loose)).out).toContain("--assign-to <person> tries it for that person");
    expect((await run(runDecide, { ...loose, assignTo: "alice" })).out).not.toContain("--assign-to");
  });

  it("a mechanical key and a door without a device are answers, and no mistakes of whoever asks", async () => {
    const key = question({ site: file("key.yaml"), credential: "max-key" });
    const turns = await run(runDecide, { ...key, door: "home-1a" });
    expect([turns.code, turns.out, turns.err]).toEqual([0, expect.stringMatching(/turns in home-lock/), ""]);
    const turnsNowhere = await run(runDecide, { ...key, door: "lobby" });
    expect([turnsNowhere.code, turnsNowhere.out, turnsNowhere.err]).toEqual([
      1,
      expect.stringMatching(/turns in no device.*\nproperty management: Maple Management/),
      "",
    ]);
    const bare = await run(runDecide, { ...key, door: "cellar", json: true });
    expect([bare.code, JSON.parse(bare.out)]).toMatchObject([1, { granted: false, devices: [] }]);
    expect((await run(runDecide, { ...key, door: "home-1a", stayedShut: true })).code).toBe(1);
  });

  it("[D20] row 124: a door that stayed shut though all checks pass is unexplained, with exit code 1 and the evidence", async () => {
    const shut = await run(runDecide, question({ stayedShut: true }));
    expect([shut.code, shut.out.split("\n")[0]]).toEqual([1, "lobby-lock (C2)  unexplained"]);
    const shutJson = JSON.parse((await run(runDecide, question({ stayedShut: true, json: true }))).out);
    expect(shutJson).toMatchObject({ granted: false, devices: [{ granted: false, verdict: "unexplained" }] });
    const asJson = JSON.parse((await run(runDecide, question({ detail: "Invalid NFC", json: true }))).out);
    expect(asJson.devices[0]).toMatchObject({
      verdict: "unexplained",
      evidence: { observed: { detail: "Invalid NFC" }, sendTo: [expect.any(String), "support@door.com"] },
    });
    expect((await run(runDecide, question({ payment: "maybe" }))).code).toBe(2);
  });

  it("reads a file that others have added sections to", async () => {
    expect((await run(runDecide, question({ site: file("world.yaml") }))).code).toBe(0);
  });

  it.each([
    ["a time without an offset", { at: "tomorrow" }, /--at and --start expect a time/],
    ["a time that no device holds", { at: "9999-12-31T00:00:00Z" }, /from 1970 to 2100/],
    ["a door that is not there", { door: "attic" }, /no door "attic"; it has lobby, garage/],
    ["a credential that is not there", { credential: "x" }, /no credential "x"/],
    ["a file that is not there", { site: "/nonexistent/site.yaml" }, /cannot be read \(ENOENT\)/],
  ])("%s: one clear line, exit code 2", async (_, differing, line) => {
    const { code, out, err } = await run(runDecide, question(differing));
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(line);
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  it("a file with a mistake: its place and what was expected, exit code 2", async () => {
    const { code, err } = await run(runDecide, question({ site: file("wrong.yaml") }));
    expect(code).toBe(2);
    expect(err).toMatch(/wrong\.yaml:\d+:\d+ devices\[0\]\.door: expected the id of a door in doors, came "loby"/);
  });
});

describe("doorlink odds", () => {
  it("prints the odds of every device, exit code 0 within the bound", async () => {
    const { code, out } = await run(runOdds, { site: file("site.yaml") });
    expect(code).toBe(0);
    expect(out).toMatch(
      /\nlobby-lock +C2 +lobby +30 +33 of 7 digits +1 in 10,101 +1 in 5,128 +1 in 1,000 +within bound\n/,
    );
    expect(out).toMatch(/\ngarage-reader +R29 +garage +unknown +.* +1 in [\d,]+ if throttled +.* +throttle unknown\n/);
  });

  it("shows what is beyond the bound, with exit code 1", async () => {
    const { code, out } = await run(runOdds, { site: file("short.yaml"), json: true });
    expect(code).toBe(1);
    const rows: { device: string; verdict: string }[] = JSON.parse(out).devices;
    expect(rows.map(({ verdict }) => verdict)).toContain("beyond bound");
  });
});
