/**
 * Flash memory of an emulated device: named regions, each replaced as a whole by one write that either happened or did
 * not. What must change together stands in one region; that is all the atomicity a device's firmware has to build on.
 *
 * Power can be cut at a chosen write (`cutPowerAtWrite`): that write does not happen and throws `PowerLost`, as does every
 * later one. A test then boots a new device on `image()`, which is what the old one left behind.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../protocol/base/result.ts";

export interface Flash {
  read(region: string): Uint8Array | undefined;
  write(region: string, bytes: Uint8Array): void;
  erase(region: string): void;
  /** Names of the regions that hold something, sorted. */
  regions(): readonly string[];
}

/** The device has no power any more: nothing that it would do from here on happens. */
export class PowerLost extends Error {
  readonly region: string;

  constructor(region: string) {
    super(`power was lost before the write to ${region}`);
    this.name = "PowerLost";
    this.region = region;
  }
}

export class MemoryFlash implements Flash {
  readonly #bytesByRegion: Map<string, Uint8Array>;
  #writes = 0;
  #cutAt = Number.POSITIVE_INFINITY;

  constructor(image: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#bytesByRegion = new Map([...image].map(([region, bytes]) => [region, bytes.slice()]));
  }

  /** How many writes and erasures have happened. */
  get writes(): number {
    return this.#writes;
  }

  /** The `nth` write from now (1 is the next one) and all after it fail. */
  cutPowerAtWrite(nth: number): void {
    assert(nth >= 1, "the first write that can fail is the next one");
    this.#cutAt = this.#writes + nth;
  }

  read(region: string): Uint8Array | undefined {
    return this.#bytesByRegion.get(region)?.slice();
  }

  write(region: string, bytes: Uint8Array): void {
    assertRegion(region, bytes);
    this.#countWrite(region);
    this.#bytesByRegion.set(region, bytes.slice());
  }

  erase(region: string): void {
    if (!this.#bytesByRegion.has(region)) return;
    this.#countWrite(region);
    this.#bytesByRegion.delete(region);
  }

  regions(): readonly string[] {
    return [...this.#bytesByRegion.keys()].sort();
  }

  image(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#bytesByRegion].map(([region, bytes]) => [region, bytes.slice()]));
  }

  #countWrite(region: string): void {
    if (this.#writes + 1 >= this.#cutAt) throw new PowerLost(region);
    this.#writes += 1;
  }
}

/**
 * The same with a folder behind it, one file a region, so that a device outlives its process. The emulator's files are not
 * forced to the disk: a kill -9 of the process keeps them, and a power cut of the machine is not what is emulated here.
 */
export class FileFlash implements Flash {
  readonly #folder: string;
  readonly #memory: MemoryFlash;

  constructor(folder: string) {
    // A lock's flash holds its keys: for the eyes of its owner alone.
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#memory = new MemoryFlash(readFolder(folder));
  }

  read(region: string): Uint8Array | undefined {
    return this.#memory.read(region);
  }

  write(region: string, bytes: Uint8Array): void {
    this.#memory.write(region, bytes);
    const temporary = join(this.#folder, `.${region}`);
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, join(this.#folder, region));
  }

  erase(region: string): void {
    this.#memory.erase(region);
    rmSync(join(this.#folder, region), { force: true });
  }

  regions(): readonly string[] {
    return this.#memory.regions();
  }
}

function readFolder(folder: string): ReadonlyMap<string, Uint8Array> {
  const names = readdirSync(folder).filter((name) => regionPattern.test(name));
  return new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
}

function assertRegion(region: string, bytes: Uint8Array): void {
  assert(regionPattern.test(region), "a region has a short plain name");
  assert(bytes.length <= REGION_LIMIT_BYTES, "a region keeps its size");
}

/** The largest region: one policy bank, a bundle of 256 KiB and its header. */
export const REGION_LIMIT_BYTES = 257 * 1024;
const regionPattern = /^[a-z0-9][a-z0-9-]{0,40}$/;
