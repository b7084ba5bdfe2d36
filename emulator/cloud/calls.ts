/**
 * Visitors' calls, from the button on the directory page to the doorcode on the visitor's screen.
 *
 * A call moves by this table and no other way; `code`, `refused` and `failed` are ends:
 *   ringing  -> answered | refused | failed (nobody answered in time, or there is no phone to ring)
 *   answered -> code | refused | failed (no code in time, or the authority may not issue one)
 * Calls live in memory alone: a doorcode stands here and on the visitor's page, and in nothing that is written.
 */
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixMs, UnixSeconds } from "../../protocol/base/units.ts";
import type { MissingOption } from "../../protocol/site/call-screen.ts";

export type CallState = "ringing" | "answered" | "code" | "refused" | "failed";

/** Why a call ended without a code. The last six are the authority's words. */
export type CallReason =
  | "no-phone"
  | "no-answer"
  | "no-code-in-time"
  | "declined"
  | "NO_ACTIVE_DEVICE"
  | "APP_TOO_OLD"
  | "OPTION_NOT_SHOWN"
  | "NO_ACCESS"
  | "SLOTS_EXHAUSTED"
  | "NOT_ISSUED";

export interface CallOrder {
  readonly panel: string;
  readonly door: string;
  readonly doorName: string;
  readonly resident: string;
  readonly residentName: string;
  /** The visitor's own way back to the directory: the token they scanned, never a newer one. */
  readonly directoryPath: string;
  /** Whether the resident has any phone at all. */
  readonly phones: number;
}

export interface GivenCode {
  readonly code: string;
  /** `2026-12-24`: the only day on which the code opens. */
  readonly validOn: string;
  /** The end of that day; from then on the code is shown no more. */
  readonly until: UnixSeconds;
  readonly singleUse: boolean;
}

export interface Call extends Omit<CallOrder, "phones"> {
  readonly id: string;
  readonly startedAt: UnixMs;
  readonly changedAt: UnixMs;
  readonly state: CallState;
  readonly reason?: CallReason;
  readonly given?: GivenCode;
  /** Of the app that answered, as it reported it. */
  readonly appVersion?: string;
  /** Options that the call screen lacked when the call ended, each with its reason and remedy. */
  readonly missing?: readonly MissingOption[];
}

export type StartFault = { readonly code: "too-many-calls"; readonly limit: number; readonly perSeconds: number };
export type CallFault =
  | { readonly code: "no-such-call" }
  | { readonly code: "call-not-in-state"; readonly expected: CallState; readonly came: CallState };

export class Calls {
  readonly #random: (length: number) => Uint8Array;
  readonly #callById = new Map<string, Call>();
  readonly #waiting = new Set<{ readonly person: string; readonly wake: () => void }>();

  constructor(random: (length: number) => Uint8Array) {
    this.#random = random;
  }

