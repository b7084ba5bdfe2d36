/**
 * Flash memory of an emulated device: a chip of 1,024 pages of 4 KiB (`flash-page.ts`), and on it named regions, each replaced as a whole by
 * one write. What must change together stands in one region; that is all the atomicity a device's firmware has to build on.
 *
 * Theory of operation. A write programs fresh pages, beginning after the page that was programmed last, and erases the pages of the
 * former write when all of its own are whole. At boot the write with the highest sequence that is whole counts, and what else is
 * found is erased by the first write after it. So power that goes at any program or erasure leaves the old region or the new one (SPEC L20). Walking over
 * all free pages in turn is what spreads the wear (SPEC L19).
 *
 * Rot is another matter (SPEC L11): a region whose data do not fit their checksum reads as `rotten`. An older write never takes
 * its place; it would give back tries, uses and numbers that are spent. What a lock cannot do without is written in two copies.
 *
 * Power is cut at a chosen operation (`cutPowerAtWrite`): that page stays half programmed or half erased, and `PowerLost` is
 * thrown, then and at every later one. A test then boots a new device on `image()`, which is what the old one left behind.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { concatBytes } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import {
  encodePage,
  FLASH_PAGE_BYTES,
  isPageBlank,
  PAGE_DATA_BYTES,
  type PageHeader,
  partlyErased,
  partlyProgrammed,
  readPage,
  readPageData,
} from "./flash-page.ts";

/** What stands in a region. `rotten`: something was written, and cannot be read any more. */
export type FlashRead = Uint8Array | "rotten" | undefined;

export interface Flash {
  read(region: string): FlashRead;
  /** `copies`, 1 or 2: equal ones, of which one is enough. */
  write(region: string, bytes: Uint8Array, copies?: 1 | 2): void;
  erase(region: string): void;
  /** Names of the regions that hold something, rotten or not, sorted. */
  regions(): readonly string[];
  /** Regions of which one copy has rotted and the other is whole. */
  halfRotten(): readonly string[];
  /** Writes anew what has only one of its two copies left, be it by rot or by a loss of power. */
  heal(): void;
  /** Pages that were whole once and of which nobody can tell whose they are: a region that is not there may have been on one. */
  readonly unnamedPages: number;
  eraseUnnamed(): void;
  /** Erase cycles of the page that was erased most often. */
  readonly mostErased: number;
}

/** The device has no power any more: nothing that it would do from here on happens. */
export class PowerLost extends Error {
  readonly region: string;

  constructor(region: string) {
    super(`power was lost in the write to ${region}`);
    this.name = "PowerLost";
    this.region = region;
  }
}

/** Pages by name, `page-0000` to `page-1023`; those that are blank are left out. */
export type FlashImage = ReadonlyMap<string, Uint8Array>;

/** The last whole write of a region: the pages of each copy, in order. */
interface Stored {
  readonly sequence: number;
  readonly copies: readonly (readonly number[])[];
  readonly copiesMeant: number;
}

export class MemoryFlash implements Flash {
  readonly #pages: (Uint8Array | undefined)[];
  readonly #eraseCycles: number[];
  readonly #onPage: PageListener;
  readonly #stored: Map<string, Stored>;
  /** Left by a loss of power; erased by the first write. */
  #leftovers: readonly number[];
  #unnamed: readonly number[];
  #sequence: number;
  #lastProgrammed: number;
  #mostErased: number;
  #writes = 0;
  #operations = 0;
  #cut = { at: Number.POSITIVE_INFINITY, share: 0 };

