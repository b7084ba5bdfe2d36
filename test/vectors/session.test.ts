import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { type MonotonicMs, monotonicMs } from "../../protocol/base/units.ts";
import { noncesInBitmap, parseAcknowledgement, parseFrame } from "../../protocol/session/frames.ts";
import { NoiseHandshake } from "../../protocol/session/noise.ts";
import { Session, type SessionDropCounts, type SessionEvent } from "../../protocol/session/session.ts";
import { readVectors } from "./read-vectors.ts";

interface Exchange {
  readonly prologue: Uint8Array;
  readonly pairingSecret?: Uint8Array;
  readonly frames: readonly {
    readonly from: "courier" | "lock";
    readonly what: string;
    readonly frame: Uint8Array;
    /** The message that makes it. */
    readonly send?: Uint8Array;
    readonly afterMs?: number;
  }[];
  readonly handshakeHash: Uint8Array;
  readonly courierKey: Uint8Array;
  readonly lockKey: Uint8Array;
  readonly messages: readonly Uint8Array[];
}
interface BrokenFrame {
  readonly state: "fresh" | "answered" | "confirming" | "open";
  readonly what: string;
  readonly rule: string;
  readonly frame: Uint8Array;
  readonly expect: string;
  /** True and against the rules: it ends the session. */
  readonly breach?: true;
}
const vectors = readVectors<{
  readonly courierStaticPrivate: Uint8Array;
  readonly courierStaticPublic: Uint8Array;
  readonly courierEphemeralPrivate: Uint8Array;
  readonly lockStaticPrivate: Uint8Array;
  readonly lockStaticPublic: Uint8Array;
  readonly lockEphemeralPrivate: Uint8Array;
  readonly visit: Exchange;
  readonly visitBroken: readonly BrokenFrame[];
  readonly gap: readonly {
    readonly what: string;
    readonly feed: Uint8Array;
    readonly answer: Uint8Array;
    readonly answer2?: Uint8Array;
    readonly message?: Uint8Array;
  }[];
  readonly pairing: Exchange;
  readonly pairingBroken: readonly BrokenFrame[];
  readonly frames: readonly {
    readonly what: string;
    readonly frame: Uint8Array;
    readonly expect: string;
    readonly version?: number;
    readonly nonce?: number;
    readonly offset?: number;
    readonly body?: Uint8Array;
  }[];
  readonly acknowledgements: readonly {
    readonly what: string;
    readonly body: Uint8Array;
    readonly expect: string;
    readonly highest?: number;
    readonly nonces?: readonly number[];
  }[];
}>("session.json");
const start = monotonicMs(1_000);

function endOf(role: "courier" | "lock", { prologue, pairingSecret }: Exchange): Session {
  const isCourier = role === "courier";
  return new Session({
    role,
    staticPrivateKey: isCourier ? vectors.courierStaticPrivate : vectors.lockStaticPrivate,
    ephemeralPrivateKey: isCourier ? vectors.courierEphemeralPrivate : vectors.lockEphemeralPrivate,
    ...(isCourier && pairingSecret === undefined ? { remoteStaticPublicKey: vectors.lockStaticPublic } : {}),
    ...(pairingSecret === undefined ? {} : { pairingSecret }),
    prologue,
    nowMs: start,
  });
}

/** Both ends through the exchange: each frame comes out of its end as written, and goes into the other. */
function walk(exchange: Exchange): { readonly [Role in "courier" | "lock"]: SessionEvent[] } {
  const ends = { courier: endOf("courier", exchange), lock: endOf("lock", exchange) };
  const events: { [Role in "courier" | "lock"]: SessionEvent[] } = { courier: [], lock: [] };
  let now: MonotonicMs = start;
  for (const { from, what, frame, send, afterMs } of exchange.frames) {
    now = monotonicMs(now + (afterMs ?? 0));
    if (send !== undefined) expect(ends[from].send(send)).toBe(true);
    expect(ends[from].takeFrames(now).map(bytesToHex), what).toEqual([bytesToHex(frame)]);
    const other = from === "courier" ? "lock" : "courier";
    ends[other].receive(frame, now);
    events.courier.push(...ends.courier.takeEvents());
    events.lock.push(...ends.lock.takeEvents());
  }
  return events;
}

/** A lock to which so many frames of the exchange were played. */
function lockAfter(exchange: Exchange, framesFromCourier: number): Session {
  const lock = endOf("lock", exchange);
  for (const { frame } of exchange.frames.filter(({ from }) => from === "courier").slice(0, framesFromCourier)) {
    lock.receive(frame, start);
    lock.takeFrames(start);
  }
  lock.takeEvents();
  return lock;
}
const framesInState = { fresh: 0, answered: 1, confirming: 1, open: 2 } as const;

