/** What a lock makes of rot in its flash: it goes on, gives nobody anything by it, and its log has what was lost. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AuditLog, PAGE_ENTRIES, PAGES } from "../../../emulator/device/audit-log.ts";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { ERASE_CYCLES_LIMIT, MemoryFlash, PowerLost } from "../../../emulator/device/flash.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import { LockHost } from "../../../emulator/device/lock-host.ts";
import { NetworkedDevice } from "../../../emulator/device/networked-device.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { lockPart } from "../../../emulator/world/snapshot.ts";
import { monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { dailyCode } from "../../../protocol/doorcode/daily-code.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { siteDay } from "../../../protocol/site/zone.ts";
import { auditChainHead } from "../../../protocol/sync/authority.ts";
import { auditChainStart, auditEntry, type FaultCode, faultNumberByCode } from "../../../protocol/wire/audit-entry.ts";
import { LockBench, mapleCourt, START } from "./lock-bench.ts";

const hugoCard = "04a1b2c3d4e508";
const hugoCode = "2718281";
const dayMs = 86_400_000;

/** A lock that has been in service: two policies, a log, a code used, a wrong one typed. */
function usedBench(): LockBench {
  const bench = new LockBench();
  bench.site = withLimit(bench, 2);
  bench.pair();
  bench.visit({ policy: bench.policy(1) });
  bench.visit({ policy: bench.policy(2), release: bench.release((bench.firmware.log?.next ?? 1) - 1) });
  expect(bench.card(hugoCard).granted).toBe(true);
  expect(bench.type(bench.codeOfToday(0)).granted).toBe(true);
  bench.type("1234567");
  bench.clock.advance(700_000);
  bench.firmware.wake(bench.clock.monotonicMs());
  return bench;
}

/** Hugo's card opens so many times in all. */
function withLimit({ site }: LockBench, usesAllowed: number): LockBench["site"] {
  const credentials = site.credentials.map((each) => (each.id === "hugo-card" ? { ...each, usesAllowed } : each));
  return { ...site, credentials };
}

/** Flips a bit in the data of a region, in each of its copies or, with `copies` 1, in the first alone. */
function rot(flash: MemoryFlash, region: string, copies: 1 | 2 = 2): void {
  const pages = flash.pagesOf(region);
  expect(pages.length, region).toBeGreaterThan(0);
  for (const page of copies === 1 ? pages.slice(0, 1) : pages) flash.rot(page, 64 * 8 + 3);
}

/** Flips a bit in both headers of a region's page: nobody can tell any more whose it was. */
function rotHeaders(flash: MemoryFlash, region: string): void {
  const [page = -1] = flash.pagesOf(region);
  flash.rot(page, 70);
  flash.rot(page, 4_032 * 8 + 70);
}

function isCut(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (!(error instanceof PowerLost)) throw error;
    return true;
  }
}

function entriesOf(bench: LockBench) {
  const { log } = bench.firmware;
  if (log === undefined) return [];
  const entries = [];
  for (let from = log.oldest; from < log.next; ) {
    const run = log.read(from, 10_000);
    if (run.length === 0) break;
    for (const bytes of run) {
      const read = auditEntry.decode(bytes);
      if (read.ok) entries.push(read.value);
    }
    from = (entries.at(-1)?.sequence ?? from) + 1;
  }
  return entries;
}

/** Codes of the faults in the log's last boot, with their counts. */
function faultsOf(bench: LockBench): readonly (readonly [FaultCode | undefined, number | undefined])[] {
  const { bootCount } = bench.firmware;
  const codes = Object.entries(faultNumberByCode);
  return entriesOf(bench)
    .filter(({ kind, boot }) => kind === "fault" && boot === bootCount)
    .map(({ before, after }) => [codes.find(([, number]) => number === before)?.[0] as FaultCode | undefined, after]);
}

/** The clock is the world's again, so that only what rotted can stand in the way. */
function visited(bench: LockBench): LockBench {
  expect(bench.visit({}).ended).toBe("finished");
  return bench;
}

function wholeChain(bench: LockBench): boolean {
  const { log } = bench.firmware;
  if (log === undefined) return false;
  const head = auditChainHead(bench.pairingKeys().chain, log.headBefore, log.read(log.first, 10_000));
  return Buffer.compare(head, log.head) === 0;
}

