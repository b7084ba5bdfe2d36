/**
 * The table of firmware versions by model: floors, from which a device reports the reason of a denial, and gates, from which a lock can do
 * something more. Shipped as `floors.yaml`; an operator's own table has the same shape and its lines come first. SPEC F4, F6, F7.
 */
import { z } from "zod";
import { shippedFloors } from "./floors.ts";
import { type FirmwareFloor, type ModelName, modelNames } from "./models.ts";
import { compareVersions, parseVersion } from "./version.ts";

/** What some firmware cannot do yet. `short-doorcodes`: doorcodes of fewer than 7 digits. */
export const capabilities = ["short-doorcodes"] as const;
export type Capability = (typeof capabilities)[number];

/** Doorcodes of fewer digits than this are short. */
export const FULL_DOORCODE_DIGITS = 7;

const model = z.enum(modelNames);
const version = z
  .string()
  .refine((text) => parseVersion(text).ok, "a version of 2 to 6 numbers joined by dots, such as 29.30.10.712");
const origin = {
  source: z.string().min(1).max(200),
  readOn: z.string().regex(/^[0-9]{4}-(0[1-9]|1[0-2])$/, "the month in which the source was read, such as 2026-11"),
};

export const floorTableSchema = z.strictObject({
  floors: z
    .array(z.strictObject({ model, version, ...origin }))
    .max(100)
    .default([])
    .superRefine(refuseTwice(({ model: name }) => name, "one line for each model")),
  gates: z
    .array(
      z.strictObject({ capability: z.enum(capabilities), models: z.array(model).min(1).max(50), version, ...origin }),
    )
    .max(100)
    .default([])
    .superRefine(refuseTwice(({ capability, models }) => `${capability} ${models.join(" ")}`, "each line once")),
});
export type FloorTable = z.output<typeof floorTableSchema>;
export type CapabilityGate = FloorTable["gates"][number];

export const shippedFloorTable: FloorTable = floorTableSchema.parse(shippedFloors);

/** The operator's lines before the shipped ones: the first that names a model counts. */
export function withOwnFloors(own: FloorTable): FloorTable {
  return {
    floors: [...own.floors, ...shippedFloorTable.floors],
    gates: [...own.gates, ...shippedFloorTable.gates],
  };
}

export function floorIn(table: FloorTable, name: ModelName): FirmwareFloor | undefined {
  const found = table.floors.find(({ model: each }) => each === name);
  return found === undefined ? undefined : { version: found.version, source: found.source, readOn: found.readOn };
}

export interface GateJudgement {
  readonly capability: Capability;
  /** `unknown`: no version was reported, or its order is not known. */
  readonly verdict: "able" | "needs newer firmware" | "unknown";
  readonly version: string;
  readonly source: string;
}

/** What a device of this model can do with the firmware that it reported (undefined: none yet). Source: SPEC F6. */
export function judgeGates(table: FloorTable, name: ModelName, reported: string | undefined): readonly GateJudgement[] {
  return capabilities.flatMap((capability) => {
    const gate = table.gates.find((each) => each.capability === capability && each.models.includes(name));
    if (gate === undefined) return [];
    const { version: least, source } = gate;
    return [{ capability, verdict: gateVerdict(least, reported), version: least, source }];
  });
}

/** No model code leads these versions, so all of one model are comparable. */
function gateVerdict(least: string, reported: string | undefined): GateJudgement["verdict"] {
  const [needed, has] = [parseVersion(least), parseVersion(reported ?? "")];
  if (!needed.ok || !has.ok) return "unknown";
  const order = compareVersions(has.value, needed.value);
  if (order === undefined) return "unknown";
  return order < 0 ? "needs newer firmware" : "able";
}

function refuseTwice<Line>(nameOf: (line: Line) => string, expected: string) {
  return (lines: readonly Line[], context: z.RefinementCtx): void => {
    for (const [at, line] of lines.entries()) {
      if (lines.findIndex((other) => nameOf(other) === nameOf(line)) === at) continue;
      context.addIssue({ code: "custom", path: [at], message: expected });
    }
  };
}
