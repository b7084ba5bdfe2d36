/**
 * The fuzz promise of the door sync, both ends: whatever arrives in whatever order, nothing is thrown, nothing is believed that nobody
 * signed, nothing older is taken, and a hostile end cannot make the other one work without end (SPEC Y1-Y16).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { comparePolicyOrder } from "../../../protocol/access/policy.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { monotonicMs, unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { ed25519PublicKey, type SignedType, signTyped } from "../../../protocol/crypto.ts";
import { answerTime, signRelease } from "../../../protocol/sync/authority.ts";
import { CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { KEYSET_SIGNED_TYPE } from "../../../protocol/wire/keyset.ts";
import { auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import { PAGE_BYTES, policyManifest, type SignedBlob, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type Hello,
  type LockMessage,
  lockMessage,
} from "../../../protocol/wire/sync-message.ts";
import { answerDelegatedTime, issueTimeDelegate } from "../../../protocol/wire/time-delegate.ts";
import {
  authorityKeys,
  bundleOf,
  certificateFor,
  courierKey,
  nextKeys,
  pairingId,
  pairingKeys,
  policyOf,
  reportAfter,
  rootOf,
  rootSeed,
  signedKeyset,
  startMs,
  startsAt,
  TinyLock,
} from "../../world/sync-pair.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../fuzz.ts";
import { courierMessageSamples, lockMessageSamples, lockMessageValues } from "../sync-message-samples.ts";

const nonce = new Uint8Array(16).fill(9);
const delegateSeed = new Uint8Array(32).fill(77);
const certificate = certificateFor();
const held = policyOf(1, 0);
const small = bundleOf(policyOf(2, 5));
const delta = bundleOf(policyOf(3, 3), held);
const large = bundleOf(policyOf(4, 120));
const nextEpoch = bundleOf(policyOf(1, 2, 2));
const time = answerTime(authorityKeys, { pairingId, nonce, unixMs: unixMs(startMs + 9_000), radiusMs: 20 });
const delegate = issueTimeDelegate(authorityKeys.time, {
  publicKey: ed25519PublicKey(delegateSeed),
  holder: "gateway-maple",
  locks: [],
  from: unixSeconds(startMs / 1000 - 60),
  notAfter: unixSeconds(startMs / 1000 + 86_400),
});
const siteTime = answerDelegatedTime(delegateSeed, {
  pairingId,
  nonce,
  unixMs: unixMs(startMs + 60_000),
  radiusMs: 20,
});
const release = signRelease(authorityKeys, { pairingId, through: 2, chainHead: new Uint8Array(32) });

/** What the policies of this test are, by version; nothing else may ever decide. */
const knownRoots = new Set(
  [held, policyOf(2, 5), policyOf(3, 3), policyOf(4, 120), policyOf(1, 2, 2)].map(rootOf).map(bytesToHex),
);

const greet = ({ bytes, signature }: SignedBlob): CourierMessage => ({ kind: "greet", certificate: bytes, signature });
const keyset = ({ bytes, signature }: SignedBlob): CourierMessage => ({ kind: "keyset", keyset: bytes, signature });
const timeSaid = ({ bytes, signature }: SignedBlob): CourierMessage => ({ kind: "time", answer: bytes, signature });
const manifest = ({ bytes, signature }: SignedBlob, bundle?: Uint8Array): CourierMessage => ({
  kind: "manifest",
  manifest: bytes,
  signature,
  ...(bundle === undefined ? {} : { bundle: bundle.slice(0, PAGE_BYTES) }),
});
const pages: readonly CourierMessage[] = Array.from(
  { length: Math.ceil(large.bytes.length / PAGE_BYTES) },
  (_, page) => {
    const at = page * PAGE_BYTES;
    return { kind: "page", offset: at, bytes: large.bytes.slice(at, at + PAGE_BYTES) };
  },
);
const script: readonly CourierMessage[] = [
  greet(certificate),
  keyset(signedKeyset(2).blob),
  keyset(signedKeyset(1).blob),
  timeSaid(time),
  {
    ...timeSaid(siteTime),
    kind: "time",
    answer: siteTime.bytes,
    signature: siteTime.signature,
    delegate: delegate.bytes,
    delegateSignature: delegate.signature,
  },
  manifest(small.manifest, small.bytes),
  manifest(delta.manifest, delta.bytes),
  manifest(nextEpoch.manifest, nextEpoch.bytes),
  manifest(large.manifest),
  ...pages,
  { kind: "release", release: release.bytes, signature: release.signature },
  { kind: "read-log", from: 0 },
  { kind: "read-log", from: 0xffffffff },
  { kind: "finish" },
];
const scriptBytes = script.map((message) => courierMessage.encode(message));

