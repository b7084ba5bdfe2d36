/** What the authority has of a lock beside its policy, for the lock's couriers: how far its log is checked, and what it reported last. */
import type { SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { AuditChains } from "./audit-chains.ts";
import type { Authority } from "./authority.ts";
import type { DeviceTable } from "./device-table.ts";

export interface LockWords {
  readonly release: SignedBlob | null;
  /** Null also where there is one gateway, which knows it by itself. SPEC G23. */
  readonly confirmed: {
    readonly epoch: number;
    readonly version: number;
    readonly bootCount: number;
    readonly logNext: number;
    /** Unix seconds. */
    readonly at: number;
    /** A gateway of the site; null: somebody else brought it. */
    readonly by: string | null;
  } | null;
}

export const noLockWords: LockWords = { release: null, confirmed: null };

export function lockWordsOf(
  {
    authority,
    chains,
    table,
  }: { readonly authority: Authority; readonly chains: AuditChains; readonly table: DeviceTable },
  device: string,
): LockWords {
  const release = chains.release(device);
  const report = chains.state(device)?.report ?? null;
  if (report === null || !authority.hasSeveralGateways) return { release, confirmed: null };
  const { epoch, version, bootCount, logNext, at } = report;
  const by = speakerOf({ authority, table }, device) ?? null;
  return { release, confirmed: { epoch, version, bootCount, logNext, at: Math.floor(at / 1000), by } };
}

/** The gateway whose word on a device counts: who brought a lock's latest report, and who has a networked device. SPEC G24. */
export function speakerOf(
  { authority, table }: { readonly authority: Authority; readonly table: DeviceTable },
  device: string,
): string | undefined {
  const isLock = authority.state.pairings[device] !== undefined;
  const said = isLock ? table.latest(device, "reported")?.body.courier : table.latest(device, "birth")?.body.via;
  return said !== undefined && authority.state.gateways[said] !== undefined ? said : undefined;
}
