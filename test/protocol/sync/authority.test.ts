import { createHash, createHmac, createPublicKey, hkdfSync, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { encodePolicy } from "../../../protocol/access/policy.ts";
import { bytesToHex, concatBytes, hexToBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { x25519, x25519PublicKey } from "../../../protocol/crypto.ts";
import {
  answerTime,
  authorityKeysFromSeed,
  authorityPublicKeys,
  bundlePages,
  derivePairingKeys,
  issueCourierCertificate,
  macReport,
  sealBundle,
  signOpenSnapshot,
  signRelease,
  verifyReport,
} from "../../../protocol/sync/authority.ts";
import {
  courierCertificate,
  lockReport,
  logRelease,
  PAGE_BYTES,
  policyManifest,
  type SignedBlob,
  timeAnswer,
} from "../../../protocol/wire/signed-objects.ts";
import { policyOf } from "../../world/sync-pair.ts";

const keys = authorityKeysFromSeed(new Uint8Array(32).fill(1));
const publicKeys = authorityPublicKeys(keys);
const pairingId = new Uint8Array(16).fill(0xaa);
const sixteen = (byte: number) => byte.toString(16).padStart(2, "0").repeat(16);

/** Checked with the platform's own Ed25519, not with the functions that signed. */
function isSigned(publicKey: Uint8Array, type: string, blob: SignedBlob): boolean {
  const der = concatBytes(hexToBytes("302a300506032b6570032100") ?? new Uint8Array(0), publicKey);
  const key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  return verify(null, concatBytes(utf8(type), Uint8Array.of(0), blob.bytes), key, blob.signature);
}

describe("what the authority signs", () => {
  it("[O1] each object is signed for its own type and for no other", () => {
    const time = answerTime(keys, { pairingId, nonce: new Uint8Array(16), unixMs: unixMs(1), radiusMs: 5 });
    expect(isSigned(publicKeys.time, "doorlink/1/time", time)).toBe(true);
    for (const other of ["doorlink/1/policy", "doorlink/1/release", "doorlink/1/courier"]) {
      expect(isSigned(publicKeys.time, other, time)).toBe(false);
    }
    expect(isSigned(publicKeys.policy, "doorlink/1/time", time)).toBe(false);
  });

  it("[O2] a courier certificate names key, holder, role, locks and end", () => {
    const certificate = {
      staticPublicKey: new Uint8Array(32).fill(3),
      holder: "gateway-maple",
      role: "courier",
      locks: [pairingId],
      notAfter: unixSeconds(1_800_000_000),
    } as const;
    const blob = issueCourierCertificate(keys, certificate);
    expect(isSigned(publicKeys.courier, "doorlink/1/courier", blob)).toBe(true);
    expect(courierCertificate.decode(blob.bytes)).toEqual({ ok: true, value: certificate });
  });

  const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());
  const first128 = (bytes: Uint8Array) => sha256(bytes).subarray(0, 16);
  const notAfter = unixSeconds(1_800_000_000);

  it("[O3] a manifest names every page of 2,048 bytes and the root", () => {
    const bundle = Uint8Array.from({ length: PAGE_BYTES * 2 + 100 }, (_, index) => index % 251);
    const blob = signOpenSnapshot(keys, { pairingId, epoch: 1, version: 7, notAfter }, bundle);
    expect(isSigned(publicKeys.policy, "doorlink/1/policy", blob)).toBe(true);
    expect(policyManifest.decode(blob.bytes)).toEqual({
      ok: true,
      value: {
        pairingId,
        epoch: 1,
        from: 0,
        to: 7,
        length: 4196,
        pageHashes: [bundle.subarray(0, 2048), bundle.subarray(2048, 4096), bundle.subarray(4096)].map(first128),
        root: sha256(bundle),
        notAfter,
      },
    });
  });

  it("[O3] length and pages are those of the sealed bundle, the root that of the policy it makes", () => {
    const bundleKey = new Uint8Array(32).fill(6);
    const policy = policyOf(7);
    const sealed = sealBundle(keys, bundleKey, pairingId, { policy, notAfter });
    const bytes = sealed?.bytes ?? new Uint8Array(0);
    const manifest = sealed?.manifest ?? { bytes, signature: bytes };
    expect(sealed?.from).toBe(0);
    expect(bytes.length).toBeGreaterThan(PAGE_BYTES);
    expect(isSigned(publicKeys.policy, "doorlink/1/policy", manifest)).toBe(true);
    expect(policyManifest.decode(manifest.bytes)).toEqual({
      ok: true,
      value: {
        pairingId,
        epoch: 1,
        from: 0,
        to: 7,
        length: bytes.length,
        pageHashes: bundlePages(bytes).map(first128),
        root: sha256(encodePolicy(policy)),
        notAfter,
      },
    });
  });

  it("[O3] a delta names the version that it stands on, and one page has no page hashes", () => {
    const [held, policy] = [policyOf(6, 3), policyOf(7, 4)];
    const sealed = sealBundle(keys, new Uint8Array(32).fill(6), pairingId, { policy, notAfter }, held);
    expect(sealed?.from).toBe(6);
    expect(policyManifest.decode(sealed?.manifest.bytes ?? new Uint8Array(0))).toMatchObject({
      ok: true,
      value: { from: 6, to: 7, length: sealed?.bytes.length, pageHashes: [] },
    });
    const elsewhere = () =>
      sealBundle(keys, new Uint8Array(32).fill(6), pairingId, { policy, notAfter }, policyOf(6, 3, 2));
    expect(elsewhere).toThrow("an older version of its epoch");
  });

  it("[O4] a time answer's bytes as SPEC writes them: 1 pairing, 2 nonce, 3 milliseconds, 4 radius", () => {
    const nonce = new Uint8Array(16).fill(0xbb);
    const blob = answerTime(keys, { pairingId, nonce, unixMs: unixMs(1_790_000_000_000), radiusMs: 40 });
    expect(bytesToHex(blob.bytes)).toBe(`a40150${sixteen(0xaa)}0250${sixteen(0xbb)}031b000001a0c4506c00041828`);
    expect(timeAnswer.decode(blob.bytes).ok).toBe(true);
  });

  it("[O5] a release names pairing, sequence and chain head", () => {
    const blob = signRelease(keys, { pairingId, through: 300, chainHead: new Uint8Array(32).fill(0xcc) });
    expect(bytesToHex(blob.bytes)).toBe(`a30150${sixteen(0xaa)}0219012c035820${sixteen(0xcc)}${sixteen(0xcc)}`);
    expect(isSigned(publicKeys.release, "doorlink/1/release", blob)).toBe(true);
    expect(logRelease.decode(blob.bytes).ok).toBe(true);
  });

  it("[O6] a report stands only with its MAC", () => {
    const reportKey = new Uint8Array(32).fill(4);
    const report = {
      pairingId,
      epoch: 1,
      version: 2,
      root: new Uint8Array(32),
      bootCount: 3,
      clock: "set",
      unixMs: unixMs(1_790_000_000_000),
      logNext: 12,
      chainHead: new Uint8Array(32).fill(0x99),
      nonce: new Uint8Array(16).fill(0xbb),
      logFirst: 5,
      headBefore: new Uint8Array(32).fill(0x77),
      keysetEpoch: 2,
      clockSource: "site",
    } as const;
    const bytes = lockReport.encode(report);
    // By hand from SPEC O6: keys 1 to 14; 7 and 14 are left out while the clock is unset.
    const thirtyTwo = (byte: number) => `5820${sixteen(byte)}${sixteen(byte)}`;
    const head = `ae0150${sixteen(0xaa)}0201030204${thirtyTwo(0)}05030601071b000001a0c4506c00080c`;
    expect(bytesToHex(bytes)).toBe(`${head}09${thirtyTwo(0x99)}0a50${sixteen(0xbb)}0b050c${thirtyTwo(0x77)}0d020e02`);
    const mac = macReport(reportKey, bytes);
    expect(bytesToHex(mac)).toBe(createHmac("sha256", reportKey).update(bytes).digest("hex"));
    expect(verifyReport(reportKey, bytes, mac)).toEqual({ ok: true, value: report });
    const forged = lockReport.encode({ ...report, version: 3 });
    expect(verifyReport(reportKey, forged, mac)).toEqual({ ok: false, fault: { code: "report-bad-mac" } });
  });

  it("[O7] lock and authority derive the same keys, by HKDF of the shared secret", () => {
    const lockPrivate = new Uint8Array(32).fill(5);
    const lockPublic = x25519PublicKey(lockPrivate);
    const atAuthority = derivePairingKeys(keys.static, lockPublic, pairingId);
    const atLock = derivePairingKeys(lockPrivate, publicKeys.static, pairingId);
    expect(atAuthority).toEqual(atLock);
    const shared = x25519(lockPrivate, publicKeys.static) ?? new Uint8Array(0);
    const independent = hkdfSync("sha256", shared, pairingId, "doorlink/1/pairing/report", 32);
    expect(atLock?.report).toEqual(new Uint8Array(independent));
    const chain = hkdfSync("sha256", shared, pairingId, "doorlink/1/pairing/chain", 32);
    expect(atLock?.chain).toEqual(new Uint8Array(chain));
    expect(new Set(Object.values(atLock ?? {}).map(bytesToHex)).size).toBe(7);
    expect(derivePairingKeys(keys.static, new Uint8Array(32), pairingId)).toBeUndefined();
  });
});
