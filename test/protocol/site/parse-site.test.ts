import { describe, expect, it } from "vitest";
import { z } from "zod";
import { formatMistake, type Mistake } from "../../../protocol/site/document.ts";
import { parseSite, parseSiteWith } from "../../../protocol/site/parse-site.ts";
import { siteFileSchema } from "../../../protocol/site/site.ts";
import { after, day, hour, mapleCourt, siteOf, start } from "./fixtures.ts";

function mistakesOf(text: string): readonly Mistake[] {
  const parsed = parseSite(text, { start });
  return parsed.ok ? [] : parsed.fault.mistakes;
}

const linesOf = (text: string) => mistakesOf(text).map(formatMistake);

const small = `site: { id: s, name: S, timeZone: Europe/Berlin, propertyManager: { name: P } }
doors:
  - { id: front, name: Front, kind: COMMUNAL }
`;

describe("a sound file", () => {
  const site = siteOf(mapleCourt);

  it("[N1] defaults: seven digits, guessing bound one in a thousand, slots by the kind of door", () => {
    expect(site.doorcodeDigits).toBe(7);
    expect(site.guessing).toEqual({ bound: 1e-3, triesAtOnce: 10, refillSeconds: 4_320 });
    expect(site.doors.find(({ id }) => id === "lobby")?.dailySlots).toEqual({ singleUse: 28, allDay: 4 });
    expect(site.doors.find(({ id }) => id === "home-1a")?.dailySlots).toEqual({ singleUse: 3, allDay: 1 });
  });

  it("[N11] leases are whole days of a class; none is given to a site that names none", () => {
    expect(site.leaseDays).toEqual({});
    const leased = small.replace("propertyManager", "leases: { app: 5, keycard: 366 }, propertyManager");
    expect(siteOf(leased).leaseDays).toEqual({ app: 5, keycard: 366 });
  });

  it("[N5] times relative to the start become instants", () => {
    const visit = site.credentials.find(({ id }) => id === "visit");
    expect(visit?.from).toBe(after(-hour));
    expect(visit?.until).toBe(after(2 * hour));
    const garage = site.doors.find(({ id }) => id === "garage");
    expect(garage?.licence).toEqual({ kind: "dated", from: after(-300 * day), until: after(60 * day) });
  });

  it("[N1] a key with a schedule observes holidays, a key without one ignores them, unless told otherwise", () => {
    const observes = (id: string) => site.accessGroups.find((group) => group.id === id)?.observesHolidays;
    expect([observes("residents"), observes("cleaning")]).toEqual([false, true]);
  });

  it("[N1] the site is plain data: JSON carries it whole", () => {
    expect(JSON.parse(JSON.stringify(site))).toEqual(site);
  });
});

