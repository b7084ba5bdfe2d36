/** A networked device's own certificate on its link: shown at each connection, and renewed over it in time. SPEC I7, I8. */
import { randomBytes } from "node:crypto";
import { bytesToBase64, bytesToHex } from "../../protocol/base/bytes.ts";
import { enrolmentRequestSchema } from "../../protocol/wire/messages/enrolment.ts";
import { formatPayload } from "../../protocol/wire/payload.ts";
import type { WorldClock } from "../world/clock.ts";
import { takeAnswer } from "./claim-visit.ts";
import type { DeviceIdentity } from "./device-identity.ts";
import { makeSigningRequest } from "./signing-request.ts";

export interface RenewalOptions {
  readonly identity: DeviceIdentity;
  readonly clock: WorldClock;
  /** Renewed, or the code of why not. */
  readonly onAnswer: (fault: string | undefined) => void;
}

export class CertificateRenewal {
  readonly #options: RenewalOptions;
  /** The request that waits for its answer. */
  #asked: string | undefined;
  #notBeforeMs = 0;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** As the link shows it; undefined: the device has none. */
  tls(): { readonly ca: string; readonly certificate: string; readonly key: string } | undefined {
    const held = this.#options.identity.held;
    return held === null ? undefined : { ca: held.authority, certificate: held.certificate, key: held.key };
  }

  /** The payload of a request, if it is time for one. */
  async request(): Promise<string | undefined> {
    const { identity, clock } = this.#options;
    const { held } = identity;
    if (held === null || clock.nowMs() < Math.max(held.renewAt * 1000, this.#notBeforeMs)) return undefined;
    const request = await makeSigningRequest(identity.pendingKey(), held.device);
    const id = bytesToHex(randomBytes(8));
    this.#asked = id;
    return formatPayload(enrolmentRequestSchema, { v: 1, ask: "renew", id, request: bytesToBase64(request) });
  }

  /** What came on the device's answer topic. */
  answer(payload: Uint8Array): void {
    if (this.#asked === undefined) return;
    const taken = takeAnswer(this.#options.identity, this.#asked, payload);
    this.#asked = undefined;
    const { clock, onAnswer } = this.#options;
    if (taken.ok) return onAnswer(undefined);
    const { fault } = taken;
    const waitSeconds = fault.code === "refused" ? (fault.retryAfterSeconds ?? RETRY_SECONDS) : RETRY_SECONDS;
    this.#notBeforeMs = clock.nowMs() + waitSeconds * 1000;
    onAnswer(fault.code === "refused" ? fault.reason : fault.code);
  }
}

/** A third of a certificate's life is left when renewal begins; an hour more or less is nothing. */
const RETRY_SECONDS = 3_600;
