/**
 * The whole of `doorlink` as one file, `doorlink.cjs`: it runs under plain Node in an empty folder. What npm would resolve is resolved
 * here: node-ble gets the kept fork of its D-Bus library, so that nobody needs npm's `overrides`; the store's thread travels inside
 * as a text; sharp, which is machine code, stays outside and is looked for when a picture is to be read.
 *
 * Every module is wrapped in a function of its own, as CommonJS is, and runs when it is first needed. esbuild by itself would put the
 * functions of all modules side by side in one scope, and V8 makes something of each at the start: 15 MB for 4 MB of text.
 * The same sources give the same bytes.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Metafile, type Plugin, type PluginBuild, transform } from "esbuild";

const checkout = fileURLToPath(new URL("../..", import.meta.url));

export interface Bundled {
  readonly bytes: number;
  /** Whose code is in it, `name version`, sorted. */
  readonly packages: readonly string[];
  /** By package, or by room of this house: how much of the file is theirs; the largest first. */
  readonly bytesByOrigin: ReadonlyMap<string, number>;
}

/** Writes `doorlink.cjs` and `doorlink.THIRD-PARTY.txt` into `folder`. */
export async function bundleAgent(folder: string): Promise<Bundled> {
  const metafile = await bundle(agentEntry, join(folder, "doorlink.cjs"));
  const packages = packagesOf(metafile);
  writeFileSync(join(folder, "doorlink.THIRD-PARTY.txt"), licenceNotes(packages));
  const [output] = Object.values(metafile.outputs);
  return {
    bytes: output?.bytes ?? 0,
    packages: packages.map(({ name, version }) => `${name} ${version}`),
    bytesByOrigin: bytesByOrigin(metafile),
  };
}

