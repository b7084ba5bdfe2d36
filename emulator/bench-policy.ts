/** Policies for the lock on the bench, made from a version and a size, so that whoever knows the seed knows each byte of them. */
import { presentationLookup } from "../protocol/access/lookup.ts";
import { encodePolicy, type PolicyCredential } from "../protocol/access/policy.ts";
import { type DeviceId, unixSeconds } from "../protocol/base/units.ts";
import type { BenchPairing } from "./bench-pairing.ts";

export interface BenchPolicy {
  readonly device: DeviceId;
  readonly version: number;
  /** How many app keys and permanent codes, the latter every third; the first is `codeOfVersion(version)`. */
  readonly credentials: number;
}

/** The one permanent code that opens under this version and no other. */
export function codeOfVersion(version: number): string {
  return String(2_460_000 + version);
}

/** The encoded policy. */
export function benchBundle(pairing: BenchPairing, { device, version, credentials }: BenchPolicy): Uint8Array {
  return encodePolicy({
    siteId: "bench",
    deviceId: device,
    doorId: "bench-door",
    epoch: 1,
    version,
    issuedAt: unixSeconds(ISSUED_AT),
    model: "C1",
    takes: ["app-key", "permanent-doorcode", "daily-doorcode"],
    keypad: {
      dailyDigits: 7,
      singleUseSlots: 32,
      allDaySlots: 0,
      digitTimeoutMs: 5_000,
      deadboltRefusesDaily: false,
      triesAtOnce: 100,
      refillSeconds: 60,
    },
    doorAssigned: true,
    leaseEnd: {},
    zone: {
      from: unixSeconds(ISSUED_AT - TEN_YEARS),
      until: unixSeconds(ISSUED_AT + TEN_YEARS),
      initialOffsetSeconds: -14_400,
      transitions: [],
    },
    schedules: [],
    holidays: [],
    rights: [[{ observesHolidays: false }]],
    credentials: Array.from({ length: credentials }, (_, index) =>
      index % 3 === 0 ? permanentCode(pairing, index, version) : appKey(index),
    ),
  });
}

function appKey(index: number): PolicyCredential {
  return { id: credentialId(index), kind: "app-key", state: "active", assigned: true, rights: 0 };
}

function permanentCode(pairing: BenchPairing, index: number, version: number): PolicyCredential {
  const digits = index === 0 ? codeOfVersion(version) : String(3_100_000 + index);
  return {
    id: credentialId(index),
    kind: "permanent-doorcode",
    state: "active",
    assigned: true,
    rights: 0,
    keypadLookup: presentationLookup(pairing.keys.codeHash, "keypad", digits),
  };
}

function credentialId(index: number): string {
  return `c-${String(index).padStart(5, "0")}`;
}

const ISSUED_AT = 1_790_000_000;
const TEN_YEARS = 315_360_000;
