/**
 * Which part is at fault, and what is to be done: sticker, housing or adhesive. A photo of a code shows the sticker; of housing and mount the
 * person in front of the panel must speak. Rules: SPEC Q81. Source: DOOR Link troubleshooting, "physically damaged or vandalized".
 */
import type { CauseCode } from "./causes.ts";

/** What a person sees and the photo does not. */
export type ReportedCondition = {
  readonly housing?: "sound" | "damaged" | undefined;
  readonly mount?: "firm" | "loose" | "fallen" | undefined;
};

export type Triage = {
  readonly part: "none" | "sticker" | "housing" | "adhesive" | "photo";
  readonly route:
    | "nothing"
    | "photograph-again"
    | "clean-and-rescan"
    | "remove-what-covers"
    | "rotate-and-reprint"
    | "order-replacement"
    | "remount-with-fresh-tape";
  readonly reason: string;
};

export type TriageCause = CauseCode | "fade" | "wrong-size" | "wrong-sticker" | "unreadable";

/** What the halo of a reflection looks like: beside glare none of these condemns a sticker. */
export const likeGlare = ["torn", "peeling", "fade"] as const satisfies readonly TriageCause[];

/** The first that applies, the gravest first: a damaged housing outdoes every sticker. */
export function triageCondition(causes: ReadonlySet<TriageCause>, reported: ReportedCondition = {}): Triage {
  if (reported.housing === "damaged") {
    const reason = "The housing is damaged. No individual parts are sold: order a replacement through your sales rep.";
    return { part: "housing", route: "order-replacement", reason };
  }
  if (reported.mount === "loose" || reported.mount === "fallen") {
    const reason = `The panel is ${reported.mount}. Do not reuse the old tape: remount with fresh VHB tape and let it cure 24 to 72 hours.`;
    return { part: "adhesive", route: "remount-with-fresh-tape", reason };
  }
  const has = (...wanted: readonly TriageCause[]) => wanted.some((cause) => causes.has(cause));
  const sticker = (route: Triage["route"], reason: string): Triage => ({ part: "sticker", route, reason });
  if (has("overlay", "covered")) {
    return sticker(
      "remove-what-covers",
      "Something is stuck over our code. Take it off, keep it, then rotate and reprint.",
    );
  }
  const reprint = sticker("rotate-and-reprint", "Only the sticker is at fault: rotate and reprint.");
  if (has("wrong-sticker", "scratch", "wrong-size", "quiet-zone-eaten")) return reprint;
  if (has("glare") && !has("dirt")) {
    const reason = "Light reflects from it: photograph again at an angle before condemning the sticker.";
    return { part: "photo", route: "photograph-again", reason };
  }
  if (has(...likeGlare)) return reprint;
  if (has("dirt"))
    return sticker("clean-and-rescan", "Clean with a dry cloth, then scan again; if it stays, rotate and reprint.");
  if (has("worn")) return sticker("rotate-and-reprint", "The print is worn: rotate and reprint.");
  if (has("unreadable")) {
    const reason = "Nothing can be told from this picture: photograph again, nearer, sharp and in even light.";
    return { part: "photo", route: "photograph-again", reason };
  }
  return { part: "none", route: "nothing", reason: "Nothing is wrong with the sticker." };
}
