import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SealedRun } from "../../../agent/ports/visit.ts";
import { bodyToWire } from "../../../agent/store/event-body.ts";
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import { documentToAuditHead, emptyAuditHead, endLogAt, sealedRunToAppend } from "../../../agent/sync/audit-log.ts";
import { base64ToBytes, bytesToBase64, utf8 } from "../../../protocol/base/bytes.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";
import { auditEntry } from "../../../protocol/wire/audit-entry.ts";
import { eventBatchSchema, eventSchema } from "../../../protocol/wire/messages/event.ts";
import { formatPayload, PAYLOAD_LIMIT_BYTES } from "../../../protocol/wire/payload.ts";
import {
  AUDIT_BATCH_ENTRIES,
  AUDIT_BATCH_LIMIT_BYTES,
  auditBatch,
  entriesOfBatch,
  openAuditBatch,
  sealAuditBatch,
} from "../../../protocol/wire/sealing.ts";

const lock = "lock-c1" as DeviceId;
const at = unixMs(1_790_000_000_000);
const pairingId = new Uint8Array(16).fill(5);
const auditKey = new Uint8Array(32).fill(6);

/** Entries as a lock writes them, with a name, a credential and a reason in each. */
function entries(from: number, count: number, credential = "hugo-card"): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) =>
    auditEntry.encode({
      sequence: from + index,
      boot: 3,
      clock: "unset",
      kind: "access-denied",
      person: "hugo-silva",
      credential,
      credentialType: "keycard",
      reason: "CREDENTIAL_REVOKED",
    }),
  );
}

function run(from: number, count: number, boot = 3): SealedRun {
  const batch = auditBatch.encode(sealAuditBatch(auditKey, pairingId, from, entries(from, count)));
  return { boot, from, count, batch };
}

function stored(given: SealedRun, head = emptyAuditHead(pairingId)) {
  const { append, head: after } = sealedRunToAppend(lock, head, given, at);
  const [event] = append.events;
  if (event === undefined) throw new Error("a run is stored as an event");
  return { append, event, head: after };
}

