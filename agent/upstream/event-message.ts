/** A message of events made of what is on disk, without reading each event through its schema: that was done when it came. */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { StoredEvent } from "../ports/store.ts";
import { bodyToText, storedCovers } from "../store/event-body.ts";
import { lostGap } from "../store/telemetry.ts";

export function eventMessage(device: DeviceId, events: readonly StoredEvent[]): string {
  return `{"v":1,"device":"${device}","events":[${events.map(eventText).join(",")}]}`;
}

/** What the disk spoilt would spoil the whole message: it is said to be lost instead. */
function eventText({ boot, sequence, body }: StoredEvent): string {
  const text = bodyToText(body);
  try {
    JSON.parse(text);
    return text;
  } catch {
    return lostGap(sequence, sequence, boot).body;
  }
}

/** Sequences of `from` to `to` that none of these events is or covers. */
export function holesBetween(
  events: readonly StoredEvent[],
  from: number,
  to: number,
): readonly { readonly first: number; readonly last: number }[] {
  const holes: { first: number; last: number }[] = [];
  let next = from;
  for (const event of events) {
    const first = storedCovers(event.body)?.first ?? event.sequence;
    if (first > next) holes.push({ first: next, last: Math.min(to, first - 1) });
    next = Math.max(next, event.sequence + 1);
  }
  if (next <= to) holes.push({ first: next, last: to });
  return holes.filter(({ first, last }) => first <= last);
}
