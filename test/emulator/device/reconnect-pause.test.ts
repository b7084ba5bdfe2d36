import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reconnectPauseMs } from "../../../emulator/device/reconnect-pause.ts";
import { seededRandom } from "../../../emulator/world/random.ts";

describe("a device's pause before it connects again", () => {
  it("[B20] is uniform below a ceiling that doubles to 5 s, and is never nothing", () => {
    const few = { siteDevices: 3 };
    expect([1, 2, 3, 6, 60].map((failures) => reconnectPauseMs(few, failures, 0.999999))).toEqual([
      299, 499, 899, 5_099, 5_099,
    ]);
    expect([1, 2, 3, 6, 60].map((failures) => reconnectPauseMs(few, failures, 0))).toEqual([100, 100, 100, 100, 100]);
    expect(reconnectPauseMs(few, 1, 0.5)).toBe(200);
  });

  it("[B20] never brings back more than a tenth of a thousand devices in one second, and all of them within 30 s, also after some failed", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 3_000 }), (seed, awayMs) => {
        const random = seededRandom(seed, "reconnect");
        const attempts: number[] = [];
        for (let device = 0; device < 1_000; device++) {
          let at = 0;
          for (let failures = 1; failures === 1 || at < awayMs; failures++) {
            at += reconnectPauseMs({ siteDevices: 1_000 }, failures, random.next());
            attempts.push(at);
          }
        }
        attempts.sort((left, right) => left - right);
        // The hundred and first from each attempt on must be more than a second away.
        expect(attempts.every((at, index) => (attempts[index + 100] ?? Number.POSITIVE_INFINITY) - at > 1_000)).toBe(
          true,
        );
        expect(Math.max(...attempts)).toBeLessThan(30_000);
      }),
      { numRuns: 50 },
    );
  });
});
