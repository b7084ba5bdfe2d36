/**
 * A keycard as its holder carries it: a number that every reader can read in passing, and a key that never leaves the card
 * (SPEC P9). Somebody who copied the number alone has a card that answers, but not with a proof.
 */
import { cardChallengeBytes, cardProof, cardProofBytes } from "../../protocol/access/card-key.ts";

export interface Keycard {
  readonly number: string;
  /** Answers a reader's 16-byte challenge with 8 bytes. */
  prove(challenge: Uint8Array): Uint8Array;
}

/** The card that the authority wrote. */
export function keycard(number: string, cardKey: Uint8Array): Keycard {
  return { number, prove: (challenge) => cardProof(cardKey, challenge) };
}

/** A copy of the number on another card: it has to answer something. */
export function copiedKeycard(number: string): Keycard {
  return { number, prove: () => new Uint8Array(cardProofBytes) };
}

/** Bytes of a reader's challenge. */
export const CARD_CHALLENGE_BYTES = cardChallengeBytes;
