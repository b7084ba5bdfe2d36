/** The messages of a visit: their bytes by hand, and room in each for the largest thing that it may carry. */
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { keyset } from "../../../protocol/wire/keyset.ts";
import { AUDIT_BATCH_LIMIT_BYTES, auditBatch, sealAuditBatch } from "../../../protocol/wire/sealing.ts";
import {
  BUNDLE_LIMIT_BYTES,
  courierCertificate,
  lockReport,
  logRelease,
  PAGE_BYTES,
  policyManifest,
  timeAnswer,
} from "../../../protocol/wire/signed-objects.ts";
import {
  type CourierMessage,
  courierMessage,
  type LockMessage,
  lockMessage,
  MANIFEST_LIMIT_BYTES,
} from "../../../protocol/wire/sync-message.ts";
import { timeDelegate } from "../../../protocol/wire/time-delegate.ts";

const bytesOf = (length: number) => new Uint8Array(length).fill(0xaa);
const signature = bytesOf(64);
const uint32Max = 0xffffffff;
const pairingId = bytesOf(16);
const lateSeconds = unixSeconds(2 ** 40);
const lateMs = unixMs(2 ** 50);
/** The last instant that an answer may name. */
const latestMs = unixMs(0xffffffff * 1_000);
const locks = Array.from({ length: 64 }, () => bytesOf(16));

describe("messages by hand", () => {
  const signed = `5840${"aa".repeat(64)}`;

  it.each<[string, CourierMessage, string]>([
    ["keyset", { kind: "keyset", keyset: bytesOf(2), signature }, `a3000a0142aaaa02${signed}`],
    [
      "a bundle that rides",
      { kind: "manifest", manifest: bytesOf(1), signature, bundle: bytesOf(3) },
      `a4000301 41aa02${signed}0343aaaaaa`.replaceAll(" ", ""),
    ],
    [
      "a delegate's time",
      { kind: "time", answer: bytesOf(1), signature, delegate: bytesOf(2), delegateSignature: signature },
      `a500020141aa02${signed}0342aaaa04${signed}`,
    ],
  ])("[Y15] [Y6] [J1] of a courier: %s", (_what, message, hex) => {
    expect(bytesToHex(courierMessage.encode(message))).toBe(hex);
    expect(courierMessage.decode(courierMessage.encode(message))).toEqual({ ok: true, value: message });
  });

  it.each<[string, LockMessage, string]>([
    ["keyset-held", { kind: "keyset-held", epoch: 2 }, "a2000b0102"],
    ["log", { kind: "log", batch: bytesOf(2), next: 7 }, "a300060142aaaa0207"],
    ["a refusal", { kind: "refused", request: "keyset", refusal: "backwards" }, "a30008010a0216"],
  ])("[Y15] [Y9] of a lock: %s", (_what, message, hex) => {
    expect(bytesToHex(lockMessage.encode(message))).toBe(hex);
    expect(lockMessage.decode(lockMessage.encode(message))).toEqual({ ok: true, value: message });
  });
});

describe("room for the largest", () => {
  const fits = (message: CourierMessage) =>
    expect(courierMessage.decode(courierMessage.encode(message))).toEqual({ ok: true, value: message });
  const fitsLock = (message: LockMessage) =>
    expect(lockMessage.decode(lockMessage.encode(message))).toEqual({ ok: true, value: message });

  it.each([
    [64, 64],
    [8, 512],
    [63, 65],
  ])("[X10] a batch of %i entries of %i bytes", (count, size) => {
    const entries = Array.from({ length: count }, () => bytesOf(size));
    const batch = auditBatch.encode(sealAuditBatch(bytesOf(32), pairingId, uint32Max, entries));
    expect(batch.length).toBeLessThanOrEqual(AUDIT_BATCH_LIMIT_BYTES);
    fitsLock({ kind: "log", batch, next: uint32Max });
  });

  it("[O3] a manifest of every page that a bundle may have, and a bundle of a whole page", () => {
    const manifest = policyManifest.encode({
      pairingId,
      epoch: uint32Max,
      from: uint32Max,
      to: uint32Max,
      length: BUNDLE_LIMIT_BYTES,
      pageHashes: Array.from({ length: BUNDLE_LIMIT_BYTES / PAGE_BYTES }, () => bytesOf(16)),
      root: bytesOf(32),
      notAfter: lateSeconds,
    });
    expect(manifest.length).toBeLessThanOrEqual(MANIFEST_LIMIT_BYTES);
    fits({ kind: "manifest", manifest, signature, bundle: bytesOf(PAGE_BYTES) });
  });

  it("[O2] [O4] [O5] [J1] [Z1] certificate, time, delegate, release and keyset", () => {
    const staticPublicKey = bytesOf(32);
    const certificate = { staticPublicKey, holder: "h".repeat(32), role: "courier" as const, locks };
    fits({
      kind: "greet",
      certificate: courierCertificate.encode({ ...certificate, notAfter: lateSeconds }),
      signature,
    });
    const delegate = {
      publicKey: bytesOf(32),
      holder: "h".repeat(32),
      locks,
      from: lateSeconds,
      notAfter: lateSeconds,
    };
    fits({
      kind: "time",
      answer: timeAnswer.encode({ pairingId, nonce: bytesOf(16), unixMs: latestMs, radiusMs: 60_000 }),
      signature,
      delegate: timeDelegate.encode(delegate),
      delegateSignature: signature,
    });
    const release = logRelease.encode({ pairingId, through: uint32Max, chainHead: bytesOf(32) });
    fits({ kind: "release", release, signature });
    const key = bytesOf(32);
    const roles = { policy: key, time: key, release: key, unlock: key, courier: key, static: key };
    fits({ kind: "keyset", keyset: keyset.encode({ epoch: uint32Max, notAfter: lateSeconds, ...roles }), signature });
  });

  it("[O6] the longest report", () => {
    const report = lockReport.encode({
      pairingId,
      epoch: uint32Max,
      version: uint32Max,
      root: bytesOf(32),
      bootCount: uint32Max,
      clock: "lower-bound",
      unixMs: lateMs,
      logNext: uint32Max,
      chainHead: bytesOf(32),
      nonce: bytesOf(16),
      logFirst: uint32Max,
      headBefore: bytesOf(32),
      keysetEpoch: uint32Max,
      clockSource: "site",
    });
    fitsLock({ kind: "report", report, mac: bytesOf(32) });
  });
});
