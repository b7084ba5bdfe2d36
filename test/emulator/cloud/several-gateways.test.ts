import { describe, expect, it } from "vitest";
import type { OutgoingMessage } from "../../../emulator/cloud/broker.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { catchMessages, deviceId, gateway, json, noon, PairedLock, startCloud, type TestCloud } from "./fixture.ts";

const east = deviceId("gateway-east");

function say(cloud: TestCloud, from: typeof gateway, topic: string, message: unknown): boolean {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined) throw new Error(`${topic} is no topic`);
  return cloud.intake.receive(from, parsed, json(message));
}

function latest(
  messages: readonly OutgoingMessage[],
  device: string,
  channel: string,
): Record<string, unknown> | undefined {
  const found = messages.findLast(({ topic }) => topic.device === device && topic.channel === channel);
  return found === undefined ? undefined : JSON.parse(found.payload);
}

async function startShared() {
  const { cloud, clock } = await startCloud();
  const lock = PairedLock.pair(cloud, "lobby-lock");
  cloud.authority.registerGateway(east, "another long password");
  const messages = catchMessages(cloud);
  cloud.publishDesired();
  return { cloud, clock, lock, messages };
}

describe("an authority of several gateways", () => {
  it("[G19] tells each how long a lease lasts, and a lone one nothing of leases", async () => {
    const { cloud } = await startCloud();
    const messages = catchMessages(cloud);
    PairedLock.pair(cloud, "lobby-lock");
    cloud.publishDesired();
    expect(latest(messages, gateway, "desired")).toMatchObject({ visitLeaseSeconds: null });
    cloud.authority.registerGateway(east, "another long password");
    cloud.publishDesired();
    for (const one of [gateway, east]) {
      expect(latest(messages, one, "desired")).toMatchObject({ visitLeaseSeconds: 120 });
    }
  });

  it("[G20] grants and refuses by name; only for locks that are paired, and not in another's name", async () => {
    const { cloud, messages } = await startShared();
    const ask = (from: typeof gateway, device: string, action = "take", named = from): unknown => {
      const taken = say(cloud, from, "authority/command/lease", { v: 1, id: "q", from: named, device, action });
      return taken ? latest(messages, from, "result") : cloud.record.refusals(1)[0]?.["code"];
    };
    expect(ask(gateway, "lobby-lock")).toMatchObject({ id: "q", device: "lobby-lock", state: "done", forMs: 120_000 });
    const refused = { state: "refused", reason: "held", by: gateway, forMs: 15_000 };
    expect(ask(east, "lobby-lock")).toMatchObject(refused);
    expect(ask(east, "lobby-lock", "take", gateway)).toBe("gateway-mismatch");
    expect(ask(east, "roof-lock")).toMatchObject({ state: "refused", reason: "no-such-lock" });
    ask(gateway, "lobby-lock", "end");
    expect(ask(east, "lobby-lock")).toMatchObject({ state: "done" });
  });

  it("[G23] tells all of them what a lock reported and who brought it, once for each report", async () => {
    const { cloud, lock, messages } = await startShared();
    expect(latest(messages, "lobby-lock", "desired")).toMatchObject({ confirmed: null });
    expect(say(cloud, gateway, "lobby-lock/reported", lock.report(1))).toBe(true);
    const confirmed = { epoch: 1, version: 1, bootCount: 1, logNext: 1, at: noon, by: gateway };
    expect(latest(messages, "lobby-lock", "desired")).toMatchObject({ confirmed });
    const said = messages.length;
    // Retained, it comes again with each connection.
    say(cloud, gateway, "lobby-lock/reported", lock.report(1));
    expect(messages.length).toBe(said);
    lock.deny("1234567");
    expect(say(cloud, east, "lobby-lock/reported", { ...lock.report(1), courier: east })).toBe(true);
    expect(latest(messages, "lobby-lock", "desired")).toMatchObject({ confirmed: { logNext: 2, by: east } });
  });

  it("[G23] takes nobody's word for it: without the lock's MAC nothing is confirmed", async () => {
    const { cloud, lock, messages } = await startShared();
    const forged = { ...lock.report(1, { mac: new Uint8Array(32) }), courier: east };
    expect(say(cloud, east, "lobby-lock/reported", forged)).toBe(false);
    expect(latest(messages, "lobby-lock", "desired")).toMatchObject({ confirmed: null });
  });

  it("[G24] hears of a lock from who was there last, and passes over what another still says", async () => {
    const { cloud, lock } = await startShared();
    const state = (from: typeof gateway, online: boolean): boolean =>
      say(cloud, from, "lobby-lock/state", { v: 1, device: "lobby-lock", via: from, online, heardAt: noon });
    const online = (): unknown => cloud.table.latest("lobby-lock", "state")?.body.online;
    state(gateway, true);
    expect(online()).toBe(true);
    say(cloud, east, "lobby-lock/reported", { ...lock.report(1), courier: east });
    expect(state(gateway, false)).toBe(true);
    expect(online()).toBe(true);
    state(east, false);
    expect(online()).toBe(false);
  });

  it("[G27] says a desired document again that a gateway shows that it lost, at most once a minute", async () => {
    const { cloud, clock, messages } = await startShared();
    const revoked = cloud.authority.revoke("alice");
    expect(revoked.ok).toBe(true);
    const health = (version: number): boolean =>
      say(cloud, gateway, "lobby-lock/health", {
        v: 1,
        device: "lobby-lock",
        battery: null,
        firmware: null,
        firmwareVerdict: null,
        clock: null,
        uptimeSeconds: null,
        bootCount: null,
        lastSyncAt: null,
        sync: {
          state: "in-sync",
          why: null,
          since: null,
          desired: { epoch: 1, version },
          reported: null,
          heardAt: null,
        },
        at: noon,
      });
    const said = (): number => messages.filter(({ topic }) => topic.device === "lobby-lock").length;
    const before = said();
    expect(health(1)).toBe(true);
    expect(said()).toBe(before + 1);
    expect(latest(messages, "lobby-lock", "desired")).toMatchObject({ policy: { epoch: 1, version: 2 } });
    health(1);
    expect(said()).toBe(before + 1);
    clock.advance(60_000);
    health(1);
    health(2);
    expect(said()).toBe(before + 2);
  });
});