  /** Begins a call. Fault: too-many-calls at one panel, so that a prankster cannot ring the house all night. */
  start({ phones, ...order }: CallOrder, now: UnixMs): Result<Call, StartFault> {
    this.#expire(now);
    const recent = [...this.#callById.values()].filter(
      (call) => call.panel === order.panel && call.startedAt > now - rateWindowMs,
    );
    if (recent.length >= callsPerWindow) {
      return failed({ code: "too-many-calls", limit: callsPerWindow, perSeconds: rateWindowMs / 1000 });
    }
    const id = bytesToHex(this.#random(callIdBytes));
    const call: Call = { ...order, id, startedAt: now, changedAt: now, state: "ringing" };
    const begun: Call = phones > 0 ? call : { ...call, state: "failed", reason: "no-phone" };
    this.#callById.set(id, begun);
    this.#dropOldest();
    this.wakePhones(order.resident);
    return ok(begun);
  }

  /** The visitor's view; after the day's end the code is gone from it. */
  view(id: string, now: UnixMs): Call | undefined {
    this.#expire(now);
    return this.#callById.get(id);
  }

  /** The calls of the last hours, oldest first. */
  recent(now: UnixMs): readonly Call[] {
    this.#expire(now);
    return [...this.#callById.values()];
  }

  /** What rings on this person's phones now, oldest first. */
  ringingFor(person: string, now: UnixMs): readonly Call[] {
    this.#expire(now);
    return [...this.#callById.values()].filter((call) => call.resident === person && call.state === "ringing");
  }

  /** Lets the person's phones ask again at once: a call rings, or some of them were signed out. */
  wakePhones(person: string): void {
    for (const waiter of this.#waiting) if (waiter.person === person) waiter.wake();
  }

  /** Calls `wake` at the person's next call; the function given back stops that. */
  onRinging(person: string, wake: () => void): () => void {
    const waiter = { person, wake };
    this.#waiting.add(waiter);
    return () => this.#waiting.delete(waiter);
  }

  /** Faults: no-such-call (also for somebody else's), call-not-in-state. The same for the next three. */
  answer(id: string, person: string, now: UnixMs, appVersion?: string): Result<Call, CallFault> {
    const app = appVersion === undefined ? {} : { appVersion };
    return this.#move(id, person, "ringing", { state: "answered", ...app }, now);
  }

  decline(id: string, person: string, now: UnixMs): Result<Call, CallFault> {
    const state = this.view(id, now)?.state === "answered" ? "answered" : "ringing";
    return this.#move(id, person, state, { state: "refused", reason: "declined" }, now);
  }

  giveCode(id: string, person: string, given: GivenCode, now: UnixMs): Result<Call, CallFault> {
    return this.#move(id, person, "answered", { state: "code", given }, now);
  }

  fail(
    id: string,
    person: string,
    reason: CallReason,
    now: UnixMs,
    missing: readonly MissingOption[] = [],
  ): Result<Call, CallFault> {
    return this.#move(id, person, "answered", { state: "failed", reason, missing }, now);
  }

  /** The person's call if it stands in `answered`, where a code may be asked for. */
  answered(id: string, person: string, now: UnixMs): Result<Call, CallFault> {
    return this.#find(id, person, "answered", now);
  }

  #find(id: string, person: string, expected: CallState, now: UnixMs): Result<Call, CallFault> {
    const call = this.view(id, now);
    if (call === undefined || call.resident !== person) return failed({ code: "no-such-call" });
    if (call.state !== expected) return failed({ code: "call-not-in-state", expected, came: call.state });
    return ok(call);
  }

  #move(
    id: string,
    person: string,
    expected: CallState,
    change: Pick<Call, "state" | "reason" | "given" | "appVersion" | "missing">,
    now: UnixMs,
  ): Result<Call, CallFault> {
    const found = this.#find(id, person, expected, now);
    if (!found.ok) return found;
    const call: Call = { ...found.value, ...change, changedAt: now };
    this.#callById.set(id, call);
    return ok(call);
  }

  #expire(now: UnixMs): void {
    for (const [id, call] of this.#callById) {
      const expired = expireCall(call, now);
      if (expired !== call) this.#callById.set(id, expired);
    }
  }

  #dropOldest(): void {
    for (const id of this.#callById.keys()) {
      if (this.#callById.size <= callsKept) return;
      this.#callById.delete(id);
    }
  }
}

function expireCall(call: Call, now: UnixMs): Call {
  if (call.state === "ringing" && now >= call.startedAt + ringMs) {
    return { ...call, state: "failed", reason: "no-answer", changedAt: now };
  }
  if (call.state === "answered" && now >= call.changedAt + decideMs) {
    return { ...call, state: "failed", reason: "no-code-in-time", changedAt: now };
  }
  if (call.given !== undefined && call.given.code !== "" && now >= call.given.until * 1000) {
    return { ...call, given: { ...call.given, code: "" } };
  }
  return call;
}

const callIdBytes = 16;
/** As long as a phone rings before a visitor gives up. */
const ringMs = 60_000;
/** After answering, talking and deciding. */
const decideMs = 180_000;
const callsPerWindow = 30;
const rateWindowMs = 60_000;
/** A day's calls of a busy house; the oldest go first. */
const callsKept = 2_000;
