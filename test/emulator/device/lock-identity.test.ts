/** A factory reset: what it leaves, at which write power may go, and what a lock is afterwards to its old and its new authority. */
import { describe, expect, it } from "vitest";
import { runVisit } from "../../../agent/ble/visit.ts";
import { MemoryFlash, PowerLost } from "../../../emulator/device/flash.ts";
import { keysOfCode } from "../../../emulator/device/keypad.ts";
import type { LockFirmware, LockOutcome } from "../../../emulator/device/lock.ts";
import { type DeviceId, monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { dailyCode } from "../../../protocol/doorcode/daily-code.ts";
import { compileLockPolicy } from "../../../protocol/site/compile-lock-policy.ts";
import { siteDay } from "../../../protocol/site/zone.ts";
import { answerTime, issueCourierCertificate, sealBundle } from "../../../protocol/sync/authority.ts";
import { auditEntryToEvent } from "../../../protocol/wire/audit-event.ts";
import { seededBytes } from "../../world/lossy-link.ts";
import {
  buildLock,
  dailyKeys,
  PairingBench,
  pairingAuthority,
  pairingKeyset,
  pairingRoot,
} from "../../world/pairing-bench.ts";
import { LockBench, mapleCourt } from "./lock-bench.ts";

const newKey = seededBytes(70, 32);
/** What `LockBench` makes its lock with. */
const factoryKey = new Uint8Array(32).fill(11);
const lobbyLock = "lobby-lock" as DeviceId;
const courierKey = seededBytes(71, 32);
/** Hugo's, of the lobby. */
const permanentCode = "2718281";
const outset = monotonicMs(0);

/** The flash of a lock that has been in service: a code used up, wrong ones counted, a log, a set clock. */
function usedFlash(): MemoryFlash {
  const bench = new LockBench({ device: lobbyLock });
  bench.pair();
  expect(bench.visit({ policy: bench.policy(1) }).ended).toBe("finished");
  expect(bench.type(permanentCode).granted).toBe(true);
  expect(bench.type(bench.codeOfToday(3)).granted).toBe(true);
  for (const wrong of ["1111111", "2222222", "3333333"]) expect(bench.type(wrong).granted).toBe(false);
  return bench.flash;
}

function sequencesOf(firmware: LockFirmware): readonly number[] {
  return (firmware.log?.read(0, Number.POSITIVE_INFINITY) ?? []).map((bytes) => {
    const read = auditEntryToEvent(bytes);
    if (!read.ok) throw new Error("no entry to read");
    return read.value.sequence;
  });
}

/** False: power was lost before it was over. */
function survives(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof PowerLost) return false;
    throw error;
  }
}

/** What tells one state of a lock from another, in flash and to whoever asks it. */
function stateOf(firmware: LockFirmware) {
  const { pairing, policy, staticPrivateKey } = firmware;
  return {
    pairingId: pairing?.pairingId,
    policy: { epoch: policy.epoch, version: policy.version },
    staticPrivateKey,
    logNext: firmware.log?.next,
    clock: firmware.clock(outset).quality,
  };
}

const wipedState = {
  pairingId: undefined,
  policy: { epoch: 0, version: 0 },
  staticPrivateKey: newKey,
  logNext: undefined,
  clock: "unset",
};

