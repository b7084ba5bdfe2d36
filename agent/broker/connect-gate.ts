/**
 * Who may connect when: a token bucket for all, one for each address, and a small waiting room in which addresses take turns. After a
 * restart a whole site comes back at once and is let in at the rate that a small machine can shake hands at; somebody who floods gets
 * his own address's share and nobody else's. Fed and drained; time is an argument. SPEC B9.
 */
import type { MonotonicMs } from "../../protocol/base/units.ts";

export interface GateRules {
  /** Connections let through in a second, and at once after a rest. */
  readonly perSecond: number;
  readonly burst: number;
  /** The same for one address that is not this machine's own. */
  readonly perAddressPerSecond: number;
  readonly perAddressBurst: number;
  /** Let through and not yet known: all, and of one address that is not this machine's own. */
  readonly unknownLimit: number;
  readonly unknownPerAddressLimit: number;
  /** Waiting: all, of one address, and for how long. */
  readonly waitingLimit: number;
  readonly waitingPerAddressLimit: number;
  readonly waitMs: number;
  /** How long a handshake may take that was let through. */
  readonly handshakeMs: number;
}

/** A handshake costs about 2 ms here and a few times that on a small machine; a thousand devices are back within some ten seconds. */
export const defaultGateRules: GateRules = {
  perSecond: 100,
  // Shaking hands with these takes half a second of a small machine, and nothing else is done meanwhile.
  burst: 50,
  perAddressPerSecond: 20,
  perAddressBurst: 40,
  unknownLimit: 256,
  unknownPerAddressLimit: 32,
  waitingLimit: 512,
  waitingPerAddressLimit: 128,
  // Below the five seconds for which MQTT clients commonly wait for a connection.
  waitMs: 3_000,
  handshakeMs: 5_000,
};

export type GateAnswer = "through" | "waiting" | "refused";

export class ConnectGate<Connection> {
  readonly #rules: GateRules;
  readonly #all: Bucket;
  readonly #addresses = new Map<string, AddressState<Connection>>();
  #waiting = 0;
  #unknown = 0;

  constructor(rules: GateRules, now: MonotonicMs) {
    this.#rules = rules;
    this.#all = new Bucket(rules.perSecond, rules.burst, now);
  }

