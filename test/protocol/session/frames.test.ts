import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexToBytes } from "../../../protocol/base/bytes.ts";
import {
  acknowledgementBody,
  frameBytesMax,
  handshakeFrame,
  noncesInBitmap,
  parseAcknowledgement,
  parseFrame,
  transportHeader,
} from "../../../protocol/session/frames.ts";

const bytesOf = (hex: string): Uint8Array => hexToBytes(hex) ?? new Uint8Array(0);
const tag = "aa".repeat(16);

// Each frame is written by hand from SPEC S5, S7 and S8.
describe("parseFrame", () => {
  it("[S5] tells handshake, data and acknowledgement frames apart by nonce and highest bit", () => {
    expect(parseFrame(bytesOf("ffffffff00000001beef"))).toEqual({
      ok: true,
      value: { kind: "handshake", version: 1, message: bytesOf("beef") },
    });
    expect(parseFrame(bytesOf(`0000000700001234${tag}01`))).toEqual({
      ok: true,
      value: {
        kind: "data",
        nonce: 7,
        offset: 0x1234,
        header: bytesOf("0000000700001234"),
        sealed: bytesOf(`${tag}01`),
      },
    });
    expect(parseFrame(bytesOf(`fffffffe80001234${tag}`))).toEqual({
      ok: true,
      value: {
        kind: "acknowledgement",
        nonce: 0xfffffffe,
        offset: 0x1234,
        header: bytesOf("fffffffe80001234"),
        sealed: bytesOf(tag),
      },
    });
    expect(parseFrame(bytesOf(`00000000ffffffff${tag}`))).toMatchObject({
      value: { kind: "acknowledgement", offset: 0x7fffffff },
    });
  });

  it("[S5] refuses what is shorter than its header and tag, and what is longer than 244 bytes", () => {
    expect(parseFrame(bytesOf(""))).toEqual({ ok: false, fault: { code: "short-frame", expected: 8, found: 0 } });
    expect(parseFrame(bytesOf("ffffffff000000"))).toMatchObject({
      fault: { code: "short-frame", expected: 8, found: 7 },
    });
    expect(parseFrame(new Uint8Array(23))).toEqual({
      ok: false,
      fault: { code: "short-frame", expected: 24, found: 23 },
    });
    expect(parseFrame(new Uint8Array(frameBytesMax)).ok).toBe(true);
    expect(parseFrame(new Uint8Array(245))).toEqual({
      ok: false,
      fault: { code: "long-frame", expected: 244, found: 245 },
    });
  });

  it("[S5] gives a frame or a fault for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(parseFrame(bytes).ok).toBe(bytes.length >= 24 && bytes.length <= 244);
      }),
      { numRuns: 200 },
    );
  });

  it("[S5] writes the headers it reads", () => {
    expect(handshakeFrame(bytesOf("beef"))).toEqual(bytesOf("ffffffff00000001beef"));
    expect(transportHeader("data", 7, 0x1234)).toEqual(bytesOf("0000000700001234"));
    expect(transportHeader("acknowledgement", 7, 0x1234)).toEqual(bytesOf("0000000780001234"));
  });
});

describe("acknowledgement bodies", () => {
  it("[S8] are empty, the highest nonce, or the highest nonce and 64 bits", () => {
    for (const [hex, value] of [
      ["", {}],
      ["00000102", { highest: 0x102 }],
      ["000001020500000000000080", { highest: 0x102, bitmap: bytesOf("0500000000000080") }],
    ] as const) {
      expect(parseAcknowledgement(bytesOf(hex))).toEqual(value);
      expect(acknowledgementBody(value)).toEqual(bytesOf(hex));
    }
    for (const length of [1, 3, 5, 8, 11, 13, 220])
      expect(parseAcknowledgement(new Uint8Array(length))).toBeUndefined();
  });

  it("[S8] count the bitmap down from the highest nonce, least bit first, and never below nonce 0", () => {
    expect(noncesInBitmap(100, bytesOf("0500000000000080"))).toEqual([99, 97, 36]);
    expect(noncesInBitmap(2, bytesOf("ffffffffffffffff"))).toEqual([1, 0]);
    expect(noncesInBitmap(0, bytesOf("ffffffffffffffff"))).toEqual([]);
  });
});