describe("mistakes", () => {
  it("[N4] a credential counts the uses that it was given in all, and a file that says how many are left is told the key", () => {
    const given = (key: string) =>
      `${small}credentials:\n  - { id: a, kind: keycard, number: "04a1b2c3", ${key}: 3 }\n`;
    expect(siteOf(given("usesAllowed")).credentials[0]).toMatchObject({ usesAllowed: 3 });
    expect(linesOf(given("usesLeft"))).toEqual([
      '5:59 credentials[0].usesLeft: expected the key "usesAllowed": how often in all, at each device, came 3',
    ]);
  });

  it.each([
    ["keycard: 4", "site.leases.keycard: expected a whole number of days, 5-366, came 4"],
    ["keycard: 367", "site.leases.keycard: expected a whole number of days, 5-366, came 367"],
    ["keycard: 7.5", "site.leases.keycard: expected a whole number of days, 5-366, came 7.5"],
    ["keycard: 7d", 'site.leases.keycard: expected a whole number of days, 5-366, came "7d"'],
    ["keycard: null", "site.leases.keycard: expected a whole number of days, 5-366, came an empty value"],
    ["face: 7", 'site.leases.face: expected no such key, came the key "face"'],
  ])("[N11] a lease of `%s` is a mistake", (lease, expected) => {
    const lines = linesOf(small.replace("propertyManager", `leases: { ${lease} }, propertyManager`));
    expect(lines.map((line) => line.replace(/^\S+ /, ""))).toEqual([expected]);
  });

  it("[N4] every mistake at once, in the order of the file, each with its line and column", () => {
    const text = `site:
  id: Maple Court
  name: Maple
  timeZone: America/Gotham
  doorcodeDigits: 9
  propertyManager: { name: M, email: nobody }
doors:
  - { id: lobby, name: Lobby, kind: FRONT }
  - { id: lobby, name: Lobby, kind: COMMUNAL, colour: red }
devices:
  - { id: lobby-lock, model: C9, door: lobbby, serial: x }
  - { id: gym-r2, model: R2, door: lobby, serial: x, address: "C0:FF:EE:00:00:01" }
panels:
  - { id: r2-panel, name: Panel }
people:
  - { id: alice, name: Alice, email: alice@maple.example, role: OWNER, unit: unit-9 }
credentials:
  - { id: a, kind: permanent-doorcode, person: bob, code: 4815162 }
  - { id: b, kind: pass }
  - { id: c, kind: temp-key, code: "4321", from: start, until: start-1h }
  - { id: d, kind: temp-key, from: start, until: 2026-02-30 }
`;
    expect(linesOf(text)).toEqual([
      '2:7 site.id: expected an id of 1-32 characters a-z 0-9 -, came "Maple Court"',
      '4:13 site.timeZone: expected an IANA time zone such as America/New_York, came "America/Gotham"',
      "5:19 site.doorcodeDigits: expected at most 7, came 9",
      "6:38 site.propertyManager.email: expected an e-mail address, came a string of 6 characters (not shown)",
      '8:37 doors[0].kind: expected one of COMMUNAL, ELEVATOR, ENTRANCE, RESIDENCE, SERVICE, came "FRONT"',
      '9:11 doors[1].id: expected an id that is not used by doors[0], came "lobby"',
      '9:55 doors[1].colour: expected no such key, came the key "colour"',
      '11:30 devices[0].model: expected one of C1, C2, M2, R2, Interconnect, A08, EC33, R20, R29, X915V2, came "C9"',
      '11:40 devices[0].door: expected the id of a door in doors, came "lobbby"',
      '12:63 devices[1].address: expected no Bluetooth address, for a R2 has its own network, came "C0:FF:EE:00:00:01"',
      "14:5 panels[0].door: expected a string, came nothing",
      '16:65 people[0].role: expected one of RESIDENT, NON_RESIDENT, GUEST, TOURER, MANAGER, came "OWNER"',
      '16:78 people[0].unit: expected the id of a unit in units, came "unit-9"',
      '18:48 credentials[0].person: expected the id of a person in people, came "bob"',
      "18:59 credentials[0].code: expected a string, came a number of 7 characters (not shown)",
      '19:20 credentials[1].kind: expected one of app-key, permanent-doorcode, keycard, mechanical-key, pin, rf-card, qr, face, licence-plate, temp-key, came "pass"',
      '20:64 credentials[2].until: expected a time after start, came "start-1h"',
      "21:5 credentials[3]: expected a code, a text, or both in a temp key, came neither",
      '21:50 credentials[3].until: expected a time that exists, came "2026-02-30"',
    ]);
  });

  it("[N2] a device and a panel share one space of ids", () => {
    const text = `${small}devices: [{ id: one, model: C2, door: front, serial: x }]\npanels: [{ id: one, door: front }]\n`;
    expect(linesOf(text)).toEqual(['5:16 panels[0].id: expected an id that is not used by devices[0], came "one"']);
  });

  it("[N2] a lock that is assigned to no door", () => {
    expect(linesOf(`${small}devices: [{ id: one, model: C2, serial: x }]\n`)).toEqual([
      "4:11 devices[0].door: expected a string, came nothing",
    ]);
  });

  it("[N3] one code twice at the same doors names the other credential and never the code", () => {
    const text = `${small}credentials:
  - { id: one, kind: permanent-doorcode, code: "4815162" }
  - { id: two, kind: pin, code: "4815162" }
`;
    const lines = linesOf(text);
    expect(lines).toEqual([
      "6:33 credentials[1].code: expected another one than one has at the same doors, came a string of 7 characters (not shown)",
    ]);
  });

  describe("codes that no keypad would take", () => {
    const linesWith = (device: string, credential: string) =>
      linesOf(`${small.replace("name: S,", "name: S, doorcodeDigits: 6,")}  - { id: back, name: Back, kind: COMMUNAL }
devices:
  - { id: one, model: ${device}, door: front, serial: x }
credentials:
  - ${credential}
`);

    it.each(["C2", "M2", "R2", "Interconnect"])(
      "[N10] a %s has no check mark: its codes are as long as the site's",
      (model) => {
        const code = (digits: string, doors = "") => `{ id: a, kind: permanent-doorcode, code: "${digits}"${doors} }`;
        expect(linesWith(model, code("481516"))).toEqual([]);
        for (const wrong of ["48151", "4815162"]) {
          expect(linesWith(model, code(wrong))).toEqual([
            `8:46 credentials[0].code: expected 6 digits as the site's doorcodes have, for one (${model}) has no check mark, came a string of ${wrong.length} characters (not shown)`,
          ]);
        }
        expect(linesWith(model, code("4815162", ", doors: [front, back]"))).toHaveLength(1);
        expect(linesWith(model, code("4815162", ", doors: [back]"))).toEqual([]);
      },
    );

    it.each(["C1", "R29"])("[N10] a %s has a check mark, or takes no such code: any length does", (model) => {
      expect(linesWith(model, `{ id: a, kind: permanent-doorcode, code: "4815162" }`)).toEqual([]);
    });

    it("[N10] a PIN has at least four digits", () => {
      const pin = (digits: string) => linesWith("R29", `{ id: a, kind: pin, code: "${digits}" }`);
      expect([pin("1234"), pin("12345678")]).toEqual([[], []]);
      for (const wrong of ["12", "123", "123456789"]) expect(pin(wrong)[0]).toContain("expected 4-8 digits");
    });
  });

  it("[N3] codes, numbers and e-mails are never repeated in a mistake", () => {
    const text = `${small}people: [{ id: a, name: A, email: someone-private, role: GUEST }]
credentials:
  - { id: c1, kind: permanent-doorcode, code: "99x8877" }
  - { id: c2, kind: keycard, number: "zz-card-zz" }
  - { id: c3, kind: qr, text: "short77" }
`;
    const lines = linesOf(text).join("\n");
    expect(linesOf(text)).toHaveLength(4);
    for (const secret of ["someone-private", "99x8877", "zz-card-zz", "short77"]) expect(lines).not.toContain(secret);
  });

  it("[N4] text that is no YAML", () => {
    expect(linesOf("site: {id: s\ndoors: [")[0]).toMatch(/^\d+:\d+ expected YAML, came /);
    expect(linesOf("")).toEqual(["1:1 expected a map, came an empty value"]);
    expect(linesOf("- 1\n")).toEqual(["1:1 expected a map, came a list of 1"]);
  });

  it("[N4] anchors, deep nesting and great length are refused, not followed", () => {
    expect(linesOf(`a: &x [1]\nb: *x\n`).join("\n")).toContain(
      "2:4 b: expected a value written out, came a YAML alias",
    );
    expect(linesOf("[".repeat(50_000))).toHaveLength(1);
    expect(linesOf("a".repeat(3_000_000))).toEqual(["1:1 expected at most 2097152 characters, came 3000000"]);
  });
});

