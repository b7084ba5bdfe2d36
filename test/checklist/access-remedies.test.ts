/** Rows 18, 93-115 and 124: what an operator does about a denial, in S2's words and order, proved on a copy of the site. */
import { describe, expect, it } from "vitest";
import { reasonCodes } from "../../protocol/access/reasons.ts";
import { type RemedyFacts, remediesOfDetail, remedyFor, stepText, tripleOf } from "../../protocol/access/remedies.ts";
import { unixSeconds } from "../../protocol/base/units.ts";
import { decideAtDesk } from "../../protocol/site/desk-decision.ts";
import { type DeskQuestion, explainAtDesk } from "../../protocol/site/desk-remedies.ts";
import { explainDirectory } from "../../protocol/site/directory.ts";
import type { Site } from "../../protocol/site/site.ts";
import { applyChange, replacementId, type SiteChange } from "../../protocol/site/site-change.ts";
import { after, day, hour, mapleCourt, siteOf, start } from "../protocol/site/fixtures.ts";

const site = siteOf(mapleCourt);
const newYork = (text: string) => unixSeconds(Date.parse(`${text}-05:00`) / 1_000);

function explain(door: string, credential: string, differing: Partial<DeskQuestion> = {}, changed: Site = site) {
  const explained = explainAtDesk(changed, { door, credential, at: start, ...differing });
  const [first] = explained.ok ? explained.value : [];
  if (first === undefined) throw new Error("the door has a device");
  return { ...first, lines: first.remedies.flatMap(({ steps }) => steps.map(stepText)) };
}

const facts: RemedyFacts = {
  maker: "Akuvox",
  offline: false,
  door: "Garage",
  credential: "RF Card",
  user: "Cara Cole",
  memberships: [],
  groupsThatOpen: [],
  visitor: false,
  reads: [],
};

describe("row 18", () => {
  const remediesFor = (person: string) => explainDirectory(site, "lobby-link", person, start).remedies;

  it.each([
    ["ben", "no-unit", "People > Ben Birch > Edit: assign a unit"],
    ["cara", "no-key", "People > Cara Cole > Edit: give key access to Lobby, the door paired with Lobby link"],
    ["dan", "not-shown", "People > Dan Dale > Account settings: enable Show in intercom"],
  ])("row 18: %s, who lacks %s, comes with the operator's path to mend it", (person, gap, text) => {
    expect(remediesFor(person)).toEqual([expect.objectContaining({ gap, text })]);
  });

  it("row 18: every missing thing carries its path, in the order of the findings; whoever is listed has none", () => {
    const eve = explainDirectory(site, "lobby-link", "eve", start);
    expect(eve.remedies.map(({ gap }) => gap)).toEqual(eve.missing);
    for (const { path, action, text } of eve.remedies) expect(text).toBe(`${path.join(" > ")}: ${action}`);
    expect(remediesFor("alice")).toEqual([]);
    // A name is text and no template.
    const people = site.people.map((one) => (one.id === "ben" ? { ...one, name: "{door} $& Ben" } : one));
    const odd = explainDirectory({ ...site, people }, "lobby-link", "ben", start).remedies;
    expect(odd[0]?.path).toEqual(["People", "{door} $& Ben", "Edit"]);
  });
});

describe("reason, cause, remedy", () => {
  it("[D19] every reason has all three, and a step at least, for either maker", () => {
    for (const reason of reasonCodes) {
      const { cause, remedy } = tripleOf(reason);
      expect([reason, cause.endsWith("."), remedy.endsWith(".")]).toEqual([reason, true, true]);
      for (const maker of ["DOOR", "Akuvox"] as const) {
        expect(remedyFor(reason, { ...facts, maker }).steps.length).toBeGreaterThan(0);
      }
    }
  });

  it.each([
    ["row 93", "CREDENTIAL_UNASSIGNED", /not assigned to a user/, /^Assign the credential to a user/],
    ["row 94", "DOOR_LICENSE_EXPIRED", /subscription has expired/, /^Renew/],
    ["row 94", "DOOR_NOT_ACTIVATED", /never activated/, /^Activate/],
    ["row 95", "NO_ACCESS_RIGHTS", /in no access group/, /access group/],
    ["row 96", "CREDENTIAL_EXPIRED", /time is over/, /^Create a new credential/],
    ["row 97", "HOLIDAY_RESTRICTED", /holiday/, /working hours/],
  ] as const)("%s: %s is a triple of reason, cause and remedy", (_, reason, cause, remedy) => {
    const triple = tripleOf(reason);
    expect(triple.cause).toMatch(cause);
    expect(triple.remedy).toMatch(remedy);
  });
});

