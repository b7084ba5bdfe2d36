/** The broker's own key and certificate: made and renewed by itself, under the names of the configuration. SPEC I6, I10. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type UnixMs, unixMs } from "../../protocol/base/units.ts";
import { makeKeyFile, readIfThere, readKeyFile, writeWhole } from "./key-file.ts";
import { derToPem, publicKeyBytes, readCertificate, type SigningFault, type SiteAuthority } from "./site-authority.ts";
import type { KnownTime } from "./trusted-time.ts";

export interface ServerCredentials {
  /** PEM. */
  readonly key: string;
  /** PEM: the broker's certificate, and behind it the root, so that a device which knows only the root's hash can check the chain. */
  readonly chain: string;
  /** Of the clients: PEM. */
  readonly authority: string;
  readonly notAfter: UnixMs;
}

export class ServerCertificate {
  readonly #stateDir: string;
  readonly #authority: SiteAuthority;
  readonly #names: readonly string[];
  #key: KeyObject | undefined;
  #held: X509Certificate | undefined;

  constructor(stateDir: string, authority: SiteAuthority, names: readonly string[]) {
    this.#stateDir = stateDir;
    this.#authority = authority;
    this.#names = names;
  }

  /**
   * What to show now: what is on the disk, or a new one when two thirds of its life are over, it is for other names or another root, or there
   * is none. While time is not trusted the one on the disk goes on until the floor has passed its end.
   * Faults: clock-not-trusted (none is there that would do). Throws StoreError unavailable.
   */
  async credentials(time: KnownTime): Promise<Result<ServerCredentials, SigningFault>> {
    const key = await this.#loadKey();
    this.#held ??= this.#fitting(readCertificate((await readIfThere(this.#path, CERTIFICATE_FILE)) ?? ""), key);
    const held = this.#held;
    const isDue = held === undefined || (time.trusted && time.now >= renewAtOf(held));
    if (!isDue && time.now < held.validToDate.getTime()) return ok(this.#credentialsOf(held, key));
    const made = await this.#authority.issueServer(this.#names, publicKeyBytes(key), time, SERVER_LIFE_MS);
    if (!made.ok) return failed(made.fault);
    await writeWhole(this.#path, derToPem(made.value.der), CERTIFICATE_FILE);
    this.#held = readCertificate(made.value.der);
    return this.credentials(time);
  }

  #fitting(certificate: X509Certificate | undefined, key: KeyObject): X509Certificate | undefined {
    if (certificate === undefined || !certificate.checkPrivateKey(key)) return undefined;
    if (!certificate.verify(this.#authority.publicKey)) return undefined;
    const has = (certificate.subjectAltName ?? "").split(", ");
    const wanted = this.#names.map((name) => (name.includes(":") ? `IP Address:${name}` : name));
    const isNamed = wanted.every((name) => has.some((one) => one.endsWith(`:${name}`) || one === name));
    return isNamed && has.length === wanted.length ? certificate : undefined;
  }

  #credentialsOf(held: X509Certificate, key: KeyObject): ServerCredentials {
    return {
      key: key.export({ format: "pem", type: "pkcs8" }).toString(),
      chain: held.toString() + this.#authority.certificatePem,
      authority: this.#authority.certificatePem,
      notAfter: unixMs(held.validToDate.getTime()),
    };
  }

  async #loadKey(): Promise<KeyObject> {
    const path = join(this.#stateDir, KEY_FILE);
    this.#key ??= (await readKeyFile(path, KEY_FILE)) ?? (await makeKeyFile(path, KEY_FILE));
    return this.#key;
  }

  get #path(): string {
    return join(this.#stateDir, CERTIFICATE_FILE);
  }
}

/** Two thirds of a certificate's life. */
export function renewAt(notBefore: number, notAfter: number): UnixMs {
  return unixMs(Math.floor(notBefore + ((notAfter - notBefore) * 2) / 3));
}

function renewAtOf({ validFromDate, validToDate }: X509Certificate): UnixMs {
  return renewAt(validFromDate.getTime(), validToDate.getTime());
}

const KEY_FILE = "broker.key";
const CERTIFICATE_FILE = "broker.crt";
const SERVER_LIFE_MS = 365 * 86_400_000;
