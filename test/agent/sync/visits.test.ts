/** The gateway's own visits, and what is said of them: to the command line, to the authority, and after a restart. */
import { describe, expect, it } from "vitest";
import { describeStatus } from "../../../agent/http/describe.ts";
import type { LockView } from "../../../agent/http/views.ts";
import type { VisitOptions, VisitOutcome, VisitProgress } from "../../../agent/ports/visit.ts";
import { URGENT_VISITS_PER_DAY, VISITS_PER_DAY } from "../../../agent/sync/schedule.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { lockReport } from "../../../protocol/wire/signed-objects.ts";
import {
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  sighting,
  site,
  startGateway,
  tellSite,
  visitOutcome,
} from "../../world/gateway-builder.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

async function lockOf(world: GatewayWorld): Promise<LockView> {
  const lock = (await describeStatus(world)).devices.find(({ device }) => device === lockId)?.lock;
  if (lock === undefined || lock === null) throw new Error("the lock has no state");
  return lock;
}

function upstreamOf(world: GatewayWorld): unknown {
  return world.upstream.latest(`${lockId}/health`)?.["sync"];
}

function broken(
  options: { readonly from?: number; readonly code?: "radio" | "refused"; readonly bytes?: number } = {},
): VisitOutcome {
  const { from = 1, code = "radio", bytes = 500 } = options;
  const { reported: _reported, ...facts } = visitOutcome({});
  return { ...facts, ok: false, fault: { code }, reported: null, from: { epoch: 1, version: from }, bytes };
}

function reportOf(pairingId: Uint8Array, version: number): Uint8Array {
  const head = new Uint8Array(32);
  return lockReport.encode({
    ...{ pairingId, epoch: 1, version, root: head, bootCount: 1, clock: "unset", logNext: 1, chainHead: head },
    ...{ nonce: new Uint8Array(16), logFirst: 1, headBefore: head, keysetEpoch: 1 },
  });
}

async function ask(world: GatewayWorld): Promise<unknown> {
  const answer = world.gateway.requestSync(lockId);
  await world.clock.advance(0);
  return answer;
}

async function tell(world: GatewayWorld, lock: Parameters<typeof lockDesired>[0]): Promise<void> {
  world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired(lock));
  await world.clock.advance(0);
}

