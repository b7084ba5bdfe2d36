/**
 * HTTP to the cloud, as phones, visitors and the bench use it: JSON in, JSON out, every call with a deadline, every answer
 * checked. What the network or the cloud does wrong is a value.
 */
import { z } from "zod";
import { base64ToBytes, bytesToBase64 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";

export type CloudFault =
  /** No connection, no answer in time, or one that does not end. */
  | { readonly code: "cloud-unreachable"; readonly what: string; readonly systemCode: string }
  /** Answered, but not with what was expected. */
  | { readonly code: "cloud-refused"; readonly what: string; readonly status: number; readonly reason: string }
  | { readonly code: "cloud-bad-answer"; readonly what: string; readonly path: string };

export interface CloudRequest<Schema extends z.ZodType> {
  /** For faults and logs; routes carry tokens and are not shown. */
  readonly what: string;
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly schema: Schema;
  readonly body?: unknown;
  /** Sent as it is, with its type; instead of `body`. */
  readonly text?: { readonly type: string; readonly content: string };
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Makes one call. Faults: cloud-unreachable, cloud-refused (with the cloud's own code), cloud-bad-answer. Never throws. */
export async function callCloud<Schema extends z.ZodType>(
  cloudUrl: string,
  request: CloudRequest<Schema>,
): Promise<Result<z.output<Schema>, CloudFault>> {
  const { what } = request;
  const answered = await fetchText(new URL(request.path, cloudUrl), request);
  if (!answered.ok) return failed({ code: "cloud-unreachable", what, systemCode: answered.fault.systemCode });
  const { status, text } = answered.value;
  const json = parseJson(text);
  if (status < 200 || status > 299) {
    return failed({ code: "cloud-refused", what, status, reason: reasonOf(json) });
  }
  const parsed = request.schema.safeParse(json);
  if (parsed.success) return ok(parsed.data);
  return failed({ code: "cloud-bad-answer", what, path: parsed.error.issues[0]?.path.join(".") ?? "" });
}

export type FetchFault = { readonly code: "unreachable"; readonly systemCode: string };

/** One HTTP exchange with a deadline and a size limit. Never throws. */
export async function fetchText(
  url: URL,
  request: Pick<CloudRequest<z.ZodType>, "method" | "body" | "text" | "headers" | "timeoutMs" | "signal">,
): Promise<Result<{ readonly status: number; readonly text: string }, FetchFault>> {
  const { method, body, text, headers, timeoutMs = CALL_TIMEOUT_MS, signal } = request;
  const type = text?.type ?? (body === undefined ? undefined : "application/json");
  const content = text?.content ?? (body === undefined ? undefined : JSON.stringify(body));
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method,
      headers: { accept: "application/json", ...(type === undefined ? {} : { "content-type": type }), ...headers },
      ...(content === undefined ? {} : { body: content }),
      signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
      redirect: "error",
    });
    return ok({ status: response.status, text: await readLimited(response) });
  } catch (error) {
    return failed({ code: "unreachable", systemCode: systemCodeOf(error) });
  }
}

const base64Bytes = z.string().transform((text, context): Uint8Array => {
  const bytes = base64ToBytes(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: "custom", message: "expected base64" });
  return z.NEVER;
});

const pairAnswer = z.object({
  pairingId: base64Bytes,
  root: base64Bytes,
  keyset: z.object({ bytes: base64Bytes, signature: base64Bytes }),
  dailyKeys: z.array(z.object({ door: z.string(), key: base64Bytes })),
  keyEpoch: z.number().int(),
  firstSequence: z.number().int(),
});
export type PairAnswer = z.output<typeof pairAnswer>;

/** The bench: puts the site into the cloud. `start` is what its relative times count from. */
export function putSite(cloudUrl: string, siteText: string, start: number): Promise<Result<unknown, CloudFault>> {
  return callCloud(cloudUrl, {
    what: "put the site",
    method: "PUT",
    path: "/api/site",
    schema: z.unknown(),
    text: { type: "application/yaml", content: siteText },
    headers: { "x-start": String(start) },
  });
}

/** The bench: introduces a lock to its authority. */
export function pairLock(
  cloudUrl: string,
  lock: { readonly device: string; readonly staticPublicKey: Uint8Array; readonly address: string },
): Promise<Result<PairAnswer, CloudFault>> {
  return callCloud(cloudUrl, {
    what: "pair a lock",
    method: "POST",
    path: "/bench/pair",
    schema: pairAnswer,
    body: { ...lock, staticPublicKey: bytesToBase64(lock.staticPublicKey) },
  });
}

const cardsAnswer = z.object({ cards: z.array(z.object({ credential: z.string(), key: base64Bytes })) });
export type CardsAnswer = z.output<typeof cardsAnswer>;

/** The bench: the keycards as the desk's encoder wrote them. */
export function handOutCards(cloudUrl: string): Promise<Result<CardsAnswer, CloudFault>> {
  return callCloud(cloudUrl, {
    what: "hand out the keycards",
    method: "POST",
    path: "/bench/cards",
    schema: cardsAnswer,
    body: {},
  });
}

const dailyKeys = z.array(z.object({ door: z.string(), key: base64Bytes }));
export const enrolAnswer = z.object({
  mqttPassword: z.string(),
  dailyKeys,
  keyEpoch: z.number().int(),
  entryTagKey: base64Bytes,
  /** For unlock commands: the id that they name this device by, the authority's key, and the key of boot reports. */
  pairingId: base64Bytes,
  unlockKey: base64Bytes,
  reportKey: base64Bytes,
  /** For policies: the key that signs them, and the one under which their codes are hashed. */
  policyKey: base64Bytes,
  codeHashKey: base64Bytes,
});
export type EnrolAnswer = z.output<typeof enrolAnswer>;

/** The bench: takes a networked device in; gives its password for MQTT and, for a lock, its door's daily keys. */
export function enrolDevice(cloudUrl: string, device: string): Promise<Result<EnrolAnswer, CloudFault>> {
  return callCloud(cloudUrl, {
    what: "enrol a device",
    method: "POST",
    path: "/bench/enrol",
    schema: enrolAnswer,
    body: { device },
  });
}

async function readLimited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_LIMIT_BYTES) throw Object.assign(new Error("too long"), { code: "ANSWER_TOO_LONG" });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is an answer of no use: the schema or the status says so to the caller.
    return undefined;
  }
}

function reasonOf(json: unknown): string {
  if (typeof json !== "object" || json === null) return "";
  if ("code" in json && typeof json.code === "string") return json.code.slice(0, 80);
  return "error" in json && typeof json.error === "string" ? json.error.slice(0, 80) : "";
}

/** The errno where there is one; `fetch` hides it in causes. */
function systemCodeOf(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    if ("code" in current && typeof current.code === "string") return current.code;
    if (current.name === "TimeoutError" || current.name === "AbortError") return current.name;
    current = current.cause;
  }
  return error instanceof Error ? error.name : "unknown";
}

const CALL_TIMEOUT_MS = 5_000;
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024;
