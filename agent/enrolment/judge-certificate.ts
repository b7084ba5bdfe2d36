/**
 * Judges the certificate that a client of the broker showed. TLS has proved that the client has its private key; who signed it, for whom,
 * and whether it is still good is judged here and not by OpenSSL, which knows no other time than this machine's. SPEC B10, I10.
 */
import type { KeyObject, X509Certificate } from "node:crypto";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId, type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { readCertificate } from "./site-authority.ts";
import type { KnownTime } from "./trusted-time.ts";

export const certificateFaults = [
  "certificate-unreadable",
  /** Not signed by this site's root itself. */
  "certificate-foreign",
  /** Not made for a client: the broker's own, for one. */
  "certificate-not-for-clients",
  "certificate-without-name",
  "certificate-not-yet-valid",
  "certificate-expired",
  "certificate-revoked",
  /** Signed with the root, and this gateway does not remember having done so. */
  "certificate-unknown",
] as const;
export type CertificateFault = { readonly code: (typeof certificateFaults)[number] };

export interface JudgedCertificate {
  readonly device: DeviceId;
  readonly serialNumber: string;
  readonly notAfter: UnixMs;
}

export interface CertificateRules {
  readonly authorityKey: KeyObject;
  readonly time: KnownTime;
  /** What is remembered of a certificate of this device with this serial number. */
  readonly standing: (device: DeviceId, serialNumber: string) => "issued" | "revoked" | "unknown";
}

/** `der`: as it came in the handshake. Any bytes give a value or a fault of `certificateFaults`. */
export function judgeCertificate(
  der: Uint8Array,
  { authorityKey, time, standing }: CertificateRules,
): Result<JudgedCertificate, CertificateFault> {
  const certificate = readCertificate(der);
  if (certificate === undefined) return failed({ code: "certificate-unreadable" });
  // SPEC B10: nothing that a stranger wrote into a certificate is read before its signature is known to be ours.
  if (!isSignedBy(certificate, authorityKey)) return failed({ code: "certificate-foreign" });
  if (certificate.ca || !certificate.keyUsage?.includes(CLIENT_AUTHENTICATION)) {
    return failed({ code: "certificate-not-for-clients" });
  }
  const device = nameOf(certificate);
  if (device === undefined) return failed({ code: "certificate-without-name" });
  // SPEC I10: while nobody knows the time, what this site's root signed may be younger than the clock shows.
  if (time.trusted && time.now < certificate.validFromDate.getTime()) {
    return failed({ code: "certificate-not-yet-valid" });
  }
  const notAfter = unixMs(certificate.validToDate.getTime());
  if (time.now > notAfter) return failed({ code: "certificate-expired" });
  const { serialNumber } = certificate;
  const remembered = standing(device, serialNumber);
  if (remembered !== "issued") return failed({ code: `certificate-${remembered}` });
  return ok({ device, serialNumber, notAfter });
}

function isSignedBy(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.verify(key);
  } catch {
    // A signature of another kind than the key's.
    return false;
  }
}

/** The common name, where it is the whole subject, is a device id, and is the one alternative name as well. */
function nameOf({ subject, subjectAltName }: X509Certificate): DeviceId | undefined {
  const device = parseDeviceId(subject?.startsWith("CN=") ? subject.slice(3) : "");
  return device !== undefined && subjectAltName === `DNS:${device}` ? device : undefined;
}

/** RFC 5280 part 4.2.1.12. */
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";
