import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { bytesToCrockford, crockfordToBytes } from "../../../protocol/base/crockford.ts";
import { assert } from "../../../protocol/base/result.ts";
import {
  checkStickerMac,
  foldStickerToken,
  mintStickerPayload,
  parseStickerToken,
  parseStickerUrl,
  publicUrlToOrigin,
} from "../../../protocol/sticker/token.ts";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/sticker-token.json", import.meta.url), "utf8")) as {
  readonly crockford: readonly { readonly ascii: string; readonly text: string }[];
  readonly crockfordBroken: readonly { readonly text: string; readonly expect: string }[];
  readonly tokens: readonly {
    readonly keyHex: string;
    readonly panelNumber: number;
    readonly epoch: number;
    readonly bytesHex: string;
    readonly text: string;
  }[];
  readonly tokensBroken: readonly { readonly text: string; readonly expect: string }[];
};

const key = new Uint8Array(32).fill(9);

describe("Crockford Base32", () => {
  it.each(vectors.crockford)("[Q2] writes and reads RFC 4648's '$ascii' as '$text'", ({ ascii, text }) => {
    expect(bytesToCrockford(utf8(ascii))).toBe(text);
    expect(crockfordToBytes(text)).toEqual({ ok: true, value: utf8(ascii) });
  });

  it.each(vectors.crockfordBroken)("[Q2] refuses '$text' as $expect", ({ text, expect: code }) => {
    expect(crockfordToBytes(text)).toMatchObject({ ok: false, fault: { code } });
  });

  it("[Q2] has exactly one text for any bytes, and one or no bytes for any text", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(crockfordToBytes(bytesToCrockford(bytes))).toEqual({ ok: true, value: bytes });
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0189AZILOUaz-"), maxLength: 12 }), (text) => {
        const read = crockfordToBytes(text);
        if (read.ok) expect(bytesToCrockford(read.value)).toBe(text);
      }),
    );
  });
});

