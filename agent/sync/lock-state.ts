/**
 * How the door sync of one lock stands, in one word of a closed list and the reason for that word. A pure judgement of what this
 * gateway knows: the command line, the API, the page, the metrics and the authority all get this same answer. SPEC G10-G12.
 *
 * Several may hold at once. The word is the first that does, in the order of `lockStates`: what goes on now, then what a person must
 * act upon, then what is not known, then what only takes time. What the others would have said stands in the facts beside it.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import type { UrgentReason } from "../../protocol/wire/messages/desired.ts";
import type { SyncState } from "../../protocol/wire/messages/reported.ts";
import type { PolicyVersion } from "../ports/visit.ts";

export interface LockFacts {
  /** The newest that the authority published; null: nothing yet. */
  readonly desired: PolicyVersion | null;
  readonly urgent: UrgentReason | null;
  /** The lock's own last report; null: it has never reported here. */
  readonly reported: (PolicyVersion & { readonly at: UnixSeconds }) | null;
  /** Since when something newer than the report is known; null: nothing is. */
  readonly pendingSince: UnixSeconds | null;
  /** A visit is under way since then. */
  readonly visitingSince: UnixSeconds | null;
  /** A policy that may have gone over, after which no report has come. */
  readonly handedOver: (PolicyVersion & { readonly at: UnixSeconds }) | null;
  /** How the last visit failed; null: it went through, or there was none. */
  readonly fault: { readonly code: string; readonly reason?: string | undefined; readonly at: UnixSeconds } | null;
  /** Last heard, on the air or in a visit; null: never. */
  readonly heardAt: UnixSeconds | null;
  /** For how long this gateway has listened without hearing it; null: it does not listen, so silence says nothing. */
  readonly silentSeconds: number | null;
  /** By when what the lock holds wants a visit; null: it has no lease, or is not known. */
  readonly visitBy: UnixSeconds | null;
  /** When it reported less than it had reported before; null: it holds what it ever held, or more. */
  readonly wentBackAt: UnixSeconds | null;
}

export type LockWhy =
  | "visit"
  | "refused"
  | "policy-refused"
  | "keyset-refused"
  | "release-refused"
  | "time-refused"
  /** The lock takes an answer for 2 s only; everything else of the visit went through. */
  | "time-answer-too-slow"
  | "wrong-lock"
  | "broke-protocol"
  /** What it said of itself does not hang together, or nobody ever signed it. SPEC Y19, G18. */
  | "contradicts-itself"
  /** Upstream takes nothing of its log. SPEC G17. */
  | "log-not-taken"
  | "older-policy-serves"
  /** It had a policy and reports that it has none: both of its banks have rotted. SPEC L3. */
  | "policy-lost"
  | "half-lease-past"
  | "no-report-after-policy"
  | "not-found"
  | "not-heard"
  | UrgentReason
  | "never-met"
  | "newer-policy"
  | "nothing-published";

export interface LockState {
  readonly state: SyncState;
  /** Null for `in-sync`, which needs no reason. */
  readonly why: LockWhy | null;
  /** Since when it is so, as far as that is known. */
  readonly since: UnixSeconds | null;
}

/** The order in which states are asked; the first that holds is the word. */
export const lockStates = [
  "syncing",
  "refused",
  "stale",
  "unconfirmed",
  "out-of-range",
  "pending",
  "in-sync",
] as const satisfies readonly SyncState[];

export function lockState(facts: LockFacts, now: UnixSeconds): LockState {
  for (const state of lockStates) {
    const holds = judgements[state](facts, now);
    if (holds !== undefined) return { state, ...holds };
  }
  // `in-sync` is what is left, and its judgement always holds.
  return { state: "in-sync", why: null, since: null };
}

/** The lock's own report is behind what the authority published, or there is none. */
export function isBehind({ desired, reported }: Pick<LockFacts, "desired" | "reported">): boolean {
  return desired !== null && (reported === null || comparePolicyOrder(desired, reported) > 0);
}

type Holds = Omit<LockState, "state"> | undefined;

const judgements: Readonly<Record<SyncState, (facts: LockFacts, now: UnixSeconds) => Holds>> = {
  syncing: ({ visitingSince }) => (visitingSince === null ? undefined : { why: "visit", since: visitingSince }),
  refused: ({ fault }) => {
    const why = fault === null ? undefined : refusalOf(fault);
    return fault === null || why === undefined ? undefined : { why, since: fault.at };
  },
  stale: ({ wentBackAt, visitBy, reported }, now) => {
    if (wentBackAt !== null) {
      return { why: reported?.version === 0 ? "policy-lost" : "older-policy-serves", since: wentBackAt };
    }
    return visitBy !== null && now >= visitBy ? { why: "half-lease-past", since: visitBy } : undefined;
  },
  unconfirmed: ({ handedOver, reported }) => {
    if (handedOver === null) return undefined;
    if (reported !== null && comparePolicyOrder(handedOver, reported) <= 0) return undefined;
    return { why: "no-report-after-policy", since: handedOver.at };
  },
  "out-of-range": ({ fault, heardAt, silentSeconds }) => {
    if (silentSeconds !== null && silentSeconds >= OUT_OF_RANGE_SECONDS) return { why: "not-heard", since: heardAt };
    // Heard since the visit that did not find it: it is back.
    const isMissing = fault?.code === "not-found" && (heardAt === null || heardAt <= fault.at);
    return isMissing ? { why: "not-found", since: heardAt } : undefined;
  },
  pending: (facts) => {
    // Without the authority's word nobody can say that a lock is in sync with it.
    if (facts.desired === null) return { why: "nothing-published", since: null };
    if (!isBehind(facts)) return undefined;
    const why = facts.urgent ?? (facts.reported === null ? "never-met" : "newer-policy");
    return { why, since: facts.pendingSince };
  },
  "in-sync": ({ reported }) => ({ why: null, since: reported?.at ?? null }),
};

/** What the lock itself said no to. A link that broke is no answer, neither is one that fell silent while keys were exchanged. */
function refusalOf({ code, reason }: NonNullable<LockFacts["fault"]>): LockWhy | undefined {
  switch (code) {
    case "refused":
      return whyRefused(reason);
    case "handshake":
      return reason === "no-progress" ? undefined : "wrong-lock";
    case "protocol":
      if (reason === "log-not-taken") return reason;
      return reason?.startsWith("report-") === true ? "contradicts-itself" : "broke-protocol";
    default:
      return undefined;
  }
}

/** `reason` is the step and the lock's own word. */
function whyRefused(reason: string | undefined): LockWhy {
  const [step, refusal] = reason?.split(": ") ?? [];
  if (step === "time") return refusal === "round-trip-too-long" ? "time-answer-too-slow" : "time-refused";
  return step === "policy" || step === "keyset" || step === "release" ? `${step}-refused` : "refused";
}

/** A lock in reach advertises every second or two; five minutes of listening are more than chance and interference. */
export const OUT_OF_RANGE_SECONDS = 300;
