/**
 * What a door sync costs on the wire, byte by byte of every frame either way, acknowledgements included: the real machines on a link
 * that loses nothing, with pauses between requests, so that each request is counted by itself. Beside it stand full replacement
 * (today's whole policy, page by page) and the information floor of `reference/ble.md` part 5: for each change where it belongs
 * (log2 N bits) and 12 bytes of value, and one signature.
 */

import { TimedLock } from "../../emulator/device/timed-lock.ts";
import { type Exchange, likelyVisit, runTimedVisit, type VisitModel } from "../../emulator/device/timed-visit.ts";
import { encodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { unixSeconds } from "../../protocol/base/units.ts";
import { bundlePages, signOpenSnapshot } from "../../protocol/sync/authority.ts";
import { PAGE_BYTES } from "../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import { type Figure, rounded } from "./result.ts";
import { BenchSession } from "./sync-link.ts";
import { changed, issuedAt, newShare, policyOf } from "./sync-policies.ts";

export const bytesModel =
  "bytes: every frame either way with its 24 bytes of header and tag and all acknowledgements, no loss; of ten changes five are new permanent codes, three revocations, two new keycards with their keys";

export function bytesFigures(): readonly Figure[] {
  return [...sizes.flatMap(figuresOf), ...besideFigures()];
}

function figuresOf(credentials: number): readonly Figure[] {
  const target = policyOf(credentials);
  const replaced = replacementBytes(target);
  const snapshot = transfer(undefined, target);
  const isLargest = credentials === largest;
  const full: Figure = {
    id: `bytes-${credentials}-full`,
    value: snapshot.bytes,
    unit: "bytes",
    anchor: { name: "the policy's own encoding, page by page", value: replaced },
    ratio: rounded(snapshot.bytes / replaced),
    ...(isLargest ? { target: "value <= 160,000" } : {}),
    holds: !isLargest || snapshot.bytes <= 160_000,
  };
  return [full, ...changeCounts.flatMap((changes) => changeFigures(credentials, changes, snapshot.bytes))];
}

/** The lock ends with so many credentials: it is full, so it begins with as many fewer as are new. */
function changeFigures(credentials: number, changes: number, full: number): readonly Figure[] {
  const id = `bytes-${credentials}-changes-${changes}`;
  const base = policyOf(credentials - Math.ceil(changes * newShare));
  // A lock that says in its advertisement that it is in sync is not even connected to.
  const { bytes, roundTrips } = changes === 0 ? { bytes: 0, roundTrips: 0 } : transfer(base, changed(base, changes));
  const floor = changes === 0 ? 0 : changes * (Math.log2(credentials) / 8 + 12) + 64;
  const isJudged = changes === 10;
  const figures: Figure[] = [
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
  ];
  if (!isJudged) return figures;
  const trips = { value: roundTrips, unit: "round trips after hello", target: "value <= 1", holds: roundTrips <= 1 };
  return [...figures, { id: `${id}-round-trips`, ...trips }];
}

/** Carries `target` to a lock that holds `base`: the bytes of manifest and pages, and how often the courier waited for an answer to them. */
function transfer(base: LockPolicy | undefined, target: LockPolicy): { bytes: number; roundTrips: number } {
  const carrying = visitOf(base, target).filter(({ asked }) => asked === "manifest" || asked === "page");
  return {
    bytes: carrying.reduce((sum, { bytes }) => sum + bytes, 0),
    roundTrips: carrying.reduce((sum, { answers }) => sum + answers, 0),
  };
}

function visitOf(base: LockPolicy | undefined, target: LockPolicy): readonly Exchange[] {
  const lock = new TimedLock("c2-lobby", issuedAt);
  if (base !== undefined) lock.install(base);
  const visit = runTimedVisit(countingVisit, lock, lock.load(target, base), { seed: 1, startMs: 60_000 });
  assert(visit?.committedMs !== undefined, "the visit commits");
  assert(lock.firmware.policy.version === target.version, "the lock holds what was meant");
  return visit.exchanges;
}

/** The policy as it is encoded, unsealed, page by page with an answer before and after: what every version would cost without deltas. */
function replacementBytes(policy: LockPolicy): number {
  const { epoch, version } = policy;
  const { authority, record } = new TimedLock("c2-lobby", issuedAt).pairing;
  const bundle = encodePolicy(policy);
  const notAfter = unixSeconds(policy.issuedAt + 86_400);
  const head = { pairingId: record.pairingId, epoch, version, notAfter };
  const { bytes: manifest, signature } = signOpenSnapshot(authority, head, bundle);
  const session = new BenchSession(countingVisit.link, 1);
  const before = session.traffic().bytes;
  session.send("courier", [courierMessage.encode({ kind: "manifest", manifest, signature })]);
  session.send("lock", [lockMessage.encode({ kind: "send-pages", offset: 0 })]);
  const pages = bundlePages(bundle).map((bytes, index) =>
    courierMessage.encode({ kind: "page", offset: index * PAGE_BYTES, bytes }),
  );
  session.send("courier", pages);
  session.send("lock", [lockMessage.encode({ kind: "committed", epoch, version })]);
  session.settle();
  return session.traffic().bytes - before;
}

/** What every visit costs beside its bundle. */
function besideFigures(): readonly Figure[] {
  const base = policyOf(besideCredentials);
  const exchanges = visitOf(base, changed(base, 1));
  return besideNames.map(([asked, name]) => {
    const value = exchanges.filter((each) => each.asked === asked).reduce((sum, { bytes }) => sum + bytes, 0);
    assert(value > 0, "each request is made");
    return { id: `beside-${name}`, value, unit: "bytes", holds: true };
  });
}

const largest = 5_000;
const sizes = [1_000, largest];
const changeCounts = [0, 1, 10, 100, 500];
const besideCredentials = 100;
const besideNames = [
  ["handshake", "handshake"],
  ["greet", "greeting-and-hello"],
  ["time", "time"],
  ["release", "release"],
  ["read-log", "two-log-requests"],
  ["finish", "report-and-good-bye"],
] as const;
/** A second after each answer everything is acknowledged, and the lock still takes the time answer (2 s). No work, so no probes for it. */
const countingVisit: VisitModel = {
  ...likelyVisit,
  link: { intervalMs: 50, framesPerEvent: 6 },
  lock: { handshakeMs: 0, signatureMs: 0, byteMs: 0, flashByteMs: 0 },
  pauseMs: 1_000,
};
