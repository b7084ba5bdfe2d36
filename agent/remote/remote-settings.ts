/**
 * Settings that the authority gives this gateway from afar: a closed list, with a version of their own.
 *
 * The rule: what the authority sets stands above the file's value, for as long as its latest version names it; what it does not name is the
 * file's. The file may refuse all of it (`remote.settings: false`). There is no way from here to a secret, an address, a port, a
 * path, to whose eyes the door log is for, or to this very permission. What is unknown, not on the list or out of its range is refused
 * by name; the rest of the same version is taken. SPEC M27-M29.
 */
import { z } from "zod";
import type { DeviceId } from "../../protocol/base/units.ts";
import {
  type GatewaySettings,
  gatewaySettingsSchema,
  type SettingsReport,
} from "../../protocol/wire/messages/gateway-settings.ts";
import type { Log } from "../ports/log.ts";
import type { Store } from "../ports/store.ts";
import type { Settings, SettingsOverlay } from "../settings.ts";
import { readDocumentBody } from "../store/document-body.ts";

/** By the name in the configuration, with what is taken from afar; never wider than the file's own limits. */
export const settingsFromAfar = {
  "health.intervalSeconds": z.int().min(5).max(3_600),
  "store.retentionDays": z.int().min(1).max(3_660),
  "log.level": z.enum(["error", "warn", "info", "debug"]),
  "sync.automatic": z.boolean(),
  "upstream.backlogEventsPerSecond": z.int().min(1).max(1_000_000),
} as const satisfies Readonly<Record<string, z.ZodType>>;

type SettingFromAfar = keyof typeof settingsFromAfar;

interface Sorted {
  readonly taken: readonly (readonly [SettingFromAfar, unknown])[];
  readonly refused: SettingsReport["refused"];
}

/** What the authority wanted when the agent last ran; undefined: it never said. */
export async function loadRemoteSettings(
  store: Pick<Store, "readDocuments">,
  gateway: DeviceId,
): Promise<GatewaySettings | undefined> {
  const document = (await store.readDocuments("settings")).find(({ device }) => device === gateway);
  return document === undefined ? undefined : readDocumentBody(gatewaySettingsSchema, document);
}

/** As the agent's settings take it; empty where the file takes nothing from afar. */
export function overlayOf(held: GatewaySettings | undefined, allowed: boolean): SettingsOverlay {
  let overlay: Record<string, Record<string, unknown>> = {};
  for (const [name, value] of allowed ? sort(held?.settings ?? [], () => true).taken : []) {
    const [section = "", key = ""] = name.split(".");
    overlay = { ...overlay, [section]: { ...overlay[section], [key]: value } };
  }
  // Each value was read by the schema of its name, and a test holds the names to the configuration.
  return overlay as SettingsOverlay;
}

export interface RemoteSettingsOptions {
  readonly gateway: DeviceId;
  readonly store: Pick<Store, "putDocuments">;
  readonly log: Log;
  readonly settings: Settings;
  readonly held: GatewaySettings | undefined;
}

export class RemoteSettings {
  readonly #options: RemoteSettingsOptions;
  #held: GatewaySettings | undefined;

  constructor(options: RemoteSettingsOptions) {
    this.#options = options;
    this.#held = options.held;
    // The file may have changed its mind about what is taken from afar.
    options.settings.watch("remote", () => {
      options.settings.useOverlay(this.#overlay());
    });
  }

  /** The authority's word, in force and on disk when this is fulfilled. False: not above the version that was taken last. */
  async take(wanted: GatewaySettings): Promise<boolean> {
    const { store, gateway, settings, log } = this.#options;
    if (this.#held !== undefined && wanted.version <= this.#held.version) return false;
    this.#held = wanted;
    await store.putDocuments([{ kind: "settings", device: gateway, body: JSON.stringify(wanted) }]);
    const { applied, waiting } = settings.useOverlay(this.#overlay());
    const refused = (this.report()?.refused ?? []).map(({ setting, reason }) => `${setting}: ${reason}`);
    const listed = (names: readonly string[]): string => (names.length === 0 ? "nothing" : names.join(", "));
    log.info(
      { version: wanted.version, applied: listed(applied), waiting: listed(waiting), refused: listed(refused) },
      "took settings from afar",
    );
    return true;
  }

  /** Undefined: the authority has never said any. */
  report(): SettingsReport | undefined {
    const { settings } = this.#options;
    const held = this.#held;
    if (held === undefined) return undefined;
    const { taken, refused } = this.#sorted(held);
    const waiting = settings.waiting();
    return {
      version: held.version,
      applied: taken.map(([name]) => name).filter((name) => !waiting.includes(name)),
      waiting: taken.map(([name]) => name).filter((name) => waiting.includes(name)),
      refused: [...refused],
    };
  }

  #overlay(): SettingsOverlay {
    return overlayOf(this.#held, this.#options.settings.current().remote.settings);
  }

  #sorted(held: GatewaySettings): Sorted {
    const current = this.#options.settings.current();
    if (current.remote.settings) return sort(held.settings, (name) => isSetting(current, name));
    const refused = held.settings.map(({ setting }) => ({ setting, reason: "not-allowed-here" as const }));
    return { taken: [], refused };
  }
}

/** `exists`: the configuration has such a setting. */
function sort(wanted: GatewaySettings["settings"], exists: (name: string) => boolean): Sorted {
  const taken: [SettingFromAfar, unknown][] = [];
  const refused: SettingsReport["refused"] = [];
  for (const { setting, value } of wanted) {
    const name = isFromAfar(setting) ? setting : undefined;
    if (name === undefined) refused.push({ setting, reason: exists(setting) ? "not-from-afar" : "unknown-setting" });
    else if (settingsFromAfar[name].safeParse(value).success) taken.push([name, value]);
    else refused.push({ setting, reason: "bad-value" });
  }
  return { taken, refused };
}

function isFromAfar(name: string): name is SettingFromAfar {
  return Object.hasOwn(settingsFromAfar, name);
}

function isSetting(config: object, name: string): boolean {
  let value: unknown = config;
  for (const step of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return false;
    value = Reflect.get(value, step);
  }
  return true;
}
