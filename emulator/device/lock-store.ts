/**
 * What a lock keeps in flash besides its log and clock: who it is, whom it was paired with, two policy banks, what is being
 * staged, which single-use codes are taken, and the keypad's throttle.
 *
 * A policy is committed by two writes: the spare bank whole, then one word that names the active bank. Until the word is
 * written the old policy decides. A bank carries the root of its bundle; one that does not hash to it is not used, and the
 * other serves, flagged stale (SPEC L3).
 *
 * What rots is told by `findRot` at boot, and made good by `settleRot` as far as this file can when it stands in the log (SPEC L11-L18).
 */
import { comparePolicyOrder, decodePolicy, type LockPolicy, policyRoot } from "../../protocol/access/policy.ts";
import { concatBytes, equalBytes, readU32, u32Bytes } from "../../protocol/base/bytes.ts";
import {
  type CborMessage,
  cborArray,
  cborBoolean,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborText,
  cborUint,
  field,
  optional,
} from "../../protocol/base/cbor-record.ts";
import type { LockPairingRecord } from "../../protocol/sync/pairing.ts";
import type { FaultCode } from "../../protocol/wire/audit-entry.ts";
import { KEYSET_LIMIT_BYTES, keyset } from "../../protocol/wire/keyset.ts";
import { dailyKeyList } from "../../protocol/wire/pairing-message.ts";
import { logTraces } from "./audit-log.ts";
import { ERASE_CYCLES_LIMIT, type Flash } from "./flash.ts";
import { readRecord } from "./flash-record.ts";
import { BOOT_REGION, PAIRING_REGION } from "./lock-identity.ts";

const uint32 = cborUint(0xffffffff);
const key = cborBytes(32);

const pairingRecord = cborRecord({
  pairingId: field(1, cborBytes(16)),
  root: field(2, key),
  keyset: field(3, cborBytesUpTo(KEYSET_LIMIT_BYTES)),
  keys: field(
    4,
    cborRecord({
      report: field(1, key),
      entryTag: field(2, key),
      codeHash: field(3, key),
      bundle: field(4, key),
      audit: field(5, key),
      chain: field(6, key),
      dailyKeys: field(7, key),
    }),
  ),
  dailyKeys: field(5, dailyKeyList),
});

/** The largest encoded policy that a bank takes. One of 5,000 credentials is about 152 kB. */
export const BANK_LIMIT_BYTES = 256 * 1024;
const bankRecord = cborRecord({
  epoch: field(1, uint32),
  version: field(2, uint32),
  root: field(3, key),
  bundle: field(4, cborBytesUpTo(BANK_LIMIT_BYTES)),
});

/** The policy that decides. `stale`: the active bank was rotten and the older one serves. */
export interface HeldPolicy {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
  readonly policy: LockPolicy;
  readonly stale: boolean;
}

/** `all`: which ones is lost, so all of them are (SPEC L13, L14). */
const usedSlots = cborRecord({ names: field(1, cborArray(cborText(64), 2_000)), all: optional(2, cborBoolean) });
const usesSpent = cborRecord({
  counts: field(1, cborArray(cborRecord({ credential: field(1, cborText(32)), spent: field(2, uint32) }), 20_000)),
  all: optional(2, cborBoolean),
});

export interface UsedSlots {
  readonly names: ReadonlySet<string>;
  /** Every single-use code counts as used, whichever names there are. */
  readonly all: boolean;
}

export interface UsesSpent {
  readonly spentByCredential: ReadonlyMap<string, number>;
  /** No credential with a limit has a use left. */
  readonly all: boolean;
}

/** Something that is wrong with the flash, and of how many records or pages; of `flash-worn` the cycles. */
export interface FlashFault {
  readonly code: FaultCode;
  readonly count: number;
}

export class LockStore {
  readonly #flash: Flash;

  constructor(flash: Flash) {
    this.#flash = flash;
  }

