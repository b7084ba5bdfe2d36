/**
 * What the sticker commands share: their ports, how they complain, and how they read files and specifications.
 *
 * Nothing here loads sharp or pdf-lib: each command imports dynamically what it needs, never the resident agent.
 */
import { readFile, stat } from "node:fs/promises";
import { parse } from "yaml";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { parseDeviceId } from "../../protocol/base/units.ts";
import {
  defaultStickerSpecification,
  parseStickerSpecification,
  type StickerSpecification,
} from "../../protocol/sticker/specification.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import type { StickerAction } from "../../protocol/wire/messages/command.ts";

export type StickerCommandDeps = {
  /** Asks the running agent; rejects when it cannot be reached. Has a deadline of its own. */
  readonly fetchPanels: () => Promise<readonly PanelRecord[]>;
  /** Asks the authority through the running agent for a change of a panel's sticker; rejects when the agent cannot be reached. */
  readonly changeSticker: (change: StickerChange) => Promise<Result<PanelRecord, StickerChangeFault>>;
  /** Tells the running agent how a photograph was judged; absent or rejected, it does not know. */
  readonly noteCheck?: (check: NotedCheck) => Promise<void>;
  /** The time of day, for what is compared later. */
  readonly nowMs: () => number;
  /** Writes to stdout; the text ends with its own newline. */
  readonly write: (text: string) => void;
  /** Writes to stderr. */
  readonly warn: (text: string) => void;
  /** Takes the exit code of the command that ran. */
  readonly finish: (exitCode: number) => void;
};

export type NotedCheck = {
  readonly panel: string;
  readonly verdict: "pass" | "fail" | "not-measurable";
  readonly identity: string;
  readonly letter: string | null;
};

/** `epoch`: the sticker that is meant, by the list that the asker has seen. */
export type StickerChange = { readonly panel: string; readonly action: StickerAction; readonly epoch: number };

/** As the agent says it: `no-such-panel`, `authority-silent`, `authority-refused`, `list-behind`, or that it did not understand. */
export type StickerChangeFault = { readonly code: string; readonly reason?: string };

/** What ends a command before its work: one clear line and the exit code. */
export type Complaint = { readonly code: "complaint"; readonly exit: 1 | 2 | 3; readonly line: string };

export function complain(deps: StickerCommandDeps, complaint: Omit<Complaint, "code">): number {
  deps.warn(`${complaint.line}\n`);
  return complaint.exit;
}

/** The caller's mistake, in one line with its way out. */
export function usage(line: string): Complaint {
  return { code: "complaint", exit: 2, line };
}

export async function listPanels(deps: StickerCommandDeps): Promise<Result<readonly PanelRecord[], Complaint>> {
  try {
    return ok(await deps.fetchPanels());
  } catch (cause) {
    return failed({ code: "complaint", exit: 3, line: `the agent does not answer: ${reasonOf(cause)}` });
  }
}

export function unknownPanel(panel: string, panels: readonly PanelRecord[]): Omit<Complaint, "code"> {
  if (parseDeviceId(panel) === undefined) {
    return { exit: 2, line: "that is no panel's name: 3 to 32 of a-z, 0-9 and - are expected" };
  }
  const names = panels.map((each) => each.panel).join(", ");
  return { exit: 2, line: `no panel ${panel}; the agent knows: ${names === "" ? "none yet" : names}` };
}

export async function loadFile(file: string, maxBytes: number): Promise<Result<Uint8Array, Complaint>> {
  try {
    // Looked at before it is opened: opening a pipe would wait for somebody to write.
    const about = await stat(file);
    if (!about.isFile()) return failed({ code: "complaint", exit: 2, line: `${file}: not a file` });
    if (about.size > maxBytes) {
      const line = `${file}: ${describeFault({ code: "file-too-large", bytes: about.size, maxBytes })}`;
      return failed({ code: "complaint", exit: 2, line });
    }
    return ok(new Uint8Array(await readFile(file)));
  } catch (cause) {
    return failed({ code: "complaint", exit: 2, line: `${file}: ${reasonOf(cause)}` });
  }
}

export async function loadSpecification(file: string | undefined): Promise<Result<StickerSpecification, Complaint>> {
  if (file === undefined) return ok(defaultStickerSpecification);
  const bytes = await loadFile(file, specificationBytesMax);
  if (!bytes.ok) return bytes;
  let value: unknown;
  try {
    value = parse(new TextDecoder().decode(bytes.value));
  } catch (cause) {
    return failed({ code: "complaint", exit: 2, line: `${file}: ${reasonOf(cause)}` });
  }
  const read = parseStickerSpecification(value ?? {});
  if (read.ok) return read;
  const mistakes = read.fault.mistakes.map(({ where, expected }) => `${where === "" ? "file" : where}: ${expected}`);
  return failed({ code: "complaint", exit: 2, line: `${file}: ${mistakes.join("; ")}` });
}

/** One line a fault: what came and what was expected. */
export function describeFault(fault: { readonly code: string; readonly [fact: string]: unknown }): string {
  const { code, ...facts } = fault;
  const shown = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`);
  return shown.length === 0 ? code : `${code} (${shown.join(", ")})`;
}

export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

export function ageText(ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ");
  return `${rows.map((row) => line(row).trimEnd()).join("\n")}\n`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

// A handful of fields; a page of comments around them is welcome.
const specificationBytesMax = 100_000;
