import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import {
  auditBatch,
  bundleHeader,
  dailyKeysHeader,
  openAuditBatch,
  openSealed,
  type SealUse,
  seal,
  sealAuditBatch,
} from "../../protocol/wire/sealing.ts";
import { outcomeOf, readVectors } from "./read-vectors.ts";

type BundleHead = Parameters<typeof bundleHeader>[0];
interface Sealed {
  readonly use: SealUse;
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
}
const vectors = readVectors<{
  readonly pairingId: Uint8Array;
  readonly keys: Readonly<Record<SealUse, Uint8Array>>;
  readonly sealed: readonly (Sealed & {
    readonly headerOf: BundleHead | { readonly pairingId: Uint8Array; readonly sequence: number };
    readonly plaintext: Uint8Array;
  })[];
  readonly sealedBroken: readonly (Sealed & {
    readonly what: string;
    readonly key: Uint8Array;
    readonly expect: string;
  })[];
  readonly batches: readonly {
    readonly what: string;
    readonly hex: Uint8Array;
    readonly entries: readonly Uint8Array[];
    readonly from: number;
  }[];
  readonly batchesBroken: readonly { readonly what: string; readonly hex: Uint8Array; readonly expect: string }[];
}>("sealing.json");

describe("sealing.json", () => {
  it.each(vectors.sealed)("[X8] opens and makes what is sealed for $use", ({ use, header, sealed, plaintext }) => {
    expect(openSealed(use, vectors.keys[use], header, sealed)).toEqual({ ok: true, value: plaintext });
    expect(bytesToHex(seal(use, vectors.keys[use], header, plaintext))).toBe(bytesToHex(sealed));
  });

  it.each(vectors.sealed)("[X9] [X11] the header of $use", ({ header, headerOf }) => {
    const written =
      "sequence" in headerOf ? dailyKeysHeader(headerOf.pairingId, headerOf.sequence) : bundleHeader(headerOf);
    expect(bytesToHex(written)).toBe(bytesToHex(header));
  });

  it.each(vectors.sealedBroken)("[X8] does not open: $what", ({ use, key, header, sealed, expect: code }) => {
    expect(outcomeOf(openSealed(use, key, header, sealed))).toBe(code);
  });

  it.each(vectors.batches)("[X10] a batch of audit entries: $what", ({ hex, entries, from }) => {
    const read = auditBatch.decode(hex);
    if (!read.ok) return expect.fail(read.fault.code);
    expect(openAuditBatch(vectors.keys.audit, read.value)).toEqual({ ok: true, value: entries });
    const written = sealAuditBatch(vectors.keys.audit, vectors.pairingId, from, entries);
    expect(bytesToHex(auditBatch.encode(written))).toBe(bytesToHex(hex));
  });

  it.each(vectors.batchesBroken)("[X10] a batch is refused: $what", ({ hex, expect: code }) => {
    const read = auditBatch.decode(hex);
    if (!read.ok) return expect.fail(read.fault.code);
    expect(outcomeOf(openAuditBatch(vectors.keys.audit, read.value))).toBe(code);
  });
});
