/**
 * The MQTT interface as an AsyncAPI 3 document, seen from the authority: what it receives and what it sends. Made from the same zod
 * schemas that read the messages, so that the two cannot part. `protocol/asyncapi.json` is this, written out by `scripts/lib/asyncapi.ts`.
 * What JSON Schema cannot say (a base64 text's length in bytes, an id's grammar where it is a parser's) stands in the schemas alone.
 * Source: SPEC T1-T3, M1-M17, I3; PROTOCOL part 2.
 */
import { z } from "zod";
import { birthSchema } from "./messages/birth.ts";
import { commandsByName } from "./messages/command.ts";
import { desiredSchema } from "./messages/desired.ts";
import { enrolmentAnswerSchema, enrolmentRequestSchema } from "./messages/enrolment.ts";
import { eventBatchSchema } from "./messages/event.ts";
import { healthSchema } from "./messages/health.ts";
import { receiptSchema } from "./messages/receipt.ts";
import { exposureSchema, reportedSchema } from "./messages/reported.ts";
import { stateSchema } from "./messages/state.ts";
import { type Channel, isRetained } from "./topics.ts";

export interface AsyncApiChannel {
  readonly address: string;
  readonly parameters: Readonly<Record<string, { readonly description: string }>>;
  readonly messages: Readonly<Record<string, { readonly $ref: string }>>;
}

export interface AsyncApiDocument {
  readonly asyncapi: "3.0.0";
  readonly info: object;
  readonly defaultContentType: string;
  readonly channels: Readonly<Record<string, AsyncApiChannel>>;
  readonly operations: Readonly<Record<string, object>>;
  readonly components: { readonly messages: Readonly<Record<string, { readonly payload: object }>> };
}

interface Row {
  /** Of the channel and its operation. */
  readonly id: string;
  readonly channel: Channel;
  /** What stands behind `dl/1/{site}/`; a whole topic where it begins with `dl/`. */
  readonly address: string;
  readonly action: "receive" | "send";
  readonly messages: Readonly<Record<string, z.ZodType>>;
}

/** Every message that there is, by its name. */
export function asyncApiDocument(): AsyncApiDocument {
  return {
    asyncapi: "3.0.0",
    info: {
      title: "doorlink MQTT",
      version: "1",
      description:
        "MQTT 3.1.1, the same topics on a site's own broker and upstream. The rules are in protocol/SPEC.md.",
    },
    defaultContentType: "application/json",
    channels: Object.fromEntries(rows.map((row) => [row.id, channelOf(row)])),
    operations: Object.fromEntries(rows.map((row) => [`${row.action}-${row.id}`, operationOf(row)])),
    components: {
      messages: Object.fromEntries(
        rows
          .flatMap(({ messages }) => Object.entries(messages))
          .map(([name, schema]) => [name, { name, payload: payloadOf(schema) }]),
      ),
    },
  };
}

function channelOf({ address, messages }: Row): AsyncApiChannel {
  const full = address.startsWith("dl/") ? address : `dl/1/{site}/${address}`;
  const names = [...full.matchAll(/\{([a-z]+)\}/g)].map(([, name = ""]) => name);
  return {
    address: full,
    parameters: Object.fromEntries(names.map((name) => [name, { description: parameterText }])),
    messages: Object.fromEntries(
      Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
    ),
  };
}

function operationOf({ id, channel, action }: Row): object {
  return { action, channel: { $ref: `#/channels/${id}` }, bindings: { mqtt: { retain: isRetained(channel) } } };
}

/** As it is on the wire: what a parser makes of it afterwards is the reader's. */
function payloadOf(schema: z.ZodType): object {
  const { $schema: _draft, ...payload } = z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    unrepresentable: "any",
  });
  return payload;
}

const parameterText = "[a-z0-9-]{3,32}";
const { time, pair, sticker, lease, unlock, gateway } = commandsByName;

const rows: readonly Row[] = [
  { id: "birth", channel: "birth", address: "{device}/birth", action: "receive", messages: { birth: birthSchema } },
  { id: "state", channel: "state", address: "{device}/state", action: "receive", messages: { state: stateSchema } },
  {
    id: "health",
    channel: "health",
    address: "{device}/health",
    action: "receive",
    messages: { health: healthSchema },
  },
  {
    id: "reported",
    channel: "reported",
    address: "{device}/reported",
    action: "receive",
    messages: { reported: reportedSchema, exposure: exposureSchema },
  },
  {
    id: "event",
    channel: "event",
    address: "{device}/event",
    action: "receive",
    messages: { events: eventBatchSchema },
  },
  {
    id: "receipt",
    channel: "receipt",
    address: "{device}/receipt",
    action: "send",
    messages: { receipt: receiptSchema },
  },
  {
    id: "desired",
    channel: "desired",
    address: "{device}/desired",
    action: "send",
    messages: { desired: desiredSchema },
  },
  ...askedByGateway("time", time),
  ...askedByGateway("pair", pair),
  ...askedByGateway("sticker", sticker),
  ...askedByGateway("lease", lease),
  {
    id: "command-unlock",
    channel: "command",
    address: "{device}/command/unlock",
    action: "send",
    messages: { "command-unlock": unlock.command },
  },
  {
    id: "result-unlock",
    channel: "result",
    address: "{device}/result/unlock",
    action: "receive",
    messages: { "result-unlock": unlock.result },
  },
  {
    id: "command-gateway",
    channel: "command",
    address: "{gateway}/command/gateway",
    action: "send",
    messages: { "command-gateway": gateway.command },
  },
  {
    id: "result-gateway",
    channel: "result",
    address: "{gateway}/result/gateway",
    action: "receive",
    messages: { "result-gateway": gateway.result },
  },
  // SPEC I3: on the site's own broker alone.
  {
    id: "enrol-request",
    channel: "command",
    address: "dl/1/enrol/{client}/request",
    action: "receive",
    messages: { "enrol-request": enrolmentRequestSchema },
  },
  {
    id: "enrol-answer",
    channel: "result",
    address: "dl/1/enrol/{client}/answer",
    action: "send",
    messages: { "enrol-answer": enrolmentAnswerSchema },
  },
];

function askedByGateway(name: string, { command, result }: Record<"command" | "result", z.ZodType>): readonly Row[] {
  return [
    {
      id: `command-${name}`,
      channel: "command",
      address: `authority/command/${name}`,
      action: "receive",
      messages: { [`command-${name}`]: command },
    },
    {
      id: `result-${name}`,
      channel: "result",
      address: `{gateway}/result/${name}`,
      action: "send",
      messages: { [`result-${name}`]: result },
    },
  ];
}
