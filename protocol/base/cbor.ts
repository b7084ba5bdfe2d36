/**
 * Deterministic CBOR: the one encoding of a value that RFC 8949 part 4.2.1 allows, and nothing else is accepted.
 *
 * Values are safe integers, byte strings, text, booleans, null, arrays and maps with integer keys (SPEC W1). What is signed,
 * hashed or compared must have one form, so a longer head, an indefinite length, keys out of order or twice, floats and
 * tags are faults even where other CBOR would take them (SPEC W2). This is the only file that touches `cborg`: its tokenizer
 * reads each item after `readHead` has judged the item's first bytes, which keeps every fault named and every throw away.
 */
import { Tokenizer, Type } from "cborg";
import { utf8Length } from "./bytes.ts";
import { assert, failed, ok, type Result } from "./result.ts";

export type CborValue = number | Uint8Array | string | boolean | null | readonly CborValue[] | CborMap;
export type CborMap = ReadonlyMap<number, CborValue>;

/** `bytesMax` bounds the whole encoding and so the number of items; `depthMax` counts arrays and maps inside each other. */
export type CborLimits = { readonly bytesMax: number; readonly depthMax: number };

/** One message of the secure session is at most this long (SPEC S9), and no message nests deeper. */
export const cborLimits: CborLimits = { bytesMax: 65_535, depthMax: 16 };

/** What is wrong with the bytes: `offset` is the first byte of the item at fault. */
export type CborByteFault =
  | { readonly code: "too-large"; readonly length: number; readonly max: number }
  | { readonly code: "truncated"; readonly offset: number; readonly expected: number; readonly available: number }
  | { readonly code: "trailing-bytes"; readonly offset: number; readonly count: number }
  | { readonly code: "not-minimal"; readonly offset: number }
  | { readonly code: "indefinite-length"; readonly offset: number }
  | { readonly code: "reserved-head"; readonly offset: number; readonly head: number }
  | { readonly code: "integer-out-of-range"; readonly offset: number }
  | { readonly code: "invalid-text"; readonly offset: number }
  | { readonly code: "tag-not-allowed"; readonly offset: number }
  | { readonly code: "float-not-allowed"; readonly offset: number }
  | { readonly code: "simple-value-not-allowed"; readonly offset: number; readonly head: number }
  | { readonly code: "key-not-integer"; readonly offset: number }
  | { readonly code: "duplicate-key"; readonly offset: number; readonly key: number }
  | { readonly code: "unsorted-key"; readonly offset: number; readonly key: number }
  | { readonly code: "too-deep"; readonly offset: number; readonly max: number };

/** What is wrong with a value that is sound CBOR but not the record that was expected; `path` reads like `list[3].id`. */
export type CborShapeFault =
  | { readonly code: "wrong-type"; readonly path: string; readonly expected: string; readonly found: string }
  | { readonly code: "out-of-range"; readonly path: string; readonly min: number; readonly max: number }
  | {
      readonly code: "wrong-length";
      readonly path: string;
      readonly min: number;
      readonly max: number;
      readonly found: number;
    }
  | { readonly code: "wrong-value"; readonly path: string; readonly expected: string }
  | { readonly code: "missing-key"; readonly path: string; readonly key: number }
  | { readonly code: "unknown-key"; readonly path: string; readonly key: number }
  | { readonly code: "unknown-type"; readonly path: string; readonly type: number };

export type CborFault = CborByteFault | CborShapeFault;

/**
 * Encodes a value. An integer beyond 2^53-1, a broken surrogate or nesting beyond any limit is our own mistake.
 *
 * Measured first and then written in place. The library's encoder makes a token of every key, sorts keys that are in order already, and
 * took two thirds of the time to sign a lock's policy; the tests hold this one to it.
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const bytes = new Uint8Array(encodedLength(value, 0));
  const end = writeValue(bytes, 0, value);
  assert(end === bytes.length, "a value is as long as it was measured");
  return bytes;
}

/** Reads exactly one value that fills `bytes`. Any bytes give a value or a fault. Source: SPEC W1-W3. */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits = cborLimits): Result<CborValue, CborByteFault> {
  if (bytes.length > limits.bytesMax) {
    return failed({ code: "too-large", length: bytes.length, max: limits.bytesMax });
  }
  const reader: Reader = { bytes, tokenizer: new Tokenizer(bytes, tokenizerOptions), depthMax: limits.depthMax };
  const value = readValue(reader, 0);
  if (!value.ok) return value;
  const offset = reader.tokenizer.pos();
  if (offset !== bytes.length) return failed({ code: "trailing-bytes", offset, count: bytes.length - offset });
  return value;
}

/** A word for the kind of a value, for faults. */
export function cborTypeName(value: CborValue): string {
  if (value === null) return "null";
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "array";
  if (typeof value === "object") return "map";
  if (typeof value === "number") return "integer";
  return typeof value === "string" ? "text" : "boolean";
}