/** Objects that say anything, signed by who may say it: what the authority itself would have to be to send them. */
function resigned(
  seed: Uint8Array,
  type: SignedType,
  sound: readonly Uint8Array[],
  longest: number,
  say: (blob: SignedBlob) => CourierMessage,
) {
  return almost(sound).map((changed) => {
    const bytes = changed.slice(0, longest);
    return courierMessage.encode(say({ bytes, signature: signTyped(seed, type, bytes) }));
  });
}
const strange = fc.oneof(
  resigned(authorityKeys.courier, signedTypes.courier, [certificate.bytes], 2048, greet),
  resigned(authorityKeys.release, signedTypes.release, [release.bytes], 128, ({ bytes, signature }) => ({
    kind: "release",
    release: bytes,
    signature,
  })),
  resigned(authorityKeys.policy, signedTypes.policy, [small.manifest.bytes, large.manifest.bytes], 4096, (blob) =>
    manifest(blob, small.bytes),
  ),
  resigned(authorityKeys.policy, signedTypes.policy, [large.manifest.bytes], 4096, (blob) => manifest(blob)),
  resigned(rootSeed, KEYSET_SIGNED_TYPE, [signedKeyset(2).blob.bytes], 256, keyset),
  resigned(delegateSeed, "doorlink/1/delegated-time", [siteTime.bytes], 128, (blob) => ({
    kind: "time",
    answer: blob.bytes,
    signature: blob.signature,
    delegate: delegate.bytes,
    delegateSignature: delegate.signature,
  })),
);
type Step = { readonly say: Uint8Array } | { readonly afterMs: number } | "drain";
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...scriptBytes).map((say) => ({ say })) },
  { weight: 4, arbitrary: strange.map((say) => ({ say })) },
  { weight: 2, arbitrary: almost([...scriptBytes, ...courierMessageSamples]).map((say) => ({ say })) },
  { weight: 1, arbitrary: fc.nat(3_000).map((afterMs) => ({ afterMs })) },
  { weight: 4, arbitrary: fc.constant("drain" as const) },
);

