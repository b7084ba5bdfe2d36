import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, ed25519Verify, signTyped } from "../../../protocol/crypto.ts";
import {
  answerDelegatedTime,
  DELEGATION_SECONDS_MAX,
  issueTimeDelegate,
  readDelegatedTime,
  type TimeDelegate,
  timeDelegate,
} from "../../../protocol/wire/time-delegate.ts";

const timeSeed = new Uint8Array(32).fill(1);
const delegateSeed = new Uint8Array(32).fill(2);
const timeKey = ed25519PublicKey(timeSeed);
const lock = { pairingId: new Uint8Array(16).fill(3), nonce: new Uint8Array(16).fill(4) };
const start = 1_790_000_000;
const delegate: TimeDelegate = {
  publicKey: ed25519PublicKey(delegateSeed),
  holder: "gateway-maple",
  locks: [],
  from: unixSeconds(start),
  notAfter: unixSeconds(start + DELEGATION_SECONDS_MAX),
};
const certificate = issueTimeDelegate(timeSeed, delegate);
const time = { ...lock, unixMs: unixMs(start * 1_000 + 5), radiusMs: 50 };
const answer = answerDelegatedTime(delegateSeed, time);

describe("time delegates", () => {
  it("[J1] a delegate's answer to the lock's nonce is read with its delegation", () => {
    const { from, notAfter, holder } = delegate;
    expect(readDelegatedTime(timeKey, lock, certificate, answer)).toEqual({
      ok: true,
      value: { unixMs: time.unixMs, radiusMs: 50, delegation: { from, notAfter, holder } },
    });
  });

  it("[J1] certificate and answer, by hand: each signed under its own type", () => {
    const expected = `a5015820${bytesToHex(delegate.publicKey)}026d${bytesToHex(utf8("gateway-maple"))}0380041a6ab13b80051a6aba7600`;
    expect(bytesToHex(certificate.bytes)).toBe(expected);
    const covered = (type: string, bytes: Uint8Array) => concatBytes(utf8(type), Uint8Array.of(0), bytes);
    expect(ed25519Verify(timeKey, covered("doorlink/1/time-delegate", certificate.bytes), certificate.signature)).toBe(
      true,
    );
    expect(
      ed25519Verify(delegate.publicKey, covered("doorlink/1/delegated-time", answer.bytes), answer.signature),
    ).toBe(true);
  });

  it("[J1] each check by name, in its order", () => {
    const fault = (changed: Partial<TimeDelegate> = {}, given = answer, seed = timeSeed) => {
      const bytes = timeDelegate.encode({ ...delegate, ...changed });
      const signed = { bytes, signature: signTyped(seed, "doorlink/1/time-delegate", bytes) };
      const read = readDelegatedTime(timeKey, lock, signed, given);
      return read.ok
        ? undefined
        : { code: read.fault.code, ...("part" in read.fault ? { part: read.fault.part } : {}) };
    };
    expect(fault({}, answer, delegateSeed)).toEqual({ code: "bad-signature", part: "certificate" });
    expect(fault({ notAfter: unixSeconds(start + DELEGATION_SECONDS_MAX + 1) })).toEqual({
      code: "delegation-too-long",
    });
    expect(fault({ locks: [new Uint8Array(16)] })).toEqual({ code: "wrong-pairing", part: "certificate" });
    expect(fault({ locks: [new Uint8Array(16), lock.pairingId] })).toBeUndefined();
    expect(fault({}, answerDelegatedTime(timeSeed, time))).toEqual({ code: "bad-signature", part: "answer" });
    // The authority's own answer is no delegate's, and the other way round.
    const asTime = { bytes: answer.bytes, signature: signTyped(delegateSeed, "doorlink/1/time", answer.bytes) };
    expect(fault({}, asTime)).toEqual({ code: "bad-signature", part: "answer" });
    const other = new Uint8Array(16).fill(9);
    expect(fault({}, answerDelegatedTime(delegateSeed, { ...time, pairingId: other }))).toEqual({
      code: "wrong-pairing",
      part: "answer",
    });
    expect(fault({}, answerDelegatedTime(delegateSeed, { ...time, nonce: other }))).toEqual({ code: "stale-nonce" });
    const bytes = utf8("no record");
    const lie = { bytes, signature: signTyped(delegateSeed, "doorlink/1/delegated-time", bytes) };
    expect(fault({}, lie)).toEqual({ code: "malformed", part: "answer" });
  });

  it("[J1] any bytes give a time or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        expect(readDelegatedTime(timeKey, lock, { ...certificate, bytes }, answer).ok).toBe(false);
        expect(readDelegatedTime(timeKey, lock, certificate, { ...answer, bytes }).ok).toBe(false);
        expect(typeof timeDelegate.decode(bytes).ok).toBe("boolean");
      }),
      { numRuns: 100 },
    );
  });
});
