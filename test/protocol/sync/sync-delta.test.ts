/** Policies on their way: which bundle a courier carries, what a lock checks before and after its bytes, and what it resumes. */
import { describe, expect, it } from "vitest";
import { encodePolicy, type LockPolicy } from "../../../protocol/access/policy.ts";
import { diffPolicy, encodePolicyDelta } from "../../../protocol/access/policy-delta.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { sha256, signTyped, x25519PublicKey } from "../../../protocol/crypto.ts";
import { bundlePages, pageHash } from "../../../protocol/sync/authority.ts";
import type { CarriedBundle } from "../../../protocol/sync/courier-sync.ts";
import { bundleHeader, openSealed, seal } from "../../../protocol/wire/sealing.ts";
import {
  PAGE_BYTES,
  type PolicyManifest,
  policyManifest,
  type SignedBlob,
  signedTypes,
} from "../../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../../protocol/wire/sync-message.ts";
import {
  asked,
  authorityKeys,
  bundleOf,
  certificateFor,
  courierKey,
  HostileVisit,
  nextKeys,
  pairingId,
  pairingKeys,
  pairingOfEpoch,
  policyOf,
  refusalsOf,
  reportOf,
  rootOf,
  runSync,
  startMs,
  TinyLock,
} from "../../world/sync-pair.ts";

const notAfter = unixSeconds(startMs / 1000 + 60);
const [first, second, third] = [policyOf(1, 0), policyOf(2, 2), policyOf(3, 3)];
const paged = (version: number): LockPolicy => policyOf(version, 300);
const deltaOf = (held: LockPolicy, policy: LockPolicy): Uint8Array => encodePolicyDelta(diffPolicy(held, policy));
const snapshotOf = (policy: LockPolicy): Uint8Array => encodePolicyDelta(diffPolicy(undefined, policy));

interface Forged {
  /** What the manifest says. */
  readonly says?: Partial<PolicyManifest>;
  /** What the header of the seal says instead. */
  readonly sealedAs?: Partial<PolicyManifest>;
  readonly sealedUnder?: Uint8Array;
  readonly signedBy?: Uint8Array;
}

/** A bundle of this content for version 2, signed and sealed by an authority that may have lost its mind. */
function forge(content: Uint8Array, { says, sealedAs, sealedUnder, signedBy }: Forged = {}): CarriedBundle {
  const head = { pairingId, epoch: 1, from: 0, to: 2, root: rootOf(second), notAfter, ...says };
  const bytes = seal("bundle", sealedUnder ?? pairingKeys.bundle, bundleHeader({ ...head, ...sealedAs }), content);
  const pages = bundlePages(bytes);
  const rest = { length: bytes.length, pageHashes: pages.length === 1 ? [] : pages.map(pageHash) };
  const manifest = signed({ ...rest, ...head }, signedBy);
  return { from: head.from, manifest, bytes };
}

function signed(manifest: PolicyManifest, by = authorityKeys.policy): SignedBlob {
  const bytes = policyManifest.encode(manifest);
  return { bytes, signature: signTyped(by, signedTypes.policy, bytes) };
}

const manifestMessage = ({ manifest }: CarriedBundle, bundle?: Uint8Array) =>
  courierMessage.encode({
    kind: "manifest",
    manifest: manifest.bytes,
    signature: manifest.signature,
    ...(bundle === undefined ? {} : { bundle }),
  });
const pageMessages = ({ bytes }: CarriedBundle) =>
  bundlePages(bytes).map((page, index) =>
    courierMessage.encode({ kind: "page", offset: index * PAGE_BYTES, bytes: page }),
  );
const refused = (request: "manifest" | "page", refusal: string) => [{ kind: "refused", request, refusal }];

function greeted(lock = new TinyLock()): HostileVisit {
  const visit = new HostileVisit(lock);
  visit.greet();
  return visit;
}

