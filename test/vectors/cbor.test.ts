import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { type CborValue, cborLimits, decodeCbor, encodeCbor } from "../../protocol/base/cbor.ts";
import { type Broken, bytesOf, readVectors } from "./read-vectors.ts";

type Written = {
  readonly int?: string;
  readonly bytes?: string;
  readonly text?: string;
  readonly bool?: boolean;
  readonly array?: readonly Written[];
  readonly map?: readonly (readonly [key: number, value: Written])[];
};
const vectors = readVectors<{
  readonly values: readonly { readonly hex: string; readonly value: Written }[];
  readonly broken: readonly (Broken & { readonly hex: string; readonly offset?: number })[];
}>("cbor.json");

function writtenToCbor({ int, bytes, text, bool, array, map }: Written): CborValue {
  if (int !== undefined) return Number(int);
  if (bytes !== undefined) return bytesOf(bytes);
  if (text !== undefined) return text;
  if (bool !== undefined) return bool;
  if (array !== undefined) return array.map(writtenToCbor);
  return map === undefined ? null : new Map(map.map(([key, value]) => [key, writtenToCbor(value)]));
}

describe("cbor.json", () => {
  it.each(vectors.values)("[W1] $hex is read as what it says, and written so", ({ hex, value }) => {
    expect(decodeCbor(bytesOf(hex))).toEqual({ ok: true, value: writtenToCbor(value) });
    expect(bytesToHex(encodeCbor(writtenToCbor(value)))).toBe(hex);
  });

  it.each(vectors.broken)("[$rule] refuses $what: $hex", ({ hex, expect: code, offset }) => {
    const read = decodeCbor(bytesOf(hex));
    expect(read).toMatchObject({ ok: false, fault: { code, ...(offset === undefined ? {} : { offset }) } });
  });

  it("[W3] takes 65,535 bytes and not one more", () => {
    const text = (length: number) => Uint8Array.from([0x79, length >> 8, length & 0xff, ...Array(length).fill(0x78)]);
    expect(decodeCbor(text(cborLimits.bytesMax - 3)).ok).toBe(true);
    expect(decodeCbor(text(cborLimits.bytesMax - 2))).toMatchObject({ ok: false, fault: { code: "too-large" } });
  });
});
