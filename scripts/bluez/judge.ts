/**
 * Judges what the virtual machine told. Everything that can be computed is computed here anew: policies and their roots, the chain of
 * the log from its first entry, the MAC of every report.
 */
import { base64ToBytes, bytesToBase64, equalBytes, hexToBytes } from "../../protocol/base/bytes.ts";
import { unixSeconds } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import { verifyReport } from "../../protocol/sync/authority.ts";
import { decodeAdvertisement } from "../../protocol/wire/advertisement.ts";
import { type AuditEntry, auditChainNext, auditChainStart, auditEntry } from "../../protocol/wire/audit-entry.ts";
import { PAGE_BYTES } from "../../protocol/wire/signed-objects.ts";
import { benchBond, bundleOf, carriedTo, openBatch } from "./bench.ts";
import type { Fact, FactOf } from "./facts.ts";

export interface Verdict {
  readonly objections: readonly string[];
  readonly guest: object;
  readonly log: { readonly entries: number; readonly granted: number; readonly denied: number };
  readonly configurations: readonly ConfigurationReport[];
}

/** Counts and times of one configuration of bluetoothd; times are the emulated machine's and say nothing of a radio. */
export interface ConfigurationReport {
  readonly channels: number;
  readonly discoverMs: number | null;
  readonly visits: readonly VisitReport[];
}

interface VisitReport {
  readonly name: string;
  readonly ok: boolean;
  readonly connectMs: number | null;
  readonly syncMs: number | null;
  readonly durationMs: number;
  readonly bundleBytes: number;
  readonly bytes: number;
  /** Whole pages that the lock had when the visit was cut. */
  readonly stagedBytes: number;
  /** Bytes both ways over the time from a ready link to the lock's report. */
  readonly kilobytesPerSecond: number | null;
  readonly eattChannels: number;
  readonly framesToLock: number;
  readonly framesToCourier: number;
  /** Frames overtaken on their way, and by how many places at most. */
  readonly lateToLock: number | null;
  readonly lateToCourier: number;
  readonly deepest: number;
  readonly entries: number;
}

/** Every claim of the test, in the order of the facts. */
export function judge(facts: readonly Fact[]): Verdict {
  const objections: string[] = [];
  const claim = (holds: boolean, otherwise: string): void => {
    if (!holds) objections.push(otherwise);
  };
  for (const fact of only(facts, "gave-up")) objections.push(`gave up during ${fact.during}: ${fact.message}`);
  claim(facts.at(-1)?.fact === "end", "the test in the machine did not come to its end");
  const configurations = splitAt(facts, "bluetoothd");
  claim(configurations.length === 2, `expected two configurations of bluetoothd, came ${configurations.length}`);
  const channels = configurations.map(([first]) => (first?.fact === "bluetoothd" ? first.channels : 0));
  claim(
    channels.includes(1) && channels.includes(3),
    `expected one configuration with one ATT channel and one with three, came ${channels.join()}`,
  );
  const book = new LogBook(claim);
  let version = 0;
  for (const [index, each] of configurations.entries()) {
    const named = (holds: boolean, otherwise: string): void =>
      claim(holds, `${channels[index]} channels: ${otherwise}`);
    new Configuration(each, version, index + 1, named, book).judge();
    version += 2;
  }
  return {
    objections,
    guest: only(facts, "guest")[0] ?? {},
    log: book.counts,
    configurations: configurations.map(reportOf),
  };
}

type Claim = (holds: boolean, otherwise: string) => void;

/** What this gateway has of the lock's log, entry by entry from the first. */
class LogBook {
  readonly #claim: Claim;
  readonly #entries: AuditEntry[] = [];
  #head = auditChainStart(benchBond.keys.chain, benchBond.record.pairingId);
  #attempts = 0;

  constructor(claim: Claim) {
    this.#claim = claim;
  }

