/**
 * MQTT topics: `dl/1/<site>/<device>/<channel>[/<name>]`, the same on a site's broker and upstream.
 * The device part names the party that the message is about; a command names the party that must carry it out
 * (a device, a gateway, or `authority`). A result goes under the id of the one below the authority in the exchange: the gateway that
 * asked the authority something, the device that carried out the authority's command.
 * Source: SPEC T1-T3; PROTOCOL part 2.
 */
import { type DeviceId, parseDeviceId } from "../base/units.ts";

export const retainedChannels = ["birth", "state", "health", "desired", "reported"] as const;
export const durableChannels = ["event", "receipt"] as const;
export const namedChannels = ["command", "result"] as const;

export type Channel =
  | (typeof retainedChannels)[number]
  | (typeof durableChannels)[number]
  | (typeof namedChannels)[number];

export interface Topic {
  readonly site: string;
  readonly device: DeviceId;
  readonly channel: Channel;
  /** Present on `command` and `result` only. */
  readonly name?: string;
}

/** The id under which the authority takes commands from gateways. */
export const AUTHORITY_ID = "authority" as DeviceId;

/** Longest topic taken from a peer: six parts of at most 32 characters and their slashes. */
export const TOPIC_LIMIT_CHARACTERS = 140;

export function formatTopic(topic: Topic): string {
  const base = `dl/1/${topic.site}/${topic.device}/${topic.channel}`;
  return topic.name === undefined ? base : `${base}/${topic.name}`;
}

/** Reads a topic. Anything outside the grammar (too long, wrong version, unknown channel, a name where none belongs) gives undefined. */
export function parseTopic(text: string): Topic | undefined {
  if (text.length > TOPIC_LIMIT_CHARACTERS) return undefined;
  const [prefix, version, site, deviceText, channel, name, ...rest] = text.split("/");
  if (prefix !== "dl" || version !== "1" || rest.length > 0) return undefined;
  if (site === undefined || parseDeviceId(site) === undefined) return undefined;
  const device = parseDeviceId(deviceText ?? "");
  if (device === undefined || channel === undefined) return undefined;
  if (isUnnamedChannel(channel)) return name === undefined ? { site, device, channel } : undefined;
  if (!isNamedChannel(channel) || name === undefined || !namePattern.test(name)) return undefined;
  return { site, device, channel, name };
}

/** True when the channel's messages are kept by the broker for those who come later. */
export function isRetained(channel: Channel): boolean {
  return retainedChannels.some((retained) => retained === channel);
}

function isUnnamedChannel(text: string): text is (typeof retainedChannels)[number] | (typeof durableChannels)[number] {
  return [...retainedChannels, ...durableChannels].some((channel) => channel === text);
}

function isNamedChannel(text: string): text is (typeof namedChannels)[number] {
  return namedChannels.some((channel) => channel === text);
}

const namePattern = /^[a-z0-9-]{1,32}$/;
