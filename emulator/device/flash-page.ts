/**
 * One page of an emulated flash chip, as bytes: an erase block of 4 KiB of NOR flash. Erasing sets all bits of a page, programming
 * clears some of them, from the first byte to the last, once between two erasures.
 *
 *     0     header: magic | erase cycles | sequence | index, pages | copy, copies | length, CRC-32 of the data | name | CRC-32 of this
 *     64    data, up to 3,968 bytes, then blank
 *     4032  the same header again
 *
 * Theory of operation. The header at the end is programmed last and erased last, the one at the start is programmed first and erased
 * first. So a page that lacks either, all blank, was not finished: power went while it was programmed or erased, and it counts
 * for nothing. A page that has both was whole once; whatever does not fit its checksums in it has rotted since. One header says whose
 * page it is when the other has rotted.
 */
import { crc32 } from "node:zlib";
import { utf8 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";

/** The erase block of common serial NOR flash. */
export const FLASH_PAGE_BYTES = 4_096;
const HEADER_BYTES = 64;
const TRAILER_AT = FLASH_PAGE_BYTES - HEADER_BYTES;
/** What a page holds besides its two headers. */
export const PAGE_DATA_BYTES = FLASH_PAGE_BYTES - 2 * HEADER_BYTES;

export interface PageHeader {
  /** How often the page was erased, as far as its driver knows. */
  readonly eraseCycles: number;
  /** Of the write that this page is a part of; each write has a higher one. */
  readonly sequence: number;
  /** Which of the record's pages, from 0, and how many there are. */
  readonly index: number;
  readonly pages: number;
  /** Which of the equal copies, from 0, and how many were to be written. */
  readonly copy: number;
  readonly copies: number;
  /** 1-35 plain letters, digits and hyphens. */
  readonly region: string;
}

/** `unfinished`: programming or erasing it lost its power. `unnamed`: it was whole, and neither header can be read any more. */
export type PageRead =
  | { readonly kind: "whole"; readonly header: PageHeader }
  | { readonly kind: "unfinished" }
  | { readonly kind: "unnamed" };

/** A page as it is programmed. */
export function encodePage(header: PageHeader, data: Uint8Array): Uint8Array {
  assert(data.length <= PAGE_DATA_BYTES, "a page keeps its size");
  const page = blankPage();
  const head = encodeHeader(header, data);
  page.set(head, 0);
  page.set(data, HEADER_BYTES);
  page.set(head, TRAILER_AT);
  return page;
}

export function readPage(page: Uint8Array): PageRead {
  if (isBlank(page.subarray(0, HEADER_BYTES)) || isBlank(page.subarray(TRAILER_AT))) return { kind: "unfinished" };
  const head = readHeader(page);
  return head === undefined ? { kind: "unnamed" } : { kind: "whole", header: head.header };
}

/** The data of a page; undefined when they do not fit their checksum. */
export function readPageData(page: Uint8Array): Uint8Array | undefined {
  const head = readHeader(page);
  if (head === undefined) return undefined;
  const data = page.subarray(HEADER_BYTES, HEADER_BYTES + head.length);
  return crc32(data) === head.dataCrc ? data : undefined;
}

/** What is left when power goes after `share` (0-1) of the page's bytes were programmed. */
export function partlyProgrammed(page: Uint8Array, share: number): Uint8Array {
  return mixed(page, blankPage(), share);
}

/** What is left when power goes after `share` (0-1) of the page's bytes were erased. */
export function partlyErased(page: Uint8Array, share: number): Uint8Array {
  return mixed(blankPage(), page, share);
}

export function isPageBlank(page: Uint8Array): boolean {
  return page.every((byte) => byte === BLANK);
}

function mixed(first: Uint8Array, second: Uint8Array, share: number): Uint8Array {
  const page = second.slice();
  page.set(first.subarray(0, Math.floor(share * FLASH_PAGE_BYTES)));
  return page;
}

function blankPage(): Uint8Array {
  return new Uint8Array(FLASH_PAGE_BYTES).fill(BLANK);
}

/** A header has dozens of bytes that are not blank; this many may have rotted in one that is. */
function isBlank(header: Uint8Array): boolean {
  let programmed = 0;
  for (const byte of header) if (byte !== BLANK) programmed += 1;
  return programmed <= ROTTEN_BYTES_OF_BLANK;
}

function encodeHeader(header: PageHeader, data: Uint8Array): Uint8Array {
  const name = utf8(header.region);
  assert(name.length >= 1 && name.length <= NAME_LIMIT_BYTES, "a region has a short name");
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.eraseCycles);
  view.setUint32(8, header.sequence);
  view.setUint16(12, header.index);
  view.setUint16(14, header.pages);
  view.setUint8(16, header.copy);
  view.setUint8(17, header.copies);
  view.setUint16(18, data.length);
  view.setUint32(20, crc32(data));
  view.setUint8(24, name.length);
  bytes.set(name, NAME_AT);
  view.setUint32(CRC_AT, crc32(bytes.subarray(0, CRC_AT)));
  return bytes;
}

/** The header at the start, or else the one at the end. */
function readHeader(page: Uint8Array): DecodedHeader | undefined {
  return decodeHeader(page.subarray(0, HEADER_BYTES)) ?? decodeHeader(page.subarray(TRAILER_AT));
}

interface DecodedHeader {
  readonly header: PageHeader;
  readonly length: number;
  readonly dataCrc: number;
}

function decodeHeader(bytes: Uint8Array): DecodedHeader | undefined {
  if (bytes.length !== HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(0) !== MAGIC || view.getUint32(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT))) return undefined;
  const header = {
    eraseCycles: view.getUint32(4),
    sequence: view.getUint32(8),
    index: view.getUint16(12),
    pages: view.getUint16(14),
    copy: view.getUint8(16),
    copies: view.getUint8(17),
    region: new TextDecoder().decode(bytes.subarray(NAME_AT, NAME_AT + view.getUint8(24))),
  };
  return { header, length: view.getUint16(18), dataCrc: view.getUint32(20) };
}

const MAGIC = 0x444c_4631;
const NAME_AT = 25;
const CRC_AT = HEADER_BYTES - 4;
export const NAME_LIMIT_BYTES = CRC_AT - NAME_AT;
const BLANK = 0xff;
const ROTTEN_BYTES_OF_BLANK = 4;
