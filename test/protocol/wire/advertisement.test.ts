import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../protocol/base/bytes.ts";
import {
  type Advertisement,
  decodeAdvertisement,
  encodeAdvertisement,
  logHeadBitsOf,
  versionBitsOf,
} from "../../../protocol/wire/advertisement.ts";
import {
  ADVERTISEMENT_UUID,
  ADVERTISEMENT_UUID_16,
  ATT_MTU_FLOOR_BYTES,
  FRAME_LIMIT_BYTES,
  FRAMES_IN_UUID,
  FRAMES_OUT_UUID,
  LOCK_SERVICE_UUID,
} from "../../../protocol/wire/ble-service.ts";

function advertisement(parts: Partial<Advertisement> = {}): Advertisement {
  return {
    wantsSync: false,
    clockNotSet: false,
    batteryLow: false,
    tamper: false,
    versionBits: 0,
    logHeadBits: 0,
    ...parts,
  };
}

function bytes(hex: string): Uint8Array {
  const read = hexToBytes(hex);
  if (read === undefined) throw new Error(`the vector ${hex} is not hex`);
  return read;
}

// Written by hand from SPEC A1 and A2, byte for byte; the code under test made none of them.
const vectors: readonly { readonly hex: string; readonly means: Advertisement }[] = [
  { hex: "010000000000", means: advertisement() },
  { hex: "010100000000", means: advertisement({ wantsSync: true }) },
  { hex: "010200000000", means: advertisement({ clockNotSet: true }) },
  { hex: "010400000000", means: advertisement({ batteryLow: true }) },
  { hex: "010800000000", means: advertisement({ tamper: true }) },
  { hex: "010f00000000", means: advertisement({ wantsSync: true, clockNotSet: true, batteryLow: true, tamper: true }) },
  { hex: "010000000100", means: advertisement({ versionBits: 1 }) },
  { hex: "010012345678", means: advertisement({ versionBits: 1_193_046, logHeadBits: 120 }) },
  { hex: "0100ffffffff", means: advertisement({ versionBits: 16_777_215, logHeadBits: 255 }) },
];

const broken: readonly { readonly hex: string; readonly fault: object }[] = [
  { hex: "", fault: { code: "wrong-length", expected: 6, actual: 0 } },
  { hex: "0100000000", fault: { code: "wrong-length", expected: 6, actual: 5 } },
  { hex: "01000000000000", fault: { code: "wrong-length", expected: 6, actual: 7 } },
  { hex: "000000000000", fault: { code: "unknown-protocol", expected: 1, actual: 0 } },
  { hex: "020000000000", fault: { code: "unknown-protocol", expected: 1, actual: 2 } },
  { hex: "011000000000", fault: { code: "reserved-flags", flags: 0x10 } },
  { hex: "018100000000", fault: { code: "reserved-flags", flags: 0x81 } },
];

describe("advertisement", () => {
  it.each(vectors)("[A1] [A2] $hex reads and writes as frozen", ({ hex, means }) => {
    expect(decodeAdvertisement(bytes(hex))).toEqual({ ok: true, value: means });
    const written = encodeAdvertisement(means);
    expect(written.ok && bytesToHex(written.value)).toBe(hex);
  });

  it.each(broken)("[A1] [A2] $hex is refused with its reason", ({ hex, fault }) => {
    expect(decodeAdvertisement(bytes(hex))).toEqual({ ok: false, fault });
  });

  it("[A1] any bytes give a value or a fault, and what was read is written back the same", () => {
    // Beside bytes of any kind, six that begin like ours, so that a good share of them is read.
    const likeOurs = fc.tuple(fc.constant(1), fc.nat(31), fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    const inputs = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      likeOurs.map((parts) => Uint8Array.from(parts)),
    );
    let readCount = 0;
    fc.assert(
      fc.property(inputs, (input) => {
        const read = decodeAdvertisement(input);
        if (!read.ok) return;
        readCount++;
        const written = encodeAdvertisement(read.value);
        expect(written.ok && bytesToHex(written.value)).toBe(bytesToHex(input));
      }),
    );
    expect(readCount).toBeGreaterThan(0);
  });

  it.each([-1, 16_777_216, 1.5, Number.NaN])("[A3] version bits %d are not written", (versionBits) => {
    expect(encodeAdvertisement(advertisement({ versionBits }))).toEqual({
      ok: false,
      fault: { code: "version-bits-out-of-range", limit: 16_777_215, actual: versionBits },
    });
  });

  it("[A3] a version shows its low 24 bits", () => {
    expect(versionBitsOf(7)).toBe(7);
    expect(versionBitsOf(16_777_216 + 5)).toBe(5);
    // Above 2^32 bit operators would already have lost the upper part.
    expect(versionBitsOf(2 ** 40 + 9)).toBe(9);
  });

  it.each([-1, 256, 0.5])("[A4] log head bits %d are not written", (logHeadBits) => {
    expect(encodeAdvertisement(advertisement({ logHeadBits }))).toEqual({
      ok: false,
      fault: { code: "log-head-bits-out-of-range", limit: 255, actual: logHeadBits },
    });
  });

  it("[A4] a residence door shows nothing of its log, a communal one the low 8 bits", () => {
    for (const logHead of [0, 1, 255, 256, 1_000_003]) expect(logHeadBitsOf(logHead, "residence")).toBe(0);
    expect(logHeadBitsOf(257, "communal")).toBe(1);
    expect(logHeadBitsOf(255, "communal")).toBe(255);
  });
});

describe("GATT service", () => {
  it("[A5] the numbers that devices in the field will hold are frozen", () => {
    expect([LOCK_SERVICE_UUID, FRAMES_IN_UUID, FRAMES_OUT_UUID]).toEqual([
      "18d80001-8257-429b-8403-3384e7a5a728",
      "18d80002-8257-429b-8403-3384e7a5a728",
      "18d80003-8257-429b-8403-3384e7a5a728",
    ]);
    expect(ADVERTISEMENT_UUID_16).toBe(0xffeb);
    expect(ADVERTISEMENT_UUID).toBe("0000ffeb-0000-1000-8000-00805f9b34fb");
  });

  it("[A6] the longest frame fits one write of the smallest MTU allowed, and one link-layer packet", () => {
    expect(FRAME_LIMIT_BYTES).toBe(244);
    expect(ATT_MTU_FLOOR_BYTES).toBe(247);
    expect(FRAME_LIMIT_BYTES + 3 + 4).toBe(251);
  });
});
