/** The time on its way to a lock: from the authority, and from a gateway that may tell it for a while. */
import { describe, expect, it } from "vitest";
import { monotonicMs, type UnixMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, signTyped } from "../../../protocol/crypto.ts";
import { answerTime } from "../../../protocol/sync/authority.ts";
import type { SignedBlob } from "../../../protocol/wire/signed-objects.ts";
import { courierMessage } from "../../../protocol/wire/sync-message.ts";
import {
  answerDelegatedTime,
  DELEGATE_SIGNED_TYPE,
  issueTimeDelegate,
  type TimeDelegate,
  timeDelegate,
} from "../../../protocol/wire/time-delegate.ts";
import {
  asked,
  authorityKeys,
  bundleOf,
  certificateFor,
  clockThat,
  HostileVisit,
  helloOf,
  honestTime,
  loadOf,
  nextKeys,
  pairingId,
  policyOf,
  refusalsOf,
  reportOf,
  runSync,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

const daySeconds = 86_400;
const delegateSeed = new Uint8Array(32).fill(31);
const delegation: TimeDelegate = {
  publicKey: ed25519PublicKey(delegateSeed),
  holder: "gateway-maple",
  locks: [],
  from: unixSeconds(startMs / 1000 - 3_600),
  notAfter: unixSeconds(startMs / 1000 - 3_600 + 7 * daySeconds),
};
const certificate = (overrides: Partial<TimeDelegate> = {}, seed = authorityKeys.time): SignedBlob =>
  issueTimeDelegate(seed, { ...delegation, ...overrides });
const later = (seconds: number): UnixMs => unixMs(startMs + seconds * 1_000);
const told =
  (ms: UnixMs, seed = delegateSeed, overrides: { readonly nonce?: Uint8Array; readonly pairingId?: Uint8Array } = {}) =>
  (nonce: Uint8Array): SignedBlob =>
    answerDelegatedTime(seed, { pairingId, nonce, unixMs: ms, radiusMs: 20, ...overrides });
const lockThatShows = (ms: UnixMs | undefined): TinyLock => {
  const lock = new TinyLock();
  lock.clock = clockThat(ms === undefined ? {} : { shows: ms });
  return lock;
};

describe("a delegate's time through a session", () => {
  it("[J4] sets a clock that was never set, and hello and report say that the site told it", () => {
    const lock = lockThatShows(undefined);
    const run = runSync(lock, { time: told(later(0)), delegate: certificate() });
    expect(refusalsOf(run)).toEqual([]);
    expect(helloOf(run).clockSource).toBeUndefined();
    expect(reportOf(run)).toMatchObject({ clock: "set", clockSource: "site" });
    const again = runSync(lock, { time: undefined });
    expect(helloOf(again)).toMatchObject({ clock: "set", clockSource: "site" });
  });

  it("[J4] moves a set clock forward, adding half the round trip, and says old and new", () => {
    const lock = lockThatShows(startMs);
    const run = runSync(lock, { time: told(later(3_600)), delegate: certificate(), roundTripMs: 400 });
    expect(run.events).toContainEqual({
      kind: "time-handled",
      oldUnixMs: startMs + 400,
      newUnixMs: startMs + 3_600_200,
      written: true,
    });
    expect(lock.shows(monotonicMs(1_400))).toBe(startMs + 3_600_200);
    expect(reportOf(run).clockSource).toBe("site");
    const action = lock.actions.find(({ kind }) => kind === "set-clock");
    expect(action).toMatchObject({ signedBy: "site", written: true });
  });

  it("[J4] does not take over a clock that is right: it stays the authority's", () => {
    const lock = lockThatShows(startMs);
    const run = runSync(lock, { time: told(later(1)), delegate: certificate() });
    expect(run.events).toContainEqual(expect.objectContaining({ kind: "time-handled", written: false }));
    expect(reportOf(run).clockSource).toBe("authority");
  });

  it.each([
    ["backwards", later(0), later(-60), {}],
    ["beyond-delegation", later(0), later(7 * daySeconds), {}],
    ["beyond-delegation", undefined, later(-3_601), {}],
    [
      "delegation-expired",
      later(0),
      later(-7_200),
      { from: unixSeconds(startMs / 1000 - daySeconds), notAfter: unixSeconds(startMs / 1000 - 1) },
    ],
  ])("[J4] %s: the clock stays as it was and the visit goes on", (refusal, shows, tells, overrides) => {
    const lock = lockThatShows(shows);
    const before = lock.clock;
    const run = runSync(lock, { time: told(tells), delegate: certificate(overrides) });
    expect(refusalsOf(run)).toEqual([`time: ${refusal}`]);
    expect(lock.clock).toBe(before);
    expect(asked(run)).toEqual(["greet", "time", "read-log", "finish"]);
  });

  it("[J4] an end that has come is judged by the highest signed time while the clock is not set", () => {
    const lock = new TinyLock();
    lock.clock = clockThat({ floor: unixSeconds(delegation.notAfter + 1) });
    const run = runSync(lock, {
      load: { certificate: certificateFor({ notAfter: unixSeconds(delegation.notAfter + daySeconds) }) },
      time: told(later(0)),
      delegate: certificate(),
    });
    expect(refusalsOf(run)).toEqual(["time: delegation-expired"]);
  });

  it.each<[string, string, SignedBlob | undefined, (nonce: Uint8Array) => SignedBlob]>([
    ["no certificate beside it", "bad-signature", undefined, told(later(0))],
    ["a certificate of other keys", "bad-signature", certificate({}, nextKeys.time), told(later(0))],
    ["another gateway's key", "bad-signature", certificate(), told(later(0), new Uint8Array(32).fill(32))],
    ["the authority's answer beside a certificate", "bad-signature", certificate(), honestTime],
    ["a certificate for other locks", "wrong-pairing", certificate({ locks: [new Uint8Array(16)] }), told(later(0))],
    [
      "what was told another lock",
      "wrong-pairing",
      certificate(),
      told(later(0), delegateSeed, { pairingId: new Uint8Array(16) }),
    ],
    [
      "what was told in another visit",
      "stale-nonce",
      certificate(),
      told(later(0), delegateSeed, { nonce: new Uint8Array(16) }),
    ],
    ["a delegation of more than 7 days", "malformed-message", tooLong(), told(later(0))],
    ["a certificate that is none", "malformed-message", signedDelegate(Uint8Array.of(0xa0)), told(later(0))],
  ])("[J1] %s: %s", (_what, refusal, delegate, time) => {
    const lock = lockThatShows(undefined);
    const run = runSync(lock, { time, ...(delegate === undefined ? {} : { delegate }) });
    expect(refusalsOf(run)).toEqual([`time: ${refusal}`]);
    expect(lock.clock.quality).toBe("unset");
  });

  it("[J1] a certificate without its signature, or a signature without its certificate, is malformed", () => {
    const { bytes: delegate, signature: delegateSignature } = certificate();
    for (const half of [{ delegate }, { delegateSignature }]) {
      const visit = new HostileVisit();
      visit.greet();
      const { bytes: answer, signature } = honestTime(visit.nonce);
      const message = courierMessage.encode({ kind: "time", answer, signature, ...half });
      expect(visit.refusals(message)).toEqual(["time: malformed-message"]);
    }
  });

  it("[J3] the round trip is limited for a delegate too", () => {
    const run = runSync(new TinyLock(), { time: told(later(60)), delegate: certificate(), roundTripMs: 2_001 });
    expect(refusalsOf(run)).toEqual(["time: round-trip-too-long"]);
  });

  it("[Y4] a nonce answers once, whoever answers, and a refusal uses it up as well", () => {
    const byDelegate = (nonce: Uint8Array, seconds: number) => {
      const { bytes: answer, signature } = told(later(seconds))(nonce);
      const { bytes: delegate, signature: delegateSignature } = certificate();
      return courierMessage.encode({ kind: "time", answer, signature, delegate, delegateSignature });
    };
    const byAuthority = (nonce: Uint8Array) => {
      const { bytes: answer, signature } = honestTime(nonce);
      return courierMessage.encode({ kind: "time", answer, signature });
    };
    const visit = new HostileVisit();
    visit.greet();
    expect(visit.refusals(byDelegate(visit.nonce, -60), byDelegate(visit.nonce, 60), byAuthority(visit.nonce))).toEqual(
      ["time: backwards", "time: stale-nonce", "time: stale-nonce"],
    );
    const other = new HostileVisit();
    other.greet();
    expect(other.refusals(byAuthority(other.nonce), byDelegate(other.nonce, 60))).toEqual(["time: stale-nonce"]);
    expect(other.lock.shows()).toBe(startMs);
  });
});

describe("the authority after a delegate", () => {
  const endMs = unixMs(delegation.notAfter * 1_000 - 1_000);
  const pushed = (): TinyLock => {
    const lock = lockThatShows(startMs);
    expect(refusalsOf(runSync(lock, { time: told(endMs), delegate: certificate() }))).toEqual([]);
    expect(lock.shows()).toBeGreaterThan(endMs - 1_000);
    return lock;
  };
  const longLived = certificateFor({ notAfter: unixSeconds(delegation.notAfter + daySeconds) });

  it("[J5] undoes what a stolen gateway did: the clock goes back and is the authority's", () => {
    const lock = pushed();
    const run = runSync(lock, { load: { certificate: longLived } });
    expect(refusalsOf(run)).toEqual([]);
    expect(reportOf(run)).toMatchObject({ clock: "set", clockSource: "authority" });
    expect(lock.shows(monotonicMs(1_100))).toBe(startMs + 50);
    expect(lock.clock.marks.site).toBeUndefined();
  });

  it("[J5] in the same visit a policy is taken that seemed past its end before", () => {
    const lock = pushed();
    const policy = loadOf(bundleOf(policyOf(2, 1)), 2);
    const without = runSync(lock, { load: { certificate: longLived, policy }, time: undefined });
    expect(refusalsOf(without)).toEqual(["policy: expired"]);
    expect(refusalsOf(runSync(lock, { load: { certificate: longLived, policy } }))).toEqual([]);
    expect(lock.policy.version).toBe(2);
  });

  it("[J4] until then a courier whose certificate ends before the delegation is refused: certificates are to outlast it", () => {
    const lock = pushed();
    expect(refusalsOf(runSync(lock))).toEqual(["greet: expired"]);
  });

  it("[J3] sets a clock back as well as forward, whatever was shown", () => {
    for (const shows of [later(-daySeconds), later(daySeconds / 2)]) {
      const lock = lockThatShows(shows);
      const answer = (nonce: Uint8Array) =>
        answerTime(authorityKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 20 });
      const run = runSync(lock, { time: answer });
      expect(refusalsOf(run)).toEqual([]);
      expect(lock.shows(monotonicMs(1_100))).toBe(startMs + 50);
      expect(lock.actions.find(({ kind }) => kind === "set-clock")).toMatchObject({ signedBy: "authority" });
    }
  });
});

function signedDelegate(bytes: Uint8Array): SignedBlob {
  return { bytes, signature: signTyped(authorityKeys.time, DELEGATE_SIGNED_TYPE, bytes) };
}

function tooLong(): SignedBlob {
  return signedDelegate(timeDelegate.encode({ ...delegation, notAfter: unixSeconds(delegation.notAfter + 1) }));
}
