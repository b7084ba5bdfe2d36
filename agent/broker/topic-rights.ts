/** Who may say and hear what on a site's broker, as MQTT topic filters; everything else nobody may. Pure. SPEC B2, B17. */
import type { DeviceId } from "../../protocol/base/units.ts";

export interface TopicRights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What a device says of itself, and what it hears. `device` may be a placeholder of a broker's own language. */
export function deviceRights(site: string, device: string): TopicRights {
  return {
    publish: topics(site, device, spoken),
    subscribe: topics(site, device, ["receipt", "desired", "command/+"]),
  };
}

/** What a gateway hears of all devices of its site and tells them, and its own state by which it knows that it is heard (SPEC B16). */
export function gatewayRights(site: string, gateway: DeviceId): TopicRights {
  return {
    publish: [...topics(site, "+", ["receipt", "desired", "command/unlock"]), ...topics(site, gateway, ["state"])],
    subscribe: topics(site, "+", spoken),
  };
}

function topics(site: string, device: string, tails: readonly string[]): readonly string[] {
  return tails.map((tail) => `dl/1/${site}/${device}/${tail}`);
}

const spoken = ["birth", "state", "health", "reported", "event", "result/unlock"];
