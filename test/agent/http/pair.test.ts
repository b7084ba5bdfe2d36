/** `POST /api/pair`: what it takes, what it says of each fault, and that nothing of the card comes back. */
import { afterEach, describe, expect, it } from "vitest";
import { createApp } from "../../../agent/http/server.ts";
import { pairAnswerView } from "../../../agent/http/views.ts";
import type { PairingFault, PairingOptions, RunPairing } from "../../../agent/ports/pairing.ts";
import { bytesToBase64, bytesToHex } from "../../../protocol/base/bytes.ts";
import { pairingStatement } from "../../../protocol/wire/pairing-message.ts";
import { formatSetupCode } from "../../../protocol/wire/setup-code.ts";
import {
  base64Of,
  bleLock,
  type GatewayWorld,
  gatewayDesired,
  gatewayId,
  lockAddress,
  lockId,
  panel,
  site,
  startGateway,
} from "../../world/gateway-builder.ts";
import { seededBytes } from "../../world/lossy-link.ts";

const secret = seededBytes(3, 16);
const code = formatSetupCode({ lockPublicKey: new Uint8Array(32).fill(4), secret });
const statement = pairingStatement.encode({
  ...{ pairingId: new Uint8Array(16).fill(6), lockPublicKey: new Uint8Array(32).fill(4), model: "C1" },
  ...{ firmware: "2.0.8", hardware: "C1-rev4", bootCount: 3, epoch: 1 },
});
const paired: RunPairing = async () => ({
  ok: true,
  statement,
  statementMac: new Uint8Array(32),
  mac: new Uint8Array(32),
});
const fails =
  (fault: PairingFault): RunPairing =>
  async () => ({ ok: false, fault });

let world: GatewayWorld;
let app: ReturnType<typeof createApp>;
const runs: PairingOptions[] = [];

async function start(runPairing: RunPairing = paired): Promise<void> {
  runs.splice(0);
  world = await startGateway({
    automatic: false,
    runPairing: (options) => {
      runs.push(options);
      return runPairing(options);
    },
  });
  const offer = { root: base64Of(32, 7), keyset: { bytes: base64Of(40, 1), signature: base64Of(64, 2) } };
  const devices = [
    bleLock(),
    panel(),
    { id: "lock-new", model: "C1", network: "ble", door: "unit-2b", doorName: "2B" },
  ];
  world.upstream.say(`dl/1/${site}/${gatewayId}/desired`, { ...gatewayDesired({ devices }), pairing: offer });
  await world.clock.advance(0);
  app = createApp(world);
}

afterEach(() => app.close());

async function post(payload: unknown, waitMs = 20_000) {
  const headers = { "content-type": "application/json" };
  const waiting = app.inject({
    method: "POST",
    url: "/api/pair",
    headers,
    payload: typeof payload === "string" ? payload : JSON.stringify(payload),
  });
  await world.clock.advance(waitMs);
  const response = await waiting;
  // Whatever was asked and whatever came of it, the card's secret is not told to anybody.
  const said = `${response.body} ${JSON.stringify(response.headers)} ${JSON.stringify(world.logged)}`;
  for (const spelling of [code, code.slice(9), code.slice(70, 90), bytesToHex(secret), bytesToBase64(secret)]) {
    expect(said).not.toContain(spelling);
  }
  return { status: response.statusCode, body: response.json() as unknown };
}

