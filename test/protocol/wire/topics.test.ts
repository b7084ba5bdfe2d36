import { describe, expect, it } from "vitest";
import { parseDeviceId } from "../../../protocol/base/units.ts";
import { formatTopic, isRetained, parseTopic } from "../../../protocol/wire/topics.ts";

describe("topics", () => {
  it("[T1] reads and writes dl/1/<site>/<device>/<channel>", () => {
    const topic = parseTopic("dl/1/maple-court/r29/event");
    expect(topic).toEqual({ site: "maple-court", device: "r29", channel: "event" });
    expect(topic && formatTopic(topic)).toBe("dl/1/maple-court/r29/event");
  });

  it("[T1] a command and a result carry a name, the others none", () => {
    expect(parseTopic("dl/1/maple-court/authority/command/time")).toEqual({
      site: "maple-court",
      device: "authority",
      channel: "command",
      name: "time",
    });
    expect(parseTopic("dl/1/maple-court/authority/command")).toBeUndefined();
    expect(parseTopic("dl/1/maple-court/r29/event/extra")).toBeUndefined();
  });

  it.each([
    "",
    "dl",
    "dl/2/maple-court/r29/event",
    "dl/1/maple-court/R29/event",
    "dl/1/maple-court/r2/event",
    "dl/1/maple-court/r29/events",
    "dl/1//r29/event",
    "dl/1/maple-court/r29/command/UP",
    "dl/1/maple-court/r29/command/time/more",
    `dl/1/maple-court/r29/command/${"a".repeat(200)}`,
  ])("[T1] refuses %j", (text) => {
    expect(parseTopic(text)).toBeUndefined();
  });

  it("[T2] a device id is 3 to 32 of a-z, 0-9 and the hyphen", () => {
    expect(parseDeviceId("c1-lobby")).toBe("c1-lobby");
    for (const wrong of ["ab", "a".repeat(33), "C1-lobby", "c1_lobby", "c1 lobby", ""]) {
      expect(parseDeviceId(wrong)).toBeUndefined();
    }
  });

  it("[T3] birth, state, health, desired and reported are retained; events, receipts, commands and results are not", () => {
    const retained = ["birth", "state", "health", "desired", "reported"] as const;
    const passing = ["event", "receipt", "command", "result"] as const;
    expect(retained.every(isRetained)).toBe(true);
    expect(passing.some(isRetained)).toBe(false);
  });
});
