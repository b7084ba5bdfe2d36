/** What the gateway remembers of its visits to a lock, across restarts. */
import { z } from "zod";
import type { DeviceId } from "../../protocol/base/units.ts";
import { unixTime } from "../../protocol/wire/messages/fields.ts";
import type { StoredDocument } from "../ports/store.ts";

export const visitRecordSchema = z.strictObject({
  /** When something newer than what the lock reported was first known here; null: nothing newer is. */
  pendingSince: unixTime.nullable(),
  lastVisitAt: unixTime.nullable(),
  /** The fault of the last visit; null: it went through, or there was none. */
  lastFault: z.strictObject({ code: z.string(), reason: z.string().optional() }).nullable(),
  /** Visits in a row that failed, or left the lock without what they brought. */
  failures: z.number().int().min(0),
});
export type VisitRecord = z.output<typeof visitRecordSchema>;

export const noVisit: VisitRecord = { pendingSince: null, lastVisitAt: null, lastFault: null, failures: 0 };

export function visitRecordToDocument(device: DeviceId, record: VisitRecord): StoredDocument {
  return { kind: "visit", device, body: JSON.stringify(record) };
}

/** A record that cannot be read says nothing; a visit will make a new one. */
export function documentToVisitRecord(document: StoredDocument): VisitRecord {
  const read = visitRecordSchema.safeParse(JSON.parse(document.body));
  return read.success ? read.data : noVisit;
}
