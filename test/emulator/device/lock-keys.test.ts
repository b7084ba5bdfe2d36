/** What opens a lock besides its keypad: keycards with keys of their own, mechanical keys, and phones over the air. */
import { describe, expect, it } from "vitest";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { copiedKeycard, type Keycard, keycard } from "../../../emulator/device/keycard.ts";
import type { LockOutcome } from "../../../emulator/device/lock.ts";
import { LockHost } from "../../../emulator/device/lock-host.ts";
import { LockStore } from "../../../emulator/device/lock-store.ts";
import { KeypadThrottle } from "../../../emulator/device/lock-throttle.ts";
import type { AppOutcome } from "../../../emulator/device/lock-visit.ts";
import type { LockKey } from "../../../emulator/people/app-account.ts";
import { type AppAnswer, type AppVisitFault, openByApp } from "../../../emulator/people/open-by-app.ts";
import { type AirProfile, DEFAULT_AIR_PROFILE } from "../../../emulator/radio/air-profile.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import type { Result } from "../../../protocol/base/result.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, x25519PublicKey } from "../../../protocol/crypto.ts";
import { issueAppCertificate } from "../../../protocol/sync/authority.ts";
import { auditEntryToEvent } from "../../../protocol/wire/audit-event.ts";
import { buildPolicy } from "../../world/policy-builder.ts";
import { settle } from "../../world/stepped-clock.ts";
import { LockBench } from "./lock-bench.ts";

const hugoCard = "04a1b2c3d4e508";

function syncedBench(device = "lobby-lock", prepare: (bench: LockBench) => void = () => undefined): LockBench {
  const bench = new LockBench({ device });
  prepare(bench);
  bench.pair();
  expect(bench.visit({ policy: bench.policy(1) }).ended).toBe("finished");
  return bench;
}

function lastEvent(bench: LockBench) {
  const entries = bench.firmware.log?.read(0, Number.POSITIVE_INFINITY) ?? [];
  const read = auditEntryToEvent(entries.at(-1) ?? new Uint8Array(0));
  if (!read.ok) throw new Error("no entry to read");
  const { raw: _raw, ...event } = read.value;
  return event;
}

describe("keycards with a key of their own", () => {
  const withCards = () => syncedBench("lobby-lock", (bench) => (bench.cardSecret = new Uint8Array(32).fill(0xca)));
  const read = (bench: LockBench, card: Keycard, challenge = 1): LockOutcome =>
    bench.firmware.readCard(card, new Uint8Array(16).fill(challenge), bench.clock.monotonicMs());
  const cardOf = (bench: LockBench) => keycard(hugoCard, bench.cardKey("hugo-card") ?? new Uint8Array(0));

  it("row 65: [L10] the card that the desk wrote opens, a copy of its number does not", () => {
    const bench = withCards();
    expect(read(bench, cardOf(bench))).toMatchObject({ granted: true });
    expect(read(bench, copiedKeycard(hugoCard))).toMatchObject({ granted: false, reason: "CREDENTIAL_NOT_AUTHENTIC" });
    expect(lastEvent(bench)).toMatchObject({ kind: "access-denied", reason: "CREDENTIAL_NOT_AUTHENTIC" });
  });

  it("[L10] a recorded answer proves nothing at the next challenge", () => {
    const bench = withCards();
    const answer = cardOf(bench).prove(new Uint8Array(16).fill(1));
    const recorded: Keycard = { number: hugoCard, prove: () => answer };
    expect(read(bench, recorded, 1)).toMatchObject({ granted: true });
    expect(read(bench, recorded, 2)).toMatchObject({ granted: false, reason: "CREDENTIAL_NOT_AUTHENTIC" });
  });

  it("[L10] a card of a number that nobody has is unknown, with a key or without", () => {
    const bench = withCards();
    expect(read(bench, copiedKeycard("04ffffffffffff"))).toMatchObject({ reason: "CREDENTIAL_UNKNOWN" });
  });

  it("the card's key is in no log, and the host asks a fresh challenge each time", () => {
    const bench = withCards();
    const challenges: string[] = [];
    const spy: Keycard = {
      number: hugoCard,
      prove: (challenge) => {
        challenges.push(challenge.join());
        return cardOf(bench).prove(challenge);
      },
    };
    const { host } = hosted(bench);
    expect([host.presentCard(spy).granted, host.presentCard(spy).granted]).toEqual([true, true]);
    expect(new Set(challenges).size).toBe(2);
    host.stop();
  });
});

