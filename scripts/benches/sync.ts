/**
 * What a door sync costs: bytes on the wire, share of the radio's capacity, time from advertisement to commit, a night round of 300
 * locks, and radio charge in a year. Everything is emulated time and counted frames of the real machines, so the same checkout gives
 * the same figures on every machine; what is assumed where nothing was measured is stated beside the figures.
 */
import { type BenchOptions, type BenchResult, benchResult } from "./result.ts";
import { bytesFigures, bytesModel } from "./sync-bytes.ts";
import { chargeFigures, chargeModel } from "./sync-charge.ts";
import { commitFigures, commitModel, visitModel } from "./sync-commit.ts";
import { goodputFigures, goodputModel } from "./sync-goodput.ts";
import { nightFigures, nightModel } from "./sync-night.ts";

/** Runs everything; `quick` takes fewer seeds, for CI. */
export async function benchSync({ quick }: BenchOptions): Promise<BenchResult> {
  const figures = [
    ...bytesFigures(),
    ...goodputFigures(quick ? 6 : 24),
    ...commitFigures(quick ? 5 : 41),
    ...nightFigures(quick),
    ...chargeFigures(),
  ];
  return benchResult("sync", figures, [bytesModel, goodputModel, visitModel, commitModel, nightModel, chargeModel]);
}