  /** Somebody connects from `address`. Who is let through must be given back with `known`, who waits and leaves with `left`. */
  arrive(connection: Connection, address: string, now: MonotonicMs): GateAnswer {
    const state = this.#stateOf(address, now);
    if (state === undefined) return "refused";
    if (state.waiting.length === 0 && this.#waiting === 0 && this.#take(state, now)) return "through";
    const { waitingLimit, waitingPerAddressLimit } = this.#rules;
    const isFull = state.waiting.length >= (state.isOwn ? waitingLimit : waitingPerAddressLimit);
    if (isFull || this.#waiting >= waitingLimit) return "refused";
    state.waiting.push({ connection, since: now });
    this.#waiting += 1;
    return "waiting";
  }

  /** Whose turn has come, addresses in turn, and whose wait was too long. */
  wake(now: MonotonicMs): { readonly through: readonly Connection[]; readonly refused: readonly Connection[] } {
    const refused: Connection[] = [];
    for (const state of this.#addresses.values()) {
      while ((state.waiting[0]?.since ?? now) + this.#rules.waitMs < now) refused.push(...this.#shift(state));
    }
    const through: Connection[] = [];
    for (let served = true; served && this.#waiting > 0; ) {
      served = false;
      for (const [address, state] of this.#addresses) {
        if (state.waiting.length === 0 || !this.#take(state, now)) continue;
        through.push(...this.#shift(state));
        served = true;
        // To the end of the line: the next look begins with another address.
        this.#addresses.delete(address);
        this.#addresses.set(address, state);
        break;
      }
    }
    return { through, refused };
  }

  /** When `wake` has something to do; undefined: nobody waits. */
  nextWakeMs(now: MonotonicMs): MonotonicMs | undefined {
    if (this.#waiting === 0) return undefined;
    return (now + Math.max(1, Math.ceil(1000 / this.#rules.perSecond))) as MonotonicMs;
  }

  /** One that was let through has said who it is, or has gone. */
  known(address: string): void {
    this.#unknown -= 1;
    const state = this.#addresses.get(address);
    if (state !== undefined) state.unknown -= 1;
  }

  /** One that waits has gone. */
  left(connection: Connection, address: string): void {
    const waiting = this.#addresses.get(address)?.waiting ?? [];
    const at = waiting.findIndex((one) => one.connection === connection);
    if (at < 0) return;
    waiting.splice(at, 1);
    this.#waiting -= 1;
  }

  #take(state: AddressState<Connection>, now: MonotonicMs): boolean {
    const { unknownLimit, unknownPerAddressLimit } = this.#rules;
    if (this.#unknown >= unknownLimit) return false;
    if (!state.isOwn && (state.unknown >= unknownPerAddressLimit || !state.bucket.has(now))) return false;
    if (!this.#all.has(now)) return false;
    this.#all.take();
    if (!state.isOwn) state.bucket.take();
    state.unknown += 1;
    this.#unknown += 1;
    return true;
  }

  #shift(state: AddressState<Connection>): readonly Connection[] {
    const first = state.waiting.shift();
    if (first === undefined) return [];
    this.#waiting -= 1;
    return [first.connection];
  }

  /** Undefined: more addresses than can be kept apart, all of them busy. */
  #stateOf(address: string, now: MonotonicMs): AddressState<Connection> | undefined {
    const known = this.#addresses.get(address);
    if (known !== undefined) return known;
    if (this.#addresses.size >= ADDRESSES_LIMIT) this.#forgetIdle(now);
    if (this.#addresses.size >= ADDRESSES_LIMIT) return undefined;
    const { perAddressPerSecond, perAddressBurst } = this.#rules;
    const bucket = new Bucket(perAddressPerSecond, perAddressBurst, now);
    const state = { bucket, isOwn: isOwnAddress(address), waiting: [], unknown: 0 };
    this.#addresses.set(address, state);
    return state;
  }

  #forgetIdle(now: MonotonicMs): void {
    for (const [address, { bucket, waiting, unknown }] of this.#addresses) {
      if (waiting.length === 0 && unknown === 0 && bucket.isFull(now)) this.#addresses.delete(address);
    }
  }
}

interface AddressState<Connection> {
  readonly bucket: Bucket;
  /** This machine's loopback: many devices share it, and who is on this machine has other ways to be a nuisance. */
  readonly isOwn: boolean;
  readonly waiting: { readonly connection: Connection; readonly since: MonotonicMs }[];
  unknown: number;
}

class Bucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: MonotonicMs;

  constructor(perSecond: number, burst: number, now: MonotonicMs) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  has(now: MonotonicMs): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#at) * this.#perSecond) / 1000);
    this.#at = now;
    return this.#tokens >= 1;
  }

  take(): void {
    this.#tokens -= 1;
  }

  isFull(now: MonotonicMs): boolean {
    return this.has(now) && this.#tokens >= this.#burst;
  }
}

/** The part of a peer's address that one machine cannot change at will: all of IPv4, the network of IPv6. */
export function addressKey(remote: string | undefined): string {
  if (remote === undefined) return "gone";
  const mapped = remote.startsWith("::ffff:") ? remote.slice(7) : remote;
  return mapped.includes(":") && mapped !== "::1" ? networkOf(mapped) : mapped;
}

export function isOwnAddress(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** The first 64 bits, with the zeros written out that `::` leaves out. */
function networkOf(address: string): string {
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = new Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0");
  return `${[...front, ...(tail === undefined ? [] : zeros), ...back].slice(0, 4).join(":")}::`;
}

const ADDRESSES_LIMIT = 4_096;
