/** The link upstream of a machine that does not know the time, to a server whose authority is pinned by a file. */
import { createPublicKey, randomBytes, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { Aedes } from "aedes";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { judgePinnedChain } from "../../../agent/enrolment/pinned-chain.ts";
import { SiteAuthority } from "../../../agent/enrolment/site-authority.ts";
import type { KnownTime } from "../../../agent/enrolment/trusted-time.ts";
import { createMqttTransport } from "../../../agent/upstream/mqtt-transport.ts";
import { unixMs } from "../../../protocol/base/units.ts";
import { derToPem, newKey, pemOf } from "../../world/enrolment-bench.ts";
import { gatewayId, site } from "../../world/gateway-builder.ts";

const DAY_MS = 86_400_000;
/** As far ahead of this machine as true time is of one that woke up too early. */
const laterMs = Date.now() + 10 * DAY_MS;
const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0 };
const at = (now: number): KnownTime => ({ trusted: false, now: unixMs(now) });

let folder: string;
let root: SiteAuthority;
let servers: Server[];
let broker: Aedes;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "pinned-"));
  root = await SiteAuthority.open(folder, site, random);
  servers = [];
  broker = await Aedes.createBroker();
});
afterEach(async () => {
  await new Promise<void>((resolve) => broker.close(() => resolve()));
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function serverCertificate(names: readonly string[], authority = root) {
  const key = newKey();
  const spki = new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
  const time = { trusted: true, now: unixMs(laterMs), basis: "authority" } as const;
  const issued = await authority.issueServer(names, spki, time, 30 * DAY_MS);
  if (!issued.ok) throw new Error(issued.fault.code);
  return { key: pemOf(key), cert: derToPem(issued.value.der) + authority.certificatePem };
}

/** Gives the port, and how many bytes came through TLS. */
async function listen(shown: { key: string; cert: string }): Promise<{ port: number; heard: () => number }> {
  let heard = 0;
  const server = createServer(shown, (socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      heard += chunk.length;
    });
    broker.handle(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, heard: () => heard };
}

function connect(port: number, now: () => KnownTime, ca = root.certificatePem) {
  writeFileSync(join(folder, "ca.pem"), ca);
  const where = { url: `mqtts://127.0.0.1:${port}`, caFile: join(folder, "ca.pem"), connectTimeoutMs: 5_000 };
  const transport = createMqttTransport({ ...where, site, gateway: gatewayId, username: gatewayId, now });
  return transport.connect({ message: () => undefined, closed: () => undefined });
}

describe("a machine that does not know the time", () => {
  it("[I10] links to a server under its pinned root whose certificate has not begun yet, and with time known it does not", async () => {
    const { port } = await listen(await serverCertificate(["127.0.0.1"]));
    const link = await connect(port, () => at(Date.now()));
    await link.publish("dl/1/x/y/state", "{}", { retain: false });
    await link.close();
    const trusted = (): KnownTime => ({ trusted: true, now: unixMs(Date.now()), basis: "system-clock" });
    await expect(connect(port, trusted)).rejects.toThrow(/not yet valid/);
  });

  it("[I10] says nothing to a server that is past its end by the floor, of another name, or under another root", async () => {
    const strangerFolder = mkdtempSync(join(tmpdir(), "stranger-"));
    const stranger = await SiteAuthority.open(strangerFolder, site, random);
    rmSync(strangerFolder, { recursive: true });
    const late = laterMs + 31 * DAY_MS;
    const cases = [
      [await serverCertificate(["127.0.0.1"]), at(late), "expired"],
      [await serverCertificate(["elsewhere.test"]), at(Date.now()), "another-name"],
      [await serverCertificate(["127.0.0.1"], stranger), at(Date.now()), "not-under-the-pinned-root"],
    ] as const;
    for (const [shown, time, code] of cases) {
      const { port, heard } = await listen(shown);
      await expect(
        connect(port, () => time),
        code,
      ).rejects.toThrow(code);
      expect(heard(), code).toBe(0);
    }
  });

  it("[I10] judges what it is shown: nothing, a device's certificate, a chain that only claims to end in the root", async () => {
    const roots = [new X509Certificate(root.certificate)];
    const facts = { roots, host: "127.0.0.1", floor: unixMs(laterMs) };
    expect(judgePinnedChain(undefined, facts)).toMatchObject({ fault: { code: "no-certificate" } });
    const key = newKey();
    const spki = new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
    const device = await root.issueDevice(
      "panel-r20",
      spki,
      { trusted: true, now: unixMs(laterMs), basis: "authority" },
      DAY_MS,
    );
    if (!device.ok) throw new Error();
    const named = { ...facts, host: "panel-r20" };
    expect(judgePinnedChain(new X509Certificate(device.value.der), named)).toMatchObject({
      fault: { code: "not-for-servers" },
    });
    // The same names as the root, and another key.
    const otherFolder = mkdtempSync(join(tmpdir(), "impostor-"));
    const impostor = await SiteAuthority.open(otherFolder, site, random);
    rmSync(otherFolder, { recursive: true });
    const { cert } = await serverCertificate(["127.0.0.1"], impostor);
    expect(judgePinnedChain(new X509Certificate(cert), facts)).toMatchObject({
      fault: { code: "not-under-the-pinned-root" },
    });
  });
});
