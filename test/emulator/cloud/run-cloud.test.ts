import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { bindServer } from "../../../emulator/cloud/broker.ts";
import { readCloudSettings } from "../../../emulator/cloud/cloud-settings.ts";

const front = fileURLToPath(new URL("../../../emulator/front.js", import.meta.url));
const children: ChildProcess[] = [];
const folders: string[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "doorlink-cloud-"));
  folders.push(folder);
  return folder;
}

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<readonly [number, number]> {
  const servers = [createServer(), createServer()] as const;
  const [http, mqtt] = [await bindServer(servers[0], 0), await bindServer(servers[1], 0)];
  for (const server of servers) server.close();
  if (http === undefined || mqtt === undefined) throw new Error("no free ports");
  return [http, mqtt];
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [front, "cloud", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, "exit").then(([code]) => ({ code, stderr }));
  const ready = once(child.stdout, "data").then(([chunk]) => JSON.parse(String(chunk)));
  return { child, ended, ready };
}

describe("the command doorlink-emulator cloud", () => {
  it("says that it is ready, answers, keeps its state over a restart and stops cleanly", async () => {
    const [http, mqtt] = await freePorts();
    const folder = makeFolder();
    const args = ["--http-port", String(http), "--mqtt-port", String(mqtt), "--state", folder, "--seed", "3"];
    const first = start(args);
    const urls = {
      http: `http://127.0.0.1:${http}`,
      mqtt: `mqtt://127.0.0.1:${mqtt}`,
      publicUrl: `http://127.0.0.1:${http}`,
    };
    expect(await first.ready).toEqual({ ready: "cloud", ...urls });
    const site = `{site: {id: oak-court, name: Oak, timeZone: Europe/Paris, propertyManager: {name: Oak}}, doors: []}`;
    const headers = { "content-type": "application/yaml", "x-start": "1800000000" };
    const put = await fetch(`${urls.http}/api/site`, { method: "PUT", headers, body: site });
    expect([put.status, await put.json()]).toEqual([200, { site: "oak-court", doors: 0, people: 0, devices: 0 }]);
    first.child.kill("SIGTERM");
    expect(await first.ended).toMatchObject({ code: 0 });
    const second = start(args);
    await second.ready;
    expect(await (await fetch(`${urls.http}/healthz`)).json()).toMatchObject({ site: "oak-court" });
  }, 20_000);

  it("ends with 3 and one clear line when a port is in use or the state cannot be written", async () => {
    const [http, mqtt] = await freePorts();
    const taken = createServer();
    const port = await bindServer(taken, 0);
    const outcome = async (httpPort: number, mqttPort: number, state: string) => {
      const args = ["--http-port", String(httpPort), "--mqtt-port", String(mqttPort), "--state", state];
      const { ended, ready } = start(args);
      ready.catch(() => undefined);
      const { code, stderr } = await ended;
      return { code, line: stderr.split("\n").find((each) => each.startsWith("doorlink-emulator")) };
    };
    const inUse = `doorlink-emulator cloud: port ${port} is in use: choose another, or stop what listens there`;
    expect(await outcome(Number(port), mqtt, makeFolder())).toEqual({ code: 3, line: inUse });
    expect(await outcome(http, Number(port), makeFolder())).toEqual({ code: 3, line: inUse });
    const file = join(makeFolder(), "file");
    writeFileSync(file, "");
    const blocked = `doorlink-emulator cloud: the state folder ${file} cannot be made or written`;
    expect(await outcome(http, mqtt, file)).toEqual({ code: 3, line: blocked });
    taken.close();
  }, 20_000);

  it("names every wrong option at once", () => {
    const settings = readCloudSettings({
      httpPort: "x",
      mqttPort: "70000",
      publicUrl: "ftp://x",
      state: "",
      seed: "1.5",
    });
    expect(settings.ok ? [] : settings.fault.mistakes.map((mistake) => mistake.split(":")[0])).toEqual([
      "--http-port",
      "--mqtt-port",
      "--public-url",
      "--seed",
      "--state",
    ]);
    const same = readCloudSettings({ httpPort: "8701", mqttPort: "8701", state: "s", seed: "1" });
    expect(same).toMatchObject({
      ok: false,
      fault: { mistakes: ["--mqtt-port: expected another port than --http-port"] },
    });
    expect(
      readCloudSettings({ httpPort: "1", mqttPort: "2", publicUrl: "http://192.168.1.5:1/", state: "s", seed: "-4" }),
    ).toEqual({
      ok: true,
      value: {
        httpPort: 1,
        mqttPort: 2,
        publicUrl: "http://192.168.1.5:1",
        stateDirectory: "s",
        seed: -4,
        externalBroker: undefined,
        visitLeaseSeconds: 120,
      },
    });
  });

  it("takes the addresses of an external broker, and shows no password that somebody wrote into one", () => {
    const shared = { httpPort: "1", mqttPort: "2", state: "s", seed: "1" };
    const brokerUrl = "mqtts://one:8883,mqtts://two:8883";
    expect(readCloudSettings({ ...shared, brokerUrl, brokerUser: "maple", visitLease: "30" })).toMatchObject({
      ok: true,
      value: { externalBroker: { urls: brokerUrl.split(","), username: "maple" }, visitLeaseSeconds: 30 },
    });
    for (const wrong of ["mqtts://maple:secret@one:8883", "http://one", "mqtt://one,", ""]) {
      const read = readCloudSettings({ ...shared, brokerUrl: wrong, visitLease: "5" });
      const mistakes = read.ok ? [] : read.fault.mistakes;
      expect(mistakes.map((mistake) => mistake.split(":")[0])).toEqual(["--broker-url", "--visit-lease"]);
      expect(mistakes.join()).not.toContain("secret");
    }
  });
});