describe("a bit that flips anywhere in a lock's flash", () => {
  const image = usedBench().flash.image();

  it("[L11] stops no lock: it boots, judges, says what rotted, and its next visit goes through", () => {
    const random = seededRandom(7, "rot");
    const seen = new Set<string>();
    for (let round = 0; round < 150; round++) {
      const flash = new MemoryFlash(image);
      const regions = flash.regions();
      const region = regions[round % regions.length] ?? "";
      const flips = 1 + random.integer(3);
      for (let flip = 0; flip < flips; flip++) {
        const pages = flash.pagesOf(region);
        flash.rot(pages[random.integer(pages.length)] ?? -1, random.integer(8 * 400));
      }
      const bench = new LockBench({ image: flash });
      bench.site = withLimit(bench, 2);
      const place = `round ${round}, ${region}`;
      bench.clock.advance(700_000);
      bench.card(hugoCard);
      bench.type(hugoCode);
      bench.type(bench.codeOfToday(0));
      if (bench.firmware.paired) {
        expect(bench.visit({ policy: bench.policy(3) }).ended, place).toBe("finished");
        expect(bench.firmware.policy, place).toMatchObject({ version: 3, stale: false });
        expect(wholeChain(bench), place).toBe(true);
        // Used once before the rot, and never a second time after it.
        expect(bench.type(bench.codeOfToday(0)).granted, place).toBe(false);
        for (const [code] of faultsOf(bench)) seen.add(code ?? "unknown");
      } else {
        seen.add(bench.firmware.lostPairing ?? "unknown");
      }
      bench.reboot();
    }
    expect([...seen]).toEqual(
      expect.arrayContaining(["policy-rotten", "log-rotten", "throttle-rotten", "copy-rotten"]),
    );
    expect([...seen]).not.toContain("unknown");
  });

  it("[L11] in one of two copies is told, and costs nothing", () => {
    for (const region of ["pairing", "clock", "boot"]) {
      const bench = usedBench();
      rot(bench.flash, region, 1);
      bench.reboot();
      expect(faultsOf(bench), region).toEqual([["copy-rotten", 1]]);
      expect(bench.firmware.bootCount).toBe(2);
      expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("lower-bound");
      expect(visited(bench).card(hugoCard).granted).toBe(true);
      bench.reboot();
      expect(faultsOf(bench), region).toEqual([]);
    }
  });

  it("[L11] [E5] a fault is in the log, and comes back with a visit, before the lock makes anything of it", () => {
    for (let nth = 1; nth < 60; nth++) {
      const bench = usedBench();
      rot(bench.flash, "throttle");
      rot(bench.flash, "used-slots");
      const image = bench.flash.image();
      bench.flash = new MemoryFlash(image);
      bench.flash.cutPowerAtWrite(nth, (nth * 0.37) % 1);
      if (!isCut(() => new LockBench({ image: bench.flash }))) break;
      const after = new LockBench({ image: new MemoryFlash(bench.flash.image()) });
      const told = entriesOf(after)
        .filter(({ kind }) => kind === "fault")
        .map(({ before }) => before);
      expect(told, `operation ${nth}`).toContain(faultNumberByCode["throttle-rotten"]);
      expect(told, `operation ${nth}`).toContain(faultNumberByCode["used-codes-rotten"]);
      expect(visited(after).type(after.codeOfToday(0)).granted).toBe(false);
    }
  });
});