describe("a credential of nobody", () => {
  it("row 99: without knowing for whom it is, both ways to assign it are given", () => {
    const { lines, fix } = explain("garage", "loose-card");
    expect(lines.map((line) => line.split(",")[0])).toEqual(["for a new user", "for a new user", "for a current user"]);
    expect(fix).toMatchObject({ opens: false, changes: [], left: ["CREDENTIAL_UNASSIGNED"] });
  });

  it("row 100: for a new user: New Personnel, then Next to set up credentials", () => {
    expect(explain("garage", "loose-card", { assignTo: "somebody-new" }).lines).toEqual([
      "for a new user, User > Personnel > New Personnel: set up the user's basic information and permissions",
      "for a new user, User > Personnel > New Personnel > Next: add the RF Card",
    ]);
  });

  it("row 101: for a current user: add the credential to them, and it is proved to open", () => {
    const { lines, fix } = explain("garage", "loose-card", { assignTo: "alice" });
    expect(lines).toEqual(["for a current user, User > Personnel > Alice Ames: open the user and add the RF Card"]);
    expect(fix).toMatchObject({ opens: true, changes: [{ kind: "assign-credential", person: "alice" }] });
  });
});

describe("a door without a licence", () => {
  it("row 103: without payment permission the way leads to the distributor", () => {
    expect(explain("roof", "alice-pin", { paymentPermission: false }).lines).toEqual([
      "without payment permission, contact your distributor to renew the licence of Roof",
    ]);
  });

  it("row 104: with the permission one activates or renews it oneself, by what it is", () => {
    const renew = explain("roof", "alice-pin", { paymentPermission: true });
    const activate = explain("gym", "alice-pin", { paymentPermission: true });
    expect(renew.lines[0]).toMatch(/renew/);
    expect(activate.lines[0]).toMatch(/activate/);
    // Whose permission is not known is shown both.
    expect(explain("roof", "alice-pin").lines.map((line) => line.split(",")[0])).toEqual([
      "with payment permission",
      "without payment permission",
    ]);
  });

  it("row 105: Doors, the unsubscribed door, renew; and then it opens", () => {
    const { lines, fix } = explain("roof", "alice-pin", { paymentPermission: true });
    expect(lines).toEqual(["with payment permission, Doors > Roof: renew the unsubscribed door"]);
    expect(fix).toMatchObject({ opens: true, changes: [{ kind: "license-door", door: "roof" }], gains: [] });
  });
});

