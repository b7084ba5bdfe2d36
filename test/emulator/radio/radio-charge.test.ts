import { describe, expect, it } from "vitest";
import {
  connectionMicrocoulombs,
  eventsMicrocoulombs,
  frameMicrocoulombs,
} from "../../../emulator/radio/radio-charge.ts";

describe("the charge of a lock's radio", () => {
  it("a connection event costs 3.3 uC of waking and 460 us at 5.4 mA", () => {
    expect(eventsMicrocoulombs(20)).toBeCloseTo(20 * (3.3 + 0.46 * 5.4), 6);
  });

  it("a frame of 244 bytes keeps the radio on for 2,500 us", () => {
    expect(frameMicrocoulombs(244)).toBeCloseTo(2.5 * 5.4, 6);
  });

  it("a connection costs its events and its frames, and a begun interval is a whole one", () => {
    const empty = connectionMicrocoulombs(1_000, 50, []);
    expect(connectionMicrocoulombs(1_001, 50, [])).toBeCloseTo(empty + eventsMicrocoulombs(1), 6);
    expect(connectionMicrocoulombs(1_000, 50, [244, 30])).toBeCloseTo(
      empty + frameMicrocoulombs(244) + frameMicrocoulombs(30),
      6,
    );
  });
});