  /** Counts this boot, before anything else happens in it. */
  countBoot(): number {
    const before = this.#flash.read(BOOT_REGION);
    // SPEC L18: a count that has rotted goes on above the highest that the log shows.
    const lastBoot =
      before === "rotten" ? logTraces(this.#flash, 1).boot : before === undefined ? 0 : readU32(before, 0);
    this.#flash.write(BOOT_REGION, u32Bytes(lastBoot + 1), 2);
    return lastBoot + 1;
  }

  /** Everything that has rotted since it was written, in the order of the fault codes' first mention; to be called before anything is written. */
  findRot(): readonly FlashFault[] {
    const countByCode = new Map<FaultCode, number>();
    const count = (code: FaultCode, by = 1): void => void countByCode.set(code, (countByCode.get(code) ?? 0) + by);
    for (const region of this.#flash.regions()) {
      const code = this.#flash.read(region) === "rotten" ? faultOfRegion(region) : undefined;
      if (code !== undefined) count(code);
    }
    const halves = this.#flash.halfRotten().length;
    if (halves > 0) count("copy-rotten", halves);
    if (this.#flash.unnamedPages > 0) count("page-unnamed", this.#flash.unnamedPages);
    if (this.#flash.mostErased >= ERASE_CYCLES_LIMIT) count("flash-worn", this.#flash.mostErased);
    return [...countByCode].map(([code, found]) => ({ code, count: found }));
  }

  /**
   * Makes good what can be: second copies, the word that names the active bank; what is of no use any more goes. A rotten bank that should
   * decide stays, so that the older one is flagged stale until the next commit.
   */
  settleRot(): void {
    this.#flash.heal();
    if (this.#flash.read(ACTIVE_REGION) === "rotten") {
      const active = this.#activeBank();
      if (active === undefined) this.#flash.erase(ACTIVE_REGION);
      else this.#writeActive(active);
    }
    const spare = this.#activeBank() === "bank-a" ? "bank-b" : "bank-a";
    if (this.#flash.read(spare) === "rotten") this.#flash.erase(spare);
    const staged = ["staging", ...this.#stagedRegions()];
    if (staged.some((region) => this.#flash.read(region) === "rotten")) this.#eraseStaging();
    this.#flash.eraseUnnamed();
  }

  readPairing(): LockPairingRecord | undefined {
    const record = readRecord(this.#flash, PAIRING_REGION, pairingRecord);
    // A rotten one was wiped by `LockIdentity` before.
    if (record === undefined || record === "rotten") return undefined;
    const held = keyset.decode(record.keyset);
    if (!held.ok) return undefined;
    const { pairingId, root, keys } = record;
    return {
      pairingId,
      root,
      keyset: { keyset: held.value, bytes: record.keyset },
      keys,
      dailyKeys: record.dailyKeys.keys,
    };
  }

  /** One write, in two copies: a pairing, and later each new keyset under it. */
  writePairing({ pairingId, root, keyset: held, keys, dailyKeys }: LockPairingRecord): void {
    const record = { pairingId, root, keyset: held.bytes, keys, dailyKeys: { keys: dailyKeys } };
    this.#flash.write(PAIRING_REGION, pairingRecord.encode(record), 2);
  }

  readPolicy(): HeldPolicy | undefined {
    const active = this.#activeBank();
    if (active === undefined) return undefined;
    const [first, second] = active === "bank-a" ? (["bank-a", "bank-b"] as const) : (["bank-b", "bank-a"] as const);
    return this.#readBank(first, false) ?? this.#readBank(second, true);
  }

  /** Writes the spare bank, then the word. A power cut anywhere leaves the old policy or the new one. */
  commitPolicy(next: { readonly epoch: number; readonly version: number; root: Uint8Array; bundle: Uint8Array }): void {
    const active = this.#activeBank();
    // A bank that has rotted is written over first, so that the other one serves until this commit is whole.
    const isRotten = active !== undefined && !(this.#flash.read(active) instanceof Uint8Array);
    const spare = isRotten ? active : active === "bank-a" ? "bank-b" : "bank-a";
    const { epoch, version, root, bundle } = next;
    this.#flash.write(spare, bankRecord.encode({ epoch, version, root, bundle }));
    this.#writeActive(spare);
    this.#eraseStaging();
  }

  beginStaging(manifestHash: Uint8Array): void {
    this.#eraseStaging();
    this.#flash.write("staging", manifestHash);
  }

  /** Pages come in order from offset 0; each is a region of its own. */
  stage(offset: number, bytes: Uint8Array): void {
    this.#flash.write(`${STAGED_PAGE_PREFIX}${String(offset).padStart(8, "0")}`, bytes);
  }

  readStaged(): { readonly manifestHash: Uint8Array; readonly bytes: Uint8Array } | undefined {
    const manifestHash = this.#flash.read("staging");
    if (manifestHash === undefined || manifestHash === "rotten") return undefined;
    const pages: Uint8Array[] = [];
    for (const region of this.#stagedRegions()) {
      const page = this.#flash.read(region);
      // What was staged is of one piece: it is sent again from its first page.
      if (page === undefined || page === "rotten") return undefined;
      pages.push(page);
    }
    return { manifestHash, bytes: concatBytes(...pages) };
  }

  readUsedSlots(): UsedSlots {
    const read = this.#readMark(USED_SLOTS_REGION, usedSlots);
    if (read === "rotten") return { names: new Set(), all: true };
    return { names: new Set(read?.names ?? []), all: read?.all ?? false };
  }

  writeUsedSlots({ names, all }: UsedSlots): void {
    const record = { names: [...names].sort(), ...(all ? { all } : {}) };
    this.#flash.write(USED_SLOTS_REGION, usedSlots.encode(record));
  }

  readUsesSpent(): UsesSpent {
    const read = this.#readMark(USES_SPENT_REGION, usesSpent);
    if (read === "rotten") return { spentByCredential: new Map(), all: true };
    const spentByCredential = new Map(read?.counts.map(({ credential, spent }) => [credential, spent]));
    return { spentByCredential, all: read?.all ?? false };
  }

  writeUsesSpent({ spentByCredential, all }: UsesSpent): void {
    const counts = [...spentByCredential].map(([credential, spent]) => ({ credential, spent }));
    this.#flash.write(USES_SPENT_REGION, usesSpent.encode({ counts, ...(all ? { all } : {}) }));
  }

  readThrottle<Value>(codec: CborMessage<Value>): Value | "rotten" | undefined {
    return this.#readMark(THROTTLE_REGION, codec);
  }

  writeThrottle<Value>(codec: CborMessage<Value>, state: Value): void {
    this.#flash.write(THROTTLE_REGION, codec.encode(state));
  }

  /** What the word says; where it has rotted, the bank with the newest policy, which is the active one or was just to become it. */
  #activeBank(): Bank | undefined {
    const word = this.#flash.read(ACTIVE_REGION);
    if (word !== "rotten") return word === undefined ? undefined : word[0] === 1 ? "bank-a" : "bank-b";
    const [a, b] = [this.#readBank("bank-a", false), this.#readBank("bank-b", false)];
    if (a === undefined || b === undefined) return a === undefined ? b && "bank-b" : "bank-a";
    return comparePolicyOrder(a, b) > 0 ? "bank-a" : "bank-b";
  }

  #writeActive(bank: Bank): void {
    this.#flash.write(ACTIVE_REGION, Uint8Array.of(bank === "bank-a" ? 1 : 2));
  }

  #readBank(bank: Bank, stale: boolean): HeldPolicy | undefined {
    const read = readRecord(this.#flash, bank, bankRecord);
    if (read === undefined || read === "rotten" || !equalBytes(policyRoot(read.bundle), read.root)) return undefined;
    const policy = decodePolicy(read.bundle);
    if (!policy.ok) return undefined;
    const { epoch, version, root } = read;
    return { epoch, version, root, policy: policy.value, stale };
  }

  #eraseStaging(): void {
    this.#flash.erase("staging");
    for (const region of this.#stagedRegions()) this.#flash.erase(region);
  }

  #stagedRegions(): readonly string[] {
    return this.#flash.regions().filter((region) => region.startsWith(STAGED_PAGE_PREFIX));
  }

  /** One that is not there, beside a page of which nobody knows whose it is, may have been on that page. */
  #readMark<Value>(region: string, codec: CborMessage<Value>): Value | "rotten" | undefined {
    const read = readRecord(this.#flash, region, codec);
    return read === undefined && this.#flash.unnamedPages > 0 ? "rotten" : read;
  }
}

type Bank = "bank-a" | "bank-b";

function faultOfRegion(region: string): FaultCode | undefined {
  const prefix = region.replace(/-?[0-9]+$/, "");
  return faultByRegion.get(prefix);
}

const ACTIVE_REGION = "active-bank";
const USED_SLOTS_REGION = "used-slots";
const USES_SPENT_REGION = "uses-spent";
const THROTTLE_REGION = "throttle";
const STAGED_PAGE_PREFIX = "staged-page-";
/** By the region's name without its number. */
const faultByRegion: ReadonlyMap<string, FaultCode> = new Map([
  ["bank-a", "policy-rotten"],
  ["bank-b", "policy-rotten"],
  [ACTIVE_REGION, "policy-rotten"],
  ["audit-page", "log-rotten"],
  ["audit-released", "release-rotten"],
  [USED_SLOTS_REGION, "used-codes-rotten"],
  [USES_SPENT_REGION, "uses-rotten"],
  [THROTTLE_REGION, "throttle-rotten"],
  ["powered-time", "powered-time-rotten"],
  ["clock", "clock-rotten"],
  [BOOT_REGION, "boot-count-rotten"],
  ["staging", "staging-rotten"],
  ["staged-page", "staging-rotten"],
]);
