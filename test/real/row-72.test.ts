/**
 * Row 72: "for security purposes, DOOR cannot provide you with access". Every HTTP route, MQTT topic and command line command that there is, as
 * the code itself registers them, is driven against a whole house; afterwards no bolt has moved and no lock has logged an opening.
 * What a courier can say to a lock over BLE is walked in test/checklist/row-72.test.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import * as agentMain from "../../agent/main.ts";
import * as emulatorMain from "../../emulator/main.ts";
import { bytesToBase64, bytesToHex, hexToBytes } from "../../protocol/base/bytes.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { commandsByName, unlockResultSchema } from "../../protocol/wire/messages/command.ts";
import { deviceDesiredSchema } from "../../protocol/wire/messages/desired.ts";
import { reportedSchema } from "../../protocol/wire/messages/reported.ts";
import { durableChannels, namedChannels, retainedChannels } from "../../protocol/wire/topics.ts";
import { signUnlock, type UnlockCommand } from "../../protocol/wire/unlock-command.ts";
import {
  type DoorState,
  gatewayId,
  gatewayPassword,
  type OpenHouse,
  openHouse,
  type Route,
  type Server,
} from "../world/open-house.ts";
import { commandEntries, listCommands } from "../world/row-72-commands.ts";
import { generalBodies, parameterValues, type RouteEntry, routeEntries } from "../world/row-72-routes.ts";
import { mapleCourtFile, post, until } from "./checkout-house.ts";

const servers: readonly Server[] = ["agent", "cloud", "site"];
let house: OpenHouse;
let before: DoorState;
/** The app's token of somebody who has a key to the gym at any time, and of somebody who has none to anything. */
let tokens: { readonly kira: string; readonly leo: string };

beforeAll(async () => {
  house = await openHouse();
  tokens = { kira: await tokenOf("kira-phone", "kira-lund"), leo: await tokenOf("leo-phone", "leo-marsh") };
});
afterAll(() => house.close());

async function tokenOf(phone: string, person: string): Promise<string> {
  const answer = await post(`${house.urls.cloud}/bench/phones`, { phone, person });
  return z.object({ token: z.string() }).parse(answer).token;
}

async function unlock(door: string, by: string, token?: string) {
  const response = await fetch(`${house.urls.cloud}/api/doors/${door}/unlock`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ by }),
  });
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
}

/** Waits until everything has locked again, and remembers how many openings there were until now. */
async function allLocked(): Promise<void> {
  await until("every door locked", async () => (await house.doors()).open.length === 0);
  before = await house.doors();
}

describe("what does open a door, so that the walk can be believed to see it", () => {
  it("row 72: a resident's card opens, and the walk sees bolt and log", async () => {
    const start = await house.doors();
    const tried = await post(`${house.urls.site}/api/people/ana-reyes/try`, {
      device: "lobby-lock",
      credential: "ana-card",
    });
    expect(tried).toMatchObject({ granted: true });
    expect(await house.doors()).toEqual({ open: ["lobby-lock"], grants: start.grants + 1 });
  });

  it("row 72: a signed, unexpired, unused command opens a networked door for who may, and is in record and log", async () => {
    const start = await house.doors();
    const { status, body } = await unlock("gym", "kira-lund", tokens.kira);
    expect(status).toBe(200);
    expect(body).toMatchObject({ device: "gym-lock", state: "done", heard: ["accepted", "executing", "done"] });
    const doors = await house.doors();
    expect(doors.open).toContain("gym-lock");
    expect(doors.grants).toBe(start.grants + 1);
    expect(house.cloud.unlockRecord.list().at(-1)).toMatchObject({ person: "kira-lund", door: "gym", outcome: "done" });
    const events = async () => house.cloud.record.events({ device: "gym-lock", kind: "access-granted" });
    await until("the event upstream", async () => (await events()).length > 0);
    expect((await events()).at(-1)).toMatchObject({ credentialType: "remote", command: body["command"] });
  });
});

