/** `doorlink exposure`: who is revoked or signed out and still let in, where, since when. */
import { type ExposureView, exposureAnswer } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { ageText, alignRows, timeText } from "./output.ts";

/** 1 when anybody is. */
export async function runExposure(context: CommandContext): Promise<number> {
  const answer = await context.client.get("/api/exposure", exposureAnswer);
  if (!answer.ok) return complain(context, answer.fault);
  const { exposures } = answer.value;
  if (context.json) writeJson(context, answer.value);
  else context.write(exposureText(exposures));
  return exposures.length === 0 ? exitCodes.fine : exitCodes.finding;
}

export function exposureText(exposures: readonly ExposureView[]): string {
  if (exposures.length === 0)
    return "nobody revoked or signed out is still let in by a lock or device of this gateway\n";
  return alignRows([
    ["PERSON", "LOCK", "DOOR", "WAS", "SINCE (UTC)", "FOR", "THE LOCK HOLDS"],
    ...exposures.map(({ person, personName, device, doorName, what, since, ageSeconds, holds }) => [
      personName ?? person,
      device,
      doorName ?? "-",
      what === "revoked" ? "revoked" : "signed out",
      timeText(since),
      ageText(ageSeconds),
      holds === null ? "never reported" : `version ${holds.version}`,
    ]),
  ]);
}
