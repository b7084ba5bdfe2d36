import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import {
  type Advertisement,
  decodeAdvertisement,
  encodeAdvertisement,
  logHeadBitsOf,
  versionBitsOf,
} from "../../protocol/wire/advertisement.ts";
import { type Broken, bytesOf, outcomeOf, readVectors } from "./read-vectors.ts";

const vectors = readVectors<{
  readonly values: readonly { readonly hex: string; readonly value: Advertisement }[];
  readonly broken: readonly (Broken & { readonly hex: string })[];
  readonly versionBits: readonly { readonly version: number; readonly versionBits: number }[];
  readonly logHeadBits: readonly { readonly logHead: number; readonly communal: number; readonly residence: number }[];
}>("advertisement.json");

describe("advertisement.json", () => {
  it.each(vectors.values)("[A2] reads $hex and writes the same", ({ hex, value }) => {
    expect(decodeAdvertisement(bytesOf(hex))).toEqual({ ok: true, value });
    const written = encodeAdvertisement(value);
    expect(written.ok && bytesToHex(written.value)).toBe(hex);
  });

  it.each(vectors.broken)("[$rule] refuses $what", ({ hex, expect: code }) => {
    expect(outcomeOf(decodeAdvertisement(bytesOf(hex)))).toBe(code);
  });

  it.each(vectors.versionBits)("[A3] version $version shows $versionBits", ({ version, versionBits }) => {
    expect(versionBitsOf(version)).toBe(versionBits);
  });

  it.each(vectors.logHeadBits)("[A4] log head $logHead shows $communal, or nothing", (head) => {
    expect(logHeadBitsOf(head.logHead, "communal")).toBe(head.communal);
    expect(logHeadBitsOf(head.logHead, "residence")).toBe(head.residence);
  });
});