describe("times", () => {
  const untilOf = (until: string) =>
    siteOf(`${small}credentials: [{ id: a, kind: app-key, until: "${until}" }]\n`).credentials[0]?.until;

  it.each([
    ["2026-12-24", "2026-12-24T23:00:00Z"],
    ["2026-12-24T08:00", "2026-12-24T07:00:00Z"],
    ["2026-12-24T08:00:00-05:00", "2026-12-24T13:00:00Z"],
    ["2026-12-24T08:00Z", "2026-12-24T08:00:00Z"],
    ["start+1w", "2026-12-01T17:00:00Z"],
    // The clocks of Berlin skip this time; it is taken an hour later.
    ["2027-03-28T02:30", "2027-03-28T01:30:00Z"],
    // They repeat this one; the first is meant.
    ["2027-10-31T02:30", "2027-10-31T00:30:00Z"],
  ])("[N5] until %s is %s", (text, instant) => {
    expect(untilOf(text)).toBe(Date.parse(instant) / 1_000);
  });

  it("[N5] a date as a beginning is the day's first instant", () => {
    const site = siteOf(`${small}credentials: [{ id: a, kind: app-key, from: 2026-12-24 }]\n`);
    expect(site.credentials[0]?.from).toBe(Date.parse("2026-12-23T23:00:00Z") / 1_000);
  });

  it.each(["tomorrow", "2026-13-01", "start+3", "start + 3d", "24.12.2026", "2026-12-24T25:00"])(
    "[N5] %s is no time",
    (text) => {
      const lines = linesOf(`${small}credentials: [{ id: a, kind: app-key, until: "${text}" }]\n`);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^4:46 credentials\[0\]\.until: expected a time/);
    },
  );

  it("[N5] a holiday relative to the start is a civil day of the site", () => {
    const site = siteOf(`${small}holidays: [{ id: h, name: H, from: start+3d, to: start+4d }]\n`);
    expect(site.holidays[0]).toMatchObject({ fromDay: 20_784, toDay: 20_785 });
  });
});

