import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSegments } from "../../../../protocol/sticker/qr/segments.ts";

describe("readSegments", () => {
  it("takes any bytes: a message or a named fault, never a throw, never more bytes than there were bits for", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (data, version) => {
        const read = readSegments(data, version);
        if (!read.ok) {
          expect(["unknown-mode", "ends-too-early", "value-out-of-range"]).toContain(read.fault.code);
          return;
        }
        const characters = read.value.segments.reduce((sum, segment) => sum + segment.bytes.length, 0);
        // Numeric digits are the densest: ten bits give three.
        expect(characters).toBeLessThanOrEqual(Math.ceil((8 * data.length * 3) / 10));
      }),
      { numRuns: 2000 },
    );
  });

  it("ends at every cut of a good message with a message or a named fault", () => {
    // Alphanumeric "AC-42" of ISO/IEC 18004 clause 7.4.4, version 1, padded.
    const whole = Uint8Array.of(0x20, 0x29, 0xce, 0xe7, 0x21, 0x00, 0xec, 0x11);
    const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
    const read = readSegments(whole, 1);
    if (!read.ok) expect.fail(read.fault.code);
    expect(read.value.segments.map((segment) => text(segment.bytes))).toEqual(["AC-42"]);
    expect(read.value.paddingHolds).toBe(true);
    for (let cut = 0; cut < 5; cut++) {
      const part = readSegments(whole.subarray(0, cut), 1);
      expect(part.ok ? part.value.segments : part.fault.code).toEqual(cut === 0 ? [] : "ends-too-early");
    }
  });
});
