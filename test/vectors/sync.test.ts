import { describe, expect, it } from "vitest";
import { decodePolicy, type LockPolicy, policyRoot } from "../../protocol/access/policy.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { type MonotonicMs, monotonicMs, type UnixMs, unixSeconds } from "../../protocol/base/units.ts";
import type { PairingKeys } from "../../protocol/sync/authority.ts";
import { type CourierEvent, CourierSync } from "../../protocol/sync/courier-sync.ts";
import { bootClock, takeTime } from "../../protocol/sync/lock-clock.ts";
import { type LockAction, type LockFacts, LockSync } from "../../protocol/sync/lock-sync.ts";
import { keyset } from "../../protocol/wire/keyset.ts";
import { policyManifest, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { courierMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import { readVectors } from "./read-vectors.ts";
import { describeRecords, type RecordVectors, readerOf } from "./record-cases.ts";

const vectors = readVectors<{
  readonly records: Readonly<Record<string, RecordVectors>>;
  readonly pairingId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly rootPublicKey: Uint8Array;
  readonly keyset: Uint8Array;
  readonly keys: PairingKeys;
  readonly courierStaticPublic: Uint8Array;
  /** The policy that the lock holds. */
  readonly policy: Uint8Array;
  readonly shownUnixMs: UnixMs;
  readonly roundTripMs: number;
  readonly log: {
    readonly first: number;
    readonly next: number;
    readonly headBefore: Uint8Array;
    readonly chainHead: Uint8Array;
    readonly entries: readonly Uint8Array[];
  };
  readonly load: {
    readonly certificate: SignedBlob;
    readonly delta: { readonly manifest: SignedBlob; readonly bytes: Uint8Array };
    readonly snapshot: { readonly manifest: SignedBlob; readonly bytes: Uint8Array };
    readonly release: SignedBlob;
    readonly time: SignedBlob;
  };
  readonly visit: readonly {
    readonly what: string;
    readonly rule: string;
    readonly ask: Uint8Array;
    readonly answers: readonly Uint8Array[];
    readonly afterMs?: number;
    readonly actions?: readonly LockAction["kind"][];
    /** What a commit must put in force. */
    readonly policy?: Uint8Array;
  }[];
  readonly refused: readonly {
    readonly what: string;
    readonly rule: string;
    readonly greeted: boolean;
    readonly before: readonly Uint8Array[];
    readonly afterMs: number;
    readonly ask: Uint8Array;
    readonly answer: Uint8Array;
  }[];
}>("sync.json");
const start = monotonicMs(5_000);

function policyOf(bytes: Uint8Array): LockPolicy {
  const read = decodePolicy(bytes);
  if (!read.ok) throw new Error(`a policy of the vectors: ${read.fault.code}`);
  return read.value;
}

function clockOfVectors(): LockFacts["clock"]["state"] {
  const never = bootClock(undefined, unixSeconds(0), start);
  const set = takeTime(never, { source: "authority", unixMs: vectors.shownUnixMs, roundTripMs: 0 }, start);
  if (!set.ok) throw new Error(set.fault.code);
  return set.value.clock;
}

/** A lock with what the vectors say of it, whose firmware does what it is told. */
class VectorLock {
  readonly sync: LockSync;
  held = policyOf(vectors.policy);
  staged: LockFacts["staged"];

  constructor() {
    const { pairingId, rootPublicKey: root, keys } = vectors;
    const read = keyset.decode(vectors.keyset);
    if (!read.ok) throw new Error(`the keyset of the vectors: ${read.fault.code}`);
    const pairing = { pairingId, root, keys, keyset: { keyset: read.value, bytes: vectors.keyset } };
    this.sync = new LockSync(pairing, vectors.courierStaticPublic, vectors.nonce);
  }

  /** What it answers, and what its firmware was told to do. */
  ask(bytes: Uint8Array, now: MonotonicMs): { readonly answers: readonly string[]; readonly actions: LockAction[] } {
    const actions: LockAction[] = [];
    this.sync.receive(bytes, this.facts(now), now);
    for (let due = this.sync.takeActions(); due.length > 0; due = this.sync.takeActions()) {
      for (const action of due) this.#carryOut(action);
      actions.push(...due);
    }
    return { answers: this.sync.takeMessages().map(bytesToHex), actions };
  }

  facts(now: MonotonicMs): LockFacts {
    const { epoch, version } = this.held;
    const isFirst = version === 6;
    const root = isFirst ? policyRoot(vectors.policy) : policyRoot(this.#committed);
    return {
      model: "C2",
      firmware: "11.2.0",
      hardware: "rev-b",
      bootCount: 12,
      uptimeSeconds: 86_400,
      policy: { epoch, version, root },
      heldPolicy: this.held,
      ...(this.staged === undefined ? {} : { staged: this.staged }),
      log: vectors.log,
      // The clock of the vectors is never put right, so that each case stands alone.
      clock: { state: clockOfVectors(), now },
      battery: { millivolts: 5_600, percent: 80 },
    };
  }

  #committed = vectors.policy;

  #carryOut(action: LockAction): void {
    const { first, next, entries } = vectors.log;
    if (action.kind === "keep-keyset") return this.sync.keysetKept();
    if (action.kind === "read-log") return this.sync.logRead(action.from, entries.slice(action.from - first), next);
    if (action.kind === "free-log") return this.sync.logFreed({ through: action.through });
    if (action.kind !== "commit") return;
    this.#committed = action.bundle;
    this.held = policyOf(action.bundle);
    this.sync.commitDone({ epoch: action.epoch, version: action.version });
  }
}

describe("sync.json", () => {
  describeRecords(vectors.records, {
    courierMessage: readerOf(courierMessage),
    lockMessage: readerOf(lockMessage),
    policyManifest: readerOf(policyManifest),
  });

  it("[Y1] a lock answers a whole visit byte for byte, and does what it says", () => {
    const lock = new VectorLock();
    let now = start;
    for (const { what, ask, answers, afterMs, actions, policy } of vectors.visit) {
      now = monotonicMs(now + (afterMs ?? 0));
      const heard = lock.ask(ask, now);
      expect(heard.answers, what).toEqual(answers.map(bytesToHex));
      expect(
        heard.actions.map(({ kind }) => kind),
        what,
      ).toEqual(actions ?? []);
      const done = heard.actions.at(-1);
      if (done?.kind === "commit" && policy !== undefined)
        expect(bytesToHex(done.bundle), what).toBe(bytesToHex(policy));
    }
  });

  it("[Y1] a courier asks it byte for byte, and hands on what it heard", () => {
    const { certificate, snapshot, delta, release, time } = vectors.load;
    const said = (name: string) => vectors.visit.find(({ what }) => what.startsWith(name));
    const courier = new CourierSync({
      certificate,
      policy: {
        epoch: 2,
        version: 8,
        bundles: [
          { from: 5, ...delta },
          { from: 0, ...snapshot },
        ],
      },
      release,
      logFrom: 24,
    });
    const events: CourierEvent[] = [];
    const expectAsked = (...names: readonly string[]): void => {
      const asked = courier.takeMessages().map(bytesToHex);
      expect(asked, names.join()).toEqual(names.map((name) => bytesToHex(said(name)?.ask ?? new Uint8Array(0))));
      for (const name of names) for (const answer of said(name)?.answers ?? []) courier.receive(answer);
      events.push(...courier.takeEvents());
    };
    expectAsked("the greeting");
    courier.provideTime(time);
    expectAsked("the time");
    expectAsked("a snapshot");
    expectAsked("its first page", "its second page");
    expectAsked("a release");
    expectAsked("the log from 24");
    courier.entriesStored();
    expectAsked("the log from 26");
    expectAsked("the end");
    expect(events.map(({ kind }) => kind)).toEqual([
      "hello",
      "time-wanted",
      "time-handled",
      "page-sent",
      "page-sent",
      "committed",
      "released",
      "entries",
      "report",
      "finished",
    ]);
    expect(events.at(-1)).toEqual({ kind: "finished", complete: true });
  });

  it.each(vectors.refused)("[$rule] a lock refuses $what", ({ greeted, before, afterMs, ask, answer }) => {
    const lock = new VectorLock();
    const [greeting] = vectors.visit;
    if (greeted && greeting !== undefined) expect(lock.ask(greeting.ask, start).answers).toHaveLength(1);
    for (const bytes of before) lock.ask(bytes, start);
    const heard = lock.ask(ask, monotonicMs(start + afterMs));
    expect(heard.answers.map((hex) => named(hex))).toEqual([named(bytesToHex(answer))]);
    expect(heard.answers).toEqual([bytesToHex(answer)]);
    expect(heard.actions).toEqual([]);
  });
});

/** A refusal as people read it, so that a difference can be understood. */
function named(hex: string): unknown {
  const read = lockMessage.decode(Uint8Array.from(Buffer.from(hex, "hex")));
  return read.ok && read.value.kind === "refused" ? `${read.value.request}: ${read.value.refusal}` : read;
}
