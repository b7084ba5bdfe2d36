/**
 * The standards' codes on denied events: made here from the reason that the device gave, and from nothing else. What a device wrote
 * there itself is not carried on, and an event without a reason gets none (row 89). SPEC M13.
 */
import { type DeviceEvent, standardsOf } from "../protocol/wire/messages/event.ts";

export function withStandards<Event extends DeviceEvent>({ standards: _, ...event }: Event): DeviceEvent {
  if (event.kind !== "access-denied" || event.reason === undefined) return event;
  const standards = standardsOf(event.reason);
  return standards === undefined ? event : { ...event, standards };
}
