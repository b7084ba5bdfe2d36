import { beforeEach, describe, expect, it } from "vitest";
import { desiredOfGateway } from "../../../emulator/cloud/desired.ts";
import { gatewayDesiredSchema } from "../../../protocol/wire/messages/desired.ts";
import {
  deviceId,
  gateway,
  json,
  noon,
  PairedLock,
  plainEvent,
  siteText,
  startCloud,
  type TestCloud,
} from "./fixture.ts";

/** The small site with a home, its networked reader and its offline lock. */
const withHome = siteText
  .replace("devices:", "  - {id: home-1a, name: Home 1A, kind: RESIDENCE, unit: unit-1a, company: maple}\ndevices:")
  .replace(
    "panels:",
    `  - {id: home-lock, model: C2, door: home-1a, serial: C2-0002, address: "C0:FF:EE:00:00:05"}\n  - {id: home-r29, model: R29, door: home-1a, serial: R29-0002}\npanels:`,
  )
  .replace(
    "accessGroups:",
    "  - {id: mia, name: Mia Manager, email: mia@maple.example, role: MANAGER, unit: unit-1a}\naccessGroups:",
  );

let cloud: TestCloud;
let token: string;

beforeEach(async () => {
  ({ cloud } = await startCloud({ site: withHome }));
  const registered = cloud.authority.registerPhone("alice-phone", "alice");
  if (!registered.ok) throw new Error(registered.fault.code);
  token = registered.value.token;
  const lock = PairedLock.pair(cloud, "home-lock");
  const sealed = [
    lock.log({ kind: "access-granted", credential: "alice-app" }),
    lock.log({ kind: "access-granted", credential: "carl-code" }),
    lock.log({ kind: "access-granted", credential: "nobodys-card" }),
    lock.log({ kind: "access-denied", reason: "CREDENTIAL_UNKNOWN" }),
    lock.log({ kind: "door", after: 1 }),
    lock.log({ kind: "boot" }),
  ];
  say("home-lock", sealed);
  say("home-r29", [
    plainEvent(1),
    plainEvent(2, { person: "carl" }),
    plainEvent(3, { person: "mia" }),
    plainEvent(4, { kind: "log-gap", person: undefined, facts: { before: 4, after: 4 } }),
  ]);
  say("gate-r29", [plainEvent(1)]);
});

function say(device: string, events: readonly object[]): void {
  const topic = { site: "maple-court", device: deviceId(device), channel: "event" } as const;
  expect(cloud.intake.receive(gateway, topic, json({ v: 1, device, events })), device).toBe(true);
}

async function ask(url: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await cloud.http.inject({ url, headers: { host: "127.0.0.1", ...headers } });
  return { status: response.statusCode, body: response.json() };
}

async function seen(url: string, headers = {}): Promise<readonly string[]> {
  const { body } = await ask(url, headers);
  return body.events.map((event: Record<string, unknown>) =>
    [event["device"], event["sequence"], event["kind"], event["person"] ?? event["credential"] ?? "-"].join(" "),
  );
}

describe("the record as somebody may see it", () => {
  it("[M18] row 90: the manager's API, which knows whose a credential is, hides who lives behind a door from who manages the house, also where a gateway could not read the log", async () => {
    expect(await seen("/api/record/events")).toEqual([
      "home-lock  access-granted carl-code",
      "home-lock  access-denied -",
      "home-lock  boot -",
      "home-r29  access-granted carl",
      "home-r29  log-gap -",
      "gate-r29 1 access-granted alice",
    ]);
    const whole = JSON.stringify((await ask("/api/record/events?device=home-r29")).body);
    expect(whole).not.toContain("alice");
    expect(whole).not.toContain("before");
  });

  it("[M18] a technician is told what happened, and to nobody", async () => {
    const events = await seen("/api/record/events?role=technician");
    expect(events).toEqual([
      "home-lock  access-granted -",
      "home-lock  access-denied -",
      "home-lock  boot -",
      "home-r29  access-granted -",
      "home-r29  log-gap -",
      "gate-r29 1 access-granted -",
    ]);
    expect(JSON.stringify((await ask("/api/record/events?role=technician")).body)).not.toContain("carl-code");
    for (const role of ["resident", "resident:alice", "authority"]) {
      expect((await ask(`/api/record/events?role=${role}`)).status).toBe(422);
    }
  });

  it("[M18] a resident sees their own, and strangers at their own door, with the token of their own app only", async () => {
    const bearer = { authorization: `Bearer ${token}` };
    expect(await seen("/app/log", bearer)).toEqual([
      "home-lock 1 access-granted alice-app",
      "home-lock 2 access-granted carl-code",
      "home-lock 4 access-denied -",
      "home-r29 1 access-granted alice",
      "home-r29 2 access-granted carl",
      "gate-r29 1 access-granted alice",
    ]);
    expect((await ask("/app/log")).status).toBe(401);
  });

  it("[M20] the manager's counts do not count who came home; the authority's own, on the bench, are whole", async () => {
    const { body } = await ask("/api/record/summary");
    expect(body).toMatchObject({ events: 1, gaps: 0 });
    expect(body.devices).toMatchObject([
      { device: "gate-r29", events: 1, last: 1 },
      { device: "home-lock", events: null, first: null, last: null, chainChecked: null, gaps: 0 },
      { device: "home-r29", events: null, first: null, last: null },
    ]);
    expect((await ask("/bench/record/summary")).body).toMatchObject({ events: 11 });
    expect(await seen("/bench/record/events?device=home-r29")).toHaveLength(4);
  });

  it("[M18] an unlock command is an opening like any other", async () => {
    const line = {
      at: (noon * 1000) as never,
      device: null,
      command: null,
      step: "denied",
      reason: "OUT_OF_SCHEDULE",
    } as const;
    cloud.unlockRecord.append({ ...line, door: "home-1a", person: "alice" });
    cloud.unlockRecord.append({ ...line, door: "garage", person: "alice" });
    const doors = async (url: string) => (await ask(url)).body.unlocks.map(({ door }: { door: string }) => door);
    expect(await doors("/api/record/unlocks")).toEqual(["garage"]);
    expect(await doors("/bench/record/unlocks")).toEqual(["home-1a", "garage"]);
  });

  it("[M18] a gateway is told what it needs for the same rule, and no more: residents have no role, only homes have a unit", () => {
    const told = gatewayDesiredSchema.parse(JSON.parse(desiredOfGateway(cloud.authority, gateway)?.payload ?? ""));
    const doors = new Map(told.devices.map(({ door, doorKind, doorUnit }) => [door, [doorKind, doorUnit]]));
    expect(Object.fromEntries(doors)).toEqual({
      lobby: ["COMMUNAL", undefined],
      garage: ["COMMUNAL", undefined],
      roof: ["COMMUNAL", undefined],
      "home-1a": ["RESIDENCE", "unit-1a"],
    });
    const person = (id: string) => told.people.find((one) => one.id === id);
    expect(person("alice")).toEqual({ id: "alice", name: "Alice Ames" });
    expect(person("carl")).toEqual({ id: "carl", name: "Carl Cleaner", role: "NON_RESIDENT" });
    expect(person("mia")).toEqual({ id: "mia", name: "Mia Manager", role: "MANAGER", unit: "unit-1a" });
  });
});