describe("what is said of a lock", () => {
  it("[G10] [M17] one story everywhere: pending with its reason, syncing with its step, in sync with the report's moment", async () => {
    const clock = new SteppedClock();
    let finish: () => void = () => undefined;
    const world = await startGateway({
      automatic: false,
      clock,
      runVisit: async ({ onProgress, desired }) => {
        onProgress({ step: "policy", done: 2_048, of: 9_120 });
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return visitOutcome({ version: desired?.policy.version ?? 0 });
      },
    });
    await tellSite(world, { version: 3, urgent: "keycard" });
    const told = Math.floor(clock.nowMs() / 1000);
    expect(await lockOf(world)).toMatchObject({
      state: "pending",
      why: "keycard",
      since: told,
      urgent: true,
      desired: { epoch: 1, version: 3 },
      reported: null,
      nextVisit: { reason: "keycard", heldOff: "manual" },
    });
    expect(upstreamOf(world)).toMatchObject({ state: "pending", why: "keycard", reported: null });

    await clock.advance(5_000);
    const asked = world.gateway.requestSync(lockId);
    await clock.advance(0);
    expect(await lockOf(world)).toMatchObject({
      state: "syncing",
      since: told + 5,
      progress: { step: "policy", done: 2_048, of: 9_120 },
    });
    await clock.advance(60_000);
    expect(upstreamOf(world)).toMatchObject({ state: "syncing" });
    finish();
    await clock.advance(0);
    await asked;
    const at = told + 65;
    expect(await lockOf(world)).toMatchObject({
      state: "in-sync",
      why: null,
      since: at,
      progress: null,
      urgent: false,
      reported: { epoch: 1, version: 3, at },
      nextVisit: null,
    });
    expect(upstreamOf(world)).toEqual({
      state: "in-sync",
      why: null,
      since: at,
      desired: { epoch: 1, version: 3 },
      reported: { epoch: 1, version: 3, at },
      heardAt: at,
    });
  });

  it("[G10] nothing but the lock's own report makes it in sync: neither its advertisement nor its hello", async () => {
    const world = await startGateway({ runVisit: async () => broken({ from: 2 }) });
    await tellSite(world, { version: 2 });
    world.radio.sightings = [sighting({ version: 2 })];
    await world.clock.advance(30_000);
    expect(world.visits.length).toBeGreaterThan(0);
    expect(await lockOf(world)).toMatchObject({ state: "pending", why: "never-met", reported: null });
  });

  it("[G10] a lock's no is shown until a visit goes through", async () => {
    let refuses = true;
    const world = await startGateway({
      automatic: false,
      runVisit: async () => (refuses ? broken({ code: "refused" }) : visitOutcome({ version: 1 })),
    });
    await tellSite(world);
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "refused", why: "refused" });
    refuses = false;
    await ask(world);
    expect((await lockOf(world)).state).toBe("in-sync");
  });

  it("[Y16] a delta that the lock could not use is no fault of the visit, and is in the log", async () => {
    const deltaRefused = { refusal: "unknown-base", from: 3 };
    const outcomes = [visitOutcome({ version: 4 }), { ...visitOutcome({ version: 4 }), deltaRefused }];
    const world = await startGateway({ automatic: false, runVisit: async () => outcomes.shift() ?? broken() });
    await tellSite(world, { version: 4 });
    const warnings = () => world.logged.filter(({ level, text }) => level === "warn" && text.includes("delta"));
    expect(await ask(world)).toMatchObject({ outcome: "in-sync" });
    expect(warnings()).toEqual([]);
    expect(await ask(world)).toMatchObject({ outcome: "in-sync" });
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.text).toContain("unknown-base");
    expect(await lockOf(world)).toMatchObject({ state: "in-sync" });
  });

  it("[G10] [G6] out of range after five minutes of silence, and back with the first advertisement", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 1 }) });
    await tellSite(world);
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", rssi: -60 });
    world.radio.sightings = [];
    const lastHeard = (await lockOf(world)).heardAt;
    await world.clock.advance(290_000);
    expect((await lockOf(world)).state).toBe("in-sync");
    await world.clock.advance(20_000);
    expect(await lockOf(world)).toMatchObject({ state: "out-of-range", why: "not-heard", heardAt: lastHeard });
    await world.clock.advance(60_000);
    expect(upstreamOf(world)).toMatchObject({ state: "out-of-range", heardAt: lastHeard });
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    expect((await lockOf(world)).state).toBe("in-sync");
  });

  it("[G6] a lock that nobody needs to visit stays online by what is heard of it", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 1 }) });
    const visitBy = Math.floor(world.clock.nowMs() / 1000) + 3 * 86_400;
    await tellSite(world, { version: 1, visitBy });
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    const visits = world.visits.length;
    await world.clock.advance(26 * 3600_000);
    expect(world.visits.length).toBe(visits);
    expect(world.upstream.latest(`${lockId}/state`)).toMatchObject({ online: true });
  });
});

describe("a lock that was reset and paired again", () => {
  it("[G3] [G10] has not reported, whatever it reported under its former pairing", async () => {
    const under = (pairing: number): VisitOutcome => {
      const outcome = visitOutcome({ version: 4 });
      if (!outcome.ok) throw new Error(outcome.fault.code);
      return { ...outcome, reported: { ...outcome.reported, report: reportOf(new Uint8Array(16).fill(pairing), 4) } };
    };
    const world = await startGateway({ automatic: false, runVisit: async () => under(5) });
    await tellSite(world, { version: 4 });
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", reported: { version: 4 } });
    const again = { ...bleLock(), pairingId: bytesToBase64(new Uint8Array(16).fill(6)) };
    world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, gatewayDesired({ devices: [again], revision: 2 }));
    const revocations = [{ person: "bob", since: 1, version: 3 }];
    await tell(world, { version: 5, revocations });
    expect(await lockOf(world)).toMatchObject({ state: "pending", why: "never-met", reported: null });
    expect(world.gateway.exposures()).toMatchObject([{ person: "bob", holds: null }]);
  });
});

