/**
 * Non-linear least squares with priors, robust against outliers, and what it knows about its own answer.
 *
 * Theory: Levenberg-Marquardt on numeric derivatives; every observation is weighted by Tukey's biweight of its residual, so that
 * an edge that is none loses its say. A parameter that the picture says little about is held by its prior. The inverse of the
 * weighted normal matrix is the covariance of the answer, priors included.
 */
import { solveLinear } from "../plane.ts";

/** `sigma` Infinity: nothing is known beforehand; 0: it does not move. */
export type Prior = { readonly mean: number; readonly sigma: number; readonly step: number };

export type LeastSquaresProblem = {
  readonly priors: readonly Prior[];
  readonly start: readonly number[];
  readonly observations: number;
  /** Residuals in units of their own standard deviation, written into `into`. */
  readonly residuals: (parameters: Float64Array, into: Float64Array) => void;
  /** Residuals beyond this many standard deviations are taken for something else. */
  readonly outlierAt: number;
};

export type LeastSquaresAnswer = {
  readonly parameters: Float64Array;
  readonly residuals: Float64Array;
  /** Weight 0..1 of each observation. */
  readonly weights: Float64Array;
  /** Square, row by row; of parameters that did not move 0. */
  readonly covariance: Float64Array;
};

/** Undefined when the observations and priors together do not fix the parameters. */
export function solveLeastSquares(problem: LeastSquaresProblem): LeastSquaresAnswer | undefined {
  const state = startState(problem);
  // Size, distance and focal length trade against each other: even a little damping would keep that valley from being walked.
  let damping = dampingMin;
  let system = linearise(problem, state.parameters);
  let cost = costOf(problem, state.parameters, system.residuals);
  for (let round = 0; round < roundsMax; round++) {
    const step = solveDamped(problem, system, damping);
    if (step === undefined) return undefined;
    const trial = state.parameters.map((value, at) => value + (step[at] ?? 0));
    problem.residuals(trial, state.residuals);
    const trialCost = costOf(problem, trial, state.residuals);
    if (trialCost <= cost) {
      const done = cost - trialCost < 1e-6 * cost + 1e-12 && damping <= dampingDone;
      state.parameters = trial;
      cost = trialCost;
      damping = Math.max(damping / 30, dampingMin);
      system = linearise(problem, state.parameters);
      if (done) break;
    } else {
      damping *= 10;
      if (damping > dampingMax) break;
    }
  }
  const covariance = invertNormal(problem, system);
  if (covariance === undefined) return undefined;
  return { parameters: state.parameters, residuals: system.residuals, weights: system.weights, covariance };
}

type State = { parameters: Float64Array; readonly residuals: Float64Array };

type Linear = {
  /** Over the moving parameters only. */
  readonly normal: Float64Array;
  readonly gradient: Float64Array;
  readonly moving: readonly number[];
  readonly residuals: Float64Array;
  readonly weights: Float64Array;
};

function startState(problem: LeastSquaresProblem): State {
  return { parameters: Float64Array.from(problem.start), residuals: new Float64Array(problem.observations) };
}

function linearise(problem: LeastSquaresProblem, parameters: Float64Array): Linear {
  const { observations, priors, outlierAt } = problem;
  const residuals = new Float64Array(observations);
  problem.residuals(parameters, residuals);
  const weights = residuals.map((residual) => biweight(residual / outlierAt));
  const moving = priors.flatMap(({ sigma }, at) => (sigma === 0 ? [] : [at]));
  const columns = moving.map((at) => derivative(problem, parameters, residuals, at));
  const size = moving.length;
  const normal = new Float64Array(size * size);
  const gradient = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const one = columns[i] ?? new Float64Array();
    for (let j = i; j < size; j++) {
      const other = columns[j] ?? one;
      let sum = 0;
      for (let at = 0; at < observations; at++) sum += (weights[at] ?? 0) * (one[at] ?? 0) * (other[at] ?? 0);
      normal[i * size + j] = sum;
      normal[j * size + i] = sum;
    }
    let slope = 0;
    for (let at = 0; at < observations; at++) slope -= (weights[at] ?? 0) * (one[at] ?? 0) * (residuals[at] ?? 0);
    const { mean, sigma } = priors[moving[i] ?? 0] ?? freePrior;
    const trust = 1 / (sigma * sigma);
    normal[i * size + i] = (normal[i * size + i] ?? 0) + trust;
    gradient[i] = slope - trust * ((parameters[moving[i] ?? 0] ?? 0) - mean || 0);
  }
  return { normal, gradient, moving, residuals, weights };
}

