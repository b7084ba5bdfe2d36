/** A device's event on disk: its wire form in JSON, so that what goes upstream is what came in. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { DeviceEvent, eventSchema } from "../../protocol/wire/messages/event.ts";
import type { StoredEvent } from "../ports/store.ts";

export type WireEvent = z.input<typeof eventSchema>;

export function eventToStored(event: DeviceEvent): StoredEvent {
  const { boot, sequence, raw, ...rest } = event;
  const wire: WireEvent = { boot, sequence, ...rest, ...(raw === undefined ? {} : { raw: bytesToBase64(raw) }) };
  const covers = coveredRange(event);
  return { boot, sequence, body: JSON.stringify(wire), ...(covers === undefined ? {} : { covers }) };
}

/**
 * Whether two bodies are of the same event. What the gateway itself adds or took out may differ: a firmware that was learned meanwhile,
 * a person that was erased, telemetry that gave way to a gap record.
 */
export function isSameEvent(held: string, came: string): boolean {
  if (held === came || isGapRecord(held)) return true;
  const [left, right] = [asTheDeviceSaid(held), asTheDeviceSaid(came)];
  const isErasedHere = isErasedBody(held) || isErasedBody(came);
  return isErasedHere ? isDeepStrictEqual(withoutPerson(left), withoutPerson(right)) : isDeepStrictEqual(left, right);
}

function asTheDeviceSaid(body: string): WireEvent {
  const { reasonAbsent: _absent, standards: _standards, ...said } = bodyToWire(body);
  return said;
}

/**
 * Only what `eventToStored` wrote is ever read here, so anything else is a broken program or disk: an assertion. It looks at as much as
 * tells an event from anything else; the schema itself would cost the store's thread 8 MB.
 */
export function bodyToWire(body: string): WireEvent {
  const wire: unknown = JSON.parse(bodyToText(body));
  assert(isEvent(wire), "a stored event has the form it was stored in");
  return wire;
}

function isEvent(wire: unknown): wire is WireEvent {
  if (typeof wire !== "object" || wire === null) return false;
  const { boot, sequence, kind } = wire as Partial<WireEvent>;
  return Number.isInteger(boot) && Number.isInteger(sequence) && typeof kind === "string";
}

/** The event's JSON as it goes upstream. */
export function bodyToText(body: string): string {
  return isErasedBody(body) ? `${body.slice(0, -ERASED_MARK.length)}}` : body;
}

/** The body without who it was; undefined when it names neither the person nor one of the credentials. SPEC G66. */
export function eraseFromBody(body: string, { person, credentials }: ErasureOrder): string | undefined {
  if (![person, ...credentials].some((id) => body.includes(`"${id}"`))) return undefined;
  const wire = parsed(body);
  if (wire === undefined || isErasedBody(body)) return undefined;
  const names = wire.person === person || (wire.credential !== undefined && credentials.includes(wire.credential));
  if (!names) return undefined;
  return `${JSON.stringify(withoutPerson(wire)).slice(0, -1)}${ERASED_MARK}`;
}

export interface ErasureOrder {
  readonly person: string;
  readonly credentials: readonly string[];
}

export function isErasedBody(body: string): boolean {
  return body.endsWith(ERASED_MARK);
}

/** Detail is the vendor's text and may hold a name; a tag or a command leads to one. */
function withoutPerson(wire: WireEvent): WireEvent {
  const {
    person: _person,
    credential: _credential,
    command: _command,
    entryTag: _tag,
    detail: _detail,
    ...rest
  } = wire;
  return rest;
}

/** Undefined: what is there is no event, because the disk spoilt it. */
function parsed(body: string): WireEvent | undefined {
  try {
    const wire: unknown = JSON.parse(body);
    return typeof wire === "object" && wire !== null ? (wire as WireEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** What a stored event covers beside itself. */
export function storedCovers(body: string): StoredEvent["covers"] {
  if (!body.includes('"kind":"log-gap"') && !body.includes('"kind":"sealed-log"')) return undefined;
  const wire = parsed(body);
  return wire === undefined ? undefined : coveredRange(wire);
}

/** A log-gap names the first and last lost as `before` and `after`, a sealed run its `first` (SPEC E3). Senseless numbers cover nothing. */
function coveredRange({
  kind,
  facts,
  sequence,
}: Pick<WireEvent, "kind" | "facts" | "sequence">): StoredEvent["covers"] {
  if (kind !== "log-gap" && kind !== "sealed-log") return undefined;
  const first = kind === "log-gap" ? facts?.["before"] : facts?.["first"];
  const last = kind === "log-gap" ? facts?.["after"] : sequence - 1;
  if (first === undefined || last === undefined) return undefined;
  const sane = Number.isInteger(first) && Number.isInteger(last) && first >= 0 && first <= last;
  return sane && last < sequence ? { first, last } : undefined;
}

/** The gateway's own record of what gave way. */
function isGapRecord(body: string): boolean {
  return body.includes('"kind":"log-gap"') && body.includes('"dropped":');
}

/** Behind everything else in the body, and taken off before it goes anywhere. */
const ERASED_MARK = ',"erased":true}';