describe("an outcome that is not known", () => {
  /** The policy goes over whole, and the link breaks before the report. */
  const dropsAfterPolicy = async ({ onProgress }: VisitOptions): Promise<VisitOutcome> => {
    onProgress({ step: "policy", done: 1_024, of: 2_000 });
    onProgress({ step: "policy", done: 2_000, of: 2_000 });
    return broken();
  };

  it("[G11] is unconfirmed, also after a restart, and the next report settles it", async () => {
    const first = await startGateway({ automatic: false, runVisit: dropsAfterPolicy });
    await tellSite(first, { version: 2 });
    await ask(first);
    expect(await lockOf(first)).toMatchObject({ state: "unconfirmed", why: "no-report-after-policy" });
    await first.gateway.stop();
    const second = await startGateway({
      store: first.store,
      clock: first.clock,
      automatic: false,
      runVisit: async () => visitOutcome({ version: 2 }),
    });
    expect((await lockOf(second)).state).toBe("unconfirmed");
    await ask(second);
    expect((await lockOf(second)).state).toBe("in-sync");
  });

  it.each<[string, readonly VisitProgress[], string]>([
    ["the link broke while keys were exchanged", [{ step: "connecting" }, { step: "handshake" }], "pending"],
    ["the link broke behind the clock: a small policy may have ridden along", [{ step: "clock" }], "unconfirmed"],
    ["pages are missing", [{ step: "clock" }, { step: "policy", done: 2_048, of: 9_120 }], "pending"],
    ["every page went over", [{ step: "clock" }, { step: "policy", done: 9_120, of: 9_120 }], "unconfirmed"],
  ])("[G11] may have gone over, or cannot: %s", async (_what, steps, expected) => {
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ onProgress }) => {
        for (const step of steps) onProgress(step);
        return broken();
      },
    });
    await tellSite(world, { version: 2 });
    await ask(world);
    expect((await lockOf(world)).state).toBe(expected);
  });

  it("[G11] a visit to a lock that holds the newest leaves nothing open, however it ends", async () => {
    let breaks = false;
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ onProgress }) => {
        onProgress({ step: "clock" });
        return breaks ? broken({ from: 2 }) : visitOutcome({ version: 2 });
      },
    });
    await tellSite(world, { version: 2 });
    await ask(world);
    breaks = true;
    await ask(world);
    expect((await lockOf(world)).state).toBe("in-sync");
  });

  it("[G11] is on disk before it is known, so that a gateway killed in that moment knows that it does not know", async () => {
    const dying = await startGateway({
      automatic: false,
      runVisit: (options) => dropsAfterPolicy(options).then(() => new Promise(() => undefined)),
    });
    await tellSite(dying, { version: 2 });
    void dying.gateway.requestSync(lockId);
    await dying.clock.advance(1_000);
    const again = await startGateway({ store: dying.store, clock: dying.clock, automatic: false });
    expect(await lockOf(again)).toMatchObject({ state: "unconfirmed", reported: null });
  });

  it("[G11] a hello with less says that it never arrived", async () => {
    const world = await startGateway({ automatic: false, runVisit: dropsAfterPolicy });
    await tellSite(world, { version: 2 });
    await ask(world);
    expect((await lockOf(world)).state).toBe("unconfirmed");
    const other = await startGateway({
      store: world.store,
      clock: world.clock,
      automatic: false,
      runVisit: async () => broken({ from: 1 }),
    });
    await ask(other);
    expect((await lockOf(other)).state).toBe("pending");
  });
});

