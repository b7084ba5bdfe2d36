import { describe, expect, it } from "vitest";
import { PowerLost } from "../../../emulator/device/flash.ts";
import { LockVisit } from "../../../emulator/device/lock-visit.ts";
import { entryTag } from "../../../protocol/access/lookup.ts";
import { encodePolicy, policyRoot } from "../../../protocol/access/policy.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import type { Site } from "../../../protocol/site/site.ts";
import { auditChainHead, signRelease, verifyReport } from "../../../protocol/sync/authority.ts";
import { auditChainStart } from "../../../protocol/wire/audit-entry.ts";
import { PAGE_BYTES } from "../../../protocol/wire/signed-objects.ts";
import { LockBench, START } from "./lock-bench.ts";

const hugoCard = "04a1b2c3d4e508";
const hugoCode = "2718281";

function syncedBench(options: ConstructorParameters<typeof LockBench>[0] = {}): LockBench {
  const bench = new LockBench(options);
  bench.pair();
  const { ended } = bench.visit({ policy: bench.policy(1) });
  expect(ended).toBe("finished");
  return bench;
}

/** The site with so many further keycards at the Lobby that its policy needs several pages. */
function withManyCards(site: Site, count: number): Site {
  const cards = Array.from({ length: count }, (_, index) => ({
    id: `extra-card-${index}`,
    kind: "keycard" as const,
    person: "ana-reyes",
    state: "active" as const,
    token: `0b${index.toString(16).padStart(12, "0")}`,
  }));
  return { ...site, credentials: [...site.credentials, ...cards] };
}

function revoked(site: Site, person: string, at: number): Site {
  return {
    ...site,
    people: site.people.map((each) => (each.id === person ? { ...each, revokedAt: unixSeconds(at) } : each)),
  };
}

