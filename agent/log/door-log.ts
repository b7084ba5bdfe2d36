/**
 * The door log as somebody may see it: what the store gives, page by page, less what is not for their eyes, with holes in their place.
 *
 * Theory. The store gives each device's events in the order of its log, newest first. What a viewer may see of each is `logSight`. A
 * hole is a stretch of a device's sequence that neither came nor was declared lost; it stands where its entries would stand, whatever the
 * filter shows beside it, because what is missing could have matched. One call looks at a bounded number of events, shown or not.
 * Rows 90-92; SPEC M18-M22.
 */
import type { Role } from "../../protocol/access/roles.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixMs } from "../../protocol/base/units.ts";
import {
  type LogSight,
  type LogViewer,
  logSight,
  showsSequence,
  type ViewerRole,
} from "../../protocol/wire/log-privacy.ts";
import type { GatewayDesired } from "../../protocol/wire/messages/desired.ts";
import { type SiteDevice, secondsOf } from "../devices.ts";
import type { LogAnswer, LogEntryView } from "../http/views.ts";
import type { Clock } from "../ports/clock.ts";
import type { LoggedEvent, Store } from "../ports/store.ts";
import { bodyToWire, type WireEvent } from "../store/event-body.ts";
import { LogCursors, type LogPlace, type LowestSeen } from "./log-cursors.ts";
import { type AskedView, type LogQueryFault, type LogWords, parseLogRequest } from "./log-query.ts";

export interface DoorLogParts {
  readonly store: Pick<Store, "readLog" | "coverage">;
  /** Who and what there is at the site, by the authority's latest word. */
  readonly table: { readonly gateway: GatewayDesired | undefined; devices(): readonly SiteDevice[] };
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
  /** Whether something keeps this gateway's clock; null, as when absent: not known. */
  readonly clockSynchronised?: () => boolean | null;
  /** Somebody who was erased, though an entry that came since still names them. */
  readonly isErased?: (person: string) => boolean;
  /** Roles that may be asked for; a manager's and a technician's when absent. */
  readonly views?: () => readonly ViewerRole[];
}

export type DoorLogFault = LogQueryFault | { readonly code: "cursor-expired" };

type Person = GatewayDesired["people"][number];

/** What all entries of one answer are judged by. */
interface Eyes {
  readonly isErased: (person: string) => boolean;
  readonly viewer: LogViewer;
  readonly deviceById: ReadonlyMap<DeviceId, SiteDevice>;
  readonly personById: ReadonlyMap<string, Person>;
}

export class DoorLog {
  readonly #parts: DoorLogParts;
  readonly #cursors = new LogCursors();

  constructor(parts: DoorLogParts) {
    this.#parts = parts;
  }

  /** One page. Faults: bad-query, role-not-allowed, cursor-expired. */
  async read(words: LogWords): Promise<Result<LogAnswer, DoorLogFault>> {
    const { table, clock, views } = this.#parts;
    const known = { nowMs: clock.nowMs(), devices: table.devices(), views: views?.() ?? defaultViews };
    const request = parseLogRequest(words, known);
    if (!request.ok) return request;
    const { filter, limit, cursor } = request.value;
    const place: LogPlace | undefined =
      cursor === undefined ? { filter, after: undefined, lowestByDevice: new Map() } : this.#cursors.place(cursor);
    if (place === undefined) return failed({ code: "cursor-expired" });
    const eyes = this.#eyes(place.filter.viewer);
    const { entries, next } = await this.#page(place, limit, eyes);
    return ok({
      at: secondsOf(clock.nowMs()),
      clockSynchronised: this.#parts.clockSynchronised?.() ?? null,
      role: place.filter.viewer.role,
      entries: [...entries],
      next: next === undefined ? null : this.#cursors.keep(next),
    });
  }

