/** The firmware table: what is shipped, what an operator adds, and what a lock can do with its firmware. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  floorIn,
  floorTableSchema,
  judgeGates,
  shippedFloorTable,
  withOwnFloors,
} from "../../../protocol/firmware/floor-table.ts";
import { modelByName, modelNames } from "../../../protocol/firmware/models.ts";
import { judgeFirmware } from "../../../protocol/firmware/version.ts";
import { formatMistake, parseDocument } from "../../../protocol/site/document.ts";

const shippedText = readFileSync(new URL("../../../protocol/firmware/floors.yaml", import.meta.url), "utf8");

function mistakesOf(text: string): readonly string[] {
  const read = parseDocument(text, floorTableSchema);
  return read.ok ? [] : read.fault.mistakes.map(formatMistake);
}

describe("the shipped table", () => {
  it("[F7] is the YAML file, line for line", () => {
    const read = parseDocument(shippedText, floorTableSchema);
    expect(read.ok && read.value.value).toEqual(shippedFloorTable);
  });

  it("[F7] rows 84-88: has the floor of each of the five readers, with source and month, and the models have the same", () => {
    const floors = Object.fromEntries(shippedFloorTable.floors.map(({ model, version }) => [model, version]));
    expect(floors).toEqual({
      A08: "108.30.11.210",
      EC33: "33.30.1.107",
      R20: "320.30.12.16",
      R29: "29.30.10.712",
      X915V2: "2915.30.10.707",
    });
    for (const name of modelNames) expect(modelByName[name].floor).toEqual(floorIn(shippedFloorTable, name));
    for (const { source, readOn } of [...shippedFloorTable.floors, ...shippedFloorTable.gates]) {
      expect(source.length).toBeGreaterThan(10);
      expect(readOn).toMatch(/^20[0-9]{2}-[0-9]{2}$/);
    }
  });
});

describe("an operator's own table", () => {
  const own = floorTableSchema.parse({
    floors: [
      { model: "R20", version: "320.30.12.40", source: "the maker's letter", readOn: "2027-01" },
      { model: "C1", version: "2.0.9", source: "the maker's letter", readOn: "2027-01" },
    ],
  });

  it("[F7] its lines come before the shipped ones, and the rest stays", () => {
    const table = withOwnFloors(own);
    const judge = (name: "R20" | "C1" | "A08", version: string) =>
      judgeFirmware(name, version, floorIn(table, name)).verdict;
    expect([judge("R20", "320.30.12.39"), judge("R20", "320.30.12.40")]).toEqual(["below floor", "ok"]);
    expect([judge("C1", "2.0.8"), judge("A08", "108.30.11.210")]).toEqual(["below floor", "ok"]);
    expect(judgeGates(table, "C1", "2.0.8")).toMatchObject([{ verdict: "able" }]);
  });

  it("[F7] all of its mistakes are said at once, each with its line", () => {
    const text = `floors:
  - model: R21
    version: 320.30.12.16
    source: a letter
    readOn: 2027-01
  - model: R20
    version: newest
    source: ""
    readOn: January
  - model: A08
    version: 108.30.11.211
    source: a letter
    readOn: 2027-01
  - model: A08
    version: 108.30.11.212
    source: a letter
    readOn: 2027-01
gates:
  - capability: open-doors
    models: []
    version: 2.0.7
    source: a letter
    readOn: 2027-01
extra: 1
`;
    const mistakes = mistakesOf(text);
    const places = mistakes.map((mistake) => mistake.split(" ").slice(0, 2).join(" "));
    expect(places).toEqual([
      "2:12 floors[0].model:",
      "7:14 floors[1].version:",
      "8:13 floors[1].source:",
      "9:13 floors[1].readOn:",
      "19:17 gates[0].capability:",
      "20:13 gates[0].models:",
      "24:8 extra:",
    ]);
    const once = text.replace("R21", "R29").replace("newest", "1.2.3").replace('""', "b").replace("January", "2027-01");
    expect(mistakesOf(once.split("gates:")[0] ?? "")).toEqual([
      "14:5 floors[3]: expected one line for each model, came a map",
    ]);
  });
});

describe("gates", () => {
  it.each([
    ["2.0.7", "able"],
    ["2.0.8", "able"],
    ["2.1.0", "able"],
    ["10.0.0", "able"],
    ["2.0.6", "needs newer firmware"],
    ["1.9.9", "needs newer firmware"],
    ["2.0", "unknown"],
    ["G 2.0.7", "unknown"],
    [undefined, "unknown"],
  ] as const)("[F6] short doorcodes on firmware %s: %s", (version, verdict) => {
    expect(judgeGates(shippedFloorTable, "M2", version)).toMatchObject([{ capability: "short-doorcodes", verdict }]);
  });

  it("[F6] a model without a gate has none", () => {
    expect(judgeGates(shippedFloorTable, "R20", "320.30.12.16")).toEqual([]);
  });
});