describe("access groups", () => {
  it("row 109: the licence is mended first, the access group second, also when only the log's text is known", () => {
    const { remedies, fix } = explain("roof", "cara-pin");
    expect(remedies.map(({ reason }) => reason)).toEqual(["DOOR_LICENSE_EXPIRED", "NO_ACCESS_RIGHTS"]);
    expect(fix?.changes.map(({ kind }) => kind)).toEqual(["license-door", "join-group"]);
    const fromText = remediesOfDetail("No access permission or door license is not available", facts);
    expect(fromText.map(({ reason }) => reason)).toEqual([
      "DOOR_LICENSE_EXPIRED",
      "DOOR_NOT_ACTIVATED",
      "DOOR_NOT_ASSIGNED",
      "NO_ACCESS_RIGHTS",
      "OUT_OF_SCHEDULE",
    ]);
  });

  const evening = newYork("2026-11-24T20:00:00");
  /** Eve in the cleaning group herself. */
  const direct: Site = {
    ...site,
    accessGroups: site.accessGroups.map((one) =>
      one.id === "cleaning" ? { ...one, members: ["eve"], userGroups: [] } : one,
    ),
  };

  it("row 110: User > Personnel: out of the group that does not cover the time, then into one that does", () => {
    const { lines, fix } = explain("garage", "eve-rf", { at: evening }, direct);
    expect(lines).toEqual([
      "only if the user is to be moved, User > Personnel > Eve Elm: remove Eve Elm from access group Cleaning",
      "User > Personnel > Eve Elm > +Add to Existing Access Group: one of Residents, Office",
    ]);
    // One group that lets in is enough: nobody loses a key for coming at the wrong hour.
    expect(fix?.changes.map(({ kind }) => kind)).toEqual(["join-group"]);
    expect(fix?.opens).toBe(true);
  });

  it("row 111: a membership that is inherited ends at the user group, which is named, and first", () => {
    const { lines, fix } = explain("garage", "eve-rf", { at: evening });
    expect(lines[0]).toBe(
      "only if the user is to be moved, User group > Cleaners: remove Eve Elm from the group first: access group Cleaning is inherited from it",
    );
    expect(lines.join()).not.toContain("remove Eve Elm from access group");
    // Nobody else's home is opened to her when another group does.
    expect(fix?.changes).toHaveLength(1);
    expect(fix?.changes[0]).toMatchObject({ kind: "join-group", group: "residents" });
    expect(fix?.gains).toEqual(["roof", "gym"]);
  });

  it("row 112: groups that cover this door at this time are suggested, else a new one", () => {
    expect(explain("garage", "cara-pin").lines).toEqual([
      "User > Personnel > Cara Cole > +Add to Existing Access Group: one of Cleaning, Residents, Office",
    ]);
    const none = { ...site, accessGroups: site.accessGroups.filter(({ id }) => id === "cleaning") };
    const { lines, fix } = explain("garage", "cara-pin", { at: evening }, none);
    expect(lines).toEqual([
      "User > Personnel > Cara Cole > Create New Access Group: with Garage and a schedule that covers this time; no group that exists does",
    ]);
    expect(fix).toMatchObject({ opens: true, changes: [{ kind: "create-group", door: "garage", person: "cara" }] });
  });

  it("row 112: a group that exists is suggested also to whose credential has not begun, and it is begun as well", () => {
    const { lines, fix } = explain("garage", "cara-pin", {}, cornerCases);
    expect(lines[0]).toBe(
      "User > Personnel > Cara Cole > +Add to Existing Access Group: one of Cleaning, Residents, Office",
    );
    expect(fix?.changes.map(({ kind }) => kind)).toEqual(["join-group", "begin-credential"]);
  });

  it("row 112: at DOOR's own offline lock the key is given to the person, and a sync brings it", () => {
    const { lines } = explain("home-1a", "eve-card");
    expect(lines).toEqual([
      "People > Eve Elm > Edit: give one of Home 1A, Office",
      "Access > 1A: sync the door, which brings the change to the lock",
    ]);
  });
});

/** As Maple Court, with what one credential alone seldom has: two faults, of which the second shows once the first is mended. */
const cornerCases: Site = {
  ...site,
  credentials: [
    ...site.credentials.map((one) => {
      switch (one.id) {
        case "alice-code":
          return { ...one, doors: ["home-1a"] };
        case "cara-pin":
          return { ...one, from: after(30 * day) };
        case "eve-rf":
          return { ...one, state: "lost" as const };
        case "alice-face":
          return { ...one, state: "disabled" as const };
        case "eve-card":
          return { ...one, until: after(hour) };
        default:
          return one;
      }
    }),
    { id: "loose-keycard", kind: "keycard", state: "active", token: "04ee" },
  ],
};

/** Carries out what is printed, line for line, as somebody would who sees nothing else. */
function changesOf(which: Site, question: DeskQuestion, lines: readonly string[]): readonly SiteChange[] {
  const { door, at } = question;
  let { credential } = question;
  const made: SiteChange[] = [];
  const idOf = (list: readonly { readonly id: string; readonly name: string }[], name = "") =>
    list.find((one) => one.name === name)?.id ?? `nobody called ${name}`;
  const holder = () => made.reduce(applyChange, which).credentials.find(({ id }) => id === credential)?.person ?? "";
  for (const line of lines) {
    const found = doings
      .map(({ pattern, change }) => ({ match: pattern.exec(line), change }))
      .find(({ match }) => match !== null);
    if (found === undefined) throw new Error(`nobody knows how to do: ${line}`);
    const names = found.match?.groups ?? {};
    const change = found.change({
      which,
      door,
      at,
      credential,
      holder: holder(),
      person: idOf(which.people, names["person"]),
      group: idOf(which.accessGroups, names["group"]),
      holiday: idOf(which.holidays, names["holiday"]),
    });
    if (change === undefined || made.some((one) => JSON.stringify(one) === JSON.stringify(change))) continue;
    made.push(change);
    if (change.kind === "replace-credential") credential = replacementId(credential);
  }
  return made;
}

