/**
 * What a door sync costs on the wire, and how much of the radio's capacity the session uses.
 *
 * Bytes: the codecs and the session really run. The courier sends the signed manifest with the sealed delta in one message when the
 * delta fits one page, otherwise the manifest with its page hashes and then the pages; the lock checks, opens, applies, compares the
 * root and says committed. Counted is every byte of every frame either way, acknowledgements included. Beside them stands full
 * replacement (today's whole policy, page by page) and the information floor of `reference/ble.md` part 5: for each change where it
 * belongs (log2 N bits) and 12 bytes of value, and one signature.
 *
 * The changes are a mix: of ten, five are new permanent codes, three revocations, two new keycards with their keys.
 */
import { encodePolicy, type LockPolicy, type PolicyCredential, policyRoot } from "../../protocol/access/policy.ts";
import { applyPolicyDelta, diffPolicy, encodePolicyDelta } from "../../protocol/access/policy-delta.ts";
import { equalBytes, utf8 } from "../../protocol/base/bytes.ts";
import {
  type CborTypeOf,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborUint,
  cborUnion,
  field,
  optional,
  variant,
} from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { parseDeviceId, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { sha256, signTyped, verifyTyped } from "../../protocol/crypto.ts";
import {
  answerTime,
  authorityKeysFromSeed,
  authorityPublicKeys,
  bundlePages,
  issueCourierCertificate,
  pageHash,
  signRelease,
} from "../../protocol/sync/authority.ts";
import { bundleHeader, openSealed, seal } from "../../protocol/wire/sealing.ts";
import { PAGE_BYTES, policyManifest, type SignedBlob, signedTypes } from "../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import { type BenchOptions, type BenchResult, benchResult, type Figure } from "./result.ts";
import { BenchSession, type LinkModel, oneAtATimeMs, payloadBytes, plainWindowMs } from "./sync-link.ts";

/** Runs everything; `quick` takes fewer seeds, for CI. */
export async function benchSync(options: BenchOptions): Promise<BenchResult> {
  const figures = [...sizes.flatMap(bytesFigures), ...besideFigures(), ...goodputFigures(options.quick ? 2 : 6)];
  return benchResult("sync", figures);
}

// Bytes on the wire.

function bytesFigures(credentials: number): readonly Figure[] {
  const base = policyOf(credentials);
  const replaced = replacementBytes(base);
  const snapshot = transfer(undefined, base);
  const full: Figure = {
    id: `bytes-${credentials}-full`,
    value: snapshot.bytes,
    unit: "bytes",
    anchor: { name: "the policy's own encoding, page by page", value: replaced },
    ratio: rounded(snapshot.bytes / replaced),
    ...(credentials === largest ? { target: "value <= 160,000" } : {}),
    holds: credentials !== largest || snapshot.bytes <= 160_000,
  };
  return [full, ...changeCounts.flatMap((changes) => changeFigures(credentials, changes, snapshot.bytes))];
}

/** The lock ends with so many credentials: it is full, so it begins with as many fewer as are new. */
function changeFigures(credentials: number, changes: number, full: number): readonly Figure[] {
  const id = `bytes-${credentials}-changes-${changes}`;
  const base = policyOf(credentials - Math.ceil(changes * 0.7));
  // A lock that says in its advertisement that it is in sync is not even connected to.
  const { bytes, roundTrips } = changes === 0 ? { bytes: 0, roundTrips: 0 } : transfer(base, changed(base, changes));
  const floor = changes === 0 ? 0 : changes * (Math.log2(credentials) / 8 + 12) + 64;
  const isJudged = changes === 10;
  return [
    {
      id,
      value: bytes,
      unit: "bytes",
      anchor: { name: "full replacement by a snapshot", value: full },
      ratio: rounded(bytes / full),
      ...(isJudged ? { target: "value <= 500" } : {}),
      holds: !isJudged || bytes <= 500,
    },
    {
      id: `${id}-floor`,
      value: bytes,
      unit: "bytes",
      anchor: { name: "information floor", value: Math.round(floor) },
      ...(floor === 0 ? {} : { ratio: rounded(bytes / floor) }),
      holds: true,
    },
    ...(isJudged
      ? [
          {
            id: `${id}-round-trips`,
            value: roundTrips,
            unit: "round trips after hello",
            target: "value <= 1",
            holds: roundTrips <= 1,
          },
        ]
      : []),
  ];
}

/** The messages of a bundle as this bench sends them: those of the sync, with a bundle of one page in the manifest's own message. */
const bundleMessage = cborUnion({
  manifest: variant(
    3,
    cborRecord({
      manifest: field(1, cborBytesUpTo(4_096)),
      signature: field(2, cborBytes(64)),
      bundle: optional(3, cborBytesUpTo(PAGE_BYTES)),
    }),
  ),
  page: variant(4, cborRecord({ offset: field(1, cborUint(2 ** 20)), bytes: field(2, cborBytesUpTo(PAGE_BYTES)) })),
});
const committedMessage = cborUnion({
  committed: variant(4, cborRecord({ epoch: field(1, cborUint(0xffffffff)), version: field(2, cborUint(0xffffffff)) })),
});

/** Carries `target` to a lock that holds `base`, over a link without loss; the bytes of all frames and how often an answer was awaited. */
function transfer(base: LockPolicy | undefined, target: LockPolicy): { bytes: number; roundTrips: number } {
  const { messages, manifest } = bundleOf(base, target);
  const session = new BenchSession(quietLink, 1);
  const before = session.traffic().bytes;
  const arrived = session.send("courier", messages);
  const applied = applyAtLock(base, arrived);
  assert(equalBytes(policyRoot(applied), manifest.root), "the lock holds what was meant");
  session.send("lock", [committedMessage.encode({ kind: "committed", epoch: target.epoch, version: target.version })]);
  session.settle();
  return { bytes: session.traffic().bytes - before, roundTrips: session.answers };
}

function bundleOf(base: LockPolicy | undefined, target: LockPolicy) {
  const root = policyRoot(encodePolicy(target));
  const head = { pairingId, epoch: target.epoch, from: base?.version ?? 0, to: target.version, root, notAfter: later };
  const sealed = seal("bundle", sealKey, bundleHeader(head), encodePolicyDelta(diffPolicy(base, target)));
  const pages = bundlePages(sealed);
  const isSmall = pages.length === 1;
  const manifest = { ...head, length: sealed.length, pageHashes: isSmall ? [] : pages.map(pageHash) };
  const bytes = policyManifest.encode(manifest);
  const signature = signTyped(authority.policy, signedTypes.policy, bytes);
  const first = { kind: "manifest", manifest: bytes, signature, ...(isSmall ? { bundle: sealed } : {}) } as const;
  const following = isSmall
    ? []
    : pages.map((page, index) => ({ kind: "page", offset: index * PAGE_BYTES, bytes: page }) as const);
  return { messages: [first, ...following].map((message) => bundleMessage.encode(message)), manifest };
}

/** What the lock does with the messages: signature, pages, seal, delta. Gives the encoded policy it would commit. */
function applyAtLock(base: LockPolicy | undefined, arrived: readonly Uint8Array[]): Uint8Array {
  let head: Extract<CborTypeOf<typeof bundleMessage>, { kind: "manifest" }> | undefined;
  const pages: Uint8Array[] = [];
  for (const bytes of arrived) {
    const message = bundleMessage.decode(bytes);
    assert(message.ok, "the lock reads each message");
    if (message.value.kind === "manifest") head = message.value;
    else pages.push(message.value.bytes);
  }
  assert(head !== undefined, "a manifest came");
  assert(verifyTyped(publicKeys.policy, signedTypes.policy, head.manifest, head.signature), "the authority signed it");
  const manifest = policyManifest.decode(head.manifest);
  assert(manifest.ok, "the lock reads the manifest");
  const hashes = manifest.value.pageHashes;
  assert(
    hashes.every((hash, index) => equalBytes(hash, pageHash(pages[index] ?? empty))),
    "each page is its hash's",
  );
  const sealed = head.bundle ?? new Uint8Array(Buffer.concat(pages));
  const opened = openSealed("bundle", sealKey, bundleHeader(manifest.value), sealed);
  assert(opened.ok, "the seal opens");
  const applied = applyPolicyDelta(base, opened.value);
  assert(applied.ok, "the delta fits what the lock holds");
  return applied.value.bytes;
}

/** The policy as it is encoded, unsealed, page by page with an answer before and after: what every version would cost without deltas. */
function replacementBytes(policy: LockPolicy): number {
  const bundle = encodePolicy(policy);
  const session = new BenchSession(quietLink, 1);
  const before = session.traffic().bytes;
  const pages = bundlePages(bundle);
  const manifest = policyManifest.encode({
    pairingId,
    epoch: policy.epoch,
    from: 0,
    to: policy.version,
    length: bundle.length,
    pageHashes: pages.map(pageHash),
    root: sha256(bundle),
    notAfter: later,
  });
  const signature = signTyped(authority.policy, signedTypes.policy, manifest);
  session.send("courier", [courierMessage.encode({ kind: "manifest", manifest, signature })]);
  session.send("lock", [lockMessage.encode({ kind: "send-pages", offset: 0 })]);
  session.send(
    "courier",
    pages.map((bytes, index) => courierMessage.encode({ kind: "page", offset: index * PAGE_BYTES, bytes })),
  );
  const { epoch, version } = policy;
  session.send("lock", [lockMessage.encode({ kind: "committed", epoch, version, root: sha256(bundle) })]);
  session.settle();
  return session.traffic().bytes - before;
}

// What every visit costs beside its bundle.

function besideFigures(): readonly Figure[] {
  const session = new BenchSession(quietLink, 1);
  const costs: [string, number][] = [["handshake", session.traffic().bytes]];
  const exchange = (name: string, ask: Uint8Array, answer: Uint8Array): void => {
    const before = session.traffic().bytes;
    session.send("courier", [ask]);
    session.send("lock", [answer]);
    session.settle();
    costs.push([name, session.traffic().bytes - before]);
  };
  const blob = ({ bytes, signature }: SignedBlob) => ({ bytes, signature });
  const certificate = blob(
    issueCourierCertificate(authority, {
      staticPublicKey: publicKeys.static,
      holder: "gateway-main",
      role: "courier",
      locks: [],
      notAfter: later,
    }),
  );
  const greet = { kind: "greet", certificate: certificate.bytes, signature: certificate.signature } as const;
  exchange("greeting-and-hello", courierMessage.encode(greet), lockMessage.encode(helloMessage()));
  const now = unixMs(issuedAt * 1_000);
  const time = answerTime(authority, { pairingId, nonce: nonceOf("lock"), unixMs: now, radiusMs: 50 });
  const handled = { kind: "time-handled", oldUnixMs: now, newUnixMs: now, written: false } as const;
  const timeMessage = { kind: "time", answer: time.bytes, signature: time.signature } as const;
  exchange("time", courierMessage.encode(timeMessage), lockMessage.encode(handled));
  const release = signRelease(authority, { pairingId, through: 400, chainHead: sha256(pairingId) });
  const releaseMessage = { kind: "release", release: release.bytes, signature: release.signature } as const;
  exchange("release", courierMessage.encode(releaseMessage), lockMessage.encode({ kind: "released", through: 400 }));
  return costs.map(([name, value]) => ({ id: `beside-${name}`, value, unit: "bytes", holds: true }));
}

function helloMessage() {
  return {
    kind: "hello",
    pairingId,
    model: "C2",
    firmware: "1.4.2",
    hardware: "rev-b",
    bootCount: 12,
    epoch: 1,
    version: 1_000,
    root: sha256(pairingId),
    stagedBytes: 0,
    logFirst: 300,
    logNext: 420,
    clock: "set",
    unixMs: unixMs(issuedAt * 1_000),
    uptimeSeconds: 500_000,
    batteryMillivolts: 5_600,
    batteryPercent: 80,
    nonce: nonceOf("lock"),
  } as const;
}

// Goodput.

function goodputFigures(seeds: number): readonly Figure[] {
  return goodputLinks.flatMap((link) =>
    losses.flatMap((loss) => {
      const model = { ...link, loss, reorderDepth: 8 };
      const isJudged = link.framesPerEvent < fullAt2M;
      const share = mean(seeds, (seed) => sessionShare(model, seed));
      const name = `goodput-${link.framesPerEvent}-per-${link.intervalMs}-ms-loss-${loss * 100}`;
      const beside = (anchor: string, other: number): Figure => ({
        id: `${name}-beside-${anchor}`,
        value: rounded(share),
        unit: "share of the link",
        anchor: { name: anchor, value: rounded(other) },
        ratio: rounded(share / other),
        holds: true,
      });
      return [
        {
          id: name,
          value: rounded(share),
          unit: "share of the link",
          ...(isJudged ? { target: "value >= 0.9" } : {}),
          holds: !isJudged || share >= 0.9,
        },
        beside(
          "one-request-at-a-time",
          mean(seeds, (seed) => shareOf(model, 60, oneAtATimeMs(model, 60, seed))),
        ),
        beside(
          "window-without-bitmap",
          mean(seeds, (seed) => shareOf(model, plainFrames, plainWindowMs(model, plainFrames, seed))),
        ),
      ];
    }),
  );
}

/** The share of the link's capacity, which is the slots that it does not lose; the end of the transfer is counted. */
function sessionShare(model: LinkModel, seed: number): number {
  const session = new BenchSession(model, seed);
  const beganMs = session.nowMs;
  const messages = Array.from({ length: 8 }, (_, index) => new Uint8Array(20_000).fill(index));
  session.send("courier", messages);
  return shareOf(model, (8 * 20_002) / payloadBytes, session.nowMs - beganMs);
}

function shareOf({ intervalMs = 50, framesPerEvent = 6, loss = 0 }: LinkModel, frames: number, ms: number): number {
  const slots = ms / (intervalMs / framesPerEvent);
  return frames / (slots * (1 - loss));
}

function mean(seeds: number, measure: (seed: number) => number): number {
  return Array.from({ length: seeds }, (_, index) => measure(index + 2)).reduce((sum, one) => sum + one, 0) / seeds;
}

// The policies.

/** Two fifths apps, two fifths permanent codes, one fifth keycards with keys, all valid without end. */
function policyOf(credentials: number): LockPolicy {
  const deviceId = parseDeviceId("c2-lobby");
  assert(deviceId !== undefined, "the device has a name");
  return {
    siteId: "maple-court",
    deviceId,
    doorId: "lobby",
    epoch: 1,
    version: 1_000,
    issuedAt,
    model: "C2",
    takes: ["app-key", "permanent-doorcode", "daily-doorcode", "keycard"],
    keypad: {
      dailyDigits: 7,
      singleUseSlots: 28,
      allDaySlots: 4,
      digitTimeoutMs: 5_000,
      deadboltRefusesDaily: false,
      triesAtOnce: 10,
      refillSeconds: 4_320,
    },
    doorAssigned: true,
    leaseEnd: { app: unixSeconds(issuedAt + 30 * 86_400), keycard: unixSeconds(issuedAt + 30 * 86_400) },
    zone: {
      from: unixSeconds(issuedAt - 604_800),
      until: unixSeconds(issuedAt + 252_460_800),
      initialOffsetSeconds: -14_400,
      transitions: Array.from({ length: 16 }, (_, index) => ({
        at: unixSeconds(issuedAt + 2_000_000 + index * 15_768_000),
        offsetSeconds: index % 2 === 0 ? -18_000 : -14_400,
      })),
    },
    schedules: [{ id: "weekdays", weekly: [[480, 1_050]], dated: [] }],
    holidays: [],
    rights: [[], [{ observesHolidays: false }], [{ schedule: 0, observesHolidays: true }]],
    credentials: Array.from({ length: credentials }, (_, index) => credentialOf(index)).sort(byId),
  };
}

/** Ids leave room for ten between each two, so that new ones can stand anywhere in the list. */
function credentialOf(index: number, between = 0): PolicyCredential {
  const place = String(100_000 + index * 10 + between);
  const common = { state: "active", assigned: true, rights: 1 + (index % 2) } as const;
  const lookup = sha256(utf8(`lookup ${place}`)).subarray(0, 8);
  if (index % 5 < 2) return { id: `app-${place}`, kind: "app-key", ...common };
  if (index % 5 < 4) return { id: `code-${place}`, kind: "permanent-doorcode", ...common, keypadLookup: lookup };
  return {
    id: `card-${place}`,
    kind: "keycard",
    ...common,
    tokenLookup: lookup,
    cardKey: sha256(lookup).subarray(0, 16),
  };
}

/** An hour later: of ten changes five new codes, three revocations, two new cards, spread over the whole list. */
function changed(base: LockPolicy, changes: number): LockPolicy {
  const held = base.credentials.length;
  const kinds = ["code", "code", "revoke", "code", "card", "revoke", "code", "card", "revoke", "code"] as const;
  const revoked = new Set<string>();
  const added: PolicyCredential[] = [];
  for (let change = 0; change < changes; change++) {
    const kind = kinds[change % kinds.length];
    const place = Math.floor((change * held) / changes);
    const [credential] = base.credentials.slice(place);
    if (kind === "revoke" && credential !== undefined) revoked.add(credential.id);
    else added.push(credentialOf(place - (place % 5) + (kind === "card" ? 4 : 3), 1 + (change % 9)));
  }
  const kept = base.credentials.map((one) => (revoked.has(one.id) ? { ...one, state: "revoked" as const } : one));
  const shift = (instant: number) => unixSeconds(instant + 3_600);
  return {
    ...base,
    version: base.version + 1,
    issuedAt: shift(base.issuedAt),
    leaseEnd: { app: shift(base.leaseEnd.app ?? 0), keycard: shift(base.leaseEnd.keycard ?? 0) },
    zone: { ...base.zone, from: shift(base.zone.from), until: shift(base.zone.until) },
    credentials: [...kept, ...added].sort(byId),
  };
}

function byId(left: PolicyCredential, right: PolicyCredential): number {
  return left.id < right.id ? -1 : 1;
}

function nonceOf(name: string): Uint8Array {
  return sha256(utf8(name)).subarray(0, 16);
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

const largest = 5_000;
const sizes = [1_000, largest];
const changeCounts = [0, 1, 10, 100, 500];
const losses = [0, 0.01, 0.1];
/**
 * BlueZ's own interval with what phones and gateways really carry, the same filled at 1M PHY, and a short one at 2M. The last, 35 at
 * 2M, is shown and not judged: there 160 kB are a second, and the round trip at their end alone is a tenth of it.
 */
const fullAt2M = 35;
const goodputLinks = [
  { intervalMs: 50, framesPerEvent: 6 },
  { intervalMs: 50, framesPerEvent: 19 },
  { intervalMs: 15, framesPerEvent: 10 },
  { intervalMs: 50, framesPerEvent: fullAt2M },
] as const;
const quietLink: LinkModel = { intervalMs: 50, framesPerEvent: 6 };
const plainFrames = 300;

const issuedAt = unixSeconds(1_790_000_000);
const later = unixSeconds(issuedAt + 7 * 86_400);
const pairingId = nonceOf("pairing");
const sealKey = sha256(utf8("bundle key"));
const authority = authorityKeysFromSeed(sha256(utf8("bench authority")));
const publicKeys = authorityPublicKeys(authority);
const empty = new Uint8Array(0);
