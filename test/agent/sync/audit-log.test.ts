import { describe, expect, it } from "vitest";
import { documentToAuditHead, emptyAuditHead, readAuditEntries } from "../../../agent/sync/audit-log.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import type { DeviceId, UnixMs } from "../../../protocol/base/units.ts";
import { auditChainNext, auditChainStart, auditEntry } from "../../../protocol/wire/audit-entry.ts";

const lock = "lock-c1" as DeviceId;
const at = 1_000 as UnixMs;
const pairingId = new Uint8Array(16).fill(5);
const entry = (sequence: number, facts: object = {}): Uint8Array =>
  auditEntry.encode({ sequence, boot: 1, clock: "unset", kind: "boot", ...facts });

describe("a lock's log", () => {
  it("[G4] goes on where the last visit ended, and the chain is followed", () => {
    const first = readAuditEntries(lock, emptyAuditHead(pairingId), [entry(1), entry(2)], at);
    expect(first.ok).toBe(true);
    if (!first.ok) return;
    const head = documentToAuditHead(first.value.append.documents?.[0], pairingId);
    const chained = auditChainNext(auditChainNext(auditChainStart(pairingId), entry(1)), entry(2));
    expect(head).toEqual({ pairingId, next: 3, head: chained });
    const second = readAuditEntries(lock, head, [entry(3)], at);
    expect(second.ok && second.value.head.next).toBe(4);
    expect(second.ok && bytesToHex(second.value.head.head ?? new Uint8Array())).toBe(
      bytesToHex(auditChainNext(chained, entry(3))),
    );
  });

  it("[G4] may begin later than asked, because a lock keeps only so many; the chain is then not known here", () => {
    const read = readAuditEntries(lock, emptyAuditHead(pairingId), [entry(40), entry(41)], at);
    expect(read.ok && read.value.head).toEqual({ pairingId, next: 42, head: null });
  });

  it("[G4] a new pairing begins its own log", () => {
    const read = readAuditEntries(lock, emptyAuditHead(pairingId), [entry(1)], at);
    if (!read.ok) throw new Error(read.fault.code);
    const other = new Uint8Array(16).fill(6);
    expect(documentToAuditHead(read.value.append.documents?.[0], other)).toEqual(emptyAuditHead(other));
  });

  it.each([
    ["bytes that are no entry", [entry(1), new Uint8Array([0xff])], { code: "unreadable-entry", index: 1 }],
    ["a sequence left out", [entry(1), entry(3)], { code: "out-of-order", expected: 2, actual: 3 }],
    ["a sequence said twice", [entry(1), entry(1)], { code: "out-of-order", expected: 2, actual: 1 }],
  ])("[G4] refuses %s, and nothing of that run is kept", (_what, entries, fault) => {
    expect(readAuditEntries(lock, emptyAuditHead(pairingId), entries, at)).toEqual({ ok: false, fault });
  });

  it("[G4] a log-gap covers what the lock says it lost", () => {
    const read = readAuditEntries(
      lock,
      emptyAuditHead(pairingId),
      [entry(9, { kind: "log-gap", before: 1, after: 8 })],
      at,
    );
    expect(read.ok && read.value.append.events[0]?.lost).toEqual({ first: 1, last: 8 });
    const senseless = [entry(9, { kind: "log-gap", before: 1, after: 9_000 })];
    const other = readAuditEntries(lock, emptyAuditHead(pairingId), senseless, at);
    expect(other.ok && other.value.append.events[0]?.lost).toBeUndefined();
  });
});
