/** `doorlink broker-config mosquitto|nats`: the configuration of an external broker for this site, as it was tested. SPEC B17. */
import { mkdir, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { isAbsolute, join, resolve } from "node:path";
import type { Command } from "commander";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../../protocol/base/units.ts";
import type { BrokerFile, BrokerPlan } from "../broker/broker-files.ts";
import { mosquittoFiles } from "../broker/mosquitto-config.ts";
import { natsFiles } from "../broker/nats-config.ts";
import { type Config, loadConfig } from "../config.ts";
import { describeConfigFault } from "../config-text.ts";
import { statusView } from "../http/views.ts";
import { type AgentClient, describeAgentFault } from "./agent-client.ts";
import { exitCodes } from "./exit-codes.ts";

export interface BrokerConfigOptions {
  readonly config?: string;
  readonly site?: string;
  readonly gateway?: readonly string[];
  readonly device?: readonly string[];
  readonly listen?: string;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly crl?: string;
  readonly data?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export interface BrokerConfigContext {
  /** Asked for the devices, where the broker must know them by name and nobody names them. */
  readonly client: () => Promise<AgentClient>;
  readonly write: (text: string) => void;
  readonly warn: (text: string) => void;
}

export function registerBrokerConfig(
  program: Command,
  context: BrokerConfigContext & { readonly finish: (exitCode: number) => void },
): void {
  const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  program
    .command("broker-config <broker>")
    .description("the configuration of an external broker for this site: mosquitto or nats")
    .option("--config <file>", "the gateway's configuration (YAML): its site, its name and its broker's address")
    .option("--site <id>", "the site, instead of the configuration's")
    .option("--gateway <id>", "a gateway of the site; repeat for several", several)
    .option("--device <id>", "a networked device, for nats; repeat; without it the running agent is asked", several)
    .option("--listen <host:port>", "where the broker listens")
    .option("--ca <file>", "the site's CA, on the broker's machine")
    .option("--certificate <file>", "the broker's own certificate, on its machine")
    .option("--key <file>", "the key of that certificate, on its machine")
    .option("--crl <file>", "revoked certificates, on the broker's machine (mosquitto)")
    .option("--data <folder>", "where the broker keeps its own files (nats)")
    .option("--out <folder>", "write the files there instead of to stdout")
    .option("--json", "one JSON object on stdout")
    .action(async (broker: string, options: BrokerConfigOptions) => {
      context.finish(await runBrokerConfig(broker, options, context));
    });
}

/** 0; 2 for what was asked wrongly; 3 when the agent that should name the devices, or the folder, is not there. */
export async function runBrokerConfig(
  broker: string,
  options: BrokerConfigOptions,
  context: BrokerConfigContext,
): Promise<number> {
  const maker = makers.get(broker);
  const complain = ({ text, code }: Complaint): number => {
    context.warn(`doorlink: ${text}\n`);
    return exitCodes[code];
  };
  if (maker === undefined) return complain(usage(`${broker}: expected mosquitto or nats`));
  const plan = await readPlan(maker, options, context);
  if (!plan.ok) return complain(plan.fault);
  const files = maker.files(plan.value);
  if (options.out !== undefined) {
    const fault = await writeFiles(options.out, files);
    if (fault !== undefined) return complain(fault);
  }
  if (options.json === true) context.write(`${JSON.stringify({ broker, ...plan.value, files })}\n`);
  else if (options.out !== undefined) context.write(files.map(({ path }) => `${path}\n`).join(""));
  else context.write(files.map(({ path, text }) => `# file: ${path}\n${text}`).join("\n"));
  return exitCodes.fine;
}

interface Complaint {
  readonly code: "usage" | "environment";
  readonly text: string;
}

interface Maker {
  readonly files: (plan: BrokerPlan) => readonly BrokerFile[];
  readonly needsDevices: boolean;
  /** Where Debian's package keeps its files. */
  readonly folder: string;
  readonly tlsFolder: string;
  readonly dataFolder: string;
}

const makers: ReadonlyMap<string, Maker> = new Map([
  [
    "mosquitto",
    {
      files: mosquittoFiles,
      needsDevices: false,
      folder: "/etc/mosquitto/conf.d",
      tlsFolder: "/etc/mosquitto/certs",
      dataFolder: "/var/lib/mosquitto",
    },
  ],
  [
    "nats",
    {
      files: natsFiles,
      needsDevices: true,
      folder: "/etc/nats",
      tlsFolder: "/etc/nats/certs",
      dataFolder: "/var/lib/nats",
    },
  ],
]);

async function readPlan(
  maker: Maker,
  options: BrokerConfigOptions,
  context: BrokerConfigContext,
): Promise<Result<BrokerPlan, Complaint>> {
  const { tlsFolder } = maker;
  const config = options.config === undefined ? ok(undefined) : await readConfig(options.config);
  if (!config.ok) return config;
  const site = options.site ?? config.value?.site;
  if (site === undefined || parseDeviceId(site) === undefined) {
    return failed(usage("name the site with --site ID, or the gateway's configuration with --config FILE"));
  }
  const ownGateway = config.value === undefined ? [] : [config.value.gateway];
  const gateways = readNames([...ownGateway, ...(options.gateway ?? [])], "--gateway");
  if (!gateways.ok) return gateways;
  if (!gateways.value.every((gateway) => gateway.startsWith("gateway-")) || gateways.value.length === 0) {
    return failed(usage("name the site's gateways with --gateway gateway-NAME, or one by its --config FILE"));
  }
  const listen = readListen(options.listen, config.value);
  if (!listen.ok) return listen;
  const devices = maker.needsDevices ? await readDevices(options.device, context) : ok([]);
  if (!devices.ok) return devices;
  const files = {
    caFile: options.ca ?? join(tlsFolder, "site-ca.pem"),
    certificateFile: options.certificate ?? join(tlsFolder, "broker.pem"),
    keyFile: options.key ?? join(tlsFolder, "broker.key"),
    ...(options.crl === undefined ? {} : { crlFile: options.crl }),
    folder: options.out === undefined ? maker.folder : resolve(options.out),
    dataFolder: options.data ?? maker.dataFolder,
  };
  const odd = Object.values(files).find((path) => !isAbsolute(path) || !plainPath.test(path));
  if (odd !== undefined) return failed(usage(`${odd}: expected an absolute path without quotes, blanks or a #`));
  return ok({ site, gateways: gateways.value, devices: devices.value, listen: listen.value, ...files });
}

async function readConfig(path: string): Promise<Result<Config, Complaint>> {
  const config = await loadConfig(path);
  if (config.ok) return config;
  return failed(
    usage(
      describeConfigFault(path, config.fault)
        .trimEnd()
        .replace(/^doorlink: /, ""),
    ),
  );
}

async function readDevices(
  named: readonly string[] | undefined,
  { client }: BrokerConfigContext,
): Promise<Result<readonly DeviceId[], Complaint>> {
  if (named !== undefined) return readNames(named, "--device");
  const answer = await (await client()).get("/api/status", statusView);
  if (!answer.ok) {
    const text = `nats knows devices by name only: name them with --device, or start the agent (${describeAgentFault(answer.fault)})`;
    return failed({ code: "environment", text });
  }
  const networked = answer.value.devices.filter(({ network }) => network === "mqtt");
  return readNames(
    networked.map(({ device }) => device),
    "a device",
  );
}

function readNames(texts: readonly string[], option: string): Result<readonly DeviceId[], Complaint> {
  const names: DeviceId[] = [];
  for (const text of new Set(texts)) {
    const name = parseDeviceId(text);
    if (name === undefined) return failed(usage(`${option} ${text}: expected [a-z0-9-]{3,32}`));
    names.push(name);
  }
  return ok(names);
}

/** Without a word on it: the port that the gateway connects to, on this machine alone unless the gateway connects to another. */
function readListen(text: string | undefined, config: Config | undefined): Result<BrokerPlan["listen"], Complaint> {
  if (text !== undefined) {
    const [, host = "", port = ""] = /^(.+):([0-9]{1,5})$/.exec(text) ?? [];
    const address = host.replace(/^\[(.*)\]$/, "$1");
    if (isIP(address) === 0 || Number(port) < 1 || Number(port) > 65_535) {
      return failed(usage(`--listen ${text}: expected an address and a port such as 0.0.0.0:8883 or [::]:8883`));
    }
    return ok({ host: address, port: Number(port) });
  }
  const url = config?.broker.external === undefined ? undefined : new URL(config.broker.external.url);
  const port = url?.port ? Number(url.port) : DEFAULT_PORT;
  const isHere = url === undefined || ["localhost", "[::1]"].includes(url.hostname) || url.hostname.startsWith("127.");
  return ok({ host: isHere ? "127.0.0.1" : "0.0.0.0", port });
}

async function writeFiles(folder: string, files: readonly BrokerFile[]): Promise<Complaint | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    // Names and rights, no secrets: the broker reads them as its own user.
    for (const { path, text } of files) await writeFile(path, text, { mode: 0o644 });
    return undefined;
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "failed";
    return { code: "environment", text: `cannot write to ${folder} (${reason})` };
  }
}

function usage(text: string): Complaint {
  return { code: "usage", text };
}

const DEFAULT_PORT = 8883;
/** Nothing that either configuration language reads as something else than a letter of a path. */
const plainPath = /^[A-Za-z0-9/._+@:-]+$/;
