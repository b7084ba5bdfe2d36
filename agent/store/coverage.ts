/**
 * Which sequences of one device's log are here: ranges in ascending order that neither touch nor overlap. A log begins at
 * sequence 1; a device that no longer has its beginning says so with a log-gap.
 */
import type { Receipt } from "../../protocol/wire/messages/receipt.ts";

export interface Range {
  readonly first: number;
  readonly last: number;
}

export type Coverage = readonly Range[];

/** Adds `range` and joins what touches. */
export function addRange(coverage: Coverage, range: Range): Coverage {
  let { first, last } = range;
  const apart: Range[] = [];
  for (const other of coverage) {
    if (other.last + 1 < first || last + 1 < other.first) {
      apart.push(other);
      continue;
    }
    first = Math.min(first, other.first);
    last = Math.max(last, other.last);
  }
  return [...apart, { first, last }].sort((left, right) => left.first - right.first);
}

/** Takes `range` out. */
export function cutRange(coverage: Coverage, range: Range): Coverage {
  return coverage.flatMap(({ first, last }) => [
    ...(first < range.first ? [{ first, last: Math.min(last, range.first - 1) }] : []),
    ...(last > range.last ? [{ first: Math.max(first, range.last + 1), last }] : []),
  ]);
}

/** SPEC M8: highest sequence below which nothing is missing, and what was passed over. */
export function coverageToReceipt(coverage: Coverage): Pick<Receipt, "through" | "missing"> {
  let through = FIRST_SEQUENCE - 1;
  let reached = through;
  const missing: Receipt["missing"] = [];
  for (const { first, last } of coverage) {
    if (first > reached + 1) missing.push({ from: reached + 1, to: first - 1 });
    else if (missing.length === 0) through = last;
    reached = last;
  }
  return {
    through: through < FIRST_SEQUENCE && coverage[0]?.first !== 0 ? null : through,
    missing: missing.slice(0, MISSING_LIMIT),
  };
}

/** How many sequences above `after` are covered. */
export function countAbove(coverage: Coverage, after: number): number {
  return coverage.reduce((sum, { first, last }) => sum + Math.max(0, last - Math.max(first, after + 1) + 1), 0);
}

export function highest(coverage: Coverage): number {
  return coverage.at(-1)?.last ?? -1;
}

export const FIRST_SEQUENCE = 1;
/** A receipt names at most this many holes; the next receipt names the next ones. */
const MISSING_LIMIT = 32;
