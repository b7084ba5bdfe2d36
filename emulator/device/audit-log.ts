/**
 * The audit log in a lock's flash: entries with sequences 1, 2, 3 ... that go on across boots, hash-chained (SPEC E2).
 *
 * Flash holds it as pages of `PAGE_ENTRIES` entries. A page is one region and carries the chain head in front of it, so an
 * append is one write and the whole log, its head and its next sequence are read back from the pages alone: there is no
 * second place that could disagree after a power cut. The ring has `PAGES` pages; when it is full, the oldest page goes. Was
 * it not yet released by the authority, an entry `log-gap` names what was lost (SPEC L6). Only a release frees entries
 * silently, and they stay readable until their page is needed.
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
import {
  AUDIT_ENTRY_LIMIT_BYTES,
  type AuditEntry,
  auditChainNext,
  auditChainStart,
  auditEntry,
} from "../../protocol/wire/audit-entry.ts";
import type { Flash } from "./flash.ts";

/** What a caller says of an entry; sequence and boot are the log's. */
export type AuditFacts = Omit<AuditEntry, "sequence" | "boot">;

export class AuditLog {
  readonly #flash: Flash;
  readonly #boot: number;
  readonly #pairingId: Uint8Array;
  /** Oldest first; at least one, so that the head always stands somewhere. */
  #pages: Page[];
  #released: Released;

  constructor(flash: Flash, pairingId: Uint8Array, boot: number) {
    this.#flash = flash;
    this.#boot = boot;
    this.#pairingId = pairingId;
    this.#pages = readPages(flash);
    this.#released = readReleased(flash, pairingId);
  }

  /** The sequence that the next entry will have. */
  get next(): number {
    const last = this.#pages.at(-1);
    return last === undefined ? FIRST_SEQUENCE : last.first + last.entries.length;
  }

  /** The oldest entry that is still wanted: not released and not lost. Equal to `next` when there is none. */
  get first(): number {
    const oldest = this.#pages[0]?.first ?? FIRST_SEQUENCE;
    return Math.max(oldest, this.#released.through + 1);
  }

  /** The oldest entry that can still be read, released or not. */
  get oldest(): number {
    return this.#pages[0]?.first ?? FIRST_SEQUENCE;
  }

  /** The chain head after the entry before `first`. */
  get headBefore(): Uint8Array {
    const head = this.headAt(this.first - 1);
    assert(head !== undefined, "the log keeps the head before what it keeps");
    return head;
  }

  get head(): Uint8Array {
    const last = this.#pages.at(-1);
    if (last === undefined) return auditChainStart(this.#pairingId);
    return last.entries.reduce(auditChainNext, last.headBefore);
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

  /** The bytes of up to `limit` entries from sequence `from` on, oldest first; those that are gone are passed over. */
  read(from: number, limit: number): readonly Uint8Array[] {
    const found: Uint8Array[] = [];
    for (const page of this.#pages) {
      for (const [index, bytes] of page.entries.entries()) {
        if (found.length >= limit) return found;
        if (page.first + index >= from) found.push(bytes);
      }
    }
    return found;
  }

  /** The chain head after the entry with this sequence (0: before the first); undefined when it is no longer, or not yet, known. */
  headAt(sequence: number): Uint8Array | undefined {
    if (sequence === this.#released.through) return this.#released.chainHead;
    for (const page of this.#pages) {
      if (sequence < page.first - 1 || sequence >= page.first + page.entries.length) continue;
      return page.entries.slice(0, sequence - page.first + 1).reduce(auditChainNext, page.headBefore);
    }
    return sequence === 0 ? auditChainStart(this.#pairingId) : undefined;
  }

  /** The authority holds everything up to and with `through`: that part may be written over. The caller has checked the head. */
  release(through: number): void {
    if (through <= this.#released.through) return;
    const chainHead = this.headAt(through);
    assert(chainHead !== undefined, "what is released was there");
    this.#released = { through, chainHead };
    this.#flash.write(RELEASED_REGION, released.encode(this.#released));
  }

  /** Frees the oldest page when all are in use; gives what was lost by that, if it was still wanted. */
  #makeRoom(): { readonly first: number; readonly last: number } | undefined {
    const last = this.#pages.at(-1);
    const needsPage = last === undefined || last.entries.length >= PAGE_ENTRIES;
    if (!needsPage || this.#pages.length < PAGES) return undefined;
    const [oldest, ...rest] = this.#pages;
    assert(oldest !== undefined, "a full ring has an oldest page");
    const firstLost = Math.max(oldest.first, this.#released.through + 1);
    const lastLost = oldest.first + oldest.entries.length - 1;
    this.#pages = rest;
    this.#flash.erase(regionOf(oldest.first));
    return firstLost > lastLost ? undefined : { first: firstLost, last: lastLost };
  }

  #write(bytes: Uint8Array): void {
    const last = this.#pages.at(-1);
    const whole = last === undefined || last.entries.length >= PAGE_ENTRIES;
    const page = whole
      ? { first: this.next, headBefore: this.head, entries: [bytes] }
      : { ...last, entries: [...last.entries, bytes] };
    this.#flash.write(regionOf(page.first), pageCodec.encode(page));
    this.#pages = whole ? [...this.#pages, page] : [...this.#pages.slice(0, -1), page];
  }
}

export const FIRST_SEQUENCE = 1;
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

function readPages(flash: Flash): Page[] {
  const pages: Page[] = [];
  for (const region of flash.regions()) {
    if (!region.startsWith(PAGE_PREFIX)) continue;
    const page = pageCodec.decode(flash.read(region) ?? new Uint8Array(0));
    // Flash was written by this file and writes are whole: anything else is our own mistake.
    assert(page.ok, `the log page ${region} reads back`);
    pages.push(page.value);
  }
  return pages.sort((left, right) => left.first - right.first);
}

function readReleased(flash: Flash, pairingId: Uint8Array): Released {
  const bytes = flash.read(RELEASED_REGION);
  if (bytes === undefined) return { through: 0, chainHead: auditChainStart(pairingId) };
  const read = released.decode(bytes);
  assert(read.ok, "the released mark reads back");
  return read.value;
}

function regionOf(first: number): string {
  return `${PAGE_PREFIX}${Math.floor((first - FIRST_SEQUENCE) / PAGE_ENTRIES)}`;
}

const PAGE_PREFIX = "audit-page-";
const RELEASED_REGION = "audit-released";
