/**
 * What the authority may do with this gateway itself, put together: commands, settings, erasures. The gateway's loop lends it what it
 * works with and calls it at the right moments.
 */
import { randomBytes } from "node:crypto";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { GatewayAnswer } from "../../protocol/wire/messages/gateway-command.ts";
import type { GatewaySettings } from "../../protocol/wire/messages/gateway-settings.ts";
import type { ExposureReport } from "../../protocol/wire/messages/reported.ts";
import type { Topic } from "../../protocol/wire/topics.ts";
import { type DeviceTable, secondsOf } from "../devices.ts";
import { type ErasureDone, Erasures } from "../log/erasures.ts";
import type { Boot } from "../ports/boot.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Store } from "../ports/store.ts";
import type { SyncAnswer } from "../sync/visits.ts";
import { type Begin, GatewayCommands } from "./gateway-commands.ts";
import { performOrder } from "./perform-order.ts";
import type { RemoteSettings } from "./remote-settings.ts";

/** What the composition root gives; all of it may be absent, as in tests of the loop. */
export interface RemoteOptions {
  readonly boot?: Boot;
  readonly settings?: RemoteSettings;
  readonly commandsAllowed?: () => boolean;
  /** Reads the configuration's file again. */
  readonly reload?: () => Promise<NonNullable<GatewayAnswer["reloaded"]>>;
}

/** What the gateway's loop lends. */
export interface RemoteHost {
  readonly site: string;
  readonly gateway: DeviceId;
  readonly store: Store;
  readonly table: DeviceTable;
  readonly clock: Clock;
  readonly log: Log;
  readonly tell: (topic: Topic, payload: string) => boolean;
  readonly sync: (device: DeviceId, begin: Begin) => Promise<SyncAnswer>;
  readonly diagnose: () => Promise<NonNullable<GatewayAnswer["diagnosis"]>>;
  /** What is announced of the gateway has changed, or a person is gone from what it says. */
  readonly onChanged: () => void;
  readonly onStoreError: (error: unknown) => void;
}

export class Remote {
  readonly boot: Boot;
  readonly #options: RemoteOptions;
  readonly #host: RemoteHost;
  readonly #commands: GatewayCommands;
  readonly #erasures: Erasures;
  #tookSettings: Promise<void> = Promise.resolve();

  constructor(options: RemoteOptions, host: RemoteHost) {
    const { site, gateway, store, table, clock, log, tell, onStoreError } = host;
    this.#options = options;
    this.#host = host;
    this.boot = options.boot ?? {
      id: randomBytes(16).toString("hex"),
      uptimeMs: () => Math.floor(clock.monotonicMs()),
    };
    this.#erasures = new Erasures({
      gateway,
      store,
      nowMs: () => clock.nowMs(),
      after: (delayMs, action) => clock.after(delayMs, action),
      onStoreError,
      retake: async (device, payload) => {
        await table.takeDesired(device, payload, clock.nowMs());
      },
    });
    table.redact = (payload) => this.#erasures.redact(payload);
    this.#commands = new GatewayCommands({
      site,
      gateway,
      boot: this.boot,
      store,
      clock,
      log,
      allowed: options.commandsAllowed ?? (() => true),
      tell,
      perform: (order, begin) =>
        performOrder(order, begin, {
          sync: host.sync,
          erasePerson: (person, credentials) => this.erasePerson(person, credentials),
          reload: options.reload,
          diagnose: host.diagnose,
        }),
      onStoreError,
    });
  }

  /** Before anything else is read: what was erased must not come back out of the store. */
  async load(): Promise<void> {
    await this.#erasures.load();
    await this.#commands.load();
  }

  command(payload: Uint8Array): void {
    this.#commands.take(payload);
  }

  linked(): void {
    this.#commands.linked();
  }

  /** The authority's settings, one version after the other. */
  takeSettings(wanted: GatewaySettings | null | undefined): Promise<void> {
    const { settings } = this.#options;
    if (settings === undefined || wanted === null || wanted === undefined) return Promise.resolve();
    this.#tookSettings = this.#tookSettings.then(async () => {
      if (await settings.take(wanted)) this.#host.onChanged();
    });
    return this.#tookSettings;
  }

  noteEvents(events: Parameters<Erasures["noteEvents"]>[0]): Promise<void> {
    return this.#erasures.noteEvents(events);
  }

  isErased(person: string): boolean {
    return this.#erasures.isErased(person);
  }

  /** `credentials`: theirs, as far as is known; those that stand beside the person in the log are found. */
  async erasePerson(person: string, credentials: readonly string[] = []): Promise<ErasureDone> {
    const done = await this.#erasures.erase(person, credentials);
    const { events, waiting, signed } = done;
    // Not who: a log is no place for the name either.
    this.#host.log.info({ events, waiting, signed }, "erased a person");
    this.#host.onChanged();
    return done;
  }

  /** For `reported`. */
  report(): Pick<ExposureReport, "settings" | "erasures"> {
    const settings = this.#options.settings?.report();
    const { people, lastAtMs } = this.#erasures.status();
    return {
      ...(settings === undefined ? {} : { settings }),
      ...(lastAtMs === null ? {} : { erasures: { people, lastAt: secondsOf(lastAtMs) } }),
    };
  }
}
