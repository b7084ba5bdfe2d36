import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodePolicy, type LockPolicy, type PolicyCredential, policyRoot } from "../../../protocol/access/policy.ts";
import {
  applyPolicyDelta,
  decodePolicyDelta,
  diffPolicy,
  encodePolicyDelta,
  type PolicyDelta,
} from "../../../protocol/access/policy-delta.ts";
import { bytesToHex, concatBytes, hexToBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { buildPolicy } from "../../world/policy-builder.ts";
import { generatePolicy } from "../../world/policy-generator.ts";

const anySeed = fc.integer({ min: 0, max: 2 ** 31 - 1 });

function apply(base: LockPolicy | undefined, delta: PolicyDelta | Uint8Array) {
  return applyPolicyDelta(base, delta instanceof Uint8Array ? delta : encodePolicyDelta(delta));
}

function faultOf(base: LockPolicy | undefined, delta: PolicyDelta | Uint8Array) {
  const applied = apply(base, delta);
  return applied.ok ? undefined : applied.fault;
}

function bytesOf(hex: string): Uint8Array {
  const bytes = hexToBytes(hex.replaceAll(" ", ""));
  if (bytes === undefined) throw new Error("hex of this test");
  return bytes;
}

describe("from one policy to another", () => {
  it("[X1] what changed, applied to what it stands on, encodes to the very bytes that were meant", () => {
    fc.assert(
      fc.property(anySeed, anySeed, (first, second) => {
        const [base, target] = [generatePolicy(first, 4), generatePolicy(second, 5)];
        const delta = diffPolicy(base, target);
        const applied = apply(base, delta);
        expect(applied.ok ? bytesToHex(applied.value.bytes) : applied.fault).toBe(bytesToHex(encodePolicy(target)));
        expect(applied.ok && bytesToHex(encodePolicy(applied.value.policy))).toBe(bytesToHex(encodePolicy(target)));
        expect(bytesToHex(encodePolicyDelta(diffPolicy(base, structuredClone(target))))).toBe(
          bytesToHex(encodePolicyDelta(delta)),
        );
      }),
      { numRuns: 400 },
    );
  });

  it("[X1] a delta that stands on nothing builds the whole policy, whatever is held", () => {
    fc.assert(
      fc.property(anySeed, anySeed, (first, second) => {
        const target = generatePolicy(second);
        const delta = diffPolicy(undefined, target);
        for (const base of [undefined, generatePolicy(first)]) {
          const applied = apply(base, delta);
          expect(applied.ok ? bytesToHex(applied.value.bytes) : applied.fault).toBe(bytesToHex(encodePolicy(target)));
        }
      }),
      { numRuns: 150 },
    );
  });

  it("[X1] a new version without changes is its version and its time", () => {
    const base = generatePolicy(3, 1);
    const delta = diffPolicy(base, { ...base, version: 2 });
    expect(Object.keys(delta).sort()).toEqual(["base", "issuedAt", "version"]);
    expect(encodePolicyDelta(delta).length).toBe(1 + 6 + 2 + 6);
  });
});

describe("rights, schedules and zone", () => {
  const person = (id: string, rights: number): PolicyCredential => ({
    id,
    kind: "app-key",
    state: "active",
    assigned: true,
    rights,
  });
  const schedule = (id: string) => ({ id, weekly: [[0, 60]] as const, dated: [] });
  const base = buildPolicy({
    schedules: [schedule("day"), schedule("night")],
    rights: [[], [{ schedule: 1, observesHolidays: true }], [{ observesHolidays: false }]],
    credentials: Array.from({ length: 300 }, (_, index) => person(`app-${1_000 + index}`, index % 3)),
  });

  it("[X4] a list that grows in front does not send again what names its places", () => {
    const moved: LockPolicy = {
      ...base,
      version: 2,
      schedules: [schedule("early"), ...base.schedules],
      rights: [
        [],
        [{ schedule: 0, observesHolidays: true }],
        [{ schedule: 2, observesHolidays: true }],
        [{ observesHolidays: false }],
      ],
      credentials: base.credentials.map((one) => ({ ...one, rights: [0, 2, 3][one.rights] ?? 0 })),
    };
    const delta = diffPolicy(base, moved);
    expect(delta.credentials).toBeUndefined();
    expect(encodePolicyDelta(delta).length).toBeLessThan(70);
    expect(apply(base, delta)).toMatchObject({ ok: true, value: { policy: moved } });
  });

  it("[X4] rights that change in place are sent once, not with each who has them", () => {
    const rights = [base.rights[0] ?? [], [{ schedule: 0, observesHolidays: true }], base.rights[2] ?? []];
    const changed: LockPolicy = { ...base, version: 2, rights };
    const delta = diffPolicy(base, changed);
    expect(delta.credentials).toBeUndefined();
    expect(apply(base, delta)).toMatchObject({ ok: true, value: { policy: changed } });
  });

  it("[X3] a zone table and leases that moved with the policy's making cost two bytes", () => {
    const leased: LockPolicy = { ...base, leaseEnd: { app: unixSeconds(base.issuedAt + 604_800) } };
    const later = 90_061;
    const zone = {
      ...base.zone,
      from: unixSeconds(base.zone.from + later),
      until: unixSeconds(base.zone.until + later),
    };
    const moved: LockPolicy = {
      ...leased,
      version: 2,
      issuedAt: unixSeconds(base.issuedAt + later),
      leaseEnd: { app: unixSeconds(base.issuedAt + 604_800 + later) },
      zone,
    };
    const delta = diffPolicy(leased, moved);
    expect(delta.moved).toBe(0b111);
    expect(encodePolicyDelta(delta).length).toBe(15 + 2);
    expect(apply(leased, delta)).toMatchObject({ ok: true, value: { policy: moved } });
  });
});

describe("bytes written by hand from SPEC", () => {
  const held = buildPolicy({
    rights: [[]],
    credentials: ["card-1", "code-1", "code-3"].map((id) => ({
      id,
      kind: "permanent-doorcode" as const,
      state: "active" as const,
      assigned: true,
      rights: 0,
      keypadLookup: utf8(`${id}..`),
    })),
  });
  const name = bytesToHex(policyRoot(encodePolicy(held)).subarray(0, 4));
  const target: LockPolicy = {
    ...held,
    version: 2,
    issuedAt: unixSeconds(0x6ab13c00),
    credentials: held.credentials.slice(1).flatMap((one) => {
      if (one.id === "code-1") return [one, { ...one, id: "code-2", keypadLookup: utf8("lookup-2") }];
      return [{ ...one, state: "revoked" as const }];
    }),
  };
  // card-1 left out; code-1 kept; code-2, which shares five bytes with it, put in; code-3 revoked.
  const edits = `00 07 26 32 04 01 00 ${bytesToHex(utf8("lookup-2"))} 01 01 41`;
  const bytes = bytesOf(`a4 01 44 ${name} 02 02 03 1a 6ab13c00 05 52 ${edits}`);

  it("[X5] [X6] leave out, put in and revoke one credential each", () => {
    expect(bytesToHex(encodePolicyDelta(diffPolicy(held, target)))).toBe(bytesToHex(bytes));
    expect(apply(held, bytes)).toMatchObject({ ok: true, value: { policy: target } });
  });
});

describe("what does not fit", () => {
  const base = generatePolicy(1, 1);
  const target = generatePolicy(2, 2);
  const delta = encodePolicyDelta(diffPolicy(base, target));

  it("[X2] another base, or none, is named by the beginning of its root", () => {
    const other = generatePolicy(9, 1);
    const root = (policy: LockPolicy) => bytesToHex(policyRoot(encodePolicy(policy)).subarray(0, 4));
    expect(faultOf(other, delta)).toEqual({ code: "wrong-base", expected: root(base), found: root(other) });
    expect(faultOf(undefined, delta)).toEqual({ code: "wrong-base", expected: root(base), found: "none" });
  });

  it("[X2] a delta on nothing that leaves out a part names it", () => {
    const whole = diffPolicy(undefined, target);
    for (const part of [
      "siteId",
      "deviceId",
      "doorId",
      "epoch",
      "model",
      "takes",
      "keypad",
      "doorAssigned",
      "zone",
    ] as const) {
      const { [part]: _left, ...rest } = whole;
      expect(faultOf(base, rest as PolicyDelta)).toEqual({ code: "missing-part", part });
    }
  });

  it("[X2] a result that breaks a rule of policies is that rule's fault", () => {
    const bad = { ...diffPolicy(base, target), zone: { ...target.zone, until: target.zone.from } };
    expect(faultOf(base, bad)).toMatchObject({ code: "policy-rule", path: "zone.until" });
  });

  it.each([
    ["a run beyond the list", [{ start: 1, count: 4_999 }]],
    ["a count without a place", [{ count: 1 }]],
    ["a run of nothing", [{ start: 0, count: 0 }]],
    ["a place beyond the list", [{ start: 99 }]],
    ["an item with a count", [{ start: 0, count: 1, item: [] }]],
    ["more items than a policy has", Array.from({ length: 5_000 }, () => ({ start: 0, count: 2 }))],
  ])("[X4] a list edit that does not fit is a fault: %s", (_name, rights) => {
    const two = { ...base, schedules: [], rights: [[], []], credentials: [] };
    const fault = faultOf(two, { ...diffPolicy(two, { ...two, version: 2 }), rights });
    expect(fault).toMatchObject({ code: "list-edit", list: "rights" });
  });

  it.each([
    ["8000", "a number with a leading zero"],
    ["ffffffffff", "a number without an end"],
    ["14", "more kept than there are"],
    ["08", "leaving out what is not there"],
    ["01", "a change without fields"],
    ["0100", "a change of nothing"],
    ["010105ff", "kind and state that are none"],
    ["02010101", "a field both set and cleared"],
    ["020402", "clearing the rights"],
    ["0302", "putting in without an id"],
    ["03846100", "a rest longer than the bytes"],
    ["0321ff000100", "an id that is no text"],
    ["0341610301 00", "a new credential that says it has a shape"],
    ["03 22 61 00 01 00", "sharing more than the id before has"],
    ["03 21 61 00 01 a708", "rights beyond what a policy can have"],
    ["03 21 61 04 01 00 01020304", "a lookup cut off"],
  ])("[X6] edits %s: %s", (hex) => {
    const two = buildPolicy({
      rights: [[]],
      credentials: ["a", "b"].map((id) => ({
        id,
        kind: "pin" as const,
        state: "active" as const,
        assigned: true,
        rights: 0,
      })),
    });
    const edits = { ...diffPolicy(two, { ...two, version: 2 }), credentials: bytesOf(hex) };
    expect(faultOf(two, edits)).toMatchObject({ code: "credential-edit" });
  });

  it("[X2] any bytes, and every byte changed or cut off, give a policy or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(typeof apply(base, bytes).ok).toBe("boolean");
        expect(typeof apply(base, { ...diffPolicy(base, target), credentials: bytes }).ok).toBe("boolean");
      }),
      { numRuns: 300 },
    );
    for (let at = 0; at < delta.length; at++) {
      expect(apply(base, delta.subarray(0, at)).ok).toBe(false);
      for (const flip of [1, 0x20, 0x80]) {
        const broken = delta.slice();
        broken[at] = (broken[at] ?? 0) ^ flip;
        const read = decodePolicyDelta(broken);
        if (read.ok) expect(bytesToHex(encodePolicyDelta(read.value))).toBe(bytesToHex(broken));
        expect(typeof apply(base, broken).ok).toBe("boolean");
      }
    }
  });
});

