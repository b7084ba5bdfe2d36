/** The section `broker.external` of the configuration: an external broker instead of the embedded one. SPEC B12. */
import { z } from "zod";

export const externalBrokerSchema = z
  .strictObject({
    url: z
      .string()
      .refine(isBrokerUrl, "a URL such as mqtts://broker.example:8883, without a user, a password or a path in it"),
    /** Who may have signed the broker's certificate; the machine's own list when absent. */
    caFile: z.string().min(1).optional(),
    /** Of this gateway, for a broker that knows its clients by their certificates. */
    certificateFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
    /** The gateway's id when absent. */
    username: z.string().min(1).max(64).optional(),
    passwordFile: z.string().min(1).optional(),
    reconnect: z
      .strictObject({
        firstMs: z.number().int().min(10).max(60_000).default(500),
        capMs: z.number().int().min(10).max(600_000).default(30_000),
      })
      .prefault({}),
  })
  .superRefine((external, context) => {
    const complain = (path: string, message: string): void =>
      context.addIssue({ code: "custom", path: [path], message });
    const { url, caFile, certificateFile, keyFile, username, passwordFile } = external;
    const isTls = url.startsWith("mqtts:");
    if (url.startsWith("mqtt:") && !isLoopback(url)) complain("url", "mqtts:// to a broker on another machine");
    for (const [name, file] of Object.entries({ caFile, certificateFile, keyFile })) {
      if (!isTls && file !== undefined) complain(name, "none beside a URL of mqtt://");
    }
    if (certificateFile !== undefined && keyFile === undefined) complain("certificateFile", "a keyFile beside it");
    if (keyFile !== undefined && certificateFile === undefined) complain("keyFile", "a certificateFile beside it");
    if (username !== undefined && passwordFile === undefined) complain("username", "a passwordFile beside it");
  });

export type ExternalBrokerConfig = z.output<typeof externalBrokerSchema>;

/** For the section `broker`: what is said of the embedded broker is said for nothing beside an external one. */
export function refuseBothBrokers(
  broker: Readonly<Record<string, unknown>>,
  context: { addIssue(issue: { code: "custom"; path: string[]; message: string }): void },
): void {
  if (broker["external"] === undefined) return;
  for (const [key, value] of Object.entries(broker)) {
    if (key === "external" || value === undefined) continue;
    const message = "nothing of the embedded broker beside an external one: leave this or external out";
    context.addIssue({ code: "custom", path: [key], message });
  }
}

interface Login {
  readonly username?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly certificateFile?: string | undefined;
}

/** The topics upstream are the same as on the site's broker (SPEC T1): as one user on one broker a gateway would hear its own words as its devices'. */
export function isUpstreamAsWell(
  external: ExternalBrokerConfig | undefined,
  upstream: Login & { readonly urls: readonly string[] },
): boolean {
  if (external === undefined || !upstream.urls.includes(external.url)) return false;
  const loginOf = ({ username, passwordFile, certificateFile }: Login): string =>
    JSON.stringify([username ?? null, passwordFile ?? null, certificateFile ?? null]);
  return loginOf(external) === loginOf(upstream);
}

function isBrokerUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "" || url.hostname === "") return false;
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") return false;
  return url.protocol === "mqtt:" || url.protocol === "mqtts:";
}

function isLoopback(text: string): boolean {
  if (!URL.canParse(text)) return true;
  const { hostname } = new URL(text);
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
