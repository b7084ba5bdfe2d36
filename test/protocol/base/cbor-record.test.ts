import { describe, expect, expectTypeOf, it } from "vitest";
import { hexToBytes } from "../../../protocol/base/bytes.ts";
import { type CborValue, encodeCbor } from "../../../protocol/base/cbor.ts";
import {
  type CborTypeOf,
  cborArray,
  cborBoolean,
  cborBytes,
  cborBytesUpTo,
  cborChoice,
  cborInt,
  cborParsed,
  cborRecord,
  cborText,
  cborUint,
  cborUnion,
  field,
  optional,
  variant,
} from "../../../protocol/base/cbor-record.ts";
import { type DeviceId, parseDeviceId, type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";

const entry = cborRecord({ id: field(1, cborUint(9)), until: optional(2, cborUint<UnixSeconds>(0xffffffff)) });
const hello = cborRecord({
  pairingId: field(1, cborBytes(4)),
  note: optional(3, cborText(8)),
  list: field(4, cborArray(entry, 2)),
  offset: field(5, cborInt(-10, 10)),
  isNew: field(6, cborBoolean),
  role: field(7, cborChoice({ courier: 1, app: 2 })),
});
type Hello = CborTypeOf<typeof hello>;
const bye = cborRecord({ reason: field(1, cborBytesUpTo(2)) });
const message = cborUnion({ hello: variant(1, hello), bye: variant(2, bye) });
type Message = CborTypeOf<typeof message>;

const someHello = (changes: Partial<Hello> = {}): Hello => ({
  pairingId: Uint8Array.of(1, 2, 3, 4),
  list: [{ id: 3 }, { id: 4, until: unixSeconds(7) }],
  offset: -1,
  isNew: true,
  role: "app",
  ...changes,
});
/** Typed from SPEC W4 by hand: {1: h'01020304', 4: [{1: 3}, {1: 4, 2: 7}], 5: -1, 6: true, 7: 2}. */
const someHelloHex = "a501440102030404" + "82a10103a201040207" + "052006f50702";

const bytesOf = (hex: string): Uint8Array => hexToBytes(hex) ?? new Uint8Array(0);
const encodeMap = (...entries: readonly [number, CborValue][]): Uint8Array => encodeCbor(new Map(entries));

describe("cborRecord", () => {
  it("[W4] writes fields under their integer keys, an absent field not at all", () => {
    expect(hello.encode(someHello())).toEqual(bytesOf(someHelloHex));
    expect(hello.decode(bytesOf(someHelloHex))).toEqual({ ok: true, value: someHello() });
    expect(hello.decode(hello.encode(someHello({ note: "né" })))).toEqual({
      ok: true,
      value: someHello({ note: "né" }),
    });
  });

  it("gives exact types: optional fields may be absent and are never undefined, numbers keep their brand", () => {
    expectTypeOf<CborTypeOf<typeof entry>>().toEqualTypeOf<{ readonly id: number; readonly until?: UnixSeconds }>();
    expectTypeOf<Hello["role"]>().toEqualTypeOf<"courier" | "app">();
    expectTypeOf<Message["kind"]>().toEqualTypeOf<"hello" | "bye">();
    expectTypeOf<Extract<Message, { kind: "bye" }>["reason"]>().toEqualTypeOf<Uint8Array>();
  });

  it("[W5] refuses a key it does not know", () => {
    expect(bye.decode(encodeMap([1, Uint8Array.of(1)], [2, 0]))).toEqual({
      ok: false,
      fault: { code: "unknown-key", path: "", key: 2 },
    });
  });

  it("[W4] names a missing key and the path of what is wrong inside", () => {
    const faultOf = (bytes: Uint8Array): unknown => {
      const read = hello.decode(bytes);
      return read.ok ? undefined : read.fault;
    };
    const map = (changes: readonly [number, CborValue][]): Uint8Array =>
      encodeCbor(new Map([...hello.toCbor(someHello()), ...changes]));
    expect(bye.decode(encodeMap())).toEqual({ ok: false, fault: { code: "missing-key", path: "reason", key: 1 } });
    expect(faultOf(map([[1, Uint8Array.of(1)]]))).toEqual({
      code: "wrong-length",
      path: "pairingId",
      min: 4,
      max: 4,
      found: 1,
    });
    expect(faultOf(map([[4, [new Map([[1, 10]])]]]))).toEqual({
      code: "out-of-range",
      path: "list[0].id",
      min: 0,
      max: 9,
    });
    expect(faultOf(map([[4, [1, 2, 3]]]))).toMatchObject({ code: "wrong-length", path: "list", max: 2, found: 3 });
    expect(faultOf(map([[4, [1]]]))).toEqual({
      code: "wrong-type",
      path: "list[0]",
      expected: "map",
      found: "integer",
    });
    expect(faultOf(map([[3, "ééééé"]]))).toMatchObject({ code: "wrong-length", path: "note", max: 8, found: 10 });
    expect(faultOf(map([[3, null]]))).toMatchObject({ code: "wrong-type", path: "note", found: "null" });
    expect(faultOf(map([[5, -11]]))).toMatchObject({ code: "out-of-range", path: "offset" });
    expect(faultOf(map([[6, 1]]))).toMatchObject({ code: "wrong-type", path: "isNew", expected: "boolean" });
    expect(faultOf(map([[7, 3]]))).toEqual({ code: "wrong-value", path: "role", expected: "one of courier, app" });
    expect(hello.decode(bytesOf("01"))).toEqual({
      ok: false,
      fault: { code: "wrong-type", path: "", expected: "map", found: "integer" },
    });
    expect(hello.decode(bytesOf("a1"))).toMatchObject({ ok: false, fault: { code: "truncated" } });
  });

  it("stops the program when we would send what we would refuse", () => {
    expect(() => hello.encode(someHello({ offset: 11 }))).toThrow("assertion");
    expect(() => hello.encode(someHello({ pairingId: Uint8Array.of(1) }))).toThrow("assertion");
    expect(() => hello.encode(someHello({ list: [{ id: 1 }, { id: 1 }, { id: 1 }] }))).toThrow("assertion");
    expect(() => cborRecord({ one: field(1, cborBoolean), two: field(1, cborBoolean) })).toThrow("own key");
  });
});

describe("cborUnion", () => {
  it("[W6] tells messages apart by the integer at key 0", () => {
    const value: Message = { kind: "bye", reason: Uint8Array.of(7) };
    expect(message.encode(value)).toEqual(bytesOf("a200020141" + "07"));
    expect(message.decode(message.encode(value))).toEqual({ ok: true, value });
    expect(message.decode(message.encode({ kind: "hello", ...someHello() }))).toEqual({
      ok: true,
      value: { kind: "hello", ...someHello() },
    });
  });

  it("[W6] refuses another type, no type, and a type that is no integer", () => {
    expect(message.decode(encodeMap([0, 3]))).toEqual({
      ok: false,
      fault: { code: "unknown-type", path: "", type: 3 },
    });
    expect(message.decode(encodeMap([1, 3]))).toEqual({ ok: false, fault: { code: "missing-key", path: "", key: 0 } });
    expect(message.decode(encodeMap([0, "hello"]))).toMatchObject({ ok: false, fault: { code: "wrong-type" } });
    expect(message.decode(encodeMap([0, 2], [1, new Uint8Array(3)]))).toMatchObject({
      ok: false,
      fault: { code: "wrong-length", path: "reason" },
    });
  });
});

describe("cborParsed", () => {
  it("narrows a codec, and names what was expected", () => {
    const device = cborRecord({
      id: field(
        1,
        cborParsed<string, DeviceId>("a device id", cborText(32), parseDeviceId, (id) => id),
      ),
    });
    expect(device.decode(encodeMap([1, "lock-c1"]))).toEqual({ ok: true, value: { id: "lock-c1" } });
    expect(device.decode(encodeMap([1, "Lock C1"]))).toEqual({
      ok: false,
      fault: { code: "wrong-value", path: "id", expected: "a device id" },
    });
  });
});
