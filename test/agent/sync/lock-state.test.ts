import { describe, expect, it } from "vitest";
import {
  isBehind,
  type LockFacts,
  lockState,
  lockStates,
  OUT_OF_RANGE_SECONDS,
} from "../../../agent/sync/lock-state.ts";
import { type UnixSeconds, unixSeconds } from "../../../protocol/base/units.ts";
import { syncStates } from "../../../protocol/wire/messages/reported.ts";

const now = unixSeconds(1_000_000);
const ago = (seconds: number): UnixSeconds => unixSeconds(now - seconds);
const held = (version: number) => ({ epoch: 1, version, at: ago(50) });

/** In sync: reported version 1 of 1, heard just now. */
const calm: LockFacts = {
  desired: { epoch: 1, version: 1 },
  urgent: null,
  reported: held(1),
  pendingSince: null,
  visitingSince: null,
  handedOver: null,
  fault: null,
  heardAt: ago(2),
  silentSeconds: 2,
  visitBy: null,
  wentBackAt: null,
};

const faultCodes = ["not-found", "radio", "timeout", "handshake", "refused", "protocol"] as const;

/** Each fact with the values that make a difference, `calm` first. */
const domain: { readonly [Fact in keyof LockFacts]: readonly LockFacts[Fact][] } = {
  desired: [calm.desired, null, { epoch: 1, version: 2 }],
  urgent: [null, "revocation"],
  reported: [calm.reported, null, held(2)],
  pendingSince: [null],
  visitingSince: [null, ago(3)],
  handedOver: [null, held(1), held(2)],
  fault: [
    null,
    ...faultCodes.map((code) => ({ code, at: ago(10) })),
    { code: "handshake", reason: "no-progress", at: ago(10) },
  ],
  heardAt: [calm.heardAt, null, ago(400)],
  silentSeconds: [2, null, OUT_OF_RANGE_SECONDS],
  visitBy: [null, now, unixSeconds(now + 1)],
  wentBackAt: [null, ago(7)],
};

function* everyFacts(): Generator<LockFacts> {
  const facts: Record<string, unknown> = {};
  const names = Object.keys(domain) as (keyof LockFacts)[];
  function* vary(place: number): Generator<LockFacts> {
    const name = names[place];
    if (name === undefined) {
      yield { ...calm, ...facts };
      return;
    }
    for (const value of domain[name]) {
      facts[name] = value;
      yield* vary(place + 1);
    }
  }
  yield* vary(0);
}

/** What must be true of the world for a word to be said, in the words of SPEC G10, each by itself. */
function truths(facts: LockFacts): Readonly<Record<(typeof syncStates)[number], boolean>> {
  const { desired, reported, handedOver, fault, visitBy, heardAt, silentSeconds } = facts;
  const holds = reported?.version ?? 0;
  const lockSaidNo =
    fault !== null && ["handshake", "refused", "protocol"].includes(fault.code) && fault.reason !== "no-progress";
  const notFound = fault?.code === "not-found" && !(heardAt !== null && heardAt > fault.at);
  return {
    syncing: facts.visitingSince !== null,
    refused: lockSaidNo,
    stale: facts.wentBackAt !== null || (visitBy !== null && visitBy <= now),
    unconfirmed: handedOver !== null && handedOver.version > holds,
    "out-of-range": notFound || (silentSeconds !== null && silentSeconds >= 300),
    pending: desired === null || reported === null || desired.version > holds,
    "in-sync": desired !== null && reported !== null && holds >= desired.version,
  };
}

