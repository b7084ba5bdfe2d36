/** Any payload on any of a device's channels: taken, or dropped under a name of a closed list; never thrown, never in the log. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Intake } from "../../../agent/broker/intake.ts";
import { DeviceTable } from "../../../agent/devices.ts";
import type { IntakeChannel } from "../../../agent/ports/site-broker.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { almost, fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";
import { messageSamples } from "../../protocol/message-samples.ts";
import { gatewayDesired, gatewayId, memoryLog, panel } from "../../world/gateway-builder.ts";
import { MemoryStore } from "../../world/memory-store.ts";
import { SteppedClock } from "../../world/stepped-clock.ts";

const device = "panel-r20" as DeviceId;
const channels: readonly IntakeChannel[] = ["birth", "state", "health", "reported", "event", "result"];
/** Stands in every sound message, so that it would be seen in a log line that held any of one. */
const secret = "only-the-device-knows";
const seeds = Object.values(messageSamples).flatMap(({ sample }) => {
  const named = JSON.stringify({ ...sample, device });
  return [utf8(named), utf8(JSON.stringify(sample)), utf8(named.replace(/}$/, `,"more":"${secret}"}`))];
});
const codes = new Set([
  "payload-too-large",
  "payload-not-utf8",
  "payload-not-json",
  "payload-future-version",
  "payload-bad-shape",
  "another-device",
  "not-retained",
  "too-many-holes",
]);

describe("any payload of a device", () => {
  it(
    "[B4] is taken or dropped by name, and what it held is in no log",
    async () => {
      const store = new MemoryStore();
      const logged: { level: string; text: string }[] = [];
      const clock = new SteppedClock();
      const table = new DeviceTable(store, gatewayId);
      const desired = gatewayDesired({ devices: [panel()] });
      await table.takeDesired(gatewayId, utf8(JSON.stringify(desired)), clock.nowMs());
      const intake = new Intake({
        store,
        table,
        clock,
        log: memoryLog(logged),
        sendReceipt: () => undefined,
        onStored: () => undefined,
        onWords: () => undefined,
        onUnlockResult: () => undefined,
      });
      let taken = 0;
      const from = fc.constantFrom("device" as const, "memory" as const);
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...channels), almost(seeds), from, async (channel, payload, source) => {
          const before = Object.values(intake.refused()).reduce((sum, count) => sum + count, 0);
          await intake.take(device, channel, payload, source);
          const after = Object.values(intake.refused()).reduce((sum, count) => sum + count, 0);
          if (after === before) taken += 1;
          expect(after - before).toBeLessThanOrEqual(1);
        }),
        fuzzRuns(2_000),
      );
      expect(Object.keys(intake.refused()).filter((code) => !codes.has(code))).toEqual([]);
      expect(taken).toBeGreaterThan(0);
      expect(logged.filter(({ text }) => text.includes(secret))).toEqual([]);
    },
    fuzzTimeout.timeout,
  );
});
