/** Any bytes on any topic out of the authority's broker: a gateway counts them or takes them, and goes on. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../protocol/base/bytes.ts";
import { almost, almostText, fuzzRuns, fuzzTimeout } from "../../protocol/fuzz.ts";
import { messageSamples } from "../../protocol/message-samples.ts";
import {
  deviceDesired,
  gatewayDesired,
  gatewayId,
  lockDesired,
  lockId,
  site,
  startGateway,
  tellSite,
} from "../../world/gateway-builder.ts";

const tails = [
  "desired",
  "receipt",
  "command/unlock",
  "command/lease",
  "command/config",
  "result/time",
  "result/pair",
  "result/sticker",
  "result/lease",
  "event",
  "state",
];
const topics = [lockId, gatewayId, "panel-r20", "authority", "lobby-link"].flatMap((device) =>
  tails.map((tail) => `dl/1/${site}/${device}/${tail}`),
);
const payloads = [
  ...Object.values(messageSamples).flatMap(({ sample }) => [sample, { ...sample, device: lockId }]),
  gatewayDesired(),
  lockDesired({ version: 9 }),
  deviceDesired({ version: 9 }),
].map((message) => utf8(JSON.stringify(message)));

describe("any message out of the authority's broker", () => {
  it(
    "[U5] is taken or counted, ends nothing, and the gateway goes on listening",
    async () => {
      const world = await startGateway();
      await tellSite(world);
      const topic = fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...topics) },
        {
          weight: 1,
          arbitrary: almostText(topics, "/+#dl1$"),
        },
      );
      await fc.assert(
        fc.asyncProperty(topic, almost(payloads), async (where, payload) => {
          world.upstream.sayBytes(where, payload);
          await world.clock.advance(1);
          expect(world.fatal).toEqual([]);
          expect(world.upstream.connected).toBe(true);
        }),
        fuzzRuns(600),
      );
      // It still takes what is sound: a site of one more revision than any of these can have brought.
      const newest = gatewayDesired({ revision: 2 ** 52 });
      world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, newest);
      await world.clock.advance(0);
      expect(world.table.gateway?.revision).toBe(2 ** 52);
      await world.gateway.stop();
    },
    fuzzTimeout.timeout,
  );
});
