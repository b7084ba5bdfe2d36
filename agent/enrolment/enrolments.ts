/**
 * Enrolment of the site's networked devices: opens claims, answers requests for certificates, renews, revokes, and says of each
 * certificate whether it is still good.
 *
 * A claim's code is counted as tried before it is compared, and used up in the write that keeps the certificate: whoever asks again with the
 * same key gets the same certificate, whoever asks with another key gets nothing. One request is dealt with at a time. SPEC I3-I10.
 */
import { bytesToBase64, equalBytes, utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, type UnixMs, unixMs, unixSeconds } from "../../protocol/base/units.ts";
import { hmacSha256, sha256 } from "../../protocol/crypto.ts";
import { CLAIM_CODE_BYTES, formatClaim, isClaimSerial } from "../../protocol/wire/claim-string.ts";
import {
  type ClaimRequest,
  ENROLMENT_PAYLOAD_LIMIT_BYTES,
  type EnrolmentRefusal,
  enrolmentAnswerSchema,
  enrolmentRequestSchema,
  type RenewRequest,
} from "../../protocol/wire/messages/enrolment.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import type { BrokerEnrolment, EnrolmentPeer } from "../broker/aedes-broker.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import {
  CERTIFICATES_LIMIT,
  type Enrolment,
  enrolmentToDocument,
  type KeptCertificate,
  noEnrolment,
  type OpenClaim,
  parseEnrolment,
  withRevoked,
} from "./enrolment-document.ts";
import { type CertificateFault, type JudgedCertificate, judgeCertificate } from "./judge-certificate.ts";
import { renewAt } from "./server-certificate.ts";
import type { IssuedCertificate, SiteAuthority } from "./site-authority.ts";
import type { KnownTime } from "./trusted-time.ts";
import { readSigningRequest } from "./x509.ts";

export interface EnrolmentsOptions {
  readonly site: string;
  readonly store: Store;
  readonly random: Random;
  readonly log: Log;
  /** Null: this gateway's broker shows no certificate, so nobody can claim one. */
  readonly authority: SiteAuthority | null;
  readonly now: () => KnownTime;
  /** Whether the authority's word lists this as a networked device of the site. */
  readonly isListed: (device: DeviceId) => boolean;
  /** Ends what lives on a certificate that is good no more. */
  readonly onRevoked: (device: DeviceId) => void;
  readonly lifeMs?: number;
}

export type OpenClaimFault = {
  readonly code:
    | "no-tls"
    | "unknown-device"
    | "not-a-networked-device"
    | "bad-serial"
    | "serial-taken"
    | "clock-not-trusted";
};

export interface OpenedClaim {
  readonly device: DeviceId;
  readonly serial: string;
  /** The claim string: for the device alone. */
  readonly claim: string;
  readonly expiresAt: UnixMs;
}

export type RevokeFault = { readonly code: "unknown-device" | "not-enrolled" };

