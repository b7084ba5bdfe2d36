/**
 * Which events may give way when the disk fills, and what stands in their place. Everything about who came in, doors, faults, policy and
 * the log itself is kept or refused, never dropped; of who scanned what and when a device started the latest say most. SPEC G62, G63.
 */
import type { StoredEvent } from "../ports/store.ts";

/** What comes in a row keeps only its last; a gap record stands for the others. Order and all other events stay. */
export function thinTelemetry(
  events: readonly StoredEvent[],
  cameMs: number,
): { readonly events: readonly StoredEvent[]; readonly dropped: number } {
  const kept: StoredEvent[] = [];
  let dropped = 0;
  let run: StoredEvent[] = [];
  const endRun = (): void => {
    const last = run.at(-1);
    dropped += Math.max(0, run.length - 1);
    const gap = gapOf(run.slice(0, -1).map((event) => ({ ...event, cameMs })));
    if (gap !== undefined) kept.push(gap);
    if (last !== undefined) kept.push(last);
    run = [];
  };
  for (const event of events) {
    const before = run.at(-1);
    if (before !== undefined && !follows(before, event)) endRun();
    if (isTelemetry(event.body)) run.push(event);
    else kept.push(event);
  }
  endRun();
  return { events: kept, dropped };
}

function follows(before: StoredEvent, event: StoredEvent): boolean {
  return isTelemetry(event.body) && event.sequence === before.sequence + 1 && event.boot === before.boot;
}

export interface DroppedRow {
  readonly boot: number;
  readonly sequence: number;
  readonly body: string;
  readonly cameMs: number;
}

/** The record of events that gave way, in the order of their sequence without a hole; earlier records among them are taken in. */
export function gapOf(dropped: readonly DroppedRow[]): StoredEvent | undefined {
  const [first, last] = [dropped[0], dropped.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const told = dropped.map(({ body, cameMs, sequence }) => gapFactsOf(body) ?? ownFacts(sequence, cameMs));
  const before = told[0]?.before ?? first.sequence;
  const after = last.sequence - 1;
  const facts = {
    // A log-gap covers what is below its own sequence (SPEC B3), and its own by being there.
    ...(before <= after ? { before, after } : {}),
    dropped: told.reduce((sum, { dropped: count }) => sum + count, 0),
    from: Math.min(...told.map(({ from }) => from)),
    until: Math.max(...told.map(({ until }) => until)),
  };
  const { boot, sequence } = last;
  const body = JSON.stringify({ boot, sequence, at: { unixSeconds: null, quality: "unset" }, kind: "log-gap", facts });
  return { boot, sequence, body, ...(before <= after ? { covers: { first: before, last: after } } : {}) };
}

/** Sequences from `first` to `last`, which were here once and are not any more. */
export function lostGap(first: number, last: number, boot: number): StoredEvent {
  const facts = { ...(first < last ? { before: first, after: last - 1 } : {}), dropped: last - first + 1 };
  const at = { unixSeconds: null, quality: "unset" };
  const body = JSON.stringify({ boot, sequence: last, at, kind: "log-gap", facts });
  return { boot, sequence: last, body, ...(first < last ? { covers: { first, last: last - 1 } } : {}) };
}

export function isTelemetry(body: string): boolean {
  return telemetryMarks.some((mark) => body.includes(mark));
}

/** Of a record that this gateway made. */
export function gapFactsOf(body: string): GapFacts | undefined {
  if (!body.includes('"kind":"log-gap"') || !body.includes('"dropped":')) return undefined;
  const { facts, sequence }: { facts: Partial<GapFacts>; sequence: number } = JSON.parse(body);
  const { before = sequence, dropped = 1, from = 0, until = 0 } = facts;
  return { before, dropped, from, until };
}

interface GapFacts {
  readonly before: number;
  readonly dropped: number;
  /** When the first and the last of them came here, Unix seconds. */
  readonly from: number;
  readonly until: number;
}

function ownFacts(sequence: number, cameMs: number): GapFacts {
  const seconds = Math.max(0, Math.floor(cameMs / 1000));
  return { before: sequence, dropped: 1, from: seconds, until: seconds };
}

/** As `JSON.stringify` writes them; no text of an event can hold a bare quote. */
const telemetryMarks = ['"kind":"scan"', '"kind":"boot"'];