describe("HTTP", () => {
  it("row 72: every route of agent, cloud and site has been said what it is", () => {
    for (const server of servers) {
      const registered = house.routes[server].map(({ method, path }) => `${method} ${path}`);
      expect([server, registered.toSorted()]).toEqual([server, Object.keys(routeEntries[server]).toSorted()]);
    }
  });

  it("row 72: no route moves a bolt, whatever it is given, without a credential", { timeout: 120_000 }, async () => {
    await allLocked();
    let requests = 0;
    // What ends somebody's rights or the link comes last, so that everything else meets a house that works.
    for (const { server, route, entry } of inOrder()) {
      const granted: unknown[] = [];
      const drive = async (path: string): Promise<void> => {
        for (const body of bodiesOf(route, entry)) {
          for (const token of tokensFor(route)) {
            requests += 1;
            const answer = await send(`${house.urls[server]}${path}`, route.method, body, token);
            // A gateway's own command ends as done too (SPEC M23): an unlock says what it heard on the way.
            if (/"granted":true|"heard":\[[^\]]*"done"/.test(answer)) granted.push({ path, body, answer });
          }
        }
      };
      await Promise.all(pathsOf(route).map(drive));
      expect([route.method, route.path, granted, await house.doors()]).toEqual([route.method, route.path, [], before]);
    }
    expect(requests).toBeGreaterThan(1_000);
    expect(house.cloud.broker.linkIsUp).toBe(true);
  });

  it("row 72: the authority signs for nobody but who proves who they are and may open that door now", async () => {
    await allLocked();
    // The walk signed this phone out.
    const leo = await tokenOf("leo-phone", "leo-marsh");
    expect(await unlock("gym", "kira-lund")).toMatchObject({ status: 401 });
    expect(await unlock("gym", "kira-lund", "master")).toMatchObject({ status: 401 });
    expect(await unlock("gym", "kira-lund", leo)).toMatchObject({
      status: 403,
      body: { code: "not-your-token" },
    });
    expect(await unlock("gym", "leo-marsh", leo)).toMatchObject({
      status: 403,
      body: { code: "ROLE_MAY_NOT_UNLOCK" },
    });
    expect(await unlock("apartment-2a", "kira-lund", tokens.kira)).toMatchObject({
      status: 409,
      body: { code: "NO_NETWORKED_DEVICE" },
    });
    expect(await house.doors()).toEqual(before);
  });
});