describe("what a courier carries", () => {
  const ways = (policy: LockPolicy, ...bases: readonly LockPolicy[]) => ({
    epoch: policy.epoch,
    version: policy.version,
    bundles: [...bases.map((base) => bundleOf(policy, base)), bundleOf(policy)],
  });
  const carriedFrom = ({ toLock }: ReturnType<typeof runSync>) =>
    toLock.flatMap((bytes) => {
      const message = courierMessage.decode(bytes);
      if (!message.ok || message.value.kind !== "manifest") return [];
      const manifest = policyManifest.decode(message.value.manifest);
      return manifest.ok ? [manifest.value.from] : [];
    });

  it("[Y16] the delta that stands on what the lock's hello says, in one message", () => {
    const lock = new TinyLock();
    lock.held = second;
    const run = runSync(lock, { load: { policy: ways(third, first, second) } });
    expect(carriedFrom(run)).toEqual([2]);
    expect(asked(run)).toEqual(["greet", "time", "manifest", "read-log", "finish"]);
    expect(lock.held).toEqual(third);
    expect(reportOf(run)).toMatchObject({ version: 3, root: rootOf(third) });
  });

  it("[Y16] the snapshot to a lock that holds another version, the same one of another epoch, or nothing", () => {
    for (const held of [first, policyOf(2, 2, 1), undefined]) {
      const lock = new TinyLock();
      lock.held = held;
      const run = runSync(lock, { load: { policy: ways(policyOf(4, 5), third) } });
      expect(carriedFrom(run)).toEqual([0]);
      expect(lock.held).toEqual(policyOf(4, 5));
    }
    const lock = new TinyLock();
    lock.pairing = pairingOfEpoch(2);
    lock.held = second;
    const run = runSync(lock, {
      load: { certificate: certificateFor({}, nextKeys), policy: ways(policyOf(3, 3, 2), policyOf(2, 2, 2)) },
      time: undefined,
    });
    expect(carriedFrom(run)).toEqual([0]);
    expect(lock.held).toEqual(policyOf(3, 3, 2));
  });

  it("[Y16] nothing to a lock that holds that version or a newer one", () => {
    for (const version of [3, 4]) {
      const lock = new TinyLock();
      lock.held = policyOf(version, 0);
      expect(carriedFrom(runSync(lock, { load: { policy: ways(third, second) } }))).toEqual([]);
    }
  });

  it.each([
    ["stands on another policy of that version", "unknown-base", bundleOf(second, policyOf(1, 4))],
    ["does not read", "bad-policy", forge(new Uint8Array(60).fill(7), { says: { from: 1 } })],
    [
      "gives another policy than was signed",
      "root-mismatch",
      forge(deltaOf(first, second), { says: { from: 1, root: rootOf(third) } }),
    ],
    [
      "was damaged on the gateway's disk",
      "seal-does-not-open",
      (({ from, manifest, bytes }) => ({ from, manifest, bytes: bytes.map((byte) => byte ^ 1) }))(
        bundleOf(second, first),
      ),
    ],
    [
      "lost its end on the gateway's disk",
      "malformed-message",
      (({ from, manifest, bytes }) => ({ from, manifest, bytes: bytes.subarray(1) }))(bundleOf(second, first)),
    ],
    [
      "was damaged in one of its pages",
      "page-mismatch",
      (({ manifest, bytes }) => ({
        from: 1,
        manifest,
        bytes: bytes.map((byte, at) => (at === 3_000 ? byte ^ 1 : byte)),
      }))(bundleOf(paged(2), first)),
    ],
  ])("[Y16] if the delta %s (%s), the snapshot in the same visit", (_what, refusal, delta) => {
    const lock = new TinyLock();
    const target = refusal === "page-mismatch" ? paged(2) : second;
    const run = runSync(lock, { load: { policy: { epoch: 1, version: 2, bundles: [delta, bundleOf(target)] } } });
    expect(carriedFrom(run)).toEqual([1, 0]);
    const answers = run.toCourier.map((bytes) => lockMessage.decode(bytes));
    expect(answers).toContainEqual({
      ok: true,
      value: expect.objectContaining({ kind: "refused", refusal }),
    });
    expect(refusalsOf(run)).toEqual([]);
    expect(run.events.filter(({ kind }) => kind === "delta-refused")).toEqual([
      { kind: "delta-refused", refusal, from: 1 },
    ]);
    expect(lock.held).toEqual(target);
  });

  it("[Y16] the snapshot once: if that is refused too, that is said and the visit goes on", () => {
    const lock = new TinyLock();
    const bundles = [forge(new Uint8Array(60).fill(7), { says: { from: 1 } }), forge(new Uint8Array(60).fill(7))];
    const run = runSync(lock, { load: { policy: { epoch: 1, version: 2, bundles } } });
    expect(carriedFrom(run)).toEqual([1, 0]);
    expect(refusalsOf(run)).toEqual(["policy: bad-policy"]);
    expect(run.events).toContainEqual({ kind: "delta-refused", refusal: "bad-policy", from: 1 });
    expect(run.events.at(-1)).toEqual({ kind: "finished", complete: true });
  });

  it("[Y16] no snapshot where it cannot help: a delta that came too late is refused once", () => {
    const expired = unixSeconds(startMs / 1000 - 1);
    const bundles = [
      bundleOf(second, first, { notAfter: expired }),
      bundleOf(second, undefined, { notAfter: expired }),
    ];
    const run = runSync(new TinyLock(), { load: { policy: { epoch: 1, version: 2, bundles } } });
    expect(carriedFrom(run)).toEqual([1]);
    expect(refusalsOf(run)).toEqual(["policy: expired"]);
    expect(run.events.some(({ kind }) => kind === "delta-refused")).toBe(false);
  });
});