describe("a factory reset", () => {
  it("[Z10] leaves the boot count and a new key, and no region with anything of before", () => {
    const flash = usedFlash();
    const firmware = buildLock(flash, { factoryKey });
    expect(flash.regions()).toEqual(
      expect.arrayContaining(["active-bank", "audit-page-0", "bank-a", "boot", "clock", "pairing", "throttle"]),
    );
    expect(flash.regions()).toContain("used-slots");
    const { bootCount } = firmware;
    firmware.factoryReset(newKey, outset);
    expect(flash.regions().filter((region) => region !== "identity" && region !== "boot")).toEqual([]);
    expect(stateOf(firmware)).toEqual(wipedState);
    expect(firmware.bootCount).toBe(bootCount);
    // The same as what a boot makes of what is left.
    const again = buildLock(new MemoryFlash(flash.image()), { factoryKey });
    expect(stateOf(again)).toEqual(wipedState);
    expect(again.bootCount).toBe(bootCount + 1);
  });

  it("[Z10] opens to no code and no card of before, and says nothing of it in a log", () => {
    const firmware = buildLock(usedFlash(), { factoryKey });
    firmware.factoryReset(newKey, outset);
    for (const code of [permanentCode, "1111111"]) {
      const outcomes: LockOutcome[] = [];
      for (const key of keysOfCode(code, firmware.isKeypadAsleep(outset)) ?? []) {
        outcomes.push(...firmware.press(key, outset));
      }
      outcomes.push(...firmware.wake(monotonicMs(60_000)));
      expect(outcomes.map(({ granted, sequence }) => [granted, sequence])).toEqual([[false, undefined]]);
    }
    const card = { kind: "token", tokenKind: "keycard", value: "04a1b2c3d4e508", authentic: true } as const;
    expect(firmware.present(card, outset)).toMatchObject({ granted: false, recognised: false });
    expect(firmware.bolt).toBe("locked");
  });

  it("[Z10] twice in a row goes on numbering where the last log stood, and makes another key each time", async () => {
    const flash = usedFlash();
    const firmware = buildLock(flash, { factoryKey });
    const next = firmware.log?.next;
    firmware.factoryReset(newKey, outset);
    firmware.factoryReset(seededBytes(72, 32), outset);
    expect(firmware.staticPrivateKey).toEqual(seededBytes(72, 32));
    const bench = new PairingBench({ flash: new MemoryFlash(flash.image()), factoryKey });
    expect(bench.firmware.staticPrivateKey).toEqual(seededBytes(72, 32));
    await bench.pair();
    expect(sequencesOf(bench.firmware)).toEqual([next]);
  });

  it("[Z12] a pairing's log begins where the authority says, or where the lock's own stands if that is higher", () => {
    const begins = (own: number, named: number): number | undefined => {
      const firmware = buildLock(new MemoryFlash());
      const keys = { pairingId: new Uint8Array(16), root: pairingRoot, keyset: pairingKeyset, dailyKeys: [] };
      firmware.pair({ ...keys, firstSequence: own }, unixMs(0), outset);
      expect(firmware.log?.next).toBe(own + 1);
      firmware.factoryReset(newKey, outset);
      firmware.pair({ ...keys, firstSequence: named }, unixMs(0), outset);
      return sequencesOf(firmware)[0];
    };
    expect(begins(1, 1)).toBe(2);
    expect(begins(1, 65_537)).toBe(65_537);
    expect(begins(65_537, 1)).toBe(65_538);
    expect(begins(65_537, 65_538)).toBe(65_538);
    expect(begins(65_537, 65_539)).toBe(65_539);
  });

  it("[Z10] of a lock that was never paired gives it another key, and its log begins at 1", async () => {
    const bench = new PairingBench();
    const made = bench.firmware.staticPrivateKey;
    bench.host.factoryReset();
    expect(bench.firmware.staticPrivateKey).not.toEqual(made);
    await bench.pair();
    expect(sequencesOf(bench.firmware)).toEqual([1]);
  });
});

