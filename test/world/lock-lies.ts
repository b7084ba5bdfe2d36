/**
 * What a hostile lock says. It is a paired lock: it has its session's keys, seals its log and MACs its report like an honest one, so each
 * of these passes every check of keys, and only what is said is false. The firmware behind it stays honest; between it and the session
 * stands one of these.
 */
import type { SeededRandom } from "../../emulator/world/random.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { encodeCbor } from "../../protocol/base/cbor.ts";
import { cborBytes, cborRecord, cborUint, field } from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { unixMs } from "../../protocol/base/units.ts";
import { hkdfSha256, hmacSha256 } from "../../protocol/crypto.ts";
import { macReport } from "../../protocol/sync/authority.ts";
import type { LockPairing } from "../../protocol/sync/lock-sync.ts";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { AUDIT_BATCH_ENTRIES, auditBatch, openAuditBatch, seal } from "../../protocol/wire/sealing.ts";
import { BUNDLE_LIMIT_BYTES, type LockReport, lockReport } from "../../protocol/wire/signed-objects.ts";
import {
  type CourierMessage,
  type LockMessage,
  type Refusal,
  refusalNumbers,
} from "../../protocol/wire/sync-message.ts";

/**
 * What honest couriers and the authority make of it. `contradicted`: the lock contradicts itself or the protocol, so a visit in which it
 * was told does not go through. `claimed`: nobody can tell, or only the authority; when the lock is honest again, all is well again.
 * `forsworn`: it has sworn its own log away, which stays flagged until the lock is paired anew.
 */
export type LieKind = "contradicted" | "claimed" | "forsworn";

export interface LieContext {
  readonly random: SeededRandom;
  readonly pairing: LockPairing;
  readonly otherPairingId: Uint8Array;
  /** What the courier asked last. */
  readonly asked: CourierMessage | undefined;
  /** The last of each thing that the lock said, in this visit and before, to be said again. */
  readonly kept: ReadonlyMap<LockMessage["kind"], LockMessage>;
  /** The policy that was offered in this visit. */
  readonly offered: PolicyClaim | undefined;
}

export interface PolicyClaim {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
}

export interface Lie {
  readonly name: string;
  readonly kind: LieKind;
  /** What is said instead, in this order; undefined: the truth. */
  readonly tell: (said: LockMessage, context: LieContext) => readonly LockMessage[] | undefined;
  /** It says that it has committed and keeps what it had. */
  readonly keepsOldPolicy?: boolean;
}

type Said<Kind extends LockMessage["kind"]> = Extract<LockMessage, { kind: Kind }>;
type Tell = Lie["tell"];

/** Some of the lies cost the world more than others (a log without end): those are drawn less often. */
export function drawLie(random: SeededRandom): Lie {
  const drawn = lies[random.integer(lies.length)];
  assert(drawn !== undefined, "there are lies");
  return drawn.name === "log-without-end" && random.next() < 0.7 ? drawLie(random) : drawn;
}

function when<Kind extends LockMessage["kind"]>(
  kind: Kind,
  tell: (said: Said<Kind>, context: LieContext) => readonly LockMessage[] | undefined,
): Tell {
  return (said, context) => (isKind(said, kind) ? tell(said, context) : undefined);
}

function isKind<Kind extends LockMessage["kind"]>(said: LockMessage, kind: Kind): said is Said<Kind> {
  return said.kind === kind;
}

function either(...tells: readonly Tell[]): Tell {
  return (said, context) => {
    for (const tell of tells) {
      const told = tell(said, context);
      if (told !== undefined) return told;
    }
    return undefined;
  };
}

function hello(change: (said: Said<"hello">, context: LieContext) => Partial<Said<"hello">>): Tell {
  return when("hello", (said, context) => [{ ...said, ...change(said, context) }]);
}

/** A changed report has its MAC as an honest one has. */
function report(change: (said: LockReport, context: LieContext) => Partial<LockReport>): Tell {
  return when("report", (said, context) => {
    const read = lockReport.decode(said.report);
    assert(read.ok, "a lock's report decodes");
    const bytes = lockReport.encode({ ...read.value, ...change(read.value, context) });
    return [{ kind: "report", report: bytes, mac: macReport(context.pairing.keys.report, bytes) }];
  });
}