describe("an extended file", () => {
  const schema = siteFileSchema.extend({
    world: z.strictObject({ phones: z.array(z.strictObject({ owner: z.string(), until: z.string() })) }),
  });
  const options = { start };

  it("[N8] gives the site, the whole file and its times", () => {
    const parsed = parseSiteWith(`${small}world: { phones: [{ owner: ann, until: start+1h }] }\n`, schema, options);
    if (!parsed.ok) throw new Error(parsed.fault.mistakes.map(formatMistake).join("\n"));
    expect(parsed.value.file.world.phones[0]?.owner).toBe("ann");
    expect(parsed.value.time(parsed.value.file.world.phones[0]?.until ?? "", "until")).toBe(after(hour));
    expect(parsed.value.site.doors).toHaveLength(1);
  });

  it("[N8] its mistakes and those of its own checks have lines too", () => {
    const wrong = parseSiteWith(`${small}world: { phones: [{ owner: 5, until: start }] }\n`, schema, options);
    expect(wrong.ok ? [] : wrong.fault.mistakes.map(formatMistake)).toEqual([
      "4:28 world.phones[0].owner: expected a string, came 5",
    ]);
    const checked = parseSiteWith(`${small}world: { phones: [{ owner: ann, until: start }] }\n`, schema, {
      start,
      check: ({ file, site }) =>
        file.world.phones.flatMap(({ owner }, index) =>
          site.people.some(({ id }) => id === owner)
            ? []
            : [{ path: ["world", "phones", index, "owner"], expected: "the id of a person in people" }],
        ),
    });
    expect(checked.ok ? [] : checked.fault.mistakes.map(formatMistake)).toEqual([
      '4:28 world.phones[0].owner: expected the id of a person in people, came "ann"',
    ]);
  });
});