describe("power that goes during a factory reset", () => {
  const image = usedFlash().image();

  /** A booted lock whose reset loses its power at the nth write; undefined: it needs fewer writes. */
  function cutReset(nth: number) {
    const flash = new MemoryFlash(image);
    const firmware = buildLock(flash, { factoryKey });
    const before = { state: stateOf(firmware), bootCount: firmware.bootCount, sequences: sequencesOf(firmware) };
    flash.cutPowerAtWrite(nth);
    const isWhole = survives(() => firmware.factoryReset(newKey, outset));
    return isWhole ? undefined : { before, left: flash.image() };
  }

  it("[Z10] at any write leaves the lock wholly as it was or, after its next boot, wholly wiped under its new key", async () => {
    const kinds: string[] = [];
    for (let nth = 1; ; nth++) {
      const cut = cutReset(nth);
      if (cut === undefined) break;
      const { before, left } = cut;
      const bench = new PairingBench({ flash: new MemoryFlash(left), factoryKey });
      const { firmware, flash } = bench;
      const place = `write ${nth}`;
      expect(firmware.bootCount, place).toBe(before.bootCount + 1);
      if (firmware.paired) {
        kinds.push("as it was");
        // Its boot has written one more entry.
        const expected = { ...before.state, logNext: (before.state.logNext ?? 0) + 1, clock: "lower-bound" };
        expect(stateOf(firmware), place).toEqual(expected);
        continue;
      }
      kinds.push("wiped");
      expect(stateOf(firmware), place).toEqual(wipedState);
      expect(flash.regions(), place).toEqual(["boot", "identity"]);
      expect((await bench.pair()).outcome.ok, place).toBe(true);
      // No sequence twice, and none left out.
      const all = [...before.sequences, ...sequencesOf(firmware)];
      expect(all, place).toEqual(all.map((_, index) => index + 1));
    }
    expect(kinds).toEqual(["as it was", ...kinds.slice(1).map(() => "wiped")]);
    expect(kinds.length).toBeGreaterThan(8);
  });

  it("[Z10] and again during the boot that finishes it, at any write: the next boot finishes", () => {
    let doubleCuts = 0;
    for (let nth = 2; ; nth++) {
      const cut = cutReset(nth);
      if (cut === undefined) break;
      for (let second = 1; ; second++) {
        const flash = new MemoryFlash(cut.left);
        flash.cutPowerAtWrite(second);
        if (survives(() => buildLock(flash, { factoryKey }))) break;
        doubleCuts += 1;
        const firmware = buildLock(new MemoryFlash(flash.image()), { factoryKey });
        expect(stateOf(firmware), `writes ${nth} and ${second}`).toEqual(wipedState);
        // The boot that lost its power may have been counted; none is ever counted back.
        expect(firmware.bootCount - cut.before.bootCount).toBeOneOf([1, 2]);
      }
    }
    expect(doubleCuts).toBeGreaterThan(30);
  });

  it("[Z9] [Z10] at any write of the pairing after it: the lock is unpaired and can be paired, or it holds all of the pairing", async () => {
    const flash = new MemoryFlash(image);
    const old = buildLock(flash, { factoryKey });
    const oldSequences = sequencesOf(old);
    old.factoryReset(newKey, outset);
    let cuts = 0;
    const donor = new PairingBench({ flash: new MemoryFlash(flash.image()), factoryKey });
    await donor.pair();
    const { pairing } = donor.firmware;
    if (pairing === undefined) throw new Error("no pairing");
    const record = { ...pairing, dailyKeys: dailyKeys.keys };
    for (let nth = 1; ; nth++) {
      const half = new MemoryFlash(flash.image());
      const firmware = buildLock(half, { factoryKey });
      half.cutPowerAtWrite(nth);
      if (survives(() => firmware.keepPairing(record, 1, outset))) break;
      cuts += 1;
      const bench = new PairingBench({ flash: new MemoryFlash(half.image()), factoryKey });
      if (!bench.firmware.paired) expect((await bench.pair()).outcome.ok).toBe(true);
      else expect(bench.firmware.pairing).toEqual(record);
      const all = [...oldSequences, ...sequencesOf(bench.firmware)];
      expect(all, `write ${nth}`).toEqual(all.map((_, index) => index + 1));
    }
    expect(cuts).toBeGreaterThan(1);
  });

  it("[Z12] at any write of a pairing that begins its log higher: never a number twice, and never one below", async () => {
    const first = 65_537;
    const donor = new PairingBench();
    await donor.pair();
    const { pairing } = donor.firmware;
    if (pairing === undefined) throw new Error("no pairing");
    const record = { ...pairing, dailyKeys: dailyKeys.keys };
    let cuts = 0;
    for (let nth = 1; ; nth++) {
      const flash = new MemoryFlash();
      const firmware = buildLock(flash);
      flash.cutPowerAtWrite(nth);
      const isWhole = survives(() => firmware.keepPairing(record, first, outset));
      const again = buildLock(new MemoryFlash(flash.image()));
      expect(again.staticPrivateKey).toEqual(firmware.staticPrivateKey);
      if (!again.paired) again.keepPairing(record, first, outset);
      const sequences = sequencesOf(again);
      expect(sequences, `write ${nth}`).toEqual(sequences.map((_, index) => first + index));
      expect(sequences.length, `write ${nth}`).toBe(isWhole ? 2 : 1);
      if (isWhole) break;
      cuts += 1;
    }
    expect(cuts).toBeGreaterThan(2);
  });
});

