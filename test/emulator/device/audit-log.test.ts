import { describe, expect, it } from "vitest";
import { AuditLog, PAGE_ENTRIES, PAGES } from "../../../emulator/device/audit-log.ts";
import { MemoryFlash, PowerLost } from "../../../emulator/device/flash.ts";
import { auditChainHead } from "../../../protocol/sync/authority.ts";
import { auditChainStart, auditEntry } from "../../../protocol/wire/audit-entry.ts";

const chain = { pairingId: new Uint8Array(16).fill(7), key: new Uint8Array(32).fill(8), firstSequence: 1 };
const start = auditChainStart(chain.key, chain.pairingId);
const headAfter = (before: Uint8Array, entries: readonly Uint8Array[]) => auditChainHead(chain.key, before, entries);
const denied = { kind: "access-denied", clock: "set", reason: "CREDENTIAL_UNKNOWN" } as const;

function sequences(entries: readonly Uint8Array[]): number[] {
  return entries.map((bytes) => {
    const read = auditEntry.decode(bytes);
    return read.ok ? read.value.sequence : -1;
  });
}

describe("audit log of a lock", () => {
  it("[E1] sequences go on across boots, and each entry carries the boot that wrote it", () => {
    const flash = new MemoryFlash();
    const first = new AuditLog(flash, chain, 1);
    expect([first.append(denied), first.append(denied)]).toEqual([1, 2]);
    const second = new AuditLog(flash, chain, 2);
    expect(second.append(denied)).toBe(3);
    const boots = second.read(1, 10).map((bytes) => {
      const read = auditEntry.decode(bytes);
      return read.ok ? read.value.boot : 0;
    });
    expect(boots).toEqual([1, 1, 2]);
  });

  it("[E2] the head is the chain over all entries from the pairing on, also after a reboot", () => {
    const flash = new MemoryFlash();
    const log = new AuditLog(flash, chain, 1);
    for (let count = 0; count < 3 * PAGE_ENTRIES + 5; count++) log.append(denied);
    const all = log.read(1, 10_000);
    expect(all).toHaveLength(3 * PAGE_ENTRIES + 5);
    const head = headAfter(start, all);
    expect(log.head).toEqual(head);
    expect(new AuditLog(flash, chain, 2).head).toEqual(head);
    expect(log.headAt(0)).toEqual(start);
    expect(log.headAt(40)).toEqual(headAfter(start, all.slice(0, 40)));
    expect(log.headAt(10_000)).toBeUndefined();
  });

  it("[E2] who has the entries and the pairing's id, and not its chain key, gets to no head", () => {
    const log = new AuditLog(new MemoryFlash(), chain, 1);
    log.append(denied);
    const entries = log.read(1, 1);
    for (const key of [new Uint8Array(32), new Uint8Array(32).fill(9)]) {
      expect(auditChainHead(key, auditChainStart(key, chain.pairingId), entries)).not.toEqual(log.head);
      expect(auditChainHead(key, start, entries)).not.toEqual(log.head);
    }
    const other = new AuditLog(new MemoryFlash(), { ...chain, pairingId: new Uint8Array(16).fill(6) }, 1);
    other.append(denied);
    expect(other.read(1, 1)).toEqual(entries);
    expect(other.head).not.toEqual(log.head);
  });

  it("[L6] a full ring loses its oldest page, and says which entries were lost when they were not released", () => {
    const log = new AuditLog(new MemoryFlash(), chain, 1);
    for (let count = 0; count < PAGES * PAGE_ENTRIES; count++) log.append(denied);
    expect(log.first).toBe(1);
    const sequence = log.append(denied);
    expect(sequence).toBe(PAGES * PAGE_ENTRIES + 1);
    expect(log.first).toBe(PAGE_ENTRIES + 1);
    const gap = auditEntry.decode(log.read(sequence + 1, 1)[0] ?? new Uint8Array(0));
    expect(gap).toMatchObject({ ok: true, value: { kind: "log-gap", before: 1, after: PAGE_ENTRIES } });
    expect(log.read(1, 1)).toEqual(log.read(PAGE_ENTRIES + 1, 1));
  });

  it("[O6] the head before the first wanted entry leads to the head, empty, released, full, overflowing, and after a reboot", () => {
    const flash = new MemoryFlash();
    const holds = (log: AuditLog) => {
      const kept = log.read(log.first, 10_000);
      expect(sequences(kept)).toEqual(Array.from({ length: log.next - log.first }, (_, index) => log.first + index));
      expect(headAfter(log.headBefore, kept)).toEqual(log.head);
    };
    const log = new AuditLog(flash, chain, 1);
    expect(log.headBefore).toEqual(start);
    holds(log);
    for (let count = 0; count < PAGES * PAGE_ENTRIES + 1; count++) log.append(denied);
    expect(log.first).toBe(PAGE_ENTRIES + 1);
    holds(log);
    for (const through of [PAGE_ENTRIES + 5, PAGES * PAGE_ENTRIES, log.next - 1]) {
      log.release(through);
      expect(log.first).toBe(through + 1);
      holds(log);
      holds(new AuditLog(flash, chain, 2));
    }
  });

  it("[L6] what was released makes room in silence", () => {
    const log = new AuditLog(new MemoryFlash(), chain, 1);
    for (let count = 0; count < PAGES * PAGE_ENTRIES; count++) log.append(denied);
    log.release(PAGE_ENTRIES);
    expect(log.first).toBe(PAGE_ENTRIES + 1);
    expect(log.oldest).toBe(1);
    log.append(denied);
    expect(log.next).toBe(PAGES * PAGE_ENTRIES + 2);
    expect(log.oldest).toBe(PAGE_ENTRIES + 1);
    expect(log.headAt(PAGE_ENTRIES)).toBeDefined();
  });

  it("power that goes at any write leaves the log as it was or with the entry", () => {
    for (let nth = 1; nth <= 3; nth++) {
      const flash = new MemoryFlash();
      const log = new AuditLog(flash, chain, 1);
      for (let count = 0; count < PAGES * PAGE_ENTRIES; count++) log.append(denied);
      flash.cutPowerAtWrite(nth);
      try {
        log.append(denied);
      } catch (error) {
        expect(error).toBeInstanceOf(PowerLost);
      }
      const after = new AuditLog(new MemoryFlash(flash.image()), chain, 2);
      const read = after.read(0, 10_000);
      expect(sequences(read)).toEqual(read.map((_, index) => after.oldest + index));
      expect(after.next).toBe(after.oldest + read.length);
    }
  });
});