interface Doing extends Pick<DeskQuestion, "door" | "at" | "credential"> {
  readonly which: Site;
  readonly holder: string;
  readonly person: string;
  readonly group: string;
  readonly holiday: string;
}

const doings: readonly { readonly pattern: RegExp; readonly change: (doing: Doing) => SiteChange | undefined }[] = [
  { pattern: /^only if the user is to be moved|: sync the door, /, change: () => undefined },
  {
    pattern:
      /(User > Personnel > (?<person>[^>]+): open the user and add|People > (?<person>[^>]+) > Edit: assign) the /,
    change: ({ credential, person }) => ({ kind: "assign-credential", credential, person }),
  },
  {
    pattern: /(renew|activate) the (unsubscribed door|licence of )/,
    change: ({ door, at }) => ({ kind: "license-door", door, from: at }),
  },
  { pattern: /: assign the door to the company/, change: ({ door }) => ({ kind: "assign-door", door }) },
  {
    pattern: /: give a key to |> Create New Access Group: /,
    change: ({ door, holder, at }) => ({ kind: "create-group", door, person: holder, at }),
  },
  {
    pattern: /(Edit: give|Add to Existing Access Group:) (one of )?(?<group>[^,]+)/,
    change: ({ holder, group }) => ({ kind: "join-group", group, person: holder }),
  },
  {
    pattern: /: (add a new .* in place of this one|create a new temp key)$/,
    change: ({ credential, at }) => ({ kind: "replace-credential", credential, from: at }),
  },
  { pattern: /^Enable the credential again/, change: ({ credential }) => ({ kind: "enable-credential", credential }) },
  {
    pattern: /let it begin earlier/,
    change: ({ credential, at }) => ({ kind: "begin-credential", credential, from: at }),
  },
  {
    pattern: /^(Access Control > Holiday > (?<holiday>.+): enable Working Hours|set working hours for (?<holiday>.+)$)/,
    change: ({ holiday, at }) => ({ kind: "open-holiday", holiday, at }),
  },
];

