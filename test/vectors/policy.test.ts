import { describe, expect, it } from "vitest";
import { decodePolicy, encodePolicy, policyRoot } from "../../protocol/access/policy.ts";
import { applyPolicyDelta, diffPolicy, encodePolicyDelta } from "../../protocol/access/policy-delta.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { type Broken, outcomeOf, readVectors } from "./read-vectors.ts";

const policies = readVectors<{
  readonly values: readonly { readonly what: string; readonly hex: Uint8Array; readonly root: Uint8Array }[];
  readonly broken: readonly (Broken & { readonly hex: Uint8Array })[];
}>("policy.json");

interface DeltaCase {
  readonly what: string;
  readonly rule: string;
  /** A name of `bases`; absent: the lock holds no policy. */
  readonly base?: string;
  readonly delta: Uint8Array;
}
const deltas = readVectors<{
  readonly bases: Readonly<Record<string, Uint8Array>>;
  readonly values: readonly (DeltaCase & { readonly policy: Uint8Array; readonly diff?: false })[];
  readonly broken: readonly (DeltaCase & Broken & { readonly part?: string })[];
}>("policy-delta.json");

function policyOf(bytes: Uint8Array | undefined) {
  const read = decodePolicy(bytes ?? new Uint8Array(0));
  if (!read.ok) throw new Error(`a policy of the vectors: ${read.fault.code}`);
  return read.value;
}
const baseOf = ({ base }: DeltaCase) => (base === undefined ? undefined : policyOf(deltas.bases[base]));

describe("policy.json", () => {
  it.each(policies.values)("[P3] $what: reads it, writes the same, names its root", ({ hex, root }) => {
    expect(bytesToHex(encodePolicy(policyOf(hex)))).toBe(bytesToHex(hex));
    expect(policyRoot(hex)).toEqual(root);
  });

  it.each(policies.broken)("[$rule] refuses it: $what", ({ hex, expect: code }) => {
    expect(outcomeOf(decodePolicy(hex))).toBe(code);
  });
});

describe("policy-delta.json", () => {
  it.each(deltas.values)("[$rule] makes the policy: $what", (vector) => {
    const applied = applyPolicyDelta(baseOf(vector), vector.delta);
    expect(applied.ok ? bytesToHex(applied.value.bytes) : applied.fault).toBe(bytesToHex(vector.policy));
  });

  it.each(deltas.values.filter(({ diff }) => diff === undefined))("[X1] is what changed: $what", (vector) => {
    const delta = encodePolicyDelta(diffPolicy(baseOf(vector), policyOf(vector.policy)));
    expect(bytesToHex(delta)).toBe(bytesToHex(vector.delta));
  });

  it.each(deltas.broken)("[$rule] refuses it: $what", ({ expect: code, part, ...vector }) => {
    const applied = applyPolicyDelta(baseOf(vector), vector.delta);
    expect(applied).toMatchObject({ ok: false, fault: { code, ...(part === undefined ? {} : { part }) } });
  });
});
