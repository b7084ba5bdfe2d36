import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { encodeCbor } from "../../../protocol/base/cbor.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519Sign, ed25519Verify, signTyped } from "../../../protocol/crypto.ts";
import { authorityKeysFromSeed, authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { acceptKeyset, type HeldKeyset, judgePolicyOrder } from "../../../protocol/sync/keyset.ts";
import { type Keyset, keyset, rootFingerprint, rootPublicKey, signKeyset } from "../../../protocol/wire/keyset.ts";

const rootSeed = new Uint8Array(32).fill(9);
const root = rootPublicKey(rootSeed);
const now = unixSeconds(1_790_000_000);

function keysetOf(epoch: number, seed = epoch, notAfter = now + 86_400): Keyset {
  const keys = authorityPublicKeys(authorityKeysFromSeed(new Uint8Array(32).fill(seed)));
  return { epoch, notAfter: unixSeconds(notAfter), ...keys };
}

function held(epoch: number, seed = epoch): HeldKeyset {
  const value = keysetOf(epoch, seed);
  return { keyset: value, bytes: keyset.encode(value) };
}

describe("keysets", () => {
  it("[Z1] a keyset, written by hand, is signed over its type, a zero byte and its bytes", () => {
    const key = (byte: number) => new Uint8Array(32).fill(byte);
    const value = {
      epoch: 3,
      notAfter: unixSeconds(0x6ab13b80),
      policy: key(1),
      time: key(2),
      release: key(3),
      unlock: key(4),
      courier: key(5),
      static: key(6),
    };
    const keys = [1, 2, 3, 4, 5, 6].map((byte, index) => `0${index + 3}5820${`0${byte}`.repeat(32)}`).join("");
    const signed = signKeyset(rootSeed, value);
    expect(bytesToHex(signed.bytes)).toBe(`a80103021a6ab13b80${keys}`);
    expect(
      ed25519Verify(root, concatBytes(utf8("doorlink/1/keyset"), Uint8Array.of(0), signed.bytes), signed.signature),
    ).toBe(true);
    expect(rootFingerprint(root)).toHaveLength(16);
  });

  it("[Z2] the first keyset and every newer epoch are taken, the one that is held is no fault", () => {
    const first = acceptKeyset(root, undefined, signKeyset(rootSeed, keysetOf(1)), now);
    expect(first).toEqual({ ok: true, value: { ...held(1), isNew: true } });
    expect(acceptKeyset(root, held(1), signKeyset(rootSeed, keysetOf(1)), now)).toMatchObject({
      ok: true,
      value: { isNew: false },
    });
    expect(acceptKeyset(root, held(1), signKeyset(rootSeed, keysetOf(7)), now)).toMatchObject({
      ok: true,
      value: { keyset: { epoch: 7 }, isNew: true },
    });
  });

  it("[Z2] rollback, another keyset of the same epoch, and one past its end are refused by name", () => {
    expect(acceptKeyset(root, held(2), signKeyset(rootSeed, keysetOf(1)), now)).toEqual({
      ok: false,
      fault: { code: "keyset-rollback", held: 2, offered: 1 },
    });
    expect(acceptKeyset(root, held(2), signKeyset(rootSeed, keysetOf(2, 99)), now)).toEqual({
      ok: false,
      fault: { code: "epoch-reused", epoch: 2 },
    });
    const old = keysetOf(3, 3, now - 1);
    expect(acceptKeyset(root, held(2), signKeyset(rootSeed, old), now)).toEqual({
      ok: false,
      fault: { code: "keyset-expired", notAfter: now - 1, judgedAt: now },
    });
  });

  it("[Z2] a keyset that is held stays in use past its end", () => {
    const late = unixSeconds(now + 400 * 86_400);
    expect(acceptKeyset(root, held(1), signKeyset(rootSeed, keysetOf(1)), late)).toMatchObject({
      ok: true,
      value: { isNew: false },
    });
  });

  it("[Z2] another root, another type and changed bytes are bad signatures; a signed non-keyset is malformed", () => {
    const signed = signKeyset(rootSeed, keysetOf(2));
    const bad = { ok: false, fault: { code: "bad-signature" } };
    expect(acceptKeyset(root, held(1), signKeyset(new Uint8Array(32).fill(8), keysetOf(2)), now)).toEqual(bad);
    const asPolicy = { bytes: signed.bytes, signature: signTyped(rootSeed, "doorlink/1/policy", signed.bytes) };
    expect(acceptKeyset(root, held(1), asPolicy, now)).toEqual(bad);
    const raw = { bytes: signed.bytes, signature: ed25519Sign(rootSeed, signed.bytes) };
    expect(acceptKeyset(root, held(1), raw, now)).toEqual(bad);
    for (let at = 0; at < signed.bytes.length; at += 7) {
      const bytes = signed.bytes.map((byte, index) => (index === at ? byte ^ 4 : byte));
      expect(acceptKeyset(root, held(1), { ...signed, bytes }, now)).toEqual(bad);
    }
    for (const bytes of [new Uint8Array(0), encodeCbor(new Map([[1, 2]])), new Uint8Array(300)]) {
      const lie = { bytes, signature: signTyped(rootSeed, "doorlink/1/keyset", bytes) };
      expect(acceptKeyset(root, held(1), lie, now)).toMatchObject({ ok: false, fault: { code: "malformed-keyset" } });
    }
  });

  it("[Z2] any bytes give a keyset or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 80 }), (bytes, signature) => {
        expect(acceptKeyset(root, held(1), { bytes, signature }, now).ok).toBe(false);
        expect(typeof keyset.decode(bytes).ok).toBe("boolean");
      }),
      { numRuns: 200 },
    );
  });
});

