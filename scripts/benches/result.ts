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
  readonly holds: boolean;
}

export interface BenchResult {
  readonly bench: string;
  readonly figures: readonly Figure[];
  readonly holds: boolean;
}

export interface BenchOptions {
  /** Fewer rounds, for CI. */
  readonly quick: boolean;
}

export function benchResult(bench: string, figures: readonly Figure[]): BenchResult {
  return { bench, figures, holds: figures.every(({ holds }) => holds) };
}

/** One line for each figure. */
export function benchText({ figures }: BenchResult): string {
  return figures
    .map(({ id, value, unit, anchor, ratio, target, holds }) => {
      const beside = anchor === undefined ? "" : `  beside ${anchor.name} ${anchor.value}, ratio ${ratio}`;
      const judged = target === undefined ? "" : `, ${target}`;
      return `${holds ? "ok  " : "MISS"} ${id}: ${value} ${unit}${beside}${judged}\n`;
    })
    .join("");
}
