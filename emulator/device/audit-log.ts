/**
 * The audit log in a lock's flash: entries with sequences 1, 2, 3 ... that go on across boots, hash-chained (SPEC E2).
 *
 * Flash holds it as pages of `PAGE_ENTRIES` entries. A page is one region and carries the chain head in front of it, so an
 * append is one write and the whole log, its head and its next sequence are read back from the pages alone: there is no
 * second place that could disagree after a power cut. The ring has `PAGES` pages; when it is full, the oldest page goes. Was
 * it not yet released by the authority, an entry `log-gap` names what was lost (SPEC L6). Only a release frees entries
 * silently, and they stay readable until their page is needed.
 *
 * A page that has rotted is lost with its entries (SPEC L12). Later pages carry their own head and stay; what is reported under MAC is then
 * what follows the last hole, and what stands before it can still be read. Was the last page lost, nobody knows how far it was written: the
 * log goes on a page's room behind it, and with the chain's beginning as its head.
 */
import {
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborUint,
  field,
} from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { auditChainHead } from "../../protocol/sync/authority.ts";
import {
  AUDIT_ENTRY_LIMIT_BYTES,
  type AuditEntry,
  auditChainStart,
  auditEntry,
} from "../../protocol/wire/audit-entry.ts";
import type { Flash } from "./flash.ts";
import { readRecord } from "./flash-record.ts";

/** What the heads of a pairing's log are made with; `key` is its chain key. SPEC E2. */
export interface AuditChain {
  readonly pairingId: Uint8Array;
  readonly key: Uint8Array;
  /** Of the first entry; above 1 where an earlier pairing's log came before. */
  readonly firstSequence: number;
}

/** What a caller says of an entry; sequence and boot are the log's. */
export type AuditFacts = Omit<AuditEntry, "sequence" | "boot">;

export class AuditLog {
  readonly #flash: Flash;
  readonly #boot: number;
  readonly #chain: AuditChain;
  /** Oldest first. Between two of them is a hole where one has rotted. */
  #pages: Page[];
  #released: Released;
  /** What rotted and was not told yet. */
  #lost: readonly LostPage[];
  /** No number below it is given any more: it may have been on a page that rotted. */
  #resumeAt: number;

  constructor(flash: Flash, chain: AuditChain, boot: number) {
    this.#flash = flash;
    this.#boot = boot;
    this.#chain = chain;
    const { pages, lost } = readPages(flash, chain.firstSequence);
    this.#pages = pages;
    const kept = readRecord(flash, RELEASED_REGION, released);
    // Rotten: nothing counts as released, which frees nothing that the authority does not have.
    const isKnown = kept !== undefined && kept !== "rotten";
    this.#released = isKnown ? kept : { through: chain.firstSequence - 1, chainHead: this.#start() };
    this.#resumeAt = this.#resumption(lost.at(-1));
    this.#lost = [...this.#unnamedHoles(lost), ...this.#withSkipped(lost)];
  }

  /** Of the first entry that this pairing's log ever had. */
  get firstSequence(): number {
    return this.#chain.firstSequence;
  }