type Reader = { readonly bytes: Uint8Array; readonly tokenizer: Tokenizer; readonly depthMax: number };
type Head = { readonly major: number; readonly argument: number };

function readValue(reader: Reader, depth: number): Result<CborValue, CborByteFault> {
  const offset = reader.tokenizer.pos();
  const head = readHead(reader.bytes, offset);
  if (!head.ok) return head;
  const token = reader.tokenizer.next();
  if (token.type === Type.array || token.type === Type.map) {
    if (depth >= reader.depthMax) return failed({ code: "too-deep", offset, max: reader.depthMax });
    const { argument } = head.value;
    return token.type === Type.array ? readArray(reader, argument, depth + 1) : readMap(reader, argument, depth + 1);
  }
  if (token.type === Type.string) return readText(token.byteValue, offset);
  if (token.type === Type.bytes) return ok(new Uint8Array(token.value));
  return ok(token.value);
}

function readArray(reader: Reader, length: number, depth: number): Result<CborValue, CborByteFault> {
  const items: CborValue[] = [];
  for (let index = 0; index < length; index++) {
    const item = readValue(reader, depth);
    if (!item.ok) return item;
    items.push(item.value);
  }
  return ok(items);
}

function readMap(reader: Reader, length: number, depth: number): Result<CborValue, CborByteFault> {
  const map = new Map<number, CborValue>();
  let previous: number | undefined;
  for (let index = 0; index < length; index++) {
    const offset = reader.tokenizer.pos();
    const key = readValue(reader, depth);
    if (!key.ok) return key;
    if (typeof key.value !== "number") return failed({ code: "key-not-integer", offset });
    if (map.has(key.value)) return failed({ code: "duplicate-key", offset, key: key.value });
    if (previous !== undefined && !comesBefore(previous, key.value)) {
      return failed({ code: "unsorted-key", offset, key: key.value });
    }
    previous = key.value;
    const value = readValue(reader, depth);
    if (!value.ok) return value;
    map.set(key.value, value.value);
  }
  return ok(map);
}

/** The bytewise order of encoded keys (RFC 8949 part 4.2.1): 0, 1, 2 ... and after them -1, -2, -3 ... */
function comesBefore(left: number, right: number): boolean {
  if (left >= 0 && right >= 0) return left < right;
  if (left < 0 && right < 0) return left > right;
  return left >= 0;
}

function readText(bytes: Uint8Array | undefined, offset: number): Result<string, CborByteFault> {
  // The tokenizer keeps no bytes of an empty text.
  if (bytes === undefined) return ok("");
  try {
    return ok(strictUtf8.decode(bytes));
  } catch {
    return failed({ code: "invalid-text", offset });
  }
}

/** Judges the first bytes of the item at `offset`; what passes, the tokenizer reads without a fault. */
function readHead(bytes: Uint8Array, offset: number): Result<Head, CborByteFault> {
  const available = bytes.length - offset;
  const head = bytes[offset];
  if (head === undefined) return failed({ code: "truncated", offset, expected: 1, available });
  const major = head >>> 5;
  const info = head & 31;
  if (major === majorTag) return failed({ code: "tag-not-allowed", offset });
  if (major === majorSimple) return readSimple(head, info, offset);
  if (info === 31) return failed({ code: "indefinite-length", offset });
  if (info > 27) return failed({ code: "reserved-head", offset, head });
  const argumentLength = info < 24 ? 0 : 2 ** (info - 24);
  if (available < 1 + argumentLength) {
    return failed({ code: "truncated", offset, expected: 1 + argumentLength, available });
  }
  const argument = argumentLength === 0 ? info : readArgument(bytes, offset + 1, argumentLength);
  if (argumentLength > 0 && argument < (leastArgument[argumentLength] ?? 0)) {
    return failed({ code: "not-minimal", offset });
  }
  const integerMax = major === majorNegative ? Number.MAX_SAFE_INTEGER - 1 : Number.MAX_SAFE_INTEGER;
  if (argument > integerMax) return failed({ code: "integer-out-of-range", offset });
  // An item of an array takes at least one byte, an entry of a map two: a length that cannot be true is refused here.
  const expected = 1 + argumentLength + argument * (bytesPerCount[major] ?? 0);
  if (available < expected) return failed({ code: "truncated", offset, expected, available });
  return ok({ major, argument });
}

function readSimple(head: number, info: number, offset: number): Result<Head, CborByteFault> {
  if (info >= 20 && info <= 22) return ok({ major: majorSimple, argument: info });
  if (info >= 25 && info <= 27) return failed({ code: "float-not-allowed", offset });
  if (info === 31) return failed({ code: "indefinite-length", offset });
  return failed({ code: "simple-value-not-allowed", offset, head });
}

function readArgument(bytes: Uint8Array, offset: number, length: number): number {
  let argument = 0;
  // Beyond 2^53 the sum is no longer exact, yet it stays beyond 2^53, which is all that the caller asks.
  for (let index = 0; index < length; index++) argument = argument * 256 + (bytes[offset + index] ?? 0);
  return argument;
}

