import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import {
  AUDIT_BATCH_CONTENT_BYTES,
  auditBatch,
  bundleHeader,
  dailyKeysHeader,
  entriesOfBatch,
  openAuditBatch,
  openSealed,
  SEAL_OVERHEAD_BYTES,
  seal,
  sealAuditBatch,
} from "../../../protocol/wire/sealing.ts";

const key = new Uint8Array(32).fill(7);
const pairingId = new Uint8Array(16).fill(0x11);
const manifest = { pairingId, epoch: 1, from: 4, to: 5, root: new Uint8Array(32).fill(2), notAfter: unixSeconds(100) };

/** Sealing as SPEC says it, by node:crypto alone. */
function sealedBySpec(use: string, header: Uint8Array, plaintext: Uint8Array): Buffer {
  const salt = createHash("sha256").update(header).digest();
  const own = Buffer.from(hkdfSync("sha256", key, salt, `doorlink/1/seal/${use}`, 32));
  const cipher = createCipheriv("chacha20-poly1305", own, Buffer.alloc(12), { authTagLength: 16 });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

describe("sealing", () => {
  it("[X8] a sealed thing is ChaCha20-Poly1305 under HKDF of the use's key, salted with the header's hash", () => {
    const header = bundleHeader(manifest);
    for (const use of ["bundle", "audit", "daily-keys"] as const) {
      const plaintext = utf8(`for ${use}`);
      expect(bytesToHex(seal(use, key, header, plaintext))).toBe(sealedBySpec(use, header, plaintext).toString("hex"));
      expect(openSealed(use, key, header, sealedBySpec(use, header, plaintext))).toEqual({
        ok: true,
        value: plaintext,
      });
    }
  });

  it("[X9] the header of a bundle, written by hand: the manifest without length and page hashes", () => {
    const expected = `a60150${"11".repeat(16)}0201030404050758 20${"02".repeat(32)}081864`.replaceAll(" ", "");
    expect(bytesToHex(bundleHeader(manifest))).toBe(expected);
  });

  it("[X8] another key, use, header or byte does not open, and short bytes are named", () => {
    const header = bundleHeader(manifest);
    const sealed = seal("bundle", key, header, utf8("ops"));
    const fault = { ok: false, fault: { code: "seal-does-not-open" } };
    expect(openSealed("bundle", new Uint8Array(32), header, sealed)).toEqual(fault);
    expect(openSealed("audit", key, header, sealed)).toEqual(fault);
    for (const other of [{ epoch: 2 }, { from: 3 }, { to: 6 }, { notAfter: unixSeconds(101) }]) {
      expect(openSealed("bundle", key, bundleHeader({ ...manifest, ...other }), sealed)).toEqual(fault);
    }
    for (let at = 0; at < sealed.length; at++) {
      expect(
        openSealed(
          "bundle",
          key,
          header,
          sealed.map((byte, index) => (index === at ? byte ^ 1 : byte)),
        ),
      ).toEqual(fault);
    }
    const short = openSealed("bundle", key, header, sealed.subarray(0, 15));
    expect(short).toEqual({ ok: false, fault: { code: "seal-too-short", expected: SEAL_OVERHEAD_BYTES, found: 15 } });
  });

  it("[X8] the courier sees nothing of the plaintext but its length", () => {
    const sealed = seal("bundle", key, bundleHeader(manifest), utf8("permanent-doorcode"));
    expect(sealed.length).toBe(18 + SEAL_OVERHEAD_BYTES);
    expect(Buffer.from(sealed).includes("doorcode")).toBe(false);
    expect(bytesToHex(sealed)).not.toBe(
      bytesToHex(seal("bundle", key, bundleHeader({ ...manifest, to: 6 }), utf8("permanent-doorcode"))),
    );
  });
});

it("[X11] daily keys have a header for each renewal, written by hand", () => {
  expect(bytesToHex(dailyKeysHeader(pairingId, 3))).toBe(`a20150${"11".repeat(16)}0203`);
  const sealed = seal("daily-keys", key, dailyKeysHeader(pairingId, 0), utf8("keys"));
  expect(openSealed("daily-keys", key, dailyKeysHeader(pairingId, 1), sealed).ok).toBe(false);
});

describe("audit batches", () => {
  const entries = [utf8("entry 4"), utf8("entry 5")];
  const batch = sealAuditBatch(key, pairingId, 4, entries);

  it("[X10] a batch tells where it begins and how many it holds; its entries open for the authority alone", () => {
    expect(openAuditBatch(key, batch)).toEqual({ ok: true, value: entries });
    expect(openAuditBatch(new Uint8Array(32), batch)).toEqual({ ok: false, fault: { code: "seal-does-not-open" } });
    expect(auditBatch.decode(auditBatch.encode(batch))).toEqual({ ok: true, value: batch });
    expect(bytesToHex(auditBatch.encode(sealAuditBatch(key, pairingId, 4, entries)))).toBe(
      bytesToHex(auditBatch.encode(batch)),
    );
  });

  it("[X10] the tag and the sealed bytes, by node:crypto from SPEC", () => {
    const plaintext = Buffer.from("8247656e747279203447656e7472792035", "hex");
    const tagKey = Buffer.from(hkdfSync("sha256", key, Buffer.alloc(0), "doorlink/1/seal/audit-tag", 32));
    const tag = createHmac("sha256", tagKey).update(plaintext).digest().subarray(0, 16);
    expect(bytesToHex(batch.tag)).toBe(tag.toString("hex"));
    const header = hexToBytes(`a40150${"11".repeat(16)}020403020450${tag.toString("hex")}`) ?? new Uint8Array(0);
    expect(bytesToHex(batch.sealed)).toBe(sealedBySpec("audit", header, plaintext).toString("hex"));
    const salt = createHash("sha256").update(header).digest();
    const own = Buffer.from(hkdfSync("sha256", key, salt, "doorlink/1/seal/audit", 32));
    const decipher = createDecipheriv("chacha20-poly1305", own, Buffer.alloc(12), { authTagLength: 16 });
    decipher.setAuthTag(batch.sealed.subarray(-16));
    expect(decipher.update(batch.sealed.subarray(0, -16)).toString("hex")).toBe(plaintext.toString("hex"));
    decipher.final();
  });

  it("[X10] a changed header does not open; entries that do not fit it are a fault", () => {
    for (const other of [{ from: 5 }, { count: 1 }, { tag: new Uint8Array(16) }]) {
      expect(openAuditBatch(key, { ...batch, ...other })).toEqual({ ok: false, fault: { code: "seal-does-not-open" } });
    }
    const lying = { pairingId, from: 4, count: 3, tag: batch.tag };
    const header = Buffer.from(`a40150${"11".repeat(16)}020403030450${bytesToHex(batch.tag)}`, "hex");
    const sealed = seal("audit", key, header, Buffer.from("8247656e747279203447656e7472792035", "hex"));
    expect(openAuditBatch(key, { ...lying, sealed })).toEqual({ ok: false, fault: { code: "batch-mismatch" } });
    const notEntries = seal("audit", key, header, utf8("x"));
    expect(openAuditBatch(key, { ...lying, sealed: notEntries }).ok).toBe(false);
  });

  it("[X10] as many entries as fit into 4,096 bytes go into one, at most 64, and one always", () => {
    const entriesOf = (count: number, size: number) => Array.from({ length: count }, () => new Uint8Array(size));
    expect(AUDIT_BATCH_CONTENT_BYTES).toBe(4_096);
    for (const [count, size, fit] of [
      [0, 1, 0],
      [1, 512, 1],
      [8, 512, 8],
      [9, 512, 8],
      [70, 100, 40],
      [70, 64, 64],
      [70, 1, 64],
      [64, 65, 63],
    ] as const) {
      const all = entriesOf(count, size);
      expect([count, size, entriesOfBatch(all)]).toEqual([count, size, fit]);
      const made = sealAuditBatch(key, pairingId, 1, all.slice(0, fit));
      expect(made.count).toBe(fit);
      expect(openAuditBatch(key, made)).toEqual({ ok: true, value: all.slice(0, fit) });
    }
    expect(() => sealAuditBatch(key, pairingId, 1, entriesOf(9, 512))).toThrow("no more than fits");
  });

  it("[X10] any bytes give a batch or a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const read = auditBatch.decode(bytes);
        if (read.ok) expect(openAuditBatch(key, read.value).ok).toBe(false);
        expect(openAuditBatch(key, { ...batch, sealed: bytes }).ok).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});
