/**
 * How one list becomes another: runs kept from the old one, items that take the place of an old one, and new items.
 *
 * Rights name schedules, and credentials name rights, by their place. An edit therefore also tells where each old item went, so that
 * what names an item need not be sent again because the list before it grew (SPEC X4).
 */
import { type CborCodec, type CborFields, cborArray, cborRecord, cborUint, optional } from "../base/cbor-record.ts";
import { failed, ok, type Result } from "../base/result.ts";

/** `start` and perhaps `count`: a run of the old list (1 where absent). `start` and `item`: in its place. `item` alone: new. */
export interface ListSegment<Item> {
  readonly start?: number;
  readonly count?: number;
  readonly item?: Item;
}

/** For each place of the old list its place in the new one; undefined: gone. */
export type Places = readonly (number | undefined)[];

/** An edit that does not fit the list it is applied to: the segment, and what was expected of it. */
export type ListEditFault = {
  readonly code: "list-edit";
  readonly list: string;
  readonly segment: number;
  readonly expected: string;
};

export function listEditCodec<Item>(item: CborCodec<Item>, max: number): CborCodec<readonly ListSegment<Item>[]> {
  const fields = {
    start: optional(1, cborUint(max)),
    count: optional(2, cborUint(max)),
    item: optional(3, item),
  } satisfies CborFields;
  return cborArray(cborRecord(fields), max);
}

/**
 * The edit between two lists, given as texts that are equal for equal items; an old item without a text fits nothing. No segments
 * when nothing changed. The same lists give the same edit, in time that grows with their lengths.
 */
export function diffLists<Item>(
  old: readonly (string | undefined)[],
  wanted: readonly string[],
  itemAt: (index: number) => Item,
): { readonly segments: readonly ListSegment<Item>[] | undefined; readonly places: Places } {
  const wantedTexts = new Set(wanted);
  const firstPlace = new Map<string | undefined, number>();
  for (const [index, text] of old.entries()) if (!firstPlace.has(text)) firstPlace.set(text, index);
  const segments: ListSegment<Item>[] = [];
  const places: (number | undefined)[] = old.map(() => undefined);
  let cursor = 0;
  let run = 0;
  const endRun = (): void => {
    if (run > 0) segments.push({ start: cursor - run, ...(run === 1 ? {} : { count: run }) });
    run = 0;
  };
  for (const [index, text] of wanted.entries()) {
    const found = old[cursor] === text ? cursor : firstPlace.get(text);
    if (found !== undefined) {
      if (found !== cursor) endRun();
      run += 1;
      places[found] ??= index;
      cursor = found + 1;
      continue;
    }
    endRun();
    const replaced = cursor < old.length && !wantedTexts.has(old[cursor] ?? "") ? cursor : undefined;
    segments.push({ ...(replaced === undefined ? {} : { start: replaced }), item: itemAt(index) });
    if (replaced === undefined) continue;
    places[replaced] ??= index;
    cursor += 1;
  }
  const isUnchanged = segments.length === 0 && run === old.length && cursor === old.length;
  endRun();
  return { segments: isUnchanged ? undefined : segments, places };
}

/** Carries out an edit; no edit keeps the list as it is. Faults: list-edit. The result has at most `max` items. */
export function applyListEdit<Item>(
  list: string,
  old: readonly Item[],
  segments: readonly ListSegment<Item>[] | undefined,
  max: number,
): Result<{ readonly items: readonly Item[]; readonly places: Places }, ListEditFault> {
  if (segments === undefined) return ok({ items: old, places: old.map((_, index) => index) });
  const items: Item[] = [];
  const places: (number | undefined)[] = old.map(() => undefined);
  for (const [segment, { start, count, item }] of segments.entries()) {
    const fault = (expected: string) => failed({ code: "list-edit", list, segment, expected } as const);
    if (item !== undefined && count !== undefined) return fault("an item or a count");
    if (item === undefined && start === undefined) return fault("an item or a place of the old list");
    const length = item === undefined ? (count ?? 1) : 1;
    if (length === 0) return fault("a run of at least one item");
    if (items.length + length > max) return fault(`at most ${max} items`);
    if (start !== undefined && start + length > old.length) return fault(`places below ${old.length}`);
    if (start !== undefined) {
      for (let index = 0; index < length; index++) places[start + index] ??= items.length + index;
    }
    if (item !== undefined) items.push(item);
    else for (const kept of old.slice(start, (start ?? 0) + length)) items.push(kept);
  }
  return ok({ items, places });
}
