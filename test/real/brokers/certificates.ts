/** A site's CA in memory, and the certificates that it gives to devices, gateways and brokers, in the form of the agent's own. */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import {
  type Issuer,
  makeAuthorityCertificate,
  makeDeviceCertificate,
  makeServerCertificate,
} from "../../../agent/enrolment/x509.ts";
import { unixMs } from "../../../protocol/base/units.ts";

/** PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

export class TestAuthority {
  readonly certificate: string;
  readonly #issuer: Issuer;

  private constructor(issuer: Issuer) {
    this.#issuer = issuer;
    this.certificate = toPem(issuer.certificate);
  }

  static async create(name: string): Promise<TestAuthority> {
    const { privateKey, spki } = makeKey();
    return new TestAuthority({ privateKey, certificate: await makeAuthorityCertificate(privateKey, plan(name, spki)) });
  }

  /** A device's or a gateway's. */
  async client(name: string): Promise<Identity> {
    const { privateKey, spki } = makeKey();
    return identity(await makeDeviceCertificate(this.#issuer, plan(name, spki)), privateKey);
  }

  /** The list of these as revoked, PEM. */
  async revoke(...identities: readonly Identity[]): Promise<string> {
    const { X509CrlGenerator } = await import("@peculiar/x509");
    const signingKey = await webcrypto.subtle.importKey(
      "pkcs8",
      new Uint8Array(this.#issuer.privateKey.export({ format: "der", type: "pkcs8" })),
      { name: "ECDSA", namedCurve: "P-256" },
      false,
      ["sign"],
    );
    const made = await X509CrlGenerator.create(
      {
        issuer: new X509Certificate(this.#issuer.certificate).subject,
        thisUpdate: new Date(Date.now() - DAY_MS),
        nextUpdate: new Date(Date.now() + DAY_MS),
        signingKey,
        signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
        entries: identities.map(({ certificate }) => ({
          serialNumber: new X509Certificate(certificate).serialNumber,
          revocationDate: new Date(Date.now() - DAY_MS / 2),
        })),
      },
      webcrypto,
    );
    return toPem(new Uint8Array(made.rawData), "X509 CRL");
  }

  /** Called by loopback's names. */
  async server(): Promise<Identity> {
    const { privateKey, spki } = makeKey();
    return identity(
      await makeServerCertificate(this.#issuer, plan("broker", spki), ["localhost", "127.0.0.1"]),
      privateKey,
    );
  }
}

function makeKey(): { readonly privateKey: KeyObject; readonly spki: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { format: "pem", type: "pkcs8" },
    publicKeyEncoding: { format: "der", type: "spki" },
  });
  return { privateKey: createPrivateKey(privateKey), spki: new Uint8Array(publicKey) };
}

function plan(name: string, subjectKey: Uint8Array) {
  const serialNumber = new Uint8Array(randomBytes(16));
  // Positive and without a leading zero, as DER wants it.
  serialNumber[0] = 0x41;
  return {
    name,
    subjectKey,
    serialNumber,
    notBefore: unixMs(Date.now() - DAY_MS),
    notAfter: unixMs(Date.now() + DAY_MS),
  };
}

function identity(certificate: Uint8Array, key: KeyObject): Identity {
  return { certificate: toPem(certificate), key: String(key.export({ format: "pem", type: "pkcs8" })) };
}

function toPem(der: Uint8Array, label = "CERTIFICATE"): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

const DAY_MS = 86_400_000;
