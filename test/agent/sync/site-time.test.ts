/** What a gateway tells its locks of the time when their authority does not: on what ground, how surely, and for how long. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GivenTime } from "../../../agent/ports/visit.ts";
import { SiteTime, timeKeyOf, timePublicKeyOf } from "../../../agent/sync/site-time.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { answerTime, authorityKeysFromSeed, authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { type SignedBlob, timeAnswer } from "../../../protocol/wire/signed-objects.ts";
import { DELEGATION_SECONDS_MAX, issueTimeDelegate, readDelegatedTime } from "../../../protocol/wire/time-delegate.ts";
import {
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  site,
  startGateway,
  visitOutcome,
} from "../../world/gateway-builder.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const authority = authorityKeysFromSeed(new Uint8Array(32).fill(1));
/** What the lock has in its keyset. */
const publicTimeKey = authorityPublicKeys(authority).time;
/** Of `startGateway`. */
const courierKey = new Uint8Array(32).fill(3);
/** Of the lock of `bleLock`. */
const pairingId = new Uint8Array(16).fill(5);
const nonce = new Uint8Array(16).fill(6);
const startMs = Date.UTC(2026, 10, 20, 8, 0, 0);
const start = unixSeconds(startMs / 1000);
const hourMs = 3_600_000;

function delegation(from = start, notAfter = unixSeconds(from + DELEGATION_SECONDS_MAX)): SignedBlob {
  const publicKey = timePublicKeyOf(courierKey);
  return issueTimeDelegate(authority.time, { publicKey, holder: gatewayId, locks: [], from, notAfter });
}

const saidBy = (unix: number, radiusMs = 100): SignedBlob =>
  answerTime(authority, { pairingId, nonce: new Uint8Array(16).fill(9), unixMs: unixMs(unix), radiusMs });

/** As the lock reads it. */
function readGiven(given: GivenTime | undefined, to = nonce) {
  if (given?.delegate === undefined) throw new Error("nothing was given");
  const read = readDelegatedTime(publicTimeKey, { pairingId, nonce: to }, given.delegate, given.answer);
  if (!read.ok) throw new Error(read.fault.code);
  return read.value;
}

