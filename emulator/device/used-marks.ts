/**
 * What a device remembers of codes and uses that are gone: single-use codes that were taken, and how often each credential with a limit has
 * opened. A mark is on flash before the bolt moves (SPEC L1, C4).
 *
 * Where flash has lost which ones were taken, all of them were: nobody gets a second use by a bit that flipped. Single-use codes
 * then open from the day after the authority's next word on the time (SPEC L13); a credential with a limit has none left of the policy that
 * was held then, and its holder needs another one (SPEC L14).
 */
import type { DailyKey } from "../../protocol/access/attempt.ts";
import type { Decision } from "../../protocol/access/decide.ts";
import type { LockPolicy } from "../../protocol/access/policy.ts";
import type { LocalDay } from "../../protocol/base/units.ts";
import { keptUsedSlots, slotsMax, usedSlotName } from "../../protocol/doorcode/daily-code.ts";
import type { LockStore, UsedSlots, UsesSpent } from "./lock-store.ts";

export class UsedMarks {
  readonly #store: LockStore;
  #slots: UsedSlots;
  #uses: UsesSpent;

  constructor(store: LockStore) {
    this.#store = store;
    this.#slots = store.readUsedSlots();
    this.#uses = store.readUsesSpent();
  }

  /** Names of the single-use codes that were taken, as `decide` asks for them. */
  get usedSlots(): ReadonlySet<string> {
    return this.#slots.all ? everySlot : this.#slots.names;
  }

  /** How often each credential with a limit has opened here, as `decide` asks for it. */
  get usesSpent(): ReadonlyMap<string, number> {
    return this.#uses.all ? everyUse : this.#uses.spentByCredential;
  }

  /** Whether it is not known which single-use codes were taken. */
  get areSlotsLost(): boolean {
    return this.#slots.all;
  }

  /** Keeps on flash that the marks are lost; to be called at boot, when the log has it. */
  settle(): void {
    if (this.#slots.all) this.#store.writeUsedSlots(this.#slots);
    if (this.#uses.all) this.#store.writeUsesSpent(this.#uses);
  }

  keep(marks: Decision["marks"]): void {
    const used = marks.filter((mark) => mark.kind === "daily-code-used").map(({ name }) => name);
    const spent = marks
      .filter((mark) => mark.kind === "use-spent")
      .map((mark) => [mark.credentialId, mark.spent] as const);
    if (used.length > 0) {
      const names = new Set([...this.#slots.names, ...used]);
      // SPEC L13: without the authority's time no day is over; who has no room for another mark takes none of them any more.
      this.#keepSlots(names.size > USED_SLOTS_LIMIT ? { names: new Set(), all: true } : { ...this.#slots, names });
    }
    if (spent.length > 0) {
      const spentByCredential = new Map([...this.#uses.spentByCredential, ...spent]);
      this.#keepUses({ ...this.#uses, spentByCredential });
    }
  }

  /** SPEC C4: marks go whose civil day a signed time has passed. SPEC L13: were they lost, all codes of that day were used. */
  signedDay(day: LocalDay, dailyKeys: readonly DailyKey[]): void {
    if (this.#slots.all) return this.useUpDay(day, dailyKeys);
    const names = keptUsedSlots(this.#slots.names, day);
    if (names.size !== this.#slots.names.size) this.#keepSlots({ names, all: false });
  }

  /** Which day it was that the marks were lost is known: its single-use codes count as used, and those of other days no longer. */
  useUpDay(localDay: LocalDay, dailyKeys: readonly DailyKey[]): void {
    const names = dailyKeys.flatMap(({ keyId }) =>
      Array.from({ length: slotsMax }, (_, slot) => usedSlotName(keyId, { localDay, mode: "single-use", slot })),
    );
    this.#keepSlots({ names: new Set(names), all: false });
  }

  /** The policy that a lock holds, and not an older one in its place: what it limits counts as spent when nobody knows how much is. */
  policyHeld({ credentials }: LockPolicy): void {
    if (!this.#uses.all) return this.#forgetUsesOutside(credentials);
    const limited = credentials.flatMap(({ id, usesAllowed }) =>
      usesAllowed === undefined ? [] : [[id, usesAllowed] as const],
    );
    this.#keepUses({ spentByCredential: new Map(limited), all: false });
  }

  /** Marks of credentials that are gone are kept for when they come back, as long as there is room for those of all that are here. */
  #forgetUsesOutside(credentials: LockPolicy["credentials"]): void {
    const { spentByCredential } = this.#uses;
    if (spentByCredential.size + credentials.length <= USES_KEPT_LIMIT) return;
    const here = new Set(credentials.map(({ id }) => id));
    this.#keepUses({ spentByCredential: new Map([...spentByCredential].filter(([id]) => here.has(id))), all: false });
  }

  #keepSlots(slots: UsedSlots): void {
    this.#slots = slots;
    this.#store.writeUsedSlots(slots);
  }

  #keepUses(uses: UsesSpent): void {
    this.#uses = uses;
    this.#store.writeUsesSpent(uses);
  }
}

/** A month of a busy door without the authority's time. */
export const USED_SLOTS_LIMIT = 2_000;
/** With the longest ids these fill one region. */
export const USES_KEPT_LIMIT = 6_000;

class EverySlot extends Set<string> {
  override has(): boolean {
    return true;
  }
}

class EveryUse extends Map<string, number> {
  override get(): number {
    return Number.MAX_SAFE_INTEGER;
  }
}

const everySlot: ReadonlySet<string> = new EverySlot();
const everyUse: ReadonlyMap<string, number> = new EveryUse();