  /** The sequence that the next entry will have. */
  get next(): number {
    const last = this.#pages.at(-1);
    return Math.max(this.#resumeAt, last === undefined ? 0 : endOf(last));
  }

  /** The oldest entry from which on all are here and not all released. Equal to `next` when there is none. */
  get first(): number {
    let first = this.next;
    for (const page of this.#pages.toReversed()) {
      if (endOf(page) !== first) break;
      first = page.first;
    }
    return Math.max(first, this.#released.through + 1);
  }

  /** The oldest entry that can still be read, released or not. */
  get oldest(): number {
    return this.#pages[0]?.first ?? this.next;
  }

  /** The first entry from sequence `from` on that can be read; `from` when there is none. */
  readableFrom(from: number): number {
    const page = this.#pages.find((each) => endOf(each) > from);
    return Math.max(from, page?.first ?? from);
  }

  /** The chain head after the entry before `first`. */
  get headBefore(): Uint8Array {
    const head = this.headAt(this.first - 1);
    assert(head !== undefined, "the log keeps the head before what it keeps");
    return head;
  }

  get head(): Uint8Array {
    const last = this.#pages.at(-1);
    if (last !== undefined && endOf(last) === this.next) return this.#chained(last.headBefore, last.entries);
    // SPEC L12: after a hole the chain begins anew, unless the authority has released up to here.
    return this.#released.through === this.next - 1 ? this.#released.chainHead : this.#start();
  }

  /** Adds an entry and gives its sequence. One write; two when the ring is full; more when that costs unreleased entries. */
  append(facts: AuditFacts): number {
    const sequence = this.next;
    const bytes = auditEntry.encode({ sequence, boot: this.#boot, ...facts });
    assert(bytes.length <= AUDIT_ENTRY_LIMIT_BYTES, "an entry keeps its limit");
    const lost = this.#makeRoom();
    this.#write(bytes);
    if (lost !== undefined) this.append({ kind: "log-gap", clock: facts.clock, before: lost.first, after: lost.last });
    return sequence;
  }

  /**
   * Writes what rot has cost into the log, to be called when its boot stands there: a `log-gap` for each page with entries that nobody has
   * released. Power may go in between; the next boot then tells it again.
   */
  tellLosses(clock: Pick<AuditFacts, "clock" | "unixSeconds">): void {
    for (const { region, first, last } of this.#lost) {
      const wanted = Math.max(first, this.#released.through + 1);
      if (wanted <= last) this.append({ kind: "log-gap", ...clock, before: wanted, after: last });
      if (region !== undefined) this.#flash.erase(region);
    }
    this.#lost = [];
    if (this.#flash.read(RELEASED_REGION) === "rotten") this.#flash.erase(RELEASED_REGION);
  }

  /** The bytes of up to `limit` entries in a row from `readableFrom(from)` on, oldest first. */
  read(from: number, limit: number): readonly Uint8Array[] {
    const found: Uint8Array[] = [];
    let due = this.readableFrom(from);
    for (const page of this.#pages) {
      if (endOf(page) <= due) continue;
      if (page.first > due) return found;
      const wanted = page.entries.slice(due - page.first, due - page.first + limit - found.length);
      found.push(...wanted);
      due += wanted.length;
    }
    return found;
  }

  /** The chain head after the entry with this sequence (the one before the first: the beginning); undefined when it is no longer, or not yet, known. */
  headAt(sequence: number): Uint8Array | undefined {
    if (sequence === this.#released.through) return this.#released.chainHead;
    for (const page of this.#pages) {
      if (sequence < page.first - 1 || sequence >= page.first + page.entries.length) continue;
      return this.#chained(page.headBefore, page.entries.slice(0, sequence - page.first + 1));
    }
    if (sequence === this.next - 1) return this.head;
    return sequence === this.#chain.firstSequence - 1 ? this.#start() : undefined;
  }

  /** The authority holds everything up to and with `through`: that part may be written over. The caller has checked the head. */
  release(through: number): void {
    if (through <= this.#released.through) return;
    const chainHead = this.headAt(through);
    assert(chainHead !== undefined, "what is released was there");
    this.#released = { through, chainHead };
    this.#flash.write(RELEASED_REGION, released.encode(this.#released));
  }

  #regionOf(first: number): string {
    return `${PAGE_PREFIX}${Math.floor((first - this.#chain.firstSequence) / PAGE_ENTRIES)}`;
  }

  /**
   * The lowest number that the log may give. After a last page that rotted that is the beginning of the page after the next: the authority
   * may have chained all that the lost page had room for, and must see by the first number of the report that the chain begins anew.
   */
  #resumption(lost: LostPage | undefined): number {
    const end = this.#endOfPages();
    // Of a page of which nobody knows whose it is, it may have been the one after the last.
    if (this.#flash.unnamedPages > 0) return this.#pageAfter(Math.max(end, lost?.last ?? 0) + 2 * PAGE_ENTRIES);
    if (lost === undefined || lost.last < end) return end;
    return lost.last <= this.#released.through ? lost.last + 1 : lost.last + 1 + PAGE_ENTRIES;
  }

  /** The numbers that are left out behind the last page are lost as well: with the page that rotted there, or on their own. */
  #withSkipped(lost: readonly LostPage[]): readonly LostPage[] {
    const end = this.#endOfPages();
    if (this.#resumeAt === end) return lost;
    const last = this.#resumeAt - 1;
    const behind = lost.at(-1);
    if (behind === undefined || behind.last < end) return [...lost, { region: undefined, first: end, last }];
    return [...lost.slice(0, -1), { ...behind, last }];
  }

  /** Where a page is nobody's, every hole before or between the pages may be new, and is told once more. */
  #unnamedHoles(lost: readonly LostPage[]): readonly LostPage[] {
    if (this.#flash.unnamedPages === 0) return [];
    const holes: LostPage[] = [];
    let due = this.#released.through + 1;
    for (const page of this.#pages) {
      const isNamed = lost.some(({ first }) => first >= due && first < page.first);
      if (page.first > due && !isNamed) holes.push({ region: undefined, first: due, last: page.first - 1 });
      due = Math.max(due, endOf(page));
    }
    return holes;
  }

  #endOfPages(): number {
    const last = this.#pages.at(-1);
    return last === undefined ? this.#chain.firstSequence : endOf(last);
  }

  /** The first number of a page that begins with `sequence` or after it. */
  #pageAfter(sequence: number): number {
    const { firstSequence } = this.#chain;
    return firstSequence + Math.ceil((sequence - firstSequence) / PAGE_ENTRIES) * PAGE_ENTRIES;
  }

  #start(): Uint8Array {
    return auditChainStart(this.#chain.key, this.#chain.pairingId);
  }

  #chained(before: Uint8Array, entries: readonly Uint8Array[]): Uint8Array {
    return auditChainHead(this.#chain.key, before, entries);
  }

  /** Frees the oldest page when all are in use; gives what was lost by that, if it was still wanted. */
  #makeRoom(): { readonly first: number; readonly last: number } | undefined {
    if (!this.#needsPage() || this.#pages.length < PAGES) return undefined;
    const [oldest, ...rest] = this.#pages;
    assert(oldest !== undefined, "a full ring has an oldest page");
    const firstLost = Math.max(oldest.first, this.#released.through + 1);
    const lastLost = oldest.first + oldest.entries.length - 1;
    this.#pages = rest;
    this.#flash.erase(this.#regionOf(oldest.first));
    return firstLost > lastLost ? undefined : { first: firstLost, last: lastLost };
  }

  /** The next entry begins a page: the last one is full, or was lost. */
  #needsPage(): boolean {
    const last = this.#pages.at(-1);
    return last === undefined || last.entries.length >= PAGE_ENTRIES || endOf(last) !== this.next;
  }

  #write(bytes: Uint8Array): void {
    const last = this.#pages.at(-1);
    const whole = last === undefined || this.#needsPage();
    const page = whole
      ? { first: this.next, headBefore: this.head, entries: [bytes] }
      : { ...last, entries: [...last.entries, bytes] };
    this.#flash.write(this.#regionOf(page.first), pageCodec.encode(page));
    this.#pages = whole ? [...this.#pages, page] : [...this.#pages.slice(0, -1), page];
  }
}

/** 32 pages of 32 entries: about a month of a busy communal door between two visits. */
export const PAGE_ENTRIES = 32;
export const PAGES = 32;

const pageCodec = cborRecord({
  first: field(1, cborUint(0xffffffff)),
  headBefore: field(2, cborBytes(32)),
  entries: field(3, cborArray(cborBytesUpTo(AUDIT_ENTRY_LIMIT_BYTES), PAGE_ENTRIES)),
});
type Page = CborTypeOf<typeof pageCodec>;

const released = cborRecord({ through: field(1, cborUint(0xffffffff)), chainHead: field(2, cborBytes(32)) });
type Released = CborTypeOf<typeof released>;

/** A page that cannot be read any more, and the entries that it had room for. Without a region: numbers that are left out. */
interface LostPage {
  readonly region: string | undefined;
  readonly first: number;
  readonly last: number;
}

function readPages(flash: Flash, firstSequence: number): { readonly pages: Page[]; readonly lost: LostPage[] } {
  const pages: Page[] = [];
  const lost: LostPage[] = [];
  for (const region of flash.regions()) {
    if (!region.startsWith(PAGE_PREFIX)) continue;
    const page = readRecord(flash, region, pageCodec);
    if (page !== undefined && page !== "rotten") {
      pages.push(page);
      continue;
    }
    const first = firstSequence + Number(region.slice(PAGE_PREFIX.length)) * PAGE_ENTRIES;
    lost.push({ region, first, last: first + PAGE_ENTRIES - 1 });
  }
  pages.sort((left, right) => left.first - right.first);
  return { pages, lost: lost.sort((left, right) => left.first - right.first) };
}

/**
 * What can be told of a log without its keys: a number above all that it gave, and its last boot (0: not known). Where a page has rotted
 * the number leaves out a whole ring's, because it may have been the last one.
 */
export function logTraces(flash: Flash, firstSequence: number): { readonly next: number; readonly boot: number } {
  const { pages, lost } = readPages(flash, firstSequence);
  const last = pages.at(-1);
  const entry = auditEntry.decode(last?.entries.at(-1) ?? new Uint8Array(0));
  const next = Math.max(firstSequence, last === undefined ? 0 : endOf(last), ...lost.map((page) => page.last + 1));
  const skipped = lost.length === 0 ? 0 : PAGES * PAGE_ENTRIES;
  return { next: next + skipped, boot: entry.ok ? entry.value.boot : 0 };
}

function endOf({ first, entries }: Page): number {
  return first + entries.length;
}

const PAGE_PREFIX = "audit-page-";
const RELEASED_REGION = "audit-released";
