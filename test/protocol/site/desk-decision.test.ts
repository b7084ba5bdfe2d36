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
    expect(lobby?.checks.filter(({ result }) => result !== "passed")).toEqual([
      { check: "schedule", result: "failed", reasons: ["OUT_OF_SCHEDULE"] },
    ]);
    expect(lobby?.remedy).toMatch(/schedule/);
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
