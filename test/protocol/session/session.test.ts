import { describe, expect, it } from "vitest";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { monotonicMs } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { Session } from "../../../protocol/session/session.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import {
  closedOf,
  courierOptions,
  courierStaticKey,
  lockOptions,
  lockStaticKey,
  SessionPair,
  type SessionPairOptions,
  startMs,
} from "../../world/session-pair.ts";

const isEstablished = (end: SessionPair["courier"]): boolean => end.events.some(({ kind }) => kind === "established");
const established = (options: SessionPairOptions = {}): SessionPair => {
  const pair = new SessionPair(options);
  return pair.run(() => isEstablished(pair.courier) && isEstablished(pair.lock));
};
const at = (ms: number) => monotonicMs(ms);

describe("handshake", () => {
  it("[S1] a visit shows each end the other's static key and gives both the same handshake hash", () => {
    const pair = established();
    const [courier, lock] = [pair.courier.events[0], pair.lock.events[0]];
    if (courier?.kind !== "established" || lock?.kind !== "established") return expect.fail("not established");
    expect(courier.remoteStaticPublicKey).toEqual(x25519PublicKey(lockStaticKey));
    expect(lock.remoteStaticPublicKey).toEqual(x25519PublicKey(courierStaticKey));
    expect(courier.handshakeHash).toEqual(lock.handshakeHash);
  });

  it("[S1] a pairing needs no key beforehand but the setup code's secret at both ends", () => {
    const pairingSecret = seededBytes(9, 32);
    const pair = established({ pairingSecret });
    pair.courier.session.send(utf8("pair with me"));
    pair.lock.session.send(utf8("paired"));
    pair.run(() => pair.lock.messages.length === 1 && pair.courier.messages.length === 1);
    expect(pair.lock.messages).toEqual([utf8("pair with me")]);
    expect(pair.courier.messages).toEqual([utf8("paired")]);
    const wrong = new SessionPair({ pairingSecret, lock: { pairingSecret: seededBytes(10, 32) } }).run();
    expect(closedOf(wrong.courier)).toEqual({ kind: "closed", reason: "no-progress", phase: "confirming" });
    expect(closedOf(wrong.lock)).toEqual({ kind: "closed", reason: "no-progress", phase: "handshake" });
    expect([isEstablished(wrong.courier), isEstablished(wrong.lock)]).toEqual([false, false]);
  });

  it("[S2] ends that differ in the prologue, or in the lock's key, never meet", () => {
    for (const changes of [
      { prologue: utf8("another pairing") },
      { remoteStaticPublicKey: x25519PublicKey(seededBytes(5, 32)) },
    ]) {
      const pair = new SessionPair({ courier: changes }).run();
      expect(pair.courier.events).toEqual([{ kind: "closed", reason: "no-progress", phase: "handshake" }]);
      expect(pair.lock.events).toEqual([{ kind: "closed", reason: "no-progress", phase: "handshake" }]);
      expect(pair.lock.session.progress().dropped.forged).toBeGreaterThan(0);
    }
  });

  it("[S2] a key of low order for the lock closes at once, by name", () => {
    const courier = new Session({ ...courierOptions(), remoteStaticPublicKey: new Uint8Array(32) });
    expect(courier.takeEvents()).toEqual([{ kind: "closed", reason: "low-order-key", phase: "handshake" }]);
    expect(courier.takeFrames(at(startMs))).toEqual([]);
    expect(courier.nextWakeMs()).toBeUndefined();
  });

  it("[S2] its messages carry nothing, so they have one length each, and any other is dropped", () => {
    const courier = new Session(courierOptions());
    const [first] = courier.takeFrames(at(startMs));
    expect(first?.length).toBe(8 + 96);
    const lock = new Session(lockOptions());
    lock.receive(Uint8Array.from([...(first ?? []), 0]), at(startMs));
    expect(lock.takeFrames(at(startMs))).toEqual([]);
    lock.receive(first ?? new Uint8Array(0), at(startMs));
    expect(lock.takeFrames(at(startMs)).map(({ length }) => length)).toEqual([8 + 48]);
  });

  it("[S4] a lock reports nothing and sends nothing of its own until a frame under the new keys has come", () => {
    const courier = new Session(courierOptions());
    const lock = new Session(lockOptions());
    lock.send(utf8("too early"));
    for (const frame of courier.takeFrames(at(startMs))) lock.receive(frame, at(startMs));
    expect(lock.takeEvents()).toEqual([]);
    const answer = lock.takeFrames(at(startMs));
    expect(answer.length).toBe(1);
    for (const frame of answer) courier.receive(frame, at(startMs + 1));
    const [confirmation, ...others] = courier.takeFrames(at(startMs + 1));
    expect([confirmation?.length, others.length]).toEqual([24, 0]);
    lock.receive(confirmation ?? new Uint8Array(0), at(startMs + 2));
    expect(lock.takeEvents().map(({ kind }) => kind)).toEqual(["established"]);
    expect(lock.takeFrames(at(startMs + 2)).length).toBe(1);
  });

  it("[S4] a handshake message goes out again byte for byte, with growing pauses, until 10 s are over", () => {
    const pair = new SessionPair({ link: { loss: 1 } }).run();
    const times = pair.courier.sent.map(({ atMs }) => atMs - startMs);
    expect(times).toEqual([0, 300, 900, 1900, 2900, 3900, 4900, 5900, 6900, 7900, 8900, 9900]);
    expect(new Set(pair.courier.sent.map(({ frame }) => frame.join())).size).toBe(1);
    expect(pair.lock.sent).toEqual([]);
  });

  it("[S4] a lost confirmation is sent again when the lock repeats its message", () => {
    const pair = new SessionPair();
    pair.run(() => isEstablished(pair.courier));
    pair.toLock.cut();
    expect(isEstablished(pair.lock)).toBe(false);
    pair.run(() => isEstablished(pair.lock), startMs + 2_000);
    expect(isEstablished(pair.lock)).toBe(true);
    expect(new Set(pair.lock.sent.slice(0, 2).map(({ frame }) => frame.join())).size).toBe(1);
  });

  it("[S13] says which other version was heard, when nothing else was", () => {
    const lock = new Session(lockOptions());
    const frame = new Session(courierOptions()).takeFrames(at(startMs))[0] ?? new Uint8Array(0);
    lock.receive(
      Uint8Array.from(frame, (byte, index) => (index === 7 ? 2 : byte)),
      at(startMs),
    );
    lock.wake(at(startMs + 10_000));
    expect(lock.takeEvents()).toEqual([{ kind: "closed", reason: "no-progress", phase: "handshake", otherVersion: 2 }]);
  });
});