describe("a fix", () => {
  const everything = site.doors.flatMap(({ id: door }) =>
    site.credentials.flatMap(({ id: credential }) =>
      [start, after(day), after(2 * day + 3 * hour), after(3 * hour), after(8 * hour)].map((at) => ({
        door,
        credential,
        at,
        assignTo: "cara",
      })),
    ),
  );

  it("[D19] row 113: is made on a copy and decided again, for every credential at every door at several times", () => {
    let [proved, unproved] = [0, 0];
    const before = JSON.stringify(site);
    for (const question of everything) {
      const explained = explainAtDesk(site, question);
      if (!explained.ok) continue;
      for (const { verdict, fix, deviceId } of explained.value) {
        if (verdict === "granted") continue;
        const changes = fix?.changes ?? [];
        const changed = changes.reduce(applyChange, site);
        const presented = changes.reduce(
          (id, change) => (change.kind === "replace-credential" ? replacementId(id) : id),
          question.credential,
        );
        const again = decideAtDesk(changed, question.door, presented, question.at);
        const opens = again.ok && again.value.find((one) => one.deviceId === deviceId)?.decision.granted === true;
        expect([question, opens]).toEqual([question, fix?.opens]);
        if (opens) proved += 1;
        else unproved += 1;
      }
    }
    expect(JSON.stringify(site)).toBe(before);
    expect(proved).toBeGreaterThan(50);
    expect(unproved).toBeGreaterThan(10);
  });

  it("row 113: whoever does what is printed, and nothing else, has made the changes that were proved", () => {
    let executed = 0;
    const differing = [site, cornerCases].flatMap((which) => everything.map((question) => ({ which, question })));
    for (const { which, question } of differing) {
      const explained = explainAtDesk(which, question);
      if (!explained.ok) continue;
      for (const { verdict, fix, remedies } of explained.value) {
        if (verdict === "granted" || fix?.opens !== true) continue;
        const lines = remedies.flatMap(({ steps }) => steps.map(stepText));
        expect([question, lines, changesOf(which, question, lines)]).toEqual([question, lines, fix.changes]);
        executed += 1;
      }
    }
    expect(executed).toBeGreaterThan(100);
  });

  it("row 113: a group that only the assigned person needs is printed as well, and so is a licence", () => {
    const card = explain("roof", "loose-card", { assignTo: "cara", paymentPermission: true });
    expect(card.reasons).toEqual(["CREDENTIAL_UNASSIGNED", "DOOR_LICENSE_EXPIRED"]);
    expect(card.lines).toEqual([
      "for a current user, User > Personnel > Cara Cole: open the user and add the RF Card",
      "with payment permission, Doors > Roof: renew the unsubscribed door",
      "User > Personnel > Cara Cole > +Add to Existing Access Group: Residents",
    ]);
    const atLock = explain("home-1a", "loose-keycard", { assignTo: "cara" }, cornerCases);
    expect(atLock.lines).toEqual([
      "People > Cara Cole > Edit: assign the NFC",
      "Access > 1A: sync the door, which brings the change to the lock",
      "People > Cara Cole > Edit: give one of Home 1A, Office",
      "Access > 1A: sync the door, which brings the change to the lock",
    ]);
  });

  it("row 113: a door of no company is assigned to one, and then it opens", () => {
    const licence = { kind: "dated", from: start, until: after(day) } as const;
    const doors = site.doors.map((one) => (one.id === "gym" ? { ...one, licence } : one));
    const { lines, fix } = explain("gym", "alice-pin", {}, { ...site, doors });
    expect(lines).toEqual(["Doors > Gym: assign the door to the company or property"]);
    expect(fix).toMatchObject({ opens: true, changes: [{ kind: "assign-door", door: "gym" }] });
  });

  it("row 113: nothing helps at the wrong lock or with what a device does not read, and no group is advised", () => {
    const wrongLock = explain("lobby", "alice-code", {}, cornerCases);
    expect([wrongLock.primaryReason, wrongLock.lines, wrongLock.fix?.opens]).toEqual([
      "WRONG_LOCK",
      ["use the Doorcode where it is for: 1A"],
      false,
    ]);
    const unread = explain("garage", "alice-code");
    expect([unread.primaryReason, unread.lines[0], unread.fix?.left]).toEqual([
      "CREDENTIAL_NOT_SUPPORTED",
      "use what this device reads: BLE, PIN, RF Card, NFC, Temp Key, QR Code, Face",
      ["CREDENTIAL_NOT_SUPPORTED"],
    ]);
  });

  it("row 113: nobody is sent to sync a device that is on the network", () => {
    for (const reason of reasonCodes) {
      for (const maker of ["DOOR", "Akuvox"] as const) {
        const { remedy, steps } = remedyFor(reason, { ...facts, maker, offline: false });
        expect([remedy, ...steps.map(stepText)].join()).not.toMatch(/sync/i);
      }
    }
    expect(remedyFor("DEVICE_CLOCK_WRONG", { ...facts, offline: true }).remedy).toMatch(/^Sync the door/);
  });

  it("row 113: nothing is proposed that would not open: what is revoked stays property management's to decide", () => {
    const people = site.people.map((one) => (one.id === "alice" ? { ...one, revokedAt: after(-day) } : one));
    const { fix } = explain("roof", "alice-pin", {}, { ...site, people });
    expect(fix).toMatchObject({ opens: false, changes: [] });
    expect(fix?.left).toContain("CREDENTIAL_REVOKED");
  });

  it("row 113: a holiday is opened for the hour in question, and only then", () => {
    const at = newYork("2026-11-26T15:20:00");
    const { fix, lines } = explain("garage", "eve-rf", { at });
    expect(lines).toEqual([
      "Access Control > Holiday > Founders' Day: enable Working Hours and set the time when authorised users can enter",
    ]);
    expect(fix).toMatchObject({ opens: true, changes: [{ kind: "open-holiday", holiday: "founders-day", at }] });
    const opened = (fix?.changes ?? []).reduce(applyChange, site);
    expect(explain("garage", "eve-rf", { at: newYork("2026-11-26T16:00:00") }, opened).verdict).toBe("denied");
  });
});

