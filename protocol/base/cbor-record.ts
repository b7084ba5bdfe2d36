/**
 * Declared CBOR messages: a record is a map with small integer keys (SPEC W4), described once and used both ways.
 *
 *   const hello = cborRecord({ pairingId: field(1, cborBytes(16)), note: optional(3, cborText(64)) });
 *   type Hello = CborTypeOf<typeof hello>;   // { readonly pairingId: Uint8Array; readonly note?: string }
 *
 * Every codec holds its limits in both directions: what a peer sent beyond them is a fault with its path, what we would send
 * beyond them is our own mistake and stops the program. Unknown keys are refused: room for other versions is the protocol
 * byte of the handshake, not keys that some devices understand and others skip (SPEC W5).
 */
import { utf8Length } from "./bytes.ts";
import {
  type CborFault,
  type CborLimits,
  type CborMap,
  type CborShapeFault,
  type CborValue,
  cborTypeName,
  decodeCbor,
  encodeCbor,
} from "./cbor.ts";
import { assert, failed, ok, type Result } from "./result.ts";

/** One value in and out. `path` says where in the message the value stands; it is empty for the message itself. */
export interface CborCodec<Value> {
  toCbor(value: Value): CborValue;
  fromCbor(value: CborValue, path?: string): Result<Value, CborShapeFault>;
}

/** A codec of whole messages. */
export interface CborMessage<Value> extends CborCodec<Value> {
  toCbor(value: Value): CborMap;
  encode(value: Value): Uint8Array;
  decode(bytes: Uint8Array, limits?: CborLimits): Result<Value, CborFault>;
}

export type CborTypeOf<Codec> = Codec extends CborCodec<infer Value> ? Value : never;

export type CborField<Value, Needed extends boolean> = {
  readonly key: number;
  readonly codec: CborCodec<Value>;
  readonly needed: Needed;
};
export type CborFields = Readonly<Record<string, CborField<unknown, boolean>>>;

type NeededNames<Fields extends CborFields> = {
  [Name in keyof Fields]: Fields[Name] extends CborField<unknown, true> ? Name : never;
}[keyof Fields];
type FieldValue<Field> = Field extends { readonly codec: CborCodec<infer Value> } ? Value : never;
type Flat<Type> = { [Name in keyof Type]: Type[Name] };
export type CborRecordOf<Fields extends CborFields> = Flat<
  { readonly [Name in NeededNames<Fields>]: FieldValue<Fields[Name]> } & {
    readonly [Name in Exclude<keyof Fields, NeededNames<Fields>>]?: FieldValue<Fields[Name]>;
  }
>;

export interface CborRecord<Fields extends CborFields> extends CborMessage<CborRecordOf<Fields>> {
  readonly fields: Fields;
}

export function field<Value>(key: number, codec: CborCodec<Value>): CborField<Value, true> {
  return { key, codec, needed: true };
}

/** A field that may be absent. Absent is absent on the wire; there is no null for it. */
export function optional<Value>(key: number, codec: CborCodec<Value>): CborField<Value, false> {
  return { key, codec, needed: false };
}

/** Faults of decode: those of `decodeCbor`, wrong-type, missing-key, unknown-key, and those of the fields' codecs. */
export function cborRecord<const Fields extends CborFields>(fields: Fields): CborRecord<Fields> {
  assertKeys(fields);
  const known = new Set(Object.values(fields).map(({ key }) => key));
  // Once for the record and in the order of the wire: a policy encodes thousands of them.
  const entries = Object.entries(fields).toSorted(([, left], [, right]) => left.key - right.key);
  const toCbor = (value: CborRecordOf<Fields>): CborMap => fieldsToMap(entries, value);
  const fromCbor = (value: CborValue, path = ""): Result<CborRecordOf<Fields>, CborShapeFault> => {
    if (!(value instanceof Map)) return wrongType(path, "map", value);
    const unknown = [...value.keys()].find((key) => !known.has(key));
    if (unknown !== undefined) return failed({ code: "unknown-key", path, key: unknown });
    const read = mapToFields(fields, value, path);
    // The record's type is computed from the very fields that were read just now.
    return read.ok ? ok(read.value as CborRecordOf<Fields>) : read;
  };
  return { fields, toCbor, fromCbor, ...messageCodec(toCbor, fromCbor) };
}

/** One member of a union: its number on the wire (key 0) and its other fields. */
export type CborVariant<Fields extends CborFields> = { readonly type: number; readonly record: CborRecord<Fields> };
type CborVariants = Readonly<Record<string, CborVariant<CborFields>>>;
export type CborUnionOf<Variants extends CborVariants> = {
  [Kind in keyof Variants]: Flat<{ readonly kind: Kind } & CborTypeOf<Variants[Kind]["record"]>>;
}[keyof Variants];

