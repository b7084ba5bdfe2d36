/** `protocol/asyncapi.json` against the schemas and topics that it is made of, and the messages that they read. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { asyncApiDocument } from "../../../protocol/wire/asyncapi.ts";
import { parseEnrolmentTopic } from "../../../protocol/wire/enrolment-topic.ts";
import { commandsByName } from "../../../protocol/wire/messages/command.ts";
import { desiredSchema } from "../../../protocol/wire/messages/desired.ts";
import {
  durableChannels,
  isRetained,
  namedChannels,
  parseTopic,
  retainedChannels,
} from "../../../protocol/wire/topics.ts";
import { messageSamples } from "../message-samples.ts";

const written = readFileSync(new URL("../../../protocol/asyncapi.json", import.meta.url), "utf8");
const document = asyncApiDocument();
/** Of `messageSamples`, as the document calls them; the kinds of `desired` are one message. */
const samplesByName = {
  birth: ["birthSchema"],
  state: ["stateSchema"],
  health: ["healthSchema"],
  reported: ["reportedSchema"],
  exposure: ["exposureSchema"],
  events: ["eventBatchSchema"],
  receipt: ["receiptSchema"],
  desired: Object.keys(messageSamples).filter((name) => /desiredSchema$/i.test(name)),
  "command-time": ["timeCommandSchema"],
  "result-time": ["timeResultSchema"],
  "command-pair": ["pairCommandSchema"],
  "result-pair": ["pairResultSchema"],
  "command-sticker": ["stickerCommandSchema"],
  "result-sticker": ["stickerResultSchema"],
  "command-lease": ["leaseCommandSchema"],
  "result-lease": ["leaseResultSchema"],
  "command-gateway": ["gatewayCommandSchema"],
  "result-gateway": ["gatewayResultSchema"],
  "command-unlock": ["unlockCommandSchema"],
  "result-unlock": ["unlockResultSchema"],
  "enrol-request": ["claimRequestSchema", "renewRequestSchema", "enrolmentRequestSchema"],
  "enrol-answer": ["enrolmentAnswerSchema"],
};

describe("asyncapi.json", () => {
  it("row 126: is what the schemas say: node scripts/lib/asyncapi.ts > protocol/asyncapi.json, then biome format --write", () => {
    expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(document)));
  });

  it("row 126: has every message that there is, and no other", () => {
    expect(Object.keys(document.components.messages).toSorted()).toEqual(Object.keys(samplesByName).toSorted());
    expect(Object.values(samplesByName).flat().toSorted()).toEqual(Object.keys(messageSamples).toSorted());
    expect(samplesByName.desired).toHaveLength(desiredSchema.options.length + 1);
  });

  it.each(Object.entries(samplesByName))(
    "[M3] row 126: %s: its JSON Schema takes the sound message, and no future version, no version and no unknown key",
    (name, samples) => {
      const payload = z.fromJSONSchema(JSON.parse(written).components.messages[name].payload);
      for (const each of samples) {
        const sample = JSON.parse(JSON.stringify(messageSamples[each]?.sample));
        expect(payload.safeParse(sample).error).toBeUndefined();
        expect(payload.safeParse({ ...sample, v: 2 }).success).toBe(false);
        expect(payload.safeParse({ ...sample, another: 1 }).success).toBe(false);
        const { v: _version, ...rest } = sample;
        expect(payload.safeParse(rest).success).toBe(false);
      }
    },
  );

  it("[T1] row 126: its addresses are topics, all channels and all commands among them", () => {
    const addresses = Object.values(document.channels).map(({ address, parameters }) => {
      expect([...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)).toEqual(Object.keys(parameters));
      return address.replaceAll(/\{(\w+)\}/g, "some-$1");
    });
    // SPEC I3: the two of enrolment are of a grammar of their own.
    const topics = addresses.filter((address) => parseEnrolmentTopic(address) === undefined).map(parseTopic);
    expect(addresses.length - topics.length).toBe(2);
    expect(topics).not.toContain(undefined);
    const channels = [...retainedChannels, ...durableChannels, ...namedChannels];
    expect([...new Set(topics.map((topic) => topic?.channel))].toSorted()).toEqual(channels.toSorted());
    for (const channel of namedChannels) {
      const names = topics.filter((topic) => topic?.channel === channel).map((topic) => topic?.name);
      expect(names.toSorted()).toEqual(Object.keys(commandsByName).toSorted());
    }
  });

  it("[T3] row 126: says of each whether it is retained", () => {
    const operations = Object.values(JSON.parse(written).operations) as readonly {
      readonly channel: { readonly $ref: string };
      readonly bindings: { readonly mqtt: { readonly retain: boolean } };
    }[];
    expect(operations).toHaveLength(Object.keys(document.channels).length);
    for (const { channel, bindings } of operations) {
      const address = document.channels[channel.$ref.replace("#/channels/", "")]?.address ?? "";
      const topic = parseTopic(address.replaceAll(/\{(\w+)\}/g, "some-$1"));
      expect(bindings.mqtt.retain).toBe(topic !== undefined && isRetained(topic.channel));
    }
  });
});
