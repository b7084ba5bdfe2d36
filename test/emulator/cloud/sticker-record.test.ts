import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { StickerRecord } from "../../../emulator/cloud/sticker-record.ts";
import { unixMs } from "../../../protocol/base/units.ts";
import { startCloud } from "./fixture.ts";

const day = 86_400_000;
const line = { by: "gateway-main", panel: "lobby-link", action: "rotate", rotation: 1, outcome: "done" } as const;

describe("the record of stickers", () => {
  it("[Q59] keeps every line as it was written, and nobody changes or removes one", () => {
    const database = new DatabaseSync(":memory:");
    const record = new StickerRecord(database);
    record.append({ at: unixMs(1), ...line });
    record.append({ at: unixMs(2), ...line, panel: "no-such", rotation: null, outcome: "no-such-panel" });
    expect(() => database.exec("UPDATE stickers SET asker = 'manager'")).toThrow("append-only");
    expect(() => database.exec("DELETE FROM stickers")).toThrow("append-only");
    expect(new StickerRecord(database).list()).toEqual([
      { id: 1, at: 1, ...line },
      { id: 2, at: 2, ...line, panel: "no-such", rotation: null, outcome: "no-such-panel" },
    ]);
  });

  it("[Q59] counts what gateways had done with one panel, and nothing else", () => {
    const record = new StickerRecord(new DatabaseSync(":memory:"));
    const at = unixMs(10 * day);
    record.append({ at: unixMs(at - day), ...line });
    record.append({ at, ...line });
    record.append({ at, ...line, action: "retire" });
    record.append({ at, ...line, by: "gateway-attic" });
    record.append({ at, ...line, by: "manager" });
    record.append({ at, ...line, action: "seen" });
    record.append({ at, ...line, panel: "roof-link" });
    record.append({ at, ...line, outcome: "another-rotation" });
    expect(record.changesSince("lobby-link", at - day)).toBe(3);
  });

  it("[Q59] has the line on disk when the sticker changes, not after", async () => {
    const { cloud } = await startCloud();
    const { authority, stickerRecord, stickers } = cloud;
    const rotate = authority.rotateSticker.bind(authority);
    let known = 0;
    authority.rotateSticker = (panel) => {
      known = stickerRecord.list().length;
      return rotate(panel);
    };
    stickers.request({ gateway: null, panel: "lobby-link", action: "rotate", rotation: null });
    expect(known).toBe(1);
  });
});
