/**
 * The record as somebody may see it. The authority's own record is whole, and locks' logs stand open in it: so the rule that keeps a
 * resident's comings and goings from who manages the house bites here, and not only on the gateway, which cannot read them. SPEC M18-M20.
 */
import { personById } from "../../protocol/site/rights.ts";
import type { Site } from "../../protocol/site/site.ts";
import { type LogViewer, logSight, showsSequence } from "../../protocol/wire/log-privacy.ts";
import { type EventKind, eventKinds } from "../../protocol/wire/messages/event.ts";
import type { DeviceCount, RecordedEvent } from "./record.ts";
import type { UnlockEntry } from "./unlock-record.ts";

/** An event less what it may not say. */
export interface SeenEvent {
  readonly id: number;
  readonly device: string;
  readonly boot: number;
  /** Null where it would tell how often somebody came and went. */
  readonly sequence: number | null;
  readonly kind: string;
  readonly receivedAt: number;
  readonly [field: string]: unknown;
}

/** Of the authority: the site as it stands, and whose a credential is or was. */
export interface Seers {
  readonly site: Site | undefined;
  ownerOf(credential: string): string | undefined;
}

/** What of the record these eyes may see, in its order. */
export function seenEvents(
  authority: Seers,
  events: readonly RecordedEvent[],
  viewer: LogViewer,
): readonly SeenEvent[] {
  return events.flatMap((event) => {
    const subject = subjectOf(authority, event);
    const sight = logSight(subject, viewer);
    if (sight === "hidden") return [];
    const numbered = showsSequence(subject, viewer) ? event : withoutNumbers(event);
    return [sight === "whole" ? numbered : withoutWho(numbered)];
  });
}

/** The unlock commands as the openings that they are. */
export function seenUnlocks(
  site: Site | undefined,
  entries: readonly UnlockEntry[],
  viewer: LogViewer,
): readonly UnlockEntry[] {
  return entries.filter(({ door, person }) => {
    const { doorKind, doorUnit } = doorOf(site, door);
    const who = personOf(site, person);
    const subject = { kind: "access-granted" as const, doorKind, doorUnit, person, namesCredential: false, ...who };
    return logSight(subject, viewer) === "whole";
  });
}

/** Counts of a log, and at the door of a home only whether anything of it is missing. */
export function seenCounts(site: Site | undefined, counts: readonly CheckedCount[], viewer: LogViewer) {
  return counts.map((count) => {
    if (showsSequence(doorOf(site, doorOfDevice(site, count.device)), viewer)) return count;
    return { ...count, events: null, first: null, last: null, chainChecked: null };
  });
}

type CheckedCount = DeviceCount & { readonly chainChecked: number | null };

function subjectOf(authority: Seers, event: RecordedEvent) {
  const { site } = authority;
  const credential = typeof event["credential"] === "string" ? event["credential"] : undefined;
  // A lock names the credential alone, and the authority knows whose it is.
  const owner = credential === undefined ? undefined : authority.ownerOf(credential);
  const person = typeof event["person"] === "string" ? event["person"] : owner;
  return {
    // A kind that this version does not know is judged as somebody's coming home.
    kind: eventKinds.find((kind) => kind === event.kind) ?? ("access-granted" satisfies EventKind),
    ...doorOf(site, doorOfDevice(site, event.device)),
    person,
    namesCredential: credential !== undefined || event["command"] !== undefined,
    ...personOf(site, person),
  };
}

function doorOfDevice(site: Site | undefined, device: string): string | undefined {
  return [...(site?.devices ?? []), ...(site?.panels ?? [])].find(({ id }) => id === device)?.door;
}

function doorOf(site: Site | undefined, id: string | undefined) {
  const door = site?.doors.find((one) => one.id === id);
  return { doorKind: door?.kind, doorUnit: door?.unit };
}

function personOf(site: Site | undefined, id: string | undefined) {
  const person = site === undefined || id === undefined ? undefined : personById(site, id);
  return { personRole: person?.role, personUnit: person?.unit };
}

function withoutWho(event: SeenEvent): SeenEvent {
  const { id, device, boot, sequence, kind, receivedAt } = event;
  const { person: _person, credential: _credential, command: _command, entryTag: _tag, ...rest } = event;
  return { ...rest, id, device, boot, sequence, kind, receivedAt };
}

function withoutNumbers(event: RecordedEvent): SeenEvent {
  const { id, device, boot, kind, receivedAt } = event;
  const { facts, ...rest } = event;
  const isOfSequences = kind === "log-gap" || kind === "sealed-log";
  const shown = isOfSequences || facts === undefined ? {} : { facts };
  return { ...rest, ...shown, id, device, boot, sequence: null, kind, receivedAt };
}
