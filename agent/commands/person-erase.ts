/** `doorlink person erase`: a person is taken out of everything that this gateway keeps. It cannot be taken back. SPEC M30-M32. */
import { eraseAnswer } from "../http/views.ts";
import { type CommandContext, complain, writeJson } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

/** Undefined: nobody is there to ask. */
export type IsSure = (question: string) => Promise<boolean | undefined>;

/** 1 when something is left that only the authority can do. */
export async function runPersonErase(
  { person, credentials = [] }: { readonly person: string; readonly credentials?: readonly string[] },
  context: CommandContext,
  isSure: IsSure,
): Promise<number> {
  const sure = await isSure(`Erase ${person} from this gateway's door log and documents? This cannot be undone.`);
  if (sure === undefined) {
    context.warn("doorlink: nobody is there to ask: say --yes to erase without a question\n");
    return exitCodes.usage;
  }
  if (!sure) {
    context.warn("doorlink: nothing was erased\n");
    return exitCodes.finding;
  }
  const answer = await context.client.post("/api/person/erase", { person, credentials }, eraseAnswer, ERASE_LIMIT_MS);
  if (!answer.ok) return complain(context, answer.fault);
  const { events, waiting, signed } = answer.value;
  if (context.json) writeJson(context, answer.value);
  else {
    context.write(`erased    ${events} ${events === 1 ? "entry" : "entries"} of the door log, and every document\n`);
    if (waiting > 0)
      context.write(`waiting   ${waiting} entries until the authority has them; they are not shown any more\n`);
    if (signed > 0) {
      context.write(
        `signed    ${signed} of the authority's policies name the person: revoke or remove the person there\n`,
      );
    }
    context.write("authority its own record stays: ask for the erasure there too\n");
  }
  return signed > 0 ? exitCodes.finding : exitCodes.fine;
}

/** A log of a million entries is read for what names the person. */
const ERASE_LIMIT_MS = 300_000;