describe("a lock and its courier, whole syncs over a link in memory", () => {
  it("row 61: one visit sets the clock, brings the policy, takes log, battery, firmware and a report that only the lock could make", () => {
    const bench = new LockBench();
    bench.pair(41_000);
    bench.type("1234567");
    const { events, entries, rawEntries } = bench.visit({ policy: bench.policy(1) });
    const kinds = events.map(({ kind }) => kind);
    expect(kinds).toEqual([
      "hello",
      "time-wanted",
      "time-handled",
      "page-sent",
      "committed",
      "entries",
      "report",
      "finished",
    ]);
    const hello = events.find((event) => event.kind === "hello");
    expect(hello).toMatchObject({
      hello: { model: "C2", firmware: "2.3.1", batteryPercent: 80, version: 0, clock: "set" },
    });
    const time = events.find((event) => event.kind === "time-handled");
    if (time?.kind !== "time-handled" || time.oldUnixMs === undefined) throw new Error("no time was handled");
    expect(time.written).toBe(true);
    expect(time.oldUnixMs - time.newUnixMs).toBeGreaterThan(40_000);
    expect(Math.abs((bench.firmware.clock(bench.clock.monotonicMs()).unixMs ?? 0) - bench.clock.nowMs())).toBeLessThan(
      50,
    );
    expect(entries.map(({ kind }) => kind)).toEqual(["boot", "access-denied", "clock-set", "policy-committed"]);
    expect(bench.firmware.policy).toMatchObject({ epoch: 1, version: 1, stale: false });
    const report = events.find((event) => event.kind === "report");
    const keys = bench.pairingKeys();
    if (report?.kind !== "report") throw new Error("no report");
    const verified = verifyReport(keys.report, report.report, report.mac);
    expect(verified).toMatchObject({
      ok: true,
      value: { version: 1, logNext: 5, keysetEpoch: 1, clockSource: "authority" },
    });
    const start = auditChainStart(keys.chain, bench.pairingId);
    if (verified.ok) expect(verified.value.chainHead).toEqual(auditChainHead(keys.chain, start, rawEntries));
  });

  it("row 60: a resident whose new card the lock does not hold is let in after a door sync, and not before", () => {
    const bench = syncedBench();
    const { credentials } = bench.site;
    bench.site = {
      ...bench.site,
      credentials: credentials.map((each) => (each.id === "ana-card" ? { ...each, token: "0a0b0c0d0e0f01" } : each)),
    };
    expect(bench.card("0a0b0c0d0e0f01")).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    bench.visit({ policy: bench.policy(2) });
    expect(bench.card("0a0b0c0d0e0f01")).toMatchObject({ granted: true, indicator: "spin" });
  });

  it("row 59: a lock without internet decides by what it holds: the revoked person gets in until the sync, then is denied with a reason", () => {
    const bench = syncedBench();
    bench.site = revoked(bench.site, "hugo-silva", START);
    const policy = bench.policy(2);
    expect(bench.card(hugoCard).granted).toBe(true);
    expect(bench.type(hugoCode).granted).toBe(true);
    bench.visit({ policy });
    expect(bench.card(hugoCard)).toMatchObject({ granted: false, indicator: "blink", reason: "CREDENTIAL_REVOKED" });
    expect(bench.type(hugoCode)).toMatchObject({ granted: false, reason: "CREDENTIAL_REVOKED" });
  });

  it("takes no older policy back and frees only what the authority's chain head fits", () => {
    const bench = syncedBench();
    bench.visit({ policy: bench.policy(2) });
    const back = bench.visit({ policy: { ...bench.policy(1), version: 3 } });
    expect(back.events).toContainEqual({ kind: "refused", step: "policy", refusal: "rollback" });
    expect(bench.firmware.policy.version).toBe(2);
    const right = bench.visit({ release: bench.release(2) });
    expect(right.events).toContainEqual(expect.objectContaining({ kind: "released", through: 2 }));
    expect(bench.firmware.log?.first).toBe(3);
    bench.card(hugoCard);
    const forged = { ...bench.release(4), bytes: bench.release(3).bytes };
    expect(bench.visit({ release: forged }).events).toContainEqual({
      kind: "refused",
      step: "release",
      refusal: "bad-signature",
    });
    const release = signRelease(bench.keys, { pairingId: bench.pairingId, through: 4, chainHead: new Uint8Array(32) });
    expect(bench.visit({ release }).events).toContainEqual({
      kind: "refused",
      step: "release",
      refusal: "chain-mismatch",
    });
    expect(bench.firmware.log?.first).toBe(3);
  });

  it("goes on without the authority's time, and keeps what it had", () => {
    const bench = new LockBench();
    bench.pair(41_000);
    const { events } = bench.visit({ policy: bench.policy(1) }, { bringTime: false });
    expect(events.map(({ kind }) => kind)).not.toContain("time-handled");
    expect(bench.firmware.policy.version).toBe(1);
    const error = (bench.firmware.clock(bench.clock.monotonicMs()).unixMs ?? 0) - bench.clock.nowMs();
    expect(error).toBe(41_000);
  });

  it("[L8] row 129: a link that breaks ends the visit; the next one goes on with the pages that were staged", () => {
    const bench = new LockBench();
    bench.pair();
    bench.site = withManyCards(bench.site, 900);
    const policy = bench.policy(1);
    expect(policy.bundles[0]?.bytes.length).toBeGreaterThan(4 * PAGE_BYTES);
    const cut = bench.visit({ policy }, { framesMax: 45 });
    expect(cut.ended).toBeUndefined();
    expect(bench.firmware.policy.version).toBe(0);
    const staged = bench.firmware.facts(bench.clock.monotonicMs()).staged?.bytes.length ?? 0;
    expect(staged).toBeGreaterThanOrEqual(PAGE_BYTES);
    bench.reboot();
    const whole = bench.visit({ policy });
    expect(whole.ended).toBe("finished");
    const sent = whole.events.filter((event) => event.kind === "page-sent");
    expect(sent[0]).toMatchObject({ sentBytes: staged + PAGE_BYTES });
    expect(bench.firmware.policy.version).toBe(1);
    expect(bench.card("0b000000000007").granted).toBe(true);
  });

  it("[L8] a peer that says nothing is dropped after ten seconds", () => {
    const bench = new LockBench();
    bench.pair();
    const visit = new LockVisit(
      bench.firmware,
      bench.pairingId,
      (length) => new Uint8Array(length).fill(1),
      bench.clock.monotonicMs(),
    );
    bench.clock.advance(9_999);
    visit.wake(bench.clock.monotonicMs());
    expect(visit.ended).toBeUndefined();
    bench.clock.advance(1);
    visit.wake(bench.clock.monotonicMs());
    expect(visit.ended).toBe("no-progress");
  });
});

