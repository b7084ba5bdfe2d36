import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import { ed25519PublicKey, type SignedType, signTyped, verifyTyped } from "../../protocol/crypto.ts";
import { macReport, verifyReport } from "../../protocol/sync/authority.ts";
import { acceptKeyset, type HeldKeyset } from "../../protocol/sync/keyset.ts";
import { keyset } from "../../protocol/wire/keyset.ts";
import { macPolicyReport, verifyPolicyReport } from "../../protocol/wire/policy-report.ts";
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import { readDelegatedTime } from "../../protocol/wire/time-delegate.ts";
import { type BootReport, isBootReportAuthentic, verifyUnlock } from "../../protocol/wire/unlock-command.ts";
import { outcomeOf, readVectors } from "./read-vectors.ts";

interface Signed extends SignedBlob {
  readonly type: SignedType;
  readonly publicKey: Uint8Array;
}
interface Case {
  readonly what: string;
  readonly expect: string;
}
type Role = "policy" | "time" | "release" | "unlock" | "courier";
type Maced = Case & { readonly bytes: Uint8Array; readonly mac: Uint8Array };

const vectors = readVectors<{
  readonly pairingId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly authoritySeeds: Readonly<Record<Role, Uint8Array>>;
  readonly authorityPublicKeys: Readonly<Record<Role, Uint8Array>>;
  readonly rootPublicKey: Uint8Array;
  readonly bootId: Uint8Array;
  readonly uptimeMs: number;
  readonly reportKey: Uint8Array;
  readonly deviceReportKey: Uint8Array;
  readonly signatures: readonly (Signed & { readonly role: Role | "root" })[];
  readonly signaturesBroken: readonly (Signed & { readonly what: string })[];
  readonly keysets: readonly (Case &
    SignedBlob & {
      readonly held: Uint8Array | null;
      readonly judgedAt: UnixSeconds;
      readonly fault?: string;
    })[];
  readonly delegatedTimes: readonly (Case & {
    readonly certificate: SignedBlob;
    readonly answer: SignedBlob;
    readonly part?: string;
  })[];
  readonly unlocks: readonly (Case & SignedBlob & { readonly seen: boolean })[];
  readonly lockReports: readonly Maced[];
  readonly policyReports: readonly Maced[];
  readonly bootReports: readonly {
    readonly what: string;
    readonly value: BootReport;
    readonly mac: Uint8Array;
    readonly expect: boolean;
  }[];
}>("signed-objects.json");
const { authorityPublicKeys, pairingId } = vectors;

function heldOf(bytes: Uint8Array | null): HeldKeyset | undefined {
  if (bytes === null) return undefined;
  const read = keyset.decode(bytes);
  if (!read.ok) throw new Error(`a held keyset of the vectors: ${read.fault.code}`);
  return { keyset: read.value, bytes };
}

describe("signed-objects.json", () => {
  it.each(vectors.signatures)("[W7] verifies and makes a signature under $type", (signed) => {
    const { type, publicKey, bytes, signature, role } = signed;
    expect(verifyTyped(publicKey, type, bytes, signature)).toBe(true);
    if (role === "root") return;
    expect(ed25519PublicKey(vectors.authoritySeeds[role])).toEqual(publicKey);
    expect(bytesToHex(signTyped(vectors.authoritySeeds[role], type, bytes))).toBe(bytesToHex(signature));
  });

  it.each(vectors.signaturesBroken)("[O1] a signature is none: $what", ({ type, publicKey, bytes, signature }) => {
    expect(verifyTyped(publicKey, type, bytes, signature)).toBe(false);
  });

  it.each(vectors.keysets)("[Z2] a keyset is taken or refused: $what", (vector) => {
    const accepted = acceptKeyset(vectors.rootPublicKey, heldOf(vector.held), vector, vector.judgedAt);
    const outcome = accepted.ok && !accepted.value.isNew ? "held" : outcomeOf(accepted);
    expect(outcome).toBe(vector.expect);
    if (vector.fault !== undefined) expect(accepted).toMatchObject({ fault: { fault: { code: vector.fault } } });
    if (accepted.ok) expect(accepted.value.bytes).toEqual(vector.bytes);
  });

  it.each(vectors.delegatedTimes)("[J1] a delegate's time: $what", ({ certificate, answer, expect: code, part }) => {
    const read = readDelegatedTime(authorityPublicKeys.time, { pairingId, nonce: vectors.nonce }, certificate, answer);
    expect(outcomeOf(read)).toBe(code);
    if (part !== undefined) expect(read).toMatchObject({ fault: { part } });
  });

  it.each(vectors.unlocks)("[V2] an unlock command: $what", ({ expect: code, seen, ...blob }) => {
    const { bootId, uptimeMs } = vectors;
    const unlockKey = authorityPublicKeys.unlock;
    expect(outcomeOf(verifyUnlock(blob, { pairingId, unlockKey, bootId, uptimeMs, isSeen: () => seen }))).toBe(code);
  });

  it.each(vectors.lockReports)("[O6] a lock's report: $what", ({ bytes, mac, expect: code }) => {
    expect(outcomeOf(verifyReport(vectors.reportKey, bytes, mac))).toBe(code);
    if (code === "ok") expect(macReport(vectors.reportKey, bytes)).toEqual(mac);
  });

  it.each(vectors.policyReports)("[M14] a device's report: $what", ({ bytes, mac, expect: code }) => {
    const facts = { reportKey: vectors.deviceReportKey, pairingId };
    expect(outcomeOf(verifyPolicyReport(facts, bytes, mac))).toBe(code);
    if (code === "ok") expect(macPolicyReport(vectors.deviceReportKey, bytes)).toEqual(mac);
  });

  it.each(vectors.bootReports)("[V6] a boot report: $what", ({ value, mac, expect: isAuthentic }) => {
    expect(isBootReportAuthentic(vectors.deviceReportKey, value, mac)).toBe(isAuthentic);
  });
});
