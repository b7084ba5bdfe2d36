/**
 * Takes the blur out of sampled modules. What a blurred module looks like is a weighted sum of itself and its neighbours; the
 * weights are measured where the modules are known (finders and their separators), and then the neighbours' shares are taken away
 * again, round after round with ever better guesses of the neighbours (soft interference cancellation).
 */
import { solveLinear } from "../plane.ts";
import { moduleRole, type SymbolLayout } from "../qr/layout.ts";

/** `darkness` as judged; gives a sharper one, or undefined when there is no blur worth the work. */
export function unblurModules(darkness: Float32Array, layout: SymbolLayout): Float32Array | undefined {
  const { modules } = layout;
  const weights = measureBlur(darkness, layout);
  if (weights === undefined) return undefined;
  const [self, beside, diagonal, bias] = weights;
  if (self < selfMin || beside < besideMin * self) return undefined;
  let guess = darkness.map((value) => clip((value - bias) / self));
  for (let round = 0; round < rounds; round++) {
    const next = new Float32Array(guess.length);
    for (let row = 0; row < modules; row++) {
      for (let column = 0; column < modules; column++) {
        const at = row * modules + column;
        const [four, corners] = neighbourSums(guess, modules, column, row);
        const own = ((darkness[at] ?? 0) - bias - beside * four - diagonal * corners) / self;
        // Half of the way each round, since all modules move at once.
        next[at] = clip(0.5 * (guess[at] ?? 0) + 0.5 * own);
      }
    }
    guess = next;
  }
  return guess;
}

/** Weights of a module itself, of its four neighbours, of its four corners, and a constant; by least squares. */
function measureBlur(
  darkness: Float32Array,
  { modules, roles, functionDark }: SymbolLayout,
): readonly [number, number, number, number] | undefined {
  const known = Float32Array.from(functionDark, (dark) => (dark === 1 ? 1 : -1));
  const normal = new Float64Array(16);
  const right = new Float64Array(4);
  let count = 0;
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      const at = row * modules + column;
      if (roles[at] !== moduleRole.finder) continue;
      const [four, corners] = neighbourSums(known, modules, column, row);
      const terms = [known[at] ?? 0, four, corners, 1];
      for (const [i, one] of terms.entries()) {
        for (const [j, other] of terms.entries()) normal[4 * i + j] = (normal[4 * i + j] ?? 0) + one * other;
        right[i] = (right[i] ?? 0) + one * (darkness[at] ?? 0);
      }
      count++;
    }
  }
  if (count === 0) return undefined;
  const solved = solveLinear(normal, right);
  if (solved === undefined) return undefined;
  const [self = 0, beside = 0, diagonal = 0, bias = 0] = solved;
  return [self, Math.max(0, beside), Math.max(0, diagonal), bias];
}

/** Sums over the four neighbours and the four corners; beyond the symbol it is light. */
function neighbourSums(values: Float32Array, modules: number, column: number, row: number): readonly [number, number] {
  const at = row * modules + column;
  const hasLeft = column > 0;
  const hasRight = column + 1 < modules;
  const hasAbove = row > 0;
  const hasBelow = row + 1 < modules;
  const four =
    (hasLeft ? (values[at - 1] ?? 0) : -1) +
    (hasRight ? (values[at + 1] ?? 0) : -1) +
    (hasAbove ? (values[at - modules] ?? 0) : -1) +
    (hasBelow ? (values[at + modules] ?? 0) : -1);
  const corners =
    (hasLeft && hasAbove ? (values[at - modules - 1] ?? 0) : -1) +
    (hasRight && hasAbove ? (values[at - modules + 1] ?? 0) : -1) +
    (hasLeft && hasBelow ? (values[at + modules - 1] ?? 0) : -1) +
    (hasRight && hasBelow ? (values[at + modules + 1] ?? 0) : -1);
  return [four, corners];
}

function clip(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

const rounds = 12;
const selfMin = 0.15;
const besideMin = 0.06;
