import { describe, expect, it } from "vitest";
import { checkNames } from "../../../protocol/access/reasons.ts";
import { type DeskFault, decideAtDesk } from "../../../protocol/site/desk-decision.ts";
import { after, hour, mapleCourt, siteOf, start } from "./fixtures.ts";

const text = mapleCourt.concat("  - { id: max-key, kind: mechanical-key, person: max }\n");
const site = siteOf(text);
const at = (door: string, credential: string, now = start) => {
  const decided = decideAtDesk(site, door, credential, now);
  if (!decided.ok) throw new Error(decided.fault.code);
  return decided.value;
};
const faultAt = (door: string, credential: string): DeskFault["code"] | undefined => {
  const decided = decideAtDesk(site, door, credential, start);
  return decided.ok ? undefined : decided.fault.code;
};

describe("a decision at the desk", () => {
  it("[D3] lists every check in its order, passed, failed or not evaluated", () => {
    const [lobby] = at("lobby", "eve-card", after(12 * hour));
    expect(lobby?.checks.map(({ check }) => check)).toEqual(checkNames);
    expect(lobby?.checks.filter(({ result }) => !["passed", "assumed"].includes(result))).toEqual([
      { check: "schedule", result: "failed", reasons: ["OUT_OF_SCHEDULE"] },
    ]);
    expect(lobby?.remedy).toMatch(/schedule/);
  });

  it("[D22] what only the device knows is assumed and not said to have passed; uses only where they are counted", () => {
    const assumedFor = (door: string, credential: string) =>
      at(door, credential)[0]?.checks.flatMap(({ check, result }) => (result === "assumed" ? [check] : []));
    const always = ["lock-out", "entry-timing", "lease", "clock", "deadbolt", "battery"];
    expect(assumedFor("lobby", "alice-app")).toEqual(always);
    expect(assumedFor("garage", "visit")).toEqual(always.toSpliced(4, 0, "uses"));
  });

  it("[D22] a credential for other doors is at the wrong lock, whatever groups its holder is in", () => {
    const limited = siteOf(text.replace('code: "4815162" }', 'code: "4815162", doors: [home-1a] }'));
    const decided = decideAtDesk(limited, "lobby", "alice-code", start);
    const [lobby] = decided.ok ? decided.value : [];
    expect([lobby?.reasons, lobby?.deviceSays, lobby?.decision.granted]).toEqual([
      ["WRONG_LOCK"],
      "CREDENTIAL_UNKNOWN",
      false,
    ]);
    expect(lobby?.checks.find(({ check }) => check === "access-group")).toEqual({
      check: "access-group",
      result: "failed",
      reasons: ["WRONG_LOCK"],
    });
    // At its own door it opens.
    const home = decideAtDesk(limited, "home-1a", "alice-code", start);
    expect(home.ok && home.value[0]?.decision.granted).toBe(true);
    const key = siteOf(text.replace("mechanical-key, person: max }", "mechanical-key, person: max, doors: [lobby] }"));
    expect(decideAtDesk(key, "home-1a", "max-key", start)).toMatchObject({ fault: { fits: [] } });
  });

  it.each([
    [
      "a permanent doorcode at a panel",
      "garage",
      "alice-code",
      ["CREDENTIAL_NOT_SUPPORTED"],
      "CREDENTIAL_UNKNOWN",
      "Invalid PIN",
    ],
    ["a PIN at a lock", "lobby", "alice-pin", ["CREDENTIAL_NOT_SUPPORTED"], "CREDENTIAL_UNKNOWN", undefined],
    [
      "a card of another kind",
      "home-1a",
      "eve-rf",
      ["CREDENTIAL_NOT_SUPPORTED", "NO_ACCESS_RIGHTS"],
      undefined,
      undefined,
    ],
    [
      "a face, no licence",
      "gym",
      "alice-face",
      ["CREDENTIAL_NOT_SUPPORTED", "DOOR_NOT_ACTIVATED", "DOOR_NOT_ASSIGNED"],
      undefined,
      "Invalid Face",
    ],
  ])("[D22] %s is not supported, and every other check is run", (_, door, credential, reasons, says, detail) => {
    const [decided] = at(door, credential);
    expect([decided?.reasons, decided?.deviceSays, decided?.detail]).toEqual([reasons, says, detail]);
    // Without a grant there is no schedule to look at, at any device.
    const blind = reasons.includes("NO_ACCESS_RIGHTS") ? ["schedule", "holiday"] : [];
    const unevaluated = decided?.checks.filter(({ result }) => result === "not evaluated");
    expect(unevaluated?.map(({ check }) => check)).toEqual(blind);
    expect([decided?.decision.granted, decided?.decision.marks]).toEqual([false, []]);
  });

  it("[D3] grants without remedy", () => {
    const [lobby] = at("lobby", "alice-app");
    expect([lobby?.decision.granted, lobby?.remedy, lobby?.detail, lobby?.deviceSays]).toEqual([
      true,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("[P6] knows more than an offline lock, and says what the lock would say", () => {
    const [home] = at("home-1a", "eve-card");
    expect([home?.decision.primaryReason, home?.deviceSays]).toEqual(["NO_ACCESS_RIGHTS", "CREDENTIAL_UNKNOWN"]);
  });

  it("[D16] gives the Detail text of a device that writes one", () => {
    const [garage] = at("garage", "cara-pin");
    expect([garage?.decision.primaryReason, garage?.detail]).toEqual([
      "NO_ACCESS_RIGHTS",
      "No access permission or door license is not available",
    ]);
    expect(at("garage", "loose-card")[0]?.detail).toBe("Invalid RF Card");
  });

  it.each([
    ["attic", "alice-app", "unknown-door"],
    ["lobby", "no-card", "no-such-credential"],
    ["home-1a", "max-key", "mechanical-key"],
  ])("[D1] %s and %s: %s", (door, credential, code) => {
    expect(faultAt(door, credential)).toBe(code);
  });

  it("[D1] a door without a device", () => {
    const bare = { ...site, devices: [] };
    const decided = decideAtDesk(bare, "lobby", "alice-app", start);
    expect(decided.ok ? undefined : decided.fault.code).toBe("no-device");
  });

  it("[F5] a mechanical key turns where the model has a keyway", () => {
    const decided = decideAtDesk(site, "home-1a", "max-key", start);
    expect(decided).toEqual({ ok: false, fault: { code: "mechanical-key", fits: ["home-lock"] } });
    const atLobby = decideAtDesk(site, "lobby", "max-key", start);
    expect(atLobby).toEqual({ ok: false, fault: { code: "mechanical-key", fits: [] } });
  });
});