describe("the order of policies", () => {
  it("[Z3] [Z4] a policy is of the held epoch and newer by (epoch, version): all small cases", () => {
    for (const keysetEpoch of [1, 2, 3]) {
      for (const heldEpoch of [1, 2, 3].filter((epoch) => epoch <= keysetEpoch)) {
        for (const epoch of [1, 2, 3]) {
          for (const version of [4, 5, 6]) {
            const judged = judgePolicyOrder(keysetEpoch, { epoch: heldEpoch, version: 5 }, { epoch, version });
            const isNewer = epoch > heldEpoch || (epoch === heldEpoch && version > 5);
            const expected =
              epoch > keysetEpoch ? "epoch-not-held" : epoch < keysetEpoch || !isNewer ? "rollback" : "taken";
            expect(judged.ok ? "taken" : judged.fault.code).toBe(expected);
          }
        }
      }
    }
    expect(judgePolicyOrder(2, undefined, { epoch: 2, version: 1 })).toEqual({
      ok: true,
      value: { epoch: 2, version: 1 },
    });
    expect(judgePolicyOrder(2, undefined, { epoch: 1, version: 9 }).ok).toBe(false);
  });

  it("[Z5] an authority restored from a backup goes on by a new epoch, with versions it cannot have reached", () => {
    // The lock holds (1, 120); the backup knows version 100 only.
    const lock = { epoch: 1, version: 120 };
    expect(judgePolicyOrder(1, lock, { epoch: 1, version: 101 })).toMatchObject({
      ok: false,
      fault: { code: "rollback" },
    });
    expect(judgePolicyOrder(1, lock, { epoch: 2, version: 101 })).toMatchObject({
      ok: false,
      fault: { code: "epoch-not-held" },
    });
    const rotated = acceptKeyset(root, held(1), signKeyset(rootSeed, keysetOf(2, 1)), now);
    expect(rotated).toMatchObject({ ok: true, value: { isNew: true } });
    expect(judgePolicyOrder(2, lock, { epoch: 2, version: 101 }).ok).toBe(true);
  });
});
