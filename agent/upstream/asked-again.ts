/**
 * Ranges that receipts name as missing although they were published: each is sent again, exactly as far as it is there, at once and then
 * after growing waits for as long as receipts name it. SPEC U11.
 */
import type { DeviceId } from "../../protocol/base/units.ts";
import type { Receipt } from "../../protocol/wire/messages/receipt.ts";

export interface AskedRange {
  readonly from: number;
  readonly to: number;
  /** First sequence that is still to be looked at in this round. */
  next: number;
  /** When the next round may begin, on the monotonic clock. */
  dueMs: number;
  rounds: number;
}

export class AskedAgain {
  readonly #rangesByDevice = new Map<DeviceId, readonly AskedRange[]>();

  clear(): void {
    this.#rangesByDevice.clear();
  }

  /** What a receipt names of what was published and is not on its way. What it names no more is there now. */
  heard(device: DeviceId, missing: Receipt["missing"], nowMs: number): void {
    const before = this.#rangesByDevice.get(device) ?? [];
    const named = missing.map(({ from, to }) => {
      // A range that shrinks from below or is cut in two is the same one, and waits as long as it would have.
      const same = before.find((range) => range.from <= from && to <= range.to);
      if (same === undefined) return { from, to, next: from, dueMs: nowMs, rounds: 0 };
      return { from, to, next: Math.max(from, same.next), dueMs: same.dueMs, rounds: same.rounds };
    });
    if (named.length === 0) this.#rangesByDevice.delete(device);
    else this.#rangesByDevice.set(device, named);
  }

  /** The next range that is due. */
  due(nowMs: number): { readonly device: DeviceId; readonly range: AskedRange } | undefined {
    for (const [device, ranges] of this.#rangesByDevice) {
      const range = ranges.find(({ dueMs }) => dueMs <= nowMs);
      if (range !== undefined) return { device, range };
    }
    return undefined;
  }

  /** All of the range that is here was published in this round. */
  roundDone(range: AskedRange, nowMs: number): void {
    range.dueMs = nowMs + ROUND_WAIT_MS * 2 ** Math.min(range.rounds, ROUND_DOUBLINGS);
    range.rounds += 1;
    range.next = range.from;
  }

  /** When the next round is due; undefined: none. */
  nextDueMs(): number | undefined {
    const due = [...this.#rangesByDevice.values()].flat().map(({ dueMs }) => dueMs);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** The lowest sequence that receipts ask for. */
  lowest(device: DeviceId): number | undefined {
    const ranges = this.#rangesByDevice.get(device) ?? [];
    return ranges.length === 0 ? undefined : Math.min(...ranges.map(({ from }) => from));
  }
}

/** As long as a receipt may take. */
const ROUND_WAIT_MS = 10_000;
const ROUND_DOUBLINGS = 7;
