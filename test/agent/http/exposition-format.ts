/**
 * A reader of Prometheus' text exposition format 0.0.4 that takes nothing the format does not allow. Source:
 * prometheus.io/docs/instrumenting/exposition_formats, "Text-based format". The whole format was also held against `promtool check metrics`.
 */
export interface Scrape {
  /** `name{labels}` as it stands in the text. */
  readonly samples: ReadonlyMap<string, number>;
  readonly typeByName: ReadonlyMap<string, string>;
}

/** Throws an Error that names the line and what is wrong with it. */
export function readExposition(text: string): Scrape {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const samples = new Map<string, number>();
  const typeByName = new Map<string, string>();
  const helped = new Set<string>();
  const finished = new Set<string>();
  let current = "";
  const group = (name: string, line: string): void => {
    if (name === current) return;
    // All lines of one metric stand together.
    if (finished.has(name)) throw new Error(`a second group of ${name}: ${line}`);
    finished.add(current);
    current = name;
  };
  for (const line of text.split("\n").slice(0, -1)) {
    if (line === "") continue;
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\\n]|\\\\|\\n)*)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (help?.[1] !== undefined) {
      if (helped.has(help[1])) throw new Error(`a second HELP: ${line}`);
      helped.add(help[1]);
      group(help[1], line);
    } else if (type?.[1] !== undefined && type[2] !== undefined) {
      if (typeByName.has(type[1])) throw new Error(`a second TYPE: ${line}`);
      typeByName.set(type[1], type[2]);
      group(type[1], line);
    } else if (line.startsWith("#")) throw new Error(`a comment that is neither HELP nor TYPE: ${line}`);
    else {
      const { series, name, value } = readSample(line);
      if (samples.has(series)) throw new Error(`a second sample: ${line}`);
      if (!typeByName.has(name)) throw new Error(`a sample before its TYPE: ${line}`);
      group(name, line);
      samples.set(series, value);
    }
  }
  return { samples, typeByName };
}

function readSample(line: string): { readonly series: string; readonly name: string; readonly value: number } {
  const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\\\\\|\\\\"|\\\\n)*"';
  const sample = new RegExp(
    `^(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(${label}(?:,${label})*)?,?\\})?) ([-+]?[0-9.eE+-]+|NaN|[-+]Inf)(?: -?[0-9]+)?$`,
  ).exec(line);
  const [, series, name, labels = "", value] = sample ?? [];
  if (series === undefined || name === undefined || value === undefined) throw new Error(`no sample: ${line}`);
  const names = [...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\\n]|\\.)*"/g)].map((match) => match[1]);
  // The format keeps these for summaries and histograms; promtool complains of them elsewhere.
  if (names.includes("quantile") || names.includes("le")) throw new Error(`a label that is kept for others: ${line}`);
  if (new Set(names).size !== names.length) throw new Error(`a label twice: ${line}`);
  const read = value === "NaN" ? Number.NaN : Number(value.replace("Inf", "Infinity"));
  if (Number.isNaN(read) && value !== "NaN") throw new Error(`no number: ${line}`);
  return { series, name, value: read };
}
