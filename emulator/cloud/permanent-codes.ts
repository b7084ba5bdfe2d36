/**
 * Permanent codes as the authority remembers them for each lock: by the keyed lookups of its policies, never by their digits. A lock
 * that was not visited may hold any version from the last that it confirmed to the newest signed, so what stood in one of
 * them is no daily code either (SPEC C5).
 */
import { presentationLookup } from "../../protocol/access/lookup.ts";
import { decodePolicy, type LockPolicy } from "../../protocol/access/policy.ts";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { assert } from "../../protocol/base/result.ts";
import type { Site } from "../../protocol/site/site.ts";
import type { AuthorityState, PolicyState } from "./authority-state.ts";

/** What of the authority is asked. */
export interface CodeKeeper {
  readonly site: Site | undefined;
  readonly state: Pick<AuthorityState, "policies">;
  /** Under which a device finds codes; undefined for one that holds none. */
  codeHashKey(device: string): Uint8Array | undefined;
}

type FormerCode = PolicyState["formerCodes"][number];

/** The codes of former versions after `newest` has followed on `former`. */
export function addFormerCodes(kept: readonly FormerCode[], former: LockPolicy, newest: LockPolicy): FormerCode[] {
  const held = new Set(keypadLookups(newest).map(bytesToHex));
  const gone = keypadLookups(former).filter((lookup) => !held.has(bytesToHex(lookup)));
  const { version } = former;
  return [...kept, ...gone.map((lookup) => ({ lookup, version }))].slice(-formerCodesMax);
}

/** What is left when the lock has reported that it holds `confirmed`: it holds nothing older any more. */
export function dropFormerCodes(kept: readonly FormerCode[], confirmed: number): FormerCode[] {
  return kept.filter(({ version }) => version >= confirmed);
}

/** Those of `codes` that are a permanent code of some policy version that a lock of the door may hold. */
export function permanentCodesAmong(
  authority: CodeKeeper,
  door: string,
  codes: readonly string[],
): ReadonlySet<string> {
  const { site, state } = authority;
  const found = new Set((site?.credentials ?? []).flatMap(({ digits }) => digits ?? []));
  for (const { id } of site?.devices.filter((device) => device.door === door) ?? []) {
    const policy = state.policies[id];
    const codeHashKey = authority.codeHashKey(id);
    if (policy === undefined || codeHashKey === undefined) continue;
    const newest = decodePolicy(policy.bundle);
    assert(newest.ok, "the authority reads its own policies");
    const lookups = [...keypadLookups(newest.value), ...policy.formerCodes.map(({ lookup }) => lookup)];
    const held = new Set(lookups.map(bytesToHex));
    for (const code of codes) {
      if (held.has(bytesToHex(presentationLookup(codeHashKey, "keypad", code)))) found.add(code);
    }
  }
  return found;
}

function keypadLookups({ credentials }: LockPolicy): Uint8Array[] {
  return credentials.flatMap(({ keypadLookup }) => keypadLookup ?? []);
}

/** Twice what one policy can hold. Beyond it the oldest go: to meet one of those by chance is one in a thousand at the most. */
const formerCodesMax = 10_000;