describe("MQTT", () => {
  const names = [...Object.keys(commandsByName), "open", "master", "support"];
  const channels = [...retainedChannels, ...durableChannels, ...namedChannels];
  const targets = ["gym-lock", "gate-panel", "garage-panel", "lobby-lock", "authority", gatewayId];
  const topics = targets.flatMap((target) =>
    channels.flatMap((channel) => {
      const tails = namedChannels.some((named) => named === channel)
        ? names.map((name) => `${channel}/${name}`)
        : [channel];
      return tails.map((tail) => `dl/1/maple-court/${target}/${tail}`);
    }),
  );
  const unsigned = (device: string) => ({
    v: 1,
    id: "ab".repeat(16),
    device,
    via: gatewayId,
    command: { bytes: "AAAA", signature: bytesToBase64(new Uint8Array(64)) },
  });
  const payloadsFor = (topic: string) => ["", "{}", "open", JSON.stringify(unsigned(topic.split("/")[3] ?? ""))];

  it("row 72: a device on the site's broker can open nothing by any topic, its own or another's", async () => {
    await allLocked();
    const clientId = "bike-room-reader";
    const password = house.cloud.authority.keys.enrolledPassword(clientId);
    const login = { clientId, username: clientId, password };
    for (const topic of topics) {
      for (const payload of payloadsFor(topic)) await publishOnce(house.broker.port, login, topic, payload);
    }
    expect(await house.doors()).toEqual(before);
  });

  it("row 72: who has a gateway's password can open nothing upstream by any topic", async () => {
    await allLocked();
    const login = { clientId: "thief", username: gatewayId, password: gatewayPassword };
    for (const topic of topics) {
      for (const payload of payloadsFor(topic)) await publishOnce(house.upstreamPort, login, topic, payload);
    }
    expect(await house.doors()).toEqual(before);
  });

  it("row 72: who has the gateway itself can open nothing: the device refuses what is not signed, its own, in time and new", async () => {
    await allLocked();
    await until("the device on the broker", async () => house.broker.connected().includes("gym-lock" as DeviceId));
    const answers = resultsOf(house);
    const say = async (reason: string, payload: string, name = "unlock"): Promise<void> => {
      const said = answers.length;
      house.broker.publish({ site: "maple-court", device: "gym-lock" as DeviceId, channel: "command", name }, payload);
      if (name !== "unlock") return;
      await until(`an answer: ${reason}`, () => answers.length > said);
      expect(answers.at(-1)).toMatchObject({ reason });
    };
    for (const name of names.filter((each) => each !== "unlock"))
      await say("", JSON.stringify(unsigned("gym-lock")), name);
    await say("bad-signature", JSON.stringify(unsigned("gym-lock")));
    await say("wrong-device", JSON.stringify(unsigned("gate-panel")));
    await say("malformed-command", JSON.stringify({ ...unsigned("gym-lock"), command: undefined }));
    const boot = house.cloud.table.latest("gym-lock", "health")?.body.boot;
    const good = { pairingId: pairingIdOf("gym-lock"), bootId: hexToBytes(boot?.id ?? "") ?? new Uint8Array(16) };
    const uptimeMs = boot?.uptimeMs ?? 0;
    await say("bad-signature", commandOf({ ...good, notAfterUptimeMs: uptimeMs + 5_000 }, new Uint8Array(32).fill(1)));
    await say(
      "wrong-device",
      commandOf({ ...good, pairingId: pairingIdOf("gate-panel"), notAfterUptimeMs: uptimeMs + 5_000 }),
    );
    await say("wrong-boot", commandOf({ ...good, bootId: new Uint8Array(16), notAfterUptimeMs: uptimeMs + 5_000 }));
    await say("expired", commandOf({ ...good, notAfterUptimeMs: 0 }));
    await say("too-far-ahead", commandOf({ ...good, notAfterUptimeMs: uptimeMs + 86_400_000 }));
    expect(await house.doors()).toEqual(before);
  });

  it("row 72: who has the gateway itself can open nothing by an order: forged, another device's, altered, or the true one again", async () => {
    await allLocked();
    const gym = "gym-lock" as DeviceId;
    await until("the device on the broker", async () => house.broker.connected().includes(gym));
    const orderOf = (device: string) =>
      deviceDesiredSchema.parse(JSON.parse(house.gateway.table.deviceOrder(device as DeviceId)?.text ?? "{}"));
    const written = ({ manifest, bundle, ...rest }: ReturnType<typeof orderOf>, device: string) =>
      JSON.stringify({
        ...rest,
        device,
        manifest: { bytes: bytesToBase64(manifest.bytes), signature: bytesToBase64(manifest.signature) },
        bundle: bytesToBase64(bundle),
      });
    const mine = orderOf(gym);
    const holds = () => house.cloud.table.latest(gym, "reported")?.body.policy;
    await until("what the lock holds", () => holds()?.version === mine.policy.version);
    const reports = reportsOf(house, gym);
    const forged = { ...mine.manifest, signature: new Uint8Array(64).fill(1) };
    for (const order of [
      written({ ...mine, manifest: forged }, gym),
      written({ ...mine, bundle: orderOf("gate-panel").bundle }, gym),
      written(orderOf("gate-panel"), gym),
      written(mine, gym),
    ]) {
      const said = reports.length;
      house.broker.publish({ site: "maple-court", device: gym, channel: "desired" }, order);
      await until("the lock's word on what it holds", () => reports.length > said);
      expect(reports.at(-1)).toBe(mine.policy.version);
    }
    expect(await house.doors()).toEqual(before);
  });

  it("row 72: a used command that was overheard opens nothing again", async () => {
    await allLocked();
    const overheard: string[] = [];
    const thief = await connectTo(house.upstreamPort, {
      clientId: "thief",
      username: gatewayId,
      password: gatewayPassword,
    });
    thief.on("message", (_topic, payload) => overheard.push(payload.toString()));
    await thief.subscribeAsync("dl/1/maple-court/+/command/unlock", { qos: 1 });
    expect(await unlock("gym", "kira-lund", tokens.kira)).toMatchObject({ body: { state: "done" } });
    await until("the command at the thief", () => overheard.length === 1);
    thief.end(true);
    await allLocked();
    const answers = resultsOf(house);
    const payload = overheard[0] ?? "";
    house.broker.publish(
      { site: "maple-court", device: "gym-lock" as DeviceId, channel: "command", name: "unlock" },
      payload,
    );
    await until("the answer", () => answers.length > 0);
    expect(answers[0]?.reason).toMatch(/^(replayed|expired)$/);
    expect(await house.doors()).toEqual(before);
  });
});

