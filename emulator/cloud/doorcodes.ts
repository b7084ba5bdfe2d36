/**
 * Daily doorcodes as the authority gives them out: a slot of the day to a resident, remembered by its slot and never by its
 * code. A code is derived when it is needed and lives in the answer alone.
 */
import { assert, failed, ok, type Result } from "../../protocol/base/result.ts";
import { localDay, type UnixSeconds } from "../../protocol/base/units.ts";
import { type AllotFault, allotDailyCode } from "../../protocol/doorcode/allot.ts";
import { type DailyMode, type DailyRules, type DailySlot, dailyCodes } from "../../protocol/doorcode/daily-code.ts";
import { modelByName } from "../../protocol/firmware/models.ts";
import { activeDevices, doorcodeIssuer, hasKey, isRevoked, personById } from "../../protocol/site/rights.ts";
import type { Door, Site, SiteDevice } from "../../protocol/site/site.ts";
import { dayStart, localDayText, siteDay } from "../../protocol/site/zone.ts";
import { type Authority, keyEpoch } from "./authority.ts";
import type { GivenCode } from "./calls.ts";
import { permanentCodesAmong } from "./permanent-codes.ts";

/** The locks of a door on which a daily code can work now: in service, able to take one, and holding the door's key. */
export function doorcodeLocks(authority: Authority, door: string): readonly SiteDevice[] {
  const { site, state } = authority;
  if (site === undefined) return [];
  return activeDevices(site, door).filter(({ id, model }) => {
    const { takes, network } = modelByName[model];
    const holdsKey = network !== "ble" || state.pairings[id] !== undefined;
    return takes.includes("daily-doorcode") && holdsKey;
  });
}

/** Gives a person a code for a door, for today; it opens once unless `mode` says otherwise. Faults: those of `allotDailyCode`. */
export function issueDailyCode(
  authority: Authority,
  request: { readonly door: string; readonly person: string; readonly mode?: DailyMode },
): Result<GivenCode & { readonly door: string; readonly slot: DailySlot }, AllotFault> {
  const { site } = authority;
  const now = authority.now();
  const door = site?.doors.find(({ id }) => id === request.door);
  // A door that is no longer in the site has no device either.
  if (site === undefined || door === undefined) return failed({ code: "NO_ACTIVE_DEVICE" });
  const today = siteDay(site.timeZone, now);
  const doorKey = authority.keys.dailyKey(door.id, keyEpoch);
  const rules = dailyRulesOf(site, door);
  const allotted = allotDailyCode(
    { issuer: doorcodeIssuer(site, request.person, door.id, now), localDay: today, mode: request.mode ?? "single-use" },
    {
      doorKey,
      rules,
      activeDevices: doorcodeLocks(authority, door.id).length,
      today,
      taken: authority.state.allotments.filter((each) => each.door === door.id && each.localDay === today),
      permanentCodes: permanentCodesAmong(
        authority,
        door.id,
        dailyCodes(doorKey, today, rules).map(({ code }) => code),
      ),
    },
  );
  if (!allotted.ok) return allotted;
  const { mode, slot, code } = allotted.value;
  // Remembered before it is told: a slot given out twice would be two visitors with one single-use code.
  authority.recordAllotment({ door: door.id, localDay: today, mode, slot, person: request.person, at: now });
  const until = dayStart(site.timeZone, localDay(today + 1));
  return ok({
    code,
    door: door.id,
    validOn: localDayText(today),
    until,
    singleUse: mode === "single-use",
    slot: { localDay: today, mode, slot },
  });
}

export interface OwnCode {
  readonly doors: readonly string[];
  readonly code: string;
}

/** A resident's own permanent doorcodes, for the app; none of a revoked person, none that is not in force. */
export function ownCodes(site: Site, personId: string, now: UnixSeconds): readonly OwnCode[] {
  const person = personById(site, personId);
  if (person === undefined || isRevoked(person, now)) return [];
  const keyedDoors = site.doors.map(({ id }) => id).filter((door) => hasKey(site, personId, door, now));
  return site.credentials
    .filter((each) => each.person === personId && each.kind === "permanent-doorcode" && each.state === "active")
    .map(({ digits, doors }) => {
      assert(digits !== undefined, "a permanent doorcode has digits");
      return { doors: doors ?? keyedDoors, code: digits };
    });
}

function dailyRulesOf(site: Site, door: Door): DailyRules {
  return {
    dailyDigits: site.doorcodeDigits,
    singleUseSlots: door.dailySlots.singleUse,
    allDaySlots: door.dailySlots.allDay,
  };
}
