import { describe, expect, it } from "vitest";
import { gatewayDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import { gatewayCommandSchema } from "../../../protocol/wire/messages/gateway-command.ts";
import { catchMessages, deviceId, gateway, json, noon, startCloud, type TestCloud } from "./fixture.ts";

const run = "ab".repeat(16);

async function start() {
  const { cloud, clock } = await startCloud();
  const messages = catchMessages(cloud);
  Object.defineProperty(cloud.broker, "linkIsUp", { get: () => true });
  return { cloud, clock, messages };
}

function hear(cloud: TestCloud, channel: "health" | "result", message: object): boolean {
  const topic = { site: "maple-court", device: gateway, channel, ...(channel === "result" ? { name: "gateway" } : {}) };
  return cloud.intake.receive(gateway, topic, json({ v: 1, device: gateway, ...message }));
}

function hearBoot(cloud: TestCloud, uptimeMs: number, id = run): void {
  const unknown = { battery: null, firmware: null, firmwareVerdict: null, clock: null, bootCount: 1, lastSyncAt: null };
  expect(hear(cloud, "health", { ...unknown, uptimeSeconds: 1, at: noon, gatewayBoot: { id, uptimeMs } })).toBe(true);
}

function sent(messages: ReturnType<typeof catchMessages>) {
  return messages
    .filter(({ topic }) => topic.channel === "command" && topic.name === "gateway")
    .map(({ payload }) => gatewayCommandSchema.parse(JSON.parse(payload)));
}

describe("commands to a gateway", () => {
  it("[M24] end two minutes after they are sent by the gateway's own uptime, reckoned from the report that makes it oldest", async () => {
    const { cloud, clock, messages } = await start();
    hearBoot(cloud, 5_000);
    clock.advance(1_000);
    // Late news of the same run: it took its time to come.
    hearBoot(cloud, 5_500);
    clock.advance(1_000);
    const asked = cloud.orders.request(gateway, { action: "diagnose" });
    expect(sent(messages)).toMatchObject([{ device: gateway, bootId: run, notAfterUptimeMs: 7_000 + 120_000 }]);
    const { id } = sent(messages)[0] ?? { id: "" };
    expect(hear(cloud, "result", { id, state: "accepted" })).toBe(true);
    expect(hear(cloud, "result", { id, state: "done", answer: {} })).toBe(true);
    expect(await asked).toMatchObject({ ok: true, value: { state: "done", command: id } });
    // Another run counts from what it says, however young it is.
    hearBoot(cloud, 10, "cd".repeat(16));
    void cloud.orders.request(gateway, { action: "reload" });
    expect(sent(messages)[1]).toMatchObject({ bootId: "cd".repeat(16), notAfterUptimeMs: 120_010 });
  });

  it("[M23] nothing is sent to one that was never heard, and no answer is no failure", async () => {
    const { cloud, clock, messages } = await start();
    const never = { state: "not-sent", reason: "never-heard", command: null };
    expect(await cloud.orders.request(gateway, { action: "reload" })).toMatchObject({ value: never });
    expect(await cloud.orders.request(deviceId("gateway-other"), { action: "reload" })).toMatchObject({
      fault: { code: "no-such-gateway" },
    });
    hearBoot(cloud, 0);
    const asked = cloud.orders.request(gateway, { action: "reload" });
    clock.advance(10_000);
    expect(await asked).toMatchObject({ value: { state: "sent" } });
    clock.advance(300_000);
    expect(cloud.orders.list(gateway)).toMatchObject([{ state: "unconfirmed", reason: "no-answer-in-time" }]);
    const { id } = sent(messages)[0] ?? { id: "" };
    expect(hear(cloud, "result", { id, state: "expired", reason: "too-late" })).toBe(true);
    expect(cloud.orders.list(gateway)).toMatchObject([{ state: "expired", reason: "too-late" }]);
    expect(hear(cloud, "result", { id, state: "done" })).toBe(false);
    expect(hear(cloud, "result", { id: "00".repeat(16), state: "done" })).toBe(false);
  });

  it("[M30] has every gateway forget a person, and says what came of it", async () => {
    const { cloud, messages } = await start();
    hearBoot(cloud, 0);
    const asking = cloud.http.inject({ method: "POST", url: "/api/people/bob/erase", headers: { host: "127.0.0.1" } });
    await Promise.resolve();
    while (sent(messages).length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [command] = sent(messages);
    expect(command?.order).toEqual({ action: "erase-person", person: "bob", credentials: ["bob-app"] });
    const answer = { erased: { events: 3, waiting: 1, signed: 0 } };
    hear(cloud, "result", { id: command?.id, state: "done", answer });
    expect((await asking).json()).toEqual({
      gateways: [{ gateway, action: "erase-person", command: command?.id, state: "done", reason: null, answer }],
    });
  });

  it("[M28] gives settings a version that counts up, and shows what came of them", async () => {
    const { cloud, messages } = await start();
    const put = (settings: unknown) =>
      cloud.http.inject({
        method: "PUT",
        url: `/api/gateways/${gateway}/settings`,
        headers: { host: "127.0.0.1" },
        payload: { settings },
      });
    expect((await put([{ setting: "health.intervalSeconds", value: 30 }])).json()).toMatchObject({ version: 1 });
    expect((await put([])).json()).toEqual({ version: 2, settings: [] });
    expect(
      (
        await put([
          { setting: "a", value: 1 },
          { setting: "a", value: 2 },
        ])
      ).statusCode,
    ).toBe(422);
    const told = messages.map(({ payload }) => gatewayDesiredSchema.parse(JSON.parse(payload)).settings?.version);
    expect(told).toEqual([1, 2]);
    const report = { version: 2, applied: [], waiting: [], refused: [] };
    const topic = { site: "maple-court", device: gateway, channel: "reported" } as const;
    cloud.intake.receive(gateway, topic, json({ v: 1, gateway, at: noon, exposures: [], settings: report }));
    const shown = await cloud.http.inject({ url: "/api/gateways", headers: { host: "127.0.0.1" } });
    expect(shown.json()).toMatchObject([{ gateway, settings: { version: 2 }, reported: report, reportedAt: noon }]);
  });
});
