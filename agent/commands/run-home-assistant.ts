/** A part of the composition root: the connection to Home Assistant's broker, where the configuration asks for one. */
import { createMqttBrokerTransport } from "../broker/mqtt-broker-transport.ts";
import type { Config } from "../config.ts";
import { HomeAssistant } from "../homeassistant/home-assistant.ts";
import type { HomeAssistantConfig } from "../homeassistant/home-assistant-config.ts";
import { type Described, describeStatus } from "../http/describe.ts";
import type { Log } from "../ports/log.ts";
import type { Random } from "../ports/random.ts";

export function startHomeAssistant(
  { site, gateway }: Config,
  { broker, discoveryPrefix, topicPrefix, intervalSeconds }: HomeAssistantConfig,
  described: Described,
  { random, log }: { readonly random: Random; readonly log: Log },
): HomeAssistant {
  const { reconnect: backoff, ...where } = broker;
  const home = new HomeAssistant({
    names: { discoveryPrefix, topicPrefix, site, gateway },
    // Beside the connection to an external broker of the site, which may be the same one and has the gateway's own name.
    transport: createMqttBrokerTransport({ ...where, clientId: `${gateway}-home-assistant` }),
    ...{ backoff, random, log, clock: described.clock },
    intervalMs: intervalSeconds * 1000,
    status: () => describeStatus(described),
    doorOf: (device) => described.gateway.doors.of(device),
  });
  home.start();
  return home;
}
