import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, equalBytes, hexToBytes } from "../../../protocol/base/bytes.ts";
import { type CborMap, type CborValue, cborLimits, decodeCbor, encodeCbor } from "../../../protocol/base/cbor.ts";
import { sharedFolder } from "../../shared-folder.ts";

const bytesOf = (hex: string): Uint8Array => hexToBytes(hex) ?? new Uint8Array(0);
const faultOf = (hex: string): unknown => {
  const read = decodeCbor(bytesOf(hex));
  return read.ok ? undefined : read.fault;
};

/** Broken inputs, each written by hand from RFC 8949 with the fault SPEC W1-W3 names for it. */
const brokenInputs: readonly [string, string, object][] = [
  ["nothing at all", "", { code: "truncated", offset: 0, expected: 1, available: 0 }],
  ["a head without its argument", "1901", { code: "truncated", offset: 0, expected: 3, available: 2 }],
  ["bytes that are not all there", "4401", { code: "truncated", offset: 0, expected: 5, available: 2 }],
  [
    "an array that claims four billion items",
    "9affffffff",
    { code: "truncated", offset: 0, expected: 4294967300, available: 5 },
  ],
  [
    "a map that claims more than the bytes can hold",
    "a201",
    { code: "truncated", offset: 0, expected: 5, available: 2 },
  ],
  ["an array with an item missing", "8201", { code: "truncated", offset: 0, expected: 3, available: 2 }],
  ["a second value behind the first", "0102", { code: "trailing-bytes", offset: 1, count: 1 }],
  ["23 in two bytes", "1817", { code: "not-minimal", offset: 0 }],
  ["255 in three bytes", "1900ff", { code: "not-minimal", offset: 0 }],
  ["65535 in five bytes", "1a0000ffff", { code: "not-minimal", offset: 0 }],
  ["2^32-1 in nine bytes", "1b00000000ffffffff", { code: "not-minimal", offset: 0 }],
  ["a length of bytes in two bytes", "580100", { code: "not-minimal", offset: 0 }],
  ["a length of text in two bytes", "780161", { code: "not-minimal", offset: 0 }],
  ["a length of an array in two bytes", "980101", { code: "not-minimal", offset: 0 }],
  ["a key in two bytes", "a1180101", { code: "not-minimal", offset: 1 }],
  ["indefinite bytes", "5f4101ff", { code: "indefinite-length", offset: 0 }],
  ["indefinite text", "7f6161ff", { code: "indefinite-length", offset: 0 }],
  ["an indefinite array", "9f01ff", { code: "indefinite-length", offset: 0 }],
  ["an indefinite map inside", "81bf0101ff", { code: "indefinite-length", offset: 1 }],
  ["a break alone", "ff", { code: "indefinite-length", offset: 0 }],
  ["reserved additional information 28", "1c", { code: "reserved-head", offset: 0, head: 0x1c }],
  ["2^53", "1b0020000000000000", { code: "integer-out-of-range", offset: 0 }],
  ["-2^53", "3b001fffffffffffff", { code: "integer-out-of-range", offset: 0 }],
  ["text that is not UTF-8", "61ff", { code: "invalid-text", offset: 0 }],
  ["text with a coded surrogate", "63eda080", { code: "invalid-text", offset: 0 }],
  ["a tag", "c11a514b67b0", { code: "tag-not-allowed", offset: 0 }],
  ["a half float", "f93c00", { code: "float-not-allowed", offset: 0 }],
  ["a double inside an array", "81fb3ff199999999999a", { code: "float-not-allowed", offset: 1 }],
  ["undefined", "f7", { code: "simple-value-not-allowed", offset: 0, head: 0xf7 }],
  ["simple value 16", "f0", { code: "simple-value-not-allowed", offset: 0, head: 0xf0 }],
  ["simple value 255", "f8ff", { code: "simple-value-not-allowed", offset: 0, head: 0xf8 }],
  ["a text key", "a1616101", { code: "key-not-integer", offset: 1 }],
  ["a key twice", "a201010102", { code: "duplicate-key", offset: 3, key: 1 }],
  ["a key twice, but not in a row", "a3010102010101", { code: "duplicate-key", offset: 5, key: 1 }],
  ["keys going down", "a202010101", { code: "unsorted-key", offset: 3, key: 1 }],
  ["a negative key before a positive one", "a220010101", { code: "unsorted-key", offset: 3, key: 1 }],
  ["negative keys the wrong way round", "a221012001", { code: "unsorted-key", offset: 3, key: -1 }],
];

