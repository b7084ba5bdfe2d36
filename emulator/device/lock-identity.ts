/**
 * Who a lock is: its static key, and where its log's numbers begin. A factory reset makes a new key and wipes everything else but the
 * boot count; the log goes on numbering where it stood, so that no event's name ever comes twice (SPEC Z10).
 *
 * Power may go in the middle of a wipe: the identity says that one is going on, and the next boot finishes it before anything is read.
 *
 * Both copies of the identity or of the pairing may rot. Without either the lock is nobody's: it wipes itself as a factory reset does,
 * and the log of its next pairing begins with why (SPEC L17).
 */
import {
  type CborTypeOf,
  cborBoolean,
  cborBytes,
  cborRecord,
  cborUint,
  field,
  optional,
} from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { type FaultCode, faultNumberByCode } from "../../protocol/wire/audit-entry.ts";
import { logTraces } from "./audit-log.ts";
import type { Flash } from "./flash.ts";
import { readRecord } from "./flash-record.ts";

export class LockIdentity {
  readonly #flash: Flash;
  readonly #factoryKey: Uint8Array;
  #kept: Kept | undefined;

  /** `factoryKey`: the X25519 private key that the lock was made with. */
  constructor(flash: Flash, factoryKey: Uint8Array) {
    this.#flash = flash;
    this.#factoryKey = factoryKey;
    const read = readRecord(flash, IDENTITY_REGION, kept);
    this.#kept = read === "rotten" ? undefined : read;
    if (read === "rotten") this.#loseAll("identity-rotten");
    else if (read?.isWiping === true) this.#wipe(read);
    else if (flash.read(PAIRING_REGION) === "rotten") this.#loseAll("pairing-rotten");
  }

  get staticPrivateKey(): Uint8Array {
    return this.#kept?.staticPrivateKey ?? this.#factoryKey;
  }

  /** The first sequence of the present pairing's log. */
  get firstSequence(): number {
    return this.#kept?.firstSequence ?? 1;
  }

  /** It is not as it was made: it was wiped, or paired where another lock had been. */
  get isMarked(): boolean {
    return this.#kept !== undefined;
  }

  /** A pairing's log begins here or higher: the numbers below belong to another lock, or to this one's past. */
  beginLog(firstSequence: number): void {
    if (firstSequence <= this.firstSequence) return;
    // What was lost before has not been told yet: the log that begins here tells it.
    this.#keep({ ...this.#kept, staticPrivateKey: this.staticPrivateKey, firstSequence, isWiping: false });
  }

  /** What rotted, that this lock knows no authority any more; undefined where none was lost, or the log of the next one has it. */
  get lost(): LossCode | undefined {
    const lost = this.#kept?.lost;
    return lostCodes.find((code) => faultNumberByCode[code] === lost);
  }

  /** The log of the pairing after it has what was lost. */
  lossTold(): void {
    if (this.#kept?.lost === undefined) return;
    const { lost: _told, ...rest } = this.#kept;
    this.#keep(rest);
  }

  /** Wipes the flash. What was read from it before is worth nothing afterwards. */
  reset(staticPrivateKey: Uint8Array, firstSequence: number): void {
    assert(staticPrivateKey.length === 32 && firstSequence >= 1, "a key of 32 bytes, and a sequence");
    this.#startWipe({ staticPrivateKey, firstSequence, isWiping: true });
  }

  #loseAll(code: LossCode): void {
    const firstSequence = logTraces(this.#flash, this.firstSequence).next;
    const lost = faultNumberByCode[code];
    this.#startWipe({ staticPrivateKey: this.staticPrivateKey, firstSequence, isWiping: true, lost });
  }

  #startWipe(next: Kept): void {
    this.#keep(next);
    this.#wipe(next);
  }

  #wipe(next: Kept): void {
    for (const region of this.#flash.regions()) {
      if (region !== IDENTITY_REGION && region !== BOOT_REGION) this.#flash.erase(region);
    }
    this.#flash.eraseUnnamed();
    this.#keep({ ...next, isWiping: false });
  }

  #keep(next: Kept): void {
    this.#kept = next;
    this.#flash.write(IDENTITY_REGION, kept.encode(next), 2);
  }
}

export type LossCode = (typeof lostCodes)[number];
const lostCodes = ["identity-rotten", "pairing-rotten"] as const satisfies readonly FaultCode[];

const kept = cborRecord({
  staticPrivateKey: field(1, cborBytes(32)),
  firstSequence: field(2, cborUint(0xffffffff)),
  isWiping: field(3, cborBoolean),
  /** Number of the `LossCode`. */
  lost: optional(4, cborUint(0xff)),
});
type Kept = CborTypeOf<typeof kept>;

const IDENTITY_REGION = "identity";
/** `LockStore` keeps the pairing there. */
export const PAIRING_REGION = "pairing";
/** `LockStore` counts boots there. */
export const BOOT_REGION = "boot";
