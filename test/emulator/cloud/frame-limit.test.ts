import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameLimit } from "../../../emulator/cloud/frame-limit.ts";

/** A packet with a body of `length` bytes and its length in MQTT's own form. */
function packet(length: number): Uint8Array {
  const header: number[] = [0x30];
  let rest = length;
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Uint8Array.of(...header, ...new Uint8Array(length).fill(0xff));
}

describe("the frame limit", () => {
  it("takes packets up to the limit and refuses the first byte of length beyond it", () => {
    expect(new FrameLimit(300).accepts(packet(300))).toBe(true);
    expect(new FrameLimit(300).accepts(packet(301))).toBe(false);
    // 268 million bytes are announced in five bytes and none of them has to be sent.
    expect(new FrameLimit(300).accepts(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f))).toBe(false);
  });

  it("refuses a length of more than four bytes", () => {
    expect(new FrameLimit(2 ** 40).accepts(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x80, 0x01))).toBe(false);
  });

  it("judges the same however the stream is cut", () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    const lengths = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, cuts, (packets, steps) => {
        const limit = 200;
        const stream = Uint8Array.from(packets.flatMap((length) => [...packet(length)]));
        const cut = new FrameLimit(limit);
        let accepted = true;
        for (let at = 0, step = 0; at < stream.length && accepted; step++) {
          const size = steps[step % steps.length] ?? 1;
          accepted = cut.accepts(stream.subarray(at, at + size));
          at += size;
        }
        expect(accepted).toBe(packets.every((length) => length <= limit));
      }),
    );
  });
});
