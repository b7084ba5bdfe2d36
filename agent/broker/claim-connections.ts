/** Connections that anybody may make, because they show no certificate: few at once, fewer of one address, and none for long. SPEC I2. */
import type { Socket } from "node:net";
import type { Clock } from "../ports/clock.ts";
import { addressKey, isOwnAddress } from "./connect-gate.ts";

export class ClaimConnections {
  readonly #clock: Clock;
  readonly #countByAddress = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** False: there are too many. Whoever is admitted is ended after `CLAIM_LIMIT_MS`. */
  admit(socket: Socket): boolean {
    const address = addressKey(socket.remoteAddress);
    const ofAddress = this.#countByAddress.get(address) ?? 0;
    if (this.#count >= CLAIMS_LIMIT) return false;
    if (!isOwnAddress(address) && ofAddress >= CLAIMS_PER_ADDRESS_LIMIT) return false;
    this.#count += 1;
    this.#countByAddress.set(address, ofAddress + 1);
    const cancel = this.#clock.after(CLAIM_LIMIT_MS, () => socket.destroy());
    socket.once("close", () => {
      cancel();
      this.#count -= 1;
      const left = (this.#countByAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#countByAddress.delete(address);
      else this.#countByAddress.set(address, left);
    });
    return true;
  }
}

/** A claim is one question and its answer. */
const CLAIM_LIMIT_MS = 30_000;
/** An installer sets up devices one after the other; a wall of them after a power cut has its certificates already. */
const CLAIMS_LIMIT = 64;
const CLAIMS_PER_ADDRESS_LIMIT = 8;
