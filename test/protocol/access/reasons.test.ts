import { describe, expect, it } from "vitest";
import { credentialKinds } from "../../../protocol/access/credential-kind.ts";
import {
  checkByDenialReason,
  checkNames,
  denialReasons,
  detailToReasons,
  reasonCodes,
  reasonToDetail,
} from "../../../protocol/access/reasons.ts";

describe("the order of reasons", () => {
  it("[D2] the checks stand in their documented order, and reasons in the order of their checks", () => {
    expect(checkNames).toEqual([
      "lock-out",
      "entry-timing",
      "credential",
      "assignment",
      "licence",
      "access-group",
      "validity",
      "lease",
      "clock",
      "schedule",
      "holiday",
      "uses",
      "deadbolt",
      "battery",
    ]);
    const places = denialReasons.map((reason) => checkNames.indexOf(checkByDenialReason[reason]));
    expect(places).toEqual(places.toSorted((left, right) => left - right));
    expect(new Set(places).size).toBe(checkNames.length);
  });
});

describe("Detail texts", () => {
  it.each([
    ["CREDENTIAL_UNASSIGNED", "Invalid RF Card"],
    ["DOOR_LICENSE_EXPIRED", "Door license expired or not activated"],
    ["DOOR_NOT_ACTIVATED", "Door license expired or not activated"],
    ["NO_ACCESS_RIGHTS", "No access permission or door license is not available"],
    ["OUT_OF_SCHEDULE", "No access permission or door license is not available"],
    ["DOOR_NOT_ASSIGNED", "No access permission or door license is not available"],
    ["CREDENTIAL_EXPIRED", "Not within the valid period"],
    ["CREDENTIAL_NOT_YET_ACTIVE", "Not within the valid period"],
    ["HOLIDAY_RESTRICTED", "No access permission during holidays"],
    ["LOCKED_OUT", undefined],
    ["WRONG_LOCK", undefined],
  ] as const)("[D16] %s is shown as %j", (reason, text) => {
    expect(reasonToDetail(reason, "rf-card")).toBe(text);
  });

  it("[D17] every text that is made for a reason reads back as that reason among others", () => {
    let made = 0;
    for (const kind of credentialKinds) {
      for (const reason of reasonCodes) {
        const text = reasonToDetail(reason, kind);
        if (text === undefined) continue;
        made++;
        expect(detailToReasons(text)?.reasons, `${reason} ${kind}`).toContain(reason);
      }
    }
    expect(made).toBe(credentialKinds.length * 12);
  });

  it("[D17] Invalid [Credential Type] is made and read for every kind", () => {
    const texts = credentialKinds.map((kind) => reasonToDetail("CREDENTIAL_UNASSIGNED", kind) ?? "");
    expect(new Set(texts).size).toBe(credentialKinds.length);
    expect(texts.map((text) => detailToReasons(text)?.kind)).toEqual(credentialKinds);
    expect(detailToReasons("invalid pin")?.kind).toBe("pin");
    expect(detailToReasons("Invalid Retina")).toMatchObject({ unknownKind: "retina" });
  });

  it("[D17] one text has four causes, to be looked at licence first, then company, group, schedule", () => {
    expect(detailToReasons("No access permission or door license is not available")?.reasons).toEqual([
      "DOOR_LICENSE_EXPIRED",
      "DOOR_NOT_ACTIVATED",
      "DOOR_NOT_ASSIGNED",
      "NO_ACCESS_RIGHTS",
      "OUT_OF_SCHEDULE",
    ]);
  });

  it.each(["", "Success", "Invalid", "Invalid ", `Invalid ${"x".repeat(60)}`, "No access"])(
    "[D17] %j is no known text",
    (text) => {
      expect(detailToReasons(text)).toBeUndefined();
    },
  );
});
