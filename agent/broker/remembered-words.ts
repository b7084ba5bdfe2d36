/**
 * What an external broker gives out of its memory when the gateway subscribes: retained words of a device, said at some earlier time.
 * They tell what is, unless something later is known already (a broker that was restored from a snapshot gives old ones); they
 * never say that the device was heard now. Pure. SPEC B14.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId, UnixSeconds } from "../../protocol/base/units.ts";
import { birthSchema } from "../../protocol/wire/messages/birth.ts";
import { type Health, healthSchema } from "../../protocol/wire/messages/health.ts";
import { type Reported, reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { stateSchema } from "../../protocol/wire/messages/state.ts";
import { type PayloadFault, parsePayload } from "../../protocol/wire/payload.ts";
import { type DeviceWords, emptyHealth } from "../devices.ts";
import type { IntakeChannel } from "../ports/site-broker.ts";

export type RememberedFault =
  | PayloadFault
  | { readonly code: "another-device"; readonly named: string }
  /** An event or a result: these are never retained (SPEC T3), so a broker that has one in its memory was made to. */
  | { readonly code: "not-retained" };

/** The words that are news beside `held`; undefined: none. Faults: those of the payload, another-device, not-retained. */
export function readRemembered(
  device: DeviceId,
  channel: IntakeChannel,
  payload: Uint8Array,
  held: DeviceWords,
  now: UnixSeconds,
): Result<Partial<DeviceWords> | undefined, RememberedFault> {
  switch (channel) {
    case "birth":
      return readAs(device, parsePayload(birthSchema, payload), (birth) => {
        if (birth.bootCount < (held.birth?.bootCount ?? 0) || isSame(birth, held.birth)) return undefined;
        const health = held.health ?? emptyHealth(device, now);
        const firmware = birth.firmware === null ? health.firmware : { version: birth.firmware, at: now };
        return { birth, health: { ...health, firmware, bootCount: birth.bootCount } };
      });
    case "state":
      return readAs(device, parsePayload(stateSchema, payload), (state) => {
        const words = { ...state, heardAt: held.state?.heardAt ?? null };
        return isSame(words, held.state) ? undefined : { state: words };
      });
    case "health":
      return readAs(device, parsePayload(healthSchema, payload), (health) =>
        isLaterHealth(health, held.health)
          ? { health: { ...health, firmware: health.firmware ?? held.health?.firmware ?? null } }
          : undefined,
      );
    case "reported":
      return readAs(device, parsePayload(reportedSchema, payload), (reported) =>
        isLaterReport(reported, held.reported) ? { reported } : undefined,
      );
    case "event":
    case "result":
      return failed({ code: "not-retained" });
  }
}

function readAs<Message extends { readonly device: DeviceId }>(
  device: DeviceId,
  read: Result<Message, PayloadFault>,
  newsOf: (message: Message) => Partial<DeviceWords> | undefined,
): Result<Partial<DeviceWords> | undefined, RememberedFault> {
  if (!read.ok) return read;
  if (read.value.device !== device) return failed({ code: "another-device", named: read.value.device });
  return ok(newsOf(read.value));
}

/** By boot and uptime, which do not run backwards; a device's clock may. */
function isLaterHealth(health: Health, held: Health | null): boolean {
  if (held === null) return true;
  const [boot, heldBoot] = [health.bootCount ?? 0, held.bootCount ?? 0];
  if (boot !== heldBoot) return boot > heldBoot;
  return (health.uptimeSeconds ?? 0) > (held.uptimeSeconds ?? -1);
}

/** By the place in its log, which does not run backwards either. A courier's report is none of the device itself (SPEC M14). */
function isLaterReport(reported: Reported, held: Reported | null): boolean {
  if (reported.courier !== undefined) return false;
  if (held === null) return true;
  return reported.logNext >= held.logNext && reported.at > held.at;
}

function isSame(one: object, other: object | null): boolean {
  return other !== null && JSON.stringify(one) === JSON.stringify(other);
}