describe("rot in a lock's policy", () => {
  it("[L3] of the bank that decides: the older one serves, flagged stale at every boot until the next commit", () => {
    const bench = usedBench();
    rot(bench.flash, bench.flash.read("active-bank")?.[0] === 1 ? "bank-a" : "bank-b");
    for (let boot = 0; boot < 2; boot++) {
      bench.reboot();
      expect(bench.firmware.policy).toMatchObject({ version: 1, stale: true });
      expect(faultsOf(bench)).toEqual([["policy-rotten", 1]]);
    }
    // Power that goes at any operation of that commit leaves the older one or the new one.
    const image = bench.flash.image();
    const versions = new Set<number>();
    for (let nth = 1; ; nth++) {
      const flash = new MemoryFlash(image);
      flash.cutPowerAtWrite(nth, (nth * 0.37) % 1);
      const cut = isCut(() => new LockBench({ image: flash }).visit({ policy: bench.policy(3) }));
      const { version, stale } = new LockBench({ image: new MemoryFlash(flash.image()) }).firmware.policy;
      expect([version, stale], `operation ${nth}`).toBeOneOf([
        [1, true],
        [3, false],
      ]);
      versions.add(version);
      if (!cut) break;
    }
    expect([...versions]).toEqual([1, 3]);
    bench.visit({ policy: bench.policy(3) });
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 3, stale: false });
    expect(faultsOf(bench)).toEqual([]);
    rot(bench.flash, bench.flash.read("active-bank")?.[0] === 1 ? "bank-a" : "bank-b");
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 1, stale: true });
  });

  it("[L3] of both banks: the lock has no policy, denies, and takes the next one", () => {
    const bench = usedBench();
    for (const bank of ["bank-a", "bank-b"]) rot(bench.flash, bank);
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["policy-rotten", 2]]);
    expect(bench.card(hugoCard)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    bench.visit({ policy: bench.policy(3) });
    expect(bench.card(hugoCard).granted).toBe(true);
  });

  it("[L3] of the bank in reserve, and of the word that names the other: the newest policy decides as before", () => {
    const bench = usedBench();
    rot(bench.flash, "bank-a");
    rot(bench.flash, "active-bank");
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 2 });
    expect(faultsOf(bench)).toEqual([["policy-rotten", 2]]);
    bench.reboot();
    expect(faultsOf(bench)).toEqual([]);
    expect(bench.firmware.policy).toMatchObject({ version: 2, stale: false });
    expect(bench.visit({ policy: bench.policy(3) }).ended).toBe("finished");
    expect(bench.firmware.policy).toMatchObject({ version: 3, stale: false });
  });
});

