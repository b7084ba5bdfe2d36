/**
 * The gateway's configuration: one YAML file, read once at the start. All mistakes are said at once, each with its line, what was
 * expected and what came. Secrets stand in files of their own and are only named here.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../protocol/base/units.ts";
import { asFault, type DocumentFault, type Mistake, parseDocument, readYaml } from "../protocol/site/document.ts";
import { externalBrokerSchema, isUpstreamAsWell, refuseBothBrokers } from "./broker/external-broker-schema.ts";
import { listenFields, refuseOpenListener } from "./broker/listen-config.ts";
import { homeAssistantSchema } from "./homeassistant/home-assistant-config.ts";
import { peopleConfigSchema } from "./log/people-config.ts";
import { remoteConfigSchema } from "./remote/remote-config.ts";
import { findSecretFaults, type SecretFileFault, secretFilesOf } from "./secret-files.ts";
import { storeConfigSchema } from "./store/store-config.ts";
import { upstreamConfigSchema, upstreamUrls } from "./upstream/upstream-config.ts";

const port = z.number().int().min(0).max(65_535);

const siteId = z.string().refine((text) => parseDeviceId(text) !== undefined, "a site id of [a-z0-9-]{3,32}");

const gatewayId = z.string().transform((text, context): DeviceId => {
  const id = parseDeviceId(text);
  if (id?.startsWith("gateway-")) return id;
  context.addIssue({ code: "custom", message: "a gateway id of gateway-<name>, 32 characters of [a-z0-9-] at most" });
  return z.NEVER;
});

export const configSchema = z.strictObject({
  /** The site's id, as in the authority's topics. */
  site: siteId,
  gateway: gatewayId,
  stateDir: z.string().min(1),
  broker: z
    .strictObject({ port: port.optional(), ...listenFields, external: externalBrokerSchema.optional() })
    .superRefine(refuseBothBrokers)
    .superRefine(refuseOpenListener)
    .transform((broker) => ({ ...broker, port: broker.port ?? 8704 }))
    .prefault({}),
  http: z.strictObject({ port: port.default(8703) }).prefault({}),
  upstream: upstreamConfigSchema,
  store: storeConfigSchema,
  bluetooth: z
    .strictObject({
      /** `unix:path=...`; the machine's system bus when absent. */
      busAddress: z.string().min(1).optional(),
      adapter: z
        .string()
        .regex(/^hci[0-9]{1,3}$/, "an adapter such as hci0")
        .optional(),
    })
    .prefault({}),
  sync: z
    .strictObject({
      /** False: locks are visited only when somebody asks. */
      automatic: z.boolean().default(true),
    })
    .prefault({}),
  health: z.strictObject({ intervalSeconds: z.number().int().min(5).max(3600).default(60) }).prefault({}),
  homeAssistant: homeAssistantSchema.optional(),
  firmware: z.strictObject({ tableFile: z.string().min(1).optional() }).prefault({}),
  people: peopleConfigSchema,
  remote: remoteConfigSchema,
  log: z.strictObject({ level: z.enum(["error", "warn", "info", "debug"]).default("info") }).prefault({}),
});

export type Config = z.output<typeof configSchema>;

export type ConfigFault = DocumentFault | { readonly code: "config-unreadable"; readonly reason: string };

/** Reads `text`; paths in it are relative to `folder`. Faults: document-mistakes. */
export function parseConfig(text: string, folder: string): Result<Config, DocumentFault> {
  const read = parseDocument(text, configSchema);
  if (!read.ok) return failed({ code: "document-mistakes", mistakes: read.fault.mistakes.map(withoutCredentials) });
  const { value, mistakeAt } = read.value;
  if (isUpstreamAsWell(value.broker.external, { ...value.upstream, urls: upstreamUrls(value.upstream) })) {
    const expected = "another broker than upstream's, or another user or certificate there: both have the same topics";
    return failed(asFault([mistakeAt({ path: ["broker", "external", "url"], expected })]));
  }
  return ok(withResolvedPaths(value, folder));
}

/** Every setting whose name ends in File or Dir is a path, relative to the folder of the configuration. */
function withResolvedPaths<Value>(value: Value, folder: string): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, below]: [string, unknown]) => {
    const isPath = typeof below === "string" && /(?:File|Dir)$/.test(key);
    return [key, isPath ? resolve(folder, below) : withResolvedPaths(below, folder)] as const;
  });
  return Object.fromEntries(entries) as Value;
}

/**
 * Reads the file and looks at the secrets that it names. One that everybody may read is a mistake; one that is not there is only when
 * `needsSecrets`, because a gateway whose password is lost still has locks to serve. Faults: config-unreadable, document-mistakes.
 */
export async function loadConfig(
  path: string,
  { needsSecrets }: { readonly needsSecrets: boolean } = { needsSecrets: false },
): Promise<Result<Config, ConfigFault>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    return failed({ code: "config-unreadable", reason });
  }
  const read = parseConfig(text, dirname(resolve(path)));
  if (!read.ok) return read;
  const faults = (await findSecretFaults(secretFilesOf(read.value))).filter(
    ({ code }) => needsSecrets || code === "readable-by-all",
  );
  return faults.length === 0 ? read : failed(secretMistakes(text, faults));
}

function secretMistakes(text: string, faults: readonly SecretFileFault[]): DocumentFault {
  const yaml = readYaml(text);
  if (!yaml.ok) return yaml.fault;
  return asFault(
    faults.map(({ path, file, code }) => {
      if (code !== "readable-by-all") {
        const came = `${file}, which ${code === "missing" ? "is not there" : "cannot be read"}`;
        return yaml.value.mistakeAt({ path, expected: "a file that this user can read", came });
      }
      const expected = `a file that not everybody on this machine can read (chmod o-rwx ${file})`;
      return yaml.value.mistakeAt({ path, expected, came: "one that everybody can" });
    }),
  );
}

/** Somebody who wrote a password into the URL must not find it in the log as well. */
function withoutCredentials(mistake: Mistake): Mistake {
  return mistake.came.includes("@") ? { ...mistake, came: "something with an @ in it" } : mistake;
}
