/** Who meets in the virtual machine, known inside and outside: the lock, its pairing, and what each version of its policy is. */
import { type BenchPairing, benchPairing } from "../../emulator/bench-pairing.ts";
import { benchBundle } from "../../emulator/bench-policy.ts";
import { assert } from "../../protocol/base/result.ts";
import { parseDeviceId } from "../../protocol/base/units.ts";

const device = parseDeviceId("bench-lock");
assert(device !== undefined, "bench-lock is a device id");

export const benchSeed = 4;
export const benchDevice = device;
export const benchBond: BenchPairing = benchPairing(benchSeed, benchDevice);

export function bundleOf(version: number, credentials: number): Uint8Array {
  return benchBundle(benchBond, { device: benchDevice, version, credentials });
}