/** Bundles any program by the same rules as the agent; what it requires is found from this checkout, as an import would find it. */
export async function bundle(program: string, outfile: string): Promise<Metafile> {
  const { metafile, warnings } = await build({
    ...rules,
    stdin: { contents: program, resolveDir: checkout, sourcefile: ENTRY, loader: "js" },
    outfile,
    metafile: true,
    banner: { js: banner() },
  });
  const broken = warnings.filter(({ id }) => brokenLinks.has(id));
  if (broken.length > 0) throw new Error(`the bundle would not run: ${broken[0]?.text}, ${broken[0]?.location?.file}`);
  // One letter beyond Latin-1, as esbuild leaves them in regular expressions, and V8 keeps the whole text at two bytes a letter.
  const text = readFileSync(outfile, "utf8");
  writeFileSync(
    outfile,
    text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
  return metafile;
}

/** esbuild only warns of them. */
const brokenLinks = new Set(["import-is-undefined", "commonjs-variable-in-esm", "call-import-namespace"]);

const agentEntry = `
const { runCommandLine } = require("./agent/main.ts");
runCommandLine(process.argv.slice(2)).then(
  (exitCode) => { process.exitCode = exitCode; },
  (fault) => {
    process.stderr.write(String((fault && fault.stack) || fault) + "\\n");
    process.exit(3);
  },
);`;

/** A Node that is too old can read as far as this, and says so; scripts/install-gateway reads the version here. */
const banner = (): string =>
  [
    "#!/usr/bin/env node",
    `/* doorlink ${manifestOf(checkout).version}, Apache-2.0. The packages in it and their licences: doorlink.THIRD-PARTY.txt */`,
    "if(parseInt(process.versions.node,10)<24){",
    'process.stderr.write("doorlink: this is Node "+process.versions.node+", but doorlink needs Node 24 or newer: install it (nodejs.org)\\n");',
    "process.exit(3)}",
    // Node warns of what packages do wherever they are not in node_modules; nobody who reads it could mend it.
    "process.noDeprecation=true;",
    'const doorlinkUrl=require("node:url").pathToFileURL(__filename).href;',
    "const doorlinkRequire=require;",
    helpers,
  ].join("\n");

const houseModules: Plugin = {
  name: "house modules",
  setup: (made) => {
    made.onResolve({ filter: /./ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (pluginData === ASKED || kind === "entry-point" || path === "sharp") return undefined;
      // What was an import finds what an import finds: some packages have nothing for `require`, others something older.
      const asked = kind === "require-call" && isModule(importer) ? "import-statement" : kind;
      const found = await made.resolve(path, { kind: asked, importer, resolveDir, pluginData: ASKED });
      // Optional packages that are not there are esbuild's to judge.
      if (found.errors.length > 0) return undefined;
      // By this name esbuild would take for a module what is wrapped by then.
      if (!found.path.endsWith(".mjs")) return found;
      return { ...found, namespace: "module", path: `${relative(checkout, found.path)}${WRAPPED}` };
    });
    made.onLoad({ filter: /.*/, namespace: "module" }, async ({ path: below }) => {
      const path = join(checkout, below.slice(0, -WRAPPED.length));
      return { contents: await wrapped(path, await sourceOf(path), made), loader: "js", resolveDir: dirname(path) };
    });
    made.onResolve({ filter: /^sharp$/ }, () => ({ path: "sharp", namespace: "outside" }));
    made.onLoad({ filter: /.*/, namespace: "outside" }, () => ({ contents: sharpOutside, loader: "js" }));
    made.onLoad({ filter: /\.(ts|js)$/, namespace: "file" }, async ({ path }) => {
      if (!isModule(path)) return undefined;
      return { contents: await wrapped(path, await sourceOf(path), made), loader: "js" };
    });
  },
};

const rules = {
  absWorkingDir: checkout,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node24",
  charset: "ascii",
  // Names stay: a stack in somebody's log is worth more than the last kilobytes.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "none",
  logLevel: "error",
  alias: { "dbus-next": "@jellybrick/dbus-next" },
  plugins: [houseModules],
} as const satisfies BuildOptions;

/** The module as a body of CommonJS, which esbuild wraps. */
async function wrapped(path: string, source: string, made: PluginBuild): Promise<string> {
  const { code } = await transform(source, {
    loader: path.endsWith(".ts") ? "ts" : "js",
    format: "cjs",
    // A default import of CommonJS is then the whole of it, as in Node.
    sourcefile: `${path}.mts`,
    target: rules.target,
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "doorlinkUrl" },
  });
  let text = code;
  for (const [whole, address = ""] of code.matchAll(importedFromCommonJs)) {
    const from = { importer: path, resolveDir: dirname(path), pluginData: ASKED };
    const found = await made.resolve(address, { kind: "import-statement", ...from });
    // Between two modules a default is what was exported by that name; and a copy for each importer would cost 30 ms and 3 MB.
    if (isModule(found.path)) text = text.replaceAll(whole, `require(${JSON.stringify(address)})`);
  }
  return withoutHelpers(text);
}

/** esbuild puts its helpers before each module; they stand once in the head of the file instead. */
function withoutHelpers(code: string): string {
  const end = /^var \w+_exports = \{\};$/m.exec(code)?.index ?? 0;
  const defined = [...code.slice(0, end).matchAll(/^var (\w+) =/gm)].map(([, name = ""]) => name);
  return defined.every((name) => helperNames.has(name)) ? code.slice(end) : code;
}
const helpers = `
var __create = Object.create, __defProp = Object.defineProperty, __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames, __getProtoOf = Object.getPrototypeOf, __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => { for (var name in all) __defProp(target, name, { get: all[name], enumerable: true }); };
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function")
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  return to;
};
var __reExport = (target, mod, secondTarget) => (__copyProps(target, mod, "default"), secondTarget && __copyProps(secondTarget, mod, "default"));
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target, mod));
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);
`;
const helperNames = new Set([...helpers.matchAll(/\b(__\w+) =/g)].map(([, name = ""]) => name));
const importedFromCommonJs = /__toESM\(require\("([^"]+)"\),\s*1\)/g;
const ASKED = "asked";
const WRAPPED = ".wrapped";
const ENTRY = "doorlink-entry";

/** By Node's rule: the name, or the manifest of the package. */
function isModule(path: string): boolean {
  if (path.endsWith(ENTRY)) return true;
  if (/\.(ts|mjs)$/.test(path) || path.endsWith(WRAPPED)) return true;
  if (!path.endsWith(".js")) return false;
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest)) return manifestOf(folder).type === "module";
  }
  return false;
}

