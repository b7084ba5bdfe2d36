import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { acknowledgementBody, handshakeFrame, transportHeader } from "../../../protocol/session/frames.ts";
import { NoiseHandshake, type NoiseOutcome } from "../../../protocol/session/noise.ts";
import { Session, type SessionEvent } from "../../../protocol/session/session.ts";
import { seededBytes, seededRandom } from "../../world/lossy-link.ts";
import { closedOf, courierOptions, lockOptions, SessionPair, startMs } from "../../world/session-pair.ts";

const now = monotonicMs(startMs);

/** A courier of our own making, with true keys, that may then say anything. */
function hostileNoise(): NoiseHandshake {
  const { staticPrivateKey, ephemeralPrivateKey, remoteStaticPublicKey, prologue } = courierOptions();
  return new NoiseHandshake({
    pattern: "IK",
    role: "initiator",
    // SPEC S2, written out by hand.
    prologue: concatBytes(utf8("doorlink/1/session\0"), prologue),
    staticPrivateKey,
    ephemeralPrivateKey,
    ...(remoteStaticPublicKey === undefined ? {} : { remoteStaticPublicKey }),
  });
}

function firstFrame(noise: NoiseHandshake, payload: Uint8Array): Uint8Array {
  const first = noise.writeMessage(payload);
  if (!first.ok) throw new Error("the first message failed");
  return handshakeFrame(first.value);
}

function hostileCourier(): { lock: Session; seal: Seal } {
  const noise = hostileNoise();
  const lock = new Session(lockOptions());
  lock.receive(firstFrame(noise, new Uint8Array(0)), now);
  const [second] = lock.takeFrames(now);
  if (!noise.readMessage((second ?? new Uint8Array(0)).slice(8)).ok) throw new Error("the second message failed");
  return { lock, seal: sealWith(noise.outcome()) };
}

type Seal = (kind: "data" | "acknowledgement", nonce: number, offset: number, body: Uint8Array) => Uint8Array;

function sealWith({ send }: NoiseOutcome): Seal {
  return (kind, nonce, offset, body) => {
    const header = transportHeader(kind, nonce, offset);
    return concatBytes(header, send.seal(nonce, header, body));
  };
}

function kinds(events: readonly SessionEvent[]): string[] {
  return events.map(({ kind }) => kind);
}

describe("an authenticated peer that breaks the rules", () => {
  it.each<[string, (seal: Seal) => Uint8Array, object]>([
    [
      "bytes beyond the window",
      (seal) => seal("data", 0, 65_536, Uint8Array.of(1)),
      { code: "beyond-window", offset: 65_536, end: 65_537, max: 65_536 },
    ],
    [
      "bytes at the end of 31 bits",
      (seal) => seal("data", 0, 0x7fffffff, new Uint8Array(220)),
      { code: "beyond-window", offset: 0x7fffffff, end: 0x7fffffff + 220, max: 65_536 },
    ],
    [
      "bytes after its end",
      (seal) => seal("data", 0, 0, Uint8Array.of(0, 0, 7)),
      { code: "bytes-after-finish", offset: 2 },
    ],
    [
      "an acknowledgement of bytes never sent",
      (seal) => seal("acknowledgement", 0, 1, new Uint8Array(0)),
      { code: "offset-never-sent", offset: 1, end: 0 },
    ],
    [
      "an acknowledgement of a nonce never sent",
      (seal) => seal("acknowledgement", 0, 0, acknowledgementBody({ highest: 5 })),
      { code: "nonce-never-sent", nonce: 5 },
    ],
    [
      "an acknowledgement of no known length",
      (seal) => seal("acknowledgement", 0, 0, new Uint8Array(5)),
      { code: "acknowledgement-length", found: 5 },
    ],
  ])("[S15] is cut off at once, by name: %s", (_name, makeFrame, breach) => {
    const { lock, seal } = hostileCourier();
    lock.receive(makeFrame(seal), now);
    const events = lock.takeEvents();
    expect(events.at(-1)).toEqual({ kind: "closed", reason: "peer-broke-rules", phase: "open", breach });
    lock.receive(seal("data", 9, 0, Uint8Array.of(0, 1, 1)), now);
    expect([lock.takeEvents(), lock.takeFrames(now), lock.nextWakeMs()]).toEqual([[], [], undefined]);
  });

  it("[S2] a first message with a payload, however true, is dropped in silence", () => {
    const lock = new Session(lockOptions());
    lock.receive(firstFrame(hostileNoise(), utf8("unlock")), now);
    expect([lock.takeFrames(now), lock.progress().dropped.forged]).toEqual([[], 1]);
  });

  it("[S15] a message may be announced and never come: memory stays within the window, and 10 s end it", () => {
    const { lock, seal } = hostileCourier();
    lock.receive(seal("data", 0, 0, Uint8Array.of(0xff, 0xff)), now);
    for (let nonce = 1; nonce < 300; nonce++) lock.receive(seal("data", nonce, 0, Uint8Array.of(0xff, 0xff)), now);
    expect(lock.progress().bytesReceived).toBe(2);
    lock.wake(monotonicMs(startMs + 10_000));
    expect(kinds(lock.takeEvents())).toEqual(["established", "closed"]);
  });
});