describe("rot in a lock's log", () => {
  const chain = { pairingId: new Uint8Array(16).fill(7), key: new Uint8Array(32).fill(8), firstSequence: 1 };
  const start = auditChainStart(chain.key, chain.pairingId);
  const denied = { kind: "access-denied", clock: "set", reason: "CREDENTIAL_UNKNOWN" } as const;

  function rottenLog(entries: number, pages: readonly number[], released = 0, firstSequence = 1) {
    const flash = new MemoryFlash();
    const log = new AuditLog(flash, { ...chain, firstSequence }, 1);
    for (let count = 0; count < entries; count++) log.append(denied);
    if (released > 0) log.release(released);
    for (const page of pages) rot(flash, `audit-page-${page}`);
    return { flash, before: log, log: new AuditLog(flash, { ...chain, firstSequence }, 2) };
  }

  const gapsOf = (log: AuditLog) =>
    log
      .read(log.first, 10_000)
      .map((bytes) => auditEntry.decode(bytes))
      .flatMap((read) => (read.ok && read.value.kind === "log-gap" ? [[read.value.before, read.value.after]] : []));

  const followsFrom = (log: AuditLog) => auditChainHead(chain.key, log.headBefore, log.read(log.first, 10_000));

  it("[L12] of a page in the middle: its entries are named, what is before can be read, and the chain goes on behind it", () => {
    const { log, before, flash } = rottenLog(3 * PAGE_ENTRIES + 5, [1]);
    expect(log.next).toBe(before.next);
    expect(log.head).toEqual(before.head);
    log.tellLosses({ clock: "unset" });
    expect(log.first).toBe(2 * PAGE_ENTRIES + 1);
    expect(gapsOf(log)).toEqual([[PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES]]);
    expect(followsFrom(log)).toEqual(log.head);
    // Read as a visit does: the run before the hole, and the run behind it.
    expect(log.read(1, 10_000)).toHaveLength(PAGE_ENTRIES);
    expect(log.readableFrom(PAGE_ENTRIES + 1)).toBe(2 * PAGE_ENTRIES + 1);
    const again = new AuditLog(flash, chain, 3);
    again.tellLosses({ clock: "unset" });
    expect([again.next, again.head, again.first]).toEqual([log.next, log.head, log.first]);
  });

  it("[L12] of the last page: no number is given twice, and the chain begins anew", () => {
    for (const entries of [PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES]) {
      const { log, flash } = rottenLog(entries, [1]);
      expect([log.next, log.first, log.head]).toEqual([3 * PAGE_ENTRIES + 1, 3 * PAGE_ENTRIES + 1, start]);
      expect(log.headBefore).toEqual(start);
      log.tellLosses({ clock: "unset" });
      expect(log.append(denied)).toBe(3 * PAGE_ENTRIES + 2);
      expect(gapsOf(log)).toEqual([[PAGE_ENTRIES + 1, 3 * PAGE_ENTRIES]]);
      expect(followsFrom(log)).toEqual(log.head);
      const again = new AuditLog(flash, chain, 3);
      expect([again.next, again.head, again.first]).toEqual([log.next, log.head, log.first]);
    }
  });

  it("[L12] of every page, under a number that is not 1, and of a page that was released", () => {
    const all = rottenLog(40, [0, 1], 0, 65_537).log;
    expect([all.next, all.first, all.oldest]).toEqual([65_537 + 96, 65_537 + 96, 65_537 + 96]);
    all.tellLosses({ clock: "unset" });
    expect(gapsOf(all)).toEqual([
      [65_537, 65_568],
      [65_569, 65_632],
    ]);
    const { log } = rottenLog(70, [0], 40);
    log.tellLosses({ clock: "unset" });
    expect([gapsOf(log), log.first]).toEqual([[], 41]);
    // Released to the end of the page that rotted, which was the last.
    const { log: released } = rottenLog(2 * PAGE_ENTRIES, [1], 2 * PAGE_ENTRIES);
    expect(released.headBefore).toEqual(released.head);
    released.append(denied);
    expect(followsFrom(released)).toEqual(released.head);
  });

  it("[L12] of a page between two others, the last of them full: no more is named than was on it", () => {
    const { log } = rottenLog(3 * PAGE_ENTRIES, [1]);
    log.tellLosses({ clock: "unset" });
    expect(gapsOf(log)).toEqual([[PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES]]);
    expect(followsFrom(log)).toEqual(log.head);
  });

  it("[L12] of both headers of the last page: the numbers that it may have held are left out and named", () => {
    const flash = new MemoryFlash();
    const before = new AuditLog(flash, chain, 1);
    for (let count = 0; count < 2 * PAGE_ENTRIES; count++) before.append(denied);
    rotHeaders(flash, "audit-page-1");
    const log = new AuditLog(new MemoryFlash(flash.image()), chain, 2);
    expect(log.next).toBeGreaterThan(before.next);
    const first = log.next;
    log.append(denied);
    log.tellLosses({ clock: "unset" });
    expect(gapsOf(log)).toEqual([[PAGE_ENTRIES + 1, first - 1]]);
    expect(followsFrom(log)).toEqual(log.head);
  });

  it("[L12] of both headers of a page in the middle, or of the oldest: it is named by the hole that it leaves", () => {
    for (const [page, released, named] of [
      [1, 0, [PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES]],
      [0, 10, [11, PAGE_ENTRIES]],
      [0, PAGE_ENTRIES, undefined],
    ] as const) {
      const { flash } = rottenLog(3 * PAGE_ENTRIES + 5, [], released);
      rotHeaders(flash, `audit-page-${page}`);
      const log = new AuditLog(new MemoryFlash(flash.image()), chain, 2);
      const first = log.next;
      log.append(denied);
      log.tellLosses({ clock: "unset" });
      const skipped = [3 * PAGE_ENTRIES + 6, first - 1];
      expect(gapsOf(log)).toEqual(named === undefined ? [skipped] : [named, skipped]);
      expect(followsFrom(log)).toEqual(log.head);
    }
  });

  it("[L12] in a full ring: the ring goes round the hole", () => {
    const { log } = rottenLog(PAGES * PAGE_ENTRIES, [5, PAGES - 1]);
    log.tellLosses({ clock: "unset" });
    for (let count = 0; count < 3 * PAGES * PAGE_ENTRIES; count++) log.append(denied);
    expect(log.next - log.first).toBeGreaterThan((PAGES - 1) * PAGE_ENTRIES);
    expect(followsFrom(log)).toEqual(log.head);
  });

  it("[L12] a lock tells it, and a courier gets what is left with a report that fits it", () => {
    const bench = new LockBench();
    bench.pair();
    bench.visit({ policy: bench.policy(1) });
    for (let count = 0; count < 80; count++) bench.card(hugoCard);
    rot(bench.flash, "audit-page-1");
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["log-rotten", 1]]);
    const { ended, rawEntries, entries } = bench.visit({});
    expect(ended).toBe("finished");
    expect(entries.filter(({ kind }) => kind === "log-gap").map(({ facts }) => facts)).toEqual([
      { before: 33, after: 64 },
    ]);
    const sequences = entries.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...sequences.slice(0, 32), ...sequences.slice(32).map((_, index) => 65 + index)]);
    expect(rawEntries).toHaveLength(entries.length);
    expect(wholeChain(bench)).toBe(true);
    bench.reboot();
    expect(faultsOf(bench)).toEqual([]);
  });

  it("[L18] of the released mark: nothing counts as released until the authority says so again", () => {
    const bench = usedBench();
    const { log } = bench.firmware;
    expect(log?.first).toBeGreaterThan(1);
    rot(bench.flash, "audit-released");
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["release-rotten", 1]]);
    expect(bench.firmware.log?.first).toBe(1);
    expect(wholeChain(bench)).toBe(true);
    const through = (bench.firmware.log?.next ?? 1) - 1;
    bench.visit({ release: bench.release(through) });
    expect(bench.firmware.log?.first).toBe(through + 1);
  });
});

