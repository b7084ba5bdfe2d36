import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { Aedes } from "aedes";
import { afterEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../../agent/config.ts";
import type { UpstreamTransport } from "../../../agent/ports/upstream.ts";
import { createMqttTransport } from "../../../agent/upstream/mqtt-transport.ts";
import { createSeveralUrls } from "../../../agent/upstream/several-urls.ts";
import { upstreamUrls } from "../../../agent/upstream/upstream-config.ts";
import { formatMistake } from "../../../protocol/site/document.ts";
import { type Identity, TestAuthority } from "../../real/brokers/certificates.ts";
import { gatewayId, site } from "../../world/gateway-builder.ts";
import { MemoryUpstream } from "../../world/memory-upstream.ts";

const listener = { message: () => undefined, closed: () => undefined };

describe("several ways to the authority", () => {
  it("[U8] are tried in turn; the one that works is kept, also when its link was cut once", async () => {
    const [first, second, third] = [false, true, true].map((up) => new MemoryUpstream({ up })) as [
      MemoryUpstream,
      MemoryUpstream,
      MemoryUpstream,
    ];
    const ways = [
      { url: "mqtt://a", transport: first },
      { url: "mqtt://b", transport: second },
      { url: "mqtt://c", transport: third },
    ];
    const several = createSeveralUrls(() => ways);
    const tries = async (): Promise<string> =>
      several.connect(listener).then(
        ({ url = "" }) => url,
        () => "failed",
      );
    expect([await tries(), await tries(), await tries()]).toEqual(["failed", "mqtt://b", "mqtt://b"]);
    second.setLink(false);
    expect([await tries(), await tries(), await tries()]).toEqual(["failed", "mqtt://c", "mqtt://c"]);
    third.setLink(false);
    first.setLink(true);
    expect([await tries(), await tries()]).toEqual(["failed", "mqtt://a"]);
  });

  it("[U8] a try that hangs counts as failed for the next one", async () => {
    const hangs: UpstreamTransport = { connect: () => new Promise(() => undefined) };
    const works = new MemoryUpstream({ up: true });
    const several = createSeveralUrls(() => [
      { url: "mqtt://a", transport: hangs },
      { url: "mqtt://b", transport: works },
    ]);
    void several.connect(listener);
    expect((await several.connect(listener)).url).toBe("mqtt://b");
  });

  it("[U8] are read from the configuration, with what TLS needs beside them", () => {
    const head = "site: abc\ngateway: gateway-a\nstateDir: s\n";
    const read = parseConfig(
      `${head}upstream: {urls: ['mqtts://one', 'mqtts://two'], caFile: ca.pem, certificateFile: c.pem, keyFile: k.pem}\n`,
      "/etc/doorlink",
    );
    expect(read.ok && upstreamUrls(read.value.upstream)).toEqual(["mqtts://one", "mqtts://two"]);
    expect(read).toMatchObject({
      ok: true,
      value: {
        upstream: { url: "mqtts://one", caFile: "/etc/doorlink/ca.pem", keyFile: "/etc/doorlink/k.pem" },
      },
    });
    const wrong = parseConfig(
      `${head}upstream: {certificateFile: c.pem, caFile: ca.pem, backlogEventsPerSecond: 0}\n`,
      "/",
    );
    expect(wrong.ok ? [] : wrong.fault.mistakes.map(formatMistake).sort()).toEqual([
      expect.stringContaining("upstream.url: expected a URL such as mqtts://host:8883, or several in urls"),
      expect.stringContaining("upstream.certificateFile: expected a URL of mqtts: or wss: to use it with"),
      expect.stringContaining("upstream.certificateFile: expected a keyFile beside it"),
      expect.stringContaining("upstream.caFile: expected a URL of mqtts: or wss: to use it with"),
      expect.stringContaining("upstream.backlogEventsPerSecond: expected at least 1"),
    ]);
  });
});

describe("TLS upstream", () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  it("[U8] both ends show certificates, and neither goes on with a stranger", async () => {
    const folder = await mkdtemp(join(tmpdir(), "doorlink-tls-"));
    closers.push(() => rm(folder, { recursive: true }));
    const authority = await TestAuthority.create("cloud");
    const strangers = await TestAuthority.create("somebody else");
    const url = await startTlsBroker(await authority.server(), authority.certificate);
    const files = async (name: string, ca: string, { certificate, key }: Identity) => {
      const paths = { caFile: `${name}-ca.pem`, certificateFile: `${name}.pem`, keyFile: `${name}-key.pem` };
      const texts = { caFile: ca, certificateFile: certificate, keyFile: key };
      for (const [kind, file] of Object.entries(paths)) {
        await writeFile(join(folder, file), texts[kind as keyof typeof texts]);
      }
      return Object.fromEntries(Object.entries(paths).map(([kind, file]) => [kind, join(folder, file)]));
    };
    const known = await authority.client(gatewayId);
    const connect = async (tls: object): Promise<string> => {
      const login = { url, site, gateway: gatewayId, username: gatewayId };
      const connection = await createMqttTransport({ ...login, ...tls })
        .connect(listener)
        .catch((error: Error) => error);
      if (connection instanceof Error) return connection.message;
      await connection.publish("a", "b", { retain: false });
      await connection.close();
      return "linked";
    };
    expect(await connect(await files("good", authority.certificate, known))).toBe("linked");
    expect(await connect({})).toMatch(/certificate/i);
    expect(await connect(await files("fooled", strangers.certificate, known))).toMatch(/certificate/i);
    const stranger = await strangers.client(gatewayId);
    expect(await connect(await files("stranger", authority.certificate, stranger))).toMatch(/unreachable|upstream/);
    expect(await connect({ caFile: join(folder, "nowhere") })).toBe(
      "upstream: the file of certificate authorities cannot be read",
    );
  });

  it("[U8] a server that takes the connection and says nothing is given up", async () => {
    const silent = createServer();
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    closers.push(async () => void silent.close());
    const transport = createMqttTransport({
      url: `mqtts://127.0.0.1:${portOf(silent)}`,
      site,
      gateway: gatewayId,
      username: gatewayId,
      connectTimeoutMs: 50,
    });
    await expect(transport.connect(listener)).rejects.toMatchObject({ code: "unreachable" });
  });

  async function startTlsBroker({ certificate, key }: Identity, ca: string): Promise<string> {
    const aedes = await Aedes.createBroker();
    const options = { cert: certificate, key, ca, requestCert: true, rejectUnauthorized: true };
    const server = createTlsServer(options, (socket) => void aedes.handle(socket));
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(async () => {
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      server.close();
    });
    return `mqtts://127.0.0.1:${portOf(server)}`;
  }
});

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("listens on a port");
  return address.port;
}