interface RunClaim {
  readonly from: number;
  readonly count: number;
  readonly entries: readonly Uint8Array[];
}

/** A sealed run whose header says what it will. */
function sealedRun({ pairing }: LieContext, { from, count, entries }: RunClaim, plaintext = encodeCbor([...entries])) {
  const key = pairing.keys.audit;
  const tagKey = hkdfSha256(key, new Uint8Array(0), utf8("doorlink/1/seal/audit-tag"), 32);
  const header = { pairingId: pairing.pairingId, from, count, tag: hmacSha256(tagKey, plaintext).subarray(0, 16) };
  const sealed = seal("audit", key, runHeader.encode(header), plaintext);
  return { kind: "log", batch: auditBatch.encode({ ...header, sealed }), next: capped(from + count) } as const;
}

const runHeader = cborRecord({
  pairingId: field(1, cborBytes(16)),
  from: field(2, cborUint(0xffffffff)),
  count: field(3, cborUint(AUDIT_BATCH_ENTRIES)),
  tag: field(4, cborBytes(16)),
});

function entriesOf({ batch }: Said<"log">, { pairing }: LieContext): RunClaim {
  const read = auditBatch.decode(batch);
  assert(read.ok, "a lock's batch decodes");
  const entries = openAuditBatch(pairing.keys.audit, read.value);
  assert(entries.ok, "a lock's batch opens");
  return { from: read.value.from, count: read.value.count, entries: entries.value };
}

/**
 * Another run than the true one; where the lie has led the courier beyond the log's end, there is no more. The lie is told in the first
 * answer of a visit, which alone has a true run behind it when anything is new.
 */
function run(change: (claim: RunClaim, context: LieContext) => RunClaim | undefined): Tell {
  return when("log", (said, context) => {
    const claim = entriesOf(said, context);
    const asked = context.asked?.kind === "read-log" ? context.asked.from : claim.from;
    const lie = claim.count === 0 ? undefined : change(claim, context);
    if (lie !== undefined) return [sealedRun(context, lie)];
    return said.next < asked ? [sealedRun(context, { from: asked, count: 0, entries: [] })] : undefined;
  });
}

/** Entries with other numbers, sealed as if they were so. */
function renumbered(entries: readonly Uint8Array[], by: number, boots: number): readonly Uint8Array[] {
  return entries.map((bytes) => {
    const read = auditEntry.decode(bytes);
    assert(read.ok, "a lock's entries decode");
    const { sequence, boot } = read.value;
    return auditEntry.encode({ ...read.value, sequence: sequence + by, boot: boot + boots });
  });
}

function capped(value: number): number {
  return Math.min(uint32Max, value);
}

const FAR = 100_000;
const uint32Max = 0xffff_ffff;

function claimed(name: string, tell: Tell): Lie {
  return { name, kind: "claimed", tell };
}

function contradicted(name: string, tell: Tell): Lie {
  return { name, kind: "contradicted", tell };
}

function forsworn(name: string, tell: Tell): Lie {
  return { name, kind: "forsworn", tell };
}

