/** What every benchmark ends with (DESIGN part 6): figures beside their anchors, and whether each keeps its target. */

export interface Figure {
  readonly id: string;
  readonly value: number;
  readonly unit: string;
  /** Measured in the same run on the same machine; machines swing, ratios do not. */
  readonly anchor?: { readonly name: string; readonly value: number };
  readonly ratio?: number;
  /** What the ratio is judged against; absent: information only. */
  readonly target?: string;
  /** Whether the target is kept; a figure without one holds nothing. */
  readonly holds?: boolean;
}

export interface BenchResult {
  readonly bench: string;
  /** What was assumed where nothing was measured: one sentence each. */
  readonly model?: readonly string[];
  readonly figures: readonly Figure[];
  readonly holds: boolean;
}

export interface BenchOptions {
  /** Fewer rounds, for CI. */
  readonly quick: boolean;
}

export function benchResult(bench: string, figures: readonly Figure[], model: readonly string[] = []): BenchResult {
  const holds = figures.every((figure) => figure.holds !== false);
  return { bench, ...(model.length === 0 ? {} : { model }), figures, holds };
}

/** One line for each assumption and each figure. */
export function benchText({ model = [], figures }: BenchResult): string {
  const assumed = model.map((sentence) => `     model: ${sentence}\n`).join("");
  const lines = figures
    .map(({ id, value, unit, anchor, ratio, target, holds }) => {
      const beside = anchor === undefined ? "" : `  beside ${anchor.name} ${anchor.value}, ratio ${ratio}`;
      const judged = target === undefined ? "" : `, ${target}`;
      const mark = holds === false ? "MISS" : target === undefined ? "    " : "ok  ";
      return `${mark} ${id}: ${value} ${unit}${beside}${judged}\n`;
    })
    .join("");
  return assumed + lines;
}

/** Three decimals: more than any target asks for. */
export function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[middle - 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}
