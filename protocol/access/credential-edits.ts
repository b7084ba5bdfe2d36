/**
 * How one list of credentials becomes another, and the packed form of that in a delta (SPEC X5, X6).
 *
 * Credentials ascend by id, so both lists are walked once: what stands in the old one is kept, changed or left out, what does not is
 * put in between. An id is written as what it shares with the one before it and the rest, because ids of one site are much alike.
 * The form is packed by hand, not CBOR: ten changes are to fit two frames of the radio.
 *
 *     edit:  (kept << 2 | kind) varint, then for
 *       leave out (0)          nothing
 *       change (1)             fields varint, the new values
 *       change and clear (2)   fields varint, cleared varint, the new values
 *       put in (3)             id, fields varint, shape, rights, the values
 *     id:    (length of the rest * 33 + shared bytes) varint, the rest in UTF-8
 *     shape: (kind | state << 4 | unassigned << 7) varint
 *
 * `kept` counts the old credentials that stay as they are before this one. Fields: bit 0 shape, 1 rights, then `optionalNames` in
 * their order; when one is put in, bits 0 and 1 are not set, because it always has both.
 */
import { bytesToHex, concatBytes, u32Bytes, utf8 } from "../base/bytes.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { type UnixSeconds, unixSeconds } from "../base/units.ts";
import type { CredentialKind, CredentialState } from "./credential-kind.ts";
import type { Places } from "./list-edit.ts";
import { lookupBytes } from "./lookup.ts";
import { kindNumbers, type PolicyCredential, policyLimits, stateNumbers } from "./policy.ts";

/** What a credential may have besides its shape and rights, in the order of the bits and of the bytes. */
export const optionalNames = [
  "keypadLookup",
  "tokenLookup",
  "cardKey",
  "validFrom",
  "validUntil",
  "revokedFrom",
  "usesAllowed",
  "certificatesFrom",
] as const;
type OptionalName = (typeof optionalNames)[number];

/** `offset` is where in the packed edits the trouble stands. */
export type CredentialEditFault = {
  readonly code: "credential-edit";
  readonly offset: number;
  readonly expected: string;
};

/**
 * The edits that make `wanted` of `old`, packed; undefined when nothing changed. `places` tells where the rights that old
 * credentials name have gone. Both lists ascend by id. Time grows with the lengths.
 */
export function diffCredentials(
  old: readonly PolicyCredential[],
  wanted: readonly PolicyCredential[],
  places: Places,
): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let at = 0;
  let previousId = "";
  const leaveOut = (): void => {
    parts.push(varint(kept * 4 + editKind.leaveOut));
    kept = 0;
    at += 1;
  };
  for (const credential of wanted) {
    while ((old[at]?.id ?? credential.id) < credential.id) leaveOut();
    const before = old[at];
    if (before?.id === credential.id) {
      const change = changeOf(before, credential, places);
      if (change !== undefined) parts.push(varint(kept * 4 + change.kind), change.bytes);
      kept = change === undefined ? kept + 1 : 0;
      at += 1;
    } else {
      parts.push(varint(kept * 4 + editKind.putIn), idBytes(previousId, credential.id), wholeOf(credential));
      kept = 0;
    }
    previousId = credential.id;
  }
  while (at < old.length) leaveOut();
  return parts.length === 0 ? undefined : concatBytes(...parts);
}

/** Carries out packed edits; none keep the list. Faults: credential-edit. What comes out may still break a rule of the policy. */
export function applyCredentialEdits(
  old: readonly PolicyCredential[],
  packed: Uint8Array | undefined,
  places: Places,
): Result<readonly PolicyCredential[], CredentialEditFault> {
  const reader = new Reader(packed ?? new Uint8Array(0));
  const result: PolicyCredential[] = [];
  let at = 0;
  const keepUntil = (end: number): boolean => {
    for (; at < end; at++) {
      const moved = withMovedRights(old[at], places);
      if (moved === undefined) return false;
      result.push(moved);
    }
    return true;
  };
  while (!reader.isAtEnd()) {
    const head = reader.varint();
    const kept = Math.floor((head ?? 0) / 4);
    if (head === undefined || kept > old.length - at) return reader.fault("an edit within the old credentials");
    if (!keepUntil(at + kept)) return reader.fault("rights that are still there");
    const kind = head % 4;
    if (kind === editKind.putIn) {
      const credential = readWhole(reader, result.at(-1)?.id ?? "");
      if (credential === undefined) return reader.fault("a credential to put in");
      result.push(credential);
    } else {
      const before = old[at];
      at += 1;
      if (before === undefined) return reader.fault("an old credential");
      if (kind === editKind.leaveOut) continue;
      const changed = readChange(reader, before, kind === editKind.changeAndClear, places);
      if (changed === undefined) return reader.fault("a change of a credential");
      result.push(changed);
    }
    if (result.length > policyLimits.credentials)
      return reader.fault(`at most ${policyLimits.credentials} credentials`);
  }
  if (!keepUntil(old.length)) return reader.fault("rights that are still there");
  if (result.length > policyLimits.credentials) return reader.fault(`at most ${policyLimits.credentials} credentials`);
  return ok(result);
}