describe("frames of a stranger", () => {
  it("[S6] a recorded session played to a fresh lock does nothing but make it wait its ten seconds", () => {
    const pair = new SessionPair();
    for (let index = 0; index < 5; index++) pair.courier.session.send(seededBytes(index, 900));
    pair.run(() => pair.lock.messages.length === 5);
    const recorded = pair.courier.sent.map(({ frame }) => frame);
    const fresh = new Session({ ...lockOptions(), ephemeralPrivateKey: seededBytes(77, 32) });
    for (const frame of recorded) fresh.receive(frame, now);
    expect(fresh.takeEvents()).toEqual([]);
    expect(fresh.progress()).toMatchObject({
      framesReceived: 0,
      bytesReceived: 0,
      dropped: { forged: recorded.length - 1 },
    });
    fresh.wake(monotonicMs(startMs + 10_000));
    expect(fresh.takeEvents()).toEqual([{ kind: "closed", reason: "no-progress", phase: "confirming" }]);
  });

  it("[S6] replayed into their own session, frames are dropped before the cipher is asked, and change nothing", () => {
    const pair = new SessionPair();
    pair.courier.session.send(seededBytes(1, 5_000));
    pair.run(() => pair.courier.session.progress().bytesAcknowledged === 5_002);
    const before = pair.lock.session.progress();
    const transport = pair.courier.sent.filter(({ frame }) => frame[0] !== 0xff);
    for (const { frame } of transport) pair.lock.session.receive(frame, monotonicMs(pair.nowMs));
    const after = pair.lock.session.progress();
    expect(after).toEqual({
      ...before,
      dropped: { ...before.dropped, replayed: before.dropped.replayed + transport.length },
    });
    expect(pair.lock.session.takeFrames(monotonicMs(pair.nowMs + 1_000))).toEqual([]);
  });

  it("[S11] a flood of garbage between the frames of a transfer is answered by nothing and harms nothing", () => {
    const pair = new SessionPair({ link: { loss: 0.05 } });
    const random = seededRandom(6);
    for (const end of [pair.courier, pair.lock]) end.session.send(seededBytes(1, 10_000));
    let flooded = 0;
    pair.run(() => {
      for (const { session } of [pair.courier, pair.lock]) {
        const framesBefore = session.progress().framesSent;
        for (let count = 0; count < 5; count++) {
          const garbage = seededBytes(flooded++, Math.floor(random() * 300));
          // Half of it looks like what is expected next: a handshake frame, or a fresh nonce.
          if (count % 2 === 0) garbage.set([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1].slice(0, garbage.length));
          else garbage.set([0, 0, 0, count].slice(0, garbage.length));
          session.receive(garbage, monotonicMs(pair.nowMs));
        }
        expect(session.progress().framesSent).toBe(framesBefore);
      }
      return pair.courier.messages.length === 1 && pair.lock.messages.length === 1;
    });
    expect(pair.lock.messages).toEqual([seededBytes(1, 10_000)]);
    expect(pair.courier.messages).toEqual([seededBytes(1, 10_000)]);
    const { dropped } = pair.lock.session.progress();
    expect(dropped.malformed + dropped.forged + dropped.unexpected + dropped.replayed).toBeGreaterThanOrEqual(
      flooded / 2,
    );
    expect(closedOf(pair.lock)).toBeUndefined();
  });

  it("[S11] a true frame with any bit changed, cut short or lengthened is dropped in silence", () => {
    const { lock, seal } = hostileCourier();
    const frame = seal("data", 0, 0, Uint8Array.of(0, 1, 42));
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const changed = Uint8Array.from(frame);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      lock.receive(changed, now);
    }
    for (let length = 0; length < frame.length; length++) lock.receive(frame.subarray(0, length), now);
    lock.receive(concatBytes(frame, Uint8Array.of(0)), now);
    expect([lock.takeEvents(), lock.progress().framesReceived]).toEqual([[], 0]);
    lock.receive(frame, now);
    expect(kinds(lock.takeEvents())).toEqual(["established", "message"]);
  });

  it("[S11] any bytes at any moment: no throw, and nothing reported that no peer said", () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 250 }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.constantFrom("courier", "lock", "open"), frames, (which, garbage) => {
        const { lock } = which === "open" ? hostileCourier() : { lock: new Session(lockOptions()) };
        const session = which === "courier" ? new Session(courierOptions()) : lock;
        for (const [index, frame] of garbage.entries()) session.receive(frame, monotonicMs(startMs + index));
        expect(session.takeEvents()).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });
});
