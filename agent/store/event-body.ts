/** A device's event on disk: its wire form in JSON, so that what goes upstream is what came in. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import { type DeviceEvent, eventSchema } from "../../protocol/wire/messages/event.ts";
import type { StoredEvent } from "../ports/store.ts";

export type WireEvent = z.input<typeof eventSchema>;

export function eventToStored(event: DeviceEvent): StoredEvent {
  const { boot, sequence, raw, ...rest } = event;
  const wire: WireEvent = { boot, sequence, ...rest, ...(raw === undefined ? {} : { raw: bytesToBase64(raw) }) };
  const covers = coveredRange(event);
  return { boot, sequence, body: JSON.stringify(wire), ...(covers === undefined ? {} : { covers }) };
}

/** Whether two bodies are of the same event. What the gateway itself adds may differ: a firmware that was learned meanwhile. */
export function isSameEvent(left: string, right: string): boolean {
  return left === right || isDeepStrictEqual(asTheDeviceSaid(left), asTheDeviceSaid(right));
}

function asTheDeviceSaid(body: string): object {
  const { reasonAbsent: _absent, standards: _standards, ...said } = bodyToWire(body);
  return said;
}

/** Only what `eventToStored` wrote is ever read here, so anything else is a broken program or disk: an assertion. */
export function bodyToWire(body: string): WireEvent {
  const wire: unknown = JSON.parse(body);
  assert(eventSchema.safeParse(wire).success, "a stored event has the form it was stored in");
  return wire as WireEvent;
}

/** A log-gap names the first and last lost as `before` and `after`, a sealed run its `first` (SPEC E3). Senseless numbers cover nothing. */
function coveredRange({ kind, facts, sequence }: DeviceEvent): StoredEvent["covers"] {
  if (kind !== "log-gap" && kind !== "sealed-log") return undefined;
  const first = kind === "log-gap" ? facts?.["before"] : facts?.["first"];
  const last = kind === "log-gap" ? facts?.["after"] : sequence - 1;
  if (first === undefined || last === undefined) return undefined;
  const sane = Number.isInteger(first) && Number.isInteger(last) && first >= 0 && first <= last;
  return sane && last < sequence ? { first, last } : undefined;
}
