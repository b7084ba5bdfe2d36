/**
 * What a lock keeps in flash besides its log and clock: who it is, whom it was paired with, two policy banks, what is being
 * staged, which single-use codes are taken, and the keypad's throttle.
 *
 * A policy is committed by two writes: the spare bank whole, then one word that names the active bank. Until the word is
 * written the old policy decides. A bank carries the root of its bundle; one that does not hash to it is not used, and the
 * other serves, flagged stale (SPEC L3).
 */
import { decodePolicy, type LockPolicy, policyRoot } from "../../protocol/access/policy.ts";
import { concatBytes, equalBytes, readU32, u32Bytes } from "../../protocol/base/bytes.ts";
import {
  type CborMessage,
  type CborTypeOf,
  cborArray,
  cborBytes,
  cborBytesUpTo,
  cborRecord,
  cborText,
  cborUint,
  field,
} from "../../protocol/base/cbor-record.ts";
import { assert } from "../../protocol/base/result.ts";
import { BUNDLE_LIMIT_BYTES } from "../../protocol/wire/signed-objects.ts";
import { type Flash, REGION_LIMIT_BYTES } from "./flash.ts";

const uint32 = cborUint(0xffffffff);
const key = cborBytes(32);

const pairingRecord = cborRecord({
  pairingId: field(1, cborBytes(16)),
  policy: field(2, key),
  time: field(3, key),
  release: field(4, key),
  unlock: field(5, key),
  courier: field(6, key),
  static: field(7, key),
  dailyKeys: field(8, cborArray(cborRecord({ keyId: field(1, uint32), key: field(2, key) }), 4)),
});
/** What a lock learns when it is paired: its authority's public keys, and the daily keys of its door. */
export type PairingRecord = CborTypeOf<typeof pairingRecord>;

const bankRecord = cborRecord({
  epoch: field(1, uint32),
  version: field(2, uint32),
  root: field(3, key),
  bundle: field(4, cborBytesUpTo(BUNDLE_LIMIT_BYTES)),
});

/** The policy that decides. `stale`: the active bank was rotten and the older one serves. */
export interface HeldPolicy {
  readonly epoch: number;
  readonly version: number;
  readonly root: Uint8Array;
  readonly policy: LockPolicy;
  readonly stale: boolean;
}

const usedSlots = cborRecord({ names: field(1, cborArray(cborText(64), 2_000)) });
const usesSpent = cborRecord({
  counts: field(1, cborArray(cborRecord({ credential: field(1, cborText(32)), spent: field(2, uint32) }), 20_000)),
});

export class LockStore {
  readonly #flash: Flash;

  constructor(flash: Flash) {
    this.#flash = flash;
  }

  /** Counts this boot, before anything else happens in it. */
  countBoot(): number {
    const before = this.#flash.read("boot");
    const boot = (before === undefined ? 0 : readU32(before, 0)) + 1;
    this.#flash.write("boot", u32Bytes(boot));
    return boot;
  }

  readPairing(): PairingRecord | undefined {
    return this.#read("pairing", pairingRecord);
  }

  writePairing(record: PairingRecord): void {
    this.#flash.write("pairing", pairingRecord.encode(record));
  }

  readPolicy(): HeldPolicy | undefined {
    const active = this.#activeBank();
    if (active === undefined) return undefined;
    const [first, second] = active === "bank-a" ? (["bank-a", "bank-b"] as const) : (["bank-b", "bank-a"] as const);
    return this.#readBank(first, false) ?? this.#readBank(second, true);
  }

  /** Writes the spare bank, then the word. A power cut anywhere leaves the old policy or the new one. */
  commitPolicy(next: { readonly epoch: number; readonly version: number; root: Uint8Array; bundle: Uint8Array }): void {
    const spare = this.#activeBank() === "bank-a" ? "bank-b" : "bank-a";
    const { epoch, version, root, bundle } = next;
    this.#flash.write(spare, bankRecord.encode({ epoch, version, root, bundle }));
    this.#flash.write("active-bank", Uint8Array.of(spare === "bank-a" ? 1 : 2));
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
    if (manifestHash === undefined) return undefined;
    const pages: Uint8Array[] = [];
    for (const region of this.#stagedRegions()) pages.push(this.#flash.read(region) ?? new Uint8Array(0));
    return { manifestHash, bytes: concatBytes(...pages) };
  }

  readUsedSlots(): ReadonlySet<string> {
    return new Set(this.#read("used-slots", usedSlots)?.names ?? []);
  }

  writeUsedSlots(names: ReadonlySet<string>): void {
    this.#flash.write("used-slots", usedSlots.encode({ names: [...names].sort() }));
  }

  readUsesSpent(): ReadonlyMap<string, number> {
    return new Map(this.#read("uses-spent", usesSpent)?.counts.map(({ credential, spent }) => [credential, spent]));
  }

  writeUsesSpent(spentByCredential: ReadonlyMap<string, number>): void {
    const counts = [...spentByCredential].map(([credential, spent]) => ({ credential, spent }));
    this.#flash.write("uses-spent", usesSpent.encode({ counts }));
  }

  readThrottle<Value>(codec: CborMessage<Value>): Value | undefined {
    return this.#read("throttle", codec);
  }

  writeThrottle<Value>(codec: CborMessage<Value>, state: Value): void {
    this.#flash.write("throttle", codec.encode(state));
  }

  #activeBank(): "bank-a" | "bank-b" | undefined {
    const word = this.#flash.read("active-bank")?.[0];
    return word === undefined ? undefined : word === 1 ? "bank-a" : "bank-b";
  }

  #readBank(bank: "bank-a" | "bank-b", stale: boolean): HeldPolicy | undefined {
    const bytes = this.#flash.read(bank);
    const read = bytes === undefined ? undefined : bankRecord.decode(bytes, flashLimits);
    if (read === undefined || !read.ok || !equalBytes(policyRoot(read.value.bundle), read.value.root)) return undefined;
    const policy = decodePolicy(read.value.bundle);
    if (!policy.ok) return undefined;
    const { epoch, version, root } = read.value;
    return { epoch, version, root, policy: policy.value, stale };
  }

  #eraseStaging(): void {
    this.#flash.erase("staging");
    for (const region of this.#stagedRegions()) this.#flash.erase(region);
  }

  #stagedRegions(): readonly string[] {
    return this.#flash.regions().filter((region) => region.startsWith(STAGED_PAGE_PREFIX));
  }

  #read<Value>(region: string, codec: CborMessage<Value>): Value | undefined {
    const bytes = this.#flash.read(region);
    if (bytes === undefined) return undefined;
    const read = codec.decode(bytes, flashLimits);
    // These regions are written by this file alone, each in one write.
    assert(read.ok, `the region ${region} reads back`);
    return read.value;
  }
}

/** Flash holds more than a message may: a bank is as large as a bundle. */
const flashLimits = { bytesMax: REGION_LIMIT_BYTES, depthMax: 8 };
const STAGED_PAGE_PREFIX = "staged-page-";