export class Enrolments {
  readonly #options: EnrolmentsOptions;
  readonly #byDevice = new Map<DeviceId, Enrolment>();
  /** Of these the document cannot be read: what may have been revoked in it counts as revoked. */
  readonly #unreadable = new Set<DeviceId>();
  readonly #loggedAt = new Map<string, UnixMs>();
  /** When a device last asked for a renewal. */
  readonly #renewalAskedAt = new Map<DeviceId, UnixMs>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: EnrolmentsOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    const { store, log } = this.#options;
    for (const { device, body } of await store.readDocuments("enrolment")) {
      const read = parseEnrolment(body);
      if (read.ok) this.#byDevice.set(device, read.value);
      else {
        this.#unreadable.add(device);
        log.warn({ device, fault: read.fault.code }, "a device's enrolment is unreadable: it is not let in");
      }
    }
  }

  enrolment(device: DeviceId): Enrolment | undefined {
    return this.#byDevice.get(device);
  }

  time(): KnownTime {
    return this.#options.now();
  }

  /** Opens a claim for a device; an earlier one of the same device is closed by that. */
  openClaim(device: DeviceId, serial: string, lifeMs: number): Promise<Result<OpenedClaim, OpenClaimFault>> {
    return this.#inTurn(async () => {
      const { authority, isListed, random, log } = this.#options;
      if (authority === null) return failed({ code: "no-tls" });
      if (!isListed(device)) return failed({ code: "not-a-networked-device" });
      if (!isClaimSerial(serial)) return failed({ code: "bad-serial" });
      const holder = this.#deviceOfSerial(serial);
      if (holder !== undefined && holder !== device) return failed({ code: "serial-taken" });
      const { trusted, now } = this.time();
      if (!trusted) return failed({ code: "clock-not-trusted" });
      const code = random.bytes(CLAIM_CODE_BYTES);
      const salt = random.bytes(CLAIM_CODE_BYTES);
      const expiresAt = unixMs(now + lifeMs);
      const claim: OpenClaim = {
        ...{ serial, salt, codeHash: hmacSha256(salt, code), openedAt: now, expiresAt },
        ...{ tokens: TRIES_AT_ONCE, triedAt: now, tries: 0, otherKeys: 0, usedBy: null, usedAt: null },
      };
      this.#unreadable.delete(device);
      await this.#keep(device, { ...this.#of(device), claim });
      log.info({ device, serial }, "a claim is open");
      return ok({ device, serial, claim: formatClaim({ serial, code, authorityHash: authority.keyHash }), expiresAt });
    });
  }

  /** SPEC I3: the answer to one request, as a payload. */
  async answer(peer: EnrolmentPeer, payload: Uint8Array): Promise<string> {
    const read = parsePayload(enrolmentRequestSchema, payload, ENROLMENT_PAYLOAD_LIMIT_BYTES);
    if (!read.ok) return this.#refused(null, peer, { reason: "malformed" });
    const { id } = read.value;
    if (this.#waiting >= WAITING_LIMIT) return this.#refused(id, peer, { reason: "unavailable", retryAfterSeconds: 5 });
    const answer = await this.#inTurn(() => {
      if (read.value.ask === "claim" && peer.kind === "claim") return this.#claim(read.value);
      if (read.value.ask === "renew" && peer.kind === "device") return this.#renew(peer.device, read.value);
      return Promise.resolve<Decided>({ reason: "wrong-connection" });
    });
    return "reason" in answer ? this.#refused(id, peer, answer) : this.#issued(id, answer);
  }

  /** SPEC I9: takes all certificates of a device back at once, and closes its claim. */
  revoke(device: DeviceId): Promise<Result<Enrolment, RevokeFault>> {
    return this.#inTurn(async () => {
      const held = this.#byDevice.get(device);
      if (held === undefined) return failed({ code: "not-enrolled" });
      const { now } = this.time();
      const revokedAt = held.revokedAt ?? now;
      await this.#keep(device, { ...held, ...withRevoked(held, now), claim: null, revokedAt });
      this.#options.log.warn({ device }, "its certificates are revoked");
      this.#options.onRevoked(device);
      return ok(this.#of(device));
    });
  }

  forBroker(): BrokerEnrolment {
    return {
      answer: (peer, payload) => this.answer(peer, payload),
      isGood: (shown) => this.isGood(shown),
      isRevoked: (device) => this.isRevoked(device),
    };
  }

  isRevoked(device: DeviceId): boolean {
    return this.#unreadable.has(device) || (this.#byDevice.get(device)?.revokedAt ?? null) !== null;
  }

  isGood({ device, serialNumber, notAfter }: JudgedCertificate): boolean {
    return this.#standing(device, serialNumber) === "issued" && this.time().now <= notAfter;
  }

  /** SPEC B10. Faults: those of `certificateFaults`. */
  judge(der: Uint8Array): Result<JudgedCertificate, CertificateFault> {
    const { authority } = this.#options;
    if (authority === null) return failed({ code: "certificate-foreign" });
    return judgeCertificate(der, {
      authorityKey: authority.publicKey,
      time: this.time(),
      standing: (device, serialNumber) => this.#standing(device, serialNumber),
    });
  }

  #standing(device: DeviceId, serialNumber: string): "issued" | "revoked" | "unknown" {
    const enrolment = this.#byDevice.get(device);
    if (enrolment?.certificates.some((kept) => kept.serialNumber === serialNumber) === true) return "issued";
    const isRevoked = enrolment?.revoked.some((revoked) => revoked.serialNumber === serialNumber) === true;
    return isRevoked || this.isRevoked(device) ? "revoked" : "unknown";
  }

  async #claim({ serial, code, request }: ClaimRequest): Promise<Decided> {
    const time = this.time();
    // SPEC I10: nothing is counted either, because the count goes by time.
    if (!time.trusted) return { reason: "clock-not-trusted", retryAfterSeconds: CLOCK_RETRY_SECONDS };
    const device = this.#deviceOfSerial(serial);
    const before = device === undefined ? undefined : this.#byDevice.get(device)?.claim;
    if (device === undefined || before === null || before === undefined) return { reason: "not-claimable" };
    const tokens = refilled(before, time.now);
    if (tokens < 1) {
      const retryAfterSeconds = Math.ceil((1 - tokens) * (TRY_REFILL_MS / 1000));
      return { reason: "throttled", retryAfterSeconds };
    }
    // SPEC I5: counted, and on the disk, before it is compared.
    const claim = { ...before, tokens: tokens - 1, triedAt: time.now, tries: before.tries + 1 };
    await this.#keep(device, { ...this.#of(device), claim });
    if (!equalBytes(hmacSha256(claim.salt, code), claim.codeHash)) return { reason: "not-claimable" };
    const proved = await readSigningRequest(request);
    if (!proved.ok) return { reason: "bad-signing-request" };
    return this.#useClaim(device, claim, proved.value, time);
  }

  /** The code is right. */
  async #useClaim(device: DeviceId, claim: OpenClaim, spki: Uint8Array, time: KnownTime): Promise<Decided> {
    const hash = sha256(spki);
    if (claim.usedBy !== null) {
      const held = this.#of(device).certificates.find(({ keyHash }) => equalBytes(keyHash, hash));
      if (equalBytes(claim.usedBy, hash) && held !== undefined) return { device, certificate: held };
      await this.#keep(device, { ...this.#of(device), claim: { ...claim, otherKeys: claim.otherKeys + 1 } });
      return { reason: "claim-used" };
    }
    if (time.now > claim.expiresAt || !this.#options.isListed(device)) return { reason: "not-claimable" };
    const issued = await this.#sign(device, spki, time);
    if ("reason" in issued) return issued;
    const before = this.#of(device);
    const hadOthers = before.certificates.length > 0;
    // SPEC I4: the code is used up by the write that keeps the certificate; what the device had before ends with it.
    await this.#keep(device, {
      ...before,
      revoked: withRevoked(before, time.now).revoked,
      certificates: [issued],
      claim: { ...claim, usedBy: hash, usedAt: time.now },
      revokedAt: null,
    });
    if (hadOthers) this.#options.onRevoked(device);
    this.#options.log.info({ device, serial: claim.serial, certificate: issued.serialNumber }, "enrolled");
    return { device, certificate: issued };
  }

  async #renew(device: DeviceId, { request }: RenewRequest): Promise<Decided> {
    const time = this.time();
    if (!time.trusted) return { reason: "clock-not-trusted", retryAfterSeconds: CLOCK_RETRY_SECONDS };
    // SPEC I3: to look at a signing request costs more than to send one.
    const askedAt = this.#renewalAskedAt.get(device);
    if (askedAt !== undefined && Math.abs(time.now - askedAt) < RENEWAL_ASK_MS) {
      return { reason: "throttled", retryAfterSeconds: 1 };
    }
    this.#renewalAskedAt.set(device, time.now);
    const before = this.#of(device);
    const newest = before.certificates.at(-1);
    if (this.isRevoked(device) || newest === undefined) return { reason: "revoked" };
    const proved = await readSigningRequest(request);
    if (!proved.ok) return { reason: "bad-signing-request" };
    const hash = sha256(proved.value);
    // An answer that was lost is given again.
    const isSame = equalBytes(newest.keyHash, hash) && time.now < renewAt(newest.notBefore, newest.notAfter);
    if (isSame) return { device, certificate: newest };
    const sinceLastMs = time.now - newest.notBefore;
    if (sinceLastMs < RENEWAL_PAUSE_MS) {
      return { reason: "throttled", retryAfterSeconds: Math.ceil((RENEWAL_PAUSE_MS - sinceLastMs) / 1000) };
    }
    const issued = await this.#sign(device, proved.value, time);
    if ("reason" in issued) return issued;
    const alive = before.certificates.filter(({ notAfter }) => notAfter >= time.now);
    await this.#keep(device, { ...before, certificates: [...alive, issued].slice(-CERTIFICATES_LIMIT) });
    this.#options.log.info({ device, certificate: issued.serialNumber }, "certificate renewed");
    return { device, certificate: issued };
  }

  async #sign(device: DeviceId, spki: Uint8Array, time: KnownTime): Promise<KeptCertificate | Refusal> {
    const { authority, lifeMs = CERTIFICATE_LIFE_MS } = this.#options;
    const made = await authority?.issueDevice(device, spki, time, lifeMs);
    if (made === undefined) return { reason: "unavailable" };
    if (!made.ok) return { reason: made.fault.code, retryAfterSeconds: CLOCK_RETRY_SECONDS };
    return keptOf(made.value, sha256(spki));
  }

  #issued(id: string, { device, certificate }: Issued): string {
    const { site, authority } = this.#options;
    return formatPayload(enrolmentAnswerSchema, {
      v: 1,
      state: "issued",
      id,
      device,
      site,
      certificate: bytesToBase64(certificate.der),
      authority: bytesToBase64(authority?.certificate ?? utf8("")),
      notAfter: unixSeconds(certificate.notAfter / 1000),
      renewAt: unixSeconds(renewAt(certificate.notBefore, certificate.notAfter) / 1000),
    });
  }

  #refused(id: string | null, peer: EnrolmentPeer, refusal: Refusal): string {
    const who = peer.kind === "device" ? { device: peer.device } : {};
    if (this.#isNews(`${peer.kind === "device" ? peer.device : ""} ${refusal.reason}`)) {
      this.#options.log.warn({ ...who, reason: refusal.reason }, "refused a request for a certificate");
    }
    return formatPayload(enrolmentAnswerSchema, { v: 1, state: "refused", id, ...refusal });
  }

  /** The same refusal of the same device is logged once a minute, so that nobody fills the log with it. */
  #isNews(what: string): boolean {
    const { now } = this.time();
    const before = this.#loggedAt.get(what);
    if (before !== undefined && Math.abs(now - before) < SAME_REFUSAL_MS) return false;
    if (this.#loggedAt.size >= REFUSALS_REMEMBERED) this.#loggedAt.clear();
    this.#loggedAt.set(what, now);
    return true;
  }

  #deviceOfSerial(serial: string): DeviceId | undefined {
    for (const [device, { claim }] of this.#byDevice) if (claim?.serial === serial) return device;
    return undefined;
  }

  #of(device: DeviceId): Enrolment {
    return this.#byDevice.get(device) ?? noEnrolment;
  }

  /** On the disk before it counts. */
  async #keep(device: DeviceId, enrolment: Enrolment): Promise<void> {
    await this.#options.store.putDocuments([enrolmentToDocument(device, enrolment)]);
    this.#byDevice.set(device, enrolment);
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#waiting += 1;
    const done = this.#last.then(work).finally(() => {
      this.#waiting -= 1;
    });
    // A write that failed is the caller's to hear of; the next one's turn comes all the same.
    this.#last = done.catch(() => undefined);
    return done;
  }
}

