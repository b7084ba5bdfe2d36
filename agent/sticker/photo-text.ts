/** What a photo check says, in words: for the terminal and for the PDF report. */

import type { PhotoReport, PhotoSize } from "../../protocol/sticker/photo-check.ts";
import type { PhotoIdentity } from "../../protocol/sticker/photo-subject.ts";
import { ageText, table } from "./command-parts.ts";

/** The whole report as text, with its own newline at the end. */
export function photoText(file: string, report: PhotoReport): string {
  const findings = report.findings.map(
    ({ code, where, measured, expected, remedy }) =>
      `\n${code}: ${where}: ${measured}; expected ${expected}\n  remedy: ${remedy}\n`,
  );
  const verdict = `verdict  ${report.verdict.replace("-", " ").toUpperCase()}\n`;
  return `${table([["file", `${file} (photograph)`], ...photoRows(report)])}${verdict}${findings.join("")}`;
}

/** One row a matter: name and words. */
export function photoRows(report: PhotoReport): readonly (readonly [string, string])[] {
  const { size, identity, quality, grade, gradeFault, triage, profiles, scanFault } = report;
  const rows: (readonly [string, string])[] = [
    ["sticker", identityText(identity)],
    ["proof", proofText(identity)],
    ["size", sizeText(size)],
    ["symbol", symbolText(quality)],
    ["grade", grade?.headline ?? gradeFault ?? "no symbol whose modules are known"],
  ];
  if (profiles.length > 0) rows.push(["phones", profiles.map(profileText).join("; ")]);
  if (scanFault !== undefined) rows.push(["scanning", scanFault.reason]);
  rows.push(["to do", triage.reason]);
  return rows;
}

export function identityText({ verdict, panel, epoch, listAgeMs, expectedPanel }: PhotoIdentity): string {
  const number = epoch === undefined ? "" : `, number ${epoch}`;
  const whose = panel === undefined ? "" : ` (${panel}${number})`;
  const wanted = expectedPanel === undefined || expectedPanel === panel ? "" : `, expected ${expectedPanel}`;
  const age = listAgeMs === undefined ? "no list yet" : `by a list ${ageText(listAgeMs)} old`;
  return `${verdict.replaceAll("-", " ")}${whose}${wanted}, ${age}`;
}

function proofText({ proof }: PhotoIdentity): string {
  const { by, agreement, strength, required, destroyed } = proof;
  const words = {
    reading: "it was read",
    comparison: "it could not be read, but was recognised among the known stickers",
    both: "it was read, and recognised among the known stickers",
    neither: "it could be neither read nor recognised",
  };
  if (agreement === undefined || strength === undefined || destroyed === undefined) return words[by];
  const share = `${(100 * agreement).toFixed(0)} % of the data modules agree, ${(100 * destroyed).toFixed(0)} % are destroyed`;
  return by === "comparison"
    ? `${words[by]}: ${share}; strength ${strength.toFixed(0)} of ${(required ?? 0).toFixed(0)}`
    : `${words[by]}; ${share}`;
}

function sizeText(size: PhotoSize): string {
  if (!size.measurable) return `not measurable: ${size.about}`;
  const { widthMm, heightMm, expectedMm, scalePercent, uncertaintyPercent, reference } = size;
  const scale = size.uniform
    ? `${scalePercent.x.toFixed(1)} %`
    : `${scalePercent.x.toFixed(1)} % wide, ${scalePercent.y.toFixed(1)} % high`;
  const extent = `${widthMm.toFixed(2)} x ${heightMm.toFixed(2)} mm of ${expectedMm.toFixed(2)} mm`;
  return `${extent}: ${scale} +/- ${uncertaintyPercent.toFixed(1)} %, by ${reference}`;
}

function symbolText({
  symbolVersion,
  errorCorrectionLevel,
  moduleErrors,
  quietZoneModules,
}: PhotoReport["quality"]): string {
  if (symbolVersion === undefined) return "its modules are not known";
  const wrong = moduleErrors === undefined ? "" : `, ${moduleErrors} modules wrong`;
  const quiet = quietZoneModules === undefined ? "" : `, quiet zone ${Number(quietZoneModules.toFixed(2))} modules`;
  return `version ${symbolVersion}, error correction ${errorCorrectionLevel ?? "unknown"}${wrong}${quiet}`;
}

function profileText({ name, outcome }: PhotoReport["profiles"][number]): string {
  return `${scannerNames[name]} ${outcome.replaceAll("-", " ")}`;
}

const scannerNames = {
  phone: "a usual phone",
  "old-phone": "an old one",
  "no-native-qr": "a camera app without codes",
  doorlink: "doorlink",
} as const;
