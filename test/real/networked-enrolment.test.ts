/** Maple Court with certificates: cloud, agent and emulated site as processes; a panel waits for its claim, gets it, and is who it was after a restart. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { statusView } from "../../agent/http/views.ts";
import { runDoorlink } from "./agent-process.ts";
import { CheckoutHouse, post, runCommand, until } from "./checkout-house.ts";

let house: CheckoutHouse;
beforeAll(async () => {
  house = await CheckoutHouse.create("mqtts");
  await house.startCloud();
  await house.startSite();
  await house.startAgent();
}, 60_000);
afterAll(() => house.stopAll());

async function connected(): Promise<readonly string[]> {
  const answer = await fetch(`${house.agentUrl}/api/status`);
  return statusView.parse(await answer.json()).broker.connected;
}

describe("a house whose panels enrol", () => {
  it("[I7] [I4] a panel is away until it is given its claim, then reports for itself, and comes back by its certificate alone", async () => {
    const add = () =>
      runDoorlink("device", "add", "gate-panel", "--mqtt", "--serial", "R29-5501", "--json", "--agent", house.agentUrl);
    let opened = await add();
    await until("the site's devices at the gateway", async () => {
      opened = await add();
      return opened.code === 0;
    });
    expect(await connected()).toEqual([]);
    const { claim } = JSON.parse(opened.stdout);
    expect(await post(`${house.siteUrl}/api/devices/gym-lock/claim`, { claim: "DOORLINK:1" })).toEqual({
      code: "not-a-claim",
    });
    const file = join(house.folder, "claim.json");
    writeFileSync(file, opened.stdout);
    const give = ["claim", "gate-panel", "--claim", file, "--site", house.siteUrl];
    expect(await runCommand("emulator/front.js", give)).toMatchObject({ exitCode: 0, stderr: "" });
    await until("the panel", async () => (await connected()).includes("gate-panel"));
    // Another panel that learns the same string gets nothing by it.
    await post(`${house.siteUrl}/api/devices/garage-panel/claim`, { claim });
    await until("the refusal", () => (house.stderr.get("agent") ?? "").includes("claim-used"));
    expect(await connected()).toEqual(["gate-panel"]);
    expect(house.stderr.get("agent")).not.toContain(claim.slice(20, 60));
    await house.stop("site");
    await until("its end", async () => (await connected()).length === 0);
    await house.startSite();
    await until("the panel again", async () => (await connected()).includes("gate-panel"));
    expect((await runDoorlink("device", "revoke", "gate-panel", "--agent", house.agentUrl)).code).toBe(0);
    await until("its end", async () => (await connected()).length === 0);
  }, 60_000);
});