describe("visitors", () => {
  it("row 114: before its time a temp key waits, after it a new one is made", () => {
    const early = explain("garage", "visit", { at: after(-2 * hour) });
    expect([early.decision.primaryReason, early.fix?.changes[0]?.kind]).toEqual([
      "CREDENTIAL_NOT_YET_ACTIVE",
      "begin-credential",
    ]);
    const late = explain("garage", "visit", { at: after(2 * hour) });
    expect([late.decision.primaryReason, late.fix?.changes[0]?.kind]).toEqual([
      "CREDENTIAL_EXPIRED",
      "replace-credential",
    ]);
  });

  it("row 115: User > Visitor > New: a new temp key, and it opens", () => {
    const { lines, fix } = explain("garage", "visit", { at: after(2 * hour) });
    expect(lines).toEqual(["User > Visitor > New: create a new temp key"]);
    expect(fix?.opens).toBe(true);
    // Somebody who lives there gets another credential, not a visitor's.
    const credentials = site.credentials.map((one) => (one.id === "alice-pin" ? { ...one, until: start } : one));
    expect(explain("garage", "alice-pin", {}, { ...site, credentials }).lines).toEqual([
      "User > Personnel > Alice Ames: add a new PIN in place of this one",
    ]);
  });
});

describe("what no check explains", () => {
  it("[D20] row 124: every check passes and the door stayed shut: UNEXPLAINED, with evidence and without a guess", () => {
    const { verdict, remedies, fix, evidence, remedy } = explain("garage", "alice-pin", { stayedShut: {} });
    expect([verdict, remedies, fix]).toEqual(["unexplained", [], undefined]);
    expect(new Set(evidence?.checks.map(({ result }) => result))).toEqual(new Set(["passed", "assumed"]));
    expect(evidence).toMatchObject({
      door: "Garage",
      device: { id: "garage-reader", model: "R29", serial: "R29-0001" },
      person: { name: "Alice Ames", email: "alice@maple.example" },
      at: start,
      observed: { detail: null, mayMean: [] },
    });
    expect(remedy).toMatch(/^UNEXPLAINED: .*desk@maple\.example/);
    // It says what is not known here, and names none of it as the cause.
    expect(evidence?.notKnownHere.length).toBeGreaterThan(0);
    for (const reason of reasonCodes) expect(JSON.stringify([evidence, remedy])).not.toContain(reason);
  });

  it("row 124: no evidence holds a code or a card number, and DOOR's own locks go to DOOR's support as well", () => {
    for (const [door, credential] of [
      ["garage", "alice-pin"],
      ["lobby", "alice-code"],
      ["lobby", "eve-card"],
    ] as const) {
      const text = JSON.stringify(explain(door, credential, { stayedShut: {} }).evidence);
      for (const secret of ["90210", "4815162", "04a1b2c3d4e5f6"]) expect(text).not.toContain(secret);
      expect(text.includes("support@door.com")).toBe(door === "lobby");
    }
  });

  it("row 124: a log that names another reason than the site explains comes with evidence, too", () => {
    const other = { detail: "No access permission during holidays" };
    const contradicted = explain("garage", "alice-pin", { stayedShut: other });
    expect(contradicted).toMatchObject({
      verdict: "unexplained",
      evidence: { observed: { ...other, mayMean: ["HOLIDAY_RESTRICTED"] } },
    });
    expect(explain("garage", "cara-pin", { stayedShut: other }).evidence?.observed.mayMean).toEqual([
      "HOLIDAY_RESTRICTED",
    ]);
    const agreeing = { detail: "No access permission or door license is not available" };
    expect(explain("garage", "cara-pin", { stayedShut: agreeing }).evidence).toBeUndefined();
  });
});