describe("a mechanical key", () => {
  it.each(["apartment-2a-lock", "roof-lock"])(
    "row 66: [L9] opens %s without a decision, seen by the door sensor alone",
    (device) => {
      const bench = syncedBench(device);
      const before = bench.firmware.log?.next ?? 0;
      expect(bench.firmware.turnKey(bench.clock.monotonicMs())).toEqual({ sequence: before });
      expect(bench.firmware.bolt).toBe("unlocked");
      const { at: _at, ...entry } = lastEvent(bench);
      expect(entry).toEqual({ boot: 1, sequence: before, kind: "door", facts: { before: 0, after: 1 } });
      bench.clock.advance(10_000);
      bench.firmware.wake(bench.clock.monotonicMs());
      expect(bench.firmware.bolt).toBe("locked");
    },
  );

  it("row 66: [L9] a C2 has no keyway: nothing turns and nothing is logged", () => {
    const bench = syncedBench("lobby-lock");
    const before = bench.firmware.log?.next;
    expect(bench.firmware.turnKey(bench.clock.monotonicMs())).toBeUndefined();
    expect(bench.firmware.bolt).toBe("locked");
    expect(bench.firmware.log?.next).toBe(before);
  });

  it("[L9] opens a lock that was never paired, or holds nobody: it asks nobody", () => {
    const bench = new LockBench({ device: "apartment-2a-lock" });
    expect(bench.firmware.turnKey(bench.clock.monotonicMs())).toEqual({});
    expect(bench.firmware.bolt).toBe("unlocked");
  });
});

describe("a credential with a number of uses", () => {
  const withUses = (usesAllowed: number) => (bench: LockBench) => {
    const { site } = bench;
    const credentials = site.credentials.map((one) => (one.id === "hugo-code" ? { ...one, usesAllowed } : one));
    bench.site = { ...site, credentials };
  };
  const open = (bench: LockBench) => bench.type("2718281").reason ?? "opens";

  it("[D12] may be used as often in all: no power cut and no sync gives a use back, a higher total gives the difference", () => {
    const bench = syncedBench("lobby-lock", withUses(2));
    expect([open(bench), open(bench), open(bench)]).toEqual(["opens", "opens", "CREDENTIAL_USES_EXHAUSTED"]);
    bench.reboot();
    bench.visit({ policy: bench.policy(2) });
    expect(open(bench)).toBe("CREDENTIAL_USES_EXHAUSTED");
    withUses(3)(bench);
    bench.visit({ policy: bench.policy(3) });
    expect([open(bench), open(bench)]).toEqual(["opens", "CREDENTIAL_USES_EXHAUSTED"]);
  });

  it("[D12] keeps its count while a policy leaves it out", () => {
    const bench = syncedBench("lobby-lock", withUses(1));
    expect(open(bench)).toBe("opens");
    const { site } = bench;
    bench.site = { ...site, credentials: site.credentials.filter(({ id }) => id !== "hugo-code") };
    bench.visit({ policy: bench.policy(2) });
    expect(open(bench)).toBe("CREDENTIAL_UNKNOWN");
    bench.site = site;
    bench.visit({ policy: bench.policy(3) });
    expect(open(bench)).toBe("CREDENTIAL_USES_EXHAUSTED");
  });
});

describe("an extended deadbolt", () => {
  it("[C7] refuses daily codes on an M and nothing else, and lets them in when it is drawn back", () => {
    const bench = syncedBench("roof-lock");
    bench.deadbolt.turn("extended");
    expect(bench.type(bench.codeOfToday(0))).toMatchObject({ granted: false, reason: "DEADBOLT_EXTENDED" });
    expect(bench.card("04a1b2c3d4e501")).toMatchObject({ granted: true });
    bench.reboot();
    bench.visit({});
    expect(bench.type(bench.codeOfToday(0))).toMatchObject({ granted: false, reason: "DEADBOLT_EXTENDED" });
    bench.deadbolt.turn("retracted");
    expect(bench.type(bench.codeOfToday(0))).toMatchObject({ granted: true });
  });
});

describe("the throttle's memory of wrong entries", () => {
  it("[C8] ends when the door's daily keys are renewed: what was wrong may be right now", () => {
    const throttle = new KeypadThrottle(new LockStore(new MemoryFlash()));
    const policy = buildPolicy({ keypad: { ...buildPolicy().keypad, triesAtOnce: 2 } });
    const [old, renewed] = [1, 2].map((keyId) => ({ keyId, key: new Uint8Array(32).fill(keyId) }));
    if (old === undefined || renewed === undefined) throw new Error("two keys were made");
    const time = { poweredSeconds: 100, unixSeconds: unixSeconds(1_790_000_000) };
    const admits = (keys: readonly (typeof old)[]) => throttle.admit(policy, 77, time, keys);
    // The same wrong entry costs one try, however often it comes; under renewed keys it costs another.
    expect([admits([old]), admits([old]), admits([old])]).toEqual([true, true, true]);
    expect(admits([renewed])).toBe(true);
    expect(admits([renewed, old])).toBe(false);
  });
});