describe("the site's own time", () => {
  it("[J9] is nothing without an answer of the authority in this run, whatever the wall clock says", () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    expect(time.answer(delegation(), pairingId, nonce)).toBeUndefined();
    clock.setWall(startMs + hourMs);
    expect(time.answer(delegation(), pairingId, nonce)).toBeUndefined();
  });

  it("[J9] is nothing on the ground of bytes that are no time answer, and they do not take an anchor away", () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    const rubbish = { bytes: new Uint8Array([1, 2, 3]), signature: new Uint8Array(64) };
    time.note(rubbish, clock.monotonicMs());
    expect(time.answer(delegation(), pairingId, nonce)).toBeUndefined();
    time.note(saidBy(startMs), clock.monotonicMs());
    time.note(rubbish, clock.monotonicMs());
    expect(readGiven(time.answer(delegation(), pairingId, nonce)).unixMs).toBe(startMs);
  });

  it("[J9] goes on with the monotonic counter, and a wall clock that jumps anywhere changes nothing", async () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    time.note(saidBy(startMs), clock.monotonicMs());
    for (const wall of [0, startMs - 400 * 86_400_000, startMs + 400 * 86_400_000]) {
      clock.setWall(wall);
      expect(readGiven(time.answer(delegation(), pairingId, nonce)).unixMs).toBe(startMs);
    }
    await clock.advance(5 * hourMs);
    expect(readGiven(time.answer(delegation(), pairingId, nonce)).unixMs).toBe(startMs + 5 * hourMs);
  });

  it("[J9] its newest anchor counts, with half of the way there and back", async () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    time.note(saidBy(startMs - hourMs), clock.monotonicMs());
    const askedAt = clock.monotonicMs();
    await clock.advance(1_001);
    time.note(saidBy(startMs, 50), askedAt);
    const read = readGiven(time.answer(delegation(), pairingId, nonce));
    expect(read).toMatchObject({ unixMs: startMs + 501, radiusMs: 50 + 501 });
  });

  it("[J9] is as far off as it says at most, for any crystal within 100 parts in a million and any way there and back", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: -100, max: 100 }),
        fc.integer({ min: 0, max: 1_400 }),
        fc.nat({ max: 1_400 }),
        fc.integer({ min: 0, max: 6 * 24 * hourMs }),
        async (partsPerMillion, tripMs, saidAfterMs, trueElapsedMs) => {
          const clock = new SteppedClock();
          const time = new SiteTime(clock, courierKey);
          const saidAt = startMs + Math.min(saidAfterMs, tripMs);
          await clock.advance(tripMs);
          time.note(saidBy(saidAt, 0), (clock.monotonicMs() - tripMs) as ReturnType<SteppedClock["monotonicMs"]>);
          await clock.advance(Math.round(trueElapsedMs * (1 + partsPerMillion / 1e6)));
          const { unixMs: said, radiusMs } = readGiven(time.answer(delegation(), pairingId, nonce));
          const truth = startMs + tripMs + trueElapsedMs;
          expect(Math.abs(said - truth)).toBeLessThanOrEqual(radiusMs + 1);
        },
      ),
      // A crystal that is slow counts too little of what it is slow by: 2.7 days showed it.
      { numRuns: 60, examples: [[-100, 0, 0, 229_925_001]] },
    );
  });

  it("[J9] [O4] says how unsure it is, which grows, and never more than its field takes", async () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    time.note(saidBy(startMs, 60_000), clock.monotonicMs());
    expect(readGiven(time.answer(delegation(), pairingId, nonce)).radiusMs).toBe(60_000);
    time.note(saidBy(startMs), clock.monotonicMs());
    const radii: number[] = [];
    for (let day = 0; day < 7; day++) {
      radii.push(readGiven(time.answer(delegation(), pairingId, nonce)).radiusMs);
      await clock.advance(24 * hourMs);
    }
    expect(radii).toEqual([100, 8_741, 17_382, 26_023, 34_664, 43_305, 51_946]);
    await clock.advance(30 * 24 * hourMs);
    const later = unixSeconds(start + 36 * 86_400);
    const { radiusMs } = readGiven(time.answer(delegation(later), pairingId, nonce));
    expect(radiusMs).toBe(60_000);
  });

  it("[J9] [J1] is told within the delegation alone: not before it begins, not after it ends, not without one", async () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    time.note(saidBy(startMs), clock.monotonicMs());
    const gives = (blob: SignedBlob | null): boolean => time.answer(blob, pairingId, nonce) !== undefined;
    expect(gives(null)).toBe(false);
    expect(gives({ bytes: new Uint8Array([9]), signature: new Uint8Array(64) })).toBe(false);
    expect(gives(delegation(unixSeconds(start + 1)))).toBe(false);
    expect(gives(delegation(unixSeconds(start - 100), unixSeconds(start - 1)))).toBe(false);
    expect(gives(delegation(unixSeconds(start - 100), start))).toBe(true);
    expect(gives(delegation())).toBe(true);
    await clock.advance(DELEGATION_SECONDS_MAX * 1000);
    expect(gives(delegation())).toBe(true);
    await clock.advance(1);
    expect(gives(delegation())).toBe(false);
  });

  it("[J1] is for this lock and this nonce, under a key that is the gateway's own and not its courier key", () => {
    const clock = new SteppedClock();
    const time = new SiteTime(clock, courierKey);
    time.note(saidBy(startMs), clock.monotonicMs());
    const given = time.answer(delegation(), pairingId, nonce);
    if (given?.delegate === undefined) throw new Error("nothing was given");
    const read = (lock: { readonly pairingId: Uint8Array; readonly nonce: Uint8Array }) => {
      if (given.delegate === undefined) throw new Error("no delegate");
      const answer = readDelegatedTime(publicTimeKey, lock, given.delegate, given.answer);
      return answer.ok ? answer.value.delegation.holder : answer.fault.code;
    };
    expect(read({ pairingId, nonce })).toBe(gatewayId);
    expect(read({ pairingId, nonce: new Uint8Array(16) })).toBe("stale-nonce");
    expect(read({ pairingId: new Uint8Array(16), nonce })).toBe("wrong-pairing");
    expect(timeKeyOf(courierKey)).not.toEqual(courierKey);
    expect(timeKeyOf(new Uint8Array(32).fill(4))).not.toEqual(timeKeyOf(courierKey));
  });
});

