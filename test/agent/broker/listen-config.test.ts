import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../agent/config.ts";
import { formatMistake } from "../../../protocol/site/document.ts";

const around = (broker: string): string =>
  `site: maple-court\ngateway: gateway-main\nstateDir: s\nupstream: {url: 'mqtt://127.0.0.1:1883'}\n${broker}\n`;

function mistakes(broker: string): readonly string[] {
  const read = parseConfig(around(broker), "/");
  return read.ok ? [] : read.fault.mistakes.map(formatMistake);
}

describe("where the broker listens", () => {
  it("[B11] loopback needs nothing, anything else needs certificates, and TLS on loopback may be", () => {
    for (const sound of [
      "broker: {listen: 127.0.0.1}",
      "broker: {listen: '::1'}",
      "broker: {listen: 0.0.0.0, tls: {names: [gateway.local, 10.0.0.5, 'fd00::5']}}",
      "broker: {tls: {names: [localhost], certificateDays: 30}}",
      "broker: {connects: {perSecond: 10}}",
    ]) {
      expect(mistakes(sound), sound).toEqual([]);
    }
    for (const open of ["0.0.0.0", "'::'", "10.0.0.5", "'::ffff:127.0.0.1'"]) {
      expect(mistakes(`broker: {listen: ${open}}`), open).toEqual([
        expect.stringMatching(/^5:18 broker\.listen: expected a loopback address such as 127\.0\.0\.1, or broker\.tls/),
      ]);
    }
  });

  it("[B11] names are host names or addresses, and at least one", () => {
    expect(mistakes("broker: {listen: gateway.local}")).toEqual([
      expect.stringMatching(/^5:18 broker\.listen: expected an address of this machine/),
    ]);
    expect(mistakes("broker: {tls: {names: []}}")).toHaveLength(1);
    for (const bad of ["'*.local'", "'a b'", "-x", "'x,DNS:y'", "Gateway"]) {
      expect(mistakes(`broker: {tls: {names: [${bad}]}}`), bad).toHaveLength(1);
    }
    expect(mistakes("broker: {tls: {names: [a], certificateDays: 0}}")).toHaveLength(1);
  });
});