describe("token", () => {
  it.each(vectors.tokens)("[Q2] [Q3] mints $text for panel $panelNumber, epoch $epoch", (vector) => {
    const vectorKey = hexToBytes(vector.keyHex);
    assert(vectorKey !== undefined, "the vector's key is hex");
    const { panelNumber, epoch } = vector;
    const minted = mintStickerPayload({ key: vectorKey, publicUrl: "https://doors.example", panelNumber, epoch });
    expect(minted).toEqual({
      ok: true,
      value: { payload: `HTTPS://DOORS.EXAMPLE/L/${vector.text}`, tokenText: vector.text, epoch },
    });
    const read = parseStickerToken(vector.text);
    assert(read.ok, "the vector's token reads");
    expect(read.value).toMatchObject({ version: 1, panelNumber, epoch });
    expect(bytesToHex(read.value.mac)).toBe(vector.bytesHex.slice(10));
    expect(checkStickerMac(vectorKey, read.value)).toBe("minted-by-us");
  });

  it.each(vectors.tokensBroken)("[Q2] refuses '$text' as $expect", ({ text, expect: code }) => {
    expect(parseStickerToken(text)).toMatchObject({ ok: false, fault: { code } });
  });

  it("[Q3] names a MAC that differs in any one bit, and one by another key", () => {
    const minted = parseStickerToken(vectors.tokens[0]?.text ?? "");
    assert(minted.ok, "the vector's token reads");
    const vectorKey = hexToBytes(vectors.tokens[0]?.keyHex ?? "");
    assert(vectorKey !== undefined, "the vector's key is hex");
    for (let bit = 0; bit < 80; bit++) {
      const mac = minted.value.mac.slice();
      mac[bit >> 3] = (mac[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(checkStickerMac(vectorKey, { ...minted.value, mac })).toBe("mac-differs");
    }
    expect(checkStickerMac(vectorKey, { ...minted.value, epoch: 4 })).toBe("mac-differs");
    expect(checkStickerMac(vectorKey, { ...minted.value, panelNumber: 2 })).toBe("mac-differs");
    expect(checkStickerMac(key, minted.value)).toBe("mac-differs");
  });

  it("[Q2] folds what a person typed or a browser lower-cased, and nothing else", () => {
    expect(foldStickerToken("o4oo-2oo3 deqm-rya5-csv2-egc5")).toBe("04002003DEQMRYA5CSV2EGC5");
    expect(foldStickerToken("iL")).toBe("11");
    const long = "a".repeat(100_000);
    expect(foldStickerToken(long)).toBe(long);
  });
});

describe("URL", () => {
  it.each([
    ["https://doors.example", "HTTPS://DOORS.EXAMPLE"],
    ["HTTPS://Doors.Example/", "HTTPS://DOORS.EXAMPLE"],
    ["https://doors.example:443", "HTTPS://DOORS.EXAMPLE"],
    ["https://doors.example:8443", "HTTPS://DOORS.EXAMPLE:8443"],
    ["http://192.168.1.5:8700", "HTTP://192.168.1.5:8700"],
    ["http://192.168.1.5:80/", "HTTP://192.168.1.5"],
    ["http://localhost:1", "HTTP://LOCALHOST:1"],
  ])("[Q1] prints %s as %s", (publicUrl, origin) => {
    expect(publicUrlToOrigin(publicUrl)).toEqual({ ok: true, value: origin });
  });

  it.each([
    "ftp://doors.example",
    "doors.example",
    "https://",
    "https://doors.example/path",
    "https://doors.example?x=1",
    "https://user@doors.example",
    "https://doors_example",
    "https://[::1]:8700",
    "https://türen.example",
    "https://-doors.example",
    "https://doors..example",
    "https://doors.example:65536",
    `https://${"a".repeat(60)}.${"b".repeat(30)}`,
    "",
  ])("[Q1] mints nothing for the public URL '%s'", (publicUrl) => {
    expect(mintStickerPayload({ key, publicUrl, panelNumber: 1, epoch: 1 })).toMatchObject({
      ok: false,
      fault: { code: "bad-public-url" },
    });
  });

  it("[Q4] reads exactly what was minted", () => {
    const minted = mintStickerPayload({ key, publicUrl: "http://192.168.1.5:8700", panelNumber: 7, epoch: 2 });
    assert(minted.ok, "a bench URL mints");
    expect(minted.value.payload).toMatch(/^[0-9A-Z $%*+\-./:]+$/);
    const read = parseStickerUrl(minted.value.payload);
    expect(read).toMatchObject({
      ok: true,
      value: { origin: "HTTP://192.168.1.5:8700", host: "192.168.1.5", token: { panelNumber: 7, epoch: 2 } },
    });
  });

  it.each([
    ["token-length", "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5/"],
    ["token-length", "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5?A=B"],
    ["token-length", "HTTPS://DOORS.EXAMPLE/L/"],
    ["not-a-sticker-url", "https://doors.example/L/04002003DEQMRYA5CSV2EGC5"],
    ["not-a-sticker-url", "HTTPS://DOORS.EXAMPLE/l/04002003DEQMRYA5CSV2EGC5"],
    ["not-a-sticker-url", "HTTPS://DOORS.EXAMPLE:0443/L/04002003DEQMRYA5CSV2EGC5"],
    ["not-a-sticker-url", "HTTPS://A@DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5"],
    ["not-a-sticker-url", "WIFI:S:home;;"],
    ["not-a-sticker-url", ""],
    ["not-a-sticker-url", `HTTPS://DOORS.EXAMPLE/L/${"0".repeat(10_000)}`],
    ["not-a-sticker-url", "HTTPS://DOORS.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5\n"],
  ])("[Q4] refuses as %s what is not exactly the minted form", (code, text) => {
    expect(parseStickerUrl(text)).toMatchObject({ ok: false, fault: { code } });
  });

  it("[Q4] gives a value or a fault for any text, and a value only for its own form", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        expect(parseStickerUrl(text).ok).toBe(false);
        const read = parseStickerUrl(`HTTPS://DOORS.EXAMPLE/L/${text}`);
        if (read.ok) expect(text).toMatch(/^[0-9A-HJKMNP-TV-Z]{24}$/);
      }),
    );
  });
});
