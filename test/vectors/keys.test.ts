import { describe, expect, it } from "vitest";
import { cardProof } from "../../protocol/access/card-key.ts";
import { entryTag, type Medium, presentationLookup } from "../../protocol/access/lookup.ts";
import { bytesToHex, readU32 } from "../../protocol/base/bytes.ts";
import type { LocalDay } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { type DailyMode, dailyCode, truncateToDigits } from "../../protocol/doorcode/daily-code.ts";
import { derivePairingKeys, type PairingKeys } from "../../protocol/sync/authority.ts";
import { auditChainNext, auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import { readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly lockStaticPrivate: Uint8Array;
  readonly lockStaticPublic: Uint8Array;
  readonly authorityStaticPrivate: Uint8Array;
  readonly authorityStaticPublic: Uint8Array;
  readonly pairingId: Uint8Array;
  readonly keys: PairingKeys;
  readonly chainStart: Uint8Array;
  readonly chain: readonly { readonly entry: Uint8Array; readonly head: Uint8Array }[];
  readonly entryTags: readonly { readonly digits: string; readonly tag: Uint8Array }[];
  readonly lookups: readonly { readonly medium: Medium; readonly text: string; readonly lookup: Uint8Array }[];
  readonly dailyKey: Uint8Array;
  readonly dailyCodes: readonly {
    readonly localDay: LocalDay;
    readonly mode: DailyMode;
    readonly slot: number;
    readonly digits: number;
    readonly code: string;
  }[];
  readonly truncation: readonly { readonly mac: Uint8Array; readonly code: string }[];
  readonly cardProofs: readonly {
    readonly cardKey: Uint8Array;
    readonly challenge: Uint8Array;
    readonly proof: Uint8Array;
  }[];
}>("pairing-keys.json");
const { keys, pairingId } = vectors;

describe("pairing-keys.json", () => {
  it("[O7] both ends derive the keys of the pairing, and other ones for any other pairing id", () => {
    expect(x25519PublicKey(vectors.lockStaticPrivate)).toEqual(vectors.lockStaticPublic);
    expect(x25519PublicKey(vectors.authorityStaticPrivate)).toEqual(vectors.authorityStaticPublic);
    expect(derivePairingKeys(vectors.lockStaticPrivate, vectors.authorityStaticPublic, pairingId)).toEqual(keys);
    expect(derivePairingKeys(vectors.authorityStaticPrivate, vectors.lockStaticPublic, pairingId)).toEqual(keys);
    const others = derivePairingKeys(vectors.lockStaticPrivate, vectors.authorityStaticPublic, new Uint8Array(16));
    const all = [...Object.values(keys), ...Object.values(others ?? {})].map(bytesToHex);
    expect(new Set(all).size).toBe(Object.keys(keys).length * 2);
  });

  it("[E2] the chain's heads", () => {
    let head = auditChainStart(keys.chain, pairingId);
    expect(head).toEqual(vectors.chainStart);
    for (const { entry, head: next } of vectors.chain) {
      expect(auditEntry.decode(entry).ok).toBe(true);
      head = auditChainNext(keys.chain, head, entry);
      expect(head).toEqual(next);
    }
  });

  it.each(vectors.entryTags)("[C6] the tag of $digits", ({ digits, tag }) => {
    expect(entryTag(keys.entryTag, digits)).toBe(readU32(tag, 0));
  });

  it.each(vectors.lookups)("[P4] the lookup of $medium $text", ({ medium, text, lookup }) => {
    expect(bytesToHex(presentationLookup(keys.codeHash, medium, text))).toBe(bytesToHex(lookup));
  });

  it.each(vectors.dailyCodes)("[C1] day $localDay, $mode slot $slot: $code", ({ code, digits, ...slot }) => {
    expect(dailyCode(vectors.dailyKey, slot, digits)).toBe(code);
  });

  it.each(vectors.truncation)("[C1] RFC 4226 appendix D: $code", ({ mac, code }) => {
    expect(truncateToDigits(mac, 6)).toBe(code);
  });

  it.each(vectors.cardProofs)("[P9] a card's answer", ({ cardKey, challenge, proof }) => {
    expect(cardProof(cardKey, challenge)).toEqual(proof);
  });
});
