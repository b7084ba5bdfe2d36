/** Keysets on their way: what lets a lock and its courier know each other again after the authority changed its keys. */
import { describe, expect, it } from "vitest";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { answerTime } from "../../../protocol/sync/authority.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { courierMessage } from "../../../protocol/wire/sync-message.ts";
import {
  asked,
  authorityKeys,
  bundleOf,
  certificateFor,
  clockThat,
  courierKey,
  HostileVisit,
  helloOf,
  honestTime,
  loadOf,
  nextKeys,
  pairingId,
  pairingOfEpoch,
  policyFor,
  policyOf,
  refusalsOf,
  reportOf,
  runSync,
  signedKeyset,
  startMs,
  startsAt,
  TinyLock,
} from "../../world/sync-pair.ts";

const nextTime = (nonce: Uint8Array) => answerTime(nextKeys, { pairingId, nonce, unixMs: startMs, radiusMs: 20 });
const nextCertificate = certificateFor({}, nextKeys);
const keysetMessage = ({ blob } = signedKeyset(2)) =>
  courierMessage.encode({ kind: "keyset", keyset: blob.bytes, signature: blob.signature });
const strangersSeed = new Uint8Array(32).fill(77);

describe("a lock of an older epoch", () => {
  it("[Y15] gets the keyset before the time, and takes what the new keys signed in the same visit", () => {
    const lock = new TinyLock();
    const run = runSync(lock, {
      load: { keyset: signedKeyset(2), policy: loadOf(bundleOf(policyOf(1, 0, 2)), 1, 2) },
      time: nextTime,
    });
    expect(asked(run)).toEqual(["greet", "keyset", "time", "manifest", "read-log", "finish"]);
    expect(refusalsOf(run)).toEqual([]);
    expect(helloOf(run).keysetEpoch).toBe(1);
    expect(reportOf(run)).toMatchObject({ keysetEpoch: 2, epoch: 2, version: 1 });
    expect(lock.pairing.keyset).toEqual(pairingOfEpoch(2).keyset);
  });

  it("[Y15] is greeted again by a courier of the new epoch, whom it knows when the keyset has come", () => {
    const run = runSync(new TinyLock(), {
      load: { certificate: nextCertificate, keyset: signedKeyset(2) },
      time: nextTime,
    });
    expect(asked(run)).toEqual(["greet", "keyset", "greet", "time", "read-log", "finish"]);
    expect(refusalsOf(run)).toEqual([]);
    expect(helloOf(run).keysetEpoch).toBe(2);
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: true });
  });

  it("[Y15] keeps it in one write, and holds it for the visits that follow", () => {
    const lock = new TinyLock();
    runSync(lock, { load: { keyset: signedKeyset(2) }, time: nextTime });
    expect(lock.actions.filter(({ kind }) => kind === "keep-keyset")).toHaveLength(1);
    const again = runSync(lock, { load: { certificate: nextCertificate, keyset: signedKeyset(2) }, time: nextTime });
    expect(asked(again)).toEqual(["greet", "time", "read-log", "finish"]);
    // SPEC Z3: what the old keys signed is worth nothing any more.
    expect(refusalsOf(runSync(lock))).toEqual(["greet: bad-signature"]);
  });

  it("[Y15] a courier without a keyset, or whose keyset does not help, ends after the greeting that was refused", () => {
    const without = runSync(new TinyLock(), { load: { certificate: nextCertificate } });
    expect(asked(without)).toEqual(["greet"]);
    const certificate = { ...certificateFor(), signature: new Uint8Array(64) };
    const useless = runSync(new TinyLock(), { load: { certificate, keyset: signedKeyset(2) } });
    expect(asked(useless)).toEqual(["greet", "keyset", "greet"]);
    for (const run of [without, useless]) {
      expect(refusalsOf(run)).toEqual(["greet: bad-signature"]);
      expect(run.events.at(-1)).toEqual({ kind: "finished", complete: false, fault: "greeting-refused" });
    }
  });

  it("[Y15] only bad-signature brings the keyset out: another refusal of the greeting ends the sync", () => {
    const certificate = certificateFor({ role: "app" });
    const run = runSync(new TinyLock(), { load: { certificate, keyset: signedKeyset(2) } });
    expect(asked(run)).toEqual(["greet"]);
    expect(refusalsOf(run)).toEqual(["greet: not-a-courier"]);
  });

  it("[Y15] after it the old keys' time and policy are refused at once, and the visit goes on", () => {
    const lock = new TinyLock();
    const run = runSync(lock, { load: { keyset: signedKeyset(2), policy: policyFor(2) }, time: honestTime });
    expect(refusalsOf(run)).toEqual(["time: bad-signature", "policy: bad-signature"]);
    expect(reportOf(run)).toMatchObject({ keysetEpoch: 2, epoch: 1, version: 1 });
  });

  it("[Y15] [Z3] a keyset between the pages of an older epoch's policy ends that transfer", () => {
    const visit = new HostileVisit();
    visit.greet();
    const { manifest, bytes } = bundleOf(policyOf(2));
    const page = (offset: number) =>
      courierMessage.encode({ kind: "page", offset, bytes: bytes.subarray(offset, offset + 2_048) });
    const offsets = Array.from({ length: Math.ceil(bytes.length / 2_048) }, (_, index) => index * 2_048);
    const manifestMessage = { kind: "manifest", manifest: manifest.bytes, signature: manifest.signature } as const;
    expect(visit.tell(courierMessage.encode(manifestMessage), ...offsets.slice(0, -1).map(page))).toEqual([
      { kind: "send-pages", offset: 0 },
    ]);
    expect(visit.tell(keysetMessage())).toEqual([{ kind: "keyset-held", epoch: 2 }]);
    visit.tell(...offsets.slice(-1).map(page));
    expect(visit.lock.policy).toMatchObject({ epoch: 1, version: 1 });
    expect(visit.lock.actions.map(({ kind }) => kind)).not.toContain("commit");
  });
});

