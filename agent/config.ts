/**
 * The gateway's configuration: one YAML file, read once at the start. All mistakes are said at once, each with its line, what was
 * expected and what came. Secrets stand in files of their own and are only named here.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { failed, ok, type Result } from "../protocol/base/result.ts";
import { type DeviceId, parseDeviceId } from "../protocol/base/units.ts";
import { type DocumentFault, type Mistake, parseDocument } from "../protocol/site/document.ts";

const port = z.number().int().min(0).max(65_535);

const siteId = z.string().refine((text) => parseDeviceId(text) !== undefined, "a site id of [a-z0-9-]{3,32}");

const gatewayId = z.string().transform((text, context): DeviceId => {
  const id = parseDeviceId(text);
  if (id?.startsWith("gateway-")) return id;
  context.addIssue({ code: "custom", message: "a gateway id of gateway-<name>, 32 characters of [a-z0-9-] at most" });
  return z.NEVER;
});

const upstreamUrl = z
  .string()
  .refine(isUpstreamUrl, "a URL such as mqtts://host:8883, without a user or password in it");

export const configSchema = z.strictObject({
  /** The site's id, as in the authority's topics. */
  site: siteId,
  gateway: gatewayId,
  stateDir: z.string().min(1),
  broker: z.strictObject({ port: port.default(8704) }).prefault({}),
  http: z.strictObject({ port: port.default(8703) }).prefault({}),
  upstream: z.strictObject({
    url: upstreamUrl,
    /** The gateway's id when absent. */
    username: z.string().min(1).max(64).optional(),
    passwordFile: z.string().min(1).optional(),
    reconnect: z
      .strictObject({
        firstMs: z.number().int().min(10).max(60_000).default(500),
        capMs: z.number().int().min(10).max(600_000).default(60_000),
      })
      .prefault({}),
  }),
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
  log: z.strictObject({ level: z.enum(["error", "warn", "info", "debug"]).default("info") }).prefault({}),
});

export type Config = z.output<typeof configSchema>;

export type ConfigFault = DocumentFault | { readonly code: "config-unreadable"; readonly reason: string };

/** Reads `text`; paths in it are relative to `folder`. Faults: document-mistakes. */
export function parseConfig(text: string, folder: string): Result<Config, DocumentFault> {
  const read = parseDocument(text, configSchema);
  if (!read.ok) return failed({ code: "document-mistakes", mistakes: read.fault.mistakes.map(withoutCredentials) });
  const config = read.value.value;
  const { passwordFile } = config.upstream;
  return ok({
    ...config,
    stateDir: resolve(folder, config.stateDir),
    upstream: {
      ...config.upstream,
      ...(passwordFile === undefined ? {} : { passwordFile: resolve(folder, passwordFile) }),
    },
  });
}

/** Faults: config-unreadable, document-mistakes. */
export async function loadConfig(path: string): Promise<Result<Config, ConfigFault>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    return failed({ code: "config-unreadable", reason });
  }
  return parseConfig(text, dirname(resolve(path)));
}

function isUpstreamUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "" || url.hostname === "") return false;
  return ["mqtt:", "mqtts:", "ws:", "wss:"].includes(url.protocol);
}

/** Somebody who wrote a password into the URL must not find it in the log as well. */
function withoutCredentials(mistake: Mistake): Mistake {
  return mistake.came.includes("@") ? { ...mistake, came: "something with an @ in it" } : mistake;
}