describe("frames", () => {
  it("[S5] cost exactly 24 bytes beside the stream, and none is above 244", () => {
    const pair = established();
    const before = pair.courier.sent.length;
    pair.courier.session.send(seededBytes(1, 2_198));
    pair.run(() => pair.lock.messages.length === 1);
    const lengths = pair.courier.sent.slice(before).map(({ frame }) => frame.length);
    expect(lengths).toEqual(new Array(10).fill(244));
  });

  it("[S5] are as short as a narrow link asks, down to the longest handshake frame", () => {
    const pair = established({ limits: { frameBytes: 104 } });
    pair.courier.session.send(seededBytes(1, 3_000));
    pair.run(() => pair.lock.messages.length === 1);
    expect(pair.lock.messages).toEqual([seededBytes(1, 3_000)]);
    expect([pair.toLock.counts.longestFrame, pair.toCourier.counts.longestFrame]).toEqual([104, 56]);
    expect(() => established({ limits: { frameBytes: 103 } })).toThrow("104..244");
  });

  it("[S6] never use a nonce twice, also when their bytes go out again, which keep their offset", () => {
    const pair = established({ link: { loss: 0.3 }, seed: 4 });
    pair.courier.session.send(seededBytes(1, 20_000));
    pair.run(() => pair.lock.messages.length === 1);
    const transport = pair.courier.sent.map(({ frame }) => frame).filter((frame) => frame[0] !== 0xff);
    const nonces = transport.map((frame) => new DataView(frame.buffer).getUint32(0));
    expect(nonces).toEqual(nonces.map((_, index) => index));
    const offsets = transport.map((frame) => new DataView(frame.buffer).getUint32(4)).filter((word) => word < 2 ** 31);
    expect(pair.courier.session.progress().framesRetransmitted).toBeGreaterThan(10);
    expect(new Set(offsets)).toEqual(new Set(Array.from({ length: 91 }, (_, index) => index * 220)));
  });

  it("[S6] end the session by name when a direction has no nonce left", () => {
    const pair = established({ limits: { lastNonce: 20 } });
    pair.courier.session.send(seededBytes(1, 20_000));
    pair.run(() => closedOf(pair.courier) !== undefined);
    expect(closedOf(pair.courier)).toEqual({ kind: "closed", reason: "nonces-used-up", phase: "open" });
    expect(pair.courier.sent.filter(({ frame }) => frame[0] !== 0xff).length).toBe(21);
  });

  it("[S7] a stream that is full takes no more messages, and cannot even be finished", () => {
    const pair = established({ limits: { streamBytes: 1_000 } });
    expect(pair.courier.session.send(seededBytes(1, 997))).toBe(true);
    expect(pair.courier.session.send(seededBytes(1, 1))).toBe(false);
    pair.courier.session.finish();
    expect(pair.courier.session.takeEvents()).toEqual([{ kind: "closed", reason: "stream-used-up", phase: "open" }]);
  });

  it("[S8] acknowledge after 8 data frames or 20 ms, not each one; an idle session sends nothing", () => {
    const pair = established({ link: { intervalMs: 16, framesPerEvent: 8 } });
    const before = pair.lock.session.progress().acknowledgementsSent;
    pair.courier.session.send(seededBytes(1, 16 * 220 - 2));
    pair.run(() => pair.courier.session.progress().bytesAcknowledged === 16 * 220);
    expect(pair.lock.session.progress().acknowledgementsSent - before).toBe(2);
    const frames = [pair.courier.sent.length, pair.lock.sent.length];
    pair.run(() => false, pair.nowMs + 9_000);
    expect([pair.courier.sent.length, pair.lock.sent.length]).toEqual(frames);
  });

  it("[S8] of a short exchange stay short: 24 bytes each for a message, 28 for its acknowledgement", () => {
    const pair = established();
    const before = [pair.courier.sent.length, pair.lock.sent.length] as const;
    pair.courier.session.send(utf8("question"));
    pair.run(() => pair.courier.session.progress().bytesAcknowledged === 10);
    expect(pair.courier.sent.slice(before[0]).map(({ frame }) => frame.length)).toEqual([24 + 2 + 8]);
    expect(pair.lock.sent.slice(before[1]).map(({ frame }) => frame.length)).toEqual([24 + 4]);
  });
});

