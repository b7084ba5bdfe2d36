import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import {
  AUDIT_ENTRY_LIMIT_BYTES,
  auditChainNext,
  auditChainStart,
  auditEntry,
} from "../../../protocol/wire/audit-entry.ts";
import { auditEntryToEvent } from "../../../protocol/wire/audit-event.ts";

// Written by hand from SPEC E1 and RFC 8949: map of 6; 1: 5, 2: 2, 3: 1790000000, 4: 1, 5: 2, 9: "CREDENTIAL_UNKNOWN".
const deniedHex = `a6 01 05 02 02 03 1a 6ab13b80 04 01 05 02 09 72 ${Buffer.from("CREDENTIAL_UNKNOWN").toString("hex")}`;
const denied = hexToBytes(deniedHex.replaceAll(" ", "")) ?? new Uint8Array(0);

describe("audit entries", () => {
  it("[E1] reads the bytes of a denied entry written by hand", () => {
    expect(auditEntry.decode(denied)).toEqual({
      ok: true,
      value: {
        sequence: 5,
        boot: 2,
        unixSeconds: 1_790_000_000,
        clock: "set",
        kind: "access-denied",
        reason: "CREDENTIAL_UNKNOWN",
      },
    });
  });

  it("[E1] writes the same bytes", () => {
    const entry = {
      sequence: 5,
      boot: 2,
      unixSeconds: unixSeconds(1_790_000_000),
      clock: "set",
      kind: "access-denied",
      reason: "CREDENTIAL_UNKNOWN",
    } as const;
    expect(bytesToHex(auditEntry.encode(entry))).toBe(bytesToHex(denied));
  });

  it("[E1] an entry with every field at its limit stays within the limit of an entry", () => {
    const full = auditEntry.encode({
      sequence: 0xffffffff,
      boot: 0xffffffff,
      unixSeconds: unixSeconds(2 ** 40),
      clock: "lower-bound",
      kind: "access-denied",
      person: "p".repeat(32),
      credential: "c".repeat(32),
      credentialType: "t".repeat(32),
      reason: "CREDENTIAL_USES_EXHAUSTED",
      failedChecks: Array.from({ length: 8 }, () => "CREDENTIAL_USES_EXHAUSTED" as const),
      warnings: [],
      entryTag: new Uint8Array(4),
      before: -(2 ** 50),
      after: 2 ** 50,
    });
    expect(full.length).toBeLessThanOrEqual(AUDIT_ENTRY_LIMIT_BYTES);
  });

  it("[E2] chains entries with HMAC-SHA-256 under the chain key, from a start that the pairing names", () => {
    const pairingId = new Uint8Array(16).fill(7);
    const chainKey = new Uint8Array(32).fill(4);
    const hmac = (...parts: (string | Uint8Array)[]) => {
      const made = createHmac("sha256", chainKey);
      for (const part of parts) made.update(part);
      return made.digest("hex");
    };
    const start = auditChainStart(chainKey, pairingId);
    expect(bytesToHex(start)).toBe(hmac("doorlink/1/audit", pairingId));
    expect(bytesToHex(auditChainNext(chainKey, start, denied))).toBe(hmac(start, denied));
  });

  it("[E2] who carries a head cannot try which entry leads to it: another key gives another head", () => {
    const start = auditChainStart(new Uint8Array(32).fill(4), new Uint8Array(16).fill(7));
    const head = auditChainNext(new Uint8Array(32).fill(4), start, denied);
    const unkeyed = createHash("sha256").update(start).update(denied).digest("hex");
    expect(bytesToHex(head)).not.toBe(unkeyed);
    expect(auditChainNext(new Uint8Array(32).fill(5), start, denied)).not.toEqual(head);
  });

  it("[E3] an entry read as an event carries its own bytes, its reason and no clock it did not have", () => {
    const read = auditEntryToEvent(denied);
    expect(read).toMatchObject({
      ok: true,
      value: { boot: 2, sequence: 5, kind: "access-denied", reason: "CREDENTIAL_UNKNOWN", raw: denied },
    });
    const unset = auditEntry.encode({ sequence: 1, boot: 1, clock: "unset", kind: "boot" });
    expect(auditEntryToEvent(unset)).toMatchObject({ value: { at: { unixSeconds: null, quality: "unset" } } });
  });

  it("[E4] a denied entry can carry a 32-bit tag and has no field for what was typed", () => {
    const tagged = auditEntry.encode({
      sequence: 1,
      boot: 1,
      clock: "unset",
      kind: "access-denied",
      entryTag: Uint8Array.of(0xde, 0xad, 0xbe, 0xef),
    });
    expect(auditEntryToEvent(tagged)).toMatchObject({ value: { entryTag: "deadbeef" } });
    const typed = hexToBytes("a50101020104030501186467313233343536 37".replaceAll(" ", "")) ?? new Uint8Array(0);
    expect(auditEntry.decode(typed)).toMatchObject({ ok: false, fault: { code: "unknown-key" } });
  });

  it("[E1] any bytes give an entry or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const read = auditEntry.decode(bytes);
        if (read.ok) expect(bytesToHex(auditEntry.encode(read.value))).toBe(bytesToHex(bytes));
      }),
      { numRuns: 500 },
    );
  });
});