describe("a lock and a hostile courier", () => {
  it("[Y1] any messages in any order, with the firmware's answers at any time", fuzzTimeout, () => {
    const seen = { committed: 0, keysets: 0, refused: 0 };
    const way = fc.array(step, { maxLength: 25, size: "max" });
    const firmware = fc.record({ failsToCommit: fc.boolean(), failsToKeepKeyset: fc.boolean(), entries: fc.nat(5) });
    fc.assert(
      fc.property(fc.constantFrom(true, true, false), way, firmware, (greets, steps, { entries, ...fails }) => {
        const lock = Object.assign(new TinyLock(), fails);
        lock.addEntries(entries);
        const firstHead = bytesToHex(lock.headBefore);
        const sync = new LockSync(lock.pairing, courierKey, nonce);
        let now = startsAt;
        let hellos = 0;
        let order = lock.policy;
        const drain = (): void => {
          for (let actions = sync.takeActions(); actions.length > 0; actions = sync.takeActions()) {
            for (const action of actions) lock.carryOut(action, sync);
          }
        };
        const hear = (told: number): void => {
          const answers = sync.takeMessages();
          expect(answers.length).toBeLessThanOrEqual(told);
          for (const bytes of answers) {
            const read = lockMessage.decode(bytes);
            if (!read.ok) return expect.fail(read.fault.code);
            if (read.value.kind === "hello") hellos++;
            // SPEC Y2: before the greeting it says no more than no, or which keyset it holds.
            else if (hellos === 0) expect(["refused", "keyset-held"]).toContain(read.value.kind);
            if (read.value.kind === "refused") seen.refused++;
          }
        };
        for (const each of [...(greets ? [{ say: scriptBytes[0] ?? nonce }] : []), ...steps]) {
          if (each === "drain") drain();
          else if ("afterMs" in each) now = monotonicMs(now + each.afterMs);
          else sync.receive(each.say, lock.facts(now), now);
          // A complete manifest of staged pages is answered twice: where to go on, and what came of it.
          hear(2);
          expect(knownRoots).toContain(bytesToHex(lock.policy.root));
          // SPEC Z4: whatever was said, what decides is never older than it was.
          expect(comparePolicyOrder(lock.policy, order)).toBeGreaterThanOrEqual(0);
          order = lock.policy;
        }
        drain();
        hear(2);
        if (bytesToHex(lock.policy.root) !== bytesToHex(rootOf(held))) seen.committed++;
        if (lock.pairing.keyset.keyset.epoch === 2) seen.keysets++;
        if (fails.failsToCommit) expect(bytesToHex(lock.policy.root)).toBe(bytesToHex(rootOf(held)));
        expect(hellos).toBeLessThanOrEqual(1);
        // No release of this test has the true head, so nothing of the log is gone.
        expect([bytesToHex(lock.headBefore), lock.log.length]).toEqual([firstHead, entries]);
      }),
      fuzzRuns(150),
    );
    expect(Math.min(seen.committed, seen.keysets, seen.refused)).toBeGreaterThan(0);
  });
});

const hello: Hello = { ...lockMessageValues.hello, pairingId, epoch: 1, version: 1, keysetEpoch: 1 };

/** How an honest lock answers this request, as far as it matters to the courier; `committed`: the root that it has confirmed. */
function honestAnswer(request: CourierMessage["kind"] | undefined, committed: Uint8Array | undefined): LockMessage {
  switch (request) {
    case "greet":
      return hello;
    case "keyset":
      return { kind: "keyset-held", epoch: 2 };
    case "time":
      return lockMessageValues["time-handled"];
    case "manifest":
      return { kind: "send-pages", offset: 0 };
    case "page":
      return { kind: "committed", epoch: 1, version: 4 };
    case "release":
      return lockMessageValues.released;
    case "read-log":
      return { kind: "log", batch: auditBatch.encode(sealAuditBatch(pairingKeys.audit, pairingId, 0, [])), next: 0 };
    default:
      return reportAfter(hello, committed === undefined ? {} : { version: 4, root: committed });
  }
}

function manifestRoot(bytes: Uint8Array): Uint8Array | undefined {
  const read = policyManifest.decode(bytes);
  return read.ok ? read.value.root : undefined;
}

type Answer = "honest" | "refused" | { readonly say: Uint8Array };
const batches = [0, 1, 64].map((count) => {
  const entries = Array.from({ length: count }, () => new Uint8Array(20));
  return auditBatch.encode(sealAuditBatch(pairingKeys.audit, pairingId, 0, entries));
});
const logAnswer = fc
  .tuple(almost(batches), fc.oneof(fc.nat(200), fc.constant(0xffffffff)))
  .map(([batch, next]) => lockMessage.encode({ kind: "log", batch: batch.slice(0, 4_300), next }));
const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 40, arbitrary: fc.constant("honest" as const) },
  { weight: 2, arbitrary: fc.constant("refused" as const) },
  { weight: 1, arbitrary: fc.constantFrom(...lockMessageSamples).map((say) => ({ say })) },
  { weight: 1, arbitrary: almost(lockMessageSamples).map((say) => ({ say })) },
  { weight: 2, arbitrary: logAnswer.map((say) => ({ say })) },
);

