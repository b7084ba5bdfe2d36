/**
 * Which HTTP requests may use what is meant for this machine alone. A loopback address is not enough: a page of a foreign site
 * whose name was made to point here (DNS rebinding) comes from the browser of this machine, and what a proxy on this machine
 * passes on comes from the proxy. Both give themselves away in the headers. Source: SPEC H1.
 */

/** Header values as Node gives them, names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** True for a request that names this machine itself as its host, from no foreign page and through no proxy. */
export function isLoopbackRequest(headers: RequestHeaders): boolean {
  const host = headers["host"];
  if (typeof host !== "string" || !loopbackHost.test(host)) return false;
  if (headers["sec-fetch-site"] === "cross-site") return false;
  return proxyHeaders.every((name) => headers[name] === undefined);
}

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const proxyHeaders = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
