/**
 * The states of a command, as its executor goes through them and as everybody else learns of them:
 *
 *     (sent) -> accepted -> executing -> done | failed
 *     (sent) -> refused | expired | failed          accepted -> expired | failed
 *
 * `refused`: it was not a command that may be carried out. `expired`: it was, too late. `failed`: it could not be carried out or
 * delivered. A final state is never left. No answer is no state: who waits in vain knows nothing, and says so.
 * Source: SPEC V8; PROTOCOL parts 2 and 5.
 */
import { failed, ok, type Result } from "../base/result.ts";

export const commandStates = ["accepted", "executing", "done", "failed", "refused", "expired"] as const;
export type CommandState = (typeof commandStates)[number];

/** What an executor may say next; `sent` is the state of a command of which nothing was heard. */
export const nextCommandStates = {
  sent: ["accepted", "refused", "expired", "failed"],
  accepted: ["executing", "expired", "failed"],
  executing: ["done", "failed"],
  done: [],
  failed: [],
  refused: [],
  expired: [],
} as const satisfies Record<CommandState | "sent", readonly CommandState[]>;

export type CommandStateFault = {
  readonly code: "not-a-step";
  readonly from: CommandState | "sent";
  readonly to: CommandState;
};

export function isFinalState(state: CommandState | "sent"): boolean {
  return nextCommandStates[state].length === 0;
}

/**
 * The state after a result was heard. A result that comes twice changes nothing, and one in between may be lost: whatever can be
 * reached by steps of the table is taken. Fault: not-a-step (backwards, sideways, or out of a final state).
 */
export function hearCommandState(
  from: CommandState | "sent",
  to: CommandState,
): Result<CommandState, CommandStateFault> {
  return from === to || isReachable(from, to) ? ok(to) : failed({ code: "not-a-step", from, to });
}

function isReachable(from: CommandState | "sent", to: CommandState): boolean {
  const next: readonly CommandState[] = nextCommandStates[from];
  return next.includes(to) || next.some((between) => isReachable(between, to));
}
