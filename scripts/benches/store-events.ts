/** Events of 300 bytes, as a networked device's become on disk. */
import type { StoredEvent } from "../../agent/ports/store.ts";
import type { DeviceId } from "../../protocol/base/units.ts";

export function benchDevice(index: number): DeviceId {
  return `panel-${String(index).padStart(3, "0")}` as DeviceId;
}

export function benchEvents(first: number, count: number): readonly StoredEvent[] {
  return Array.from({ length: count }, (_, index) => benchEvent(first + index));
}

function benchEvent(sequence: number): StoredEvent {
  const said = {
    boot: 3,
    sequence,
    at: { unixSeconds: 1_795_000_000 + sequence, quality: "set" },
    kind: "access-granted",
    person: `person-${sequence % 500}`,
    credential: `credential-${sequence % 900}`,
    credentialType: "app",
  };
  const text = JSON.stringify({ ...said, detail: "" });
  return { boot: 3, sequence, body: JSON.stringify({ ...said, detail: "d".repeat(EVENT_BYTES - text.length) }) };
}

const EVENT_BYTES = 300;
