/**
 * What the agent goes by while it runs: the file's settings, with the authority's word above them where that is allowed. A setting is
 * live when somebody watches it: a change of it takes effect at once. A change of any other waits for a restart: until then what the
 * agent started with stands, and the setting is named here. SPEC G50, G51.
 *
 * To make a setting live, watch it where it takes effect, or read it from `current()` each time it is needed and watch it with
 * an `apply` that has nothing to do.
 */
import type { Config } from "./config.ts";

/** `log.level`, `upstream.reconnect.capMs`; a section's own name stands for all that is in it. */
export type SettingPath = PathOf<Config>;

type PathOf<Value> = Value extends readonly unknown[] | Leaf
  ? never
  : {
      [Key in keyof Value & string]: Key | `${Key}.${PathOf<NonNullable<Value[Key]>>}`;
    }[keyof Value & string];
type Leaf = string | number | boolean | null | undefined;

/** Some settings, as deep as they are said; what is absent is not touched. */
export type SettingsOverlay = PartOf<Config>;

type PartOf<Value> = Value extends readonly unknown[] | Leaf
  ? Value
  : { readonly [Key in keyof Value]?: PartOf<Value[Key]> | undefined };

export interface SettingsChange {
  /** What is another now than it was, and in effect. */
  readonly applied: readonly string[];
  /** All that is wanted and not in effect before the next start, this change's and earlier ones'. */
  readonly waiting: readonly string[];
}

interface Watcher {
  readonly path: string;
  readonly apply: (now: Config) => void;
}

export class Settings {
  readonly #watchers: Watcher[] = [];
  #file: Config;
  #overlay: SettingsOverlay;
  #current: Config;

  /** `overlay`: what the authority wanted when the agent last ran; all of it is in effect, as all of the file is. */
  constructor(file: Config, overlay: SettingsOverlay = {}) {
    this.#file = file;
    this.#overlay = overlay;
    this.#current = this.#wanted();
  }

  /** What is in effect now. Ask each time: the answer is another object after a change. */
  current(): Config {
    return this.#current;
  }

  /** Calls `apply` after each change at or below `path`, when `current()` says it already. It may not throw. */
  watch(path: SettingPath, apply: (now: Config) => void): void {
    this.#watchers.push({ path, apply });
  }

  /** The file was read again and is without mistakes. */
  useFile(file: Config): SettingsChange {
    this.#file = file;
    return this.#apply();
  }

  /** What the authority wants now; it replaces what it wanted before. */
  useOverlay(overlay: SettingsOverlay): SettingsChange {
    this.#overlay = overlay;
    return this.#apply();
  }

  /** Settings that are wanted and take effect at the next start. */
  waiting(): readonly string[] {
    return changedPaths(this.#current, this.#wanted());
  }

  #apply(): SettingsChange {
    const wanted = this.#wanted();
    const isLive = (changed: string): boolean => this.#watchers.some(({ path }) => isAtOrBelow(changed, path));
    const applied = changedPaths(this.#current, wanted).filter(isLive);
    let next: Config = this.#current;
    for (const path of applied) next = withValue(next, path.split("."), valueAtPath(wanted, path.split(".")));
    this.#current = next;
    for (const { path, apply } of this.#watchers) {
      if (applied.some((changed) => isAtOrBelow(changed, path))) apply(next);
    }
    return { applied, waiting: this.waiting() };
  }

  #wanted(): Config {
    return merged(this.#file, this.#overlay);
  }
}

/** The leaves in which two settings differ, in the order of their names. */
function changedPaths(before: unknown, after: unknown, above = ""): readonly string[] {
  if (!isSection(before) && !isSection(after)) return isSame(before, after) ? [] : [above];
  const [left, right] = [isSection(before) ? before : {}, isSection(after) ? after : {}];
  const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
  return keys.flatMap((key) => changedPaths(left[key], right[key], above === "" ? key : `${above}.${key}`));
}

function isSame(left: unknown, right: unknown): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

function isAtOrBelow(path: string, section: string): boolean {
  return path === section || path.startsWith(`${section}.`);
}

type Section = Readonly<Record<string, unknown>>;

/** A list is one setting: it is never changed in part. */
function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function valueAtPath(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const step of path) value = isSection(value) ? value[step] : undefined;
  return value;
}

function withValue<Root>(root: Root, [step, ...rest]: readonly string[], value: unknown): Root {
  if (step === undefined) return value as Root;
  const section: Section = isSection(root) ? root : {};
  const { [step]: before, ...others } = section;
  const after = withValue(before, rest, value);
  // An optional setting that is taken away leaves no empty place: a place that is there and undefined is another thing.
  return (after === undefined ? others : { ...section, [step]: after }) as Root;
}

function merged<Base>(base: Base, over: unknown): Base {
  if (over === undefined) return base;
  if (!isSection(base) || !isSection(over)) return over as Base;
  const sums = Object.keys(over).map((key) => [key, merged(base[key], over[key])] as const);
  return { ...base, ...Object.fromEntries(sums) };
}