  constructor(image: FlashImage = new Map(), onPage: PageListener = () => undefined) {
    this.#pages = Array.from({ length: FLASH_PAGES }, (_, page) => imagePage(image.get(pageName(page))));
    this.#onPage = onPage;
    const found = findPages(this.#pages);
    this.#unnamed = found.unnamed;
    this.#eraseCycles = eraseCyclesOf(found.whole);
    this.#mostErased = Math.max(...this.#eraseCycles);
    this.#sequence = found.whole.reduce((highest, { header }) => Math.max(highest, header.sequence), 0);
    this.#lastProgrammed = found.whole.findLast(({ header }) => header.sequence === this.#sequence)?.page ?? -1;
    this.#stored = storedByRegion(found.whole);
    const kept = new Set([...this.#stored.values()].flatMap(({ copies }) => copies.flat()));
    const superseded = found.whole.map(({ page }) => page).filter((page) => !kept.has(page));
    this.#leftovers = [...found.unfinished, ...superseded];
  }

  /** How many writes and erasures of whole regions have happened. */
  get writes(): number {
    return this.#writes;
  }

  /** How many pages were programmed or erased. */
  get operations(): number {
    return this.#operations;
  }

  get mostErased(): number {
    return this.#mostErased;
  }

  /** Erase cycles of each page. */
  get eraseCycles(): readonly number[] {
    return [...this.#eraseCycles];
  }

  get unnamedPages(): number {
    return this.#unnamed.length;
  }

  /**
   * The `nth` program or erasure of a page from now (1 is the next one) is not finished, only `share` (0-1) of its page is done, and
   * all after it do not happen.
   */
  cutPowerAtWrite(nth: number, share = 0.5): void {
    assert(nth >= 1 && share >= 0 && share <= 1, "the first operation that can fail is the next one");
    this.#cut = { at: this.#operations + nth, share };
  }

  read(region: string): FlashRead {
    const stored = this.#stored.get(region);
    if (stored === undefined) return undefined;
    return this.#wholeCopy(stored) ?? "rotten";
  }

  write(region: string, bytes: Uint8Array, copies: 1 | 2 = 1): void {
    assertRegion(region, bytes);
    this.#eraseLeftovers(region);
    const former = this.#stored.get(region);
    this.#sequence += 1;
    const written = Array.from({ length: copies }, (_, copy) => this.#programCopy(region, bytes, { copy, copies }));
    this.#stored.set(region, { sequence: this.#sequence, copies: written, copiesMeant: copies });
    this.#erasePages(region, former?.copies.flat() ?? []);
    this.#writes += 1;
  }

  erase(region: string): void {
    const stored = this.#stored.get(region);
    if (stored === undefined) return;
    this.#eraseLeftovers(region);
    this.#stored.delete(region);
    this.#erasePages(region, stored.copies.flat());
    this.#writes += 1;
  }

  regions(): readonly string[] {
    return [...this.#stored.keys()].sort();
  }

  halfRotten(): readonly string[] {
    const isHalf = ({ copies }: Stored): boolean => {
      const whole = copies.filter((pages) => this.#readCopy(pages) !== undefined);
      return whole.length > 0 && whole.length < copies.length;
    };
    return [...this.#stored].flatMap(([region, stored]) => (isHalf(stored) ? [region] : [])).sort();
  }

  heal(): void {
    const half = this.halfRotten();
    for (const [region, { copies, copiesMeant }] of [...this.#stored]) {
      const bytes = copies.length < copiesMeant || half.includes(region) ? this.read(region) : undefined;
      if (bytes !== undefined && bytes !== "rotten") this.write(region, bytes, 2);
    }
  }

  eraseUnnamed(): void {
    const unnamed = this.#unnamed;
    this.#unnamed = [];
    this.#erasePages("unnamed", unnamed);
  }

  image(): FlashImage {
    const programmed = this.#pages.flatMap((bytes, page) =>
      bytes === undefined ? [] : [[pageName(page), bytes] as const],
    );
    return new Map(programmed);
  }

  /** The pages that a region stands on, in order, those of its first copy first. */
  pagesOf(region: string): readonly number[] {
    return this.#stored.get(region)?.copies.flat() ?? [];
  }

  /** A bit of a page (0-32,767) flips by itself. An erased page is looked at before it is used again, so there is nothing to spoil. */
  rot(page: number, bit: number): void {
    assert(page >= 0 && page < FLASH_PAGES && bit >= 0 && bit < FLASH_PAGE_BYTES * 8, "a bit of this chip");
    const rotten = this.#pages[page]?.slice();
    if (rotten === undefined) return;
    const byte = bit >> 3;
    rotten[byte] = (rotten[byte] ?? 0) ^ (1 << (bit & 7));
    this.#put(page, rotten);
  }

  #wholeCopy({ copies }: Stored): Uint8Array | undefined {
    for (const pages of copies) {
      const bytes = this.#readCopy(pages);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  #readCopy(pages: readonly number[]): Uint8Array | undefined {
    const parts: Uint8Array[] = [];
    for (const page of pages) {
      const bytes = this.#pages[page];
      const data = bytes === undefined ? undefined : readPageData(bytes);
      if (data === undefined) return undefined;
      parts.push(data);
    }
    return concatBytes(...parts);
  }

  #programCopy(region: string, bytes: Uint8Array, which: { copy: number; copies: number }): readonly number[] {
    const pages = Math.max(1, Math.ceil(bytes.length / PAGE_DATA_BYTES));
    return Array.from({ length: pages }, (_, index) => {
      const page = this.#nextFreePage();
      const data = bytes.subarray(index * PAGE_DATA_BYTES, (index + 1) * PAGE_DATA_BYTES);
      const eraseCycles = this.#eraseCycles[page] ?? 0;
      const header = { eraseCycles, sequence: this.#sequence, index, pages, ...which, region };
      const programmed = encodePage(header, data);
      this.#operate(region, page, programmed, (share) => partlyProgrammed(programmed, share));
      this.#lastProgrammed = page;
      return page;
    });
  }

  /** Next to the page that was programmed last, so that all free pages have their turn. */
  #nextFreePage(): number {
    for (let step = 1; step <= FLASH_PAGES; step++) {
      const page = (this.#lastProgrammed + step) % FLASH_PAGES;
      if (this.#pages[page] === undefined) return page;
    }
    // The regions' own limits add up to less than the chip.
    assert(false, "the chip holds what its device writes");
  }

  #eraseLeftovers(region: string): void {
    const pages = this.#leftovers;
    this.#leftovers = [];
    this.#erasePages(region, pages);
  }

  #erasePages(region: string, pages: readonly number[]): void {
    for (const page of pages) {
      const before = this.#pages[page];
      if (before === undefined) continue;
      this.#operate(region, page, undefined, (share) => partlyErased(before, share));
      const cycles = (this.#eraseCycles[page] ?? 0) + 1;
      this.#eraseCycles[page] = cycles;
      this.#mostErased = Math.max(this.#mostErased, cycles);
    }
  }

  /** One program or erasure; `partly` says what is left of the page when power goes after that share of it. */
  #operate(region: string, page: number, after: Uint8Array | undefined, partly: (share: number) => Uint8Array): void {
    const isLast = this.#operations + 1 === this.#cut.at;
    if (this.#operations + 1 >= this.#cut.at) {
      if (isLast) this.#put(page, partly(this.#cut.share));
      this.#operations = Math.max(this.#operations, this.#cut.at);
      throw new PowerLost(region);
    }
    this.#put(page, after);
    this.#operations += 1;
  }

  #put(page: number, bytes: Uint8Array | undefined): void {
    const kept = imagePage(bytes);
    this.#pages[page] = kept;
    this.#onPage(pageName(page), kept);
  }
}

/**
 * The same with a folder behind it, one file for each page that is not blank, so that a device outlives its process. A kill -9 while a file is
 * written leaves a page that was not finished, as a loss of power does. The files are not forced to the disk: a power cut
 * of the machine is not what is emulated here.
 */
export class FileFlash extends MemoryFlash {
  constructor(folder: string) {
    // A lock's flash holds its keys: for the eyes of its owner alone.
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    super(readFolder(folder), (page, bytes) => {
      if (bytes === undefined) rmSync(join(folder, page), { force: true });
      else writeFileSync(join(folder, page), bytes, { mode: 0o600 });
    });
  }
}

function readFolder(folder: string): FlashImage {
  const names = readdirSync(folder).filter((name) => pagePattern.test(name));
  return new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
}

/** Hears of every page that is programmed, in part or whole, or erased (undefined). */
type PageListener = (page: string, bytes: Uint8Array | undefined) => void;

interface FoundPage {
  readonly page: number;
  readonly header: PageHeader;
}

function findPages(pages: readonly (Uint8Array | undefined)[]): {
  readonly whole: readonly FoundPage[];
  readonly unfinished: readonly number[];
  readonly unnamed: readonly number[];
} {
  const whole: FoundPage[] = [];
  const unfinished: number[] = [];
  const unnamed: number[] = [];
  for (const [page, bytes] of pages.entries()) {
    if (bytes === undefined) continue;
    const read = readPage(bytes);
    if (read.kind === "whole") whole.push({ page, header: read.header });
    else if (read.kind === "unnamed") unnamed.push(page);
    else unfinished.push(page);
  }
  return { whole, unfinished, unnamed };
}

/** A blank page does not say how often it was erased; about as often as the one that was programmed most, because all take turns. */
function eraseCyclesOf(whole: readonly FoundPage[]): number[] {
  const most = whole.reduce((highest, { header }) => Math.max(highest, header.eraseCycles), 0);
  const cycles = new Array<number>(FLASH_PAGES).fill(most);
  for (const { page, header } of whole) cycles[page] = header.eraseCycles;
  return cycles;
}

/** Of each region the last write of which some copy has all its pages. */
function storedByRegion(whole: readonly FoundPage[]): Map<string, Stored> {
  const stored = new Map<string, Stored>();
  const byWrite = Map.groupBy(whole, ({ header }) => `${header.region} ${header.sequence}`);
  for (const pages of byWrite.values()) {
    const header = pages[0]?.header;
    if (header === undefined || (stored.get(header.region)?.sequence ?? -1) > header.sequence) continue;
    const byCopy = [...Map.groupBy(pages, ({ header: { copy } }) => copy).values()];
    const copies = byCopy
      .filter((copy) => copy.length === header.pages)
      .map((copy) => copy.sort((left, right) => left.header.index - right.header.index).map(({ page }) => page));
    const { sequence, copies: copiesMeant } = header;
    if (copies.length > 0) stored.set(header.region, { sequence, copies, copiesMeant });
  }
  return stored;
}

/** A page as the chip has it: of 4,096 bytes, and none at all when it is blank. A file that a kill -9 left short ends blank. */
function imagePage(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined) return undefined;
  assert(bytes.length <= FLASH_PAGE_BYTES, "a page keeps its size");
  if (bytes.length === FLASH_PAGE_BYTES) return isPageBlank(bytes) ? undefined : bytes;
  const page = new Uint8Array(FLASH_PAGE_BYTES).fill(0xff);
  page.set(bytes);
  return isPageBlank(page) ? undefined : page;
}

function pageName(page: number): string {
  return `page-${String(page).padStart(4, "0")}`;
}

function assertRegion(region: string, bytes: Uint8Array): void {
  assert(regionPattern.test(region), "a region has a short plain name");
  assert(bytes.length <= REGION_LIMIT_BYTES, "a region keeps its size");
}

/**
 * 4 MiB. At their limits all regions take 603 pages: two policy banks, a third while one is replaced, one being staged (264), a full log of
 * entries at their limit (165), uses and used codes (154), the small ones (20).
 */
export const FLASH_PAGES = 1_024;
/** What serial NOR flash is made for: so many erasures of each page. */
export const ERASE_CYCLES_LIMIT = 100_000;
/** The largest region: one policy bank, a bundle of 256 KiB and its header. */
export const REGION_LIMIT_BYTES = 257 * 1024;
const regionPattern = /^[a-z0-9][a-z0-9-]{0,34}$/;
const pagePattern = /^page-\d{4}$/;
