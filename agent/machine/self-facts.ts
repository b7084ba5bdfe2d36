/** What a gateway knows of itself and of the machine under it, measured now and then and kept in between. SPEC G30. */
import { stat } from "node:fs/promises";
import type { UnixMs, UnixSeconds } from "../../protocol/base/units.ts";
import type { Health } from "../../protocol/wire/messages/health.ts";
import type { LoopLag } from "./loop-lag.ts";
import { type MachineFacts, readMachineFacts } from "./machine-facts.ts";

export interface SelfFacts extends MachineFacts {
  readonly atMs: UnixMs;
  readonly loopLag: LoopLag | null;
  /** Of the store on disk; null: it has no files. */
  readonly storeBytes: number | null;
  /** Events that wait for an upstream receipt; null: the store did not say. */
  readonly waiting: number | null;
  readonly residentBytes: number;
}

/** Where the facts come from; the composition root makes the real one. */
export interface SelfSource {
  measure(): Promise<SelfFacts>;
}

export interface SelfSourceOptions {
  readonly stateDir: string;
  /** The store's files, as far as they are there. */
  readonly storeFiles: readonly string[];
  readonly waiting: () => Promise<number>;
  readonly loopLag: () => LoopLag | null;
  readonly nowMs: () => UnixMs;
  /** Another machine's files, for tests. */
  readonly root?: string;
}

export function createSelfSource(options: SelfSourceOptions): SelfSource {
  const { stateDir, storeFiles, waiting, loopLag, nowMs, root } = options;
  return {
    measure: async () => ({
      ...(await readMachineFacts(stateDir, root)),
      atMs: nowMs(),
      loopLag: loopLag(),
      storeBytes: await sizeOf(storeFiles),
      // A store that fails says so to who depends on it; here it is only not known.
      waiting: await waiting().catch(() => null),
      residentBytes: process.memoryUsage.rss(),
    }),
  };
}

export function selfFactsToWire(facts: SelfFacts, at: UnixSeconds): Pick<Health, "clock" | "gateway"> {
  const { loopLag, disk, memory, temperatureCelsius, power, time, storeBytes, waiting, residentBytes } = facts;
  return {
    clock: time.synchronised === true ? { quality: "set", driftMs: null, at } : null,
    gateway: {
      loopLag,
      store: { bytes: storeBytes, waiting },
      disk,
      memory,
      residentBytes,
      temperatureCelsius,
      power,
      time,
      machineUptimeSeconds: facts.uptimeSeconds,
    },
  };
}

async function sizeOf(files: readonly string[]): Promise<number | null> {
  const found = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  const sizes = found.flatMap((each) => (each === undefined ? [] : [each.size]));
  return sizes.length === 0 ? null : sizes.reduce((sum, size) => sum + size, 0);
}
