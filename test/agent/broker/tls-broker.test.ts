/** The embedded broker behind TLS on a real socket, with mqtt.js as the devices. */
import { createPublicKey, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultGateRules } from "../../../agent/broker/connect-gate.ts";
import { SiteAuthority } from "../../../agent/enrolment/site-authority.ts";
import { unixMs } from "../../../protocol/base/units.ts";
import { claimClient } from "../../../protocol/wire/enrolment-topic.ts";
import {
  answerTopic,
  derToPem,
  EnrolmentBench,
  newKey,
  otherPanelId,
  panelId,
  pemOf,
  requestTopic,
  until,
} from "../../world/enrolment-bench.ts";
import { panelPassword, site } from "../../world/gateway-builder.ts";

const batch = JSON.stringify({
  v: 1,
  device: panelId,
  events: [{ boot: 1, sequence: 1, at: { unixSeconds: null, quality: "unset" }, kind: "boot" }],
});

let bench: EnrolmentBench;
beforeEach(async () => {
  bench = await new EnrolmentBench().open();
});
afterEach(() => bench.close());

describe("the broker behind TLS", () => {
  it("[B8] [B10] a device with its own certificate is let in without a password, and its events are taken", async () => {
    const { key, cert } = await bench.enrol();
    const client = await bench.connect(panelId, { key, cert });
    await client.publishAsync(`dl/1/${site}/${panelId}/event`, batch, { qos: 1 });
    expect(await bench.store.readEvents(panelId, -1, 9)).toHaveLength(1);
    expect(bench.broker.connected()).toEqual([panelId]);
  });

  it("[B8] without a certificate no password lets anybody in", async () => {
    const login = { username: panelId, password: panelPassword };
    await expect(bench.connect(panelId, login)).rejects.toThrow(/Not authorized/i);
    expect(bench.intake.refused()).toEqual({ "not-admitted": 1 });
  });

  it("[B10] a certificate is good for its own name alone, and not for one that calls itself a claim", async () => {
    const { key, cert } = await bench.enrol();
    await expect(bench.connect(otherPanelId, { key, cert })).rejects.toThrow(/Not authorized/i);
    await expect(bench.connect(claimClient(randomBytes(8)), { key, cert })).rejects.toThrow(/Not authorized/i);
    expect(bench.intake.refused()).toEqual({ "wrong-name": 2 });
  });

  it("[B10] a certificate of another root, of none, of the broker itself, or of this root and not remembered is refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "foreign-"));
    const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0 };
    const foreign = await SiteAuthority.open(folder, site, random);
    const key = newKey();
    const spki = new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
    const time = bench.time.now();
    const made = {
      "certificate-foreign": await foreign.issueDevice(panelId, spki, time, 1e9),
      "certificate-unknown": await bench.authority.issueDevice(panelId, spki, time, 1e9),
      "certificate-not-for-clients": await bench.authority.issueServer(["gateway.test"], spki, time, 1e9),
    };
    for (const [code, issued] of Object.entries(made)) {
      if (!issued.ok) throw new Error(issued.fault.code);
      await expect(bench.connect(panelId, { key: pemOf(key), cert: derToPem(issued.value.der) })).rejects.toThrow();
      expect(bench.intake.refused()[code], code).toBe(1);
    }
    rmSync(folder, { recursive: true });
    expect(bench.broker.connected()).toEqual([]);
  });

  it("[B10] one that has ended is refused, and ends the connection that lives on it", async () => {
    const { key, cert, answer } = await bench.enrol();
    bench.clock.turnTo(answer.notAfter * 1000 + 1_000);
    await expect(bench.connect(panelId, { key, cert, rejectUnauthorized: false })).rejects.toThrow();
    bench.clock.turnTo(answer.notAfter * 1000 - 100 * 86_400_000);
    await expect(bench.connect(panelId, { key, cert, rejectUnauthorized: false })).rejects.toThrow();
    expect(bench.intake.refused()).toEqual({ "certificate-expired": 1, "certificate-not-yet-valid": 1 });
    bench.clock.turnTo(answer.notAfter * 1000 - 1_000);
    const client = await bench.connect(panelId, { key, cert, rejectUnauthorized: false });
    bench.clock.fire(60_000);
    expect(client.connected).toBe(true);
    bench.clock.turnTo(answer.notAfter * 1000 + 1_000);
    bench.clock.fire(60_000);
    await until(() => !client.connected);
    expect(bench.intake.refused()["certificate-expired"]).toBe(2);
  });

  it("[I9] a revoked device loses its connection at once, is not let in again, and may not renew", async () => {
    const { key, cert } = await bench.enrol();
    const client = await bench.connect(panelId, { key, cert });
    expect((await bench.enrolments.revoke(panelId)).ok).toBe(true);
    await until(() => !client.connected);
    await expect(bench.connect(panelId, { key, cert })).rejects.toThrow();
    expect(bench.intake.refused()).toMatchObject({ "certificate-revoked": 1 });
    expect(await bench.renewDirectly(panelId, newKey())).toMatchObject({ state: "refused", reason: "revoked" });
    // Also by another start, and not by the password that it had before.
    await bench.restart();
    await expect(bench.connect(panelId, { key, cert })).rejects.toThrow();
    expect(bench.enrolments.isRevoked(panelId)).toBe(true);
    // A new claim gives the device its place again.
    const again = await bench.enrol();
    expect((await bench.connect(panelId, again)).connected).toBe(true);
    await expect(bench.connect(panelId, { key, cert })).rejects.toThrow();
  });

  it("[I2] a claim connection may ask for its certificate and hear the answer, and nothing else", async () => {
    const id = claimClient(randomBytes(8));
    const client = await bench.connect(id, {});
    for (const filter of ["#", `dl/1/${site}/${panelId}/desired`, answerTopic(panelId), requestTopic(id)]) {
      await expect(client.subscribeAsync(filter), filter).rejects.toThrow();
    }
    await client.subscribeAsync(answerTopic(id));
    const heard: string[] = [];
    client.on("message", (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    await client.publishAsync(requestTopic(id), "{}", { qos: 1 });
    await until(() => heard.length > 0);
    expect(heard[0]).toContain('"reason":"malformed"');
    for (const topic of [
      `dl/1/${site}/${panelId}/event`,
      `dl/1/${site}/${id}/birth`,
      requestTopic(panelId),
      answerTopic(id),
    ]) {
      const other = await bench.connectClaim();
      other.publish(topic, batch, { qos: 1 });
      await until(() => !other.connected);
    }
    expect(bench.intake.refused()).toMatchObject({ "foreign-subscription": 4, "foreign-topic": 4 });
    expect(bench.broker.connected()).toEqual([]);
    // A session that would stay, a device's own name, and a packet larger than a request.
    await expect(bench.connect(claimClient(randomBytes(8)), { clean: false })).rejects.toThrow(/Not authorized/i);
    const large = await bench.connectClaim();
    large.publish(requestTopic(id), "x".repeat(20_000), { qos: 1 });
    await until(() => !large.connected);
    expect(bench.intake.refused()["packet-too-large"]).toBe(1);
    // What it leaves to be said after it is judged like what it says itself.
    const before = bench.intake.refused()["foreign-topic"] ?? 0;
    for (const topic of [requestTopic(id), `dl/1/${site}/${panelId}/state`]) {
      const will = { topic, payload: Buffer.from("{}"), qos: 1 as const, retain: true };
      const gone = await bench.connect(topic === requestTopic(id) ? id : claimClient(randomBytes(8)), { will });
      gone.stream.destroy();
    }
    await until(() => bench.intake.refused()["foreign-topic"] === before + 1);
    await until(() => bench.logged.filter(({ text }) => text.includes("malformed")).length > 0);
    // Nor may many come at once,
    const many = await Promise.allSettled(Array.from({ length: 70 }, () => bench.connectClaim()));
    const admitted = many.filter(({ status }) => status === "fulfilled").length;
    expect(admitted).toBeGreaterThan(50);
    expect(admitted).toBeLessThanOrEqual(64);
    for (const client of bench.clients.splice(0)) client.end(true);
    // nor may one stay.
    let idle: MqttClient | undefined;
    // The places of those who have gone are free as soon as the broker has noticed.
    while (idle === undefined) idle = await bench.connectClaim().catch(() => undefined);
    const { connected } = idle;
    expect(connected).toBe(true);
    bench.clock.fire(30_000);
    await until(() => idle?.connected === false);
  });

  it("[I3] the answer goes to the connection that asked, also when another calls itself the same", async () => {
    const device = await bench.enrol();
    const first = await bench.connect(panelId, device);
    const heard: string[] = [];
    first.on("message", (_topic, payload) => heard.push(payload.toString()));
    await first.publishAsync(requestTopic(panelId), JSON.stringify({ v: 1 }), { qos: 1 });
    await until(() => heard.length > 0);
    expect(heard).toEqual([JSON.stringify({ v: 1, state: "refused", id: null, reason: "malformed" })]);
    // Who has proved nothing asks eight times.
    const id = claimClient(randomBytes(8));
    const stranger = await bench.connect(id, {});
    for (let asked = 0; asked < 8; asked++) await stranger.publishAsync(requestTopic(id), "{}", { qos: 1 });
    stranger.publish(requestTopic(id), "{}", { qos: 1 });
    await until(() => !stranger.connected);
    expect(bench.intake.refused()["too-many-requests"]).toBe(1);
    expect(first.connected).toBe(true);
    expect(bench.logged.filter(({ text }) => text.includes("malformed")).length).toBeLessThanOrEqual(2);
  });

  it("[B9] a peer that says nothing, or no TLS, is ended with a name, and others go on", async () => {
    bench.gate = { ...defaultGateRules, handshakeMs: 200 };
    await bench.restart();
    const { key, cert } = await bench.enrol();
    const client = await bench.connect(panelId, { key, cert });
    const plain = connectTcp(bench.broker.port, "127.0.0.1");
    plain.on("error", () => undefined);
    plain.write("GET / HTTP/1.0\r\n\r\n");
    await until(() => plain.destroyed);
    expect(bench.intake.refused()).toEqual({ "handshake-failed": 1 });
    const silent = connectTcp(bench.broker.port, "127.0.0.1");
    silent.on("error", () => undefined).resume();
    await until(() => silent.destroyed);
    // Whatever comes instead of a handshake, whole or in its middle.
    const bytes = Array.from({ length: 30 }, (_, at) => randomBytes(1 + ((at * 37) % 300)));
    for (const [at, noise] of bytes.entries())
      if (at % 3 === 0) noise.set([0x16, 0x03, 0x01, 0x00].slice(0, noise.length));
    const noisy = bytes.map((noise) => {
      const socket = connectTcp(bench.broker.port, "127.0.0.1", () => socket.write(noise));
      return socket.on("error", () => undefined).resume();
    });
    await until(() => noisy.every(({ destroyed }) => destroyed));
    expect(bench.intake.refused()).toEqual({ "handshake-failed": 32 });
    expect(client.connected).toBe(true);
  });

  it("[B9] more than can be served in turn are refused by name, and who waited is served", async () => {
    bench.gate = { ...defaultGateRules, perSecond: 20, burst: 2, waitingLimit: 4, waitMs: 2_000 };
    await bench.restart();
    const tried = await Promise.allSettled(Array.from({ length: 20 }, () => bench.connectClaim()));
    const served = tried.filter(({ status }) => status === "fulfilled").length;
    expect(served).toBeGreaterThanOrEqual(6);
    expect(bench.intake.refused()["too-many-connections"]).toBe(20 - served);
  });

  it("[I10] nobody is let in before the broker has a certificate to show, and it makes one when time is known", async () => {
    const fresh = new EnrolmentBench();
    fresh.clock.turnTo(0);
    await fresh.open();
    await expect(fresh.connectClaim()).rejects.toThrow();
    expect(fresh.intake.refused()).toMatchObject({ "clock-not-trusted": 2 });
    await fresh.close();
  });

  it("[B8] shows the root behind its own certificate, and gives no session to resume", async () => {
    const socket = connectTls({ host: "127.0.0.1", port: bench.broker.port, rejectUnauthorized: false });
    let sessions = 0;
    socket.on("session", () => {
      sessions += 1;
    });
    await new Promise<void>((resolve) => socket.once("secureConnect", () => resolve()));
    const leaf = socket.getPeerX509Certificate();
    expect(leaf?.checkHost("gateway.test")).toBe("gateway.test");
    expect(leaf?.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect(leaf?.issuerCertificate?.toString()).toBe(bench.authority.certificatePem);
    expect(unixMs(leaf?.validToDate.getTime() ?? 0)).toBeGreaterThan(bench.time.now().now);
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    expect(sessions).toBe(0);
  });
});
