/** The options of `doorlink-emulator cloud`, read all at once so that every mistake is named. */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { VISIT_LEASE_SECONDS_MAX, VISIT_LEASE_SECONDS_MIN } from "../../protocol/wire/messages/desired.ts";
import type { ExternalUpstreamSettings } from "./external-upstream.ts";
import { isPublicUrl } from "./stickers.ts";
import { VISIT_LEASE_SECONDS } from "./visit-leases.ts";

export interface CloudSettings {
  readonly httpPort: number;
  readonly mqttPort: number;
  /** Undefined: `http://127.0.0.1` at the HTTP port. */
  readonly publicUrl: string | undefined;
  readonly stateDirectory: string;
  readonly seed: number;
  /** Undefined: a broker of this process, at `mqttPort`. */
  readonly externalBroker: ExternalUpstreamSettings | undefined;
  readonly visitLeaseSeconds: number;
}

export type SettingsFault = { readonly code: "bad-options"; readonly mistakes: readonly string[] };

/** Reads the options as they were typed. Fault: bad-options, each with what was expected and what came. */
export function readCloudSettings(
  options: Readonly<Record<string, string | undefined>>,
): Result<CloudSettings, SettingsFault> {
  const mistakes: string[] = [];
  const readPort = (name: string, text: string): number => {
    const isPort = /^[0-9]{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
    if (!isPort) mistakes.push(`${name}: expected a port 1-65535, came ${JSON.stringify(text)}`);
    return Number(text);
  };
  const httpPort = readPort("--http-port", options["httpPort"] ?? "");
  const mqttPort = readPort("--mqtt-port", options["mqttPort"] ?? "");
  if (httpPort === mqttPort) mistakes.push("--mqtt-port: expected another port than --http-port");
  const publicUrl = options["publicUrl"]?.replace(/\/$/, "");
  if (publicUrl !== undefined && !isPublicUrl(publicUrl)) {
    mistakes.push(
      `--public-url: expected https://host or http://host:port without a path, came ${JSON.stringify(publicUrl)}`,
    );
  }
  const seedText = options["seed"] ?? "";
  if (!/^-?[0-9]{1,15}$/.test(seedText)) {
    mistakes.push(`--seed: expected a whole number of at most 15 digits, came ${JSON.stringify(seedText)}`);
  }
  const stateDirectory = options["state"] ?? "";
  if (stateDirectory === "") mistakes.push("--state: expected a folder, came nothing");
  const externalBroker = readBroker(options, mistakes);
  const visitLeaseSeconds = readLease(options["visitLease"], mistakes);
  if (mistakes.length > 0) return failed({ code: "bad-options", mistakes });
  return ok({
    httpPort,
    mqttPort,
    publicUrl,
    stateDirectory,
    seed: Number(seedText),
    externalBroker,
    visitLeaseSeconds,
  });
}

function readBroker(
  options: Readonly<Record<string, string | undefined>>,
  mistakes: string[],
): ExternalUpstreamSettings | undefined {
  const { brokerUrl, brokerUser: username, brokerPasswordFile: passwordFile, brokerCa: caFile } = options;
  if (brokerUrl === undefined) return undefined;
  const urls = brokerUrl.split(",");
  const wrong = urls.find((text) => !isBrokerUrl(text));
  if (wrong !== undefined) {
    // Somebody who wrote a password into it must not find it on the screen as well.
    const came = wrong.includes("@") ? "something with an @ in it" : JSON.stringify(wrong);
    mistakes.push(
      `--broker-url: expected URLs such as mqtts://host:8883 with commas between, without a user, came ${came}`,
    );
  }
  return { urls, username, passwordFile, caFile };
}

function isBrokerUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "" || url.hostname === "") return false;
  return url.protocol === "mqtts:" || url.protocol === "mqtt:";
}

function readLease(text: string | undefined, mistakes: string[]): number {
  if (text === undefined) return VISIT_LEASE_SECONDS;
  const seconds = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds >= VISIT_LEASE_SECONDS_MIN && seconds <= VISIT_LEASE_SECONDS_MAX)) {
    const expected = `${VISIT_LEASE_SECONDS_MIN} to ${VISIT_LEASE_SECONDS_MAX} seconds`;
    mistakes.push(`--visit-lease: expected ${expected}, came ${JSON.stringify(text)}`);
  }
  return seconds;
}