describe("what a manifest is checked for before a byte is taken", () => {
  const hashes = (count: number) => Array.from({ length: count }, () => new Uint8Array(16));
  const say = (lock: TinyLock, bundle: CarriedBundle, riding?: Uint8Array) => {
    const answers = greeted(lock).tell(manifestMessage(bundle, riding));
    expect(lock.actions).toEqual([]);
    return answers;
  };

  it("[Y5] a delta stands on the version that is held, of the held epoch", () => {
    for (const from of [2, 4, 5]) {
      const lock = new TinyLock();
      lock.held = third;
      const bundle = forge(deltaOf(third, policyOf(6, 1)), { says: { from, to: 6 } });
      expect(say(lock, bundle, bundle.bytes)).toEqual(refused("manifest", "unknown-base"));
    }
    const lock = new TinyLock();
    lock.held = third;
    lock.pairing = pairingOfEpoch(2);
    const visit = new HostileVisit(lock);
    visit.greet(certificateFor({}, nextKeys));
    const bundle = forge(new Uint8Array(60), { says: { from: 3, to: 4, epoch: 2 }, signedBy: nextKeys.policy });
    expect(visit.tell(manifestMessage(bundle, bundle.bytes))).toEqual(refused("manifest", "unknown-base"));
  });

  it("[Y5] a delta stands on nothing that a lock without a policy holds", () => {
    const lock = new TinyLock();
    lock.held = undefined;
    const bundle = forge(deltaOf(first, second), { says: { from: 1 } });
    expect(say(lock, bundle, bundle.bytes)).toEqual(refused("manifest", "unknown-base"));
  });

  it.each<[string, Partial<PolicyManifest>, number | undefined]>([
    ["rides and is shorter than it says", { length: 101 }, 100],
    ["rides and is longer than it says", { length: 99 }, 100],
    ["rides and has page hashes", { length: 100, pageHashes: hashes(1) }, 100],
    ["rides and is nothing", { length: 0 }, 0],
    ["follows, of no bytes", { length: 0 }, undefined],
    ["follows and has no page hashes", { length: 3_000, pageHashes: [] }, undefined],
    ["follows, of one page, and has no page hash", { length: 100, pageHashes: [] }, undefined],
    ["follows and has a page hash too few", { length: 4_097, pageHashes: hashes(2) }, undefined],
    ["follows and has a page hash too many", { length: 4_096, pageHashes: hashes(3) }, undefined],
  ])("[Y5] the form of a bundle that %s is malformed", (_what, says, riding) => {
    const bundle = forge(new Uint8Array(60), { says });
    expect(say(new TinyLock(), bundle, riding === undefined ? undefined : new Uint8Array(riding))).toEqual(
      refused("manifest", "malformed-message"),
    );
  });

  it("[Y5] in this order: signature, form, pairing, order, end, base", () => {
    const lock = new TinyLock();
    lock.held = third;
    const wrong = {
      length: 99,
      pairingId: new Uint8Array(16),
      to: 3,
      notAfter: unixSeconds(startMs / 1000 - 1),
      from: 2,
    };
    const bundleWith = (says: Partial<PolicyManifest>, signedBy?: Uint8Array) =>
      forge(new Uint8Array(84), { says, ...(signedBy === undefined ? {} : { signedBy }) });
    const steps: readonly [string, CarriedBundle][] = [
      ["bad-signature", bundleWith(wrong, nextKeys.policy)],
      ["malformed-message", bundleWith(wrong)],
      ["wrong-pairing", bundleWith({ ...wrong, length: 100 })],
      ["rollback", bundleWith({ ...wrong, length: 100, pairingId })],
      ["epoch-not-held", bundleWith({ ...wrong, length: 100, pairingId, epoch: 2 })],
      ["expired", bundleWith({ ...wrong, length: 100, pairingId, to: 4 })],
      ["unknown-base", bundleWith({ ...wrong, length: 100, pairingId, to: 4, notAfter })],
    ];
    for (const [refusal, bundle] of steps) {
      expect(say(lock, bundle, bundle.bytes)).toEqual(refused("manifest", refusal));
    }
  });
});