describe("keysets that a lock does not keep", () => {
  const late = unixSeconds(startMs / 1000 - 1);
  const refused = [
    ["another root", "bad-signature", 1, signedKeyset(2, nextKeys, undefined, strangersSeed)],
    ["an older epoch", "rollback", 2, signedKeyset(1)],
    ["another keyset of the held epoch", "rollback", 1, signedKeyset(1, nextKeys)],
    ["one past its end", "expired", 1, signedKeyset(2, nextKeys, late)],
  ] as const;

  it.each(refused)("[Y15] before the greeting: %s is %s, and the sync ends", (_what, refusal, epoch, keyset) => {
    const lock = new TinyLock();
    lock.pairing = pairingOfEpoch(epoch);
    const certificate = { ...certificateFor(), signature: new Uint8Array(64) };
    const run = runSync(lock, { load: { certificate, keyset } });
    expect(asked(run)).toEqual(["greet", "keyset"]);
    expect(refusalsOf(run)).toEqual([`keyset: ${refusal}`]);
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: false, fault: "greeting-refused" });
    expect(lock.pairing.keyset.keyset.epoch).toBe(epoch);
    expect(lock.actions).toEqual([]);
  });

  it.each(refused)("[Y15] after the greeting: %s is %s, and the sync goes on", (_what, refusal, epoch, { blob }) => {
    const lock = new TinyLock();
    lock.pairing = pairingOfEpoch(epoch);
    const keys = epoch === 1 ? authorityKeys : nextKeys;
    // The courier says 9, so that it offers it; the lock goes by what is signed.
    const run = runSync(lock, {
      load: { certificate: certificateFor({}, keys), keyset: { epoch: 9, blob } },
      time: epoch === 1 ? honestTime : nextTime,
    });
    expect(asked(run)).toEqual(["greet", "keyset", "time", "read-log", "finish"]);
    expect(refusalsOf(run)).toEqual([`keyset: ${refusal}`]);
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: true });
    expect(reportOf(run).keysetEpoch).toBe(epoch);
  });

  it("[Y15] what cannot be stored is not believed either, before and after the greeting", () => {
    const lock = new TinyLock();
    lock.failsToKeepKeyset = true;
    const after = runSync(lock, { load: { keyset: signedKeyset(2) } });
    expect(refusalsOf(after)).toEqual(["keyset: storage-failed"]);
    expect(reportOf(after).keysetEpoch).toBe(1);
    const before = runSync(lock, { load: { certificate: nextCertificate, keyset: signedKeyset(2) } });
    expect(refusalsOf(before)).toEqual(["keyset: storage-failed"]);
    expect(before.events.at(-1)).toMatchObject({ fault: "greeting-refused" });
    expect(lock.pairing.keyset).toEqual(pairingOfEpoch(1).keyset);
  });

  it("[Y15] dates of a keyset are judged by the floor while the clock is not set", () => {
    const keyset = signedKeyset(2, nextKeys, late);
    const lock = new TinyLock();
    lock.clock = clockThat({ floor: unixSeconds(late + 1) });
    expect(refusalsOf(runSync(lock, { load: { keyset } }))).toEqual(["keyset: expired"]);
    lock.clock = clockThat({ floor: late });
    expect(refusalsOf(runSync(lock, { load: { keyset }, time: nextTime }))).toEqual([]);
  });
});

