/** A manager's phone syncs a lock of Maple Court: the world's own route, the cloud's HTTP and the air of the emulated site, all real. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type OpenHouse, openHouse } from "../world/open-house.ts";
import { post } from "./checkout-house.ts";

let house: OpenHouse;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

const sync = (person: string, body: object) => post(`${house.urls.site}/api/people/${person}/sync`, body);
const lines = async () => {
  const schema = z.object({ lines: z.array(z.record(z.string(), z.unknown())) });
  return schema.parse(await (await fetch(`${house.urls.site}/api/log`)).json()).lines;
};
const recorded = () => house.cloud.chains.state("lobby-lock")?.through;

describe("POST /api/people/:id/sync", () => {
  it("[Y18] a manager's phone brings a revocation and takes the log home, and the world's log shows it", async () => {
    const onAnothers = { device: "lobby-lock", phone: "ana-phone" };
    expect(await sync("kira-lund", onAnothers)).toMatchObject({ code: "not-signed-in-there" });
    await post(`${house.urls.cloud}/api/people/ben-okafor/revoke`, {});
    const version = house.cloud.authority.state.policies["lobby-lock"]?.version;
    const done = await sync("kira-lund", { device: "lobby-lock" });
    expect(done).toMatchObject({
      device: "lobby-lock",
      phone: "kira-phone",
      outcome: "in-sync",
      to: { epoch: 1, version },
      uploaded: true,
    });
    expect(await lines()).toContainEqual(
      expect.objectContaining({ device: "lobby-lock", kind: "synced", who: "kira-lund", with: "phone" }),
    );
    expect(house.cloud.table.latest("lobby-lock", "reported")?.body).toMatchObject({ courier: "kira-phone" });
  });

  it("[Y18] offline at the door it goes all the same, and brings the log when it has a network", async () => {
    await post(`${house.urls.site}/api/people/ana-reyes/try`, { device: "lobby-lock", credential: "ana-card" });
    const before = recorded();
    const offline = { device: "lobby-lock", offline: true };
    expect(await sync("kira-lund", offline)).toMatchObject({ clock: null, uploaded: false });
    expect(recorded()).toBe(before);
    expect(await sync("kira-lund", { device: "lobby-lock" })).toMatchObject({ uploaded: true });
    expect(recorded()).toBeGreaterThan(before ?? 0);
    expect(house.cloud.record.summary()).toMatchObject({ duplicates: 0, conflicting: 0 });
  });

  it("[Y18] refuses by name: a resident, a networked device, and what is not there", async () => {
    expect(await sync("ana-reyes", { device: "lobby-lock" })).toMatchObject({ reason: "ROLE_MAY_NOT_CARRY" });
    expect(await lines()).toContainEqual(expect.objectContaining({ kind: "visit-failed", who: "ana-reyes" }));
    expect(await sync("kira-lund", { device: "gym-lock" })).toMatchObject({ code: "not-a-ble-lock" });
    expect(await sync("kira-lund", { device: "nowhere" })).toMatchObject({ code: "no-such-device" });
    expect(await sync("nobody", { device: "lobby-lock" })).toMatchObject({ code: "no-such-person" });
  });
});
