/** A policy made ready for deciding: what is looked up is found in one step, whatever the policy's size. */
import { readU32 } from "../base/bytes.ts";
import { type ScheduleRows, scheduleRows } from "./calendar.ts";
import { type CredentialKind, isKeypadKind } from "./credential-kind.ts";
import type { LockPolicy, PolicyCredential } from "./policy.ts";

export interface IndexedPolicy {
  readonly policy: LockPolicy;
  readonly takes: ReadonlySet<CredentialKind>;
  readonly takesKeypad: boolean;
  readonly byId: ReadonlyMap<string, PolicyCredential>;
  readonly byKeypad: LookupTable;
  readonly byToken: LookupTable;
  /** In the order of the policy's schedules. */
  readonly schedules: readonly ScheduleRows[];
}

/**
 * Lookups in an open-addressed table of plain numbers, at most half full: an index of objects would lie scattered over memory, and a
 * lock with 5,000 credentials would decide more slowly than one with 50.
 */
export interface LookupTable {
  /** Four words for each place: both words of the lookup, one more than the credential's index (0: empty), and one unused. */
  readonly words: Uint32Array;
  readonly credentials: readonly PolicyCredential[];
}

/** Made once for each committed policy. */
export function indexPolicy(policy: LockPolicy): IndexedPolicy {
  const { credentials } = policy;
  return {
    policy,
    takes: new Set(policy.takes),
    takesKeypad: policy.takes.some((kind) => isKeypadKind(kind) || kind === "daily-doorcode"),
    byId: new Map(credentials.map((credential) => [credential.id, credential])),
    byKeypad: lookupTable(credentials, ({ keypadLookup }) => keypadLookup),
    byToken: lookupTable(credentials, ({ tokenLookup }) => tokenLookup),
    schedules: policy.schedules.map(scheduleRows),
  };
}

export function credentialById(index: IndexedPolicy, id: string): PolicyCredential | undefined {
  return index.byId.get(id);
}

/** The credential with this lookup; of several with the same, the first by id. */
export function credentialByLookup(table: LookupTable, lookup: Uint8Array): PolicyCredential | undefined {
  const owner = table.words[placeOf(table.words, readU32(lookup, 0), readU32(lookup, 4)) + ownerWord];
  return owner === undefined || owner === 0 ? undefined : table.credentials[owner - 1];
}

function lookupTable(
  credentials: readonly PolicyCredential[],
  lookupOf: (credential: PolicyCredential) => Uint8Array | undefined,
): LookupTable {
  let places = 16;
  while (places < credentials.length * 2) places *= 2;
  const words = new Uint32Array(places * wordsPerPlace);
  for (const [index, credential] of credentials.entries()) {
    const lookup = lookupOf(credential);
    if (lookup === undefined) continue;
    const [high, low] = [readU32(lookup, 0), readU32(lookup, 4)];
    const place = placeOf(words, high, low);
    if (words[place + ownerWord] === 0) words.set([high, low, index + 1], place);
  }
  return { words, credentials };
}

/** Where the lookup stands, or the empty place where it would. Half of the places are empty, so the search ends. */
function placeOf(words: Uint32Array, high: number, low: number): number {
  const last = words.length - wordsPerPlace;
  let place = (low * wordsPerPlace) & last;
  while (words[place + ownerWord] !== 0 && (words[place + 1] !== low || words[place] !== high)) {
    place = (place + wordsPerPlace) & last;
  }
  return place;
}

const wordsPerPlace = 4;
const ownerWord = 2;
