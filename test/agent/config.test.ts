import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config.ts";
import { formatMistake } from "../../protocol/site/document.ts";

describe("configuration", () => {
  it("needs little, has defaults for the rest, and takes paths from where the file is", () => {
    const text =
      "site: maple-court\ngateway: gateway-main\nstateDir: state\nupstream: {url: 'mqtts://cloud:8883', passwordFile: pw}\n";
    const read = parseConfig(text, "/etc/doorlink");
    expect(read).toMatchObject({
      ok: true,
      value: {
        stateDir: "/etc/doorlink/state",
        broker: { port: 8704 },
        http: { port: 8703 },
        upstream: { url: "mqtts://cloud:8883", passwordFile: "/etc/doorlink/pw", reconnect: { capMs: 60_000 } },
        bluetooth: {},
        sync: { automatic: true },
      },
    });
  });

  it("says all mistakes at once, each with its line, what was expected and what came", () => {
    const text = [
      "site: Maple Court",
      "gateway: main",
      "broker: {port: 99999}",
      "http: {prot: 3}",
      "upstream:",
      "  url: http://cloud",
      "bluetooth: {adapter: usb0}",
      "log: {level: loud}",
    ].join("\n");
    const read = parseConfig(text, "/");
    expect(read.ok ? [] : read.fault.mistakes.map(formatMistake)).toEqual([
      expect.stringMatching(/^1:1 stateDir: expected a string/),
      '1:7 site: expected a site id of [a-z0-9-]{3,32}, came "Maple Court"',
      '2:10 gateway: expected a gateway id of gateway-<name>, 32 characters of [a-z0-9-] at most, came "main"',
      "3:16 broker.port: expected at most 65535, came 99999",
      expect.stringMatching(/^4:\d+ http\.prot: expected no such key, came the key "prot"$/),
      expect.stringMatching(/^6:8 upstream\.url: expected a URL such as mqtts:\/\/host:8883/),
      '7:22 bluetooth.adapter: expected an adapter such as hci0, came "usb0"',
      '8:14 log.level: expected one of error, warn, info, debug, came "loud"',
    ]);
  });

  it("never shows a password that was written into the URL", () => {
    const text =
      "site: abc\ngateway: gateway-a\nstateDir: s\nupstream: {url: 'mqtt://me:hunter2@cloud', password: hunter2}\n";
    const read = parseConfig(text, "/");
    const lines = read.ok ? [] : read.fault.mistakes.map(formatMistake);
    expect(lines).toHaveLength(2);
    expect(lines.join("\n")).not.toContain("hunter2");
  });
});