describe("a courier and a hostile lock", () => {
  it("[Y1] any answers in any order: one end at most, and no more work than there is to carry", fuzzTimeout, () => {
    const seen = { complete: 0, broken: 0 };
    const bundles = [delta, large];
    const carried = bundles.reduce((sum, { bytes }) => sum + bytes.length + PAGE_BYTES, 0);
    fc.assert(
      fc.property(
        fc.array(answer, { maxLength: 16, size: "max" }),
        fc.boolean(),
        fc.boolean(),
        (answers, hasTime, isLate) => {
          const courier = new CourierSync({
            certificate,
            keyset: signedKeyset(2, nextKeys),
            policy: {
              epoch: 1,
              version: 4,
              bundles: bundles.map((bundle, index) => ({ ...bundle, from: index === 0 ? 1 : 0 })),
            },
            release,
            logFrom: 0,
          });
          let ends = 0;
          let pageBytes = 0;
          let request: CourierMessage["kind"] | undefined;
          let offered: Uint8Array | undefined;
          let committed: Uint8Array | undefined;
          const owed: ("time" | "entries")[] = [];
          const drain = (): void => {
            for (const event of courier.takeEvents()) {
              expect(ends, "nothing comes behind the end").toBe(0);
              if (event.kind === "time-wanted") owed.push("time");
              if (event.kind === "entries") owed.push("entries");
              if (event.kind === "committed") committed = offered;
              if (event.kind === "finished") {
                ends++;
                seen[event.complete ? "complete" : "broken"]++;
              }
            }
            for (const bytes of courier.takeMessages()) {
              const read = courierMessage.decode(bytes);
              if (!read.ok) return expect.fail(read.fault.code);
              request = read.value.kind;
              if (read.value.kind === "page") pageBytes += read.value.bytes.length;
              if (read.value.kind === "manifest") offered = manifestRoot(read.value.manifest);
              if (read.value.kind === "manifest") pageBytes += read.value.bundle?.length ?? 0;
            }
          };
          /** The gateway keeps its promises while the visit stands, as `agent/ble/visit.ts` does. */
          const settle = (): void => {
            for (const debt of owed.splice(0)) {
              if (ends > 0) continue;
              if (debt === "entries") courier.entriesStored();
              else if (hasTime) courier.provideTime(time, isLate ? delegate : undefined);
              else courier.skipTime();
              drain();
            }
          };
          drain();
          for (const each of answers) {
            // A late gateway owes its answer while the lock already says something.
            if (!isLate || each === "honest") settle();
            const kind = request;
            if (each === "honest") courier.receive(lockMessage.encode(honestAnswer(kind, committed)));
            else if (each === "refused" && kind !== undefined) {
              courier.receive(lockMessage.encode({ kind: "refused", request: kind, refusal: "bad-policy" }));
            } else if (typeof each === "object") courier.receive(each.say);
            drain();
          }
          expect(ends).toBeLessThanOrEqual(1);
          expect(pageBytes).toBeLessThanOrEqual(carried);
        },
      ),
      fuzzRuns(300),
    );
    expect(Math.min(seen.complete, seen.broken)).toBeGreaterThan(0);
  });

  it("[Y6] a lock that asks for the pages again and again gets them once", () => {
    const courier = new CourierSync({ certificate, policy: { epoch: 1, version: 4, bundles: [large] }, logFrom: 0 });
    courier.receive(lockMessage.encode(hello));
    courier.skipTime();
    courier.takeMessages();
    for (let count = 0; count < 100; count++) courier.receive(lockMessage.encode({ kind: "send-pages", offset: 0 }));
    expect(courier.takeMessages()).toHaveLength(Math.ceil(large.bytes.length / PAGE_BYTES));
    expect(courier.takeEvents().at(-1)).toEqual({ kind: "finished", complete: false, fault: "bad-answer" });
  });
});