describe("what a courier carries to a lock", () => {
  it("[Y16] is the delta from what the lock holds, and it decides by it, also after its power was gone", () => {
    const bench = new LockBench();
    bench.site = withManyCards(bench.site, 400);
    bench.pair();
    bench.visit({ policy: bench.policy(1) });
    bench.site = revoked(bench.site, "hugo-silva", START);
    const policy = bench.policy(2, [1]);
    const [delta, snapshot] = policy.bundles.map(({ bytes }) => bytes.length);
    expect(delta).toBeLessThan((snapshot ?? 0) / 20);
    const { events } = bench.visit({ policy });
    expect(events).toContainEqual({ kind: "page-sent", sentBytes: delta, totalBytes: delta });
    expect(events.map(({ kind }) => kind)).not.toContain("refused");
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 2, root: rootOf(bench, 2), stale: false });
    expect(bench.card(hugoCard)).toMatchObject({ granted: false, reason: "CREDENTIAL_REVOKED" });
    expect(bench.card("0b000000000007").granted).toBe(true);
  });

  it("[Y16] a lock whose newest bank rotted holds an older version: it gets the snapshot, and no delta is forced on it", () => {
    const bench = syncedBench();
    bench.visit({ policy: bench.policy(2) });
    rotActiveBank(bench);
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 1, stale: true });
    bench.visit({ policy: bench.policy(3, [2]) });
    expect(bench.firmware.policy).toMatchObject({ version: 3, root: rootOf(bench, 3), stale: false });
  });

  it("[Y15] [Z3] a new keyset, and in the same visit the first policy signed under it, then the old epoch's courier is nobody", () => {
    const bench = syncedBench();
    const former = bench.keys;
    const oldPolicy = bench.policy(9);
    bench.rotateKeys();
    // The courier has its certificate of before, as a gateway has that was away when the keys changed.
    const load = { keyset: bench.keyset(), policy: bench.policy(2) };
    const { events } = bench.visit(load, { certifiedBy: former });
    expect(events).not.toContainEqual(expect.objectContaining({ kind: "refused" }));
    expect(events).toContainEqual({ kind: "committed", epoch: 2, version: 2 });
    expect(bench.firmware.policy).toMatchObject({ epoch: 2, version: 2, root: rootOf(bench, 2) });
    bench.reboot();
    expect(bench.firmware.pairing?.keyset.keyset.epoch).toBe(2);
    const refused = { kind: "refused", step: "greet", refusal: "bad-signature" };
    expect(bench.visit({}, { certifiedBy: former }).events).toContainEqual(refused);
    expect(bench.visit({ policy: oldPolicy }).events.map(({ kind }) => kind)).not.toContain("committed");
    expect(bench.card(hugoCard).granted).toBe(true);
  });

  it("[Y15] a courier that was certified anew meets a lock of the old epoch: keyset first, then the greeting", () => {
    const bench = syncedBench();
    bench.rotateKeys();
    const { events } = bench.visit({ keyset: bench.keyset(), policy: bench.policy(1) });
    expect(events.map(({ kind }) => kind)).toEqual([
      "hello",
      "time-wanted",
      "time-handled",
      "page-sent",
      "committed",
      "entries",
      "report",
      "finished",
    ]);
    expect(bench.firmware.policy).toMatchObject({ epoch: 2, version: 1 });
  });

  it("[Z3] without the keyset nothing of a new epoch is taken, and the lock decides as before", () => {
    const bench = syncedBench();
    const former = bench.keys;
    bench.rotateKeys();
    const unknown = { kind: "refused", step: "policy", refusal: "bad-signature" };
    expect(bench.visit({ policy: bench.policy(2) }, { certifiedBy: former }).events).toContainEqual(unknown);
    expect(bench.firmware.policy).toMatchObject({ epoch: 1, version: 1 });
    expect(bench.card(hugoCard).granted).toBe(true);
  });

  it("[Z2] power that goes at any write of a keyset leaves the old one or the new one, and a later visit goes through", () => {
    const epochs = new Set<number | undefined>();
    for (let nth = 1; ; nth++) {
      const bench = syncedBench();
      const former = bench.keys;
      bench.rotateKeys();
      const load = { keyset: bench.keyset(), policy: bench.policy(1) };
      bench.flash.cutPowerAtWrite(nth);
      let cut = false;
      try {
        bench.visit(load, { certifiedBy: former });
      } catch (error) {
        if (!(error instanceof PowerLost)) throw error;
        cut = true;
      }
      bench.reboot();
      epochs.add(bench.firmware.pairing?.keyset.keyset.epoch);
      expect(bench.visit(load).ended).toBe("finished");
      expect(bench.firmware.policy).toMatchObject({ epoch: 2, version: 1 });
      expect(bench.card(hugoCard).granted).toBe(true);
      if (!cut) break;
    }
    expect([...epochs].sort()).toEqual([1, 2]);
  });

  it("[X8] [X10] says nothing: neither bundle nor log has a name, a credential or a reason that could be read", () => {
    const bench = syncedBench();
    bench.card(hugoCard);
    bench.card("0b0b0b0b0b0b0b");
    const policy = bench.policy(2, [1]);
    const { batches, entries } = bench.visit({ policy });
    expect(entries.map(({ credential }) => credential)).toContain("hugo-card");
    const carried = [...batches, ...policy.bundles.map(({ bytes }) => bytes)].map((bytes) => latin1(bytes));
    expect(carried.length).toBeGreaterThanOrEqual(3);
    for (const name of ["hugo-card", "hugo", "keycard", "maple", "CREDENTIAL", "lobby"]) {
      for (const each of carried) expect(each).not.toContain(name);
    }
    // What it is compared with does hold them.
    const open = latin1(encodePolicy(bench.policyOf(2)));
    for (const name of ["hugo-card", "maple", "lobby"]) expect(open).toContain(name);
  });
});

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function rootOf(bench: LockBench, version: number): Uint8Array {
  return policyRoot(encodePolicy(bench.policyOf(version)));
}