export const lies: readonly Lie[] = [
  // What it holds.
  contradicted(
    "hello-more",
    // Of an epoch beyond all: whatever is to be brought looks older, so nothing is, and the report gives the lie away.
    hello(({ epoch, version }) => ({ epoch: epoch + 1_000, version: capped(version + 1_000) })),
  ),
  claimed(
    "hello-nothing",
    hello(() => ({ epoch: 0, version: 0, root: new Uint8Array(32) })),
  ),
  claimed(
    "more-than-was-signed",
    either(
      hello(({ version }) => ({ version: capped(version + 1_000) })),
      report(({ version }) => ({ version: capped(version + 1_000) })),
    ),
  ),
  claimed(
    "an-epoch-ahead",
    either(
      hello(({ epoch }) => ({ epoch: epoch + 1, keysetEpoch: uint32Max })),
      report(({ epoch }) => ({ epoch: epoch + 1, keysetEpoch: uint32Max })),
    ),
  ),
  claimed(
    "the-last-version-of-all",
    either(
      hello(() => ({ epoch: uint32Max, version: uint32Max })),
      report(() => ({ epoch: uint32Max, version: uint32Max })),
    ),
  ),
  claimed(
    "an-older-version",
    either(
      hello(({ version }) => ({ version: Math.max(0, version - 1) })),
      report(({ version }) => ({ version: Math.max(0, version - 1) })),
    ),
  ),
  claimed(
    "another-root",
    either(
      hello(() => ({ root: new Uint8Array(32).fill(7) })),
      report(() => ({ root: new Uint8Array(32).fill(7) })),
    ),
  ),
  {
    ...claimed(
      "commits-nothing",
      report((_said, { offered }) => offered ?? {}),
    ),
    keepsOldPolicy: true,
  },
  contradicted(
    "commits-another",
    when("committed", (said) => [{ ...said, version: said.version + 1 }]),
  ),
  contradicted(
    "pages-from-nowhere",
    when("send-pages", ({ offset }, { random }) => [
      { kind: "send-pages", offset: Math.min(BUNDLE_LIMIT_BYTES, offset + 1 + random.integer(2_000)) },
    ]),
  ),
  contradicted(
    "pages-again",
    when("send-pages", (said) => [said, said]),
  ),
  contradicted(
    "report-more",
    report(({ version }) => ({ version: version + 1 })),
  ),
  contradicted(
    "report-less",
    report(({ version }) => ({ version: version === 0 ? 1 : version - 1 })),
  ),
  contradicted(
    "report-root",
    report(() => ({ root: new Uint8Array(32).fill(9) })),
  ),
  // Who it is, and how it is.
  contradicted(
    "hello-of-another",
    hello((_said, { otherPairingId }) => ({ pairingId: otherPairingId })),
  ),
  contradicted(
    "report-of-another",
    report((_said, { otherPairingId }) => ({ pairingId: otherPairingId })),
  ),
  contradicted(
    "report-of-before",
    when("report", (_said, { kept }) => {
      const before = kept.get("report");
      return before === undefined ? undefined : [before];
    }),
  ),
  claimed(
    "strange-words",
    hello(() => ({
      model: "\u0000".repeat(32),
      firmware: "\u{1f512}".repeat(16),
      hardware: "99999999999999999999.1",
      uptimeSeconds: uint32Max,
      batteryMillivolts: 60_000,
      batteryPercent: 0,
    })),
  ),
  claimed(
    "boots-without-end",
    either(
      hello(() => ({ bootCount: uint32Max })),
      report(() => ({ bootCount: uint32Max })),
    ),
  ),
  claimed(
    "first-boot-again",
    either(
      hello(() => ({ bootCount: 0 })),
      report(() => ({ bootCount: 0 })),
    ),
  ),
  // Its clock.
  claimed(
    "time-of-nowhere",
    either(
      hello(() => ({ clock: "set", unixMs: unixMs(2 ** 50), clockSource: "authority" })),
      when("time-handled", () => [
        { kind: "time-handled", oldUnixMs: unixMs(2 ** 50), newUnixMs: unixMs(0), written: true },
      ]),
      report(() => ({ clock: "set", unixMs: unixMs(2 ** 50) })),
    ),
  ),
  claimed(
    "clock-unset",
    report(() => ({ clock: "unset" })),
  ),
  // Its log.
  contradicted(
    "hello-log",
    hello(({ logNext }) => ({ logFirst: capped(logNext + FAR), logNext: capped(logNext + FAR) })),
  ),
  claimed(
    "frees-everything",
    when("released", () => [{ kind: "released", through: uint32Max }]),
  ),
  claimed(
    "run-far-ahead",
    run((claim) => ({ ...claim, from: capped(claim.from + FAR) })),
  ),
  claimed(
    "run-at-the-end-of-numbers",
    run((claim) => ({ ...claim, from: uint32Max - claim.count })),
  ),
  claimed(
    "run-longer-than-it-is",
    run((claim) => ({ ...claim, count: AUDIT_BATCH_ENTRIES, entries: claim.entries.slice(0, 1) })),
  ),
  claimed(
    "run-shorter-than-it-is",
    run((claim) => (claim.count < 2 ? undefined : { ...claim, count: claim.count - 1 })),
  ),
  claimed(
    "run-backwards",
    run((claim) => (claim.count < 2 ? undefined : { ...claim, entries: claim.entries.toReversed() })),
  ),
  claimed(
    "run-of-rubbish",
    run((claim) => ({ ...claim, entries: claim.entries.map(() => new Uint8Array(16)) })),
  ),
  claimed(
    "run-that-opens-for-nobody",
    when("log", (said, context) => {
      const { count } = entriesOf(said, context);
      const read = auditBatch.decode(said.batch);
      if (!read.ok || count === 0) return undefined;
      return [{ ...said, batch: auditBatch.encode({ ...read.value, sealed: context.random.bytes(40) }) }];
    }),
  ),
  claimed(
    "log-without-end",
    when("log", (_said, context) => {
      const from = context.asked?.kind === "read-log" ? context.asked.from : 1;
      if (from === uint32Max) return undefined;
      return [sealedRun(context, { from, count: 1, entries: [context.random.bytes(8)] })];
    }),
  ),
  contradicted(
    "run-of-before",
    run((claim, { asked }) =>
      asked?.kind === "read-log" && asked.from > 0 ? { ...claim, from: asked.from - 1 } : undefined,
    ),
  ),
  contradicted(
    "run-beyond-next",
    when("log", (said, context) => (entriesOf(said, context).count === 0 ? undefined : [{ ...said, next: 0 }])),
  ),
  contradicted(
    "run-of-another",
    when("log", (said, { otherPairingId }) => {
      const read = auditBatch.decode(said.batch);
      assert(read.ok, "a lock's batch decodes");
      return [{ ...said, batch: auditBatch.encode({ ...read.value, pairingId: otherPairingId }) }];
    }),
  ),
  contradicted(
    "run-twice",
    when("log", (said) => [said, said]),
  ),
  contradicted(
    "report-log-ahead",
    report(({ logNext }) => ({ logNext: capped(logNext + FAR) })),
  ),
  contradicted(
    "report-log-back",
    report(() => ({ logFirst: 0, logNext: 0 })),
  ),
  claimed(
    "report-head",
    report(() => ({ chainHead: new Uint8Array(32).fill(5) })),
  ),
  claimed(
    "log-ahead-throughout",
    either(
      hello(({ logNext }) => ({ logNext: capped(logNext + FAR) })),
      when("log", (said) => [{ ...said, next: capped(said.next + FAR) }]),
      report(({ logNext }) => ({ logNext: capped(logNext + FAR) })),
    ),
  ),
  forsworn(
    "run-under-other-numbers",
    run((claim) => ({ ...claim, from: claim.from + 500, entries: renumbered(claim.entries, 500, 0) })),
  ),
  forsworn(
    "run-of-other-boots",
    run((claim) => ({ ...claim, entries: renumbered(claim.entries, 0, 7) })),
  ),
  claimed(
    "lost-everything",
    either(
      hello(({ logNext }) => ({ logFirst: capped(logNext + FAR), logNext: capped(logNext + FAR) })),
      when("log", (said) => [{ ...said, next: capped(said.next + FAR) }]),
      report(({ logNext, chainHead }) => ({
        logFirst: capped(logNext + FAR),
        logNext: capped(logNext + FAR),
        headBefore: chainHead,
      })),
    ),
  ),
  // The order of things.
  contradicted(
    "hello-twice",
    when("hello", (said) => [said, said]),
  ),
  contradicted("speaks-unasked", (said, { random }) =>
    said.kind === "hello" ? undefined : [{ kind: "challenge", challenge: random.bytes(16) }, said],
  ),
  contradicted("answers-another-question", (said, { kept }) => {
    const other = [...kept.values()].find(({ kind }) => kind !== said.kind && kind !== "refused");
    return other === undefined || said.kind === "hello" ? undefined : [other];
  }),
  contradicted("falls-silent", (said, { random }) => (said.kind === "hello" && random.next() < 0.5 ? undefined : [])),
  claimed("refuses", (said, { random, asked }) => {
    if (asked === undefined || said.kind === "refused" || random.next() < 0.5) return undefined;
    const refusals = Object.keys(refusalNumbers) as readonly Refusal[];
    const refusal = refusals[random.integer(refusals.length)] ?? "expired";
    return [{ kind: "refused", request: asked.kind, refusal }];
  }),
  contradicted("refuses-another-question", (said) =>
    said.kind === "hello" ? [{ kind: "refused", request: "finish", refusal: "expired" }] : undefined,
  ),
];