describe("messages", () => {
  it("[S9] are 1..65,535 bytes and arrive whole and in order; others are our own mistake", () => {
    const pair = established();
    const messages = [seededBytes(1, 1), seededBytes(2, 65_535), seededBytes(3, 219)];
    for (const message of messages) expect(pair.courier.session.send(message)).toBe(true);
    pair.run(() => pair.lock.messages.length === 3);
    expect(pair.lock.messages).toEqual(messages);
    expect(() => pair.courier.session.send(new Uint8Array(0))).toThrow("assertion");
    expect(() => pair.courier.session.send(new Uint8Array(65_536))).toThrow("assertion");
  });

  it("[S9] wait before the session is open, and are refused beyond the queue's limit", () => {
    const pair = new SessionPair({ limits: { queuedBytes: 100 } });
    expect(pair.courier.session.send(seededBytes(1, 60))).toBe(true);
    expect(pair.courier.session.send(seededBytes(2, 60))).toBe(false);
    pair.run(() => pair.lock.messages.length === 1);
    expect(pair.courier.session.send(seededBytes(2, 60))).toBe(true);
    pair.run(() => pair.lock.messages.length === 2);
    expect(pair.lock.messages).toEqual([seededBytes(1, 60), seededBytes(2, 60)]);
  });
});