describe("rot in what is used up", () => {
  it.each(["used-slots", "headers"])(
    "[L13] of the codes that were taken (%s): none opens on that day, those of the next day do",
    (where) => {
      const bench = usedBench();
      if (where === "headers") rotHeaders(bench.flash, "used-slots");
      else rot(bench.flash, "used-slots");
      bench.reboot();
      expect(faultsOf(bench)[0]?.[0]).toBe(where === "headers" ? "page-unnamed" : "used-codes-rotten");
      visited(bench);
      for (const slot of [0, 1, 5]) expect(bench.type(bench.codeOfToday(slot)).granted).toBe(false);
      bench.reboot();
      visited(bench);
      expect(bench.type(bench.codeOfToday(1)).granted).toBe(false);
      expect(faultsOf(bench)).toEqual([]);
      bench.clock.advance(dayMs);
      visited(bench);
      const code = bench.codeOfToday(1);
      expect([bench.type(code).granted, bench.type(code).granted]).toEqual([true, false]);
    },
  );

  it("[L13] until the authority's own word on the time no single-use code opens, whatever the clock says", () => {
    const bench = usedBench();
    rot(bench.flash, "used-slots");
    bench.reboot();
    bench.firmware.wake(bench.clock.monotonicMs());
    bench.visit({}, { bringTime: false });
    bench.clock.advance(dayMs);
    expect(bench.type(bench.codeOfToday(1)).granted).toBe(false);
  });

  it.each(["uses-spent", "headers"])(
    "[L14] of the uses that were spent (%s): what the policy limits has none left, and another credential has its own",
    (where) => {
      const bench = usedBench();
      if (where === "headers") rotHeaders(bench.flash, "uses-spent");
      else rot(bench.flash, "uses-spent");
      bench.reboot();
      expect(faultsOf(bench)[0]?.[0]).toBe(where === "headers" ? "page-unnamed" : "uses-rotten");
      expect(bench.card(hugoCard).granted).toBe(false);
      bench.reboot();
      expect(faultsOf(bench)).toEqual([]);
      expect(bench.card(hugoCard).granted).toBe(false);
      const credentials = bench.site.credentials.flatMap((each) =>
        each.id === "hugo-card" ? [each, { ...each, id: "hugo-new", token: "04a1b2c3d4e5ff" }] : [each],
      );
      bench.site = { ...bench.site, credentials };
      bench.visit({ policy: bench.policy(3) });
      expect(bench.card(hugoCard).granted).toBe(false);
      expect([1, 2, 3].map(() => bench.card("04a1b2c3d4e5ff").granted)).toEqual([true, true, false]);
    },
  );

  it("[L14] with a stale policy in place of the one that limits them: spent as soon as that one is back", () => {
    const bench = new LockBench();
    bench.pair();
    bench.visit({ policy: bench.policy(1) });
    bench.site = withLimit(bench, 2);
    bench.visit({ policy: bench.policy(2) });
    expect(bench.card(hugoCard).granted).toBe(true);
    for (const region of ["uses-spent", bench.flash.read("active-bank")?.[0] === 1 ? "bank-a" : "bank-b"]) {
      rot(bench.flash, region);
    }
    bench.reboot();
    expect(bench.firmware.policy).toMatchObject({ version: 1, stale: true });
    bench.visit({ policy: bench.policy(3) });
    expect(bench.card(hugoCard).granted).toBe(false);
  });

  it("[L14] with the policy that limits them rotten too: spent as soon as a policy is there", () => {
    const bench = usedBench();
    for (const region of ["uses-spent", "bank-a", "bank-b"]) rot(bench.flash, region);
    bench.reboot();
    bench.reboot();
    bench.visit({ policy: bench.policy(3) });
    expect(bench.card(hugoCard).granted).toBe(false);
    bench.visit({ policy: bench.policy(4) });
    expect(bench.card(hugoCard).granted).toBe(false);
  });

  it.each(["throttle", "headers"])(
    "[L15] of the keypad's tries (%s): there is none until powered time gives one, and cards go on",
    (where) => {
      const bench = usedBench();
      if (where === "headers") rotHeaders(bench.flash, "throttle");
      else rot(bench.flash, "throttle");
      bench.reboot();
      expect(faultsOf(bench)[0]?.[0]).toBe(where === "headers" ? "page-unnamed" : "throttle-rotten");
      visited(bench);
      expect(bench.type(hugoCode).reason).toBe("LOCKED_OUT");
      if (where === "throttle") expect(bench.card(hugoCard).granted).toBe(true);
      bench.reboot();
      expect(bench.type(hugoCode).reason).toBe("LOCKED_OUT");
      bench.clock.advance(bench.site.guessing.refillSeconds * 1_000);
      visited(bench);
      expect(bench.type(hugoCode).granted).toBe(true);
    },
  );

  it("[L15] of the powered seconds: they go on from what the tries say, and give none back", () => {
    const bench = usedBench();
    const { triesAtOnce, refillSeconds } = bench.site.guessing;
    for (let count = 0; count < triesAtOnce; count++) {
      bench.type(String(2_000_000 + count));
      bench.clock.advance(310_000);
    }
    bench.firmware.wake(bench.clock.monotonicMs());
    while (bench.type("5550000").reason !== "LOCKED_OUT") bench.clock.advance(310_000);
    rot(bench.flash, "powered-time");
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["powered-time-rotten", 1]]);
    expect(bench.type("5550001").reason).toBe("LOCKED_OUT");
    bench.clock.advance(refillSeconds * 1_000);
    expect(bench.type("5550002").reason).not.toBe("LOCKED_OUT");
  });
});

