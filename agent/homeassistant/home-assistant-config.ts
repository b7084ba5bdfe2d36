/** The section `homeAssistant` of the configuration: where this gateway shows the site's devices to Home Assistant. SPEC G38. */
import { z } from "zod";
import { externalBrokerSchema } from "../broker/external-broker-schema.ts";

/** One or more levels of a topic, without wildcards. */
const topicPrefix = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]{1,32}(\/[A-Za-z0-9_-]{1,32}){0,3}$/,
    "levels of letters, digits, _ and -, such as homeassistant",
  );

export const homeAssistantSchema = z.strictObject({
  /** The broker that Home Assistant listens to. It may be the site's external one; the embedded one lets nobody listen. */
  broker: externalBrokerSchema,
  /** As set in Home Assistant's MQTT integration. */
  discoveryPrefix: topicPrefix.default("homeassistant"),
  /** Above the topics of the states. */
  topicPrefix: topicPrefix.default("doorlink"),
  /** How often what changed is said. */
  intervalSeconds: z.number().int().min(1).max(3600).default(15),
});
export type HomeAssistantConfig = z.output<typeof homeAssistantSchema>;
