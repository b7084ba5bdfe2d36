/**
 * Two agents, a clustered broker and emulated locks in reach of both, small enough for CI; `scripts/chaos cluster` is the same with 200 locks and
 * every node killed in turn.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "./agent-process.ts";
import { ClusterHouse, clusterGateways, PASSWORD } from "./cluster-house.ts";

const LOCKS = 10;
const LEASE_SECONDS = 30;

let folder: string;
let house: ClusterHouse;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-cluster-"));
  house = await ClusterHouse.start({ folder, locks: LOCKS, leaseSeconds: LEASE_SECONDS });
  await Promise.all(clusterGateways.map((gateway) => house.startAgent(gateway)));
}, 60_000);

afterAll(async () => {
  await house.stop();
  await rm(folder, { recursive: true, force: true });
}, 20_000);

describe("two gateways over a clustered broker", () => {
  it("[G20] [G26] [G27] a node dies while every lock is behind: nothing lost or doubled, one visit at a time, no lock left out for more than a lease", async () => {
    const first = await house.round(ROUND_LIMIT_MS);
    expect(first.wholeSeconds).toBeDefined();
    // The node of one gateway and of the authority.
    const struck = await house.round(ROUND_LIMIT_MS, async () => {
      await house.killNode(0);
    });
    expect(struck.wholeSeconds).toBeDefined();
    const limitSeconds = (first.sweptSeconds ?? 0) + LEASE_SECONDS;
    expect(struck.newestSeconds.filter((seconds) => seconds > limitSeconds)).toEqual([]);
    expect(house.logFaults()).toEqual({ lost: 0, doubled: 0, unchecked: 0 });
    expect(house.overlaps).toEqual([]);
    // Both work, and no lock is visited by both for the same: a visit more where one began just before the other's was told.
    for (const gateway of clusterGateways) expect(house.links.some((link) => link.gateway === gateway)).toBe(true);
    expect(house.links.length).toBeLessThanOrEqual(3 * LOCKS + LOCKS / 2);
  }, 130_000);

  it("[G26] the rights that the README shows keep another site's gateway out of this one, and one gateway out of another's words", async () => {
    const url = house.cluster.nodes.find((node) => node.isUp())?.url ?? "";
    const oak = await connectTo(url, "oak-gateway", "gateway-oak");
    const main = await connectTo(url, "maple-gateway-main", "somebody-with-its-password");
    const heard: string[] = [];
    for (const client of [oak, main]) client.on("message", (topic) => heard.push(topic));
    for (const filter of [
      "#",
      "dl/1/+/+/desired",
      "dl/1/maple-court/+/desired",
      "dl/1/maple-court/gateway-main/result/+",
    ]) {
      await expect(oak.subscribeAsync(filter, { qos: 0 })).rejects.toThrow();
    }
    await expect(main.subscribeAsync("dl/1/maple-court/gateway-two/result/+", { qos: 0 })).rejects.toThrow();
    const refused = house.cloud.record.summary().refused;
    const lie = JSON.stringify({ v: 1, device: "gateway-two", online: false, heardAt: null });
    // A broker of MQTT 3.1.1 has no word for "not allowed": it drops the message, or whoever sends it.
    for (const client of [oak, main]) {
      client.publish("dl/1/maple-court/gateway-two/state", lie, { qos: 0, retain: true });
    }
    const authority = await connectTo(url, "maple-authority", "another-authority");
    const states: string[] = [];
    authority.on("message", (topic, payload) => states.push(`${topic} ${payload.toString()}`));
    await authority.subscribeAsync("dl/1/maple-court/+/state", { qos: 0 });
    await waitFor("what is retained", () => states.some((text) => text.includes("gateway-two/state")));
    expect(states.filter((text) => text.includes('"gateway-two","online":false'))).toEqual([]);
    expect(house.cloud.table.latest("gateway-two", "state")?.body.online).toBe(true);
    expect(house.cloud.record.summary().refused).toBe(refused);
    expect(heard).toEqual([]);
    await Promise.all([oak, main, authority].map((client) => client.endAsync(true)));
  }, 40_000);
});

/** A node that has just lost another may still be without a leader: it is asked again. */
async function connectTo(url: string, username: string, clientId: string): Promise<MqttClient> {
  let client: MqttClient | undefined;
  await waitFor(`a connection as ${username}`, async () => {
    const options = { username, password: PASSWORD, clientId, reconnectPeriod: 0, protocolVersion: 4 as const };
    client = await mqtt.connectAsync(url, options).catch(() => undefined);
    return client !== undefined;
  });
  if (client === undefined) throw new Error("no connection");
  client.on("error", () => undefined);
  return client;
}

const ROUND_LIMIT_MS = 60_000;