describe("a lock's log on the gateway's disk", () => {
  it("a place that the disk has spoilt is none: the log is read from its beginning, and the gateway goes on", () => {
    for (const body of ["", "{", "null", '{"pairingId":1}']) {
      const document = { kind: "audit-head", device: lock, body } as const;
      expect(documentToAuditHead(document, pairingId)).toEqual(emptyAuditHead(pairingId));
    }
  });

  it("[E3] is one event for each batch, named by its last sequence and the lock's boot, with the batch as the lock sealed it", () => {
    const given = run(1, 7);
    const { append, event } = stored(given);
    expect(append).toMatchObject({ device: lock, receivedAtMs: at });
    expect(append.events).toHaveLength(1);
    expect(event).toMatchObject({ boot: 3, sequence: 7 });
    expect(JSON.parse(event.body)).toEqual({
      boot: 3,
      sequence: 7,
      at: { unixSeconds: null, quality: "unset" },
      kind: "sealed-log",
      facts: { first: 1, last: 7 },
      raw: bytesToBase64(given.batch),
    });
    const raw = eventSchema.parse(bodyToWire(event.body)).raw ?? new Uint8Array(0);
    const batch = auditBatch.decode(raw);
    expect(batch.ok && openAuditBatch(auditKey, batch.value)).toEqual({ ok: true, value: entries(1, 7) });
  });

  it("[E3] covers every sequence of its batch, and one entry alone itself", () => {
    expect(stored(run(1, 7)).event.covers).toEqual({ first: 1, last: 6 });
    expect(stored(run(1, 2)).event.covers).toEqual({ first: 1, last: 1 });
    expect(stored(run(1, 1)).event.covers).toBeUndefined();
    expect(stored(run(40, AUDIT_BATCH_ENTRIES)).event.covers).toEqual({
      first: 40,
      last: 39 + AUDIT_BATCH_ENTRIES - 1,
    });
  });

  it("[E3] holds nothing that could be read: no name, no credential, no reason, not when an entry was made", () => {
    const { append } = stored(run(1, 20));
    const onDisk = append.events.flatMap(({ body }) => {
      const raw = eventSchema.parse(bodyToWire(body)).raw ?? new Uint8Array(0);
      return [body, Buffer.from(raw).toString("latin1")];
    });
    const documents = (append.documents ?? []).map(({ body }) => body);
    for (const said of ["hugo-silva", "hugo-card", "keycard", "CREDENTIAL_REVOKED", "access-denied"]) {
      for (const text of [...onDisk, ...documents]) {
        expect(text).not.toContain(said);
        expect(text).not.toContain(Buffer.from(utf8(said)).toString("base64").slice(0, -3));
      }
    }
    // The same search finds them in the entries themselves.
    expect(Buffer.from(entries(1, 1)[0] ?? []).toString("latin1")).toContain("hugo-card");
  });

  it("[E3] is in none of the files of a real store, while the log that comes out of it is the whole", async () => {
    const folder = await mkdtemp(join(tmpdir(), "doorlink-sealed-"));
    const store = await openSqliteStore(join(folder, "agent.db"), (error) => {
      throw error;
    });
    let head = emptyAuditHead(pairingId);
    for (const given of [run(1, 20), run(21, 12)]) {
      const next = stored(given, head);
      await store.appendEvents(next.append);
      head = next.head;
    }
    expect(await store.coverage(lock)).toEqual([{ first: 1, last: 32 }]);
    const kept = await store.readEvents(lock, -1, 10);
    const raws = kept.map(({ body }) => eventSchema.parse(bodyToWire(body)).raw ?? new Uint8Array(0));
    const opened = raws.flatMap((raw) => {
      const batch = auditBatch.decode(raw);
      const read = batch.ok ? openAuditBatch(auditKey, batch.value) : batch;
      return read.ok ? [...read.value] : [];
    });
    expect(opened).toEqual(entries(1, 32));
    await store.close();
    const files = await readdir(folder);
    expect(files).toContain("agent.db");
    const bytes = await Promise.all(files.map(async (name) => (await readFile(join(folder, name))).toString("latin1")));
    expect(bytes.join("")).toContain("sealed-log");
    for (const said of ["hugo", "keycard", "CREDENTIAL", "access-denied"]) expect(bytes.join("")).not.toContain(said);
    await rm(folder, { recursive: true });
  });

  it("[G4] goes on where the last run ended, with the place to read from next in the same commit", () => {
    const first = stored(run(1, 2));
    const [document] = first.append.documents ?? [];
    expect(documentToAuditHead(document, pairingId)).toEqual({ pairingId, next: 3 });
    expect(first.head).toEqual({ pairingId, next: 3 });
    expect(stored(run(3, 4), first.head).head.next).toBe(7);
  });

  it("[G4] may begin later than asked, because a lock keeps only so many, and then covers no more than it has", () => {
    const { event, head } = stored(run(40, 2));
    expect(head).toEqual({ pairingId, next: 42 });
    expect(event.covers).toEqual({ first: 40, last: 40 });
  });

  it("[G4] takes no run of nothing: the visit never gives one", () => {
    const { head } = stored(run(1, 5));
    expect(() => sealedRunToAppend(lock, head, { ...run(6, 1), count: 0 }, at)).toThrow("assertion failed");
  });

  it("[G17] a run from before where it stood takes the place of what was kept there", () => {
    const { head } = stored(run(1, 5));
    const { append, head: after } = sealedRunToAppend(lock, head, run(3, 2), at);
    expect(append.drops).toEqual({ first: 3, last: 4 });
    expect(after).toEqual({ pairingId, next: 5 });
    expect(stored(run(6, 2), head).append.drops).toBeUndefined();
    const ended = endLogAt(lock, pairingId, 4, at);
    expect(ended).toMatchObject({ events: [], drops: { first: 4, last: 2 ** 32 - 1 } });
    expect(documentToAuditHead(ended.documents?.[0], pairingId)).toEqual({ pairingId, next: 4 });
  });

  it("[G4] a new pairing begins its own log", () => {
    const [document] = stored(run(1, 1)).append.documents ?? [];
    const other = new Uint8Array(16).fill(6);
    expect(documentToAuditHead(document, other)).toEqual(emptyAuditHead(other));
    expect(documentToAuditHead(undefined, pairingId)).toEqual(emptyAuditHead(pairingId));
  });

  it("[M7] as many of the largest batches as one message of events may hold fit into a payload", () => {
    const largest = entries(1, AUDIT_BATCH_ENTRIES, "c".repeat(32));
    const batch = auditBatch.encode(sealAuditBatch(auditKey, pairingId, 1, largest.slice(0, entriesOfBatch(largest))));
    expect(batch.length).toBeGreaterThan(4_000);
    const atLimit = new Uint8Array(AUDIT_BATCH_LIMIT_BYTES);
    const event = eventSchema.parse(bodyToWire(stored({ ...run(1, 64), batch: atLimit }).event.body));
    const events = Array.from({ length: 64 }, () => ({ ...event, raw: bytesToBase64(atLimit) }));
    const payload = formatPayload(eventBatchSchema, { v: 1, device: lock, events });
    expect(utf8(payload).length).toBeLessThan(PAYLOAD_LIMIT_BYTES);
    expect(base64ToBytes(events[0]?.raw ?? "")?.length).toBe(AUDIT_BATCH_LIMIT_BYTES);
  });
});
