import { describe, expect, it } from "vitest";
import {
  bacnetToReasons,
  mappingSource,
  matterErrorToReasons,
  onvifToReasons,
  reasonToStandards,
  vendorReason,
} from "../../../protocol/access/reason-standards.ts";
import { reasonCodes } from "../../../protocol/access/reasons.ts";
import { remedyOf } from "../../../protocol/access/remedies.ts";

describe("reasons in other standards", () => {
  it.each([
    ["CREDENTIAL_EXPIRED", "CredentialExpired", 3, 152],
    ["CREDENTIAL_NOT_YET_ACTIVE", "CredentialNotActive", 3, 151],
    ["OUT_OF_SCHEDULE", "NotPermittedAtThisTime", 3, 136],
    ["HOLIDAY_RESTRICTED", "NotPermittedAtThisTime", 3, 136],
    ["NO_ACCESS_RIGHTS", "Unauthorized", 1, 134],
    ["INSUFFICIENT_BATTERY", "Other", 4, undefined],
    ["WRONG_LOCK", "Unauthorized", 1, 139],
    ["DOOR_LICENSE_EXPIRED", "Other", 0, 10],
  ] as const)("[D18] %s: ONVIF %s, Matter %s, BACnet %s", (reason, onvif, matter, bacnet) => {
    const codes = reasonToStandards(reason);
    expect(codes.onvif?.code).toMatchObject({ reason: onvif });
    expect(codes.matter?.code).toEqual({ operationError: matter });
    expect(codes.bacnet?.code).toBe(bacnet);
  });

  it("[D18] what no standard can say is said to have no word", () => {
    const wordless = reasonCodes.filter((reason) => {
      const { onvif, matter, bacnet } = reasonToStandards(reason);
      return [onvif, matter, bacnet].every((code) => code === undefined || code.lossy);
    });
    expect(wordless).toContain("DEVICE_CLOCK_WRONG");
    expect(wordless).toContain("CREDENTIAL_NOT_SYNCED");
    expect(reasonToStandards("DEVICE_CLOCK_WRONG")).toEqual({ onvif: undefined, matter: undefined, bacnet: undefined });
  });

  it("[D18] each mapping cites the standard's own word for its code, and where that stands", () => {
    for (const reason of reasonCodes) {
      const codes = reasonToStandards(reason);
      for (const standard of ["onvif", "matter", "bacnet"] as const) {
        const said = mappingSource(reason, standard);
        expect(said === undefined, `${reason} ${standard}`).toBe(codes[standard] === undefined);
        if (said !== undefined) expect(said).toMatch(/^\S.*: (ONVIF|Matter|ANSI\/ASHRAE 135).*\)$/);
      }
      if (codes.bacnet !== undefined) expect(mappingSource(reason, "bacnet")).toContain(`(${codes.bacnet.code})`);
    }
    expect(mappingSource("LOCKED_OUT", "matter")).toContain("AlarmCodeEnum WrongCodeEntryLimit (4)");
    expect(mappingSource("WRONG_LOCK", "bacnet")).toContain("denied-unexpected-location-usage (139)");
  });

  it.each([
    ["WRONG_LOCK", 139],
    ["CREDENTIAL_REVOKED", 153],
    ["CREDENTIAL_NOT_AUTHENTIC", 132],
  ] as const)("[D18] %s is near BACnet's %i and no more", (reason, code) => {
    expect(reasonToStandards(reason).bacnet).toEqual({ code, lossy: true });
  });

  it("[D18] two reasons that share a code are not both exact", () => {
    const exactByCode = new Map<string, string[]>();
    for (const reason of reasonCodes) {
      for (const [name, code] of Object.entries(reasonToStandards(reason))) {
        if (code === undefined || code.lossy) continue;
        const key = `${name} ${JSON.stringify(code.code)}`;
        exactByCode.set(key, [...(exactByCode.get(key) ?? []), reason]);
      }
    }
    const shared = [...exactByCode].filter(([, reasons]) => reasons.length > 1);
    // Of a daily code the same is true as of any credential: it is over, or has not begun.
    expect(shared.map(([key]) => key)).toEqual([
      'onvif {"reason":"CredentialNotActive"}',
      'onvif {"reason":"CredentialExpired"}',
    ]);
  });

  it("[D18] every code reads back as the reason it was made for, among others", () => {
    for (const reason of reasonCodes) {
      const { onvif, matter, bacnet } = reasonToStandards(reason);
      if (bacnet !== undefined) expect(bacnetToReasons(bacnet.code)).toContain(reason);
      if (matter !== undefined && "operationError" in matter.code) {
        expect(matterErrorToReasons(matter.code.operationError)).toContain(reason);
      }
      if (onvif !== undefined && "reason" in onvif.code) expect(onvifToReasons(onvif.code.reason)).toContain(reason);
      expect(onvifToReasons(vendorReason(reason))).toEqual([reason]);
    }
  });

  it("[D18] an exact meaning comes before a near one, and text that ONVIF does not know is Other", () => {
    expect(bacnetToReasons(152)[0]).toBe("CREDENTIAL_EXPIRED");
    expect(matterErrorToReasons(1)[0]).toBe("CREDENTIAL_UNKNOWN");
    expect(bacnetToReasons(999)).toEqual([]);
    expect(onvifToReasons("SomeVendor:Word")).toEqual(onvifToReasons("Other"));
    expect(onvifToReasons("doorlink:NO_SUCH")).toEqual(onvifToReasons("Other"));
  });

  it("[D18] every reason has a remedy of one line", () => {
    for (const reason of reasonCodes) expect(remedyOf(reason)).toMatch(/^[A-Z].{10,110}\.$/);
  });
});