  get counts(): { readonly entries: number; readonly granted: number; readonly denied: number } {
    const count = (kind: AuditEntry["kind"]): number => this.#entries.filter((entry) => entry.kind === kind).length;
    return { entries: this.#entries.length, granted: count("access-granted"), denied: count("access-denied") };
  }

  addAttempt(): void {
    this.#attempts++;
  }

  addBatches(batches: readonly string[]): void {
    for (const text of batches) {
      const run = openBatch(base64ToBytes(text) ?? new Uint8Array(0));
      if (run === undefined) return this.#claim(false, "a batch of the log does not open");
      for (const [index, bytes] of run.entries.entries()) this.#addEntry(bytes, run.from + index);
    }
  }

  #addEntry(bytes: Uint8Array, sequence: number): void {
    const read = auditEntry.decode(bytes);
    if (!read.ok) return this.#claim(false, `an entry of the log does not read: ${read.fault.code}`);
    this.#claim(read.value.sequence === sequence, `entry ${read.value.sequence} came as ${sequence} of its batch`);
    const last = this.#entries.at(-1)?.sequence;
    const follows = last === undefined || read.value.sequence === last + 1;
    this.#claim(follows, `entry ${read.value.sequence} follows ${last}: lost or doubled`);
    this.#entries.push(read.value);
    this.#head = auditChainNext(benchBond.keys.chain, this.#head, bytes);
  }

  /** After a whole visit nothing may be missing: every attempt until then is in the log, and the chain ends where the lock says. */
  close(logNext: number, chainHead: Uint8Array, name: string): void {
    const last = this.#entries.at(-1)?.sequence ?? -1;
    this.#claim(last + 1 === logNext, `${name}: the log ends before ${logNext}, ${last} was the last entry stored`);
    this.#claim(
      equalBytes(chainHead, this.#head),
      `${name}: the chain of the stored entries does not end in the report's head`,
    );
    const { granted, denied } = this.counts;
    this.#claim(
      granted + denied === this.#attempts,
      `${name}: ${this.#attempts} attempts, ${granted + denied} in the log`,
    );
  }
}

class Configuration {
  readonly #facts: readonly Fact[];
  readonly #channels: number;
  readonly #before: number;
  readonly #boot: number;
  readonly #claim: Claim;
  readonly #book: LogBook;

  constructor(facts: readonly Fact[], before: number, boot: number, claim: Claim, book: LogBook) {
    this.#facts = facts;
    this.#channels = only(facts, "bluetoothd")[0]?.channels ?? 0;
    this.#before = before;
    this.#boot = boot;
    this.#claim = claim;
    this.#book = book;
  }

