/** JSON over HTTP with a deadline, and waiting for a condition with one. */

const REQUEST_LIMIT_MS = 40_000;
const POLL_MS = 100;

/** Asks and gives the JSON answer. Throws with the status and the beginning of the body when it is not 2xx. */
export async function request(method: "GET" | "POST", url: string, body?: unknown): Promise<unknown> {
  return answerOf(method, url, {
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** As `request`, for a body that is not JSON. */
export function sendBytes(url: string, contentType: string, bytes: Uint8Array): Promise<unknown> {
  return answerOf("POST", url, { headers: { "content-type": contentType }, body: new Uint8Array(bytes) });
}

/** The body of an answer as it came. Throws as `request` does. */
export async function fetchBytes(url: string): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_LIMIT_MS) });
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Looks again and again until `look` gives something. Throws with `what` after `limitMs`, with the last failed look as cause. */
export async function waitFor<Found>(
  what: string,
  look: () => Promise<Found | undefined>,
  limitMs = 20_000,
): Promise<Found> {
  const until = performance.now() + limitMs;
  let cause: unknown;
  while (performance.now() < until) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      cause = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`, { cause });
}

async function answerOf(method: string, url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(REQUEST_LIMIT_MS), ...init });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text.slice(0, 300)}`);
  return text === "" ? undefined : JSON.parse(text);
}
