/**
 * The fuzz promise of the session against a peer that has true keys and says anything under them: no throw, no answer without end,
 * nothing reported that was not said, memory within the window, and silence once it is closed (SPEC S8-S15).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { handshakeFrame, transportHeader } from "../../../protocol/session/frames.ts";
import { receivedPiecesMax } from "../../../protocol/session/limits.ts";
import { NoiseHandshake, type NoiseOutcome } from "../../../protocol/session/noise.ts";
import { ReceiveStream } from "../../../protocol/session/receive-stream.ts";
import { Session } from "../../../protocol/session/session.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import { courierOptions, lockOptions, startMs } from "../../world/session-pair.ts";
import { fuzzRuns, fuzzTimeout } from "../fuzz.ts";

/** A lock with an open session, and the keys of the courier at its other end. */
function openLock(): { readonly lock: Session; readonly peer: NoiseOutcome } {
  const { staticPrivateKey, ephemeralPrivateKey, remoteStaticPublicKey, prologue } = courierOptions();
  const noise = new NoiseHandshake({
    pattern: "IK",
    role: "initiator",
    prologue: concatBytes(utf8("doorlink/1/session\0"), prologue),
    staticPrivateKey,
    ephemeralPrivateKey,
    ...(remoteStaticPublicKey === undefined ? {} : { remoteStaticPublicKey }),
  });
  const lock = new Session(lockOptions());
  const first = noise.writeMessage(new Uint8Array(0));
  if (!first.ok) throw new Error(first.fault.code);
  lock.receive(handshakeFrame(first.value), monotonicMs(startMs));
  const [second] = lock.takeFrames(monotonicMs(startMs));
  if (!noise.readMessage((second ?? new Uint8Array(0)).slice(8)).ok) throw new Error("the second message failed");
  return { lock, peer: noise.outcome() };
}

interface Said {
  readonly kind: "data" | "acknowledgement";
  /** Added to the last nonce: mostly the next one, at times an old one or far ahead. */
  readonly step: number;
  readonly offset: number;
  readonly body: Uint8Array;
  readonly waitMs: number;
}
/** Offsets near zero, near the window's end and at the end of 31 bits. */
const offset = fc.oneof(
  { weight: 6, arbitrary: fc.nat(400) },
  { weight: 2, arbitrary: fc.integer({ min: 65_300, max: 66_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0x7fff_ff00, max: 0x7fff_ffff }) },
);
const acknowledgementBody = fc.oneof(
  fc.constant(new Uint8Array(0)),
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc
    .tuple(fc.nat(40), fc.uint8Array({ minLength: 8, maxLength: 8 }))
    .map(([highest, bitmap]) => Uint8Array.from([0, 0, 0, highest, ...bitmap])),
  fc.nat(40).map((highest) => Uint8Array.of(0, 0, 0, highest)),
);
/** Short messages, ends, and bytes that announce long ones. */
const streamBody = fc.oneof(
  fc.uint8Array({ maxLength: 220 }),
  fc.array(fc.constantFrom(0, 1, 2, 0xff), { maxLength: 12 }).map((bytes) => Uint8Array.from(bytes)),
);
const said: fc.Arbitrary<Said> = fc
  .record({
    kind: fc.constantFrom("data" as const, "data" as const, "acknowledgement" as const),
    step: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, fc.integer({ min: -3, max: 3_000 })),
    offset,
    waitMs: fc.oneof(fc.constant(0), fc.nat(40), fc.nat(1_500)),
  })
  .chain((head) => (head.kind === "data" ? streamBody : acknowledgementBody).map((body) => ({ ...head, body })));