function derivative(
  problem: LeastSquaresProblem,
  parameters: Float64Array,
  residuals: Float64Array,
  at: number,
): Float64Array {
  const step = problem.priors[at]?.step ?? 1e-6;
  const moved = parameters.slice();
  moved[at] = (moved[at] ?? 0) + step;
  const column = new Float64Array(residuals.length);
  problem.residuals(moved, column);
  for (let one = 0; one < column.length; one++) column[one] = ((column[one] ?? 0) - (residuals[one] ?? 0)) / step;
  return column;
}

/** The whole step, 0 for what does not move. */
function solveDamped(problem: LeastSquaresProblem, system: Linear, damping: number): Float64Array | undefined {
  const size = system.moving.length;
  const { matrix, scales } = scaledNormal(system, damping);
  const right = system.gradient.map((value, at) => value / (scales[at] ?? 1));
  const solved = solveLinear(matrix, right);
  if (solved === undefined) return undefined;
  const step = new Float64Array(problem.priors.length);
  for (let at = 0; at < size; at++) step[system.moving[at] ?? 0] = (solved[at] ?? 0) / (scales[at] ?? 1);
  return step;
}

function invertNormal(problem: LeastSquaresProblem, system: Linear): Float64Array | undefined {
  const size = system.moving.length;
  const whole = problem.priors.length;
  const covariance = new Float64Array(whole * whole);
  for (let column = 0; column < size; column++) {
    const { matrix, scales } = scaledNormal(system, 0);
    const right = new Float64Array(size);
    right[column] = 1 / (scales[column] ?? 1);
    const solved = solveLinear(matrix, right);
    if (solved === undefined) return undefined;
    for (let row = 0; row < size; row++) {
      covariance[(system.moving[row] ?? 0) * whole + (system.moving[column] ?? 0)] =
        (solved[row] ?? 0) / (scales[row] ?? 1);
    }
  }
  return covariance;
}

/** Parameters are of very different sizes; with ones on the diagonal the solver's pivots mean something. */
function scaledNormal(system: Linear, damping: number): { matrix: Float64Array; scales: Float64Array } {
  const size = system.moving.length;
  const scales = new Float64Array(size);
  for (let at = 0; at < size; at++) scales[at] = Math.sqrt(Math.max(system.normal[at * size + at] ?? 0, 1e-30));
  const matrix = system.normal.slice();
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      matrix[i * size + j] = (matrix[i * size + j] ?? 0) / ((scales[i] ?? 1) * (scales[j] ?? 1));
    }
    matrix[i * size + i] = (matrix[i * size + i] ?? 0) * (1 + damping);
  }
  return { matrix, scales };
}

function costOf(problem: LeastSquaresProblem, parameters: Float64Array, residuals: Float64Array): number {
  let cost = 0;
  for (const residual of residuals) cost += biweightLoss(residual / problem.outlierAt) * problem.outlierAt ** 2;
  for (const [at, { mean, sigma }] of problem.priors.entries()) {
    if (sigma > 0 && sigma < Infinity) cost += (((parameters[at] ?? 0) - mean) / sigma) ** 2;
  }
  return Number.isFinite(cost) ? cost : Infinity;
}

function biweight(ratio: number): number {
  const rest = 1 - ratio * ratio;
  return rest > 0 ? rest * rest : 0;
}

/** Its integral, twice: the square for small residuals, a third of the bound squared for all large ones. */
function biweightLoss(ratio: number): number {
  const rest = 1 - ratio * ratio;
  return rest > 0 ? (1 - rest * rest * rest) / 3 : 1 / 3;
}

const freePrior: Prior = { mean: 0, sigma: Infinity, step: 1e-6 };
// What starts near the answer, as everything here does, settles in under ten rounds.
const roundsMax = 25;
const dampingMin = 1e-10;
const dampingDone = 1e-7;
const dampingMax = 1e6;
