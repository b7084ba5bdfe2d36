/**
 * Power is cut in the first, second, third ... program or erasure of a flash page of a lock until none is left to cut, over everything that a visit makes it
 * write (keyset, clock, log, staging, bank, word, release) and over the boot and the visit after that. Each cut is followed by a boot
 * on what flash holds, and in the end by a visit that goes through.
 */
import { describe, expect, it } from "vitest";
import { MemoryFlash, PowerLost } from "../../emulator/device/flash.ts";
import { encodePolicy, policyRoot } from "../../protocol/access/policy.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import type { Site } from "../../protocol/site/site.ts";
import { auditChainHead } from "../../protocol/sync/authority.ts";
import type { CourierLoad } from "../../protocol/sync/courier-sync.ts";
import { auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import { LockBench } from "../emulator/device/lock-bench.ts";

/** Each cut is a lock, two visits and two boots of its own; 20 s of work for a machine that does nothing else. */
const CUT_LIMIT_MS = 120_000;
const VISIT_REGIONS = ["clock", "audit-page", "bank-b", "active-bank", "audit-released"];
/** A bundle of one page rides in its manifest's message and is not staged. */
const PAGED_REGIONS = ["staging", "staged-page"];

const anaCard = "04a1b2c3d4e501";
const hugoCard = "04a1b2c3d4e508";

interface Prepared {
  readonly bench: LockBench;
  readonly load: Pick<CourierLoad, "keyset" | "policy" | "release">;
  /** Of the keys that the courier comes from; the lock was paired under 1. */
  readonly epoch: number;
  /** Of versions 1 and 2, in hexadecimal. */
  readonly roots: readonly (string | undefined)[];
  /** Through which entry the release frees the log. */
  readonly released: number;
}

/**
 * A lock that decides by version 1, whose clock is a minute and a half ahead, that has a log of which a part may be freed. The courier
 * brings the time, version 2 (in which Hugo is revoked, and Ana as she was), and the release; with `rotates` all of them by keys whose
 * keyset it brings first.
 */
function prepare(cards: number, rotates = false): Prepared {
  const bench = new LockBench();
  bench.pair(90_000);
  bench.site = withCards(bench.site, cards);
  const first = bench.policy(1);
  const firstRoot = bytesToHex(policyRoot(encodePolicy(bench.policyOf(1))));
  bench.visit({ policy: first }, { bringTime: false });
  for (let count = 0; count < 3; count++) bench.card(hugoCard);
  const released = (bench.firmware.log?.next ?? 1) - 1;
  if (rotates) bench.rotateKeys();
  const release = bench.release(released);
  bench.card(hugoCard);
  bench.site = withoutHugo(bench.site, bench.now());
  const roots = [firstRoot, bytesToHex(policyRoot(encodePolicy(bench.policyOf(2))))];
  const keyset = rotates ? { keyset: bench.keyset() } : {};
  // Of one epoch the courier has the delta; the first policy of an epoch is a snapshot.
  const policy = bench.policy(2, rotates || cards > 0 ? [] : [1]);
  return { bench, load: { ...keyset, policy, release }, epoch: bench.epoch, roots, released };
}

/** What must be true of a lock whatever it was doing when its power went. `seen` are the entries that its log had shown before. */
function judge(image: ReadonlyMap<string, Uint8Array>, prepared: Prepared, seen: readonly Uint8Array[]): number {
  const bench = bootOn(image);
  const { version, root, stale } = bench.firmware.policy;
  expect(stale).toBe(false);
  expect([1, 2]).toContain(version);
  expect(bytesToHex(root)).toBe(prepared.roots[version - 1]);
  const entries = entriesOf(bench);
  const { chain } = bench.pairingKeys();
  const keysetEpoch = bench.firmware.pairing?.keyset.keyset.epoch ?? 0;
  expect(version === 2 ? [prepared.epoch] : [1, prepared.epoch]).toContain(keysetEpoch);
  expect(entries.slice(0, seen.length)).toEqual(seen);
  expect(entries.map(sequenceOf)).toEqual(entries.map((_, index) => index + 1));
  expect(bench.firmware.log?.head).toEqual(auditChainHead(chain, auditChainStart(chain, bench.pairingId), entries));
  expect([1, prepared.released + 1]).toContain(bench.firmware.log?.first);
  // Who may come in by both versions comes in; who may not by the new one is judged by the one that decides.
  expect(bench.card(anaCard).granted).toBe(true);
  expect(bench.card(hugoCard).granted).toBe(version === 1);
  return version;
}

/** Then somebody comes by and finishes it. */
function finish(image: ReadonlyMap<string, Uint8Array>, { load, epoch }: Prepared, seen: readonly Uint8Array[]): void {
  const bench = bootOn(image);
  if (epoch > 1) bench.rotateKeys();
  const { ended, rawEntries } = bench.visit(load);
  expect(ended).toBe("finished");
  expect(bench.firmware.policy).toMatchObject({ epoch, version: 2, stale: false });
  expect(bench.firmware.pairing?.keyset.keyset.epoch).toBe(epoch);
  expect(bench.firmware.clock(bench.clock.monotonicMs()).quality).toBe("set");
  expect(rawEntries.slice(0, seen.length)).toEqual(seen);
  expect(rawEntries).toEqual(entriesOf(bench));
}

describe("power cut at every flash write of a whole visit", () => {
  it.each([
    ["a delta in one message", 0, false, 12],
    ["a snapshot in pages", 200, false, 19],
    ["a new keyset and what its keys signed", 200, true, 23],
  ])(
    "[L3] row 129: with %s: old or new, no entry lost, nothing freed that was not released, and a visit ends it",
    (_what, cards, rotates, cutsMin) => {
      const versions = new Set<number>();
      const regions = new Set<string>();
      let cuts = 0;
      for (let nth = 1; ; nth++) {
        const prepared = prepare(cards, rotates);
        const { bench, load } = prepared;
        const seen = entriesOf(bench);
        bench.flash.cutPowerAtWrite(nth, shareOf(nth));
        const region = cutRegion(() => bench.visit(load));
        const image = bench.flash.image();
        versions.add(judge(image, prepared, seen));
        finish(image, prepared, seen);
        if (region === undefined) break;
        regions.add(region.replace(/-?\d+$/, ""));
        cuts += 1;
      }
      expect([...versions].sort()).toEqual([1, 2]);
      // All that a visit writes was cut: the clock, the log, the staged pages, the spare bank, the word that names it, the release.
      const expected = [...VISIT_REGIONS, ...(cards === 0 ? [] : PAGED_REGIONS), ...(rotates ? ["pairing"] : [])];
      expect([...regions]).toEqual(expect.arrayContaining(expected));
      expect(cuts).toBeGreaterThanOrEqual(cutsMin);
    },
    CUT_LIMIT_MS,
  );

  it(
    "[L3] and cut again at every write of the boot and the visit that follow",
    () => {
      let pairs = 0;
      for (let first = 1; ; first++) {
        const prepared = prepare(200);
        const { bench, load } = prepared;
        bench.flash.cutPowerAtWrite(first, shareOf(first));
        const isCut = cutRegion(() => bench.visit(load)) !== undefined;
        const image = bench.flash.image();
        const seen = entriesOf(bootOn(image)).slice(0, -1);
        for (let second = 1; ; second++) {
          const flash = new MemoryFlash(image);
          flash.cutPowerAtWrite(second, shareOf(second));
          const isCutAgain = cutRegion(() => new LockBench({ image: flash }).visit(load)) !== undefined;
          judge(flash.image(), prepared, seen);
          if (!isCutAgain) break;
          pairs += 1;
        }
        if (!isCut) break;
      }
      expect(pairs).toBeGreaterThan(300);
    },
    CUT_LIMIT_MS,
  );
});

/** How much of the last page gets done: something else at each cut. What each share leaves is enumerated in `flash.test.ts`. */
function shareOf(nth: number): number {
  return (nth * 0.37) % 1;
}

/** The region whose write did not happen any more; undefined: power stayed. */
function cutRegion(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (!(error instanceof PowerLost)) throw error;
    return error.region;
  }
}

function bootOn(image: ReadonlyMap<string, Uint8Array>): LockBench {
  const bench = new LockBench({ image: new MemoryFlash(image) });
  bench.clock.advance(3_600_000);
  return bench;
}

function entriesOf(bench: LockBench): readonly Uint8Array[] {
  return bench.firmware.log?.read(1, 1_000) ?? [];
}

function sequenceOf(bytes: Uint8Array): number {
  const read = auditEntry.decode(bytes);
  return read.ok ? read.value.sequence : -1;
}

function withoutHugo(site: Site, at: ReturnType<LockBench["now"]>): Site {
  const people = site.people.map((each) => (each.id === "hugo-silva" ? { ...each, revokedAt: at } : each));
  return { ...site, people };
}

/** So many further keycards that the policy needs several pages. */
function withCards(site: Site, count: number): Site {
  const cards = Array.from({ length: count }, (_, index) => ({
    id: `extra-card-${index}`,
    kind: "keycard" as const,
    person: "ana-reyes",
    state: "active" as const,
    token: `0b${index.toString(16).padStart(12, "0")}`,
  }));
  return { ...site, credentials: [...site.credentials, ...cards] };
}
