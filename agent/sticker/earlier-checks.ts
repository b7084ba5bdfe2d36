/** Earlier checks of the same sticker, as `check --json` wrote them: for the trend of fading, and for what cleaning changed. Rule: SPEC Q83. */
import { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { EarlierScan } from "../../protocol/sticker/condition/fade.ts";
import type { PhotoReport } from "../../protocol/sticker/photo-check.ts";
import { type Complaint, loadFile } from "./command-parts.ts";

export type EarlierCheck = {
  readonly atMs: number;
  readonly contrastPercent: number | undefined;
  readonly moduleErrors: number | undefined;
  readonly grade: number | undefined;
};

/** Reads the files that `--earlier` names, oldest first. Complaints name the file and what was expected. */
export async function loadEarlierChecks(files: readonly string[]): Promise<Result<readonly EarlierCheck[], Complaint>> {
  const checks: EarlierCheck[] = [];
  for (const file of files) {
    const bytes = await loadFile(file, checkBytesMax);
    if (!bytes.ok) return bytes;
    const check = parseCheck(new TextDecoder().decode(bytes.value));
    if (check === undefined) {
      const line = `${file}: the output of an earlier \`doorlink sticker check PHOTO --json\` is expected`;
      return failed({ code: "complaint", exit: 2, line });
    }
    checks.push(check);
  }
  return ok(checks.sort((one, other) => one.atMs - other.atMs));
}

/** What the trend is told from. */
export function earlierScans(checks: readonly EarlierCheck[]): readonly EarlierScan[] {
  return checks.flatMap(({ atMs, contrastPercent }) =>
    contrastPercent === undefined ? [] : [{ atMs, contrastPercent }],
  );
}

/** Then and now in one line, undefined where there is nothing to compare. */
export function comparedText(checks: readonly EarlierCheck[], now: PhotoReport): string | undefined {
  const last = checks.at(-1);
  if (last === undefined) return undefined;
  const changes = [
    change("wrong modules", last.moduleErrors, now.quality.moduleErrors, 0),
    change("contrast", last.contrastPercent, now.quality.contrastPercent, 0, " %"),
    change("grade", last.grade, now.grade?.overall.grade, 1),
  ].filter((text) => text !== undefined);
  if (changes.length === 0) return undefined;
  return `since ${new Date(last.atMs).toISOString().slice(0, 16).replace("T", " ")} UTC: ${changes.join(", ")}`;
}

function change(
  what: string,
  before: number | undefined,
  after: number | undefined,
  decimals: number,
  unit = "",
): string | undefined {
  if (before === undefined || after === undefined) return undefined;
  return `${what} ${before.toFixed(decimals)} -> ${after.toFixed(decimals)}${unit}`;
}

function parseCheck(text: string): EarlierCheck | undefined {
  try {
    const { checkedAtMs, quality, grade } = earlierCheck.parse(JSON.parse(text));
    return {
      atMs: checkedAtMs,
      contrastPercent: quality.contrastPercent,
      moduleErrors: quality.moduleErrors,
      grade: grade?.overall.grade,
    };
  } catch {
    // JSON or not, it is no check of a photo; the caller says what is expected.
    return undefined;
  }
}

const earlierCheck = z.looseObject({
  kind: z.literal("photo"),
  checkedAtMs: z.number().int().min(0).max(8.64e15),
  quality: z.looseObject({
    contrastPercent: z.number().min(0).max(100).optional(),
    moduleErrors: z.number().int().min(0).optional(),
  }),
  grade: z.looseObject({ overall: z.looseObject({ grade: z.number().min(0).max(4) }) }).optional(),
});
const checkBytesMax = 4_000_000;
