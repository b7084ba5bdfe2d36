/**
 * The keypad of a lock: ten digits, and on some models a check mark that ends the entry.
 *
 * Rules: each digit comes within 5 s of the one before it, or what was typed so far is thrown away (SPEC K1); an entry is
 * ended by the check mark, or on a model without one by its last digit (K2); an entry shorter or longer than any code is
 * thrown away at the check mark without being judged (K3). The keypad never keeps, shows or logs an entry: it hands the
 * digits over once and forgets them (K4). Where the model says so it sleeps, dark, until any key is pressed; that press lights it
 * and is no part of an entry. It is dark again when an entry has ended, or the digit timeout after the last press (K5).
 * A machine that is fed (`press`, `wake`) and answers with what happened; time is an argument.
 * Source: domain part 1.3 (digit timing), 1.4 (C1's check mark ends a code; digits spin when accepted, blink when not); which
 * models sleep, and what is not published about it, stands in `protocol/firmware/models.ts`.
 */
import { type MonotonicMs, monotonicMs } from "../../protocol/base/units.ts";

/** What the resident sees: digits that spin (accepted), blink (refused), or go dark after 5 s without a digit. */
export type KeypadIndicator = "spin" | "blink" | "timeout" | "none";

export type KeypadKey = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "check";

export type KeypadEvent =
  | { readonly kind: "entry"; readonly digits: string; readonly times: readonly MonotonicMs[] }
  /** The check mark after too few or too many digits. */
  | { readonly kind: "unusable"; readonly length: number }
  | { readonly kind: "timeout"; readonly length: number };

/** What a model and its policy say about entries. */
export interface KeypadSettings {
  readonly digitTimeoutMs: number;
  /** How many digits end an entry; undefined on a model whose check-mark key does. */
  readonly endsAfter: number | undefined;
  /** Which press wakes it; "none": it never sleeps. */
  readonly keypadWake: "any-key" | "none";
}

export class Keypad {
  #digits = "";
  /** When each digit was pressed. */
  #times: MonotonicMs[] = [];
  /** Until when a digit belongs to the entry, or to one that begins; undefined: nothing is typed, and a keypad that sleeps does. */
  #dueAt: MonotonicMs | undefined;

  /** Takes one key. A digit that comes too late first ends what stood there (timeout), then begins anew or wakes the keypad. */
  press(key: KeypadKey, settings: KeypadSettings, now: MonotonicMs): readonly KeypadEvent[] {
    const late = this.wake(now);
    // A keypad without a check mark does not have this key: pressing beside the digits does nothing.
    if (key === "check" && settings.endsAfter !== undefined) return late;
    // SPEC K5: the press that wakes it is used up by that.
    const wakes = this.isAsleep(settings, now);
    if (key !== "check" || wakes) this.#dueAt = monotonicMs(now + settings.digitTimeoutMs);
    if (wakes) return late;
    if (key === "check") return [...late, this.#end()];
    if (this.#times.length < ENTRY_LIMIT_DIGITS + 1) this.#add(key, now);
    return this.#times.length === settings.endsAfter ? [...late, this.#end()] : late;
  }

  /** To be called when `nextWakeMs` has come; harmless at any other time. */
  wake(now: MonotonicMs): readonly KeypadEvent[] {
    if (this.#dueAt === undefined || now <= this.#dueAt) return [];
    const { length } = this.#take().times;
    // Somebody woke it and left: there is nothing to throw away.
    return length === 0 ? [] : [{ kind: "timeout", length }];
  }

  /** The last moment at which a further digit still belongs to the entry; undefined when nothing is typed and nothing is lit. */
  nextWakeMs(): MonotonicMs | undefined {
    return this.#dueAt;
  }

  /** Whether the next key would only wake it, as anybody before it sees: its digits are dark. */
  isAsleep({ keypadWake }: Pick<KeypadSettings, "keypadWake">, now: MonotonicMs): boolean {
    return keypadWake === "any-key" && (this.#dueAt === undefined || now > this.#dueAt);
  }

  #add(digit: string, now: MonotonicMs): void {
    this.#digits += digit;
    this.#times.push(now);
  }

  #end(): KeypadEvent {
    const { digits, times } = this.#take();
    const usable = digits.length >= ENTRY_FLOOR_DIGITS && digits.length <= ENTRY_LIMIT_DIGITS;
    return usable ? { kind: "entry", digits, times } : { kind: "unusable", length: digits.length };
  }

  #take(): { readonly digits: string; readonly times: readonly MonotonicMs[] } {
    const taken = { digits: this.#digits, times: this.#times };
    this.#digits = "";
    this.#times = [];
    this.#dueAt = undefined;
    return taken;
  }
}

/**
 * The keys of a code as somebody types it: one to wake a keypad that is dark (SPEC K5), its digits, then the check mark. Anything
 * but 1-64 digits gives undefined.
 */
export function keysOfCode(code: string, isAsleep: boolean): readonly KeypadKey[] | undefined {
  if (code.length === 0 || code.length > KEYS_AT_ONCE) return undefined;
  const keys: KeypadKey[] = [];
  for (const character of code) {
    const key = parseKeypadKey(character);
    if (key === undefined || key === "check") return undefined;
    keys.push(key);
  }
  return isAsleep ? [WAKING_KEY, ...keys, "check"] : [...keys, "check"];
}

export function parseKeypadKey(text: string): KeypadKey | undefined {
  return KEYPAD_KEYS.find((key) => key === text);
}

export const KEYPAD_KEYS: readonly KeypadKey[] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "check"];
/** Any key wakes a keypad; this one is on all of them. */
const WAKING_KEY = "0";
/** The shortest and the longest code of any model. */
export const ENTRY_FLOOR_DIGITS = 4;
export const ENTRY_LIMIT_DIGITS = 10;
/** Somebody leaning on the keypad; far more than any code, few enough to answer at once. */
const KEYS_AT_ONCE = 64;
