import { describe, expect, it } from "vitest";
import { entryTag } from "../../../protocol/access/lookup.ts";
import { type IssuedCode, refineUnknown } from "../../../protocol/access/refine.ts";
import { localDay } from "../../../protocol/base/units.ts";
import { entryTagKey } from "../site/fixtures.ts";

const today = localDay(20_781);
const issued = (differing: Partial<IssuedCode> = {}): IssuedCode => ({
  doorId: "lobby",
  code: "1234567",
  localDay: today,
  mode: "single-use",
  slot: 0,
  used: false,
  ...differing,
});
const denied = { entryTag: entryTag(entryTagKey, "1234567"), doorId: "lobby", localDay: today };
const held = (doorId: string) => ({ doorId, credentialId: "alice-code", digits: "1234567" });

describe("refining an unknown code", () => {
  it.each([
    ["another door's code of that day", [issued({ doorId: "garage" })], [], "WRONG_LOCK"],
    ["yesterday's code", [issued({ localDay: localDay(20_780) })], [], "DOORCODE_EXPIRED"],
    ["tomorrow's code", [issued({ localDay: localDay(20_782) })], [], "DOORCODE_NOT_YET_VALID"],
    ["a code already used", [issued({ used: true })], [], "DOORCODE_ALREADY_USED"],
    ["a good code that the lock did not know", [issued()], [], "CREDENTIAL_NOT_SYNCED"],
    ["a new permanent code", [], [held("lobby")], "CREDENTIAL_NOT_SYNCED"],
    ["another door's permanent code", [], [held("garage")], "WRONG_LOCK"],
    ["nobody's code", [issued({ code: "7654321" })], [], "CREDENTIAL_UNKNOWN"],
    ["this door before others", [issued({ doorId: "garage" }), issued({ used: true })], [], "DOORCODE_ALREADY_USED"],
    ["the nearest day", [issued({ localDay: localDay(20_700) }), issued({ used: true })], [], "DOORCODE_ALREADY_USED"],
  ] as const)("[D15] %s", (_, codes, permanent, reason) => {
    expect(refineUnknown(denied, entryTagKey, codes, permanent).reason).toBe(reason);
  });

  it("[C6] under another lock's key the tag says nothing", () => {
    const otherKey = entryTagKey.map((byte) => byte ^ 1);
    expect(refineUnknown(denied, otherKey, [issued()], [held("lobby")])).toEqual({ reason: "CREDENTIAL_UNKNOWN" });
  });
});