function hosted(bench: LockBench) {
  const judged: AppOutcome[] = [];
  const visits: string[] = [];
  const random = seededRandom(3, "lock");
  const host = new LockHost({
    firmware: bench.firmware,
    address: "C0:FF:EE:00:00:02",
    clock: bench.clock,
    random: (length) => random.bytes(length),
    onChange: () => undefined,
    onTimeout: () => undefined,
    onVisit: (_device, end, purpose) => visits.push(`${purpose}: ${end}`),
    onApp: (_device, outcome) => judged.push(outcome),
  });
  return { host, judged, visits };
}

/** Ana's phone, certified by the bench's authority. */
function phoneKey(bench: LockBench, seed: number): LockKey {
  const random = seededRandom(seed, "phone");
  const [staticPrivateKey, signingPrivateKey] = [random.bytes(32), random.bytes(32)];
  const certificate = issueAppCertificate(bench.keys, {
    staticPublicKey: x25519PublicKey(staticPrivateKey),
    signingPublicKey: ed25519PublicKey(signingPrivateKey),
    credential: "ana-app",
    locks: [],
    issuedAt: bench.now(),
    notAfter: unixSeconds(bench.now() + 72 * 3_600),
  });
  const staticPublicKey = x25519PublicKey(bench.firmware.staticPrivateKey);
  return {
    staticPrivateKey,
    ephemeralPrivateKey: random.bytes(32),
    appKey: { signingPrivateKey, certificate },
    lock: { staticPublicKey, pairingId: bench.pairingId },
  };
}

/** Lets the clock run until the visit is over. */
async function visit(
  bench: LockBench,
  host: LockHost,
  key: LockKey,
  air: Partial<AirProfile> = {},
): Promise<Result<AppAnswer, AppVisitFault>> {
  const random = seededRandom(5, "air");
  const profile = { ...DEFAULT_AIR_PROFILE, ...air };
  let result: Result<AppAnswer, AppVisitFault> | undefined;
  const opened = openByApp({
    peripheral: host.peripheral,
    key,
    clock: bench.clock,
    profile,
    random: () => random.next(),
  });
  void opened.then((value) => {
    result = value;
  });
  for (let step = 0; result === undefined && step < 3_000; step++) {
    bench.clock.advance(10);
    await settle();
  }
  return opened;
}

describe("a phone at a lock, over the air", () => {
  it("row 63: [Y13] opens by a session, and the lock's log has it as any other grant", async () => {
    const bench = syncedBench();
    const { host, judged, visits } = hosted(bench);
    expect(await visit(bench, host, phoneKey(bench, 1))).toEqual({
      ok: true,
      value: { kind: "granted", warnings: [] },
    });
    expect(bench.firmware.bolt).toBe("unlocked");
    expect(judged).toMatchObject([{ credential: "ana-app", outcome: { granted: true } }]);
    expect(visits).toEqual(["access: finished"]);
    expect(lastEvent(bench)).toMatchObject({
      kind: "access-granted",
      credential: "ana-app",
      credentialType: "app-key",
    });
    host.stop();
  });

  it("[Y13] opens through reordering, loss and doubles", async () => {
    const bench = syncedBench();
    const { host } = hosted(bench);
    const air = { reorderDepth: 8, silentLossShare: 0.2, duplicateShare: 0.2 };
    expect(await visit(bench, host, phoneKey(bench, 1), air)).toMatchObject({ ok: true, value: { kind: "granted" } });
    host.stop();
  });

  it("[Y11] refuses another phone that has copied the certificate, and judges and logs nothing", async () => {
    const bench = syncedBench();
    const { host, judged } = hosted(bench);
    const before = bench.firmware.log?.next;
    const thief = { ...phoneKey(bench, 2), appKey: phoneKey(bench, 1).appKey };
    expect(await visit(bench, host, thief)).toEqual({
      ok: false,
      fault: { code: "lock-refused", refusal: "wrong-key" },
    });
    expect(judged).toEqual([]);
    expect(bench.firmware.bolt).toBe("locked");
    expect(bench.firmware.log?.next).toBe(before);
    host.stop();
  });

  it("[L8] a busy lock is told apart from a silent one, and the first visitor is not disturbed", async () => {
    const bench = syncedBench();
    const { host } = hosted(bench);
    let closed = false;
    host.peripheral.onConnection({
      notify: () => true,
      close: () => {
        closed = true;
      },
    });
    expect(await visit(bench, host, phoneKey(bench, 1))).toEqual({ ok: false, fault: { code: "lock-busy" } });
    expect(closed).toBe(false);
    bench.clock.advance(10_000);
    const stranger = { ...phoneKey(bench, 1), lock: { ...phoneKey(bench, 1).lock, pairingId: new Uint8Array(16) } };
    expect(await visit(bench, host, stranger)).toEqual({ ok: false, fault: { code: "lock-silent" } });
    host.stop();
  });
});