describe("a visit's time", () => {
  /** A gateway with a delegation whose visits ask for the time, each with its own nonce, and what they got. */
  async function gatewayThatAsks(timeDelegate: SignedBlob | null = delegation()) {
    const given: (GivenTime | undefined)[] = [];
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ askTime }) => {
        given.push(await askTime(new Uint8Array(16).fill(given.length)));
        return visitOutcome({});
      },
    });
    const delegate = timeDelegate === null ? null : wire(timeDelegate);
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, { ...gatewayDesired(), timeDelegate: delegate });
    world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 1 }));
    await world.clock.advance(0);
    return { world, given };
  }

  const wire = ({ bytes, signature }: SignedBlob) => ({
    bytes: bytesToBase64(bytes),
    signature: bytesToBase64(signature),
  });

  function answers(world: GatewayWorld, what: { readonly state: string; readonly answer?: object }): void {
    world.upstream.onPublish = ({ topic, payload }) => {
      if (!topic.endsWith("authority/command/time")) return;
      const { id } = JSON.parse(payload) as { readonly id: string };
      world.upstream.say(`dl/1/${site}/${gatewayId}/result/time`, { v: 1, id, device: lockId, ...what });
    };
  }

  async function visit(world: GatewayWorld): Promise<void> {
    const going = world.gateway.requestSync(lockId);
    // What the authority is waited for.
    await world.clock.advance(1_500);
    expect(await going).toMatchObject({ outcome: "in-sync" });
  }

  it("[J9] is the authority's as long as it answers, and then the site's own, moved on, with the delegation", async () => {
    const { world, given } = await gatewayThatAsks();
    const said = saidBy(startMs + hourMs, 100);
    answers(world, { state: "done", answer: wire(said) });
    await visit(world);
    expect(given[0]).toEqual({ answer: said });
    world.upstream.onPublish = () => undefined;
    world.clock.setWall(0);
    await world.clock.advance(2 * hourMs);
    await visit(world);
    const silent = readGiven(given[1], new Uint8Array(16).fill(1));
    // From the answer: the rest of its visit, two hours, and the second visit's wait for an authority that says nothing.
    expect(silent.unixMs - (startMs + hourMs)).toBeGreaterThanOrEqual(2 * hourMs);
    expect(silent.unixMs - (startMs + hourMs)).toBeLessThanOrEqual(2 * hourMs + 3_000);
    world.upstream.setLink(false);
    await world.clock.advance(0);
    await visit(world);
    expect(readGiven(given[2], new Uint8Array(16).fill(2)).unixMs).toBeGreaterThan(silent.unixMs);
  });

  it("[J9] is nothing before the authority has answered in this run, also under a delegation that stands", async () => {
    const { world, given } = await gatewayThatAsks();
    world.upstream.setLink(false);
    await world.clock.advance(0);
    await visit(world);
    expect(given).toEqual([undefined]);
  });

  it("[J9] is nothing for a lock that the authority refuses it: that is an answer", async () => {
    const { world, given } = await gatewayThatAsks();
    answers(world, { state: "done", answer: wire(saidBy(startMs)) });
    await visit(world);
    answers(world, { state: "refused" });
    await visit(world);
    expect(given[1]).toBeUndefined();
  });

  it("[J9] is nothing without a delegation, or under one that has ended", async () => {
    for (const blob of [null, delegation(unixSeconds(start - 86_400), unixSeconds(start - 3_600))]) {
      const { world, given } = await gatewayThatAsks(blob);
      answers(world, { state: "done", answer: wire(saidBy(startMs)) });
      await visit(world);
      world.upstream.setLink(false);
      await visit(world);
      expect(given[0]?.delegate).toBeUndefined();
      expect(given[1]).toBeUndefined();
    }
  });

  it("[J9] is not told anew from what it told itself: anchors are the authority's alone", async () => {
    const { world, given } = await gatewayThatAsks();
    answers(world, { state: "done", answer: wire(saidBy(startMs, 100)) });
    await visit(world);
    world.upstream.setLink(false);
    await world.clock.advance(24 * hourMs);
    await visit(world);
    await world.clock.advance(24 * hourMs);
    await visit(world);
    const radii = [1, 2].map((nth) => readGiven(given[nth], new Uint8Array(16).fill(nth)).radiusMs);
    expect(radii[0]).toBeGreaterThan(8_700);
    // Twice as far from the anchor, twice as unsure.
    expect(radii[1]).toBeGreaterThan(17_300);
    expect(timeAnswer.decode(given[2]?.answer.bytes ?? new Uint8Array(0)).ok).toBe(true);
  });
});
