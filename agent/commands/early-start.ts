/**
 * What of the agent's start can be under way while the rest of its program is still being loaded: the configuration is read, and the store's
 * thread opens the database on another core.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../protocol/base/result.ts";
import { type Config, type ConfigFault, loadConfig } from "../config.ts";
import { type Store, StoreError } from "../ports/store.ts";
import { openSqliteStore, type SqliteStoreOptions, startStoreThread } from "../store/sqlite-store.ts";
import { spaceLimitsOf } from "../store/store-config.ts";

type OnSetAside = NonNullable<SqliteStoreOptions["onSetAside"]>;

export interface EarlyStart {
  readonly config: Result<Config, ConfigFault>;
  /** The store that is being opened. Both are heard of whatever happened since. Throws StoreError: unavailable, too-new. */
  openStore(onFailure: (error: unknown) => void, onSetAside: OnSetAside): Promise<Store>;
  /** The agent does not run after all. */
  abandon(): Promise<void>;
}

export async function startEarly(configPath: string): Promise<EarlyStart> {
  startStoreThread();
  const config = await loadConfig(configPath);
  const failures = heard<unknown>();
  const setAsides = heard<Parameters<OnSetAside>[0]>();
  const opening = config.ok ? open(config.value, failures.say, setAsides.say) : undefined;
  // Whoever asks for the store is told why there is none; nobody may ask.
  opening?.catch(() => undefined);
  return {
    config,
    openStore: async (onFailure, onSetAside) => {
      if (opening === undefined) throw new StoreError("unavailable", "there is no configuration to open it by");
      failures.listen(onFailure);
      setAsides.listen(onSetAside);
      return opening;
    },
    abandon: async () => {
      const store = await opening?.catch(() => undefined);
      await store?.close();
    },
  };
}

async function open(
  { stateDir, store }: Config,
  onFailure: (error: unknown) => void,
  onSetAside: OnSetAside,
): Promise<Store> {
  // Who lives here and when they come home is in the state directory: nobody else on this machine reads it.
  process.umask(0o077);
  try {
    // In one go: what was begun has to be begun before the rest of the program is loaded.
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StoreError("unavailable", `cannot make the state directory ${stateDir}`, { cause });
  }
  return openSqliteStore(join(stateDir, "agent.db"), onFailure, { ...spaceLimitsOf(store), onSetAside });
}

/** Keeps what is said until somebody listens. */
function heard<Said>(): {
  readonly say: (said: Said) => void;
  readonly listen: (listener: (said: Said) => void) => void;
} {
  let listener: ((said: Said) => void) | undefined;
  const waiting: Said[] = [];
  return {
    say: (said) => {
      if (listener === undefined) waiting.push(said);
      else listener(said);
    },
    listen: (heardBy) => {
      listener = heardBy;
      for (const said of waiting.splice(0)) heardBy(said);
    },
  };
}
