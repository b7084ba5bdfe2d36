/** Any configuration file: the settings, or every mistake with its line. Never a throw, and never a secret in a mistake. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../agent/config.ts";
import { formatMistake } from "../../protocol/site/document.ts";
import { almostText, fuzzRuns, fuzzTimeout } from "../protocol/fuzz.ts";

const sound = `site: maple-court
gateway: gateway-main
stateDir: state
broker: {port: 8704}
http: {port: 8703}
upstream:
  url: mqtts://cloud:8883
  username: gateway-main
  passwordFile: pw
  reconnect: {firstMs: 100, capMs: 60000}
bluetooth: {adapter: hci0}
sync: {automatic: true}
health: {intervalSeconds: 60}
log: {level: info}
`;
const odd = [
  sound,
  "",
  "[]",
  "site: &a [*a, *a]\n",
  "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
  "? {site: x}\n: y\n",
  "!!binary aGk=\n",
  "--- 1\n--- 2\n",
  "<<: {site: maple-court}\n",
  "site: maple-court\nsite: other\n",
  `${"a: {".repeat(60)}${"}".repeat(60)}`,
];

describe("any configuration file", () => {
  it(
    "gives settings or mistakes that name their line",
    () => {
      let read = 0;
      fc.assert(
        fc.property(almostText(odd, " \t:-{}[]&*!?|>'\"#%,~0a"), (text) => {
          const config = parseConfig(text, "/etc/doorlink");
          if (config.ok) {
            read += 1;
            return;
          }
          expect(config.fault.mistakes.length).toBeGreaterThan(0);
          for (const mistake of config.fault.mistakes) expect(formatMistake(mistake)).toMatch(/^\d+:\d+ /);
        }),
        { ...fuzzRuns(1_500), examples: [[sound]] },
      );
      expect(read).toBeGreaterThan(0);
    },
    fuzzTimeout.timeout,
  );
});
