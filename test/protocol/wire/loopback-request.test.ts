import { describe, expect, it } from "vitest";
import { isLoopbackRequest } from "../../../protocol/wire/loopback-request.ts";

describe("requests from this machine alone", () => {
  it.each(["localhost", "localhost:8703", "127.0.0.1:8703", "127.1.2.3", "[::1]:8703", "LOCALHOST:1"])(
    "[H1] %s is this machine",
    (host) => {
      expect(isLoopbackRequest({ host })).toBe(true);
    },
  );

  it.each([
    "evil.example",
    "evil.example:8703",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.168.1.5:8703",
    "",
  ])("[H1] %j is not, wherever the request comes from", (host) => {
    expect(isLoopbackRequest({ host })).toBe(false);
  });

  it("[H1] a request that a proxy passed on or a foreign page sent is none of this machine", () => {
    const host = "127.0.0.1:8701";
    for (const name of ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"]) {
      expect(isLoopbackRequest({ host, [name]: "203.0.113.9" })).toBe(false);
    }
    expect(isLoopbackRequest({ host, "sec-fetch-site": "cross-site" })).toBe(false);
    expect(isLoopbackRequest({ host, "sec-fetch-site": "same-origin" })).toBe(true);
    expect(isLoopbackRequest({})).toBe(false);
  });
});
