/** The options of `doorlink-emulator cloud`, read all at once so that every mistake is named. */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { isPublicUrl } from "./stickers.ts";

export interface CloudSettings {
  readonly httpPort: number;
  readonly mqttPort: number;
  /** Undefined: `http://127.0.0.1` at the HTTP port. */
  readonly publicUrl: string | undefined;
  readonly stateDirectory: string;
  readonly seed: number;
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
  if (mistakes.length > 0) return failed({ code: "bad-options", mistakes });
  return ok({ httpPort, mqttPort, publicUrl, stateDirectory, seed: Number(seedText) });
}