describe("when a lock is visited", () => {
  it("[J8] [G13] in sync: left alone until half its lease has passed, and then visited", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 1 }) });
    const visitBy = Math.floor(world.clock.nowMs() / 1000) + 14 * 3600;
    await tellSite(world, { version: 1, visitBy });
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    const first = world.visits.length;
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", visitBy });
    await world.clock.advance(13 * 3600_000);
    expect(world.visits.length).toBe(first);
    await world.clock.advance(3600_000);
    expect(world.visits.length).toBe(first + 1);
    // The visit brought nothing newer, so the lease runs on and the lock is stale: that is the authority's to mend.
    expect(await lockOf(world)).toMatchObject({ state: "stale", why: "half-lease-past", since: visitBy });
  });

  it("[J8] [G10] in sync and out of reach: stale when half its lease has passed, whatever it said before, until it is visited", async () => {
    let version = 1;
    const world = await startGateway({ runVisit: async () => visitOutcome({ version }) });
    const half = Math.floor(world.clock.nowMs() / 1000) + 5 * 86_400;
    await tellSite(world, { version: 1, visitBy: half });
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync" });
    world.radio.sightings = [];
    // In long steps: what is asked is what holds at the end of each.
    await world.clock.advance(5 * 86_400_000 - 20_000);
    expect(await lockOf(world)).toMatchObject({ state: "out-of-range" });
    await world.clock.advance(10_000);
    expect(await lockOf(world)).toMatchObject({ state: "stale", why: "half-lease-past", since: half });
    // The authority has written the policy anew by then; what counts is that the lock holds it.
    await tell(world, { version: 2, visitBy: half + 5 * 86_400 });
    expect(await lockOf(world)).toMatchObject({
      state: "stale",
      nextVisit: { reason: "half-lease", heldOff: "not-heard" },
    });
    version = 2;
    world.radio.sightings = [sighting()];
    await world.clock.advance(10_000);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", visitBy: half + 5 * 86_400 });
  });

  it("[G15] a lock that never takes what is urgent costs its budget of a day, and no more; who asks is not held off", async () => {
    const world = await startGateway({ runVisit: async () => visitOutcome({ version: 1 }) });
    await world.clock.advance(16 * 3600_000);
    await tellSite(world, { version: 2, urgent: "lock-out" });
    world.radio.sightings = [sighting()];
    // From midnight on: the day before has its own budget.
    await world.clock.advance(24 * 3600_000 - 20_000);
    const today = (await lockOf(world)).automaticVisitsToday;
    expect(today).toBeGreaterThan(VISITS_PER_DAY);
    expect(today).toBeLessThanOrEqual(URGENT_VISITS_PER_DAY);
    await tell(world, { version: 3 });
    expect((await lockOf(world)).nextVisit).toEqual({ reason: "policy", heldOff: "budget" });
    const before = world.visits.length;
    await world.clock.advance(3_000);
    expect(world.visits.length).toBe(before);
    expect(await ask(world)).toMatchObject({ outcome: "pending" });
    expect((await lockOf(world)).automaticVisitsToday).toBe(today);
  });
});

describe("a lock that lost both banks", () => {
  it("[L3] [G10] is said to have lost its policy, and not to hold an older one", async () => {
    let version = 1;
    const world = await startGateway({ automatic: false, runVisit: async () => visitOutcome({ version }) });
    await tellSite(world, { version: 1 });
    await ask(world);
    version = 0;
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "stale", why: "policy-lost" });
    expect(upstreamOf(world)).toMatchObject({ state: "stale", why: "policy-lost" });
    version = 1;
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync" });
  });
});

