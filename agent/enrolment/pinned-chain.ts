/**
 * TLS to a server whose authority is pinned by a file, on a machine that does not know the time: OpenSSL would refuse every certificate
 * that is younger than 1970. The chain is judged here instead, before a byte is sent: as OpenSSL would, but that its beginning is not
 * looked at and its end is judged by the floor. SPEC I10.
 */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixMs } from "../../protocol/base/units.ts";

export type ChainFault = {
  readonly code: "no-certificate" | "another-name" | "not-for-servers" | "expired" | "not-under-the-pinned-root";
};

export interface PinnedServer {
  readonly roots: readonly X509Certificate[];
  /** As it was called. */
  readonly host: string;
  readonly floor: UnixMs;
}

/** Faults: as in ChainFault. `leaf`: with its issuers behind it, as they came. */
export function judgePinnedChain(
  leaf: X509Certificate | undefined,
  { roots, host, floor }: PinnedServer,
): Result<void, ChainFault> {
  if (leaf === undefined) return failed({ code: "no-certificate" });
  const isNamed = (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
  if (!isNamed) return failed({ code: "another-name" });
  // RFC 5280 part 4.2.1.12: a certificate that does not say what it is for is for anything.
  const uses = leaf.keyUsage as readonly string[] | undefined;
  if (uses !== undefined && !uses.includes(SERVER_AUTHENTICATION)) return failed({ code: "not-for-servers" });
  let current = leaf;
  for (let links = 0; links < CHAIN_LIMIT; links++) {
    if (current.validToDate.getTime() < floor) return failed({ code: "expired" });
    const root = roots.find((one) => isIssuedBy(current, one));
    if (root !== undefined) return root.validToDate.getTime() < floor ? failed({ code: "expired" }) : ok(undefined);
    const issuer = current.issuerCertificate;
    if (issuer === undefined || !isIssuedBy(current, issuer)) break;
    current = issuer;
  }
  return failed({ code: "not-under-the-pinned-root" });
}

export interface PinnedTlsOptions {
  readonly url: URL;
  /** PEM. */
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  readonly floor: UnixMs;
  readonly limitMs: number;
}

/** A connection whose other end was judged; rejected with an Error that names why not. */
export async function openPinnedTls({ url, ca, cert, key, floor, limitMs }: PinnedTlsOptions): Promise<TLSSocket> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = connect({
    host,
    port: Number(url.port === "" ? DEFAULT_PORT : url.port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    minVersion: "TLSv1.2",
    rejectUnauthorized: false,
    timeout: limitMs,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", () => resolve());
    socket.once("timeout", () => reject(new Error("timeout")));
    socket.on("error", reject);
    socket.once("close", () => reject(new Error("closed")));
  }).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
  socket.setTimeout(0);
  const judged = judgePinnedChain(socket.getPeerX509Certificate(), { roots: readRoots(ca), host, floor });
  if (judged.ok) return socket;
  socket.destroy();
  throw new Error(`certificate: ${judged.fault.code}`);
}

function readRoots(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A signature of another kind than the key's.
    return false;
  }
}

/** RFC 5280 part 4.2.1.12. */
const SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1";
const CHAIN_LIMIT = 6;
const DEFAULT_PORT = 8883;
