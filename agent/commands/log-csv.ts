/**
 * The door log as RFC 4180: a head line, CRLF, quotes where they are needed. Columns keep their names and order; new ones come at the
 * end. A cell that a spreadsheet would take for a formula begins with an apostrophe, because a device's Detail is whatever it says. Pure.
 */
import type { LogEntryView } from "../http/views.ts";

/** Times are ISO 8601 in UTC; lists are separated by a space; what is not known or not there is empty. */
const columns: readonly (readonly [name: string, cell: (entry: LogEntryView) => string | number | null | undefined])[] =
  [
    ["received_at", ({ receivedAt }) => isoTime(receivedAt)],
    ["device", ({ device }) => device],
    ["door", ({ door }) => door],
    ["door_name", ({ doorName }) => doorName],
    ["boot", ({ boot }) => boot],
    ["sequence", ({ sequence }) => sequence],
    ["event", ({ kind }) => kind],
    [
      "device_time",
      ({ at }) => (at?.unixSeconds === undefined || at.unixSeconds === null ? null : isoTime(at.unixSeconds)),
    ],
    ["device_clock", ({ at }) => at?.quality],
    ["person", ({ person }) => person],
    ["person_name", ({ personName }) => personName],
    ["erased", ({ erased }) => (erased === true ? "yes" : null)],
    ["credential", ({ credential }) => credential],
    ["credential_type", ({ credentialType }) => credentialType],
    ["reason", ({ reason }) => reason],
    ["failed_checks", ({ failedChecks }) => failedChecks?.join(" ")],
    ["reason_absent", ({ reasonAbsent }) => reasonAbsent],
    ["warnings", ({ warnings }) => warnings?.join(" ")],
    ["detail", ({ detail }) => detail],
    ["facts", ({ facts }) => (facts === undefined ? null : factsText(facts))],
  ];

export const csvColumns: readonly string[] = columns.map(([name]) => name);
export const csvHead = `${csvColumns.join(",")}\r\n`;

export function csvLines(entries: readonly LogEntryView[]): string {
  return entries.map((entry) => `${columns.map(([, cell]) => csvCell(cell(entry))).join(",")}\r\n`).join("");
}

export function csvCell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = formulaStart.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Of its numbers, by name. */
function factsText(facts: Readonly<Record<string, number>>): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function isoTime(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace(".000Z", "Z");
}

/** What Excel, LibreOffice and Google's sheets evaluate, also behind blanks that they cut. */
const formulaStart = /^\s*[=+\-@]|^[\t\r]/;
