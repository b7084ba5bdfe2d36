/**
 * Firmware versions: grammar, comparison, and what a version says about a device (SPEC F1-F5).
 *
 * A version is whole numbers joined by dots. The first number is the model's code, so versions that differ in it belong to
 * different models and are not comparable; neither is older. What is missing or cannot be read is unknown and never passes.
 */
import { failed, ok, type Result } from "../base/result.ts";
import { type FirmwareFloor, type ModelName, modelByName } from "./models.ts";

export type FirmwareVersion = readonly number[];

export type VersionFault = { readonly code: "not-a-version"; readonly length: number };

/** Reads `29.30.10.712`: 2-6 segments of 1-9 digits. Anything else is the fault not-a-version. Source: SPEC F1. */
export function parseVersion(text: string): Result<FirmwareVersion, VersionFault> {
  if (text.length > versionCharactersMax || !versionPattern.test(text)) {
    return failed({ code: "not-a-version", length: text.length });
  }
  return ok(text.split(".").map(Number));
}

/**
 * Compares segment by segment as whole numbers. Undefined when one version ends while the other goes on and all before was
 * equal: the missing segments are not known, so neither is the order. Source: SPEC F2.
 */
export function compareVersions(left: FirmwareVersion, right: FirmwareVersion): -1 | 0 | 1 | undefined {
  const length = Math.max(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const ours = left[index];
    const theirs = right[index];
    if (ours === undefined || theirs === undefined) return undefined;
    if (ours !== theirs) return ours < theirs ? -1 : 1;
  }
  return 0;
}

export type FirmwareVerdict = "ok" | "below floor" | "unknown" | "not comparable" | "no floor known" | "not applicable";

export interface FirmwareJudgement {
  readonly verdict: FirmwareVerdict;
  readonly model: ModelName;
  /** As the device wrote it; absent when it has not reported one. */
  readonly reported?: string;
  readonly floor?: FirmwareFloor;
}

/** Judges what a device of `model` reported (undefined: nothing yet). Source: SPEC F3-F4, F7; floors: CHECKLIST rows 84-88. */
export function judgeFirmware(
  model: ModelName,
  reported: string | undefined,
  floor: FirmwareFloor | undefined = modelByName[model].floor,
): FirmwareJudgement {
  return {
    verdict: verdictOf(model, reported, floor),
    model,
    ...(reported === undefined ? {} : { reported }),
    ...(floor === undefined ? {} : { floor }),
  };
}

/**
 * Whether a denial that comes from this firmware carries its reason (row 89): from its floor on it does, below it does not.
 * A model without a known floor speaks this project's protocol, where every denial has a reason.
 */
export function reportsReason(judgement: FirmwareJudgement): "reported" | "not reported" | "not known" {
  switch (judgement.verdict) {
    case "ok":
    case "no floor known":
      return "reported";
    case "below floor":
    case "not applicable":
      return "not reported";
    case "unknown":
    case "not comparable":
      return "not known";
  }
}

function verdictOf(model: ModelName, reported: string | undefined, floor: FirmwareFloor | undefined): FirmwareVerdict {
  const { network } = modelByName[model];
  if (network === "passive") return "not applicable";
  if (floor === undefined) return "no floor known";
  if (reported === undefined) return "unknown";
  const version = parseVersion(reported);
  const least = parseVersion(floor.version);
  if (!version.ok || !least.ok) return "unknown";
  // SPEC F3: the model code decides first whether the two may be compared at all.
  if (version.value[0] !== least.value[0]) return "not comparable";
  const order = compareVersions(version.value, least.value);
  if (order === undefined) return "unknown";
  return order < 0 ? "below floor" : "ok";
}

const versionPattern = /^[0-9]{1,9}(\.[0-9]{1,9}){1,5}$/;
/** Six segments of nine digits and their dots; a longer text is not worth looking at. */
const versionCharactersMax = 59;