describe("POST /api/pair", () => {
  it("pairs, and says which lock it is now", async () => {
    await start();
    const { status, body } = await post({ device: lockId, code });
    expect(status).toBe(200);
    expect(pairAnswerView.parse(body)).toEqual({
      device: lockId,
      pairingId: "06".repeat(16),
      address: lockAddress,
      model: "C1",
      firmware: "2.0.8",
      hardware: "C1-rev4",
      confirmed: false,
    });
    expect(runs.map(({ setupSecret }) => setupSecret)).toEqual([secret]);
  });

  it.each<[string, unknown]>([
    ["no body", ""],
    ["no JSON", `{"device": "lock-c1", "code": "${code}"`],
    ["no code", { device: lockId }],
    ["no device", { code }],
    ["a number for a code", { device: lockId, code: 1 }],
    ["a code that is too long", { device: lockId, code: `${code}${"0".repeat(80)}` }],
    ["an address that is none", { device: lockId, code, address: code }],
    ["something else beside it", { device: lockId, code, secret: code }],
    ["a name with the code in it", { device: lockId, code, [code]: code }],
    ["a list", [lockId, code]],
    ["a body of 5 kB", { device: lockId, code, address: code.repeat(40) }],
  ])("takes no %s: a bad request, of which nothing is said again", async (_what, payload) => {
    await start();
    const { status, body } = await post(payload);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(420);
    expect(body).toMatchObject({ fault: { code: "bad-request" } });
    expect(runs).toEqual([]);
  });

  it.each<[string, string, string]>([
    ["of another kind", code.replace("DOORLINK", "DOORLOCK"), "not-a-setup-code"],
    [
      "with one letter wrong",
      `${code.slice(0, 40)}${code[40] === "0" ? "1" : "0"}${code.slice(41)}`,
      "setup-code-check",
    ],
    ["cut short", code.slice(0, 9 + 64), "setup-code-length"],
    ["with a letter of no alphabet", `${code.slice(0, 40)}!${code.slice(41)}`, "bad-character"],
    [
      "of a lock that was given none",
      formatSetupCode({ lockPublicKey: new Uint8Array(32), secret: new Uint8Array(16) }),
      "setup-secret-blank",
    ],
  ])("a code %s is named as what it is", async (_what, wrong, expected) => {
    await start();
    const { status, body } = await post({ device: lockId, code: wrong });
    expect([status, body]).toEqual([400, { fault: { code: expected } }]);
    expect(JSON.stringify(body)).not.toContain(wrong.slice(20, 40));
    expect(runs).toEqual([]);
  });

  it.each<[string, object, number, string]>([
    ["a device that is not there", { device: "lock-zz" }, 404, "unknown-device"],
    ["no device id at all", { device: "../../etc" }, 404, "unknown-device"],
    ["a panel", { device: "panel-r20" }, 409, "not-a-ble-lock"],
    ["a lock whose address nobody knows", { device: "lock-new" }, 409, "no-address"],
  ])("%s is refused before the radio", async (_what, change, status, fault) => {
    await start();
    expect(await post({ device: lockId, code, ...change })).toEqual({ status, body: { fault: { code: fault } } });
    expect(runs).toEqual([]);
  });

  it("a card of another authority's lock is refused before the radio", async () => {
    await start();
    const rootFingerprint = new Uint8Array(16).fill(1);
    const foreign = formatSetupCode({ lockPublicKey: new Uint8Array(32).fill(4), secret, rootFingerprint });
    expect(await post({ device: lockId, code: foreign })).toEqual({
      status: 409,
      body: { fault: { code: "another-root" } },
    });
  });

  it.each<[PairingFault, number]>([
    [{ code: "not-found", reason: "connect-timeout" }, 504],
    [{ code: "timeout", reason: "pairing" }, 504],
    [{ code: "handshake", reason: "no-progress" }, 502],
    [{ code: "radio", reason: "link-lost" }, 502],
    [{ code: "refused", reason: "root-mismatch" }, 502],
    [{ code: "authority", reason: "not-open" }, 502],
    [{ code: "unconfirmed", reason: "link-lost" }, 502],
    [{ code: "protocol" }, 502],
  ])("a pairing that came to nothing: %o", async (fault, status) => {
    await start(fails(fault));
    expect(await post({ device: lockId, code })).toEqual({ status, body: { fault } });
  });

  it("a radio that never comes to it is a timeout, and the pairing may go on", async () => {
    await start(() => new Promise(() => undefined));
    const { status, body } = await post({ device: lockId, code }, 201_000);
    expect([status, body]).toMatchObject([504, { fault: { code: "timeout" } }]);
  });

  it("[H1] is for this machine alone", async () => {
    await start();
    const response = await app.inject({
      method: "POST",
      url: "/api/pair",
      headers: { host: "door.example", "content-type": "application/json" },
      payload: JSON.stringify({ device: lockId, code }),
    });
    expect([response.statusCode, response.json()]).toEqual([403, { fault: { code: "loopback-only" } }]);
    expect(runs).toEqual([]);
  });
});
