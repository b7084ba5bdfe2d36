import { describe, expect, it } from "vitest";
import type { StickerChange, StickerChangeFault } from "../../../agent/sticker/command-parts.ts";
import { onWallText, reportSeen } from "../../../agent/sticker/on-wall.ts";
import { judgePayload, type PanelRecord } from "../../../protocol/sticker/verdict.ts";
import { garage, lobby } from "./sticker-files.ts";

const waiting: PanelRecord = { ...lobby, seenAtMs: null };

/** What a photo that says `text` leads to. */
async function report(text: string, panels: readonly PanelRecord[], fault?: StickerChangeFault | Error) {
  const asked: StickerChange[] = [];
  let warned = "";
  const outcome = await reportSeen(judgePayload(text, { panels }), panels, {
    changeSticker: async (change) => {
      asked.push(change);
      if (fault instanceof Error) throw fault;
      return fault === undefined ? { ok: true, value: { ...lobby, seenAtMs: 1 } } : { ok: false, fault };
    },
    warn: (line) => {
      warned += line;
    },
  });
  return { outcome, asked, warned };
}

describe("seen on the wall", () => {
  it("[Q60] the current sticker that is waited for is told, once, with the number that was read", async () => {
    expect(await report(lobby.current, [waiting, garage])).toEqual({
      outcome: "told",
      asked: [{ panel: "lobby", action: "seen", epoch: 3 }],
      warned: "",
    });
    const seen = { ...lobby, seenAtMs: 1_790_000_000_000 };
    expect(await report(lobby.current, [seen])).toMatchObject({ outcome: "known", asked: [] });
  });

  it("[Q60] nothing but the current sticker is", async () => {
    for (const text of [...lobby.retired, "HTTPS://DOORS.EXAMPLE/L/", "https://elsewhere.example", ""]) {
      expect(await report(text, [waiting])).toMatchObject({ outcome: "not-current", asked: [] });
    }
    const judged = judgePayload(lobby.current, { panels: [waiting, garage], expectedPanel: "garage" });
    const deps = { changeSticker: () => Promise.reject(new Error("asked")), warn: () => undefined };
    expect(await reportSeen(judged, [waiting, garage], deps)).toBe("not-current");
  });

  it("[Q60] that nobody could be told is a warning with its reason, and no failure", async () => {
    const silent = await report(lobby.current, [waiting], { code: "authority-silent", reason: "unreachable" });
    expect(silent.outcome).toBe("not-told");
    expect(silent.warned).toMatch(/^[^\n]*lobby[^\n]*unreachable[^\n]*\n$/);
    expect((await report(lobby.current, [waiting], new Error("connection refused"))).warned).toContain(
      "connection refused",
    );
  });

  it("[Q60] a list says what is waited for", () => {
    expect(onWallText(waiting)).toBe("reprint pending");
    expect(onWallText({ ...lobby, seenAtMs: Date.UTC(2026, 10, 20, 12) })).toBe("seen 2026-11-20");
    expect(onWallText({ ...lobby, current: null, seenAtMs: null })).toBe("none valid");
    expect(onWallText(lobby)).toBe("unknown");
  });
});
