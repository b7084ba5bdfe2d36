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
  readonly figures: readonly Figure[];
  readonly holds: boolean;
}

export interface BenchOptions {
  /** Fewer rounds, for CI. */
  readonly quick: boolean;
}

export function benchResult(bench: string, figures: readonly Figure[]): BenchResult {
  return { bench, figures, holds: figures.every(({ holds }) => holds !== false) };
}

/** One line for each figure. */
export function benchText({ figures }: BenchResult): string {
  return figures
    .map(({ id, value, unit, anchor, ratio, target, holds }) => {
      const beside = anchor === undefined ? "" : `  beside ${anchor.name} ${anchor.value}, ratio ${ratio}`;
      const judged = target === undefined ? "" : `, ${target}`;
      const mark = holds === false ? "MISS" : target === undefined ? "    " : "ok  ";
      return `${mark} ${id}: ${value} ${unit}${beside}${judged}\n`;
    })
    .join("");
}
