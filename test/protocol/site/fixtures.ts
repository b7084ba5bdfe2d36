import type { LockState } from "../../../protocol/access/attempt.ts";
import { type IndexedPolicy, indexPolicy } from "../../../protocol/access/policy-index.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import { type CompileOptions, compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { formatMistake } from "../../../protocol/site/document.ts";
import { parseSite } from "../../../protocol/site/parse-site.ts";
import type { Site } from "../../../protocol/site/site.ts";

/** Tuesday 2026-11-24, 12:00 in New York. */
export const start = unixSeconds(Date.UTC(2026, 10, 24, 17) / 1_000);

export const codeKey = utf8("code key of one device, thirty-two").slice(0, 32);
export const entryTagKey = utf8("entry tag key, of lock and authority").slice(0, 32);
export const doorKey = utf8("daily key of one door, thirty-two b").slice(0, 32);

/** Reads a site that a test says is sound. */
export function siteOf(text: string, at: UnixSeconds = start): Site {
  const parsed = parseSite(text, { start: at });
  if (!parsed.ok) throw new Error(parsed.fault.mistakes.map(formatMistake).join("\n"));
  return parsed.value;
}

export function policyOf(site: Site, deviceId: string, options: Partial<CompileOptions> = {}): IndexedPolicy {
  const policy = compileLockPolicy(site, deviceId, {
    epoch: 1,
    version: 1,
    now: start,
    codeHashKey: codeKey,
    ...options,
  });
  if (!policy.ok) throw new Error(JSON.stringify(policy.fault));
  return indexPolicy(policy.value);
}

/** A lock in good order: its clock set, its battery charged, nothing used yet. */
export function lockState(differing: Partial<LockState> = {}): LockState {
  return {
    clock: { quality: "set", highWater: start, poweredSecondsUnset: 0 },
    codeKey,
    entryTagKey,
    dailyKeys: [{ keyId: 1, key: doorKey }],
    usedSlots: new Set(),
    usesSpent: new Map(),
    keypadLockedOut: false,
    battery: "ok",
    ...differing,
  };
}

export const hour = 3_600;
export const day = 86_400;
export const after = (seconds: number): UnixSeconds => unixSeconds(start + seconds);

export const mapleCourt = `
site:
  id: maple-court
  name: Maple Court
  timeZone: America/New_York
  propertyManager: { name: Maple Management, phone: "+1 555 0100", email: desk@maple.example }
holidays:
  - { id: founders-day, name: Founders' Day, from: 2026-11-26, to: 2026-11-27, workingHours: [{ from: "10:00", to: "14:00" }] }
doors:
  - { id: lobby, name: Lobby, kind: COMMUNAL, company: maple }
  - { id: garage, name: Garage, kind: ENTRANCE, company: maple, licence: { state: active, from: start-300d, until: start+60d } }
  - { id: roof, name: Roof, kind: SERVICE, company: maple, licence: { state: expired, until: start-1d } }
  - { id: gym, name: Gym, kind: COMMUNAL, licence: { state: never-activated } }
  - { id: home-1a, name: 1A, kind: RESIDENCE, unit: unit-1a }
  - { id: shed, name: Shed, kind: SERVICE }
devices:
  - { id: lobby-lock, model: C2, door: lobby, serial: C2-0001, address: "C0:FF:EE:00:00:02" }
  - { id: home-lock, model: M2, door: home-1a, serial: M2-0001, address: "C0:FF:EE:00:00:03" }
  - { id: garage-reader, model: R29, door: garage, serial: R29-0001 }
  - { id: roof-reader, model: X915V2, door: roof, serial: X9-0001 }
  - { id: gym-reader, model: A08, door: gym, serial: A08-0001 }
  - { id: shed-lock, model: C1, door: shed, serial: C1-0001, state: assigned }
panels:
  - { id: lobby-link, name: Lobby link, door: lobby }
  - { id: shed-link, name: Shed link, door: shed }
units:
  - { id: unit-1a, name: 1A }
  - { id: unit-1b, name: 1B }
people:
  - { id: alice, name: Alice Ames, email: alice@maple.example, role: RESIDENT, unit: unit-1a, showInIntercom: true }
  - { id: ben, name: Ben Birch, email: ben@maple.example, role: RESIDENT, showInIntercom: true }
  - { id: cara, name: Cara Cole, email: cara@maple.example, role: RESIDENT, unit: unit-1b, showInIntercom: true }
  - { id: dan, name: Dan Dale, email: dan@maple.example, role: RESIDENT, unit: unit-1b }
  - { id: eve, name: Eve Elm, email: eve@maple.example, role: NON_RESIDENT }
  - { id: max, name: Max Moss, email: max@maple.example, role: MANAGER }
userGroups:
  - { id: cleaners, name: Cleaners, members: [eve] }
accessGroups:
  - { id: residents, name: Residents, doors: [lobby, garage, roof, gym], members: [alice, ben, dan] }
  - { id: home, name: Home 1A, doors: [home-1a], members: [alice] }
  - { id: office, name: Office, doors: [lobby, garage, home-1a], members: [max] }
  - { id: cleaning, name: Cleaning, doors: [lobby, garage], userGroups: [cleaners], schedule: weekdays }
schedules:
  - { id: weekdays, weekly: [{ days: [mon, tue, wed, thu, fri], from: "08:00", to: "17:30" }] }
credentials:
  - { id: alice-app, kind: app-key, person: alice }
  - { id: alice-code, kind: permanent-doorcode, person: alice, code: "4815162" }
  - { id: alice-pin, kind: pin, person: alice, code: "90210" }
  - { id: alice-face, kind: face, person: alice, template: face-0001 }
  - { id: eve-app, kind: app-key, person: eve }
  - { id: eve-card, kind: keycard, person: eve, number: "04a1b2c3d4e5f6" }
  - { id: eve-rf, kind: rf-card, person: eve, number: "0badcafe" }
  - { id: cara-pin, kind: pin, person: cara, code: "777777" }
  - { id: loose-card, kind: rf-card, number: "00000001" }
  - { id: visit, kind: temp-key, person: alice, code: "246810", text: VISIT-246810, from: start-1h, until: start+2h, usesAllowed: 2 }
`;
