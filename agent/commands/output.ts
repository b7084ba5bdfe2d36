/** How commands write for people: aligned columns, ages in words. Pure. */

/** Columns as wide as their widest cell, two spaces apart; the last one is not padded. */
export function alignRows(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))))
    .map((row) => `${row.join("  ").trimEnd()}\n`)
    .join("");
}

/** `12 s`, `5 min`, `3 h`, `9 d`; unknown is said as such. */
export function ageText(seconds: number | null): string {
  if (seconds === null) return "never";
  if (seconds < 120) return `${Math.max(0, seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A policy version as people read it. No authority signs a version 0: who reports it holds none, as a lock does that lost both banks (SPEC L3). */
export function versionText({ version }: { readonly version: number }): string {
  return version === 0 ? "none" : String(version);
}

export function timeText(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace("T", " ").slice(0, 19);
}

/** Where a visit stands; `done` and `of` are entries of the log, bytes of everything else. */
export function progressText({ active, step, done, of }: VisitStanding): string {
  if (!active || step === null) return "waits for the radio";
  if (done === null) return step;
  const unit = step === "log" ? "entries" : "bytes";
  return of === null ? `${step} ${done} ${unit}` : `${step} ${done} of ${of} ${unit}`;
}

export interface VisitStanding {
  readonly active: boolean;
  readonly step: string | null;
  readonly done: number | null;
  readonly of: number | null;
}
