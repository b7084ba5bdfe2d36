/**
 * Making certificates and reading signing requests: the one file of the agent that touches `@peculiar/x509`. The library is loaded when
 * something is to be signed, because it costs 20 MB that an agent which only checks certificates does not need.
 *
 * Keys are ECDSA P-256: Node, Mosquitto 2.0 with OpenSSL 3 and nats-server take them and Ed25519 alike, and small devices with a
 * secure element make P-256 keys only. SPEC I6.
 */
import { createPublicKey, type KeyObject, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixMs } from "../../protocol/base/units.ts";
import { SIGNING_REQUEST_LIMIT_BYTES } from "../../protocol/wire/messages/enrolment.ts";

export type SigningRequestFault =
  | { readonly code: "request-unreadable" }
  /** Another kind of key than P-256. */
  | { readonly code: "request-key" }
  /** The request is not signed with the key that it is for. */
  | { readonly code: "request-signature" };

/** Gives the key (SubjectPublicKeyInfo in DER) of a request that proves that its sender has it. Whatever else the request says is not looked at. */
export async function readSigningRequest(der: Uint8Array): Promise<Result<Uint8Array, SigningRequestFault>> {
  if (der.length > SIGNING_REQUEST_LIMIT_BYTES) return failed({ code: "request-unreadable" });
  const { Pkcs10CertificateRequest } = await library();
  let request: InstanceType<typeof Pkcs10CertificateRequest>;
  let spki: Uint8Array;
  try {
    request = new Pkcs10CertificateRequest(new Uint8Array(der));
    spki = new Uint8Array(request.publicKey.rawData);
  } catch {
    // Whatever the parser stumbled over, it is not a request.
    return failed({ code: "request-unreadable" });
  }
  if (readP256Key(spki) === undefined) return failed({ code: "request-key" });
  const isProved = await request.verify(provider).catch(() => false);
  return isProved ? ok(spki) : failed({ code: "request-signature" });
}

export interface CertificatePlan {
  /** Goes into the subject's common name. */
  readonly name: string;
  readonly subjectKey: Uint8Array;
  readonly serialNumber: Uint8Array;
  readonly notBefore: UnixMs;
  readonly notAfter: UnixMs;
}

export interface Issuer {
  readonly privateKey: KeyObject;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** The site's own root: signs devices and brokers, and no other CA. */
export async function makeAuthorityCertificate(privateKey: KeyObject, plan: CertificatePlan): Promise<Uint8Array> {
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectKeyIdentifierExtension } =
    await library();
  const publicKey = await importPublicKey(plan.subjectKey);
  return sign(privateKey, `CN=${plan.name}`, `CN=${plan.name}`, plan, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(publicKey, false, provider),
  ]);
}

/** For a device: to show as a client, under its device id. */
export async function makeDeviceCertificate(issuer: Issuer, plan: CertificatePlan): Promise<Uint8Array> {
  const { ExtendedKeyUsage } = await library();
  return makeLeaf(issuer, plan, ExtendedKeyUsage.clientAuth, [{ type: "dns", value: plan.name }]);
}

/** For the broker's listener: under all names and addresses by which devices call it. */
export async function makeServerCertificate(
  issuer: Issuer,
  plan: CertificatePlan,
  names: readonly string[],
): Promise<Uint8Array> {
  const { ExtendedKeyUsage } = await library();
  const called = names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value }));
  return makeLeaf(issuer, plan, ExtendedKeyUsage.serverAuth, called);
}

/** Reads a P-256 public key; undefined for any other bytes. */
export function readP256Key(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? key : undefined;
  } catch {
    // Not a key at all.
    return undefined;
  }
}

async function makeLeaf(
  issuer: Issuer,
  plan: CertificatePlan,
  usage: string,
  names: readonly { readonly type: "dns" | "ip"; readonly value: string }[],
): Promise<Uint8Array> {
  const x509 = await library();
  const authority = new x509.X509Certificate(new Uint8Array(issuer.certificate));
  return sign(issuer.privateKey, authority.subject, `CN=${plan.name}`, plan, [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([usage]),
    new x509.SubjectAlternativeNameExtension([...names]),
    await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey, false, provider),
  ]);
}

async function sign(
  privateKey: KeyObject,
  issuer: string,
  subject: string,
  plan: CertificatePlan,
  extensions: readonly InstanceType<X509Library["Extension"]>[],
): Promise<Uint8Array> {
  const { X509CertificateGenerator } = await library();
  const signingKey = await provider.subtle.importKey(
    "pkcs8",
    new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" })),
    keyAlgorithm,
    false,
    ["sign"],
  );
  const made = await X509CertificateGenerator.create(
    {
      issuer,
      subject,
      serialNumber: Buffer.from(plan.serialNumber).toString("hex"),
      notBefore: new Date(plan.notBefore),
      notAfter: new Date(plan.notAfter),
      publicKey: await importPublicKey(plan.subjectKey),
      signingKey,
      signingAlgorithm,
      extensions: [...extensions],
    },
    provider,
  );
  return new Uint8Array(made.rawData);
}

function importPublicKey(spki: Uint8Array): Promise<CryptoKey> {
  return provider.subtle.importKey("spki", new Uint8Array(spki), keyAlgorithm, true, ["verify"]);
}

type X509Library = typeof import("@peculiar/x509");
type CryptoKey = webcrypto.CryptoKey;
let loading: Promise<X509Library> | undefined;

/** Its container of dependencies wants Reflect's metadata to be there first. */
function library(): Promise<X509Library> {
  loading ??= import("reflect-metadata").then(() => import("@peculiar/x509"));
  return loading;
}

const provider = webcrypto;
const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" } as const;
