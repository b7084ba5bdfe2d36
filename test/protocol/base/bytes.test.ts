import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readU32, u32Bytes, utf8, utf8Length } from "../../../protocol/base/bytes.ts";

describe("lengths and numbers", () => {
  it("a text's length in UTF-8 is that of its bytes, lone surrogates among them", () => {
    const halves = fc.array(fc.constantFrom("\ud800", "\udfff", "a", "é", "€", "😀"), { maxLength: 12 });
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      halves.map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(utf8Length(text)).toBe(utf8(text).length);
      }),
      { numRuns: 1_000 },
    );
  });

  it("reads back every u32, wherever it stands, and none beyond the end", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(9), (value, at) => {
        const bytes = new Uint8Array(at + 4);
        bytes.set(u32Bytes(value), at);
        expect(readU32(bytes, at)).toBe(value);
        expect(() => readU32(bytes, at + 1)).toThrow("assertion failed");
      }),
    );
  });
});
