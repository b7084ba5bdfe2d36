/**
 * What the authority tells of a lock's latest report, so that a gateway knows of visits that another courier made. Which of two reports is the
 * later is read off what only grows on a lock, its boots and its log, as the authority does; no clock is asked. SPEC G23.
 */
import { comparePolicyOrder } from "../../protocol/access/policy.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { LockDesired } from "../../protocol/wire/messages/desired.ts";
import type { LockReport } from "../../protocol/wire/signed-objects.ts";

export type Confirmed = NonNullable<LockDesired["confirmed"]>;

/** `own`: this gateway's own last report of the lock; undefined: it has one that cannot be read, which says nothing. */
export function isLaterReport(confirmed: Confirmed, own: LockReport | undefined, gateway: DeviceId): boolean {
  // What this gateway brought itself it knows at least as well.
  if (confirmed.by === gateway) return false;
  if (own === undefined) return true;
  const [boots, log] = [confirmed.bootCount - own.bootCount, confirmed.logNext - own.logNext];
  if (boots === 0 && log === 0) return comparePolicyOrder(confirmed, own) > 0;
  return boots >= 0 && log >= 0;
}