describe("decodeCbor", () => {
  it.each(brokenInputs)("[W2] refuses %s", (_name, hex, fault) => {
    expect(faultOf(hex)).toEqual(fault);
  });

  it("[W1] reads each kind of value, and writes it back as it was", () => {
    const values: readonly [string, CborValue][] = [
      ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
      ["3b001ffffffffffffe", Number.MIN_SAFE_INTEGER],
      ["40", new Uint8Array(0)],
      ["60", ""],
      ["63efbbbf", "\ufeff"],
      ["83f4f5f6", [false, true, null]],
    ];
    for (const [hex, value] of values) {
      expect(decodeCbor(bytesOf(hex)), hex).toEqual({ ok: true, value });
      expect(bytesToHex(encodeCbor(value)), hex).toBe(hex);
    }
  });

  it("[W1] orders keys bytewise: 0, 24, 256, then -1, -2, whatever order the map was filled in", () => {
    const map: CborMap = new Map([-2, 256, -1, 24, 0].map((key) => [key, 0]));
    expect(bytesToHex(encodeCbor(map))).toBe("a5" + "0000" + "181800" + "19010000" + "2000" + "2100");
    expect(decodeCbor(encodeCbor(map))).toEqual({ ok: true, value: map });
  });

  it("[W3] holds its limits of size and depth", () => {
    expect(decodeCbor(new Uint8Array(cborLimits.bytesMax + 1))).toEqual({
      ok: false,
      fault: { code: "too-large", length: cborLimits.bytesMax + 1, max: cborLimits.bytesMax },
    });
    const nested = (depth: number): string => `${"81".repeat(depth)}00`;
    expect(decodeCbor(bytesOf(nested(cborLimits.depthMax))).ok).toBe(true);
    expect(faultOf(nested(cborLimits.depthMax + 1))).toEqual({
      code: "too-deep",
      offset: 16,
      max: cborLimits.depthMax,
    });
    expect(faultOf(nested(60_000))).toMatchObject({ code: "too-deep" });
    expect(decodeCbor(bytesOf("8100"), { bytesMax: 2, depthMax: 0 })).toMatchObject({
      ok: false,
      fault: { code: "too-deep" },
    });
  });

  it("[W2] gives a value or a fault for any bytes, and decode then encode gives the same bytes", () => {
    fc.assert(
      fc.property(almostCbor, (bytes) => {
        const read = decodeCbor(bytes);
        if (read.ok) expect(encodeCbor(read.value)).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it("[W1] encode then decode gives the same value", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(decodeCbor(encodeCbor(value))).toEqual({ ok: true, value });
      }),
      { numRuns: 500 },
    );
  });
});

describe("encodeCbor", () => {
  it("stops the program for what no CBOR of ours can hold", () => {
    expect(() => encodeCbor(1.5)).toThrow("assertion");
    expect(() => encodeCbor(2 ** 53)).toThrow("assertion");
    expect(() => encodeCbor("\ud800")).toThrow("assertion");
    expect(() => encodeCbor(new Map([[0.5, 1]]))).toThrow("assertion");
  });
});

type AppendixA = {
  readonly hex: string;
  readonly roundtrip: boolean;
  readonly decoded?: unknown;
  readonly diagnostic?: string;
};

describe.runIf(sharedFolder() !== undefined)("RFC 8949 appendix A", () => {
  const folder = sharedFolder() ?? "";
  const path = join(folder, "vectors", "cbor-rfc8949-appendix-a.json");
  const vectors: readonly AppendixA[] = folder === "" ? [] : JSON.parse(readFileSync(path, "utf8"));

  it("[W1] reads each of its examples that our subset holds, and writes the same bytes", () => {
    for (const vector of vectors.filter((vector) => expectedFault(vector) === undefined)) {
      const read = decodeCbor(bytesOf(vector.hex));
      if (!read.ok) expect.fail(`${vector.hex} gave ${read.fault.code}`);
      expect(encodeCbor(read.value), vector.hex).toEqual(bytesOf(vector.hex));
      if ("decoded" in vector) expect(plainJson(read.value), vector.hex).toEqual(vector.decoded);
      else expect(diagnosticOf(read.value), vector.hex).toBe(vector.diagnostic);
    }
  });

  it("[W2] refuses each of its examples that our subset leaves out, by the right name", () => {
    const counts: Record<string, number> = {};
    for (const vector of vectors) {
      const expected = expectedFault(vector) ?? "read";
      counts[expected] = (counts[expected] ?? 0) + 1;
      const read = decodeCbor(bytesOf(vector.hex));
      expect(read.ok ? "read" : read.fault.code, vector.hex).toBe(expected);
    }
    // Counted by hand in the appendix, so that the patterns below cannot hide an example.
    expect(counts).toEqual({
      read: 32,
      "integer-out-of-range": 2,
      "tag-not-allowed": 8,
      "float-not-allowed": 22,
      "simple-value-not-allowed": 4,
      "key-not-integer": 3,
      "indefinite-length": 11,
    });
  });
});

/** Which rule of ours an example of the appendix breaks, judged by its bytes as printed there. */
function expectedFault({ hex }: AppendixA): string | undefined {
  return faultPatterns.find(([pattern]) => pattern.test(hex))?.[1];
}

const faultPatterns: readonly [RegExp, string][] = [
  [/^[13]bf{16}$/, "integer-out-of-range"],
  [/^[cd]/, "tag-not-allowed"],
  [/^f[9ab]/, "float-not-allowed"],
  [/^f[078]/, "simple-value-not-allowed"],
  [/^(a26161|a56161|826161a1)/, "key-not-integer"],
  [/^[579b]f|^8301.*9f|^826161bf/, "indefinite-length"],
];

/** As JSON would hold it; the appendix gives bytes and maps with integer keys in diagnostic notation instead. */
function plainJson(value: CborValue): unknown {
  if (Array.isArray(value)) return value.map(plainJson);
  return value instanceof Map && value.size === 0 ? {} : value;
}

function diagnosticOf(value: CborValue): string {
  if (value instanceof Uint8Array) return `h'${bytesToHex(value)}'`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${key}: ${diagnosticOf(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const anyInteger = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 }));
const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    anyInteger,
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.array(fc.tuple(anyInteger, tie("value")), { maxLength: 5 }).map((entries) => new Map(entries)),
  ),
}));