function changeOf(
  before: PolicyCredential,
  after: PolicyCredential,
  places: Places,
): { readonly kind: number; readonly bytes: Uint8Array } | undefined {
  let fields = 0;
  let cleared = 0;
  const values: Uint8Array[] = [];
  const set = (bit: number, value: Uint8Array): void => {
    fields |= 1 << bit;
    values.push(value);
  };
  if (shapeOf(before) !== shapeOf(after)) set(0, varint(shapeOf(after)));
  if (places[before.rights] !== after.rights) set(1, varint(after.rights));
  for (const [index, name] of optionalNames.entries()) {
    const [was, is] = [packedValue(before, name), packedValue(after, name)];
    if (is === undefined && was !== undefined) cleared |= 1 << (index + 2);
    if (is !== undefined && (was === undefined || bytesToHex(was) !== bytesToHex(is))) set(index + 2, is);
  }
  if (fields === 0 && cleared === 0) return undefined;
  if (cleared === 0) return { kind: editKind.change, bytes: concatBytes(varint(fields), ...values) };
  return { kind: editKind.changeAndClear, bytes: concatBytes(varint(fields), varint(cleared), ...values) };
}

function wholeOf(credential: PolicyCredential): Uint8Array {
  const values = optionalNames.map((name) => packedValue(credential, name));
  const fields = values.reduce((bits, value, index) => (value === undefined ? bits : bits | (1 << (index + 2))), 0);
  const present = values.filter((value) => value !== undefined);
  return concatBytes(varint(fields), varint(shapeOf(credential)), varint(credential.rights), ...present);
}

function idBytes(previousId: string, id: string): Uint8Array {
  const [previous, whole] = [utf8(previousId), utf8(id)];
  let shared = 0;
  while (shared < Math.min(previous.length, whole.length) && previous[shared] === whole[shared]) shared++;
  const rest = whole.subarray(shared);
  return concatBytes(varint(rest.length * idRadix + shared), rest);
}

function shapeOf({ kind, state, assigned }: PolicyCredential): number {
  return kindNumbers[kind] | (stateNumbers[state] << 4) | (assigned ? 0 : 1 << 7);
}

/** The packed value of an optional field; undefined: the credential has none. */
function packedValue(credential: PolicyCredential, name: OptionalName): Uint8Array | undefined {
  const value = credential[name];
  if (value === undefined || value instanceof Uint8Array) return value;
  return name === "usesAllowed" ? varint(value) : u32Bytes(value);
}

function readChange(
  reader: Reader,
  before: PolicyCredential,
  clears: boolean,
  places: Places,
): PolicyCredential | undefined {
  const fields = reader.varint();
  const cleared = clears ? reader.varint() : 0;
  if (fields === undefined || cleared === undefined || fields >= fieldsEnd || cleared >= fieldsEnd) return undefined;
  // One form: a field is set or cleared, only an optional one is cleared, and an edit changes something.
  if ((fields & cleared) !== 0 || (cleared & 3) !== 0 || (clears ? cleared === 0 : fields === 0)) return undefined;
  const shape = (fields & 1) === 0 ? before : readShape(reader);
  const rights = (fields & 2) === 0 ? places[before.rights] : reader.varint();
  const values = readOptionals(reader, fields);
  if (shape === undefined || rights === undefined || values === undefined) return undefined;
  if (rights >= policyLimits.rights) return undefined;
  const stays = optionalNames.filter((_, index) => ((fields | cleared) & (1 << (index + 2))) === 0);
  const old = Object.fromEntries(stays.flatMap((name) => (before[name] === undefined ? [] : [[name, before[name]]])));
  const { kind, state, assigned } = shape;
  return { id: before.id, kind, state, assigned, rights, ...old, ...values };
}

