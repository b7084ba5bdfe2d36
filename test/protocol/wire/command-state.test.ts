import { describe, expect, it } from "vitest";
import { commandStates, hearCommandState, isFinalState } from "../../../protocol/wire/command-state.ts";

describe("the states of a command", () => {
  it("[V8] every pair: what may follow what, listed by hand", () => {
    const takes = {
      sent: ["accepted", "executing", "done", "failed", "refused", "expired"],
      accepted: ["accepted", "executing", "done", "failed", "expired"],
      executing: ["executing", "done", "failed"],
      done: ["done"],
      failed: ["failed"],
      refused: ["refused"],
      expired: ["expired"],
    } as const;
    for (const from of ["sent", ...commandStates] as const) {
      const taken = commandStates.filter((to) => hearCommandState(from, to).ok);
      expect([from, taken]).toEqual([from, takes[from]]);
    }
    expect(hearCommandState("done", "failed")).toEqual({
      ok: false,
      fault: { code: "not-a-step", from: "done", to: "failed" },
    });
  });

  it("[V8] done, failed, refused and expired are final, and nothing else is", () => {
    const final = (["sent", ...commandStates] as const).filter(isFinalState);
    expect(final).toEqual(["done", "failed", "refused", "expired"]);
  });
});
