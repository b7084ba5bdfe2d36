import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  comparePolicyOrder,
  decodePolicy,
  encodePolicy,
  type LockPolicy,
  policyRoot,
} from "../../../protocol/access/policy.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { encodeCbor } from "../../../protocol/base/cbor.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { mapleCourt, policyOf, siteOf } from "../site/fixtures.ts";

const leaseEnd = { app: unixSeconds(2_000_000_000) };
const policy = { ...policyOf(siteOf(mapleCourt), "garage-reader").policy, leaseEnd };
const bytes = encodePolicy(policy);

const faultOf = (changed: LockPolicy | Uint8Array) => {
  const read = decodePolicy(changed instanceof Uint8Array ? changed : encodeUnchecked(changed));
  return read.ok ? undefined : read.fault;
};

/** Encodes what `encodePolicy` would refuse: changes the decoded form in place of the policy. */
function encodeUnchecked(changed: LockPolicy): Uint8Array {
  const list = changed.credentials.map(
    ({ id, rights }) =>
      new Map<number, number | string | boolean>([
        [1, id],
        [2, 0],
        [3, 0],
        [4, true],
        [5, rights],
      ]),
  );
  const zone = new Map<number, number | []>([
    [1, changed.zone.from],
    [2, changed.zone.until],
    [3, 0],
    [4, []],
  ]);
  const keypad = new Map<number, number | boolean>([
    [1, 7],
    [2, 0],
    [3, 0],
    [4, 0],
    [5, false],
    [6, 1],
    [7, 1],
  ]);
  return encodeCbor(
    new Map<number, Parameters<typeof encodeCbor>[0]>([
      [1, "s"],
      [2, "dev-1"],
      [3, "d"],
      [4, 1],
      [5, 1],
      [6, 1],
      [7, "C2"],
      [8, 1],
      [9, keypad],
      [11, true],
      [12, new Map()],
      [13, zone],
      [
        14,
        changed.schedules.map(
          ({ id, weekly }) =>
            new Map<number, string | number[]>([
              [1, id],
              [2, weekly.flat()],
              [3, []],
            ]),
        ),
      ],
      [15, []],
      [
        16,
        changed.rights.map((grants) =>
          grants.map(
            ({ schedule }) =>
              new Map<number, number | boolean>([
                ...(schedule === undefined ? [] : [[1, schedule] as const]),
                [2, false],
              ]),
          ),
        ),
      ],
      [17, list],
    ]),
  );
}

describe("encoding", () => {
  it("[P1] what is encoded decodes to the same policy, and the same policy to the same bytes", () => {
    expect(decodePolicy(bytes)).toEqual({ ok: true, value: policy });
    expect(bytesToHex(encodePolicy(structuredClone(policy)))).toBe(bytesToHex(bytes));
  });

  it("[P1] a small policy, written out by hand from SPEC", () => {
    const small: LockPolicy = {
      ...policyOf(siteOf(mapleCourt), "shed-lock").policy,
      siteId: "s",
      deviceId: policy.deviceId,
      doorId: "d",
      issuedAt: unixSeconds(1),
      zone: { from: unixSeconds(0), until: unixSeconds(2), initialOffsetSeconds: -18_000, transitions: [] },
      holidays: [],
      schedules: [{ id: "w", weekly: [[480, 1_050]], dated: [] }],
      rights: [[{ schedule: 0, observesHolidays: true }]],
      credentials: [
        {
          id: "a",
          kind: "keycard",
          state: "lost",
          assigned: true,
          rights: 0,
          tokenLookup: new Uint8Array(8).fill(255),
        },
      ],
    };
    expect(bytesToHex(encodePolicy(small))).toBe(
      [
        "b0", // a map of 16: key 10, the licence, is absent
        "016173",
        "026d6761726167652d726561646572",
        "036164",
        "0401",
        "0501",
        "0601",
        "07624331",
        "0807", // app key, permanent and daily doorcode
        "09a7010702181c0304041913880 5f4060a071910e0".replaceAll(" ", ""),
        "0bf5",
        "0ca0",
        "0da4010002020339464f0480", // -18,000 is -1 - 17,999
        "0e81a301617702821901e019041a0380",
        "0f80",
        "108181a2010002f5",
        "1181a60161610203030204f505000748ffffffffffffffff",
      ].join(""),
    );
  });

  it("[P3] the root is SHA-256 of the bytes", () => {
    expect(bytesToHex(policyRoot(new Uint8Array()))).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    expect(policyRoot(bytes)).toHaveLength(32);
  });

  it("[P2] every byte cut off and every bit flipped gives a policy or a fault", () => {
    for (let length = 0; length < bytes.length; length += 7)
      expect(decodePolicy(bytes.subarray(0, length)).ok).toBe(false);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.map((byte, index) => (index === at ? byte ^ (1 << (at % 8)) : byte));
      const read = decodePolicy(flipped);
      if (read.ok) expect(bytesToHex(encodePolicy(read.value))).toBe(bytesToHex(flipped));
    }
  });

  it("[P2] any bytes give a policy or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        expect(decodePolicy(any).ok).toBe(false);
      }),
    );
  });

  it("[P2] sound in shape and wrong in sense", () => {
    const base: LockPolicy = {
      ...policy,
      zone: { ...policy.zone, from: unixSeconds(1), until: unixSeconds(2) },
      schedules: [{ id: "w", weekly: [[480, 1_050]], dated: [] }],
      rights: [[]],
      credentials: [],
    };
    const credential = { id: "b", kind: "app-key", state: "active", assigned: true, rights: 0 } as const;
    expect(faultOf(base)).toBeUndefined();
    const wrong: readonly (readonly [Partial<LockPolicy>, string])[] = [
      [{ zone: { ...base.zone, until: unixSeconds(1) } }, "zone.until"],
      [{ schedules: [{ id: "w", weekly: [[5, 5]], dated: [] }] }, "schedules[0].weekly[0]"],
      [
        {
          schedules: [
            {
              id: "w",
              weekly: [
                [0, 5],
                [5, 9],
              ],
              dated: [],
            },
          ],
        },
        "schedules[0].weekly[1]",
      ],
      [{ rights: [[{ schedule: 1, observesHolidays: false }]] }, "rights[0][0].schedule"],
      [{ credentials: [{ ...credential, rights: 1 }] }, "credentials[0].rights"],
      [{ credentials: [credential, credential] }, "credentials[1].id"],
      [{ credentials: [credential, { ...credential, id: "a" }] }, "credentials[1].id"],
    ];
    for (const [change, path] of wrong) {
      expect(faultOf({ ...base, ...change })).toMatchObject({ code: "policy-rule", path });
    }
  });

  it("[P2] a longer encoding than a lock can hold is refused unread", () => {
    expect(faultOf(new Uint8Array(1_048_577))).toMatchObject({ code: "too-large" });
  });

  it("[P1] order is by epoch first, then by version", () => {
    expect(comparePolicyOrder({ epoch: 2, version: 1 }, { epoch: 1, version: 9 })).toBeGreaterThan(0);
    expect(comparePolicyOrder({ epoch: 1, version: 1 }, { epoch: 1, version: 9 })).toBeLessThan(0);
    expect(comparePolicyOrder({ epoch: 1, version: 9 }, { epoch: 1, version: 9 })).toBe(0);
  });
});
