import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../../../protocol/base/bytes.ts";
import { sessionLimits } from "../../../protocol/session/limits.ts";
import { ReceiveStream } from "../../../protocol/session/receive-stream.ts";
import { seededBytes } from "../../world/lossy-link.ts";

/** The stream's bytes written by hand from SPEC S9: two bytes of length, then the message; 0000 ends. */
function streamOf(messages: readonly Uint8Array[], isFinished = false): Uint8Array {
  const parts = messages.flatMap((message) => [Uint8Array.of(message.length >> 8, message.length & 255), message]);
  return concatBytes(...parts, ...(isFinished ? [Uint8Array.of(0, 0)] : []));
}

const messages = [1, 2, 255, 256, 700, 3].map((length) => seededBytes(length, length));

describe("ReceiveStream", () => {
  it("[S9] gives the same messages for the stream whole, byte by byte, and cut anywhere in any order with overlaps", () => {
    const stream = streamOf(messages, true);
    const whole = new ReceiveStream(sessionLimits);
    expect(whole.accept(0, stream)).toEqual({ ok: true, value: stream.length });
    expect(whole.takeMessages()).toEqual(messages);
    const bytewise = new ReceiveStream(sessionLimits);
    const collected: Uint8Array[] = [];
    for (let at = 0; at < stream.length; at++) {
      bytewise.accept(at, stream.subarray(at, at + 1));
      collected.push(...bytewise.takeMessages());
    }
    expect(collected).toEqual(messages);
    expect([whole.isFinished, bytewise.isFinished, whole.contiguous]).toEqual([true, true, stream.length]);
    const cut = fc.tuple(fc.nat({ max: stream.length - 1 }), fc.integer({ min: 1, max: 220 }));
    fc.assert(
      fc.property(fc.array(cut, { minLength: 1, maxLength: 60 }), (cuts) => {
        const receiver = new ReceiveStream(sessionLimits);
        const has = new Set<number>();
        const got: Uint8Array[] = [];
        for (const [start, length] of [...cuts, [0, 500], [900, 900], [500, 400]] as const) {
          const bytes = stream.subarray(start, start + length);
          const isNew = bytes.reduce((count, _, at) => count + (has.has(start + at) ? 0 : 1), 0);
          expect(receiver.accept(start, bytes)).toEqual({ ok: true, value: isNew });
          for (let at = 0; at < bytes.length; at++) has.add(start + at);
          got.push(...receiver.takeMessages());
        }
        expect(got).toEqual(messages);
        expect(receiver.hasGap).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  it("[S10] takes bytes up to the window's end, wherever the stream stands, and not one more", () => {
    const receiver = new ReceiveStream({ windowBytes: 100, messageBytes: 1_000 });
    const stream = streamOf([seededBytes(1, 300), seededBytes(2, 300)]);
    for (let at = 0; at < stream.length; at = receiver.contiguous) {
      // The later part of each 90 bytes first, so that the ring of 100 wraps at another place each time.
      const end = Math.min(at + 90, stream.length);
      if (end > at + 30) expect(receiver.accept(at + 30, stream.subarray(at + 30, end)).ok).toBe(true);
      expect(receiver.accept(at, stream.subarray(at, at + 30)).ok).toBe(true);
    }
    expect(receiver.takeMessages()).toEqual([seededBytes(1, 300), seededBytes(2, 300)]);
    const { contiguous } = receiver;
    expect(receiver.accept(contiguous + 100, Uint8Array.of(1))).toEqual({
      ok: false,
      fault: { code: "beyond-window", offset: contiguous + 100, end: contiguous + 101, max: contiguous + 100 },
    });
    expect(receiver.accept(contiguous + 99, Uint8Array.of(1))).toEqual({ ok: true, value: 1 });
  });

  it("[S15] names what no honest sender does", () => {
    const long = new ReceiveStream({ windowBytes: 100, messageBytes: 10 });
    expect(long.accept(0, Uint8Array.of(0, 11))).toEqual({
      ok: false,
      fault: { code: "message-too-long", length: 11, max: 10 },
    });
    const after = new ReceiveStream(sessionLimits);
    expect(after.accept(0, Uint8Array.of(0, 1, 9, 0, 0, 0))).toEqual({
      ok: false,
      fault: { code: "bytes-after-finish", offset: 5 },
    });
    const crumbs = new ReceiveStream(sessionLimits);
    let last = crumbs.accept(1, Uint8Array.of(1));
    for (let at = 3; last.ok && at < 10_000; at += 2) last = crumbs.accept(at, Uint8Array.of(1));
    expect(last).toEqual({ ok: false, fault: { code: "too-many-pieces", max: 512 } });
  });
});
