import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { entryTag, presentationLookup } from "../../../protocol/access/lookup.ts";
import { bytesToHex } from "../../../protocol/base/bytes.ts";

const key = Uint8Array.from({ length: 32 }, (_, index) => index);
const macOf = (text: string) => createHmac("sha256", key).update(text).digest();

describe("names of what is presented", () => {
  it.each([
    ["keypad", "4815162", "doorlink/1/lookup/keypad/4815162"],
    ["keycard", "04A1B2C3D4E5F6", "doorlink/1/lookup/keycard/04a1b2c3d4e5f6"],
    ["rf-card", "04A1", "doorlink/1/lookup/rf-card/04a1"],
    ["licence-plate", "m-xy 123", "doorlink/1/lookup/licence-plate/MXY123"],
    ["qr", "Grüße, 世界", "doorlink/1/lookup/qr/Grüße, 世界"],
    ["qr", "q".repeat(2_000), `doorlink/1/lookup/qr/${"q".repeat(2_000)}`],
  ] as const)("[P4] a lookup is the first 8 bytes of the HMAC of its text: %s", (medium, text, named) => {
    expect(bytesToHex(presentationLookup(key, medium, text))).toBe(macOf(named).subarray(0, 8).toString("hex"));
  });

  it("[C6] a tag is the first 32 bits of the HMAC of the entry", () => {
    for (const digits of ["1", "4815162", "0".repeat(16)]) {
      expect(entryTag(key, digits)).toBe(macOf(`doorlink/1/entry/${digits}`).readUInt32BE(0));
    }
  });
});
