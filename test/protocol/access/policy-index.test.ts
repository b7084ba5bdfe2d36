import { describe, expect, it } from "vitest";
import type { PolicyCredential } from "../../../protocol/access/policy.ts";
import { credentialByLookup, indexPolicy } from "../../../protocol/access/policy-index.ts";
import { mapleCourt, policyOf, siteOf } from "../site/fixtures.ts";

const base = policyOf(siteOf(mapleCourt), "lobby-lock").policy;
const credential = (id: string, keypadLookup: Uint8Array): PolicyCredential => ({
  id,
  kind: "permanent-doorcode",
  state: "active",
  assigned: true,
  rights: 0,
  keypadLookup,
});
/** Eight bytes: the first four say which, the last four where the search begins. */
const lookup = (which: number, begin: number) =>
  Uint8Array.of(0, 0, which >> 8, which & 255, 0, 0, begin >> 8, begin & 255);

describe("lookups", () => {
  it("[P4] finds each of many that all begin their search at one place, and none that is not there", () => {
    const many = Array.from({ length: 300 }, (_, index) =>
      credential(`c${String(index).padStart(3, "0")}`, lookup(index, 7)),
    );
    const { byKeypad } = indexPolicy({ ...base, credentials: many });
    for (const [index, one] of many.entries()) expect(credentialByLookup(byKeypad, lookup(index, 7))).toBe(one);
    expect(credentialByLookup(byKeypad, lookup(300, 7))).toBeUndefined();
    expect(credentialByLookup(byKeypad, lookup(5, 8))).toBeUndefined();
  });

  it("[P4] goes round the end of its table", () => {
    const two = [credential("a", lookup(1, 15)), credential("b", lookup(2, 15)), credential("c", lookup(3, 0))];
    const { byKeypad } = indexPolicy({ ...base, credentials: two });
    expect([lookup(1, 15), lookup(2, 15), lookup(3, 0)].map((one) => credentialByLookup(byKeypad, one)?.id)).toEqual([
      "a",
      "b",
      "c",
    ]);
  });

  it("[P4] of two with the same lookup the first by id is meant", () => {
    const { byKeypad } = indexPolicy({
      ...base,
      credentials: [credential("a", lookup(1, 1)), credential("b", lookup(1, 1))],
    });
    expect(credentialByLookup(byKeypad, lookup(1, 1))?.id).toBe("a");
  });

  it("[P4] an empty policy finds nothing", () => {
    const { byKeypad, byToken } = indexPolicy({ ...base, credentials: [] });
    expect([byKeypad, byToken].map((table) => credentialByLookup(table, lookup(0, 0)))).toEqual([undefined, undefined]);
  });
});
