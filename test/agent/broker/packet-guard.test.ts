import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PacketGuard } from "../../../agent/broker/packet-guard.ts";

/** PUBLISH of QoS 0 to the topic "t": three bytes of topic and then the payload. */
function publish(bytes: number): Uint8Array {
  const length: number[] = [];
  for (let left = bytes + 3; left > 0 || length.length === 0; left = Math.floor(left / 128)) length.push(left % 128);
  const continued = length.map((byte, index) => (index < length.length - 1 ? byte | 0x80 : byte));
  return new Uint8Array([0x30, ...continued, 0, 1, 0x74, ...new Uint8Array(bytes)]);
}

describe("packet guard", () => {
  it("[B5] lets packets up to the limit through and names the first beyond it before its body came", () => {
    const guard = new PacketGuard(1_000);
    expect(guard.feed(publish(997))).toBeUndefined();
    const tooLarge = publish(5_000);
    expect(guard.feed(tooLarge.subarray(0, 3))).toEqual({
      code: "packet-too-large",
      announcedBytes: 5_003,
      limitBytes: 1_000,
    });
  });

  it("[B5] refuses a length of five bytes", () => {
    expect(new PacketGuard(1_000).feed(new Uint8Array([0x30, 0x80, 0x80, 0x80, 0x80, 0x01]))).toEqual({
      code: "bad-remaining-length",
    });
  });

  it("[B5] whole, byte by byte and in any pieces it says the same", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 1_500 }), { maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map(publish));
        const expected = bodies.some((body) => body + 3 > 1_000) ? "packet-too-large" : undefined;
        const guard = new PacketGuard(1_000);
        let fault: string | undefined;
        for (let at = 0, cut = 0; at < stream.length && fault === undefined; cut++) {
          const end = at + (cuts[cut % cuts.length] ?? 1);
          fault = guard.feed(stream.subarray(at, end))?.code;
          at = end;
        }
        expect(fault).toBe(expected);
      }),
    );
  });

  it("[B5] any bytes give a fault or none, and never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4_000 }), (bytes) => {
        const fault = new PacketGuard(1_000).feed(bytes);
        expect([undefined, "packet-too-large", "bad-remaining-length"]).toContain(fault?.code);
      }),
    );
  });
});
