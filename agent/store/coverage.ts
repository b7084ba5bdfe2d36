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

/** With what each event is and declares. */
export function addEvents(
  coverage: Coverage,
  events: readonly { readonly sequence: number; readonly covers?: Range }[],
): Coverage {
  let grown = coverage;
  let run: Range | undefined;
  for (const { sequence, covers } of events) {
    // Events come in the order of their sequence, so that most of a batch is one range.
    if (run !== undefined && sequence === run.last + 1) run = { first: run.first, last: sequence };
    else {
      if (run !== undefined) grown = addRange(grown, run);
      run = { first: sequence, last: sequence };
    }
    if (covers !== undefined) grown = addRange(grown, covers);
  }
  return run === undefined ? grown : addRange(grown, run);
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
/**
 * More ranges than this of one device are not kept track of: what would make more is refused until the holes are filled. Each is a row on
 * disk and 100 bytes in memory, and every event that comes is looked for among them. SPEC G61.
 */
export const COVERAGE_RANGES_MAX = 1_024;
/** A receipt names at most this many holes; the next receipt names the next ones. */
const MISSING_LIMIT = 32;
