/** Which locks want somebody to go there or to give a word; those that the schedule will visit by itself are left out. SPEC G34. */
import { syncWayOut } from "../commands/sync-way-out.ts";
import type { AttentionItem } from "../http/health-views.ts";
import type { DeviceView, LockView, StatusView } from "../http/views.ts";

export function findSyncs(view: DeviceView, status: Pick<StatusView, "at">): readonly AttentionItem[] {
  const { device, doorName, lock, lastFault } = view;
  if (lock === null) return [];
  const found = judge(view, lock, status.at);
  if (found === undefined) return [];
  // One line of a screen: the rest of the way out is said by who is asked to visit it.
  const byFault = lastFault === null ? undefined : syncWayOut(lastFault.code, lastFault.reason, device)?.split("; ")[0];
  const remedy = found.remedy ?? byFault ?? `doorlink sync ${device}`;
  return [{ who: device, doorName, what: found.what, ageSeconds: found.ageSeconds, remedy }];
}

interface Found {
  readonly what: string;
  readonly ageSeconds: number | null;
  readonly remedy?: string;
}

function judge(view: DeviceView, lock: LockView, now: number): Found | undefined {
  const { state, why, sinceAgeSeconds: ageSeconds, urgent, nextVisit } = lock;
  const waits = urgent ? `, and ${why === null ? "it is urgent" : (urgentWords.get(why) ?? "it is urgent")}` : "";
  if (nextVisit?.heldOff === "not-paired") {
    return { what: "not paired", ageSeconds: null, remedy: `doorlink device add ${view.device} --ble --code FILE` };
  }
  switch (state) {
    case "refused":
      return { what: `refused: ${why}${waits}`, ageSeconds };
    case "out-of-range":
      return { what: `out of range${waits}`, ageSeconds };
    case "stale":
      return { what: `stale: ${why}${waits}`, ageSeconds };
    case "unconfirmed":
      return isLong(ageSeconds) ? { what: `unconfirmed${waits}`, ageSeconds } : undefined;
    case "pending": {
      if (why === "nothing-published") return undefined;
      // Nobody visits unasked: the word is a person's.
      if (nextVisit?.heldOff === "manual") return { what: `waits to be asked for: ${why}`, ageSeconds };
      const since = view.pendingSince === null ? null : Math.max(0, now - view.pendingSince);
      if (urgent && (since ?? 0) >= URGENT_SECONDS) return { what: `pending: ${why}`, ageSeconds: since };
      return isLong(since) ? { what: `pending: ${why}`, ageSeconds: since } : undefined;
    }
    case "syncing":
    case "in-sync":
      return undefined;
  }
}

function isLong(ageSeconds: number | null): boolean {
  return ageSeconds !== null && ageSeconds >= LONG_SECONDS;
}

const urgentWords: ReadonlyMap<string, string> = new Map([
  ["lock-out", "somebody is locked out"],
  ["revocation", "somebody revoked is let in"],
  ["keycard", "a keycard waits"],
]);

/** A gateway in reach visits what is urgent within a minute or two. */
const URGENT_SECONDS = 600;
const LONG_SECONDS = 86_400;