describe("a lock that was reset and paired again", () => {
  const wire = { authority: pairingAuthority, keyset: { epoch: 1, blob: pairingKeyset } };

  /** One visit of a courier; with `lock` as it knew it, else as it is. */
  async function visit(
    bench: PairingBench,
    lock: { readonly staticPublicKey: Uint8Array; readonly pairingId: Uint8Array },
    version?: number,
  ) {
    const { pairing } = bench.firmware;
    const bundle =
      version === undefined || pairing === undefined
        ? undefined
        : sealBundle(wire.authority, pairing.keys.bundle, pairing.pairingId, {
            policy: policyOf(bench, version),
            notAfter: unixSeconds(bench.clock.nowMs() / 1000 + 86_400),
          });
    return bench.finish(
      runVisit({
        radio: bench.radio(),
        address: "C0:FF:EE:00:00:02",
        courier: {
          staticPrivateKey: courierKey,
          certificate: issueCourierCertificate(wire.authority, {
            staticPublicKey: x25519PublicKey(courierKey),
            holder: "gateway-main",
            role: "courier",
            locks: [],
            notAfter: unixSeconds(bench.clock.nowMs() / 1000 + 86_400),
          }),
        },
        lock: { device: lobbyLock, ...lock },
        ...(bundle === undefined || version === undefined
          ? {}
          : { desired: { policy: { epoch: 1, version }, keyset: wire.keyset, bundles: [bundle], release: null } }),
        logFrom: 0,
        askTime: async (nonce) => {
          const { pairingId } = lock;
          const now = bench.clock.nowMs();
          return { answer: answerTime(wire.authority, { pairingId, nonce, unixMs: now, radiusMs: 10 }) };
        },
        storeRun: async () => undefined,
        onProgress: () => undefined,
        clock: bench.clock,
        random: bench.random,
      }),
    );
  }

  function policyOf(bench: PairingBench, version: number) {
    const now = unixSeconds(bench.clock.nowMs() / 1000);
    const codeHashKey = bench.firmware.pairing?.keys.codeHash ?? new Uint8Array(32);
    const compiled = compileLockPolicy(mapleCourt(now), lobbyLock, { epoch: 1, version, now, codeHashKey });
    if (!compiled.ok) throw new Error(compiled.fault.code);
    return compiled.value;
  }

  const known = ({ firmware }: PairingBench) => ({
    staticPublicKey: x25519PublicKey(firmware.staticPrivateKey),
    pairingId: firmware.pairing?.pairingId ?? new Uint8Array(16),
  });

  async function type(bench: PairingBench, code: string): Promise<LockOutcome> {
    const outcome = bench.host.press(keysOfCode(code, bench.host.keypadAsleep) ?? []);
    await bench.clock.advance(6_000);
    return outcome;
  }

  function codeOfToday(bench: PairingBench, slot: number): string {
    const site = mapleCourt(unixSeconds(bench.clock.nowMs() / 1000));
    const localDay = siteDay(site.timeZone, unixSeconds(bench.clock.nowMs() / 1000));
    const key = dailyKeys.keys[0]?.key ?? new Uint8Array(32);
    return dailyCode(key, { localDay, mode: "single-use", slot }, site.doorcodeDigits);
  }

  it("[Z10] the old pairing's courier gets no further than the session, before the new pairing and after it", async () => {
    const bench = new PairingBench();
    await bench.pair();
    const old = known(bench);
    expect((await visit(bench, old, 1)).ok).toBe(true);
    bench.host.factoryReset();
    expect(await visit(bench, old)).toMatchObject({ ok: false, fault: { code: "handshake" }, from: null });
    await bench.pair();
    expect(await visit(bench, old)).toMatchObject({ ok: false, fault: { code: "handshake" }, from: null });
    // Neither does the new key help with the old id, nor the old key with the new id.
    const now = known(bench);
    for (const mixed of [
      { ...old, pairingId: now.pairingId },
      { ...now, pairingId: old.pairingId },
    ]) {
      expect(await visit(bench, mixed)).toMatchObject({ ok: false, fault: { code: "handshake" } });
    }
    expect((await visit(bench, now, 2)).ok).toBe(true);
  });

  it("[Z10] codes, their used marks and the keypad's throttle are gone, and come back with the policy alone", async () => {
    const bench = new PairingBench();
    await bench.pair();
    await visit(bench, known(bench), 1);
    expect(await type(bench, permanentCode)).toMatchObject({ granted: true });
    const daily = codeOfToday(bench, 5);
    expect(await type(bench, daily)).toMatchObject({ granted: true });
    expect(await type(bench, daily)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    for (let wrong = 0; wrong < 40; wrong++) await type(bench, `9${String(wrong).padStart(6, "0")}`);
    expect(await type(bench, permanentCode)).toMatchObject({ granted: false, reason: "LOCKED_OUT" });
    const { log } = bench.firmware;
    const next = log?.next ?? 0;

    bench.host.factoryReset();
    for (const code of [permanentCode, daily]) expect(await type(bench, code)).toMatchObject({ granted: false });
    await bench.pair();
    // Paired and never synced: it knows nobody, and says so in the log of its new pairing, which goes on numbering.
    expect(await type(bench, permanentCode)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    expect(sequencesOf(bench.firmware)).toEqual([next, next + 1]);
    expect(bench.firmware.log?.head).not.toEqual(log?.head);
    await visit(bench, known(bench), 2);
    expect(await type(bench, permanentCode)).toMatchObject({ granted: true });
    // The mark went with everything else: who resets a lock and pairs it again on the same day gives its used codes back.
    expect(await type(bench, daily)).toMatchObject({ granted: true });
    expect(await type(bench, daily)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
  });
});
