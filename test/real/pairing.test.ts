/**
 * Pairing as an operator does it: a lock that was reset at its door, the card from its box photographed, the agent's own command and its
 * real radio path to the emulated lock, the authority upstream.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import QRCode from "qrcode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAgentClient } from "../../agent/commands/agent-client.ts";
import { runDeviceAdd } from "../../agent/commands/device-add.ts";
import { pairAnswerView } from "../../agent/http/views.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { type OpenHouse, openHouse } from "../world/open-house.ts";
import { until } from "./checkout-house.ts";

const lock = "lobby-lock" as DeviceId;
let house: OpenHouse;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "doorlink-pairing-"));
  house = await openHouse();
}, 60_000);

afterAll(async () => {
  await house.close();
  rmSync(folder, { recursive: true, force: true });
});

async function post(url: string, body: object = {}): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  expect(answer.ok, `${url}: ${answer.status}`).toBe(true);
  return (await answer.json()) as Record<string, unknown>;
}

async function codeOf(device: string): Promise<string> {
  const answer = await fetch(`${house.urls.site}/api/locks/${device}/setup-code`);
  const { code } = (await answer.json()) as { readonly code: string };
  return code;
}

/** The command as the operator runs it. */
async function add(device: string, code: string) {
  const said = { out: "", warned: "" };
  const exitCode = await runDeviceAdd(
    { device, code },
    {
      client: createAgentClient(house.urls.agent),
      json: true,
      write: (text) => {
        said.out += text;
      },
      warn: (text) => {
        said.warned += text;
      },
    },
  );
  return { exitCode, ...said };
}

/** With a phone: it gets no further than the session when the lock does not know its authority. */
const tries = async (): Promise<boolean> => {
  const answer = await fetch(`${house.urls.site}/api/people/ana-reyes/try`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ device: lock }),
  });
  return ((await answer.json()) as { readonly granted?: boolean }).granted === true;
};

describe("a lock that was reset at its door", () => {
  it("[Z10] [Z11] is added by its card once its manager says so, and is as it was after one visit", {
    timeout: 60_000,
  }, async () => {
    expect(await tries()).toBe(true);
    const before = house.cloud.authority.state.pairings[lock];
    const photo = join(folder, "card.png");
    const code = await codeOf(lock);
    writeFileSync(photo, await QRCode.toBuffer(code, { margin: 4, scale: 6 }));

    // It is in service: whoever holds the card gets nothing from it.
    const inService = await add(lock, photo);
    expect(inService).toMatchObject({ exitCode: 1, warned: expect.stringContaining("factory reset") });

    await post(`${house.urls.site}/api/locks/${lock}/factory-reset`);
    expect(await tries()).toBe(false);

    const notOpen = await add(lock, photo);
    expect(notOpen).toMatchObject({ exitCode: 1, warned: expect.stringContaining("ask who manages the site") });
    expect(house.cloud.authority.state.pairings[lock]).toEqual(before);

    await post(`${house.urls.cloud}/api/devices/${lock}/open-pairing`);
    const added = await add(lock, photo);
    expect(added.warned).toBe("");
    expect(added.exitCode).toBe(0);
    const answer = pairAnswerView.parse(JSON.parse(added.out));
    expect(answer).toMatchObject({ device: lock, confirmed: true, model: "C2" });
    expect(`${added.out}${added.warned}${notOpen.warned}`).not.toContain(code.slice(20, 40));
    expect(house.cloud.authority.state.pairings[lock]?.pairingId).not.toEqual(before?.pairingId);
    // The permission was for one lock, once.
    expect(house.cloud.authority.state.pairingOpenUntil).toEqual({});

    await until("the new pairing at the gateway", () => {
      const known = house.gateway.table.device(lock)?.pairingId;
      return known !== undefined && Buffer.from(known).toString("hex") === answer.pairingId;
    });
    expect(await house.gateway.requestSync(lock)).toMatchObject({ outcome: "in-sync" });
    // The phone learned with its failed try that what it holds of this lock is old.
    expect(await tries()).toBe(true);
    expect(await house.gateway.requestSync(lock)).toMatchObject({ outcome: "in-sync" });
    await until("its whole log upstream", () => {
      const state = house.cloud.chains.state(lock);
      return state?.report !== null && state !== undefined && state.through === state.report.logNext - 1;
    });
    const summary = house.cloud.record.summary();
    expect(summary).toMatchObject({ duplicates: 0, conflicting: 0 });
    expect(summary.devices.find(({ device }) => device === lock)?.gaps).toBe(0);
    expect(house.cloud.chains.state(lock)?.brokenAt).toBeNull();
  });
});