  judge(): void {
    this.#lock();
    this.#discovery("first", this.#before);
    this.#discovery("after-sync", this.#before + 1);
    const visits = only(this.#facts, "visit").map(({ name }) => name);
    this.#claim(visits.join() === "full,interrupted,resumed", `expected three visits, came ${visits.join() || "none"}`);
    for (const fact of this.#facts) {
      if (fact.fact === "attempt") this.#attempt(fact);
      if (fact.fact === "visit") this.#visit(fact);
    }
    const reasons = only(this.#facts, "lock-link").map(({ reason }) => reason);
    this.#claim(
      reasons[0] === "closed-by-lock" && reasons[2] === "closed-by-lock",
      `the lock did not close both whole visits: ${reasons.join()}`,
    );
    const [stopped] = only(this.#facts, "stopped");
    const code = stopped?.first === "bluetoothd" ? EXIT_ENVIRONMENT : 0;
    this.#claim(
      stopped?.lockExitCode === code,
      `expected the lock's process to end with ${code}, came ${stopped?.lockExitCode}`,
    );
  }

  #lock(): void {
    const [lock] = only(this.#facts, "lock");
    this.#claim(
      lock?.staticPublicKey === bytesToBase64(benchBond.lockStaticPublicKey),
      "the lock does not say the key of its seed",
    );
    this.#claim(
      lock?.pairingId === bytesToBase64(benchBond.record.pairingId),
      "the lock does not say the pairing of its seed",
    );
    this.#claim(lock?.bootCount === this.#boot, `expected the lock's boot ${this.#boot}, came ${lock?.bootCount}`);
  }

  #discovery(when: FactOf<"discovered">["when"], version: number): void {
    const found = only(this.#facts, "discovered").find((fact) => fact.when === when);
    const read = decodeAdvertisement(hexToBytes(found?.advertisement ?? "") ?? new Uint8Array(0));
    this.#claim(
      read.ok && read.value.versionBits === version,
      `${when}: the lock does not advertise version ${version}`,
    );
    // Before: no policy, or no clock since its boot. After: neither is missing any more.
    const wantsSync = when === "first";
    this.#claim(
      !read.ok || read.value.wantsSync === wantsSync,
      `${when}: the lock does ${wantsSync ? "not " : ""}say that it wants a sync`,
    );
  }

  #attempt({ after, codeOf, granted }: FactOf<"attempt">): void {
    this.#book.addAttempt();
    const holds = {
      boot: this.#before,
      full: this.#before + 1,
      interrupted: this.#before + 1,
      resumed: this.#before + 2,
    }[after];
    this.#claim(
      granted === (codeOf === holds),
      `after ${after}: the code of version ${codeOf} ${granted ? "opened" : "did not open"}`,
    );
  }

  #visit(visit: FactOf<"visit">): void {
    const { name, version, credentials, fromVersion } = visit;
    this.#book.addBatches(visit.batches);
    const state = only(this.#facts, "state").find(({ after }) => after === name);
    const bundle = bundleOf(version, credentials);
    const hasEatt = visit.eattChannels > 0;
    this.#claim(hasEatt === this.#channels > 1, `${name}: ${visit.eattChannels} channels of EATT were open`);
    const carriedBytes = carriedBytesOf(visit);
    const expectedBase =
      name === "full" && this.#before === 0 ? undefined : name === "full" ? this.#before : this.#before + 1;
    this.#claim(
      visit.base?.version === expectedBase,
      `${name}: expected a delta from version ${expectedBase}, came one from ${visit.base?.version}`,
    );
    if (name === "interrupted") return this.#interruptedVisit(visit, state, carriedBytes);
    this.#claim(visit.ok, `${name}: did not go through: ${visit.fault}`);
    const before = name === "full" ? this.#before : this.#before + 1;
    this.#claim(fromVersion === before, `${name}: expected the lock to hold ${before} before, came ${fromVersion}`);
    this.#report(visit, sha256(bundle));
    this.#claim(
      state?.version === version && state.stagedBytes === 0,
      `${name}: the lock does not hold ${version}, or still stages something`,
    );
    if (name === "full") return;
    const staged = only(this.#facts, "state").find(({ after }) => after === "interrupted")?.stagedBytes ?? 0;
    // The whole rest of the bundle, and beside it no more than what every visit says and a page that was half there.
    const rest = carriedBytes - staged;
    const isRest = visit.streamBytes >= rest && visit.streamBytes <= rest + 2 * PAGE_BYTES;
    this.#claim(
      isRest,
      `resumed: expected the ${rest} bytes after ${staged} and little more, came ${visit.streamBytes}`,
    );
    const released = visit.released ?? -1;
    this.#claim(
      state?.logFirst === released + 1,
      `resumed: the release through ${released} freed the log until ${state?.logFirst}`,
    );
  }

  #interruptedVisit(visit: FactOf<"visit">, state: FactOf<"state"> | undefined, bundleLength: number): void {
    this.#claim(
      !visit.ok && (visit.fault ?? "").startsWith("radio: "),
      `interrupted: expected a fault of the radio, came ${visit.fault}`,
    );
    const old = sha256(bundleOf(this.#before + 1, credentialsOf(this.#facts, "full")));
    const isOld = state?.version === this.#before + 1 && state.root === bytesToBase64(old);
    this.#claim(isOld, `interrupted: the lock no more holds version ${this.#before + 1} whole, but ${state?.version}`);
    const staged = state?.stagedBytes ?? 0;
    const isPart = staged > 0 && staged < bundleLength && staged % PAGE_BYTES === 0;
    this.#claim(isPart, `interrupted: expected some whole pages of ${bundleLength} bytes to be staged, came ${staged}`);
  }

  #report({ name, version, report }: FactOf<"visit">, root: Uint8Array): void {
    const bytes = base64ToBytes(report?.bytes ?? "") ?? new Uint8Array(0);
    const mac = base64ToBytes(report?.mac ?? "") ?? new Uint8Array(0);
    const verified = verifyReport(benchBond.keys.report, bytes, mac);
    if (!verified.ok) return this.#claim(false, `${name}: the report's MAC does not hold: ${verified.fault.code}`);
    const said = verified.value;
    this.#claim(
      said.version === version && equalBytes(said.root, root),
      `${name}: the report does not say version ${version} and its root`,
    );
    this.#claim(equalBytes(said.pairingId, benchBond.record.pairingId), `${name}: the report is of another pairing`);
    this.#book.close(said.logNext, said.chainHead, name);
  }
}