function rotActiveBank(bench: LockBench): void {
  const word = bench.flash.read("active-bank");
  const [page] = bench.flash.pagesOf(word !== "rotten" && word?.[0] === 1 ? "bank-a" : "bank-b");
  bench.flash.rot(page ?? -1, 1_600);
}

describe("codes at a lock that nobody visited since they were made", () => {
  it("[L2] the right daily code opens, without a sync in between", () => {
    const bench = syncedBench();
    expect(bench.type(bench.codeOfToday(3))).toMatchObject({ granted: true, indicator: "spin" });
    expect(bench.firmware.bolt).toBe("unlocked");
  });

  it("the bolt opens with the grant and locks by itself after the model's time", () => {
    const bench = syncedBench();
    expect(bench.card(hugoCard).granted).toBe(true);
    expect(bench.firmware.bolt).toBe("unlocked");
    expect(bench.firmware.nextWakeMs()).toBe(bench.clock.monotonicMs() + 10_000);
    bench.clock.advance(10_000);
    bench.firmware.wake(bench.clock.monotonicMs());
    expect(bench.firmware.bolt).toBe("locked");
  });

  it("row 36: a daily code opens on its day by the site's own date, and not from midnight on", () => {
    const bench = syncedBench();
    const code = bench.codeOfToday(0);
    const other = bench.codeOfToday(1);
    // 23:59:30 in New York, which is the next day in UTC.
    bench.clock.advance(14 * 3_600_000 - 30_000 - (bench.clock.nowMs() - START * 1000));
    expect(bench.type(code).granted).toBe(true);
    bench.clock.advance(60_000);
    expect(bench.type(other)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
  });

  it("row 37: a code that is right at another door is unknown here, and its tag tells the authority alone which it was", () => {
    const bench = syncedBench();
    const otherDoor = bench.codeOfToday(0, new Uint8Array(32).fill(77));
    expect(bench.type(otherDoor)).toMatchObject({ granted: false, indicator: "blink", reason: "CREDENTIAL_UNKNOWN" });
    const { entries } = bench.visit({});
    const denied = entries.find(({ kind }) => kind === "access-denied");
    const expected = entryTag(bench.pairingKeys().entryTag, otherDoor).toString(16).padStart(8, "0");
    expect(denied).toMatchObject({ reason: "CREDENTIAL_UNKNOWN", entryTag: expected });
  });

  it("a single-use code opens once: not again, not after a reboot, and not after a sync", () => {
    const bench = syncedBench();
    const code = bench.codeOfToday(2);
    expect(bench.type(code).granted).toBe(true);
    expect(bench.type(code).granted).toBe(false);
    bench.reboot();
    bench.visit({ policy: bench.policy(2) });
    expect(bench.type(code).granted).toBe(false);
    expect(bench.type(bench.codeOfToday(4)).granted).toBe(true);
  });

  it("[E4] no code stands in flash or log: not the right ones, not the wrong ones, not the permanent ones", () => {
    const bench = syncedBench();
    const typed = [bench.codeOfToday(5), "7654321", hugoCode, "12345"];
    for (const code of typed) {
      bench.type(code);
      bench.clock.advance(20_000);
    }
    const { entries } = bench.visit({});
    const written = `${bench.everythingWritten()}\n${JSON.stringify(entries)}`;
    expect(written.length).toBeGreaterThan(1_000);
    for (const code of [...typed, bench.codeOfToday(6)]) expect(written).not.toContain(code);
  });

  it("[K1] digits that come too slowly are a timeout in the log, and no try at a code", () => {
    const bench = syncedBench();
    expect(bench.type("123")).toMatchObject({ granted: false, indicator: "timeout", reason: "ENTRY_TIMEOUT" });
    const { entries } = bench.visit({});
    expect(entries.at(-1)).toMatchObject({ kind: "access-denied", reason: "ENTRY_TIMEOUT" });
    expect(entries.at(-1)).not.toHaveProperty("entryTag");
  });

  it("[L4] wrong tries run out and are not given back by pulling the battery; powered time gives them back; cards go on", () => {
    const bench = syncedBench();
    const reasons: (string | undefined)[] = [];
    for (let count = 0; count < 14; count++) {
      reasons.push(bench.type(String(1_000_000 + count)).reason);
      bench.clock.advance(310_000);
    }
    expect(reasons.slice(0, 10)).toEqual(Array(10).fill("CREDENTIAL_UNKNOWN"));
    expect(reasons.slice(10)).toContain("LOCKED_OUT");
    bench.reboot();
    bench.visit({});
    expect(bench.type(bench.codeOfToday(0)).reason).toBe("LOCKED_OUT");
    expect(bench.card(hugoCard).granted).toBe(true);
    bench.clock.advance(2 * 4_320_000);
    expect(bench.type(bench.codeOfToday(0)).granted).toBe(true);
  });
});

describe("a lock that loses power", () => {
  it("[L1] at any write of a grant: the code never opens twice, and what opened is in the log", () => {
    let cuts = 0;
    for (let nth = 1; ; nth++) {
      const bench = syncedBench();
      const code = bench.codeOfToday(1);
      bench.flash.cutPowerAtWrite(nth);
      let granted = false;
      let cut = false;
      try {
        granted = bench.type(code).granted;
      } catch (error) {
        if (!(error instanceof PowerLost)) throw error;
        cut = true;
      }
      const opened = granted || bench.firmware.bolt === "unlocked";
      if (cut) cuts += 1;
      bench.reboot();
      // The clock is the world's again, so that only the mark can stand in the way.
      bench.visit({});
      const logged = bench.visit({}).entries.filter(({ kind }) => kind === "access-granted").length;
      const again = bench.type(code).granted;
      if (opened) expect({ nth, logged, again }).toEqual({ nth, logged: 1, again: false });
      else expect(logged + Number(again)).toBeLessThanOrEqual(1);
      if (!cut) break;
    }
    // The try, the mark, the log entry; the refund after the bolt has moved.
    expect(cuts).toBeGreaterThanOrEqual(3);
  });

  it.each([
    { how: "that rides in one message", cards: 0, cutsMin: 3 },
    { how: "that comes page by page", cards: 250, cutsMin: 5 },
  ])("[L3] at any write of a policy $how: it decides by the old one or by the new one, never by none", (given) => {
    let cuts = 0;
    const versions = new Set<number>();
    for (let nth = 1; ; nth++) {
      const bench = new LockBench();
      bench.site = withManyCards(bench.site, given.cards);
      bench.pair();
      expect(bench.visit({ policy: bench.policy(1) }).ended).toBe("finished");
      bench.site = revoked(bench.site, "hugo-silva", START);
      const policy = bench.policy(2);
      const isPaged = (policy.bundles[0]?.bytes.length ?? 0) > PAGE_BYTES;
      expect(isPaged).toBe(given.cards > 0);
      bench.flash.cutPowerAtWrite(nth);
      let cut = false;
      try {
        bench.visit({ policy });
      } catch (error) {
        if (!(error instanceof PowerLost)) throw error;
        cut = true;
        cuts += 1;
      }
      bench.reboot();
      const { version, stale } = bench.firmware.policy;
      versions.add(version);
      expect(stale).toBe(false);
      expect(bench.card(hugoCard).granted).toBe(version === 1);
      if (!cut) break;
    }
    expect([...versions].sort()).toEqual([1, 2]);
    expect(cuts).toBeGreaterThanOrEqual(given.cutsMin);
  });

  it("[L3] a rotten active bank: the older policy serves and says that it is stale", () => {
    const bench = syncedBench();
    bench.visit({ policy: bench.policy(2) });
    rotActiveBank(bench);
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 1, stale: true });
    expect(bench.card(hugoCard).granted).toBe(true);
  });

  it("[Y8] the floor is the highest time that the authority signed: neither the running clock nor one set back moves it", () => {
    const bench = new LockBench({ driftPpm: 100 });
    const floor = () => bench.firmware.facts(bench.clock.monotonicMs()).clock.state.floor;
    bench.pair(7 * 86_400_000);
    // What the bench set and the crystal counts is no signed time.
    bench.clock.advance(3_600_000);
    bench.firmware.wake(bench.clock.monotonicMs());
    expect(floor()).toBe(0);
    bench.visit({ policy: bench.policy(1) });
    const first = floor();
    expect(Math.abs(first - bench.now())).toBeLessThanOrEqual(2);

    bench.clock.advance(86_400_000);
    bench.firmware.wake(bench.clock.monotonicMs());
    expect(floor()).toBe(first);
    bench.reboot();
    expect(bench.firmware.clock(bench.clock.monotonicMs())).toMatchObject({ quality: "lower-bound" });
    expect(floor()).toBe(first);

    bench.visit({}, { timeErrorMs: -7 * 86_400_000 });
    expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("set");
    expect(floor()).toBe(first);
    bench.reboot();
    expect(floor()).toBe(first);

    bench.visit({});
    const second = floor();
    expect(second).toBeGreaterThan(first);
    // Also a time that was right already, so that the clock is not written, was signed.
    bench.clock.advance(60_000);
    const { events } = bench.visit({});
    expect(events.find(({ kind }) => kind === "time-handled")).toMatchObject({ written: false });
    expect(floor()).toBeGreaterThanOrEqual(second + 60);
    bench.reboot();
    expect(floor()).toBeGreaterThanOrEqual(second + 60);
  });

  it("[Y8] a lock that lost its clock refuses an ended certificate by what was signed, not by how far its clock ran", () => {
    const bench = syncedBench();
    const certificateEnd = START + 30 * 86_400;
    bench.clock.advance(31 * 86_400_000);
    bench.firmware.wake(bench.clock.monotonicMs());
    bench.reboot();
    expect(bench.firmware.clock(bench.clock.monotonicMs()).unixMs).toBeGreaterThan(certificateEnd * 1000);
    expect(bench.visit({}).events.map(({ kind }) => kind)).toContain("time-handled");
    bench.reboot();
    expect(bench.visit({}).events).toContainEqual({ kind: "refused", step: "greet", refusal: "expired" });
  });

  it("[C4] marks of single-use codes go when a signed time has passed their day, and by no other clock", () => {
    const bench = syncedBench();
    const marks = () => bench.everythingWritten().match(/1\/20777\/1\/0/g)?.length ?? 0;
    const code = bench.codeOfToday(0);
    expect(bench.type(code).granted).toBe(true);
    expect(marks()).toBe(1);
    // 23:59:50 in New York: the day is not over, though it is in UTC.
    bench.clock.advance(14 * 3_600_000 - 10_000 - (bench.clock.nowMs() - START * 1000));
    bench.visit({});
    expect(marks()).toBe(1);
    // A day later by the lock's own clock alone; set right by nobody.
    bench.clock.advance(86_400_000);
    bench.firmware.wake(bench.clock.monotonicMs());
    bench.visit({}, { bringTime: false });
    expect(marks()).toBe(1);
    bench.visit({});
    expect(marks()).toBe(0);
  });

  it("[L5] the clock is a lower bound after power came back: daily codes wait for a sync, cards do not", () => {
    const bench = syncedBench();
    bench.reboot();
    expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("lower-bound");
    expect(bench.type(bench.codeOfToday(0))).toMatchObject({ granted: false, reason: "DEVICE_CLOCK_WRONG" });
    expect(bench.card(hugoCard).granted).toBe(true);
    bench.visit({});
    expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("set");
    expect(bench.type(bench.codeOfToday(0)).granted).toBe(true);
  });
});

describe("a lock before it knows anybody", () => {
  it("[L7] paired and never synced: it denies everything as unknown, and its log says so", () => {
    const bench = new LockBench();
    bench.pair();
    expect(bench.card(hugoCard)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    expect(bench.type("1234567")).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    const advertised = bench.firmware.advertisement(bench.clock.monotonicMs());
    expect(Array.from(advertised)).toEqual([1, 0b0001, 0, 0, 0, 3]);
  });

  it("[L7] never paired: it denies everything and logs nothing", () => {
    const bench = new LockBench();
    expect(bench.card(hugoCard).granted).toBe(false);
    expect(bench.type("1234567").granted).toBe(false);
    expect(bench.firmware.log).toBeUndefined();
  });
});
