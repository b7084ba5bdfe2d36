/** A networked device's request for a certificate (PKCS #10): its new key's public half, signed with that key. What name stands in it is nobody's concern. */
import { type KeyObject, webcrypto } from "node:crypto";

/** DER. `key`: P-256. */
export async function makeSigningRequest(key: KeyObject, name: string): Promise<Uint8Array> {
  await import("reflect-metadata");
  const { Pkcs10CertificateRequestGenerator } = await import("@peculiar/x509");
  const pkcs8 = new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
  const privateKey = await webcrypto.subtle.importKey("pkcs8", pkcs8, p256, true, ["sign"]);
  const { d: _private, ...jwk } = key.export({ format: "jwk" });
  const publicKey = await webcrypto.subtle.importKey("jwk", { ...jwk, key_ops: ["verify"] }, p256, true, ["verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create(
    { name: `CN=${name}`, keys: { privateKey, publicKey }, signingAlgorithm: { name: "ECDSA", hash: "SHA-256" } },
    webcrypto,
  );
  return new Uint8Array(request.rawData);
}

const p256 = { name: "ECDSA", namedCurve: "P-256" } as const;