describe("the state of a lock's door sync", () => {
  it("[G10] is one word of the closed list, the first that is true in the order of the list: every combination", () => {
    const seen = new Map<string, number>();
    for (const facts of everyFacts()) {
      const { state, why } = lockState(facts, now);
      const isTrue = truths(facts);
      const expected = lockStates.find((each) => isTrue[each]);
      if (state !== expected) expect.fail(`${state} instead of ${expected}: ${JSON.stringify(facts)}`);
      if ((why === null) !== (state === "in-sync")) expect.fail(`${state} without a reason: ${JSON.stringify(facts)}`);
      seen.set(state, (seen.get(state) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual([...syncStates].sort());
    expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(
      Object.values(domain).reduce((product, values) => product * values.length, 1),
    );
    expect([...lockStates].sort()).toEqual([...syncStates].sort());
  });

  it("[G10] in sync is said by the lock's own report and by nothing else", () => {
    for (const facts of everyFacts()) {
      if (lockState(facts, now).state !== "in-sync") continue;
      if (facts.reported === null || isBehind(facts)) expect.fail(JSON.stringify(facts));
      expect(lockState(facts, now).since).toBe(facts.reported.at);
    }
  });

  it.each<[string, Partial<LockFacts>, object]>([
    ["in sync since its own report", {}, { state: "in-sync", why: null, since: ago(50) }],
    [
      "pending, for whom, and since when",
      { desired: { epoch: 1, version: 2 }, urgent: "keycard", pendingSince: ago(90) },
      { state: "pending", why: "keycard", since: ago(90) },
    ],
    ["never met", { reported: null, pendingSince: ago(9) }, { state: "pending", why: "never-met", since: ago(9) }],
    ["nothing published", { desired: null }, { state: "pending", why: "nothing-published", since: null }],
    ["a newer epoch", { desired: { epoch: 2, version: 0 } }, { state: "pending", why: "newer-policy" }],
    ["under way", { visitingSince: ago(1) }, { state: "syncing", why: "visit", since: ago(1) }],
    [
      "the policy went over, no report came",
      { desired: { epoch: 1, version: 2 }, handedOver: held(2), fault: { code: "radio", at: ago(10) } },
      { state: "unconfirmed", why: "no-report-after-policy", since: ago(50) },
    ],
    ["a link that broke before", { fault: { code: "radio", at: ago(10) } }, { state: "in-sync" }],
    [
      "not found",
      { fault: { code: "not-found", at: ago(1) } },
      { state: "out-of-range", why: "not-found", since: ago(2) },
    ],
    ["not found, heard since", { fault: { code: "not-found", at: ago(3) } }, { state: "in-sync" }],
    ["silent", { silentSeconds: 300, heardAt: ago(300) }, { state: "out-of-range", why: "not-heard", since: ago(300) }],
    [
      "refused",
      { fault: { code: "refused", reason: "greet: expired", at: ago(4) } },
      { state: "refused", why: "refused", since: ago(4) },
    ],
    [
      "another lock at this address",
      { fault: { code: "handshake", at: ago(4) } },
      { state: "refused", why: "wrong-lock" },
    ],
    [
      "both banks rotten",
      { wentBackAt: ago(6), reported: { epoch: 0, version: 0, at: ago(6) } },
      { state: "stale", why: "policy-lost", since: ago(6) },
    ],
    ["its rules broken", { fault: { code: "protocol", at: ago(4) } }, { state: "refused", why: "broke-protocol" }],
    ["half its lease past", { visitBy: now }, { state: "stale", why: "half-lease-past", since: now }],
    ["a rotten bank", { wentBackAt: ago(6) }, { state: "stale", why: "older-policy-serves", since: ago(6) }],
  ])("[G10] says why and since when: %s", (_what, facts, expected) => {
    expect(lockState({ ...calm, ...facts }, now)).toMatchObject(expected);
  });

  it.each([
    ["refused", "time: round-trip-too-long", "time-answer-too-slow"],
    ["refused", "time: stale-nonce", "time-refused"],
    ["refused", "policy: bad-policy", "policy-refused"],
    ["refused", "keyset: rollback", "keyset-refused"],
    ["refused", "release: chain-mismatch", "release-refused"],
    ["refused", "log: unexpected-message", "refused"],
    ["protocol", "report-of-another-policy", "contradicts-itself"],
    ["protocol", "report-beyond-published", "contradicts-itself"],
    ["protocol", "log-not-taken", "log-not-taken"],
    ["protocol", "bad-answer", "broke-protocol"],
  ])("[G10] %s, %s: says precisely what was refused, or by what the lock gave itself away", (code, reason, why) => {
    expect(lockState({ ...calm, fault: { code, reason, at: ago(4) } }, now)).toEqual({
      state: "refused",
      why,
      since: ago(4),
    });
  });
});
