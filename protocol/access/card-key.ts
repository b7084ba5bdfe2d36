/**
 * Keycards with a key of their own each (SPEC P9): a number can be read off a card in passing, a key cannot.
 *
 * The authority makes each card's key from one secret and the card's number, so that no list of keys has to be kept; a lock holds the
 * keys of its own cards alone. The reader sends a fresh challenge, the card answers with a MAC under its key.
 */
import { concatBytes, equalBytes, utf8 } from "../base/bytes.ts";
import { assert } from "../base/result.ts";
import { hkdfSha256, hmacSha256 } from "../crypto.ts";
import { presentationLookup } from "./lookup.ts";
import { credentialByLookup, type IndexedPolicy } from "./policy-index.ts";

/** The 16-byte key of one card, from the authority's 32-byte secret. `generation` counts how often the card was written anew. */
export function makeCardKey(cardSecret: Uint8Array, cardNumber: string, generation: number): Uint8Array {
  assert(cardSecret.length === 32, "the secret of all cards has 32 bytes");
  const info = utf8(`doorlink/1/card/${cardNumber.toLowerCase()}/${generation}`);
  return hkdfSha256(cardSecret, new Uint8Array(32), info, cardKeyBytes);
}

/** What a card answers to a 16-byte challenge: 8 bytes. */
export function cardProof(cardKey: Uint8Array, challenge: Uint8Array): Uint8Array {
  assert(challenge.length === cardChallengeBytes, "a challenge has 16 bytes");
  return hmacSha256(cardKey, concatBytes(proofPrefix, challenge)).slice(0, cardProofBytes);
}

/**
 * True when the card proved the key that the policy holds for its number, when the policy holds none for it, or when it does not hold
 * the card: then `decide` says what is wrong. It is `authentic` of the attempt.
 */
export function isCardAuthentic(
  policy: IndexedPolicy,
  codeKey: Uint8Array,
  card: { readonly number: string; readonly challenge: Uint8Array; readonly proof: Uint8Array },
): boolean {
  const lookup = presentationLookup(codeKey, "keycard", card.number);
  const cardKey = credentialByLookup(policy.byToken, lookup)?.cardKey;
  return cardKey === undefined || equalBytes(cardProof(cardKey, card.challenge), card.proof);
}

export const cardKeyBytes = 16;
export const cardChallengeBytes = 16;
/** 64 bits: a forger has one answer for each challenge. */
export const cardProofBytes = 8;
const proofPrefix = utf8("doorlink/1/card-proof/");
