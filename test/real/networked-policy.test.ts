/** A revocation on its way to the panels of Maple Court, on real sockets: through the cloud, the agent's broker, to the panel's own decision. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { exposureView } from "../../emulator/cloud/exposure.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { type OpenHouse, openHouse } from "../world/open-house.ts";
import { until } from "./checkout-house.ts";

const tried = z.object({ granted: z.boolean(), reason: z.string().optional() });
const away = "garage-panel" as DeviceId;

let house: OpenHouse;
beforeAll(async () => {
  house = await openHouse();
}, 60_000);
afterAll(() => house.close());

async function ben(device: string) {
  const answer = await fetch(`${house.urls.site}/api/people/ben-okafor/try`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ device, credential: "ben-rf" }),
  });
  return tried.parse(await answer.json());
}

function exposedAtGateway(): readonly string[] {
  return house.gateway.exposures().map(({ device }) => device);
}

function reckoned(): readonly string[] {
  return exposureView(house.cloud).reckoned.map(({ device }) => device);
}

const versionHeld = (device: DeviceId) => house.cloud.table.latest(device, "reported")?.body.policy.version;

describe("a revocation", () => {
  it("row 61: [M15] [M14] [G3] [G9] reaches connected panels at once; one that is away lets in, is named for it, and learns it when it is back", async () => {
    await until("what the panels hold", () => versionHeld("gate-panel" as DeviceId) === 1 && versionHeld(away) === 1);
    expect(await ben("gate-panel")).toEqual({ granted: true });
    expect(await ben(away)).toEqual({ granted: true });
    // The garage panel loses its network: the broker does not let it in.
    const { intake } = house.gateway;
    const admits = intake.admits.bind(intake);
    intake.admits = (device) => device !== away && admits(device);
    house.broker.disconnect(away);
    await until("the garage panel away", () => !house.broker.connected().includes(away));

    const revoked = await fetch(`${house.urls.cloud}/api/people/ben-okafor/revoke`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(revoked.status).toBe(200);
    await until("the gate panel's own word", () => versionHeld("gate-panel" as DeviceId) === 2);
    expect(await ben("gate-panel")).toEqual({ granted: false, reason: "CREDENTIAL_REVOKED" });

    expect(await ben(away)).toEqual({ granted: true });
    expect(exposedAtGateway()).toContain(away);
    expect(reckoned()).toContain(away);
    for (const exposed of [exposedAtGateway(), reckoned()]) expect(exposed).not.toContain("gate-panel");

    intake.admits = admits;
    await until("the garage panel's own word", () => versionHeld(away) === 2);
    expect(exposedAtGateway()).not.toContain(away);
    expect(reckoned()).not.toContain(away);
    expect((await ben(away)).granted).toBe(false);
    // Firmware below its floor keeps the reason to itself.
    await until("the denial in the record", () => deniedWithoutReason());
  }, 60_000);
});

function deniedWithoutReason(): boolean {
  const denials = house.cloud.record.events({ device: away, kind: "access-denied" });
  return denials.length === 1 && denials.every((event) => event["reason"] === undefined && event["reasonAbsent"]);
}