describe("a peer with true keys", () => {
  it("[S15] says anything: no throw, bounded answers, and silence when it is closed", fuzzTimeout, () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 40 }), fc.boolean(), fc.boolean(), (frames, sends, finishes) => {
        const { lock, peer } = openLock();
        if (sends) for (let count = 0; count < 5; count++) lock.send(seededBytes(count, 900));
        if (finishes) lock.finish();
        let nowMs = startMs;
        let nonce = -1;
        let [fed, reported, isClosed] = [0, 0, false];
        for (const { kind, step, offset: at, body, waitMs } of frames) {
          nonce = Math.max(0, nonce + step);
          nowMs += waitMs;
          const header = transportHeader(kind, nonce, at);
          lock.receive(concatBytes(header, peer.send.seal(nonce, header, body)), monotonicMs(nowMs));
          fed += body.length;
          lock.wake(monotonicMs(nowMs));
          const events = lock.takeEvents();
          for (const event of events) if (event.kind === "message") reported += event.bytes.length;
          // Once the queue, the first flight and their repetitions are out, nothing is left to say.
          expect(lock.takeFrames(monotonicMs(nowMs), 500).length).toBeLessThan(500);
          if (isClosed) expect(events.filter(({ kind: what }) => what !== "message")).toEqual([]);
          isClosed ||= events.some(({ kind: what }) => what === "closed");
        }
        expect(reported).toBeLessThanOrEqual(fed);
        const { bytesReceived } = lock.progress();
        expect(bytesReceived).toBeLessThanOrEqual(fed);
      }),
      fuzzRuns(250),
    );
  });

  it("[S12] acknowledges what it likes: every byte that goes out was given to be sent", fuzzTimeout, () => {
    const messages = [seededBytes(1, 700), seededBytes(2, 1_300)];
    const stream = concatBytes(
      ...messages.flatMap((bytes) => [Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes]),
    );
    const word = fc.record({
      contiguous: fc.nat(2_100),
      highest: fc.nat(60),
      bitmap: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      waitMs: fc.nat(700),
    });
    fc.assert(
      fc.property(fc.array(word, { maxLength: 25 }), (words) => {
        const { lock, peer } = openLock();
        for (const bytes of messages) lock.send(bytes);
        let nowMs = startMs;
        for (const [nonce, { contiguous, highest, bitmap, waitMs }] of words.entries()) {
          nowMs += waitMs;
          const header = transportHeader("acknowledgement", nonce, contiguous);
          const body = Uint8Array.from([0, 0, 0, highest, ...bitmap]);
          lock.receive(concatBytes(header, peer.send.seal(nonce, header, body)), monotonicMs(nowMs));
          lock.wake(monotonicMs(nowMs));
          for (const frame of lock.takeFrames(monotonicMs(nowMs), 500)) {
            const view = new DataView(frame.buffer, frame.byteOffset);
            const [sent, at] = [view.getUint32(0), view.getUint32(4)];
            const opened = peer.receive.open(sent, frame.slice(0, 8), frame.slice(8));
            expect(opened).toBeDefined();
            if (at < 0x8000_0000 && opened !== undefined) {
              expect(bytesToHex(opened)).toBe(bytesToHex(stream.subarray(at, at + opened.length)));
            }
          }
        }
      }),
      fuzzRuns(120),
    );
  });

  it(
    "[S9] a stream cut into any pieces, doubled, overlapping and in any order gives its messages once",
    fuzzTimeout,
    () => {
      const piece = fc.record({ from: fc.nat(), length: fc.integer({ min: 1, max: 230 }) });
      const message = fc.uint8Array({ minLength: 1, maxLength: 300 });
      fc.assert(
        fc.property(fc.array(message, { maxLength: 6 }), fc.array(piece, { maxLength: 60 }), (messages, pieces) => {
          const stream = concatBytes(
            ...messages.flatMap((bytes) => [Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes]),
            Uint8Array.of(0, 0),
          );
          const receive = new ReceiveStream({ windowBytes: 65_536, messageBytes: 65_535 });
          const given: Uint8Array[] = [];
          const accept = (from: number, length: number): void => {
            expect(receive.accept(from, stream.slice(from, from + length)).ok).toBe(true);
            given.push(...receive.takeMessages());
          };
          for (const { from, length } of pieces) accept(from % stream.length, length);
          // At last byte by byte: whatever is missing still.
          for (let at = 0; at < stream.length; at++) accept(at, 1);
          expect(given.map(bytesToHex)).toEqual(messages.map(bytesToHex));
          expect([receive.contiguous, receive.isFinished, receive.hasGap]).toEqual([stream.length, true, false]);
          expect(pieces.length).toBeLessThan(receivedPiecesMax);
        }),
        fuzzRuns(150),
      );
    },
  );
});
