/** Tests that every record of a vectors file has: sound ones are read and written back, broken ones are refused by name. */
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import type { CborMessage } from "../../protocol/base/cbor-record.ts";
import { type Broken, bytesOf, outcomeOf } from "./read-vectors.ts";

export interface RecordVectors {
  readonly rule: string;
  readonly values: readonly { readonly value: unknown; readonly hex: string }[];
  readonly broken: readonly (Broken & { readonly hex: string })[];
}

/** What a codec makes of bytes, and the bytes that it writes for what it read. */
export type Reader = (bytes: Uint8Array) => {
  readonly result: unknown;
  readonly outcome: string;
  readonly written?: string;
};

export function readerOf<Value>(codec: CborMessage<Value>): Reader {
  return (bytes) => {
    const result = codec.decode(bytes);
    const written = result.ok ? { written: bytesToHex(codec.encode(result.value)) } : {};
    return { result, outcome: outcomeOf(result), ...written };
  };
}

export function describeRecords(
  records: Readonly<Record<string, RecordVectors>>,
  readers: Readonly<Record<string, Reader>>,
): void {
  it("[W4] has vectors for these records, most of them broken, and for no other", () => {
    expect(Object.keys(records).toSorted()).toEqual(Object.keys(readers).toSorted());
    for (const { values, broken } of Object.values(records)) expect(broken.length).toBeGreaterThan(values.length);
  });

  describe.each(Object.entries(readers))("%s", (name, read) => {
    const { rule, values, broken } = records[name] ?? { rule: "W4", values: [], broken: [] };

    it.each(values.map((each) => ({ ...each, rule })))("[$rule] reads $hex and writes the same", ({ value, hex }) => {
      const { result, written } = read(bytesOf(hex));
      expect(result).toEqual({ ok: true, value });
      expect(written).toBe(hex);
    });

    it.each(broken)("[$rule] refuses it: $what", ({ hex, expect: code }) => {
      expect(read(bytesOf(hex)).outcome).toBe(code);
    });
  });
}