describe("what a whole bundle is checked for", () => {
  const otherPairing = new Uint8Array(16).fill(0x22);
  const content = (isPaged: boolean) => snapshotOf(isPaged ? paged(2) : second);
  const root = (isPaged: boolean) => rootOf(isPaged ? paged(2) : second);
  const tellAll = (bundle: CarriedBundle, lock = new TinyLock()) => {
    const visit = greeted(lock);
    const isRiding = bundle.bytes.length <= PAGE_BYTES;
    const answers = isRiding
      ? visit.tell(manifestMessage(bundle, bundle.bytes))
      : visit.tell(manifestMessage(bundle), ...pageMessages(bundle)).slice(1);
    return { answers, request: isRiding ? ("manifest" as const) : ("page" as const) };
  };

  describe.each([
    ["riding", false],
    ["paged", true],
  ])("%s", (_how, isPaged) => {
    it.each<[string, Forged]>([
      ["another pairing's header", { sealedAs: { pairingId: otherPairing } }],
      ["another pairing's key", { sealedUnder: new Uint8Array(32).fill(9) }],
      ["another use's key", { sealedUnder: pairingKeys.audit }],
      ["another end", { sealedAs: { notAfter: unixSeconds(notAfter + 1) } }],
      ["another version", { sealedAs: { to: 3 } }],
      ["another base", { sealedAs: { from: 1 } }],
      ["another root", { sealedAs: { root: new Uint8Array(32) } }],
      ["another epoch", { sealedAs: { epoch: 2 } }],
    ])("[Y7] [X9] a seal made for %s does not open", (_what, forged) => {
      const lock = new TinyLock();
      const bundle = forge(content(isPaged), { ...forged, says: { root: root(isPaged) } });
      const { answers, request } = tellAll(bundle, lock);
      expect(answers).toEqual(refused(request, "seal-does-not-open"));
      expect(lock.held).toEqual(first);
    });

    it("[Y7] the same bundle sealed as it says is taken", () => {
      const lock = new TinyLock();
      const { answers } = tellAll(forge(content(isPaged), { says: { root: root(isPaged) } }), lock);
      expect(answers).toEqual([{ kind: "committed", epoch: 1, version: 2 }]);
      expect(lock.policy.root).toEqual(root(isPaged));
    });

    it("[Y7] a policy that has not the signed root is not committed", () => {
      const { answers, request } = tellAll(forge(content(isPaged), { says: { root: new Uint8Array(32) } }));
      expect(answers).toEqual(refused(request, "root-mismatch"));
    });

    it("[Y7] a policy of another version or epoch than its manifest says is not committed, though its root is signed", () => {
      const count = isPaged ? 300 : 2;
      for (const policy of [policyOf(3, count), policyOf(2, count, 2)]) {
        const lock = new TinyLock();
        const { answers, request } = tellAll(forge(snapshotOf(policy), { says: { root: rootOf(policy) } }), lock);
        expect(answers).toEqual(refused(request, "bad-policy"));
        expect(lock.actions.map(({ kind }) => kind)).not.toContain("commit");
      }
    });
  });

  it("[Y7] a delta is applied to the policy that is held, and one that calls itself a snapshot is not", () => {
    const lock = new TinyLock();
    const delta = forge(deltaOf(first, second), { says: { from: 1 } });
    expect(tellAll(delta, lock).answers).toEqual([{ kind: "committed", epoch: 1, version: 2 }]);
    expect(encodePolicy(lock.held ?? first)).toEqual(encodePolicy(second));
    const asSnapshot = forge(deltaOf(first, second));
    expect(tellAll(asSnapshot).answers).toEqual(refused("manifest", "unknown-base"));
  });

  it("[X8] what the courier carries is not the policy, and opens under the pairing's key and the manifest's header alone", () => {
    const { manifest, bytes } = bundleOf(second);
    const read = policyManifest.decode(manifest.bytes);
    if (!read.ok) throw new Error(read.fault.code);
    expect(Buffer.from(bytes).includes("card-00001")).toBe(false);
    const opened = openSealed("bundle", pairingKeys.bundle, bundleHeader(read.value), bytes);
    expect(opened).toEqual({ ok: true, value: snapshotOf(second) });
  });
});