describe("the command line", () => {
  it("row 72: every command has been said what it is", async () => {
    const listed = [
      ...listCommands(await agentMain.createProgram(() => undefined)),
      ...listCommands(await emulatorMain.createProgram(() => undefined)),
    ];
    expect(listed.toSorted()).toEqual(Object.keys(commandEntries).toSorted());
  });

  it("row 72: no command opens a door, whatever it is given", { timeout: 120_000 }, async () => {
    await allLocked();
    const folder = mkdtempSync(join(tmpdir(), "doorlink-row-72-"));
    const quiet = [vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")];
    for (const spy of quiet) spy.mockImplementation(() => true);
    try {
      const places = { agent: house.urls.agent, site: mapleCourtFile, folder };
      for (const [name, argumentLists] of Object.entries(commandEntries)) {
        const [program = "", ...words] = name.split(" ");
        const run = program === "doorlink" ? agentMain.runCommandLine : emulatorMain.runCommandLine;
        for (const args of [
          ...argumentLists(places),
          ["--open"],
          ["--master"],
          ["--unlock", "gym"],
          ["gym-lock", "open"],
        ]) {
          const exitCode = await run([...words, ...args]);
          expect(Number.isInteger(exitCode)).toBe(true);
        }
        expect([name, await house.doors()]).toEqual([name, before]);
      }
      for (const word of ["open", "unlock", "master", "bypass", "support"]) {
        expect(await agentMain.runCommandLine([word, "gym-lock"])).toBe(2);
        expect(await emulatorMain.runCommandLine([word, "gym-lock"])).toBe(2);
      }
    } finally {
      for (const spy of quiet) spy.mockRestore();
      rmSync(folder, { recursive: true, force: true });
    }
    expect(await house.doors()).toEqual(before);
  });
});

describe("after all of it", () => {
  it("row 72: the house still works: who may open a door still can", async () => {
    await allLocked();
    const tried = await post(`${house.urls.site}/api/people/ana-reyes/try`, {
      device: "lobby-lock",
      credential: "ana-card",
    });
    expect(tried).toMatchObject({ granted: true });
    expect(await unlock("gym", "kira-lund", tokens.kira)).toMatchObject({ body: { state: "done" } });
    expect((await house.doors()).grants).toBe(before.grants + 2);
  });
});

function inOrder() {
  const all = servers.flatMap((server) =>
    house.routes[server].map((route) => ({
      server,
      route,
      entry: routeEntries[server][`${route.method} ${route.path}`],
    })),
  );
  const rank = ({ path }: Route): number => (/link|api\/site$|bench\/pair|revoke|reset|sign-out/.test(path) ? 1 : 0);
  return all.toSorted((left, right) => rank(left.route) - rank(right.route));
}

function pathsOf({ path }: Route): readonly string[] {
  return path
    .split("/")
    .reduce<readonly string[]>(
      (paths, part) => {
        const values = part.startsWith(":") ? parameterValues(path, part.slice(1)) : [part];
        return paths.flatMap((start) =>
          values.map((value) => (start === "" && value === "" ? "" : `${start}/${value}`)),
        );
      },
      [""],
    )
    .map((whole) => (whole === "" ? "/" : whole));
}

function bodiesOf({ method }: Route, entry: RouteEntry | undefined): readonly unknown[] {
  if (method === "GET") return [undefined];
  return [...generalBodies, ...(entry?.bodies ?? [])];
}

/** The app's routes and the one that signs also meet a token that is none, and one of somebody who may open nothing. */
function tokensFor({ path }: Route): readonly (string | undefined)[] {
  return path.startsWith("/app/") || path.endsWith("/unlock") ? [undefined, "master", tokens.leo] : [undefined];
}

/** The answer's text; empty for one that does not come or does not end. */
async function send(url: string, method: string, body: unknown, token: string | undefined): Promise<string> {
  const isText = typeof body === "string" && url.endsWith("/api/site");
  try {
    const response = await fetch(url, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": isText ? "application/yaml" : "application/json" }),
        ...(isText ? { "x-start": "1795000000" } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(url.endsWith("/stream") || url.endsWith("/calls") ? 200 : 20_000),
    });
    return await response.text();
  } catch (error) {
    if (error instanceof Error && (error.name === "TimeoutError" || error.name === "TypeError")) return "";
    throw error;
  }
}

interface Login {
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
}

async function connectTo(port: number, login: Login): Promise<MqttClient> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { ...login, reconnectPeriod: 0, queueQoSZero: false });
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  client.on("error", () => undefined);
  return client;
}

