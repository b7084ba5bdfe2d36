/**
 * The policies that the sync benchmarks carry: credentials of a large building, and the same an hour later with so many changes.
 * The changes are a mix: of ten, five are new permanent codes, three revocations, two new keycards with their keys.
 */
import type { LockPolicy, PolicyCredential } from "../../protocol/access/policy.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { parseDeviceId, unixSeconds } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";

/** When the first of the policies was made: a moment in September 2026. */
export const issuedAt = unixSeconds(1_790_000_000);
const leaseSeconds = 30 * 86_400;
/** Of ten changes so many are new credentials. */
export const newShare = 0.7;

/** So many credentials: two fifths apps, two fifths permanent codes, one fifth keycards with keys, all valid without end. */
export function policyOf(credentials: number): LockPolicy {
  const deviceId = parseDeviceId("c2-lobby");
  assert(deviceId !== undefined, "the device has a name");
  return {
    siteId: "maple-court",
    deviceId,
    doorId: "lobby",
    epoch: 1,
    version: 1_000,
    issuedAt,
    model: "C2",
    takes: ["app-key", "permanent-doorcode", "daily-doorcode", "keycard"],
    keypad: {
      dailyDigits: 7,
      singleUseSlots: 28,
      allDaySlots: 4,
      digitTimeoutMs: 5_000,
      deadboltRefusesDaily: false,
      triesAtOnce: 10,
      refillSeconds: 4_320,
    },
    doorAssigned: true,
    leaseEnd: { app: unixSeconds(issuedAt + leaseSeconds), keycard: unixSeconds(issuedAt + leaseSeconds) },
    zone: {
      from: unixSeconds(issuedAt - 604_800),
      until: unixSeconds(issuedAt + 252_460_800),
      initialOffsetSeconds: -14_400,
      transitions: Array.from({ length: 16 }, (_, index) => ({
        at: unixSeconds(issuedAt + 2_000_000 + index * 15_768_000),
        offsetSeconds: index % 2 === 0 ? -18_000 : -14_400,
      })),
    },
    schedules: [{ id: "weekdays", weekly: [[480, 1_050]], dated: [] }],
    holidays: [],
    rights: [[], [{ observesHolidays: false }], [{ schedule: 0, observesHolidays: true }]],
    credentials: Array.from({ length: credentials }, (_, index) => credentialOf(index)).sort(byId),
  };
}

/** Ids leave room for ten between each two, so that new ones can stand anywhere in the list. */
function credentialOf(index: number, between = 0): PolicyCredential {
  const place = String(100_000 + index * 10 + between);
  const common = { state: "active", assigned: true, rights: 1 + (index % 2) } as const;
  const lookup = sha256(utf8(`lookup ${place}`)).subarray(0, 8);
  if (index % 5 < 2) return { id: `app-${place}`, kind: "app-key", ...common };
  if (index % 5 < 4) return { id: `code-${place}`, kind: "permanent-doorcode", ...common, keypadLookup: lookup };
  return {
    id: `card-${place}`,
    kind: "keycard",
    ...common,
    tokenLookup: lookup,
    cardKey: sha256(lookup).subarray(0, 16),
  };
}

/** An hour later: of ten changes five new codes, three revocations, two new cards, spread over the whole list. */
export function changed(base: LockPolicy, changes: number): LockPolicy {
  const held = base.credentials.length;
  const kinds = ["code", "code", "revoke", "code", "card", "revoke", "code", "card", "revoke", "code"] as const;
  const revoked = new Set<string>();
  const added: PolicyCredential[] = [];
  for (let change = 0; change < changes; change++) {
    const kind = kinds[change % kinds.length];
    const place = Math.floor((change * held) / changes);
    const [credential] = base.credentials.slice(place);
    if (kind === "revoke" && credential !== undefined) revoked.add(credential.id);
    else added.push(credentialOf(place - (place % 5) + (kind === "card" ? 4 : 3), 1 + (change % 9)));
  }
  const kept = base.credentials.map((one) => (revoked.has(one.id) ? { ...one, state: "revoked" as const } : one));
  const shift = (instant: number) => unixSeconds(instant + 3_600);
  return {
    ...base,
    version: base.version + 1,
    issuedAt: shift(base.issuedAt),
    leaseEnd: { app: shift(base.leaseEnd.app ?? 0), keycard: shift(base.leaseEnd.keycard ?? 0) },
    zone: { ...base.zone, from: shift(base.zone.from), until: shift(base.zone.until) },
    credentials: [...kept, ...added].sort(byId),
  };
}

function byId(left: PolicyCredential, right: PolicyCredential): number {
  return left.id < right.id ? -1 : 1;
}
