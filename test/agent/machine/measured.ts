/** What a gateway measured of itself, with defaults of a Pi that is well. */
import { type PowerFacts, unknownPower } from "../../../agent/machine/machine-facts.ts";
import type { SelfFacts } from "../../../agent/machine/self-facts.ts";
import { unixMs } from "../../../protocol/base/units.ts";

export function measured(
  changed: Partial<Omit<SelfFacts, "power">> & { readonly power?: Partial<PowerFacts> } = {},
): SelfFacts {
  const { power, ...rest } = changed;
  return {
    atMs: unixMs(Date.UTC(2026, 10, 20, 8)),
    loopLag: { p50Ms: 0, p99Ms: 2, maxMs: 3 },
    storeBytes: 4096,
    waiting: 0,
    residentBytes: 70_000_000,
    temperatureCelsius: 48.5,
    time: { synchronised: true, source: "systemd-timesyncd" },
    disk: { freeBytes: 2e9, totalBytes: 8e9 },
    memory: { freeBytes: 1e9, totalBytes: 2e9 },
    uptimeSeconds: 90_000,
    ...rest,
    power: { ...unknownPower, ...power },
  };
}
