/**
 * The configuration read again while the agent runs. A file with mistakes changes nothing and is said; of one without, what can take
 * effect does, and what waits for a restart is named. Devices stay connected. SPEC G50-G52.
 */
import type { UnixMs } from "../protocol/base/units.ts";
import { type Config, type ConfigFault, loadConfig } from "./config.ts";
import { describeConfigFault } from "./config-text.ts";
import type { Log } from "./ports/log.ts";
import { digestSecrets, secretFilesOf } from "./secret-files.ts";
import type { Settings } from "./settings.ts";

export interface ReloadOptions {
  readonly configPath: string;
  readonly settings: Settings;
  readonly log: Log;
  readonly nowMs: () => UnixMs;
  /** A secret that the upstream link goes by is another than before, in a file of the same name. */
  readonly onSecretsChanged: () => void;
}

export interface ReloadStatus {
  /** When the file was last read without mistakes; null: only at the start. */
  readonly reloadedAtMs: UnixMs | null;
  /** What is wrong with the file as it is now, a line each; empty: nothing was the last time it was read. */
  readonly mistakes: readonly string[];
  readonly mistakesAtMs: UnixMs | null;
  /** Settings that wait for a restart. */
  readonly waiting: readonly string[];
}

export class Reload {
  readonly #options: ReloadOptions;
  #reloadedAtMs: UnixMs | null = null;
  #mistakesAtMs: UnixMs | null = null;
  #mistakes: readonly string[] = [];
  #secrets: string;
  #running: Promise<void> = Promise.resolve();

  private constructor(options: ReloadOptions, secrets: string) {
    this.#options = options;
    this.#secrets = secrets;
  }

  /** Notes what the secrets are now, so that a change of one is seen. */
  static async create(options: ReloadOptions): Promise<Reload> {
    return new Reload(options, await digestSecrets(secretFilesOf(options.settings.current())));
  }

  /** Reads the file again, after whatever reading is under way. Never throws. */
  reload(): Promise<void> {
    this.#running = this.#running.then(() => this.#read());
    return this.#running;
  }

  status(): ReloadStatus {
    return {
      reloadedAtMs: this.#reloadedAtMs,
      mistakes: this.#mistakes,
      mistakesAtMs: this.#mistakesAtMs,
      waiting: this.#options.settings.waiting(),
    };
  }

  async #read(): Promise<void> {
    const { configPath, log, nowMs } = this.#options;
    const read = await loadConfig(configPath, { needsSecrets: true });
    if (!read.ok) {
      this.#refuse(read.fault);
      return;
    }
    this.#mistakes = [];
    this.#mistakesAtMs = null;
    this.#reloadedAtMs = nowMs();
    const applied = await this.#apply(read.value);
    const waiting = this.#options.settings.waiting();
    log.info({ applied: listed(applied), waitsForRestart: listed(waiting) }, "read the configuration again");
  }

  async #apply(config: Config): Promise<readonly string[]> {
    const { settings, onSecretsChanged } = this.#options;
    const { applied } = settings.useFile(config);
    const secrets = await digestSecrets(secretFilesOf(settings.current()));
    // Another file was a change of settings, and who watches them has seen to it.
    const isOther = secrets !== this.#secrets && !applied.some((path) => path.startsWith("upstream."));
    this.#secrets = secrets;
    if (!isOther) return applied;
    onSecretsChanged();
    return [...applied, "the contents of a secret's file"];
  }

  #refuse(fault: ConfigFault): void {
    const { configPath, log, nowMs } = this.#options;
    const lines = describeConfigFault(configPath, fault).trimEnd().split("\n");
    this.#mistakes = lines.slice(0, SHOWN_LINES).map((line) => line.trim());
    this.#mistakesAtMs = nowMs();
    for (const line of this.#mistakes)
      log.error({ mistake: line }, "the configuration is not taken; the one before stands");
  }
}

function listed(paths: readonly string[]): string {
  return paths.length === 0 ? "nothing" : paths.join(", ");
}

/** More than these say nothing new; `doorlink check-config` says them all. */
const SHOWN_LINES = 20;
