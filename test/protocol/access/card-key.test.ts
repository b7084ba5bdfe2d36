import { describe, expect, it } from "vitest";
import { cardProof, isCardAuthentic, makeCardKey } from "../../../protocol/access/card-key.ts";
import { decide } from "../../../protocol/access/decide.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { codeKey, lockState, mapleCourt, policyOf, siteOf, start } from "../site/fixtures.ts";

const secret = new Uint8Array(32).map((_, index) => index);
const number = "04a1b2c3d4e5f6";
const key = makeCardKey(secret, number, 1);
const challenge = new Uint8Array(16).fill(5);
const lobby = policyOf(siteOf(mapleCourt), "lobby-lock", { cardKeyOf: (id) => (id === "eve-card" ? key : undefined) });

const presented = (proof: Uint8Array) => {
  const authentic = isCardAuthentic(lobby, codeKey, { number, challenge, proof });
  return decide(lobby, lockState(), { kind: "token", tokenKind: "keycard", value: number, authentic }, start)
    .failedChecks;
};

describe("keycards", () => {
  it("[P9] key and proof, computed apart from this code with Python's hmac", () => {
    expect(bytesToHex(key)).toBe("0f3036a17363b95d5294a33cba002dff");
    expect(bytesToHex(cardProof(key, challenge))).toBe("fa79dea5287af150");
  });

  it("[P9] every card and every generation of it has another key", () => {
    const keys = [
      makeCardKey(secret, number, 1),
      makeCardKey(secret, number, 2),
      makeCardKey(secret, "04a1b2c3d4e5f7", 1),
    ];
    expect(new Set(keys.map(bytesToHex)).size).toBe(3);
    expect(bytesToHex(makeCardKey(secret, number.toUpperCase(), 1))).toBe(bytesToHex(key));
  });

  it("[P9] [D4] a card that proves its key opens; a copy of its number does not", () => {
    expect(presented(cardProof(key, challenge))).toEqual([]);
    expect(presented(cardProof(makeCardKey(secret, number, 2), challenge))).toEqual(["CREDENTIAL_NOT_AUTHENTIC"]);
    expect(
      presented(
        cardProof(
          key,
          challenge.map((byte) => byte + 1),
        ),
      ),
    ).toEqual(["CREDENTIAL_NOT_AUTHENTIC"]);
  });

  it("[P9] a card that the lock does not hold, or without a key, is for the decision to judge", () => {
    const proof = new Uint8Array(8);
    expect(isCardAuthentic(lobby, codeKey, { number: "04ffffff", challenge, proof })).toBe(true);
    expect(isCardAuthentic(policyOf(siteOf(mapleCourt), "lobby-lock"), codeKey, { number, challenge, proof })).toBe(
      true,
    );
  });
});
