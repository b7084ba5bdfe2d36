import { describe, expect, it } from "vitest";
import { csvCell, csvColumns, csvHead, csvLines } from "../../../agent/commands/log-csv.ts";
import { logEntryView } from "../../../agent/http/views.ts";

const entry = logEntryView.parse({
  device: "gate-r29",
  door: "gate",
  doorName: 'Street "gate", north',
  receivedAt: Date.UTC(2026, 10, 20, 8) / 1000,
  boot: 2,
  sequence: 17,
  kind: "access-denied",
  at: { unixSeconds: Date.UTC(2026, 10, 20, 7, 59) / 1000, quality: "lower-bound" },
  person: "bob",
  personName: "Bob\r\nBoone",
  reason: "OUT_OF_SCHEDULE",
  failedChecks: ["OUT_OF_SCHEDULE", "HOLIDAY_RESTRICTED"],
  detail: '=HYPERLINK("http://x")',
  facts: { before: 3, after: 4 },
});

describe("the door log as CSV", () => {
  it("row 91: columns keep their names and their order: others' spreadsheets stand on them", () => {
    expect(csvHead).toBe(
      "received_at,device,door,door_name,boot,sequence,event,device_time,device_clock,person,person_name,erased,credential,credential_type,reason,failed_checks,reason_absent,warnings,detail,facts\r\n",
    );
  });

  it("rows 91, 92: a whole entry, quoted as RFC 4180 says, the Detail as the device said it behind an apostrophe", () => {
    expect(csvLines([entry])).toBe(
      [
        "2026-11-20T08:00:00Z,gate-r29,gate",
        '"Street ""gate"", north"',
        "2,17,access-denied,2026-11-20T07:59:00Z,lower-bound,bob",
        '"Bob\r\nBoone"',
        ",,",
        "OUT_OF_SCHEDULE,OUT_OF_SCHEDULE HOLIDAY_RESTRICTED,,",
        `"'=HYPERLINK(""http://x"")"`,
        "before=3 after=4\r\n",
      ].join(","),
    );
  });

  it("every line has as many cells as there are columns, whatever is in them", () => {
    const read = parseCsv(csvLines([entry, { ...entry, detail: 'a,"b"\n,c' }, { ...entry, doorName: null }]));
    expect(read.map((cells) => cells.length)).toEqual([csvColumns.length, csvColumns.length, csvColumns.length]);
    expect(read[1]?.[csvColumns.indexOf("detail")]).toBe('a,"b"\n,c');
    expect(read[0]?.[csvColumns.indexOf("door_name")]).toBe('Street "gate", north');
  });

  it.each([
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["  =1", "'  =1"],
    ["\r=1", `"'\r=1"`],
    ["a=1", "a=1"],
    ["'", "'"],
    ["", ""],
  ])("a spreadsheet takes %j for no formula", (text, cell) => {
    expect(csvCell(text)).toBe(cell);
  });
});

/** RFC 4180 as somebody else would read it: by its grammar, character by character. */
function parseCsv(text: string): readonly (readonly string[])[] {
  const rows: string[][] = [[]];
  let cell = "";
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (isQuoted && character === '"' && text[at + 1] === '"') {
      cell += '"';
      at += 1;
    } else if (character === '"') isQuoted = !isQuoted;
    else if (isQuoted) cell += character;
    else if (character === ",") {
      rows.at(-1)?.push(cell);
      cell = "";
    } else if (character === "\r" && text[at + 1] === "\n") {
      rows.at(-1)?.push(cell);
      cell = "";
      rows.push([]);
      at += 1;
    } else cell += character;
  }
  return rows.slice(0, -1);
}
