/** `POST /api/sticker`: what the gateway asks of the authority, and how each answer comes out. */
import { afterEach, describe, expect, it } from "vitest";
import { createApp } from "../../../agent/http/server.ts";
import { type GatewayWorld, gatewayId, site, startGateway, tellSite } from "../../world/gateway-builder.ts";

const panel = "lobby-link";
const list = (rotation: number) => ({
  v: 1,
  kind: "panel",
  revision: rotation,
  device: panel,
  panelNumber: 1,
  door: "lobby",
  doorName: "Lobby",
  rotation,
  current: `HTTPS://DOORS.EXAMPLE/L/0400200${rotation}5HXG8WQE39MYSBFH`,
  retired: [],
  at: 1_790_000_000,
});

let world: GatewayWorld;
let app: ReturnType<typeof createApp>;
afterEach(() => app.close());

async function start(options: { readonly up?: boolean } = {}): Promise<void> {
  world = await startGateway({ automatic: false, ...options });
  await tellSite(world);
  world.upstream.say(`dl/1/${site}/${panel}/desired`, list(3));
  await world.clock.advance(0);
  app = createApp(world);
}

/** The authority's answers to each question; `lists` come before it. */
function authoritySays(answer: object, lists: readonly object[] = []): Record<string, unknown>[] {
  const asked: Record<string, unknown>[] = [];
  world.upstream.onPublish = ({ topic, payload }) => {
    if (!topic.endsWith("authority/command/sticker")) return;
    const command = JSON.parse(payload) as Record<string, unknown>;
    asked.push(command);
    for (const each of lists) world.upstream.say(`dl/1/${site}/${panel}/desired`, each);
    const result = { v: 1, id: command["id"], device: panel, ...answer };
    world.upstream.say(`dl/1/${site}/${gatewayId}/result/sticker`, result);
  };
  return asked;
}

async function post(payload: object): Promise<readonly [number, unknown]> {
  const response = await app.inject({ method: "POST", url: "/api/sticker", payload });
  return [response.statusCode, response.json()];
}

describe("POST /api/sticker", () => {
  it("[Q59] asks for the rotation that it knows unless another is said, and answers with the new list's panel", async () => {
    await start();
    const asked = authoritySays({ state: "done", rotation: 4 }, [list(4)]);
    const [status, body] = await post({ panel, action: "rotate" });
    expect([status, body]).toMatchObject([
      200,
      { panel, epoch: 4, current: list(4).current, seenAtMs: null, ageMs: 0 },
    ]);
    expect(asked).toMatchObject([{ device: panel, action: "rotate", rotation: 3 }]);
    await post({ panel, action: "retire", epoch: 9 });
    expect(asked[1]).toMatchObject({ action: "retire", rotation: 9 });
  });

  it("[Q59] a result whose list has not come is no panel to print from", async () => {
    await start();
    authoritySays({ state: "done", rotation: 4 });
    expect(await post({ panel, action: "rotate" })).toEqual([502, { fault: { code: "list-behind" } }]);
  });

  it("[Q59] a refusal is 409 with the authority's reason", async () => {
    await start();
    authoritySays({ state: "refused", reason: "too-often" });
    const refused = { fault: { code: "authority-refused", reason: "too-often" } };
    expect(await post({ panel, action: "rotate" })).toEqual([409, refused]);
  });

  it("[Q59] nobody to ask is 503 at once", async () => {
    await start();
    world.upstream.setLink(false);
    await world.clock.advance(0);
    const silent = { fault: { code: "authority-silent", reason: "unreachable" } };
    expect(await post({ panel, action: "rotate" })).toEqual([503, silent]);
  });

  it.each([
    ["a panel that is not there", { panel: "cellar-link", action: "rotate" }, 404, "no-such-panel"],
    ["a lock", { panel: "lock-c1", action: "rotate" }, 404, "no-such-panel"],
    ["no device id at all", { panel: "../../etc", action: "rotate" }, 404, "no-such-panel"],
    ["another action", { panel, action: "open" }, 400, "bad-request"],
    ["a rotation that no token has", { panel, action: "rotate", epoch: 65_536 }, 400, "bad-request"],
    ["something else beside it", { panel, action: "rotate", payload: "HTTPS://MINE" }, 400, "bad-request"],
  ])("[Q59] %s asks nobody", async (_what, payload, expected, code) => {
    await start();
    const asked = authoritySays({ state: "done", rotation: 4 });
    expect(await post(payload)).toMatchObject([expected, { fault: { code } }]);
    expect(asked).toEqual([]);
  });
});
