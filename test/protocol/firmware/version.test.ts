import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelByName, modelNames } from "../../../protocol/firmware/models.ts";
import { compareVersions, judgeFirmware, parseVersion, reportsReason } from "../../../protocol/firmware/version.ts";

describe("version grammar", () => {
  it.each([
    ["29.30.10.712", [29, 30, 10, 712]],
    ["2915.30.10.707", [2915, 30, 10, 707]],
    ["1.0", [1, 0]],
    ["29.030.10.0712", [29, 30, 10, 712]],
  ])("[F1] %s reads as whole numbers", (text, segments) => {
    expect(parseVersion(text)).toEqual({ ok: true, value: segments });
  });

  it.each([
    "",
    "29",
    "29.",
    ".29",
    "29..30",
    "29.30.10.712-beta",
    "v29.30",
    "29.30 ",
    "G 2.0.7",
    "1.2.3.4.5.6.7",
    "29.1234567890",
    "29.-1",
    "29.1e3",
    "२९.३०",
  ])("[F1] %j is no version", (text) => {
    expect(parseVersion(text)).toEqual({ ok: false, fault: { code: "not-a-version", length: text.length } });
  });

  it("[F1] any text gives a version or a fault", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,20}$/)), (text) => {
        const read = parseVersion(text);
        if (read.ok) expect(read.value.every(Number.isSafeInteger)).toBe(true);
      }),
    );
  });

  it.each([
    ["29.30.10.712", "29.30.10.712", 0],
    ["29.30.9.999", "29.30.10.0", -1],
    ["29.30.10.1000", "29.30.10.712", 1],
    ["29.31", "29.30.10.712", 1],
    ["29.29", "29.30.10.712", -1],
    ["29.30.10", "29.30.10.712", undefined],
    ["29.30.10.712.1", "29.30.10.712", undefined],
  ])("[F2] %s against %s is %s", (left, right, order) => {
    const [ours, theirs] = [parseVersion(left), parseVersion(right)];
    if (!ours.ok || !theirs.ok) throw new Error("both are versions");
    expect(compareVersions(ours.value, theirs.value)).toBe(order);
  });
});

describe("judgement", () => {
  it.each([
    ["A08", "108.30.11.209", "below floor"],
    ["EC33", "29.30.10.712", "not comparable"],
    ["EC33", "9999.0.0.0", "not comparable"],
    ["R20", "320.30.12", "unknown"],
    ["R29", "latest", "unknown"],
    ["R29", undefined, "unknown"],
    ["C2", undefined, "no floor known"],
    ["C2", "2.1.0", "no floor known"],
    ["DOOR Link", undefined, "not applicable"],
  ] as const)("[F3] %s reporting %s is %s", (model, reported, verdict) => {
    const judgement = judgeFirmware(model, reported);
    expect(judgement.verdict).toBe(verdict);
    expect(judgement.reported).toBe(reported);
    expect(judgement.floor).toEqual(modelByName[model].floor);
  });

  it("[F4] a denial carries its reason from the floor on and not below it", () => {
    expect(reportsReason(judgeFirmware("R29", "29.30.10.712"))).toBe("reported");
    expect(reportsReason(judgeFirmware("R29", "29.30.10.711"))).toBe("not reported");
    expect(reportsReason(judgeFirmware("R29", undefined))).toBe("not known");
    expect(reportsReason(judgeFirmware("R29", "320.30.12.16"))).toBe("not known");
    expect(reportsReason(judgeFirmware("C2", undefined))).toBe("reported");
    expect(reportsReason(judgeFirmware("DOOR Link", undefined))).toBe("not reported");
  });
});

describe("models", () => {
  it("[F5] row 128: each model's abilities are those of its article", () => {
    const keyless = modelNames.filter((name) => !modelByName[name].mechanicalKey);
    expect(keyless).toEqual(["C2", "R2", "A08", "EC33", "R20", "R29", "X915V2", "DOOR Link"]);
    const withCards = modelNames.filter((name) => modelByName[name].takes.includes("keycard"));
    expect(withCards).toEqual(["C2", "M2", "R2", "Interconnect", "A08", "EC33", "R20", "R29", "X915V2"]);
    expect(modelNames.filter((name) => modelByName[name].network === "ble")).toEqual([
      "C1",
      "C2",
      "M2",
      "Interconnect",
    ]);
    expect(modelNames.filter((name) => modelByName[name].hasLicences)).toEqual(["A08", "EC33", "R20", "R29", "X915V2"]);
    expect(modelNames.filter((name) => modelByName[name].deadboltRefusesDaily)).toEqual(["M2"]);
    expect(modelByName.C1.relockSeconds).toBeUndefined();
    expect(modelByName.C1.checkMarkKey).toBe(true);
    // Published of DOOR's locks; of readers nothing is.
    const sleeping = modelNames.filter((name) => modelByName[name].keypadWake === "any-key");
    expect(sleeping).toEqual(["C1", "C2", "M2", "R2", "Interconnect"]);
    const assumed = modelNames.filter((name) => modelByName[name].keypadWakeEvidence === "assumed");
    expect(assumed).toEqual(["A08", "EC33", "R20", "R29", "X915V2"]);
  });

  it("[F5] a model has a mechanical key exactly when it takes one", () => {
    for (const name of modelNames) {
      expect(modelByName[name].takes.includes("mechanical-key"), name).toBe(modelByName[name].mechanicalKey);
    }
  });
});