describe("what a keyset tells before the greeting", () => {
  it("[Y2] [Y15] the epoch that is held then, and nothing else of the lock", () => {
    const visit = new HostileVisit();
    expect(visit.tell(keysetMessage())).toEqual([{ kind: "keyset-held", epoch: 2 }]);
    expect(visit.tell(courierMessage.encode({ kind: "read-log", from: 0 }))).toEqual([
      { kind: "refused", request: "read-log", refusal: "unexpected-message" },
    ]);
    expect(visit.lock.actions.map(({ kind }) => kind)).toEqual(["keep-keyset"]);
  });

  it("[Y15] the one that is held already is no fault and no write", () => {
    const visit = new HostileVisit();
    expect(visit.tell(keysetMessage(signedKeyset(1)))).toEqual([{ kind: "keyset-held", epoch: 1 }]);
    expect(visit.lock.actions).toEqual([]);
  });

  it("[Y15] while it is being stored nothing else is taken", () => {
    const sync = new LockSync(pairingOfEpoch(1), courierKey, new Uint8Array(16));
    const facts = new TinyLock().facts();
    sync.receive(keysetMessage(), facts, startsAt);
    sync.receive(keysetMessage(), facts, startsAt);
    const { bytes: certificate, signature } = nextCertificate;
    sync.receive(courierMessage.encode({ kind: "greet", certificate, signature }), facts, startsAt);
    expect(sync.takeMessages()).toHaveLength(2);
    expect(sync.takeActions()).toHaveLength(1);
    sync.keysetKept();
    sync.receive(courierMessage.encode({ kind: "greet", certificate, signature }), facts, startsAt);
    expect(sync.takeMessages()).toHaveLength(2);
  });
});

describe("a new epoch's policies", () => {
  it("[Z3] epoch-not-held: a policy of an epoch whose keyset did not come", () => {
    const lock = new TinyLock();
    const bundle = bundleOf(policyOf(7, 0, 2), undefined, { keys: authorityKeys });
    const run = runSync(lock, { load: { policy: loadOf(bundle, 7, 2) } });
    expect(refusalsOf(run)).toEqual(["policy: epoch-not-held"]);
    expect(lock.policy).toMatchObject({ epoch: 1, version: 1 });
  });

  it("[Z3] nothing of an epoch that was replaced, even if no policy of the new one has come", () => {
    const lock = new TinyLock();
    lock.pairing = pairingOfEpoch(2);
    const bundle = bundleOf(policyOf(9, 0), undefined, { keys: nextKeys });
    const run = runSync(lock, {
      load: { certificate: nextCertificate, policy: loadOf(bundle, 9) },
      time: nextTime,
    });
    expect(refusalsOf(run)).toEqual(["policy: rollback"]);
    expect(lock.policy.version).toBe(1);
  });

  it("[Z4] an equal or older version of the held epoch is a rollback, whatever the courier calls it", () => {
    const lock = new TinyLock();
    lock.held = policyOf(5, 0);
    for (const version of [1, 4, 5]) {
      const run = runSync(lock, { load: { policy: loadOf(bundleOf(policyOf(version, 0)), 6) } });
      expect(refusalsOf(run)).toEqual(["policy: rollback"]);
    }
    expect(refusalsOf(runSync(lock, { load: { policy: loadOf(bundleOf(policyOf(6, 0)), 6) } }))).toEqual([]);
  });

  it("[Z5] begin anywhere, with a snapshot: a lower version number follows in a higher epoch", () => {
    const lock = new TinyLock();
    lock.held = policyOf(120, 0);
    const run = runSync(lock, {
      load: { keyset: signedKeyset(2), policy: loadOf(bundleOf(policyOf(1, 3, 2)), 1, 2) },
      time: nextTime,
    });
    expect(refusalsOf(run)).toEqual([]);
    expect(reportOf(run)).toMatchObject({ epoch: 2, version: 1 });
  });
});