export function variant<Fields extends CborFields>(type: number, record: CborRecord<Fields>): CborVariant<Fields> {
  return { type, record };
}

/**
 * Messages told apart by the integer at key 0; as values they carry `kind`.
 *
 *   const message = cborUnion({ hello: variant(1, hello), bye: variant(2, bye) });
 *   // { readonly kind: "hello"; ... } | { readonly kind: "bye"; ... }
 *
 * Faults: as a record's, and unknown-type.
 */
export function cborUnion<const Variants extends CborVariants>(variants: Variants): CborMessage<CborUnionOf<Variants>> {
  const kindByType = new Map(Object.entries(variants).map(([kind, { type, record }]) => [type, { kind, record }]));
  assert(kindByType.size === Object.keys(variants).length, "each member of a union has its own type number");
  for (const { record } of Object.values(variants)) {
    const taken = "kind" in record.fields || Object.values(record.fields).some(({ key }) => key === typeKey);
    assert(!taken, "key 0 and the name kind belong to the union");
  }
  const toCbor = (value: CborUnionOf<Variants>): CborMap => {
    const member = variants[value.kind];
    assert(member !== undefined, "the message is a member of the union");
    return new Map([[typeKey, member.type], ...member.record.toCbor(value)]);
  };
  const fromCbor = (value: CborValue, path = ""): Result<CborUnionOf<Variants>, CborShapeFault> => {
    if (!(value instanceof Map)) return wrongType(path, "map", value);
    const type = value.get(typeKey);
    if (type === undefined) return failed({ code: "missing-key", path, key: typeKey });
    if (typeof type !== "number") return wrongType(path, "integer", type);
    const member = kindByType.get(type);
    if (member === undefined) return failed({ code: "unknown-type", path, type });
    const rest = new Map(value);
    rest.delete(typeKey);
    const read = member.record.fromCbor(rest, path);
    return read.ok ? ok({ kind: member.kind, ...read.value } as CborUnionOf<Variants>) : read;
  };
  return { toCbor, fromCbor, ...messageCodec(toCbor, fromCbor) };
}

/** A whole number 0..max. The type argument brands it: `cborUint<UnixSeconds>(0xffffffff)`. */
export function cborUint<Value extends number = number>(max: number): CborCodec<Value> {
  return cborInt<Value>(0, max);
}

/** A whole number min..max. Faults: wrong-type, out-of-range. */
export function cborInt<Value extends number = number>(min: number, max: number): CborCodec<Value> {
  return checkedCodec("integer", (value, path) => {
    if (typeof value !== "number") return wrongType(path, "integer", value);
    return value >= min && value <= max ? ok(value as Value) : failed({ code: "out-of-range", path, min, max });
  });
}

/** Exactly `length` bytes. Faults: wrong-type, wrong-length. */
export function cborBytes(length: number): CborCodec<Uint8Array> {
  return cborBytesBetween(length, length);
}

/** 0..max bytes. Faults: wrong-type, wrong-length. */
export function cborBytesUpTo(max: number): CborCodec<Uint8Array> {
  return cborBytesBetween(0, max);
}

function cborBytesBetween(min: number, max: number): CborCodec<Uint8Array> {
  return checkedCodec("bytes", (value, path) => {
    if (!(value instanceof Uint8Array)) return wrongType(path, "bytes", value);
    return value.length >= min && value.length <= max ? ok(value) : wrongLength(path, min, max, value.length);
  });
}

/** Text of 0..maxBytes bytes in UTF-8. Faults: wrong-type, wrong-length. */
export function cborText(maxBytes: number): CborCodec<string> {
  return checkedCodec("text", (value, path) => {
    if (typeof value !== "string") return wrongType(path, "text", value);
    const length = utf8Length(value);
    return length <= maxBytes ? ok(value) : wrongLength(path, 0, maxBytes, length);
  });
}

export const cborBoolean: CborCodec<boolean> = checkedCodec("boolean", (value, path) =>
  typeof value === "boolean" ? ok(value) : wrongType(path, "boolean", value),
);

