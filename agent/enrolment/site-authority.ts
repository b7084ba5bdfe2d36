/**
 * The site's certificate authority: a root key that is made once and never leaves this gateway, its certificate, and what is signed with
 * it. Devices know the root by the hash of its public key, so its certificate can be made again from the key and nothing else. SPEC I5, I6.
 */
import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import { type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import type { Random } from "../ports/random.ts";
import { StoreError } from "../ports/store.ts";
import { makeKeyFile, readIfThere, readKeyFile, writeWhole } from "./key-file.ts";
import { BUILD_TIME, type KnownTime } from "./trusted-time.ts";
import {
  type CertificatePlan,
  type Issuer,
  makeAuthorityCertificate,
  makeDeviceCertificate,
  makeServerCertificate,
} from "./x509.ts";

export interface IssuedCertificate {
  readonly der: Uint8Array;
  /** Upper-case hex without leading zeros, as Node and OpenSSL write it. */
  readonly serialNumber: string;
  readonly notBefore: UnixMs;
  readonly notAfter: UnixMs;
}

/** Nothing is signed while nobody knows what time it is. SPEC I10. */
export type SigningFault = { readonly code: "clock-not-trusted" };

export class SiteAuthority {
  /** SHA-256 of the root's SubjectPublicKeyInfo, as claim strings carry it. */
  readonly keyHash: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly certificatePem: string;
  readonly publicKey: KeyObject;
  readonly #random: Random;
  readonly #issuer: Issuer;

  private constructor(issuer: Issuer, random: Random) {
    this.#random = random;
    this.#issuer = issuer;
    this.publicKey = createPublicKey(issuer.privateKey);
    this.keyHash = sha256(publicKeyBytes(issuer.privateKey));
    this.certificate = issuer.certificate;
    this.certificatePem = derToPem(issuer.certificate);
  }

  /**
   * Reads the root in `stateDir`, or makes it. Throws StoreError unavailable: a file cannot be read or written, is not what it should be, or
   * the certificate is there without its key, which must not be replaced by another.
   */
  static async open(stateDir: string, site: string, random: Random): Promise<SiteAuthority> {
    const certificatePath = join(stateDir, CERTIFICATE_FILE);
    const keyPath = join(stateDir, KEY_FILE);
    const text = await readIfThere(certificatePath, CERTIFICATE_FILE);
    const stored = await readKeyFile(keyPath, KEY_FILE);
    if (stored === undefined && text !== undefined) {
      throw new StoreError(
        "unavailable",
        `${CERTIFICATE_FILE} is in the state directory and ${KEY_FILE} is not: restore it`,
      );
    }
    const privateKey = stored ?? (await makeKeyFile(keyPath, KEY_FILE));
    if (text !== undefined) {
      const read = parseAuthorityCertificate(text, privateKey);
      if (read.ok) return new SiteAuthority({ privateKey, certificate: read.value }, random);
      throw new StoreError(
        "unavailable",
        `${CERTIFICATE_FILE} in the state directory: ${read.fault.code}; restore it or move it away`,
      );
    }
    const certificate = await makeRoot(privateKey, site);
    await writeWhole(certificatePath, derToPem(certificate), CERTIFICATE_FILE);
    return new SiteAuthority({ privateKey, certificate }, random);
  }

  /** For a device, under its id. `spki`: its P-256 key. Faults: clock-not-trusted. */
  async issueDevice(device: string, spki: Uint8Array, time: KnownTime, lifeMs: number): Promise<Issued> {
    if (!time.trusted) return failed({ code: "clock-not-trusted" });
    return ok(issuedOf(await makeDeviceCertificate(this.#issuer, this.#plan(device, spki, time.now, lifeMs))));
  }

  /** For the broker, under the names and addresses that devices call it by. Faults: clock-not-trusted. */
  async issueServer(names: readonly string[], spki: Uint8Array, time: KnownTime, lifeMs: number): Promise<Issued> {
    if (!time.trusted) return failed({ code: "clock-not-trusted" });
    const plan = this.#plan(names[0] ?? "broker", spki, time.now, lifeMs);
    return ok(issuedOf(await makeServerCertificate(this.#issuer, plan, names)));
  }

  #plan(name: string, subjectKey: Uint8Array, now: UnixMs, lifeMs: number): CertificatePlan {
    const serialNumber = this.#random.bytes(SERIAL_BYTES);
    // RFC 5280 part 4.1.2.2: positive and never zero.
    serialNumber[0] = ((serialNumber[0] ?? 0) & 0x3f) | 0x40;
    // Clocks of devices differ by a little; in X.509 time has whole seconds.
    const notBefore = unixMs(Math.floor((now - BACKDATED_MS) / 1000) * 1000);
    return { name, subjectKey, serialNumber, notBefore, notAfter: unixMs(notBefore + BACKDATED_MS + lifeMs) };
  }
}

type Issued = Result<IssuedCertificate, SigningFault>;

export type AuthorityCertificateFault =
  | { readonly code: "not-a-certificate" }
  | { readonly code: "not-of-this-key" }
  | { readonly code: "not-an-authority" };

/** The root's certificate in PEM as DER. Faults: not-a-certificate, not-of-this-key, not-an-authority. Never throws. */
export function parseAuthorityCertificate(
  text: string,
  privateKey: KeyObject,
): Result<Uint8Array, AuthorityCertificateFault> {
  const certificate = readCertificate(text);
  if (certificate === undefined) return failed({ code: "not-a-certificate" });
  if (!certificate.checkPrivateKey(privateKey)) return failed({ code: "not-of-this-key" });
  if (!certificate.ca || !certificate.verify(certificate.publicKey)) return failed({ code: "not-an-authority" });
  return ok(new Uint8Array(certificate.raw));
}

/** Undefined for bytes or text that are no certificate, or more than one may have. */
export function readCertificate(from: string | Uint8Array): X509Certificate | undefined {
  if (from.length > CERTIFICATE_LIMIT) return undefined;
  try {
    return new X509Certificate(from);
  } catch {
    // Not a certificate; the caller names it.
    return undefined;
  }
}

/** What a certificate of ours says of itself. */
export function issuedOf(der: Uint8Array): IssuedCertificate {
  const certificate = readCertificate(der);
  assert(certificate !== undefined, "a certificate that was just made can be read");
  return {
    der,
    serialNumber: certificate.serialNumber,
    notBefore: unixMs(certificate.validFromDate.getTime()),
    notAfter: unixMs(certificate.validToDate.getTime()),
  };
}

export function derToPem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

export function publicKeyBytes(privateKey: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(privateKey).export({ format: "der", type: "spki" }));
}

/** From the day of the build, so that it can be made before anybody knows the time, and the same each time. */
function makeRoot(privateKey: KeyObject, site: string): Promise<Uint8Array> {
  const subjectKey = publicKeyBytes(privateKey);
  const serialNumber = sha256(subjectKey).slice(0, SERIAL_BYTES);
  serialNumber[0] = ((serialNumber[0] ?? 0) & 0x3f) | 0x40;
  const notAfter = unixMs(BUILD_TIME + ROOT_LIFE_MS);
  return makeAuthorityCertificate(privateKey, {
    name: `doorlink ${site}`,
    subjectKey,
    serialNumber,
    notBefore: BUILD_TIME,
    notAfter,
  });
}

const KEY_FILE = "site-ca.key";
const CERTIFICATE_FILE = "site-ca.crt";
const SERIAL_BYTES = 16;
const DAY_MS = 86_400_000;
/** Longer than any lock hangs on a door. */
const ROOT_LIFE_MS = 30 * 365 * DAY_MS;
const BACKDATED_MS = 5 * 60_000;
const CERTIFICATE_LIMIT = 16 * 1024;