describe("a lock that lies", () => {
  it("[G18] about a policy that nobody published is refused, and what it reported before stands", async () => {
    let version = 1;
    const world = await startGateway({ automatic: false, runVisit: async () => visitOutcome({ version }) });
    await world.clock.advance(6_000);
    await tellSite(world, { version: 1 });
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync" });
    version = 4_294_967_295;
    await tell(world, { version: 2 });
    expect(await ask(world)).toMatchObject({ fault: { code: "protocol", reason: "report-beyond-published" } });
    expect(await lockOf(world)).toMatchObject({
      state: "refused",
      why: "contradicts-itself",
      reported: { epoch: 1, version: 1 },
    });
    expect(world.upstream.latest(`${lockId}/reported`)).toMatchObject({ policy: { version: 1 } });
    version = 2;
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", reported: { version: 2 } });
  });

  it("[G18] while the gateway cannot tell is believed until it can, and then visited again", async () => {
    const world = await startGateway({
      up: false,
      automatic: false,
      runVisit: async () => visitOutcome({ version: 9 }),
    });
    world.upstream.setLink(true);
    await world.clock.advance(1_000);
    await tellSite(world, { version: 3 });
    world.upstream.setLink(false);
    await ask(world);
    expect(await lockOf(world)).toMatchObject({ state: "in-sync", reported: { version: 9 } });
    world.upstream.setLink(true);
    await world.clock.advance(120_000);
    expect(await lockOf(world)).toMatchObject({ state: "pending", reported: null });
  });

  it("[G17] about its numbers: its log is read anew from what upstream has, and what was never in it goes", async () => {
    const runs: (readonly [from: number, count: number, fill: number])[] = [[100_003, 3, 1]];
    let logNext = 100_006;
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ storeRun }) => {
        for (const [from, count, fill] of runs) {
          await storeRun({ boot: 3, from, count, batch: new Uint8Array(40).fill(fill) });
        }
        return visitOutcome({ logNext });
      },
    });
    // Upstream takes the first two entries and nothing of the lie.
    await tellSite(world);
    runs[0] = [1, 2, 7];
    logNext = 3;
    await ask(world);
    world.upstream.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: lockId, through: 2, missing: [] });
    runs[0] = [100_003, 3, 1];
    logNext = 100_006;
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 3, logAgainFrom: 3 });
    runs.length = 0;
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 100_006, logAgainFrom: 3 });
    await world.clock.advance(11_000);
    // The lock is honest again, and upstream has been asked twice.
    runs.push([3, 4, 2]);
    logNext = 7;
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 3, logAgainFrom: 3, readsLog: true });
    expect(await world.store.coverage(lockId)).toEqual([{ first: 1, last: 6 }]);
    world.upstream.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: lockId, through: 6, missing: [] });
    await world.clock.advance(0);
    runs.length = 0;
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 7, logAgainFrom: 7 });
    expect(await world.store.outbox()).toEqual([]);
  });

  it("[U12] of which upstream lost what is not here any more either is read again from there", async () => {
    let run: readonly [from: number, count: number] | undefined = [1, 6];
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ storeRun }) => {
        if (run !== undefined)
          await storeRun({ boot: 3, from: run[0], count: run[1], batch: new Uint8Array(40).fill(1) });
        return visitOutcome({ logNext: 9 });
      },
    });
    await tellSite(world);
    await ask(world);
    const receipt = async (through: number, missing: readonly object[]): Promise<void> => {
      world.upstream.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: lockId, through, missing });
      await world.clock.advance(0);
    };
    await receipt(6, []);
    for (const _ of [1, 2]) await world.store.tidy({ nowMs: world.clock.nowMs(), keepMs: 0 });
    run = [7, 2];
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 7 });
    // The authority was restored from a copy that is older than its receipts.
    await receipt(2, [{ from: 3, to: 6 }]);
    expect(world.upstream.messages(`${lockId}/event`).at(-1)).toMatchObject({ events: [{ sequence: 8 }] });
    run = [3, 6];
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 3, logAgainFrom: 3 });
    // It is here now: what upstream asks for is sent, and the lock is asked no more for it.
    run = undefined;
    await receipt(2, [{ from: 3, to: 6 }]);
    await ask(world);
    expect(world.visits.at(-1)).toMatchObject({ logFrom: 9 });
  });

  it("[G17] without end fills no disk: what upstream does not take is not collected for ever, and somebody is told", async () => {
    let from = 1;
    const world = await startGateway({
      automatic: false,
      runVisit: async ({ storeRun, readsLog, logFrom }) => {
        from = logFrom;
        for (let run = 0; run < 20 && readsLog !== false; run++) {
          await storeRun({ boot: 3, from, count: 64, batch: new Uint8Array(8).fill(run) });
          from += 64;
        }
        return visitOutcome({ logNext: 4_294_967_295 });
      },
    });
    await tellSite(world);
    for (let visit = 0; visit < 12; visit++) await ask(world);
    await world.clock.advance(400_000);
    const before = (await world.store.outbox())[0]?.depth ?? 0;
    expect(before).toBeGreaterThan(4_096);
    expect(await ask(world)).toMatchObject({ fault: { code: "protocol", reason: "log-not-taken" } });
    expect(await lockOf(world)).toMatchObject({ state: "refused", why: "log-not-taken" });
    expect((await world.store.outbox())[0]?.depth).toBe(before);
    // It is taken after all: everything is as ever.
    const through = (await world.store.outbox())[0]?.last ?? 0;
    world.upstream.say(`dl/1/${site}/${lockId}/receipt`, { v: 1, device: lockId, through, missing: [] });
    await world.clock.advance(0);
    expect(await ask(world)).toMatchObject({ outcome: "in-sync" });
  });
});
