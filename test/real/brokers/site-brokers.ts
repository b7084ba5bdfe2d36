/** A site's external broker as an operator gets it: the output of `doorlink broker-config`, written out and started, and nothing else. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exitCodes } from "../../../agent/commands/exit-codes.ts";
import { freePort, runDoorlink } from "../agent-process.ts";
import type { BrokerProcess } from "./broker-process.ts";
import { type Identity, TestAuthority } from "./certificates.ts";
import { openFolder, startMosquittoFile } from "./start-mosquitto.ts";
import { startNatsFile } from "./start-nats.ts";

export type BrokerKind = "mosquitto" | "nats";

export interface SiteBrokerFiles {
  readonly kind: BrokerKind;
  readonly folder: string;
  readonly port: number;
  readonly authority: TestAuthority;
  readonly crlFile: string;
  /** The same port and the same files; what it kept is wiped before where `empty` is said. */
  start(options?: { readonly empty?: boolean }): Promise<BrokerProcess>;
  /** The configuration for these devices, in place of the one before; a running broker takes it when it is hung up on. */
  rewrite(devices: readonly string[]): Promise<void>;
  /** Of the site's CA. */
  identity(name: string): Promise<Identity>;
}

/** Makes the site's CA, the broker's certificate and the configuration. */
export async function makeSiteBroker(options: {
  readonly kind: BrokerKind;
  readonly folder: string;
  readonly site: string;
  readonly gateway: string;
  readonly devices: readonly string[];
  /** Where Mosquitto finds who is revoked; nobody is until somebody is. */
  readonly crl?: boolean;
}): Promise<SiteBrokerFiles> {
  const { kind, folder, site, gateway, devices, crl = false } = options;
  await openFolder(folder);
  const authority = await TestAuthority.create(`site ${site}`);
  const server = await authority.server();
  const port = await freePort();
  const files = {
    ca: join(folder, "site-ca.pem"),
    certificate: join(folder, "broker.pem"),
    key: join(folder, "broker.key"),
  };
  await writeFile(files.ca, authority.certificate);
  await writeFile(files.certificate, server.certificate);
  // Mosquitto started by root gives root up and reads its key as another user; a test's key is worth nothing.
  await writeFile(files.key, server.key, { mode: 0o644 });
  const crlFile = join(folder, "revoked.pem");
  if (crl) await writeFile(crlFile, await authority.revoke());
  const data = join(folder, "data");
  const write = async (named: readonly string[]): Promise<string> => {
    const made = await runDoorlink(
      ...["broker-config", kind, "--site", site, "--gateway", gateway, "--listen", `127.0.0.1:${port}`],
      ...named.flatMap((device) => ["--device", device]),
      ...["--ca", files.ca, "--certificate", files.certificate, "--key", files.key, "--data", data, "--out", folder],
      ...(crl ? ["--crl", crlFile] : []),
    );
    if (made.code !== exitCodes.fine) throw new Error(made.stderr);
    return made.stdout.split("\n")[0] ?? "";
  };
  const path = await write(devices);
  return {
    kind,
    folder,
    port,
    authority,
    crlFile,
    identity: (name) => authority.client(name),
    rewrite: async (named) => void (await write(named)),
    start: async ({ empty = false } = {}) => {
      if (kind === "mosquitto") return startMosquittoFile({ path, port, isTls: true });
      if (empty) await rm(data, { recursive: true, force: true });
      await mkdir(data, { recursive: true });
      return startNatsFile({ path, port, isTls: true });
    },
  };
}
