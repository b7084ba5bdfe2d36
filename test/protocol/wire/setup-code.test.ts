import { createHash, hkdfSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../protocol/base/bytes.ts";
import {
  formatSetupCode,
  parseSetupCode,
  SETUP_CODE_LIMIT_CHARACTERS,
  setupPresharedKey,
} from "../../../protocol/wire/setup-code.ts";
import { seededBytes } from "../../world/lossy-link.ts";

const code = { lockPublicKey: seededBytes(1, 32), secret: seededBytes(2, 16), rootFingerprint: seededBytes(3, 16) };
const text = formatSetupCode(code);
const faultOf = (given: string) => {
  const read = parseSetupCode(given);
  return read.ok ? undefined : read.fault.code;
};

/** Crockford Base32 by arithmetic on one large number, independent of the codec. */
function crockford(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 8) / 5);
  let value = BigInt(`0x${bytesToHex(bytes)}`) << BigInt(length * 5 - bytes.length * 8);
  let out = "";
  for (let at = 0; at < length; at++, value >>= 5n)
    out = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".charAt(Number(value & 31n)) + out;
  return out;
}

function textOf(body: Uint8Array): string {
  const check = createHash("sha256").update(body).digest().subarray(0, 4);
  return `DOORLINK:${crockford(Buffer.concat([body, check]))}`;
}

describe("setup codes", () => {
  it("[Z6] the text is version, key, secret, fingerprint and check in Crockford Base32, by arithmetic from SPEC", () => {
    const body = Buffer.concat([Uint8Array.of(1), code.lockPublicKey, code.secret, code.rootFingerprint]);
    expect(text).toBe(textOf(body));
    expect(text).toHaveLength(SETUP_CODE_LIMIT_CHARACTERS);
    expect(text).toMatch(/^[0-9A-Z:]+$/);
    expect(parseSetupCode(text)).toEqual({ ok: true, value: code });
  });

  it("[Z6] a code without a root to pin is shorter and reads back without one", () => {
    const { rootFingerprint: _none, ...open } = code;
    expect(parseSetupCode(formatSetupCode(open))).toEqual({ ok: true, value: open });
  });

  it("[Z6] every single character changed is refused, and faults hold nothing of the code", () => {
    for (let at = 0; at < text.length; at++) {
      const other = text.charAt(at) === "7" ? "8" : "7";
      const read = parseSetupCode(text.slice(0, at) + other + text.slice(at + 1));
      expect(read.ok).toBe(false);
      if (!read.ok) expect(JSON.stringify(read.fault).length).toBeLessThan(80);
    }
  });

  it.each([
    ["another text", "HTTPS://EXAMPLE.COM/L/0", "not-a-setup-code"],
    ["lower case", text.toLowerCase(), "not-a-setup-code"],
    ["a look-alike", `DOORLINK:O${text.slice(10)}`, "bad-character"],
    ["too long", `${text}0`, "setup-code-too-long"],
    ["another length", textOf(Buffer.concat([Uint8Array.of(1), seededBytes(4, 40)])), "setup-code-length"],
    ["another version", textOf(Buffer.concat([Uint8Array.of(2), new Uint8Array(48)])), "setup-code-version"],
    [
      "a wrong check",
      `DOORLINK:${crockford(Buffer.concat([Uint8Array.of(1), seededBytes(4, 52)]))}`,
      "setup-code-check",
    ],
    [
      "a blank secret",
      textOf(Buffer.concat([Uint8Array.of(1), seededBytes(5, 32), new Uint8Array(16)])),
      "setup-secret-blank",
    ],
    ["nothing", "DOORLINK:", "setup-code-length"],
  ])("[Z6] %s is refused by name", (_name, given, expected) => {
    expect(faultOf(given)).toBe(expected);
  });

  it("[Z6] any text gives a code or a fault", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 130 }), (any) => {
        expect(parseSetupCode(any).ok).toBe(false);
        expect(parseSetupCode(`DOORLINK:${any}`).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it("[Z6] the session's key is HKDF of the secret alone, by node:crypto", () => {
    const expected = Buffer.from(hkdfSync("sha256", code.secret, Buffer.alloc(0), "doorlink/1/setup/psk", 32));
    expect(bytesToHex(setupPresharedKey(code.secret))).toBe(expected.toString("hex"));
  });
});