/** Says one thing, once as it is and once retained, each on a connection of its own; ended by the broker or by an acknowledgement. */
async function publishOnce(port: number, login: Login, topic: string, payload: string): Promise<void> {
  for (const retain of [false, true]) {
    const client = await connectTo(port, login);
    await new Promise<void>((resolve) => {
      client.once("close", () => resolve());
      client.publish(topic, payload, { qos: 1, retain }, () => resolve());
    });
    client.end(true);
  }
}

/** What devices answer to commands from now on. */
function resultsOf({ gateway }: OpenHouse): { readonly reason?: string | undefined }[] {
  const answers: { readonly reason?: string | undefined }[] = [];
  const take = gateway.intake.take.bind(gateway.intake);
  gateway.intake.take = async (device, channel, payload) => {
    if (channel === "result") answers.push(unlockResultSchema.parse(JSON.parse(Buffer.from(payload).toString())));
    await take(device, channel, payload);
  };
  return answers;
}

/** The versions that a device says it holds, as they come to the gateway. */
function reportsOf({ gateway }: OpenHouse, of: DeviceId): readonly number[] {
  const versions: number[] = [];
  const take = gateway.intake.take.bind(gateway.intake);
  gateway.intake.take = async (device, channel, payload) => {
    if (device === of && channel === "reported") {
      versions.push(reportedSchema.parse(JSON.parse(Buffer.from(payload).toString())).policy.version);
    }
    await take(device, channel, payload);
  };
  return versions;
}

function pairingIdOf(device: string): Uint8Array {
  return house.cloud.authority.keys.enrolledPairingId(device);
}

let counted = 0;
/** A command for the gym's lock, signed by the authority unless said otherwise. */
function commandOf(
  fields: Omit<UnlockCommand, "commandId" | "action">,
  key = house.cloud.authority.keys.roles.unlock,
): string {
  counted += 1;
  const commandId = new Uint8Array(16).fill(counted);
  const { bytes, signature } = signUnlock(key, { ...fields, commandId, action: "unlock" });
  const command = { bytes: bytesToBase64(bytes), signature: bytesToBase64(signature) };
  return JSON.stringify({ v: 1, id: bytesToHex(commandId), device: "gym-lock", via: gatewayId, command });
}