describe("rot in what a lock knows of time and of itself", () => {
  it("[L16] of the clock's marks: it is unset, leases have run out, and dates are judged by the policy's", () => {
    const bench = usedBench();
    rot(bench.flash, "clock");
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["clock-rotten", 1]]);
    expect(bench.firmware.clock(bench.clock.monotonicMs())).toEqual({ quality: "unset" });
    expect(bench.firmware.judgedAt).toBe(bench.policyOf(2).issuedAt);
    const { state } = bench.firmware.facts(bench.clock.monotonicMs()).clock;
    expect(state.poweredUnsetSeconds).toBeGreaterThan(72 * 3_600);
    bench.reboot();
    expect(faultsOf(bench)).toEqual([]);
    expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("unset");
    expect(bench.firmware.judgedAt).toBe(bench.policyOf(2).issuedAt);
    visited(bench);
    expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("set");
  });

  it("[L17] of the pairing: the emulated site's status says that it was lost, and nothing once there is one again", () => {
    const bench = usedBench();
    const status = () => {
      const { firmware, clock } = bench;
      const quiet = { onChange: () => undefined, onTimeout: () => undefined, onVisit: () => undefined };
      const random = (length: number) => new Uint8Array(length);
      const host = new LockHost({ firmware, clock, random, address: "C0:FF:EE:00:00:02", ...quiet });
      const { paired, lostPairing } = lockPart(host, { clock });
      host.stop();
      return { paired, lostPairing };
    };
    expect(status()).toEqual({ paired: true, lostPairing: null });
    rot(bench.flash, "pairing");
    bench.reboot();
    expect(status()).toEqual({ paired: false, lostPairing: "pairing-rotten" });
    bench.pair();
    expect(status()).toEqual({ paired: true, lostPairing: null });
  });

  it("[L17] of the pairing: the lock is nobody's, holds nothing of its former authority, and its next log begins with it", () => {
    const bench = usedBench();
    const { next = 0 } = bench.firmware.log ?? {};
    const key = bench.firmware.staticPrivateKey;
    rot(bench.flash, "pairing");
    for (let boot = 0; boot < 2; boot++) {
      bench.reboot();
      expect(bench.firmware.paired).toBe(false);
      expect(bench.firmware.lostPairing).toBe("pairing-rotten");
      expect(bench.firmware.staticPrivateKey).toEqual(key);
      expect(bench.firmware.bootCount).toBe(2 + boot);
      expect(bench.flash.regions()).toEqual(["boot", "identity"]);
      expect(bench.card(hugoCard).granted).toBe(false);
    }
    bench.pair();
    expect(entriesOf(bench).map(({ sequence }) => sequence)).toEqual([next, next + 1]);
    expect(faultsOf(bench)).toEqual([["pairing-rotten", 1]]);
    expect(bench.firmware.lostPairing).toBeUndefined();
    bench.reboot();
    expect(faultsOf(bench)).toEqual([]);
  });

  it("[L17] [L20] of the pairing, and power goes at any operation of the wipe: it is finished, and told once or more", () => {
    const bench = usedBench();
    rot(bench.flash, "pairing");
    const image = bench.flash.image();
    let cuts = 0;
    for (let nth = 1; ; nth++) {
      const flash = new MemoryFlash(image);
      flash.cutPowerAtWrite(nth, (nth * 0.37) % 1);
      if (!isCut(() => new LockBench({ image: flash }))) break;
      cuts += 1;
      const after = new LockBench({ image: new MemoryFlash(flash.image()) });
      expect([after.firmware.paired, after.firmware.lostPairing]).toEqual([false, "pairing-rotten"]);
      expect(after.flash.regions(), `operation ${nth}`).toEqual(["boot", "identity"]);
      after.pair();
      expect(faultsOf(after)).toEqual([["pairing-rotten", 1]]);
    }
    expect(cuts).toBeGreaterThan(15);
  });

  it("[L17] of the identity: the lock has the key that it was made with, and is nobody's", () => {
    const bench = usedBench();
    const made = bench.firmware.staticPrivateKey;
    bench.firmware.factoryReset(new Uint8Array(32).fill(77), bench.clock.monotonicMs());
    bench.pair();
    rot(bench.flash, "identity");
    bench.reboot();
    expect(bench.firmware.staticPrivateKey).toEqual(made);
    expect([bench.firmware.paired, bench.firmware.lostPairing]).toEqual([false, "identity-rotten"]);
    bench.pair();
    expect(faultsOf(bench)).toEqual([["identity-rotten", 1]]);
  });

  it("[L17] [Z10] of the pairing, and of a page that is nobody's: nothing of what was there is left on the chip", () => {
    const bench = usedBench();
    const used = bench.flash.image().size;
    rot(bench.flash, "pairing");
    rotHeaders(bench.flash, "bank-a");
    bench.reboot();
    expect(bench.firmware.paired).toBe(false);
    expect(bench.flash.regions()).toEqual(["boot", "identity"]);
    expect([used > 10, bench.flash.image().size]).toEqual([true, 4]);
  });

  it("[L17] with a log whose last page rotted too, the next log begins above everything that it may have held", () => {
    const bench = new LockBench();
    bench.pair();
    for (let count = 0; count < 40; count++) bench.card(hugoCard);
    const { next = 0 } = bench.firmware.log ?? {};
    rot(bench.flash, "pairing");
    rot(bench.flash, "audit-page-1");
    bench.reboot();
    bench.pair();
    expect(entriesOf(bench)[0]?.sequence).toBeGreaterThanOrEqual(next);
  });

  it("[L18] of the boot count: it goes on above the last boot in the log", () => {
    const bench = usedBench();
    for (let boot = 0; boot < 4; boot++) bench.reboot();
    expect(bench.firmware.bootCount).toBe(5);
    rot(bench.flash, "boot");
    bench.reboot();
    expect(bench.firmware.bootCount).toBe(6);
    expect(faultsOf(bench)).toEqual([["boot-count-rotten", 1]]);
  });

  it("[L18] of what was being staged: it is sent again from its first page", () => {
    const bench = usedBench();
    const cards = Array.from({ length: 200 }, (_, index) => ({
      id: `extra-card-${index}`,
      kind: "keycard" as const,
      person: "ana-reyes",
      state: "active" as const,
      token: `0b${index.toString(16).padStart(12, "0")}`,
    }));
    bench.site = { ...bench.site, credentials: [...bench.site.credentials, ...cards] };
    for (let framesMax = 20; bench.flash.pagesOf("staged-page-00000000").length === 0; framesMax += 5) {
      bench.visit({ policy: bench.policy(3) }, { framesMax });
    }
    rot(bench.flash, "staged-page-00000000");
    bench.reboot();
    expect(faultsOf(bench)).toEqual([["staging-rotten", 1]]);
    expect(bench.flash.pagesOf("staging")).toEqual([]);
    expect(bench.visit({ policy: bench.policy(3) }).ended).toBe("finished");
    expect(bench.firmware.policy).toMatchObject({ version: 3 });
  });

  it("[L19] [E5] a page that was erased as often as it is made for is told once in each boot", () => {
    const bench = new LockBench({ image: new WornFlash() });
    bench.pair();
    const now = bench.clock.monotonicMs();
    for (let wake = 0; wake < 3; wake++) bench.firmware.wake(now);
    expect(faultsOf(bench)).toEqual([["flash-worn", ERASE_CYCLES_LIMIT]]);
    expect(bench.card(hugoCard).granted).toBe(false);
  });
});

