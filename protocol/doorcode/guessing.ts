/**
 * How easily a code is guessed, and the throttle that keeps it hard (SPEC C8, C10; PROTOCOL part 6).
 *
 * A guesser at one keypad has N wrong tries in any 24 hours, and V codes of a length are accepted at a time: the odds that one of the tries
 * opens are at most N x V / 10^digits. N is held by a bucket of tries that powered time refills. A try is taken out and persisted before the
 * entry is compared, so pulling the battery wins nothing: the try is gone, and time without power refills nothing.
 */
import { assert } from "../base/result.ts";

export interface ThrottleRules {
  /** Tries that a rested keypad has. */
  readonly triesAtOnce: number;
  /** Powered seconds for one more try. */
  readonly refillSeconds: number;
}

/** Wrong tries in any 24 hours, at most: a full bucket, and every refill that such a stretch can hold. */
export function triesPerDay({ triesAtOnce, refillSeconds }: ThrottleRules): number {
  return triesAtOnce + Math.ceil(daySeconds / refillSeconds);
}

/**
 * Odds per lock and day, 0-1. `acceptedByDigits` counts the codes that are accepted at one time, by their length: a guesser
 * stays with the length that pays best. Source: SPEC C10.
 */
export function guessingOdds(tries: number, acceptedByDigits: ReadonlyMap<number, number>): number {
  let best = 0;
  for (const [digits, accepted] of acceptedByDigits) best = Math.max(best, accepted / 10 ** digits);
  return Math.min(1, tries * best);
}

/** What a lock persists about its keypad. Powered seconds are counted over all boots and never go back. */
export interface ThrottleState {
  readonly tries: number;
  /** Powered seconds up to which refills were counted. */
  readonly refilledAt: number;
  readonly wrongInARow: number;
  readonly pausedUntil: number;
  /** Tags of wrong entries in this context: the same one again is no new guess. */
  readonly knownWrong: readonly number[];
  /** What `knownWrong` holds for; in another context, what was wrong may be right. */
  readonly context: string;
}

export function freshThrottle(rules: ThrottleRules, poweredSeconds: number): ThrottleState {
  return {
    tries: rules.triesAtOnce,
    refilledAt: poweredSeconds,
    wrongInARow: 0,
    pausedUntil: poweredSeconds,
    knownWrong: [],
    context: "",
  };
}

export interface TryRequest {
  /** `entryTag` of what was typed. */
  readonly tag: number;
  /** Changes with the site's day, with the policy and with the door's daily keys: with all that can make a wrong entry right. */
  readonly context: string;
  readonly poweredSeconds: number;
}

export type TryVerdict =
  /** Compare it; the try is counted. `repeat`: known to be wrong, not counted again. */
  | { readonly kind: "compare"; readonly repeat: boolean }
  | { readonly kind: "locked-out"; readonly retryAfterSeconds: number };

/** Judges one entry. The state that comes back is persisted before the entry is compared. */
export function admitTry(
  before: ThrottleState,
  rules: ThrottleRules,
  { tag, context, poweredSeconds }: TryRequest,
): { readonly verdict: TryVerdict; readonly state: ThrottleState } {
  const state = refilled(inContext(before, context), rules, poweredSeconds);
  if (state.knownWrong.includes(tag)) return { verdict: { kind: "compare", repeat: true }, state };
  const wait = waitSeconds(state, rules, poweredSeconds);
  if (wait > 0) return { verdict: { kind: "locked-out", retryAfterSeconds: wait }, state };
  const wrongInARow = state.wrongInARow + 1;
  const pause = pauseSeconds(wrongInARow);
  const counted: ThrottleState = {
    ...state,
    tries: state.tries - 1,
    wrongInARow,
    // Without a pause nothing may lie ahead: after a loss of power the count goes on from what was written last, which is earlier.
    pausedUntil: pause === 0 ? state.refilledAt : poweredSeconds + pause,
    knownWrong: [...state.knownWrong, tag].slice(-knownWrongMax),
  };
  return { verdict: { kind: "compare", repeat: false }, state: counted };
}

/**
 * Gives back the one try of an entry that was recognised. No more than that one: whoever has a code of his own must not be able
 * to buy tries with it.
 */
export function refundTry(state: ThrottleState, rules: ThrottleRules, tag: number): ThrottleState {
  return {
    ...state,
    tries: Math.min(rules.triesAtOnce, state.tries + 1),
    wrongInARow: 0,
    pausedUntil: Math.min(state.pausedUntil, state.refilledAt),
    knownWrong: state.knownWrong.filter((known) => known !== tag),
  };
}

/** None for the first two wrong tries in a row, then 5 s, doubled each time, up to five minutes. */
export function pauseSeconds(wrongInARow: number): number {
  if (wrongInARow < 3) return 0;
  return Math.min(pauseSecondsMax, 5 * 2 ** Math.min(wrongInARow - 3, 10));
}

function inContext(state: ThrottleState, context: string): ThrottleState {
  return state.context === context ? state : { ...state, context, knownWrong: [] };
}

function refilled(state: ThrottleState, rules: ThrottleRules, poweredSeconds: number): ThrottleState {
  assert(poweredSeconds >= state.refilledAt, "powered time never goes back");
  const gained = Math.floor((poweredSeconds - state.refilledAt) / rules.refillSeconds);
  const tries = Math.min(rules.triesAtOnce, state.tries + gained);
  return { ...state, tries, refilledAt: state.refilledAt + gained * rules.refillSeconds };
}

function waitSeconds(state: ThrottleState, rules: ThrottleRules, poweredSeconds: number): number {
  const pause = Math.max(0, state.pausedUntil - poweredSeconds);
  const empty = state.tries > 0 ? 0 : state.refilledAt + rules.refillSeconds - poweredSeconds;
  return Math.max(pause, empty);
}

const daySeconds = 86_400;
const pauseSecondsMax = 300;
/** As many as anybody mistypes in a row; each costs a word of flash. */
export const knownWrongMax = 16;
