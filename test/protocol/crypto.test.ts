import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, hexToBytes, utf8 } from "../../protocol/base/bytes.ts";
import {
  chachaOpen,
  chachaSeal,
  ed25519PublicKey,
  ed25519Sign,
  ed25519Verify,
  hkdfSha256,
  hmacSha256,
  hmacSha256OfText,
  sha256,
  signedMessage,
  signTyped,
  verifyTyped,
  x25519,
  x25519PublicKey,
} from "../../protocol/crypto.ts";

const hex = (text: string): Uint8Array => {
  const bytes = hexToBytes(text);
  if (bytes === undefined) throw new Error(`not hex: ${text}`);
  return bytes;
};
const countingBytes = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => from + at);
const hexOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : bytesToHex(bytes);

describe("SHA-256, HMAC and HKDF", () => {
  it("agrees with FIPS 180-4: one block, from one part or several", () => {
    const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(bytesToHex(sha256(utf8("abc")))).toBe(expected);
    expect(bytesToHex(sha256(utf8("a"), utf8("b"), utf8("c")))).toBe(expected);
  });

  it("agrees with RFC 4231 parts 4.2, 4.3 and 4.7", () => {
    expect(bytesToHex(hmacSha256(new Uint8Array(20).fill(0x0b), utf8("Hi There")))).toBe(
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
    expect(bytesToHex(hmacSha256(utf8("Jefe"), utf8("what do ya want for nothing?")))).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    const longKeyText = utf8("Test Using Larger Than Block-Size Key - Hash Key First");
    expect(bytesToHex(hmacSha256(new Uint8Array(131).fill(0xaa), longKeyText))).toBe(
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
  });

  it("gives node's own HMAC for keys and data of every length, whatever was asked before", () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(bytes, bytes, (key, data) => {
        expect(bytesToHex(hmacSha256(key, data))).toBe(createHmac("sha256", key).update(data).digest("hex"));
      }),
      { numRuns: 500 },
    );
    for (let length = 180; length < 205; length++) {
      const data = countingBytes(length, length);
      const expected = createHmac("sha256", "key").update(data).digest("hex");
      expect(bytesToHex(hmacSha256(utf8("key"), data)), `${length}`).toBe(expected);
    }
  });

  it("gives the first bytes of the HMAC of a text's UTF-8, short and long, whole and with lone surrogates", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.string({ unit: "binary", maxLength: 120 }),
        fc.integer({ min: 1, max: 32 }),
        (key, text, length) => {
          const expected = createHmac("sha256", key).update(utf8(text)).digest().subarray(0, length);
          expect(bytesToHex(hmacSha256OfText(key, text, length))).toBe(bytesToHex(expected));
        },
      ),
      { numRuns: 500 },
    );
    for (let length = 60; length < 200; length++) {
      const wide = "€".repeat(length);
      const expected = createHmac("sha256", "key").update(utf8(wide)).digest("hex");
      expect(bytesToHex(hmacSha256OfText(utf8("key"), wide, 32)), `${length}`).toBe(expected);
    }
    const lone = "\ud800x";
    const expected = createHmac("sha256", "key").update(utf8(lone)).digest("hex");
    expect(bytesToHex(hmacSha256OfText(utf8("key"), lone, 32))).toBe(expected);
    expect(() => hmacSha256OfText(utf8("key"), "text", 33)).toThrow("assertion failed");
  });

  it("gives each caller bytes of its own", () => {
    const first = hmacSha256(utf8("key"), utf8("one"));
    const before = bytesToHex(first);
    hmacSha256(utf8("key"), utf8("two"));
    expect(bytesToHex(first)).toBe(before);
  });

  it("agrees with RFC 5869 appendices A.1 and A.3", () => {
    const secret = new Uint8Array(22).fill(0x0b);
    expect(bytesToHex(hkdfSha256(secret, countingBytes(0, 13), countingBytes(0xf0, 10), 42))).toBe(
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    );
    expect(bytesToHex(hkdfSha256(secret, new Uint8Array(0), new Uint8Array(0), 42))).toBe(
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    );
  });
});

