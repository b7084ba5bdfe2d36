/** The section `upstream` of the configuration: where the site's authority is, who this gateway is to it, and how fast it is told. SPEC U8-U10. */
import { z } from "zod";

const upstreamUrl = z
  .string()
  .refine(isUpstreamUrl, "a URL such as mqtts://host:8883, without a user or password in it");

const file = z.string().min(1).optional();

export const upstreamConfigSchema = z
  .strictObject({
    url: upstreamUrl.optional(),
    /** Further ways to the same authority, tried in turn after `url`. */
    urls: z.array(upstreamUrl).max(8).default([]),
    /** The gateway's id when absent. */
    username: z.string().min(1).max(64).optional(),
    passwordFile: file,
    /** Who may have signed the server's certificate; the machine's own list when absent. PEM, as the next two. */
    caFile: file,
    certificateFile: file,
    keyFile: file,
    reconnect: z
      .strictObject({
        firstMs: z.number().int().min(10).max(60_000).default(500),
        capMs: z.number().int().min(10).max(600_000).default(60_000),
      })
      .prefault({}),
    /** How fast what had waited for a link goes up; what happens now goes at once, whatever waits. */
    backlogEventsPerSecond: z
      .union([z.number().int().min(1).max(1_000_000), z.literal("unlimited")], {
        error: "a whole number from 1 to 1000000, or unlimited",
      })
      .default(1_000),
  })
  .superRefine((upstream, context) => {
    const complain = (key: keyof typeof upstream, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message });
    if (upstream.url === undefined && upstream.urls.length === 0) {
      complain("url", "a URL such as mqtts://host:8883, or several in urls");
    }
    const { certificateFile, keyFile } = upstream;
    if (certificateFile !== undefined && keyFile === undefined) complain("certificateFile", "a keyFile beside it");
    if (keyFile !== undefined && certificateFile === undefined) complain("keyFile", "a certificateFile beside it");
    const isTls = upstreamUrls({ url: upstream.url ?? "", urls: upstream.urls }).some((url) =>
      /^(mqtts|wss):/.test(url),
    );
    for (const key of ["caFile", "certificateFile"] as const) {
      if (upstream[key] !== undefined && !isTls) complain(key, "a URL of mqtts: or wss: to use it with");
    }
  })
  .transform((upstream) => ({ ...upstream, url: upstream.url ?? upstream.urls[0] ?? "" }));

type UpstreamConfig = z.output<typeof upstreamConfigSchema>;

/** Each once, in the order in which they are tried. */
export function upstreamUrls({ url, urls }: Pick<UpstreamConfig, "url" | "urls">): readonly string[] {
  return [...new Set([url, ...urls])].filter((each) => each !== "");
}

function isUpstreamUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "" || url.hostname === "") return false;
  return ["mqtt:", "mqtts:", "ws:", "wss:"].includes(url.protocol);
}
