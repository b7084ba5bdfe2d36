/** How often this agent has started: kept in the gateway's own birth. */
import { utf8 } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { birthSchema } from "../../protocol/wire/messages/birth.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import type { Store } from "../ports/store.ts";

/** Counts this start, and gives its number once that is on disk; the first is 1. */
export async function nextBootCount(store: Store, gateway: DeviceId): Promise<number> {
  const stored = (await store.readDocuments("birth")).find(({ device }) => device === gateway);
  const read = stored === undefined ? undefined : parsePayload(birthSchema, utf8(stored.body));
  const bootCount = (read?.ok === true ? read.value.bootCount : 0) + 1;
  const birth = { v: 1 as const, device: gateway, model: "gateway", bootCount, firmware: null, hardware: null };
  await store.putDocuments([{ kind: "birth", device: gateway, body: formatPayload(birthSchema, birth) }]);
  return bootCount;
}
