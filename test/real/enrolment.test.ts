/**
 * Enrolment as an operator meets it: the agent as a process with TLS, the command line, an emulated device that gets its certificate, and
 * OpenSSL, Mosquitto and nats-server as judges of what the site's root signs.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readSigningRequest } from "../../agent/enrolment/x509.ts";
import { statusView } from "../../agent/http/views.ts";
import { readPicture } from "../../agent/sticker/picture-file.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { claimCertificate } from "../../emulator/device/claim-visit.ts";
import { DeviceIdentity, type HeldCertificate } from "../../emulator/device/device-identity.ts";
import { readSymbols } from "../../protocol/sticker/read-symbols.ts";
import { gatewayDesired, gatewayId, panel, site } from "../world/gateway-builder.ts";
import { type AgentProcess, freePort, runDoorlink, startAgent, waitFor } from "./agent-process.ts";

const device = "panel-r20";
let folder: string;
let configPath: string;
let agent: AgentProcess;
let held: HeldCertificate;
const running: ChildProcess[] = [];
const clients: MqttClient[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doorlink-enrolment-"));
  await mkdir(join(folder, "state"));
  const store = await openSqliteStore(join(folder, "state", "agent.db"), () => undefined);
  const { login: _login, ...other } = panel({ id: "panel-r29", model: "R29" });
  const desired = gatewayDesired({ devices: [panel(), other] });
  await store.putDocuments([{ kind: "desired", device: gatewayId, body: JSON.stringify(desired) }]);
  await store.close();
  configPath = join(folder, "agent.yaml");
  await writeFile(
    configPath,
    [
      `site: ${site}`,
      `gateway: ${gatewayId}`,
      "stateDir: state",
      "broker:",
      `  port: ${await freePort()}`,
      "  listen: 0.0.0.0",
      '  tls: { names: ["localhost", "127.0.0.1"] }',
      `http: { port: ${await freePort()} }`,
      `upstream: { url: "mqtt://127.0.0.1:${await freePort()}" }`,
      `bluetooth: { busAddress: "unix:path=${folder}/no-bus" }`,
    ].join("\n"),
  );
  agent = await startAgent(configPath);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.end(true);
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

afterAll(async () => {
  await agent.stop("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

describe("a networked device comes to a site", () => {
  it("[I1] [I4] the operator opens a claim, the device gets its certificate, and is let in by it", async () => {
    const picture = join(folder, "claim.png");
    const ask = ["device", "add", device, "--mqtt", "--serial", "r20-7714", "--agent", agent.http];
    const opened = await runDoorlink(...ask, "--json", "--out", picture);
    expect(opened).toMatchObject({ code: 0, stderr: "" });
    const { claim, serial, names } = JSON.parse(opened.stdout);
    expect([serial, names]).toEqual(["R20-7714", ["localhost", "127.0.0.1"]]);
    expect((await stat(picture)).mode & 0o777).toBe(0o600);
    const read = await readPicture(new Uint8Array(await readFile(picture)));
    if (!read.ok) throw new Error(read.fault.code);
    expect(readSymbols(read.value.picture, { isOutOfTime: () => false }).map(({ text }) => text)).toEqual([claim]);
    expect(agent.stderr()).not.toContain(claim.slice(20, 60));
    const identity = new DeviceIdentity(join(folder, "device.json"));
    identity.takeClaim(claim);
    expect(await claimCertificate({ url: agent.mqtt, identity, limitMs: 10_000 })).toEqual({ ok: true });
    if (identity.held === null) throw new Error("no certificate");
    held = identity.held;
    for (const [name, text] of [
      ["device.crt", held.certificate],
      ["device.key", held.key],
    ] as const) {
      await writeFile(join(folder, name), text, { mode: 0o600 });
    }
    const client = await connect(agent.mqtt);
    expect(client.connected).toBe(true);
    const state = JSON.stringify({ v: 1, device, online: true, heardAt: null });
    await client.publishAsync(`dl/1/${site}/${device}/state`, state, { qos: 1, retain: true });
    const listed = await runDoorlink("device", "list", "--agent", agent.http);
    expect(listed.stdout).toMatch(/^panel-r20 .* online +good until \d{4}-\d\d-\d\d$/m);
    expect(listed.code).toBe(0);
    const shown = await runDoorlink("device", "show", device, "--json", "--agent", agent.http);
    expect(JSON.parse(shown.stdout).enrolment).toMatchObject({
      state: "good",
      claim: { serial: "R20-7714", tries: 1 },
    });
  });

  it("[I6] OpenSSL takes the root, the device's and the broker's certificate for what they are, and for nothing else", async () => {
    const root = join(folder, "state", "site-ca.crt");
    const verify = (purpose: string, file: string) => openssl("verify", "-CAfile", root, "-purpose", purpose, file);
    const deviceFile = join(folder, "device.crt");
    const brokerFile = join(folder, "state", "broker.crt");
    expect((await verify("sslclient", deviceFile)).stdout).toContain(": OK");
    expect((await verify("sslserver", brokerFile)).stdout).toContain(": OK");
    expect((await verify("sslserver", deviceFile)).code).not.toBe(0);
    expect((await verify("sslclient", brokerFile)).code).not.toBe(0);
    const strict = await openssl("verify", "-x509_strict", "-CAfile", root, deviceFile, brokerFile);
    expect(strict).toMatchObject({ code: 0 });
    const text = (await openssl("x509", "-in", deviceFile, "-noout", "-text")).stdout;
    for (const line of [
      "Signature Algorithm: ecdsa-with-SHA256",
      "Issuer: CN = doorlink maple-court",
      "Subject: CN = panel-r20",
      "ASN1 OID: prime256v1",
      "DNS:panel-r20",
      "TLS Web Client Authentication",
      "CA:FALSE",
    ]) {
      expect(text).toContain(line);
    }
    const rootText = (await openssl("x509", "-in", root, "-noout", "-text")).stdout;
    expect(rootText).toMatch(/CA:TRUE, pathlen:0/);
    expect(rootText).toContain("Certificate Sign, CRL Sign");
    for (const file of ["site-ca.key", "broker.key"]) {
      expect((await stat(join(folder, "state", file))).mode & 0o777, file).toBe(0o600);
    }
  });

  it("[I4] requests that OpenSSL makes are read: P-256 is signed for, every other key is not", async () => {
    const request = async (...algorithm: string[]) => {
      const out = join(folder, `${algorithm.at(-1)}.csr`);
      const key = join(folder, "request.key");
      const made = ["req", "-new", "-nodes", "-newkey", ...algorithm, "-keyout", key, "-subj", "/CN=x/O=y"];
      expect((await openssl(...made, "-outform", "DER", "-out", out)).code).toBe(0);
      return readSigningRequest(new Uint8Array(await readFile(out)));
    };
    expect((await request("ec", "-pkeyopt", "ec_paramgen_curve:P-256")).ok).toBe(true);
    for (const algorithm of [["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], ["ed25519"], ["rsa:2048"]]) {
      expect(await request(...algorithm)).toEqual({ ok: false, fault: { code: "request-key" } });
    }
  });

  it("[B8] TLS 1.1, ciphers without forward secrecy, and a client that shows another site's certificate are refused", async () => {
    const client = (...options: string[]) =>
      openssl(
        "s_client",
        "-connect",
        new URL(agent.mqtt).host,
        "-CAfile",
        join(folder, "state", "site-ca.crt"),
        ...options,
      );
    const own = ["-cert", join(folder, "device.crt"), "-key", join(folder, "device.key")];
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const { stdout } = await client(version, ...own);
      expect(stdout, version).toContain("Verify return code: 0 (ok)");
      expect(stdout, version).toContain("Acceptable client certificate CA names");
    }
    const old = await client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0", ...own);
    expect(old.code).not.toBe(0);
    expect(old.stdout).toContain("Cipher is (NONE)");
    const weak = await client("-tls1_2", "-cipher", "AES128-SHA256:AES256-SHA:@SECLEVEL=0", ...own);
    expect(weak.stdout).toContain("Cipher is (NONE)");
    // The foreign one ends as soon as it has shown itself; the gateway counts it by its name.
    const foreign = join(folder, "foreign");
    const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"];
    await openssl(...make, "-subj", `/CN=${device}`, "-keyout", `${foreign}.key`, "-out", `${foreign}.crt`);
    await client("-tls1_3", "-cert", `${foreign}.crt`, "-key", `${foreign}.key`);
    const status = statusView.parse(await (await fetch(`${agent.http}/api/status`)).json());
    expect(status.broker.refused).toMatchObject({ "certificate-foreign": 1 });
    expect(status.broker.refused["handshake-failed"]).toBeGreaterThanOrEqual(2);
  });

  it("[I6] Mosquitto with OpenSSL 3 and nats-server take the certificates as they are, and know the device by its name", async () => {
    const files = {
      ca: join(folder, "state", "site-ca.crt"),
      cert: join(folder, "state", "broker.crt"),
      key: join(folder, "state", "broker.key"),
    };
    const [mosquittoPort, natsPort, plainPort] = [await freePort(), await freePort(), await freePort()];
    await writeFile(
      join(folder, "mosquitto.conf"),
      [
        `listener ${mosquittoPort} 127.0.0.1`,
        ...[`cafile ${files.ca}`, `certfile ${files.cert}`, `keyfile ${files.key}`],
        ...["require_certificate true", "use_identity_as_username true", "tls_version tlsv1.2", "user root"],
        ...["allow_anonymous false", `acl_file ${folder}/acl`, ""],
      ].join("\n"),
    );
    await writeFile(join(folder, "acl"), "pattern readwrite own/%u\n");
    await writeFile(
      join(folder, "nats.conf"),
      `server_name: n1, host: 127.0.0.1, port: ${plainPort}, jetstream { store_dir: "${folder}/js" }
       authorization { users = [ { user: "panel-r20", permissions: { publish: ["own.panel-r20"], subscribe: ["own.panel-r20"] } } ] }
       mqtt { host: 127.0.0.1, port: ${natsPort}
         tls { ca_file: "${files.ca}", cert_file: "${files.cert}", key_file: "${files.key}", verify_and_map: true } }`,
    );
    start("mosquitto", "-c", join(folder, "mosquitto.conf"));
    start("nats-server", "-c", join(folder, "nats.conf"));
    for (const port of [mosquittoPort, natsPort]) {
      await waitFor(`port ${port}`, () => isListening(port));
      const client = await connect(`mqtts://localhost:${port}`);
      const heard: string[] = [];
      client.on("message", (topic) => heard.push(topic));
      await client.subscribeAsync("own/panel-r20", { qos: 0 });
      await client.publishAsync("own/panel-r20", "x", { qos: 0 });
      await waitFor("its own topic", () => heard.length > 0);
      await expect(connect(`mqtts://localhost:${port}`, {})).rejects.toThrow();
    }
  });

  it("[I9] a revocation ends the connection at once, survives a restart, and is shown; a new claim gives the place again", async () => {
    const client = await connect(agent.mqtt);
    const revoked = await runDoorlink("device", "revoke", device, "--agent", agent.http);
    expect(revoked).toMatchObject({ code: 0, stderr: "" });
    await waitFor("the end of its connection", () => !client.connected);
    await expect(connect(agent.mqtt)).rejects.toThrow();
    expect(await agent.stop("SIGTERM")).toBe(0);
    agent = await startAgent(configPath);
    await expect(connect(agent.mqtt)).rejects.toThrow();
    const listed = await runDoorlink("device", "list", "--json", "--agent", agent.http);
    expect(listed.code).toBe(1);
    expect(JSON.parse(listed.stdout).devices[0].enrolment.state).toBe("revoked");
    const opened = await runDoorlink(
      "device",
      "add",
      device,
      "--mqtt",
      "--serial",
      "R20-7714",
      "--json",
      "--agent",
      agent.http,
    );
    const identity = new DeviceIdentity(join(folder, "device.json"));
    identity.takeClaim(JSON.parse(opened.stdout).claim);
    expect((await claimCertificate({ url: agent.mqtt, identity, limitMs: 10_000 })).ok).toBe(true);
    const fresh = identity.held;
    expect((await connect(agent.mqtt, { cert: fresh?.certificate ?? "", key: fresh?.key ?? "" })).connected).toBe(true);
    expect((await runDoorlink("device", "list", "--agent", agent.http)).code).toBe(0);
  });

  it("[B11] without broker.tls a listener beyond loopback is a mistake with its line, and a claim says what to set", async () => {
    const open = join(folder, "open.yaml");
    const text = (await readFile(configPath, "utf8")).replace(/^ {2}tls:.*\n/m, "");
    await writeFile(open, text);
    const refused = await runDoorlink("run", "--config", open);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /6:11 broker\.listen: expected a loopback address such as 127\.0\.0\.1, or broker\.tls/,
    );
    const unknown = await runDoorlink("device", "add", "nobody", "--mqtt", "--agent", agent.http);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("unknown-device") });
    const none = await runDoorlink("device", "add", "panel-r29", "--mqtt", "--agent", agent.http);
    expect(none.stderr).toContain("--serial");
    const both = await runDoorlink("device", "add", "panel-r29", "--mqtt", "--ble", "--agent", agent.http);
    expect(both).toMatchObject({ code: 2 });
  });
});

async function connect(url: string, options?: { readonly cert?: string; readonly key?: string }): Promise<MqttClient> {
  const ca = await readFile(join(folder, "state", "site-ca.crt"), "utf8");
  const shown = options ?? { cert: held.certificate, key: held.key };
  const client = mqtt.connect(url, { ...shown, ca, clientId: device, reconnectPeriod: 0, connectTimeout: 5_000 });
  clients.push(client);
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
    client.once("close", () => reject(new Error("closed")));
  }).finally(() => client.on("error", () => undefined));
  return client;
}

function openssl(...argv: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  return new Promise((resolve) => {
    const child = execFile("openssl", argv, { timeout: 10_000 }, (error, stdout) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout });
    });
    // s_client goes on until its input ends; half a second is enough for it to hear that it is not wanted.
    setTimeout(() => child.stdin?.end(), argv[0] === "s_client" ? 500 : 0);
  });
}

function start(command: string, ...argv: readonly string[]): void {
  running.push(spawn(command, argv, { stdio: "ignore" }));
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, "127.0.0.1", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
