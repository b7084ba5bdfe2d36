/**
 * Pairing a lock that hangs at its door: the operator has the card from its box, the gateway carries, the authority decides. What the
 * card says is held for this one pairing and is in no log, document or answer. SPEC Z7-Z11.
 */
import { bytesToBase64, bytesToHex, equalBytes } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { rootFingerprint } from "../../protocol/wire/keyset.ts";
import { pairingStatement } from "../../protocol/wire/pairing-message.ts";
import type { SetupCode } from "../../protocol/wire/setup-code.ts";
import type { DeviceTable } from "../devices.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { PairingFault, RunPairing } from "../ports/pairing.ts";
import type { Radio } from "../ports/radio.ts";
import type { Random } from "../ports/random.ts";
import type { Upstream } from "../upstream/upstream.ts";

export interface PairingsOptions {
  readonly table: DeviceTable;
  readonly upstream: Pick<Upstream, "askPairing">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly radio: Radio;
  readonly runPairing: RunPairing;
  readonly courierPrivateKey: Uint8Array;
}

export interface PairRequest {
  readonly device: DeviceId;
  /** Where it is on the air, when the site does not say. */
  readonly address: string | undefined;
  readonly setup: SetupCode;
}

/** What `POST /api/pair` answers. */
export type PairingAnswer =
  | {
      readonly device: DeviceId;
      readonly pairingId: string;
      readonly address: string;
      readonly model: string;
      readonly firmware: string;
      readonly hardware: string;
      /** The authority knows that the lock keeps the pairing; false: the next visit tells it. */
      readonly confirmed: boolean;
    }
  | { readonly device: DeviceId; readonly fault: PairFault };

export interface PairFault {
  readonly code:
    | PairingFault["code"]
    | "unknown-device"
    | "not-a-ble-lock"
    /** The site names no Bluetooth address for it. */
    | "no-address"
    /** The authority has told this gateway no root and keyset. */
    | "no-keyset"
    /** The card is of a lock that was made for another authority. */
    | "another-root"
    /** Others are waiting for the radio already. */
    | "busy"
    | "stopping";
  readonly reason?: string;
}

export class Pairings {
  readonly #options: PairingsOptions;

  constructor(options: PairingsOptions) {
    this.#options = options;
  }

  /** What can be said without the radio; undefined: go. */
  objection({ device, address, setup }: PairRequest): PairFault | undefined {
    const { table } = this.#options;
    const known = table.device(device);
    if (known === undefined) return { code: "unknown-device" };
    if (known.network !== "ble") return { code: "not-a-ble-lock" };
    if ((address ?? known.address) === undefined) return { code: "no-address" };
    const offer = table.gateway?.pairing ?? null;
    if (offer === null) return { code: "no-keyset" };
    const fits = setup.rootFingerprint === undefined || equalBytes(setup.rootFingerprint, rootFingerprint(offer.root));
    return fits ? undefined : { code: "another-root" };
  }

  /** Pairs now; the radio must be free. Faults are values. */
  async pair(request: PairRequest): Promise<PairingAnswer> {
    const { table, log, clock, random, radio, runPairing, courierPrivateKey } = this.#options;
    const { device, setup } = request;
    const objection = this.objection(request);
    const address = request.address ?? table.device(device)?.address;
    const offer = table.gateway?.pairing ?? null;
    if (objection !== undefined) return { device, fault: objection };
    if (address === undefined || offer === null) return { device, fault: { code: "no-keyset" } };
    log.info({ device, step: "pairing" }, "pairing");
    const outcome = await runPairing({
      radio,
      address,
      courierStaticPrivateKey: courierPrivateKey,
      setupSecret: setup.secret,
      root: offer.root,
      keyset: offer.keyset,
      onAccepted: (statement, mac) => this.#ask(device, address, statement, mac),
      clock,
      random,
    });
    log.info({ device, fault: outcome.ok ? undefined : outcome.fault.code }, "pairing ended");
    if (!outcome.ok) return { device, fault: outcome.fault };
    const read = pairingStatement.decode(outcome.statement);
    if (!read.ok) return { device, fault: { code: "protocol", reason: "unreadable statement" } };
    const confirmed = await this.#confirm(device, address, outcome);
    const { pairingId, model, firmware, hardware } = read.value;
    return { device, pairingId: bytesToHex(pairingId), address, model, firmware, hardware, confirmed };
  }

  async #ask(device: DeviceId, address: string, statement: Uint8Array, mac: Uint8Array) {
    const { upstream } = this.#options;
    const answer = await upstream.askPairing({
      device,
      address,
      statement: bytesToBase64(statement),
      mac: bytesToBase64(mac),
    });
    if (!answer.ok) return answer.reason;
    return answer.sealed === undefined ? "nothing to hand over" : { sealed: answer.sealed };
  }

  async #confirm(
    device: DeviceId,
    address: string,
    paired: { readonly statement: Uint8Array; readonly statementMac: Uint8Array; readonly mac: Uint8Array },
  ): Promise<boolean> {
    const answer = await this.#options.upstream.askPairing({
      device,
      address,
      statement: bytesToBase64(paired.statement),
      mac: bytesToBase64(paired.statementMac),
      confirmation: bytesToBase64(paired.mac),
    });
    return answer.ok;
  }
}