/** Random bytes hardly ever look like CBOR, so most inputs are sound encodings with a few bytes changed. */
const almostCbor = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc
    .tuple(anyValue, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }))
    .map(([value, changes]) => {
      const bytes = encodeCbor(value);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes;
    }),
);

describe("encodeCbor", () => {
  it("[W1] writes what the library's own encoder writes, whatever the value and the order of its keys", () => {
    const edge = [23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
    const integer = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-0, ...edge, ...edge.map((value) => -value)));
    const leaf = fc.oneof(
      integer,
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: "binary", maxLength: 70 }).filter((text) => text.isWellFormed()),
      fc.uint8Array({ maxLength: 70 }),
    );
    const { value } = fc.letrec<{ value: CborValue }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.array(tie("value"), { maxLength: 30 }),
        fc
          .array(
            fc.tuple(
              integer.map((key) => key + 0),
              tie("value"),
            ),
            { maxLength: 30 },
          )
          .map((entries) => new Map(entries)),
      ),
    }));
    fc.assert(
      fc.property(value, (one) => {
        expect(bytesToHex(encodeCbor(one))).toBe(bytesToHex(encode(one)));
      }),
      { numRuns: 1_000 },
    );
  });

  it("[W1] writes lengths at the edges of their heads", () => {
    for (const length of [23, 24, 255, 256, 65_535, 65_536]) {
      const values = [
        new Uint8Array(length),
        "x".repeat(length),
        "é".repeat(length),
        new Array<number>(length).fill(1),
      ];
      for (const one of values) expect(equalBytes(encodeCbor(one), encode(one)), `${length}`).toBe(true);
    }
  });
});