describe("session.json", () => {
  it.each([
    ["visit", vectors.visit],
    ["pairing", vectors.pairing],
  ] as const)("[S1] a %s, frame by frame, from both ends", (_name, exchange) => {
    const { courier, lock } = walk(exchange);
    const { handshakeHash, frames } = exchange;
    const sent = (from: "courier" | "lock") =>
      frames.flatMap(({ from: sender, send }) =>
        sender === from && send !== undefined ? [{ kind: "message", bytes: send }] : [],
      );
    const remote = vectors.lockStaticPublic;
    expect(courier).toEqual([{ kind: "established", remoteStaticPublicKey: remote, handshakeHash }, ...sent("lock")]);
    expect(lock).toEqual([
      { kind: "established", remoteStaticPublicKey: vectors.courierStaticPublic, handshakeHash },
      ...sent("courier"),
    ]);
  });

  it.each([
    ["IK", vectors.visit],
    ["XXpsk3", vectors.pairing],
  ] as const)("[S2] %s: the messages, the hash and the keys of both directions", (pattern, exchange) => {
    const { messages, handshakeHash, courierKey, lockKey, pairingSecret, prologue } = exchange;
    const lock = new NoiseHandshake({
      pattern,
      role: "responder",
      prologue: Uint8Array.from([...new TextEncoder().encode("doorlink/1/session\0"), ...prologue]),
      staticPrivateKey: vectors.lockStaticPrivate,
      ephemeralPrivateKey: vectors.lockEphemeralPrivate,
      ...(pairingSecret === undefined ? {} : { presharedKey: pairingSecret }),
    });
    for (const message of messages) {
      if (lock.turn() === "read") expect(lock.readMessage(message)).toEqual({ ok: true, value: new Uint8Array(0) });
      else expect(lock.writeMessage(new Uint8Array(0))).toEqual({ ok: true, value: message });
    }
    const outcome = lock.outcome();
    expect(outcome.handshakeHash).toEqual(handshakeHash);
    expect(courierKey).not.toEqual(lockKey);
    expect(outcome.remoteStaticPublicKey).toEqual(vectors.courierStaticPublic);
  });

  it("[S8] bytes behind a gap, the gap filled, the end: each answered as written", () => {
    const lock = lockAfter(vectors.visit, 3);
    let now = start;
    for (const { what, feed, answer, answer2, message } of vectors.gap) {
      lock.receive(feed, now);
      now = monotonicMs(now + 20);
      const answers = [answer, ...(answer2 === undefined ? [] : [answer2])];
      expect(lock.takeFrames(now).map(bytesToHex).toSorted(), what).toEqual(answers.map(bytesToHex).toSorted());
      expect(lock.takeEvents(), what).toEqual(message === undefined ? [] : [{ kind: "message", bytes: message }]);
    }
  });

  it.each([
    ...vectors.visitBroken.map((vector) => ({ ...vector, exchange: vectors.visit, of: "visit" })),
    ...vectors.pairingBroken.map((vector) => ({ ...vector, exchange: vectors.pairing, of: "pairing" })),
  ])("[$rule] a lock ($of, $state) drops it or ends: $what", (vector) => {
    const lock = lockAfter(vector.exchange, framesInState[vector.state]);
    const before: SessionDropCounts = lock.progress().dropped;
    lock.receive(vector.frame, start);
    if (vector.breach === true) {
      expect(lock.takeEvents()).toMatchObject([
        { kind: "closed", reason: "peer-broke-rules", breach: { code: vector.expect } },
      ]);
    } else {
      expect(lock.takeEvents()).toEqual([]);
      const dropped: Readonly<Record<string, number>> = { ...before };
      expect(lock.progress().dropped).toEqual({ ...before, [vector.expect]: (dropped[vector.expect] ?? -9) + 1 });
    }
    expect(lock.takeFrames(start)).toEqual([]);
  });

  it.each(vectors.frames)("[S5] a frame: $what", ({ frame, expect: outcome, version, nonce, offset, body }) => {
    const read = parseFrame(frame);
    if (!read.ok) return expect(read.fault.code).toBe(outcome);
    expect(read.value.kind).toBe(outcome);
    if (read.value.kind === "handshake") expect(read.value).toMatchObject({ version, message: body });
    else expect(read.value).toMatchObject({ nonce, offset, header: frame.slice(0, 8), sealed: body });
  });

  it.each(vectors.acknowledgements)("[S8] an acknowledgement: $what", (vector) => {
    const read = parseAcknowledgement(vector.body);
    expect(read === undefined ? "acknowledgement-length" : "ok").toBe(vector.expect);
    if (read === undefined) return;
    expect(read.highest).toBe(vector.highest);
    if (read.highest === undefined || read.bitmap === undefined) return expect(vector.nonces).toBeUndefined();
    expect(noncesInBitmap(read.highest, read.bitmap)).toEqual(vector.nonces);
  });
});
