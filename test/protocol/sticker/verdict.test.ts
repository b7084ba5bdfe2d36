import { describe, expect, it } from "vitest";
import { assert } from "../../../protocol/base/result.ts";
import { mintStickerPayload } from "../../../protocol/sticker/token.ts";
import { judgePayload, type PanelRecord } from "../../../protocol/sticker/verdict.ts";

const key = new Uint8Array(32).fill(3);

function payload(panelNumber: number, epoch: number, publicUrl = "https://doors.example", by = key): string {
  const minted = mintStickerPayload({ key: by, publicUrl, panelNumber, epoch });
  assert(minted.ok, "the test's public URL mints");
  return minted.value.payload;
}

function panel(change: Partial<PanelRecord> = {}): PanelRecord {
  return {
    panel: "lobby",
    panelNumber: 1,
    doorName: "Lobby",
    epoch: 3,
    current: payload(1, 3),
    retired: [payload(1, 1), payload(1, 2)],
    listedAtMs: 1_000,
    ageMs: 60_000,
    ...change,
  };
}

const garage = panel({ panel: "garage", panelNumber: 2, epoch: 1, current: payload(2, 1), retired: [], ageMs: 90_000 });
const panels = [panel(), garage];
const lobby = { panels, expectedPanel: "lobby" };
const forged = payload(1, 3, "https://doors.example", new Uint8Array(32).fill(4));

describe("verdict", () => {
  it("[Q6] current: the listed payload of the panel it should be, or of any panel when none is named", () => {
    expect(judgePayload(payload(1, 3), lobby)).toMatchObject({ verdict: "current", panel: "lobby", epoch: 3 });
    expect(judgePayload(payload(2, 1), { panels })).toMatchObject({ verdict: "current", panel: "garage", epoch: 1 });
  });

  it("[Q6] retired: dead wherever it hangs, whichever of the old ones it is", () => {
    expect(judgePayload(payload(1, 2), lobby)).toMatchObject({ verdict: "retired", epoch: 2, currentEpoch: 3 });
    expect(judgePayload(payload(1, 1), lobby)).toMatchObject({ verdict: "retired", epoch: 1 });
    expect(judgePayload(payload(1, 1), { panels, expectedPanel: "garage" })).toMatchObject({
      verdict: "retired",
      panel: "lobby",
    });
  });

  it("[Q6] a payload on both lists is retired: nothing that was ever withdrawn opens again", () => {
    const confused = panel({ retired: [payload(1, 3)] });
    expect(judgePayload(payload(1, 3), { panels: [confused] })).toMatchObject({ verdict: "retired" });
  });

  it("[Q6] misplaced: another panel's current sticker", () => {
    expect(judgePayload(payload(2, 1), lobby)).toMatchObject({
      verdict: "misplaced",
      reason: "another-panel",
      panel: "garage",
      expectedPanel: "lobby",
    });
  });

  it.each([
    ["https://evil.example/L/x", "another-host"],
    [payload(1, 3, "https://evil.example"), "another-host"],
    [payload(1, 3, "https://doors.example.evil.example"), "another-host"],
    ["HTTPS://DOORS.EXAMPLE@EVIL.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5", "another-host"],
    ["HTTPS://DOORS.EXAMPLE:8443/L/04002003DEQMRYA5CSV2EGC5", "another-host"],
    ["WIFI:S:home;T:WPA;P:secret;;", "another-host"],
    ["hello", "another-host"],
  ])("[Q7] foreign: %s", (text, reason) => {
    expect(judgePayload(text, lobby)).toMatchObject({ verdict: "foreign", reason, panel: undefined });
    expect(judgePayload(text, { ...lobby, key })).toMatchObject({ verdict: "foreign", reason });
  });

  it.each([
    [payload(1, 3, "http://doors.example"), "another-scheme"],
    [payload(1, 3).toLowerCase(), "not-our-form"],
    [`${payload(1, 3)}?X`, "not-our-form"],
    [`${payload(1, 3).slice(0, -1)}U`, "not-our-form"],
    ["HTTPS://DOORS.EXAMPLE/", "not-our-form"],
    [forged, "differs-from-listed"],
    [payload(1, 2, "https://doors.example", new Uint8Array(32)), "differs-from-listed"],
  ])("[Q7] [Q10] altered: %s", (text, reason) => {
    expect(judgePayload(text, lobby)).toMatchObject({ verdict: "altered", reason });
  });

  it("[Q9] newer than known: a later epoch, an unknown panel, a later format, no list at all", () => {
    expect(judgePayload(payload(1, 4), lobby)).toMatchObject({
      verdict: "newer-than-known",
      reason: "epoch-ahead",
      panel: "lobby",
      epoch: 4,
      currentEpoch: 3,
    });
    expect(judgePayload(payload(9, 1), lobby)).toMatchObject({ verdict: "newer-than-known", reason: "panel-unknown" });
    expect(judgePayload("HTTPS://DOORS.EXAMPLE/L/080020037R80P92M6H38WZ10", lobby)).toMatchObject({
      verdict: "newer-than-known",
      reason: "format-ahead",
    });
    expect(judgePayload(payload(1, 3), { panels: [] })).toMatchObject({
      verdict: "newer-than-known",
      reason: "no-list",
      listAgeMs: undefined,
    });
    expect(judgePayload("hello", { panels: [] })).toMatchObject({ verdict: "foreign" });
  });

  it("[Q10] an earlier epoch that the list no longer holds is retired, never current", () => {
    const trimmed = { panels: [panel({ retired: [] })] };
    expect(judgePayload(payload(1, 2), trimmed)).toMatchObject({
      verdict: "retired",
      reason: "epoch-passed",
      epoch: 2,
    });
  });

  it("[Q8] who holds the key believes no claim without its MAC", () => {
    const another = new Uint8Array(32).fill(8);
    for (const [panelNumber, epoch] of [
      [1, 4],
      [9, 1],
      [1, 3],
    ] as const) {
      const text = payload(panelNumber, epoch, "https://doors.example", another);
      expect(judgePayload(text, { ...lobby, key })).toMatchObject({ verdict: "altered", reason: "mac-differs" });
    }
    expect(judgePayload(payload(1, 4), { ...lobby, key })).toMatchObject({ verdict: "newer-than-known" });
    const ahead = "HTTPS://DOORS.EXAMPLE/L/080020037R80P92M6H38WZ10";
    expect(judgePayload(ahead, { ...lobby, key })).toMatchObject({ verdict: "altered" });
  });

  it("[Q11] unreadable when nothing was read; every verdict carries the age of the list that decided", () => {
    expect(judgePayload(undefined, lobby)).toMatchObject({ verdict: "unreadable", listAgeMs: 60_000 });
    expect(judgePayload("", lobby)).toMatchObject({ verdict: "unreadable", reason: "nothing-read" });
    expect(judgePayload(payload(2, 1), lobby).listAgeMs).toBe(90_000);
    expect(judgePayload("hello", { panels }).listAgeMs).toBe(90_000);
  });
});