interface Issued {
  readonly device: DeviceId;
  readonly certificate: KeptCertificate;
}
interface Refusal {
  readonly reason: EnrolmentRefusal;
  readonly retryAfterSeconds?: number;
}
type Decided = Issued | Refusal;

function keptOf({ der, serialNumber, notBefore, notAfter }: IssuedCertificate, keyHash: Uint8Array): KeptCertificate {
  return { serialNumber, keyHash, notBefore, notAfter, der };
}

/** A clock that was set back refills nothing. */
function refilled({ tokens, triedAt }: OpenClaim, now: UnixMs): number {
  return Math.min(TRIES_AT_ONCE, tokens + Math.max(0, now - triedAt) / TRY_REFILL_MS);
}

/** Tries of one claim at once, and how long until another is added: a code of 128 bits needs none, a device that repeats itself a few. */
const TRIES_AT_ONCE = 5;
const TRY_REFILL_MS = 30_000;
/** A certificate is good for a year. */
export const CERTIFICATE_LIFE_MS = 365 * 86_400_000;
/** Between two certificates of one device for different keys, so that a device gone mad does not sign the day away. */
const RENEWAL_PAUSE_MS = 10 * 60_000;
const RENEWAL_ASK_MS = 1_000;
const SAME_REFUSAL_MS = 60_000;
const REFUSALS_REMEMBERED = 512;
const CLOCK_RETRY_SECONDS = 60;
/** Requests waiting for the one under way. */
const WAITING_LIMIT = 64;
