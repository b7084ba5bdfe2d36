/** Certificates of a site's own root for the devices of a bench, and the broker's side of them: the agent's own root, shown and judged by its code. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { BrokerEnrolment } from "../../agent/broker/aedes-broker.ts";
import type { BrokerTls } from "../../agent/broker/broker-listener.ts";
import { judgeCertificate } from "../../agent/enrolment/judge-certificate.ts";
import { ServerCertificate } from "../../agent/enrolment/server-certificate.ts";
import { derToPem, publicKeyBytes, SiteAuthority } from "../../agent/enrolment/site-authority.ts";
import type { KnownTime } from "../../agent/enrolment/trusted-time.ts";
import { unixMs } from "../../protocol/base/units.ts";
import { benchDevice, benchSite } from "./intake-devices.ts";

/** PEM. One key for all devices: what is measured is the broker, not who makes a thousand keys. */
export interface DeviceCertificates {
  readonly ca: string;
  readonly key: string;
  /** By the number of the device. */
  readonly certificates: readonly string[];
}

export async function issueDevices(folder: string, devices: number): Promise<DeviceCertificates> {
  const authority = await openAuthority(folder);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const spki = publicKeyBytes(privateKey);
  const certificates: string[] = [];
  for (let index = 0; index < devices; index++) {
    const issued = await authority.issueDevice(benchDevice(index), spki, knownTime(), LIFE_MS);
    if (!issued.ok) throw new Error(issued.fault.code);
    certificates.push(derToPem(issued.value.der));
  }
  const key = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return { ca: authority.certificatePem, key, certificates };
}

/** What is remembered of each certificate is left out: it is one look into a table. */
export async function openBrokerSide(folder: string): Promise<{
  readonly tls: BrokerTls;
  readonly enrolment: BrokerEnrolment;
}> {
  const authority = await openAuthority(folder);
  const server = new ServerCertificate(folder, authority, ["127.0.0.1"]);
  return {
    tls: {
      credentials: () => server.credentials(knownTime()),
      judge: (der) =>
        judgeCertificate(der, { authorityKey: authority.publicKey, time: knownTime(), standing: () => "issued" }),
    },
    enrolment: {
      answer: () => Promise.reject(new Error("nobody is enrolled here")),
      isGood: () => true,
      isRevoked: () => false,
    },
  };
}

function openAuthority(folder: string): Promise<SiteAuthority> {
  const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0 };
  return SiteAuthority.open(folder, benchSite, random);
}

function knownTime(): KnownTime {
  return { trusted: true, now: unixMs(Date.now()), basis: "system-clock" };
}

const LIFE_MS = 86_400_000;
