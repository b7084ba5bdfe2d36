/**
 * The keypad's throttle as a device keeps it: `protocol/doorcode/guessing.ts` judges, this file persists. The try is in flash
 * before anything is compared, so that pulling the battery gives none back (SPEC C8).
 */
import type { DailyKey } from "../../protocol/access/attempt.ts";
import { civilDay, civilSeconds, offsetAt } from "../../protocol/access/calendar.ts";
import type { LockPolicy } from "../../protocol/access/policy.ts";
import { bytesToHex, concatBytes, u32Bytes } from "../../protocol/base/bytes.ts";
import { cborArray, cborRecord, cborText, cborUint, field } from "../../protocol/base/cbor-record.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import { sha256 } from "../../protocol/crypto.ts";
import {
  admitTry,
  freshThrottle,
  knownWrongMax,
  refundTry,
  type ThrottleState,
} from "../../protocol/doorcode/guessing.ts";
import type { LockStore } from "./lock-store.ts";

export interface ThrottleTime {
  /** Powered seconds over all boots. */
  readonly poweredSeconds: number;
  /** Undefined while the clock is not set. */
  readonly unixSeconds: UnixSeconds | undefined;
}

export class KeypadThrottle {
  readonly #store: LockStore;

  constructor(store: LockStore) {
    this.#store = store;
  }

  /** Powered seconds that the count cannot be before: up to them tries were refilled. 0 before the first try. */
  get countedSeconds(): number {
    return this.#kept()?.refilledAt ?? 0;
  }

  /** When what flash kept of the tries has rotted there is none left until the first refill (SPEC L15). To be called at boot. */
  settle(poweredSeconds: number): void {
    if (this.#store.readThrottle(throttleState) !== "rotten") return;
    this.#store.writeThrottle(throttleState, emptyThrottle(poweredSeconds));
  }

  /**
   * Takes a try for an entry with this tag, or says false when there is none. Either way it is persisted when this returns.
   * `dailyKeys` are those of the door that the device holds now.
   */
  admit(policy: LockPolicy, tag: number, time: ThrottleTime, dailyKeys: readonly DailyKey[] = []): boolean {
    const rules = policy.keypad;
    this.settle(time.poweredSeconds);
    const before = this.#kept() ?? freshThrottle(rules, time.poweredSeconds);
    // Powered time that was not yet written when power went is missing from the count; it never goes back here.
    const poweredSeconds = Math.max(time.poweredSeconds, before.refilledAt);
    const context = contextOf(policy, dailyKeys, time.unixSeconds);
    const { verdict, state } = admitTry(before, rules, { tag, context, poweredSeconds });
    this.#store.writeThrottle(throttleState, state);
    return verdict.kind === "compare";
  }

  /** Gives back the try of an entry that was recognised. */
  refund(policy: LockPolicy, tag: number): void {
    const state = this.#kept();
    if (state !== undefined) this.#store.writeThrottle(throttleState, refundTry(state, policy.keypad, tag));
  }

  #kept(): ThrottleState | undefined {
    const kept = this.#store.readThrottle(throttleState);
    return kept === "rotten" ? undefined : kept;
  }
}

function emptyThrottle(poweredSeconds: number): ThrottleState {
  return {
    tries: 0,
    refilledAt: poweredSeconds,
    wrongInARow: 0,
    pausedUntil: poweredSeconds,
    knownWrong: [],
    context: "",
  };
}

/** What was wrong yesterday, under another policy or before the door's daily keys were renewed may be right now. */
function contextOf(
  { zone, epoch, version }: LockPolicy,
  dailyKeys: readonly DailyKey[],
  now: UnixSeconds | undefined,
): string {
  const offset = now === undefined ? undefined : offsetAt(zone, now);
  const day = now === undefined || offset === undefined ? "?" : civilDay(civilSeconds(now, offset));
  const keys = sha256(...dailyKeys.map(({ keyId, key }) => concatBytes(u32Bytes(keyId), key)));
  return `${day}/${epoch}.${version}/${bytesToHex(keys.subarray(0, keysNameBytes))}`;
}

/** Enough to tell renewed keys apart, too little to say anything about them. */
const keysNameBytes = 4;

const uint = cborUint(2 ** 40);
const throttleState = cborRecord({
  tries: field(1, uint),
  refilledAt: field(2, uint),
  wrongInARow: field(3, uint),
  pausedUntil: field(4, uint),
  knownWrong: field(5, cborArray(cborUint(0xffffffff), knownWrongMax)),
  context: field(6, cborText(64)),
});