class WornFlash extends MemoryFlash {
  override get mostErased(): number {
    return ERASE_CYCLES_LIMIT;
  }
}

describe("rot in a device that is on the network", () => {
  const folder = mkdtempSync(join(tmpdir(), "doorlink-rot-"));
  const codeKey = new Uint8Array(32).fill(4);
  const dailyKeys = [{ keyId: 1, key: new Uint8Array(32).fill(9) }];
  const at = (seconds: number) => ({
    unixMs: unixMs((START + seconds) * 1_000),
    monotonicMs: monotonicMs(seconds * 1_000),
  });

  function boot(flash: MemoryFlash): NetworkedDevice {
    const compiled = compileLockPolicy(mapleCourt(), "gym-lock", {
      epoch: 1,
      version: 1,
      now: START,
      codeHashKey: codeKey,
    });
    if (!compiled.ok) throw new Error(compiled.fault.code);
    const device = new NetworkedDevice(
      { model: modelByName.R2, firmware: "2.1.0", codeKey, personByCredential: new Map() },
      compiled.value,
      { flash, journal: new EventJournal(join(folder, "gym-lock.journal")), bootId: new Uint8Array(16).fill(6) },
      at(0),
    );
    device.enrol({ entryTagKey: new Uint8Array(32).fill(8), dailyKeys });
    return device;
  }

  it("[L13] [L15] gives no code a second use and nobody a try, and its journal has the faults", () => {
    const flash = new MemoryFlash();
    const { timeZone, doorcodeDigits, guessing } = mapleCourt();
    const code = (slot: number, seconds: number): string => {
      const localDay = siteDay(timeZone, unixSeconds(START + seconds));
      return dailyCode(dailyKeys[0]?.key ?? codeKey, { localDay, mode: "single-use", slot }, doorcodeDigits);
    };
    const type = (device: NetworkedDevice, digits: string, seconds: number) =>
      (keysOfCode(digits, device.isKeypadAsleep(at(seconds).monotonicMs)) ?? [])
        .flatMap((key) => device.press(key, at(seconds)))
        .at(-1);
    expect(type(boot(flash), code(0, 0), 1)?.granted).toBe(true);
    rot(flash, "used-slots");
    rot(flash, "throttle");
    const device = boot(new MemoryFlash(flash.image()));
    const faults = device.journal
      .all()
      .flatMap(({ event }) => (event.kind === "fault" ? [event.facts?.["before"]] : []));
    expect(faults).toEqual([faultNumberByCode["throttle-rotten"], faultNumberByCode["used-codes-rotten"]]);
    expect(type(device, code(3, 0), 10)?.reason).toBe("LOCKED_OUT");
    const later = guessing.refillSeconds * 2 + 20;
    expect(type(device, code(0, 0), later)?.granted).toBe(false);
    const tomorrow = 86_400 + 50;
    expect(type(device, code(3, tomorrow), tomorrow)?.granted).toBe(true);
    rmSync(folder, { recursive: true, force: true });
  });
});