describe("X25519", () => {
  it("agrees with RFC 7748 parts 5.2 and 6.1", () => {
    const scalar = hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    const point = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    expect(hexOf(x25519(scalar, point))).toBe("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    const alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    const alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    const bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    expect(bytesToHex(x25519PublicKey(alice))).toBe(alicePublic);
    expect(bytesToHex(x25519PublicKey(bob))).toBe(bobPublic);
    expect(hexOf(x25519(alice, hex(bobPublic)))).toBe(shared);
    expect(hexOf(x25519(bob, hex(alicePublic)))).toBe(shared);
  });

  it.each([
    ["0", "00".repeat(32)],
    ["1", `01${"00".repeat(31)}`],
    ["a point of order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"],
    ["the other point of order 8", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"],
    ["p - 1", `ec${"ff".repeat(30)}7f`],
    ["p", `ed${"ff".repeat(30)}7f`],
    ["p + 1", `ee${"ff".repeat(30)}7f`],
  ])("gives nothing for the low-order point %s (RFC 7748 part 6.1)", (_name, point) => {
    expect(x25519(countingBytes(1, 32), hex(point))).toBeUndefined();
  });

  it("gives nothing for a public key of the wrong length, and stops the program for such a private key", () => {
    expect(x25519(countingBytes(1, 32), countingBytes(1, 31))).toBeUndefined();
    expect(x25519(countingBytes(1, 32), new Uint8Array(0))).toBeUndefined();
    expect(() => x25519PublicKey(countingBytes(1, 31))).toThrow("assertion");
  });
});

describe("ChaCha20-Poly1305", () => {
  // RFC 8439 part 2.8.2
  const key = countingBytes(0x80, 32);
  const nonce = hex("070000004041424344454647");
  const associatedData = hex("50515253c0c1c2c3c4c5c6c7");
  const plaintext = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const ciphertext =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b" +
    "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
    "3ff4def08e4b7a9de576d26586cec64b6116";
  const sealed = hex(`${ciphertext}1ae10b594f09e26a7e902ecbd0600691`);

  it("agrees with RFC 8439 part 2.8.2, both ways", () => {
    expect(chachaSeal(key, nonce, associatedData, plaintext)).toEqual(sealed);
    expect(chachaOpen(key, nonce, associatedData, sealed)).toEqual(plaintext);
  });

  it("opens nothing when a single bit of text, tag, header, nonce or key differs", () => {
    for (let bit = 0; bit < sealed.length * 8; bit += 7) {
      expect(chachaOpen(key, nonce, associatedData, flip(sealed, bit))).toBeUndefined();
    }
    expect(chachaOpen(key, nonce, flip(associatedData, 3), sealed)).toBeUndefined();
    expect(chachaOpen(key, flip(nonce, 3), associatedData, sealed)).toBeUndefined();
    expect(chachaOpen(flip(key, 3), nonce, associatedData, sealed)).toBeUndefined();
  });

  it("seals and opens nothing at all, and takes any other length as a mismatch", () => {
    const empty = new Uint8Array(0);
    expect(chachaOpen(key, nonce, empty, chachaSeal(key, nonce, empty, empty))).toEqual(empty);
    for (let length = 0; length < 40; length++) {
      expect(chachaOpen(key, nonce, associatedData, sealed.subarray(0, length))).toBeUndefined();
    }
  });
});

describe("Ed25519", () => {
  // RFC 8032 part 7.1, tests 1 and 2
  const vectors = [
    {
      seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    },
    {
      seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      message: "72",
      signature:
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
  ];

  it.each(vectors)(
    "agrees with RFC 8032 part 7.1 for message '$message'",
    ({ seed, publicKey, message, signature }) => {
      expect(bytesToHex(ed25519PublicKey(hex(seed)))).toBe(publicKey);
      expect(bytesToHex(ed25519Sign(hex(seed), hex(message)))).toBe(signature);
      expect(ed25519Verify(hex(publicKey), hex(message), hex(signature))).toBe(true);
      expect(ed25519Verify(hex(publicKey), concatBytes(hex(message), hex("00")), hex(signature))).toBe(false);
      expect(ed25519Verify(hex(publicKey), hex(message), flip(hex(signature), 300))).toBe(false);
    },
  );

  it("says false, and never throws, for any bytes as key or signature", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 70 }), (publicKey, signature) => {
        expect(ed25519Verify(publicKey, utf8("message"), signature)).toBe(false);
      }),
      { numRuns: 100 },
    );
    const sized = fc.tuple(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
    );
    fc.assert(
      fc.property(sized, ([publicKey, signature]) => {
        expect(ed25519Verify(publicKey, utf8("message"), signature)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it("[W7] covers the type, a zero byte and the object, so that a signature of one type is none of another", () => {
    const seed = countingBytes(1, 32);
    const publicKey = ed25519PublicKey(seed);
    const object = utf8("object");
    expect(signedMessage("doorlink/1/policy", object)).toEqual(utf8("doorlink/1/policy\0object"));
    const signature = signTyped(seed, "doorlink/1/policy", object);
    expect(signature).toEqual(ed25519Sign(seed, utf8("doorlink/1/policy\0object")));
    expect(verifyTyped(publicKey, "doorlink/1/policy", object, signature)).toBe(true);
    expect(verifyTyped(publicKey, "doorlink/1/time", object, signature)).toBe(false);
    expect(verifyTyped(publicKey, "doorlink/1/policy", utf8("objects"), signature)).toBe(false);
    expect(ed25519Verify(publicKey, object, signature)).toBe(false);
    expect(() => signTyped(seed, "doorlink/1/Policy", object)).toThrow("assertion");
  });
});

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const at = bit >> 3;
  changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 7));
  return changed;
}