describe("ends", () => {
  it("[S14] finish delivers what was sent, and the other end finishes likewise", () => {
    const pair = established({ link: { loss: 0.2, reorderDepth: 8 }, seed: 3 });
    pair.courier.session.send(seededBytes(1, 9_000));
    pair.lock.session.send(seededBytes(2, 9_000));
    pair.lock.session.finish();
    expect(pair.lock.session.send(utf8("too late"))).toBe(false);
    pair.run(() => closedOf(pair.lock) !== undefined && closedOf(pair.courier) !== undefined);
    expect([pair.lock.messages, pair.courier.messages]).toEqual([[seededBytes(1, 9_000)], [seededBytes(2, 9_000)]]);
    expect(closedOf(pair.lock)).toEqual({ kind: "closed", reason: "finished", phase: "open" });
    expect(closedOf(pair.courier)).toEqual({ kind: "closed", reason: "finished", phase: "open" });
    expect(pair.courier.session.send(utf8("too late"))).toBe(false);
  });

  it("[S14] an end that has finished still acknowledges, so that loss of the last frames leaves nobody waiting", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const pair = established({ link: { loss: 0.3 }, seed });
      pair.lock.session.finish();
      pair.run(() => closedOf(pair.lock) !== undefined && closedOf(pair.courier) !== undefined);
      expect([seed, closedOf(pair.lock)?.reason, closedOf(pair.courier)?.reason]).toEqual([
        seed,
        "finished",
        "finished",
      ]);
      expect(pair.run().courier.session.nextWakeMs()).toBeUndefined();
    }
  });

  it("[S13] ten seconds without progress drop the session at both ends, and frames alone are no progress", () => {
    const pair = established();
    const quietSince = pair.nowMs;
    pair.run();
    expect(pair.nowMs - quietSince).toBeGreaterThan(9_800);
    expect(pair.nowMs - quietSince).toBeLessThanOrEqual(10_000);
    expect(closedOf(pair.lock)).toEqual({ kind: "closed", reason: "no-progress", phase: "open" });
    expect(closedOf(pair.courier)).toEqual({ kind: "closed", reason: "no-progress", phase: "open" });
  });

  it("[S13] a link that goes dead in the middle of a transfer is noticed after ten seconds, however much is asked again", () => {
    const pair = established();
    pair.courier.session.send(seededBytes(1, 60_000));
    pair.run(() => pair.lock.session.progress().bytesReceived > 10_000);
    const deadSince = pair.nowMs;
    const isInTheAir = (): boolean => pair.toLock.nextMs() !== undefined || pair.toCourier.nextMs() !== undefined;
    while (closedOf(pair.courier) === undefined) {
      pair.toLock.cut();
      pair.toCourier.cut();
      pair.run(() => isInTheAir() || closedOf(pair.courier) !== undefined);
    }
    expect(pair.nowMs - deadSince).toBeLessThanOrEqual(10_000);
    expect(closedOf(pair.courier)?.reason).toBe("no-progress");
    // What a dead link makes us send: one window and some probes, not the stream over and over.
    expect(pair.courier.session.progress().framesRetransmitted).toBeLessThan(60);
  });

  it("[S13] a frame that comes after the ten seconds is too late, also when nobody called wake", () => {
    const courier = new Session(courierOptions());
    const lock = new Session(lockOptions());
    const [first] = courier.takeFrames(at(startMs));
    lock.receive(first ?? new Uint8Array(0), at(startMs + 10_000));
    expect(lock.takeEvents()).toEqual([{ kind: "closed", reason: "no-progress", phase: "handshake" }]);
    expect(lock.takeFrames(at(startMs + 10_000))).toEqual([]);
  });

  it("close ends here in silence", () => {
    const pair = established();
    pair.courier.session.close();
    expect(pair.courier.session.takeEvents()).toEqual([{ kind: "closed", reason: "closed-here", phase: "open" }]);
    expect(pair.courier.session.takeFrames(at(pair.nowMs))).toEqual([]);
    expect(pair.courier.session.nextWakeMs()).toBeUndefined();
  });
});
