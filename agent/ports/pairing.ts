/** One pairing of one BLE lock by its setup code: connect, session, offer, the authority's two answers, close. */
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { Clock } from "./clock.ts";
import type { Radio } from "./radio.ts";
import type { Random } from "./random.ts";

export type RunPairing = (options: PairingOptions) => Promise<PairingOutcome>;

export interface PairingOptions {
  readonly radio: Radio;
  readonly address: string;
  readonly courierStaticPrivateKey: Uint8Array;
  /** 16 bytes of the lock's setup code; in no log, answer or error. */
  readonly setupSecret: Uint8Array;
  /** Whose lock it shall be. */
  readonly root: Uint8Array;
  readonly keyset: SignedBlob;
  /** The lock accepted; the authority checks that and seals what the lock is handed. A string: why it does not. */
  readonly onAccepted: (statement: Uint8Array, mac: Uint8Array) => Promise<{ readonly sealed: Uint8Array } | string>;
  readonly clock: Clock;
  readonly random: Random;
}

export type PairingOutcome =
  | { readonly ok: true; readonly statement: Uint8Array; readonly statementMac: Uint8Array; readonly mac: Uint8Array }
  | { readonly ok: false; readonly fault: PairingFault };

/**
 * not-found, radio, timeout: as of a visit. handshake: the peer does not have this setup code's secret, or is paired already. refused:
 * the lock said no (`reason`). authority: it said no, or nothing (`reason`). unconfirmed: everything was handed over and the lock's last
 * word is missing; a visit tells whether it holds the pairing. protocol: the peer broke the rules.
 */
export interface PairingFault {
  readonly code: "not-found" | "radio" | "timeout" | "handshake" | "refused" | "authority" | "unconfirmed" | "protocol";
  readonly reason?: string;
}