function readWhole(reader: Reader, previousId: string): PolicyCredential | undefined {
  const id = readId(reader, previousId);
  const fields = reader.varint();
  const shape = readShape(reader);
  const rights = reader.varint();
  if (fields === undefined || fields >= fieldsEnd || (fields & 3) !== 0) return undefined;
  const values = readOptionals(reader, fields);
  if (id === undefined || shape === undefined || rights === undefined || values === undefined) return undefined;
  return rights >= policyLimits.rights ? undefined : { id, ...shape, rights, ...values };
}

function readId(reader: Reader, previousId: string): string | undefined {
  const head = reader.varint();
  if (head === undefined) return undefined;
  const previous = utf8(previousId);
  const shared = head % idRadix;
  const rest = reader.bytes(Math.floor(head / idRadix));
  if (rest === undefined || shared > previous.length || shared + rest.length > policyLimits.idBytes) return undefined;
  try {
    return strictUtf8.decode(concatBytes(previous.subarray(0, shared), rest));
  } catch {
    // The one failure of a strict decoder: these bytes are no UTF-8.
    return undefined;
  }
}

function readShape(reader: Reader): Pick<PolicyCredential, "kind" | "state" | "assigned"> | undefined {
  const value = reader.varint();
  if (value === undefined || value > 0xff) return undefined;
  const kind = kindByNumber.get(value & 15);
  const state = stateByNumber.get((value >> 4) & 7);
  return kind === undefined || state === undefined ? undefined : { kind, state, assigned: value < 1 << 7 };
}

function readOptionals(reader: Reader, fields: number): Partial<PolicyCredential> | undefined {
  const values: Partial<Record<OptionalName, number | Uint8Array>> = {};
  for (const [index, name] of optionalNames.entries()) {
    if ((fields & (1 << (index + 2))) === 0) continue;
    const value = readOptional(reader, name);
    if (value === undefined) return undefined;
    values[name] = value;
  }
  // Each name was read as what it is: bytes of its length, an instant or a count.
  return values as Partial<PolicyCredential>;
}

function readOptional(reader: Reader, name: OptionalName): Uint8Array | number | undefined {
  if (name === "keypadLookup" || name === "tokenLookup") return reader.bytes(lookupBytes);
  if (name === "cardKey") return reader.bytes(cardKeyBytes);
  if (name !== "usesAllowed") return reader.instant();
  const uses = reader.varint();
  return uses === undefined || uses > usesMax ? undefined : uses;
}

function withMovedRights(credential: PolicyCredential | undefined, places: Places): PolicyCredential | undefined {
  if (credential === undefined) return undefined;
  const rights = places[credential.rights];
  if (rights === undefined) return undefined;
  return rights === credential.rights ? credential : { ...credential, rights };
}

/** Reads packed values; undefined where the bytes end too early or a number is not in its one form. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  fault(expected: string): Result<never, CredentialEditFault> {
    return failed({ code: "credential-edit", offset: this.#at, expected });
  }

  bytes(length: number): Uint8Array | undefined {
    if (this.#bytes.length - this.#at < length) return undefined;
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  instant(): UnixSeconds | undefined {
    const bytes = this.bytes(4);
    return bytes === undefined ? undefined : unixSeconds(bytes.reduce((value, byte) => value * 256 + byte, 0));
  }

  /** Seven bits a byte, most significant first, the high bit set on all but the last; at most four bytes, no leading zeros. */
  varint(): number | undefined {
    let value = 0;
    for (let length = 0; length < varintBytes; length++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined || (length === 0 && byte === 0x80)) return undefined;
      this.#at += 1;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return undefined;
  }
}

function varint(value: number): Uint8Array {
  assert(value >= 0 && value < 128 ** varintBytes, "a packed number has at most 28 bits");
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return Uint8Array.from(bytes);
}

const editKind = { leaveOut: 0, change: 1, changeAndClear: 2, putIn: 3 } as const;
const fieldsEnd = 1 << (optionalNames.length + 2);
const idRadix = policyLimits.idBytes + 1;
const cardKeyBytes = 16;
const usesMax = 1_000_000;
const varintBytes = 4;
const kindByNumber = new Map<number, CredentialKind>(
  Object.entries(kindNumbers).map(([kind, number]) => [number, kind as CredentialKind]),
);
const stateByNumber = new Map<number, CredentialState>(
  Object.entries(stateNumbers).map(([state, number]) => [number, state as CredentialState]),
);
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
