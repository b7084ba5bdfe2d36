/** Keyed names of what is presented, so that neither a policy nor a log holds a code, a card number or a plate. */
import { readU32 } from "../base/bytes.ts";
import { hmacSha256OfText } from "../crypto.ts";
import type { TokenKind } from "./credential-kind.ts";

/** How something is presented: typed, or as one kind of token. */
export type Medium = "keypad" | TokenKind;

/**
 * Eight bytes under which a device finds a credential: HMAC-SHA-256 of the medium and the text under the device's own code
 * key. 64 bits: among 5,000 credentials a chance match of another text is below 1 in 10^15. Source: SPEC P4.
 *
 * It keeps a policy from telling codes to whoever carries it. It does not keep them from whoever takes a lock apart: where the code
 * key lies in ordinary flash, ten million codes are tried in seconds. Recoverable from a stolen lock: rotate.
 */
export function presentationLookup(codeKey: Uint8Array, medium: Medium, text: string): Uint8Array {
  return hmacSha256OfText(codeKey, `doorlink/1/lookup/${medium}/${normalized(medium, text)}`, lookupBytes);
}

/**
 * The 32-bit name of a denied entry under a key that only this lock and the authority have. With it the authority can say
 * afterwards which code it was; a log says nothing. Source: SPEC C6.
 */
export function entryTag(entryTagKey: Uint8Array, digits: string): number {
  return readU32(hmacSha256OfText(entryTagKey, `doorlink/1/entry/${digits}`, 4), 0);
}

/** Card numbers are read with and without capitals, plates with and without gaps. */
function normalized(medium: Medium, text: string): string {
  if (medium === "keycard" || medium === "rf-card") return text.toLowerCase();
  return medium === "licence-plate" ? text.toUpperCase().replaceAll(/[^A-Z0-9]/g, "") : text;
}

export const lookupBytes = 8;