function reportOf(facts: readonly Fact[]): ConfigurationReport {
  const links = only(facts, "lock-link");
  const states = only(facts, "state");
  return {
    channels: only(facts, "bluetoothd")[0]?.channels ?? 0,
    discoverMs: roundedOrNull(only(facts, "discovered")[0]?.ms ?? null),
    visits: only(facts, "visit").map((visit, index) =>
      visitReportOf(visit, links[index], states[index]?.stagedBytes ?? 0),
    ),
  };
}

function visitReportOf(
  visit: FactOf<"visit">,
  link: FactOf<"lock-link"> | undefined,
  stagedBytes: number,
): VisitReport {
  const bundleBytes = carriedBytesOf(visit);
  const { syncMs } = visit;
  return {
    name: visit.name,
    ok: visit.ok,
    connectMs: roundedOrNull(visit.connectMs),
    syncMs: roundedOrNull(syncMs),
    durationMs: Math.round(visit.durationMs),
    bundleBytes,
    bytes: visit.bytes,
    stagedBytes,
    kilobytesPerSecond: syncMs === null ? null : Math.round((visit.bytes / syncMs) * 10) / 10,
    eattChannels: visit.eattChannels,
    framesToLock: visit.framesOut,
    framesToCourier: visit.framesIn,
    lateToLock: link?.late ?? null,
    lateToCourier: visit.late,
    deepest: Math.max(visit.deepest, link?.deepest ?? 0),
    entries: visit.batches.reduce(
      (sum, text) => sum + (openBatch(base64ToBytes(text) ?? noBytes)?.entries.length ?? 0),
      0,
    ),
  };
}

/** Of the sealed delta or snapshot, as it travels. */
function carriedBytesOf({ version, credentials, base }: FactOf<"visit">): number {
  return carriedTo({ version, credentials }, base, unixSeconds(0)).bytes.length;
}

function credentialsOf(facts: readonly Fact[], name: FactOf<"visit">["name"]): number {
  return only(facts, "visit").find((visit) => visit.name === name)?.credentials ?? 0;
}

function only<Name extends Fact["fact"]>(facts: readonly Fact[], name: Name): readonly FactOf<Name>[] {
  return facts.filter((fact): fact is FactOf<Name> => fact.fact === name);
}

/** The facts from each one named so to the next. */
function splitAt(facts: readonly Fact[], name: Fact["fact"]): readonly (readonly Fact[])[] {
  const starts = facts.flatMap((fact, index) => (fact.fact === name ? [index] : []));
  return starts.map((start, index) => facts.slice(start, starts[index + 1]));
}

function roundedOrNull(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}

const noBytes = new Uint8Array(0);
/** What a command says when what it needs has gone. */
const EXIT_ENVIRONMENT = 3;