  async #page(
    place: LogPlace,
    limit: number,
    eyes: Eyes,
  ): Promise<{ entries: readonly LogEntryView[]; next: LogPlace | undefined }> {
    const { filter } = place;
    const holes = new Holes(this.#parts.store, place.lowestByDevice, eyes);
    const entries: LogEntryView[] = [];
    let after = place.after;
    let shown = 0;
    const beganMs = this.#parts.clock.monotonicMs();
    const isInTime = (): boolean => this.#parts.clock.monotonicMs() - beganMs < LOOK_MS;
    for (let looks = 0; looks < LOOKS_LIMIT && shown < limit && isInTime(); looks++) {
      const page = await this.#parts.store.readLog({
        limit: limit - shown,
        devices: filter.devices,
        person: filter.person,
        ...(filter.reason === undefined ? {} : { reasons: [filter.reason] }),
        sinceMs: filter.sinceMs,
        after,
      });
      for (const logged of page.events) {
        entries.push(...(await holes.above(logged)));
        const entry = entryFor(logged, eyes);
        if (entry === undefined) continue;
        entries.push(entry);
        shown += 1;
      }
      if (page.next === null) {
        // Of what is older than somebody wants to see nobody says that it is missing.
        if (filter.sinceMs === undefined) entries.push(...(await holes.atTheEnd()));
        return { entries, next: undefined };
      }
      after = page.next;
    }
    return { entries, next: { filter, after, lowestByDevice: holes.lowestByDevice } };
  }

  #eyes(asked: AskedView): Eyes {
    const { table } = this.#parts;
    const personById = new Map(table.gateway?.people.map((person) => [person.id, person] as const));
    const viewer =
      asked.role === "resident" ? { ...asked, unit: personById.get(asked.person)?.unit } : { role: asked.role };
    const isErased = this.#parts.isErased ?? (() => false);
    return {
      viewer,
      isErased,
      personById,
      deviceById: new Map(table.devices().map((device) => [device.id, device] as const)),
    };
  }
}

/** Undefined: it is not for these eyes. */
function entryFor(logged: LoggedEvent, eyes: Eyes): LogEntryView | undefined {
  const { device: id, receivedAtMs } = logged;
  // The lock's own bytes are for the authority; a person reads the rest.
  const { raw: _raw, ...said } = bodyToWire(logged.body);
  const isErasedSince = said.person !== undefined && eyes.isErased(said.person);
  const event = isErasedSince ? withoutWho(said, ["detail"]) : said;
  const erased = logged.erased === true || isErasedSince;
  const device = eyes.deviceById.get(id);
  const person = event.person === undefined ? undefined : eyes.personById.get(event.person);
  const sight = logSight(
    {
      kind: event.kind,
      doorKind: device?.doorKind,
      doorUnit: device?.doorUnit,
      person: event.person,
      // Whoever was taken out of an entry was somebody.
      namesCredential: event.credential !== undefined || event.command !== undefined || erased,
      personRole: roleOf(person),
      personUnit: person?.unit,
    },
    eyes.viewer,
  );
  if (sight === "hidden") return undefined;
  return {
    ...seen(event, sight),
    ...placeOf(device, id),
    receivedAt: secondsOf(receivedAtMs),
    personName: sight === "whole" ? (person?.name ?? null) : null,
    ...numbering(event, device, eyes.viewer),
    ...(erased ? { erased } : {}),
  };
}

/** The authority leaves a resident's role out; somebody who is not listed has none that is known. */
function roleOf(person: Person | undefined): Role | undefined {
  return person === undefined ? undefined : (person.role ?? "RESIDENT");
}

type Said = Omit<WireEvent, "raw">;

function seen(event: Said, sight: Exclude<LogSight, "hidden">): Said {
  return sight === "whole" ? event : withoutWho(event);
}

function withoutWho(event: Said, more: readonly (keyof Said)[] = []): Said {
  const who: readonly string[] = ["person", "credential", "command", "entryTag", ...more];
  return Object.fromEntries(Object.entries(event).filter(([name]) => !who.includes(name))) as Said;
}

/** What an entry is called, and what it says of others' numbers, where that may be shown. */
function numbering(
  { sequence, kind, facts }: Pick<WireEvent, "sequence" | "kind" | "facts">,
  device: SiteDevice | undefined,
  viewer: LogViewer,
): Pick<LogEntryView, "sequence" | "facts"> {
  if (showsSequence({ doorKind: device?.doorKind }, viewer))
    return { sequence, ...(facts === undefined ? {} : { facts }) };
  if (kind !== "log-gap" || facts === undefined) return { sequence: null, ...(facts === undefined ? {} : { facts }) };
  const { before = 0, after = before - 1, ...others } = facts;
  return { sequence: null, facts: { ...others, missing: after - before + 1 } };
}

