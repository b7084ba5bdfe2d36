/**
 * Who a networked device is to its gateway: a key that it made itself, the certificate for it, and the root that it trusts; beside them the
 * key of a request that is under way, so that an answer that was lost can be asked for again. Kept in one file, for its owner alone.
 * SPEC I7.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { assert } from "../../protocol/base/result.ts";
import type { EnrolmentAnswer } from "../../protocol/wire/messages/enrolment.ts";

export interface HeldCertificate {
  readonly device: string;
  readonly site: string;
  /** PEM, all three. */
  readonly key: string;
  readonly certificate: string;
  readonly authority: string;
  /** Unix seconds. */
  readonly notAfter: number;
  readonly renewAt: number;
}

export class DeviceIdentity {
  readonly #path: string;
  #kept: Kept;

  /** Reads what is kept, or begins with nothing. */
  constructor(path: string) {
    this.#path = path;
    this.#kept = { claim: null, pendingKey: null, held: null };
    if (!existsSync(path)) return;
    const read = keptSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
    assert(read.success, "a device's identity reads back");
    this.#kept = read.data;
  }

  /** The claim string that the device was given and has not used yet. */
  get claim(): string | null {
    return this.#kept.claim;
  }

  get held(): HeldCertificate | null {
    return this.#kept.held;
  }

  /** Somebody gave the device a claim string: it makes a new key for it. What it holds stays until it has something newer. */
  takeClaim(claim: string): void {
    if (claim === this.#kept.claim) return;
    this.#keep({ ...this.#kept, claim, pendingKey: newKey() });
  }

  /** The key of the request under way; of a renewal it is made at the first ask. */
  pendingKey(): KeyObject {
    const pendingKey = this.#kept.pendingKey ?? newKey();
    if (this.#kept.pendingKey === null) this.#keep({ ...this.#kept, pendingKey });
    return createPrivateKey(pendingKey);
  }

  /** Takes what was issued for the pending key; false: it is for another one, and changes nothing. */
  take(answer: Extract<EnrolmentAnswer, { state: "issued" }>): boolean {
    const { pendingKey: key } = this.#kept;
    if (key === null) return false;
    const certificate = new X509Certificate(answer.certificate);
    if (!certificate.checkPrivateKey(createPrivateKey(key))) return false;
    const { device, site, notAfter, renewAt } = answer;
    const authority = new X509Certificate(answer.authority).toString();
    const held = { device, site, key, certificate: certificate.toString(), authority, notAfter, renewAt };
    this.#keep({ claim: null, pendingKey: null, held });
    return true;
  }

  #keep(kept: Kept): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    this.#kept = kept;
  }
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

const keptSchema = z.strictObject({
  claim: z.string().nullable(),
  pendingKey: z.string().nullable(),
  held: z
    .strictObject({
      device: z.string(),
      site: z.string(),
      key: z.string(),
      certificate: z.string(),
      authority: z.string(),
      notAfter: z.number(),
      renewAt: z.number(),
    })
    .nullable(),
});
type Kept = z.output<typeof keptSchema>;
