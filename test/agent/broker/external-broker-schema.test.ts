import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../agent/config.ts";
import { formatMistake } from "../../../protocol/site/document.ts";

const upstream = 'upstream: {url: "mqtts://cloud.example:8883"}';

describe("broker.external", () => {
  it("[B12] is taken with its files beside the configuration, and the embedded broker stays the default", () => {
    const external = 'url: "mqtts://broker.example", caFile: ca.pem, certificateFile: own.pem, keyFile: own.key';
    const read = parseConfig(lines(`broker: {external: {${external}}}`), "/etc/doorlink");
    expect(read.ok && read.value.broker.external).toMatchObject({
      url: "mqtts://broker.example",
      caFile: "/etc/doorlink/ca.pem",
      certificateFile: "/etc/doorlink/own.pem",
      keyFile: "/etc/doorlink/own.key",
      reconnect: { firstMs: 500, capMs: 30_000 },
    });
    const embedded = parseConfig(lines(), "/etc/doorlink");
    expect(embedded.ok && embedded.value.broker).toEqual({ port: 8704 });
  });

  it.each<readonly [what: string, broker: string, mistakes: readonly string[]]>([
    [
      "both",
      '{port: 1883, external: {url: "mqtt://127.0.0.1"}}',
      ["4:16 broker.port: expected nothing of the embedded"],
    ],
    [
      "both, by a listener",
      '{listen: 127.0.0.1, external: {url: "mqtt://127.0.0.1"}}',
      ["4:18 broker.listen: expected nothing"],
    ],
    ["a line in the clear", '{external: {url: "mqtt://10.0.0.7"}}', ["4:26 broker.external.url: expected mqtts://"]],
    [
      "a password in the URL",
      '{external: {url: "mqtts://gateway:secret@broker.example"}}',
      ["4:26 broker.external.url: expected a URL"],
    ],
    ["another protocol", '{external: {url: "wss://broker.example"}}', ["4:26 broker.external.url: expected a URL"]],
    [
      "halves of things",
      '{external: {url: "mqtts://broker.example", keyFile: a, username: b}}',
      ["broker.external.keyFile: expected a certificateFile", "broker.external.username: expected a passwordFile"],
    ],
    [
      "a certificate for a plain line",
      '{external: {url: "mqtt://localhost", caFile: ca.pem}}',
      ["broker.external.caFile: expected none"],
    ],
  ])("[B12] %s is a mistake, said with its line", (_what, broker, mistakes) => {
    const read = parseConfig(lines(`broker: ${broker}`), "/");
    const said = read.ok ? [] : read.fault.mistakes.map(formatMistake);
    for (const mistake of mistakes)
      expect(
        said.some((one) => one.includes(mistake)),
        said.join("\n"),
      ).toBe(true);
    expect(said).toHaveLength(mistakes.length);
    expect(said.join("\n")).not.toContain("secret");
  });

  it("[B12] is not upstream's broker as the same user, whose topics are the same", () => {
    const same = 'broker: {external: {url: "mqtts://cloud.example:8883"}}';
    const read = parseConfig(lines(same), "/");
    const said = read.ok ? [] : read.fault.mistakes.map(formatMistake);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("4:26 broker.external.url: expected another broker than upstream's");
    const otherUser = same.replace("}}", ", certificateFile: a, keyFile: b}}");
    expect(parseConfig(lines(otherUser), "/").ok).toBe(true);
  });
});

function lines(broker = ""): string {
  return ["site: maple-court", "gateway: gateway-main", "stateDir: state", broker, upstream].join("\n");
}