function encodedLength(value: CborValue, depth: number): number {
  if (typeof value === "number") return integerLength(value);
  if (value === null || typeof value === "boolean") return 1;
  if (typeof value === "string") {
    assert(value.isWellFormed(), "CBOR text has no lone surrogate");
    const length = utf8Length(value);
    return headLength(length) + length;
  }
  if (value instanceof Uint8Array) return headLength(value.length) + value.length;
  assert(depth < cborLimits.depthMax, "CBOR nests at most to its limit");
  if (isMap(value)) {
    let length = headLength(value.size);
    for (const [key, item] of value) length += integerLength(key) + encodedLength(item, depth + 1);
    return length;
  }
  let length = headLength(value.length);
  for (const item of value) length += encodedLength(item, depth + 1);
  return length;
}

function integerLength(value: number): number {
  assert(Number.isSafeInteger(value), "CBOR integers and keys are safe integers");
  return headLength(value < 0 ? -1 - value : value);
}

function headLength(argument: number): number {
  if (argument < 24) return 1;
  if (argument < 0x100) return 2;
  if (argument < 0x1_0000) return 3;
  return argument < 0x1_0000_0000 ? 5 : 9;
}

/** Writes at `offset`, where there is room, and says where the value ends. */
function writeValue(bytes: Uint8Array, offset: number, value: CborValue): number {
  if (typeof value === "number") return writeInteger(bytes, offset, value);
  if (typeof value === "string") return writeText(bytes, offset, value);
  if (value === null || typeof value === "boolean") {
    bytes[offset] = value === null ? 0xf6 : value ? 0xf5 : 0xf4;
    return offset + 1;
  }
  if (value instanceof Uint8Array) {
    const at = writeHead(bytes, offset, majorBytes, value.length);
    // Lookups and keys are short; `set` takes as long for one byte as a loop for twenty.
    if (value.length > 32) bytes.set(value, at);
    else for (let index = 0; index < value.length; index++) bytes[at + index] = value[index] ?? 0;
    return at + value.length;
  }
  if (isMap(value)) {
    let at = writeHead(bytes, offset, majorMap, value.size);
    for (const [key, item] of inOrder(value)) at = writeValue(bytes, writeInteger(bytes, at, key), item);
    return at;
  }
  let at = writeHead(bytes, offset, majorArray, value.length);
  for (const item of value) at = writeValue(bytes, at, item);
  return at;
}

function writeInteger(bytes: Uint8Array, offset: number, value: number): number {
  return value < 0
    ? writeHead(bytes, offset, majorNegative, -1 - value)
    : writeHead(bytes, offset, majorUnsigned, value);
}

function writeText(bytes: Uint8Array, offset: number, value: string): number {
  const length = utf8Length(value);
  const at = writeHead(bytes, offset, majorText, length);
  if (length > value.length) encoder.encodeInto(value, bytes.subarray(at));
  else for (let index = 0; index < length; index++) bytes[at + index] = value.charCodeAt(index);
  return at + length;
}

function writeHead(bytes: Uint8Array, offset: number, major: number, argument: number): number {
  const end = offset + headLength(argument);
  const argumentLength = end - offset - 1;
  bytes[offset] = (major << 5) | (argumentLength === 0 ? argument : (headInfo[argumentLength] ?? 0));
  let rest = argument;
  for (let at = end - 1; at > offset; at--) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return end;
}

/** A record's map is in order as it is made. */
function inOrder(map: CborMap): Iterable<readonly [number, CborValue]> {
  let previous: number | undefined;
  for (const key of map.keys()) {
    if (previous !== undefined && !comesBefore(previous, key)) {
      return [...map].sort(([left], [right]) => (comesBefore(left, right) ? -1 : 1));
    }
    previous = key;
  }
  return map;
}

function isMap(value: readonly CborValue[] | CborMap): value is CborMap {
  return value instanceof Map;
}

const majorUnsigned = 0;
const majorNegative = 1;
const majorBytes = 2;
const majorText = 3;
const majorArray = 4;
const majorMap = 5;
const majorTag = 6;
const majorSimple = 7;
/** The least argument that needs a head of 1, 2, 4 or 8 bytes more (RFC 8949 part 4.2.1). */
const leastArgument: Readonly<Record<number, number>> = { 1: 24, 2: 0x100, 4: 0x1_0000, 8: 0x1_0000_0000 };
/** What the head says of an argument of 1, 2, 4 or 8 bytes. */
const headInfo: Readonly<Record<number, number>> = { 1: 24, 2: 25, 4: 26, 8: 27 };
/** Bytes that each unit of the argument must still bring: byte strings, text, arrays, maps. */
const bytesPerCount: Readonly<Record<number, number>> = { 2: 1, 3: 1, 4: 1, 5: 2 };
const tokenizerOptions = { strict: true, allowIndefinite: false, allowBigInt: false, retainStringBytes: true };
/** Fatal, and keeping a byte order mark: what was decoded must encode to the same bytes. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