describe("what changes cost", () => {
  const rights = [[], [{ observesHolidays: true }]];
  const code = (index: number): PolicyCredential => ({
    id: `code-${100_000 + index}`,
    kind: "permanent-doorcode",
    state: "active",
    assigned: true,
    rights: 1,
    keypadLookup: seededBytes(index, 8),
  });
  const card = (index: number): PolicyCredential => {
    const { keypadLookup: _none, ...rest } = code(index);
    return { ...rest, kind: "keycard", tokenLookup: seededBytes(index, 8), cardKey: seededBytes(index + 1, 16) };
  };
  const base = buildPolicy({ rights, credentials: Array.from({ length: 5_000 - 10 }, (_, index) => code(index * 10)) });
  const sizeOf = (change: (credential: PolicyCredential, index: number) => readonly PolicyCredential[]) => {
    const every = Math.floor(base.credentials.length / 10);
    const credentials = base.credentials.flatMap((one, index) =>
      index % every === 5 && index < every * 10 ? change(one, index) : [one],
    );
    const target = { ...base, version: 2, issuedAt: unixSeconds(base.issuedAt + 3_600), credentials };
    const bytes = encodePolicyDelta(diffPolicy(base, target));
    expect(apply(base, bytes)).toMatchObject({ ok: true, value: { bytes: encodePolicy(target) } });
    return bytes.length;
  };

  it("[X7] ten of 5,000 credentials: revoked, new codes and new keycards", () => {
    expect(sizeOf((one) => [{ ...one, state: "revoked" }])).toBeLessThanOrEqual(60);
    expect(sizeOf(() => [])).toBeLessThanOrEqual(40);
    expect(sizeOf((one, index) => [one, code(index * 10 + 5)])).toBeLessThanOrEqual(180);
    expect(sizeOf((one, index) => [one, card(index * 10 + 5)])).toBeLessThanOrEqual(340);
  });

  it("[X7] a snapshot of 5,000 codes is under half of the policy's own encoding", () => {
    const full = encodePolicyDelta(diffPolicy(undefined, base)).length;
    expect(full).toBeLessThan(16 * 5_000);
    expect(full).toBeLessThan(encodePolicy(base).length / 2);
  });
});

it("[X5] ids share bytes, not characters", () => {
  const [first, second] = ["ö", "ø"].sort();
  const credential = (id: string): PolicyCredential => ({
    id,
    kind: "pin",
    state: "active",
    assigned: false,
    rights: 0,
  });
  const target = buildPolicy({ rights: [[]], credentials: [credential(first ?? ""), credential(second ?? "")] });
  const delta = diffPolicy(undefined, target);
  expect(bytesToHex(delta.credentials ?? new Uint8Array(0))).toBe(
    bytesToHex(concatBytes(bytesOf("03 42 c3b6 00 8105 00"), bytesOf("03 22 b8 00 8105 00"))),
  );
  expect(apply(undefined, delta)).toMatchObject({ ok: true, value: { policy: target } });
});
