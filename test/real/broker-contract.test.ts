/** The contract of the site's broker, held by the embedded one, by Debian's Mosquitto and by Debian's nats-server; each behind a line that breaks. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAedesBroker } from "../../agent/broker/aedes-broker.ts";
import { openExternalBroker } from "../../agent/broker/external-broker.ts";
import { createMqttBrokerTransport } from "../../agent/broker/mqtt-broker-transport.ts";
import type { SiteIntake } from "../../agent/ports/site-broker.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { type BrokerUnderTest, contractDevices, type DeviceLogin, describeBroker } from "../contract/broker.ts";
import { gatewayId, memoryLog, panelPassword, site } from "../world/gateway-builder.ts";
import { ChaoticProxy } from "./brokers/chaotic-proxy.ts";
import { type BrokerKind, makeSiteBroker } from "./brokers/site-brokers.ts";

describeBroker("embedded aedes", makeEmbedded);
describeBroker("Mosquitto", () => makeExternal("mosquitto"));
describeBroker("nats-server", () => makeExternal("nats"));

async function makeEmbedded(): Promise<BrokerUnderTest> {
  let port = 0;
  let opened: SiteIntake | undefined;
  const proxy = await ChaoticProxy.open(() => port, seededRandom(6, "embedded"));
  return {
    proxy,
    login: () => ({ url: `mqtt://127.0.0.1:${proxy.port}`, password: panelPassword }),
    open: async (intake) => {
      opened = intake;
      const broker = await openAedesBroker({ site, port: 0 }, intake);
      port = broker.port;
      return broker;
    },
    restart: async (_options, gatewaySide) => {
      await gatewaySide.close();
      if (opened === undefined) throw new Error("restarted before it was opened");
      return openAedesBroker({ site, port }, opened);
    },
    discard: () => proxy.close(),
  };
}

async function makeExternal(kind: BrokerKind): Promise<BrokerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "doorlink-broker-"));
  const devices = contractDevices;
  const files = await makeSiteBroker({ kind, folder: join(folder, kind), site, gateway: gatewayId, devices });
  let broker = await files.start();
  const proxy = await ChaoticProxy.open(() => files.port, seededRandom(6, kind));
  const url = `mqtts://127.0.0.1:${proxy.port}`;
  const gateway = await files.identity(gatewayId);
  const own = {
    caFile: join(folder, "ca"),
    certificateFile: join(folder, "certificate"),
    keyFile: join(folder, "key"),
  };
  await writeFile(own.caFile, files.authority.certificate);
  await writeFile(own.certificateFile, gateway.certificate);
  await writeFile(own.keyFile, gateway.key, { mode: 0o600 });
  const logins = new Map<string, DeviceLogin>();
  for (const device of devices) {
    const tls = { ca: files.authority.certificate, ...(await files.identity(device)) };
    logins.set(device, { url, password: null, tls });
  }
  return {
    proxy,
    login: (device) => {
      const login = logins.get(device);
      if (login === undefined) throw new Error(`no certificate for ${device}`);
      return login;
    },
    open: async (intake, clock) =>
      openExternalBroker(
        {
          site,
          gateway: gatewayId,
          transport: createMqttBrokerTransport({ url, clientId: gatewayId, ...own }),
          backoff: { firstMs: 200, capMs: 2_000 },
          clock,
          random: { bytes: (length) => new Uint8Array(length), fraction: Math.random },
          log: memoryLog([]),
        },
        intake,
      ),
    restart: async ({ forgetsAll }, gatewaySide) => {
      await broker.stop("SIGKILL");
      broker = await files.start({ empty: forgetsAll });
      return gatewaySide;
    },
    discard: async () => {
      await proxy.close();
      await broker.stop("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
