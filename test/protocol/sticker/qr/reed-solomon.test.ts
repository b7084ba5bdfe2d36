import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBlock, encodeBlock } from "../../../../protocol/sticker/qr/reed-solomon.ts";

const blocks = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 120 }),
  correction: fc.integer({ min: 7, max: 30 }),
  seed: fc.array(fc.nat(0xffff), { minLength: 60, maxLength: 60 }),
});

function block(data: Uint8Array, correction: number): Uint8Array {
  return Uint8Array.from([...data, ...encodeBlock(data, correction)]);
}

/** Different places, drawn from the seed. */
function draw(seed: readonly number[], length: number, count: number): number[] {
  const left = Array.from({ length }, (_, at) => at);
  return Array.from({ length: count }, (_, at) => left.splice((seed[at] ?? 0) % left.length, 1)[0] ?? 0);
}

describe("Reed-Solomon over GF(256)", () => {
  it("gives the codewords of the standard's example", () => {
    // ISO/IEC 18004 annex I.2: version 1-M of 01234567.
    const data = Uint8Array.of(
      0x10,
      0x20,
      0x0c,
      0x56,
      0x61,
      0x80,
      0xec,
      0x11,
      0xec,
      0x11,
      0xec,
      0x11,
      0xec,
      0x11,
      0xec,
      0x11,
    );
    expect([...encodeBlock(data, 10)]).toEqual([0xa5, 0x24, 0xd4, 0xc1, 0xed, 0x36, 0xc7, 0x87, 0x2c, 0x55]);
  });

  it("corrects every mix of errors and erasures within its limit, and counts them", () => {
    fc.assert(
      fc.property(blocks, fc.nat(), ({ data, correction, seed }, share) => {
        const sent = block(data, correction);
        const erasures = Math.min(share % (correction + 1), sent.length);
        const errors = Math.min(Math.floor((correction - erasures) / 2), sent.length - erasures);
        const places = draw(seed, sent.length, erasures + errors);
        const received = Uint8Array.from(sent);
        for (const [at, place] of places.entries())
          received[place] = (received[place] ?? 0) ^ (1 + ((seed[at] ?? 0) % 255));
        const corrected = decodeBlock(received, correction, places.slice(0, erasures));
        expect(corrected?.codewords).toEqual(sent);
        expect(corrected?.errors).toBe(errors);
        expect(corrected?.erasures).toBe(erasures);
      }),
    );
  });

  it("takes an erasure that was right all the same", () => {
    const sent = block(Uint8Array.of(1, 2, 3, 4), 8);
    expect(decodeBlock(sent, 8, [0, 5])).toEqual({ codewords: sent, errors: 0, erasures: 2 });
  });

  it("never gives what is no codeword, however damaged the block", () => {
    fc.assert(
      fc.property(blocks, ({ data, correction, seed }) => {
        const received = Uint8Array.from(block(data, correction), (value, at) => value ^ ((seed[at % 60] ?? 0) & 0xff));
        const corrected = decodeBlock(received, correction, draw(seed, received.length, (seed[0] ?? 0) % 7));
        if (corrected === undefined) return;
        const again = encodeBlock(corrected.codewords.subarray(0, data.length), correction);
        expect(corrected.codewords.subarray(data.length)).toEqual(again);
      }),
    );
  });

  it("refuses more erasures than it has codewords to correct them", () => {
    expect(decodeBlock(block(Uint8Array.of(9), 7), 7, [0, 1, 2, 3, 4, 5, 6, 7])).toBeUndefined();
  });
});
