/** `POST /api/sticker-check`: what the agent is told of a photograph, and that it shows it. */
import { afterEach, describe, expect, it } from "vitest";
import { describeStatus } from "../../../agent/http/describe.ts";
import { createApp } from "../../../agent/http/server.ts";
import { type GatewayWorld, site, startGateway, tellSite } from "../../world/gateway-builder.ts";

const check = { panel: "lobby-link", verdict: "fail", identity: "current", letter: "D" };

let world: GatewayWorld;
let app: ReturnType<typeof createApp>;
afterEach(() => app.close());

async function start(): Promise<void> {
  world = await startGateway({ automatic: false });
  await tellSite(world);
  const list = {
    ...{ v: 1, kind: "panel", revision: 1, device: "lobby-link", panelNumber: 1, door: "lobby", doorName: "Lobby" },
    ...{
      rotation: 1,
      current: "HTTPS://DOORS.EXAMPLE/L/0400200",
      retired: [],
      at: 1_790_000_000,
      seenAt: 1_790_000_100,
    },
  };
  world.upstream.say(`dl/1/${site}/lobby-link/desired`, list);
  await world.clock.advance(0);
  app = createApp(world);
}

async function post(payload: object): Promise<readonly [number, unknown]> {
  const response = await app.inject({ method: "POST", url: "/api/sticker-check", payload });
  return [response.statusCode, response.json()];
}

async function stickers(of: GatewayWorld): Promise<readonly string[]> {
  return (await describeStatus(of)).attention.stickers.map(({ who, what }) => `${who}: ${what}`);
}

describe("POST /api/sticker-check", () => {
  it("[G35] keeps the last one on disk, and the status shows it until the next passes", async () => {
    await start();
    expect(await stickers(world)).toEqual(["lobby-link: never checked"]);
    const at = Math.floor(world.clock.nowMs() / 1000);
    expect(await post(check)).toEqual([200, { ...check, at }]);
    expect(await stickers(world)).toEqual(["lobby-link: last check failed: current, grade D"]);
    const again = await startGateway({ automatic: false, store: world.store, clock: world.clock });
    expect(await stickers(again)).toEqual(["lobby-link: last check failed: current, grade D"]);
    expect((await post({ ...check, verdict: "pass", letter: "A" }))[0]).toBe(200);
    expect(await stickers(world)).toEqual([]);
  });

  it.each([
    ["a panel that is not there", { ...check, panel: "cellar-link" }, 404],
    ["a lock", { ...check, panel: "lock-c1" }, 404],
    ["another verdict", { ...check, verdict: "open" }, 400],
    ["another letter", { ...check, letter: "Z" }, 400],
    ["a payload beside it", { ...check, payload: "HTTPS://MINE" }, 400],
    ["nothing", {}, 400],
  ])("[G35] refuses %s", async (_what, payload, expected) => {
    await start();
    expect((await post(payload))[0]).toBe(expected);
    expect(await stickers(world)).toEqual(["lobby-link: never checked"]);
  });
});