/** A closed list of names, each with its number on the wire. Faults: wrong-type, wrong-value. */
export function cborChoice<const Names extends Readonly<Record<string, number>>>(
  numberByName: Names,
): CborCodec<keyof Names & string> {
  const nameByNumber = new Map(Object.entries(numberByName).map(([name, number]) => [number, name]));
  assert(nameByNumber.size === Object.keys(numberByName).length, "each name of a choice has its own number");
  const expected = `one of ${[...nameByNumber.values()].join(", ")}`;
  return {
    toCbor: (name) => {
      const number = numberByName[name];
      assert(number !== undefined, "the name is one of the choice");
      return number;
    },
    fromCbor: (value, path = "") => {
      if (typeof value !== "number") return wrongType(path, "integer", value);
      const name = nameByNumber.get(value);
      return name === undefined ? failed({ code: "wrong-value", path, expected }) : ok(name);
    },
  };
}

/** 0..max items of one kind. Faults: wrong-type, wrong-length, and those of the items. */
export function cborArray<Value>(item: CborCodec<Value>, max: number): CborCodec<readonly Value[]> {
  return {
    toCbor: (values) => {
      assert(values.length <= max, "an array keeps its own limit");
      return values.map((value) => item.toCbor(value));
    },
    fromCbor: (value, path = "") => {
      if (!Array.isArray(value)) return wrongType(path, "array", value);
      if (value.length > max) return wrongLength(path, 0, max, value.length);
      const values: Value[] = [];
      for (const [index, one] of value.entries()) {
        const read = item.fromCbor(one, `${path}[${index}]`);
        if (!read.ok) return read;
        values.push(read.value);
      }
      return ok(values);
    },
  };
}

/**
 * A narrower type inside a wider codec: `parse` gives the value or undefined (fault wrong-value with `expected`), and
 * `unparse` gives back what `parse` was given.
 */
export function cborParsed<Wire, Value>(
  expected: string,
  wire: CborCodec<Wire>,
  parse: (value: Wire) => Value | undefined,
  unparse: (value: Value) => Wire,
): CborCodec<Value> {
  return {
    toCbor: (value) => wire.toCbor(unparse(value)),
    fromCbor: (value, path = "") => {
      const read = wire.fromCbor(value, path);
      if (!read.ok) return read;
      const parsed = parse(read.value);
      return parsed === undefined ? failed({ code: "wrong-value", path, expected }) : ok(parsed);
    },
  };
}

function messageCodec<Value>(
  toCbor: (value: Value) => CborMap,
  fromCbor: (value: CborValue, path?: string) => Result<Value, CborShapeFault>,
): Pick<CborMessage<Value>, "encode" | "decode"> {
  return {
    encode: (value) => encodeCbor(toCbor(value)),
    decode: (bytes, limits) => {
      const value = decodeCbor(bytes, limits);
      return value.ok ? fromCbor(value.value) : value;
    },
  };
}

/** A codec whose two directions hold the same check. */
function checkedCodec<Value extends CborValue>(
  name: string,
  check: (value: CborValue, path: string) => Result<Value, CborShapeFault>,
): CborCodec<Value> {
  return {
    toCbor: (value) => {
      assert(check(value, "").ok, `the ${name} keeps its own limits`);
      return value;
    },
    fromCbor: (value, path = "") => check(value, path),
  };
}

function fieldsToMap(
  entries: readonly (readonly [string, CborFields[string]])[],
  record: Readonly<Record<string, unknown>>,
): CborMap {
  const map = new Map<number, CborValue>();
  for (const [name, { key, codec, needed }] of entries) {
    const value = record[name];
    if (value !== undefined) map.set(key, codec.toCbor(value));
    else assert(!needed, `the field ${name} is there`);
  }
  return map;
}

function mapToFields(
  fields: CborFields,
  map: CborMap,
  path: string,
): Result<Readonly<Record<string, unknown>>, CborShapeFault> {
  const record: Record<string, unknown> = {};
  for (const [name, { key, codec, needed }] of Object.entries(fields)) {
    const value = map.get(key);
    if (value === undefined) {
      if (needed) return failed({ code: "missing-key", path: join(path, name), key });
      continue;
    }
    const read = codec.fromCbor(value, join(path, name));
    if (!read.ok) return read;
    record[name] = read.value;
  }
  return ok(record);
}

function assertKeys(fields: CborFields): void {
  const keys = Object.values(fields).map(({ key }) => key);
  assert(new Set(keys).size === keys.length, "each field of a record has its own key");
  assert(
    keys.every((key) => Number.isSafeInteger(key) && key >= 0),
    "keys of a record are whole numbers from 0",
  );
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function wrongType(path: string, expected: string, value: CborValue): Result<never, CborShapeFault> {
  return failed({ code: "wrong-type", path, expected, found: cborTypeName(value) });
}

function wrongLength(path: string, min: number, max: number, found: number): Result<never, CborShapeFault> {
  return failed({ code: "wrong-length", path, min, max, found });
}

/** The key that tells the members of a union apart. */
const typeKey = 0;