describe("a transfer", () => {
  it("[Y6] of a snapshot in pages is resumed by another courier behind the last whole page", () => {
    const bundle = bundleOf(policyOf(2, 600));
    const policy = { epoch: 1, version: 2, bundles: [bundle] };
    const pages = bundlePages(bundle.bytes).length;
    const otherKey = x25519PublicKey(new Uint8Array(32).fill(44));
    const other = certificateFor({ staticPublicKey: otherKey, holder: "phone-of-ana" });
    for (let cutAfter = 3; cutAfter <= 3 + pages; cutAfter++) {
      const lock = new TinyLock();
      runSync(lock, { load: { policy }, cutAfter });
      const staged = lock.staged?.bytes.length ?? 0;
      expect(staged).toBe(Math.min(bundle.bytes.length, (cutAfter - 3) * PAGE_BYTES) % bundle.bytes.length);
      const isDone = cutAfter === 3 + pages;
      expect(lock.policy.version).toBe(isDone ? 2 : 1);
      const resumed = runSync(lock, { load: { policy, certificate: other }, courierPublicKey: otherKey });
      const sent = resumed.events.filter(({ kind }) => kind === "page-sent");
      expect(sent).toHaveLength(isDone ? 0 : pages - staged / PAGE_BYTES);
      // What is staged is not erased to be written again.
      expect(lock.actions.filter(({ kind }) => kind === "begin-staging")).toHaveLength(1);
      expect(lock.policy).toMatchObject({ version: 2, root: rootOf(policyOf(2, 600)) });
    }
  });

  it("[Y6] whose every page is staged is asked for no page, and is opened", () => {
    const bundle = bundleOf(paged(2));
    const lock = new TinyLock();
    lock.staged = { manifestHash: sha256(bundle.manifest.bytes), bytes: bundle.bytes };
    const run = runSync(lock, { load: { policy: { epoch: 1, version: 2, bundles: [bundle] } } });
    expect(asked(run)).toEqual(["greet", "time", "manifest", "read-log", "finish"]);
    expect(lock.held).toEqual(paged(2));
    lock.held = first;
    lock.staged = { manifestHash: sha256(bundle.manifest.bytes), bytes: bundle.bytes };
    lock.failsToCommit = true;
    const failing = runSync(lock, { load: { policy: { epoch: 1, version: 2, bundles: [bundle] } } });
    expect(refusalsOf(failing)).toEqual(["policy: storage-failed"]);
  });

  it("[Y6] is over when another manifest comes: what was left of an older one rolls nothing back", () => {
    const visit = greeted();
    const older = bundleOf(paged(2));
    const newer = bundleOf(policyOf(3, 1), first);
    const pages = pageMessages(older);
    expect(visit.tell(manifestMessage(older), ...pages.slice(0, -1))).toEqual([{ kind: "send-pages", offset: 0 }]);
    expect(visit.tell(manifestMessage(newer, newer.bytes))).toEqual([{ kind: "committed", epoch: 1, version: 3 }]);
    expect(visit.tell(...pages.slice(-1))).toEqual([]);
    expect(visit.lock.held).toEqual(policyOf(3, 1));
  });

  it("[Y6] is over when another manifest comes, though that one is refused", () => {
    const visit = greeted();
    const older = bundleOf(paged(2));
    const pages = pageMessages(older);
    visit.tell(manifestMessage(older), ...pages.slice(0, -1));
    const unsigned = forge(snapshotOf(third), { signedBy: nextKeys.policy });
    expect(visit.tell(manifestMessage(unsigned, unsigned.bytes))).toEqual(refused("manifest", "bad-signature"));
    expect(visit.tell(...pages.slice(-1))).toEqual([]);
    expect(visit.lock.held).toEqual(first);
  });

  it("[Y6] takes pages in order, each of its length and once", () => {
    const bundle = bundleOf(paged(2));
    const [one, two, ...rest] = pageMessages(bundle);
    const page = (offset: number, bytes: Uint8Array) => courierMessage.encode({ kind: "page", offset, bytes });
    const short = page(0, bundle.bytes.subarray(0, PAGE_BYTES - 1));
    const misplaced = page(PAGE_BYTES, bundle.bytes.subarray(0, PAGE_BYTES));
    const empty = page(0, new Uint8Array(0));
    if (one === undefined || two === undefined) throw new Error("a paged bundle has two pages");
    for (const messages of [[two], [short], [misplaced], [empty], [one, one], [one, two, one, ...rest]]) {
      const visit = greeted();
      visit.tell(manifestMessage(bundle));
      expect(visit.tell(...messages)).toEqual(refused("page", "page-mismatch"));
      // What was still on its way behind the wrong page falls silent.
      expect(visit.tell(one, two, ...rest)).toEqual([]);
      expect(visit.lock.held).toEqual(first);
    }
  });

  it("[Y6] is nothing that a page without a manifest begins", () => {
    expect(greeted().tell(...pageMessages(bundleOf(paged(2))))).toEqual([]);
  });

  it("[Y16] of a delta that was refused leaves nothing that the snapshot's transfer could mistake for its own", () => {
    const lock = new TinyLock();
    const delta = forge(deltaOf(first, paged(2)), { says: { from: 1, root: new Uint8Array(32) } });
    expect(delta.bytes.length).toBeGreaterThan(PAGE_BYTES);
    const run = runSync(lock, {
      load: { policy: { epoch: 1, version: 2, bundles: [delta, bundleOf(paged(2))] } },
      courierPublicKey: courierKey,
    });
    expect(asked(run).filter((kind) => kind === "manifest")).toHaveLength(2);
    expect(lock.actions.filter(({ kind }) => kind === "begin-staging")).toHaveLength(2);
    expect(lock.held).toEqual(paged(2));
  });
});