function placeOf(device: SiteDevice | undefined, id: DeviceId): Pick<LogEntryView, "device" | "door" | "doorName"> {
  return { device: id, door: device?.door ?? null, doorName: device?.doorName ?? null };
}

/** The stretches of each device's log that are not here, as the way down through the log passes them. */
class Holes {
  readonly lowestByDevice: Map<DeviceId, LowestSeen>;
  readonly #store: DoorLogParts["store"];
  readonly #eyes: Eyes;
  readonly #holesByDevice = new Map<DeviceId, readonly Hole[]>();

  constructor(store: DoorLogParts["store"], lowestByDevice: LogPlace["lowestByDevice"], eyes: Eyes) {
    this.#store = store;
    this.lowestByDevice = new Map(lowestByDevice);
    this.#eyes = eyes;
  }

  /** Those between this event and what came before it in the answers. */
  async above(logged: LoggedEvent): Promise<readonly LogEntryView[]> {
    const { device, sequence, receivedAtMs } = logged;
    const newer = this.lowestByDevice.get(device);
    if (newer === undefined || sequence < newer.sequence) this.lowestByDevice.set(device, { sequence, receivedAtMs });
    const lowest = newer?.sequence ?? Number.POSITIVE_INFINITY;
    const holes = (await this.#of(device)).filter(({ first, last }) => first > sequence && last < lowest);
    return this.#shown(holes, device, newer?.receivedAtMs ?? receivedAtMs);
  }

  /** Those at the beginning of each device's log. */
  async atTheEnd(): Promise<readonly LogEntryView[]> {
    const entries: LogEntryView[] = [];
    for (const [device, { sequence, receivedAtMs }] of this.lowestByDevice) {
      const holes = (await this.#of(device)).filter(({ last }) => last < sequence);
      entries.push(...this.#shown(holes, device, receivedAtMs));
    }
    return entries;
  }

  async #of(device: DeviceId): Promise<readonly Hole[]> {
    const known = this.#holesByDevice.get(device);
    if (known !== undefined) return known;
    const holes: Hole[] = [];
    let reached = 0;
    for (const { first, last } of await this.#store.coverage(device)) {
      if (first > reached + 1) holes.push({ first: reached + 1, last: first - 1 });
      reached = last;
    }
    // The newest first, as everything here.
    const found = holes.slice(-HOLES_LIMIT).reverse();
    this.#holesByDevice.set(device, found);
    return found;
  }

  /** A hole has no time of its own: it was seen when what follows it came. */
  #shown(holes: readonly Hole[], id: DeviceId, receivedAtMs: UnixMs): readonly LogEntryView[] {
    const { viewer, deviceById } = this.#eyes;
    if (viewer.role === "resident") return [];
    const device = deviceById.get(id);
    const isNumbered = showsSequence({ doorKind: device?.doorKind }, viewer);
    return holes.map(({ first, last }) => ({
      kind: HOLE,
      ...placeOf(device, id),
      // At the door of a home what follows may be somebody's coming home: then the day has to do.
      receivedAt: isNumbered ? secondsOf(receivedAtMs) : secondsOf(Math.floor(receivedAtMs / DAY_MS) * DAY_MS),
      boot: null,
      sequence: null,
      personName: null,
      facts: { ...(isNumbered ? { first, last } : {}), missing: last - first + 1 },
    }));
  }
}

interface Hole {
  readonly first: number;
  readonly last: number;
}

/** The kind of an entry that is not there. */
export const HOLE = "hole";
const defaultViews: readonly ViewerRole[] = ["manager", "technician"];
const DAY_MS = 86_400_000;
/** Of a device in one answer; the newest. */
const HOLES_LIMIT = 100;
/** Of the store's bounded looks in one call, and after which time there is none: who asks waits 5 s at the most. */
const LOOKS_LIMIT = 16;
const LOOK_MS = 1_000;