/** What is not what it is in a checkout. */
async function sourceOf(path: string): Promise<string> {
  if (/[/\\]commands[/\\]package-version\.ts$/.test(path)) {
    return `export async function packageVersion() { return ${JSON.stringify(manifestOf(checkout).version)}; }`;
  }
  // Messages in 50 languages, of which none is ever asked for.
  if (/[/\\]zod[/\\]v4[/\\]locales[/\\]index\.js$/.test(path)) return `export { default as en } from "./en.js";`;
  const source = readFileSync(path, "utf8");
  const [whole, address = ""] = workerAddress.exec(source) ?? [];
  if (whole === undefined) return source;
  const text = JSON.stringify(await workerText(join(dirname(path), address)));
  return source.replace(whole, () => `new Worker(${text}, { eval: true, `);
}

/** The thread's own small bundle, which travels as a text, so that it loads nothing of the rest. */
async function workerText(entry: string): Promise<string> {
  const banner = { js: helpers };
  const { outputFiles } = await build({ ...rules, entryPoints: [entry], write: false, outdir: "worker", banner });
  return outputFiles[0]?.text ?? "";
}
const workerAddress = /new Worker\(new URL\(\s*["'](\.[^"']*-worker\.ts)["'],\s*import\.meta\.url\s*\),\s*\{/;

/** Found beside the file, or where Node finds packages from there; missed with the way out, and only by who needs it. */
const sharpOutside = `
let sharp;
try { sharp = doorlinkRequire("sharp"); } catch (cause) {
  if (cause.code !== "MODULE_NOT_FOUND") throw cause;
  process.stderr.write("doorlink: pictures need the package sharp, which is not beside this program: npm install --prefix " + JSON.stringify(__dirname) + " sharp\\n");
  process.exit(3);
}
module.exports = sharp;`;

interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly type: unknown;
}

function manifestOf(folder: string): PackageManifest {
  const read: Record<string, unknown> = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const { name, version, license: licence = "not stated", type } = read;
  return { name: String(name), version: String(version), licence: String(licence), type };
}

interface BundledPackage extends PackageManifest {
  readonly folder: string;
}

/** The packages whose files went in; `node_modules/a/node_modules/b/x.js` is b's. */
function packagesOf(metafile: Metafile): readonly BundledPackage[] {
  const folders = new Set(
    Object.keys(metafile.inputs).flatMap((path) => packageFolder.exec(withoutNamespace(path))?.[0] ?? []),
  );
  return [...folders]
    .map((folder) => ({ folder: join(checkout, folder), ...manifestOf(join(checkout, folder)) }))
    .sort((left, right) => (`${left.name} ${left.version}` < `${right.name} ${right.version}` ? -1 : 1));
}
const packageFolder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

function withoutNamespace(path: string): string {
  return path.replace(/^module:/, "");
}

function licenceNotes(packages: readonly BundledPackage[]): string {
  const head = "doorlink.cjs holds code of the packages below, each under its own licence.\n";
  const notes = packages.map(({ name, version, licence, folder }) => {
    const text = licenceText(folder) ?? "The package brings no text of its licence.";
    return `${"=".repeat(78)}\n${name} ${version}\nLicence: ${licence}\n\n${text.trimEnd()}\n`;
  });
  return [head, ...notes].join("\n");
}

function licenceText(folder: string): string | undefined {
  const name = readdirSync(folder)
    .sort()
    .find((file) => /^(licen[cs]e|copying)/i.test(file));
  return name === undefined ? undefined : readFileSync(join(folder, name), "utf8");
}

function bytesByOrigin({ outputs }: Metafile): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  const [output] = Object.values(outputs);
  for (const [path, { bytesInOutput }] of Object.entries(output?.inputs ?? {})) {
    const origin =
      packageFolder.exec(withoutNamespace(path))?.[0].replace(/^.*node_modules\//, "") ?? path.split("/", 2).join("/");
    sums.set(origin, (sums.get(origin) ?? 0) + bytesInOutput);
  }
  return new Map([...sums].sort(([, left], [, right]) => right - left));
}
