/**
 * protocol/ holds rules only: no clock, random source, timer, socket, file, process. What it needs of these comes in as
 * an argument, so that every rule can be tested at any time, replayed from a seed and built by somebody else.
 */
import { isBuiltin } from "node:module";
import { Visitor } from "oxc-parser";
import { listImports } from "./imports.ts";
import { placeOf, type Source } from "./sources.ts";

/** Global names by what replaces them; a file's own variable of such a name is not meant. */
const replacementByName: ReadonlyMap<string, string> = new Map([
  [
    "Date",
    "take UnixSeconds, UnixMs or LocalDay as an argument, calendars through temporal-polyfill: a rule has no clock and no time zone of its own",
  ],
  ["performance", "take MonotonicMs as an argument: a rule has no clock"],
  ["Math.random", "take random bytes as an argument: a rule that draws its own cannot be replayed"],
  ["Temporal.Now", "take the time as an argument: a rule has no clock"],
  ["crypto", "use protocol/crypto.ts, and take random bytes as an argument: one file touches cryptography"],
  ["setTimeout", "return nextWakeMs and let the caller wait: a machine is fed and drained"],
  ["setInterval", "return nextWakeMs and let the caller wait: a machine is fed and drained"],
  ["setImmediate", "return what is to be done: a machine is fed and drained"],
  ["queueMicrotask", "return what is to be done: a machine is fed and drained"],
  ["process", "take what you need as an argument: a rule knows no process"],
  ["Buffer", "use Uint8Array and protocol/base/bytes.ts: a rule runs wherever JavaScript does"],
  ["fetch", "return bytes and let the caller carry them: a rule opens no socket"],
  ["WebSocket", "return bytes and let the caller carry them: a rule opens no socket"],
  ["globalThis", "name what you mean: this is a way around the other bans"],
]);

/** The one file that may touch Node, the one module it may touch, and the type that module asks for. */
const cryptoFile = { path: "protocol/crypto.ts", module: "node:crypto", global: "Buffer" };

export function impurityFaults(files: readonly Source[]): readonly string[] {
  return files
    .filter((file) => file.path.startsWith("protocol/"))
    .flatMap((file) => [...builtinFaults(file), ...bannedNameFaults(file)]);
}

function builtinFaults(file: Source): readonly string[] {
  return listImports(file)
    .filter(
      ({ specifier }) => isBuiltin(specifier) && !(file.path === cryptoFile.path && specifier === cryptoFile.module),
    )
    .map(
      ({ specifier, offset }) =>
        `${placeOf(file, offset)}: imports ${specifier}: take what you need as an argument; only protocol/crypto.ts touches node:crypto`,
    );
}

function bannedNameFaults(file: Source): readonly string[] {
  const own = file.path === cryptoFile.path ? new Set([...ownNames(file), cryptoFile.global]) : ownNames(file);
  // A set, because `{ name }` shows the same name as key and as value.
  const faults = new Set<string>();
  const report = (name: string, offset: number) => {
    const replacement = replacementByName.get(name);
    if (replacement !== undefined)
      faults.add(`${placeOf(file, offset)}: ${name} is banned in protocol/: ${replacement}`);
  };
  // Names that follow a dot or stand before a colon are not the global; their offsets are noted on the way down.
  const notReferences = new Set<number>();
  const noteKey = (node: { readonly computed: boolean; readonly key: { readonly start: number } }) => {
    if (!node.computed) notReferences.add(node.key.start);
  };
  new Visitor({
    MemberExpression: (node) => {
      if (node.computed) return;
      notReferences.add(node.property.start);
      if (node.object.type === "Identifier" && node.property.type === "Identifier") {
        report(`${node.object.name}.${node.property.name}`, node.start);
      }
    },
    Property: (node) => {
      if (!node.shorthand) noteKey(node);
    },
    TSPropertySignature: noteKey,
    MethodDefinition: noteKey,
    PropertyDefinition: noteKey,
    Identifier: (node) => {
      if (!notReferences.has(node.start) && !own.has(node.name)) report(node.name, node.start);
    },
  }).visit(file.parsed.program);
  return [...faults];
}

/** Names the file declares itself by import, `const` or parameter anywhere in it. */
function ownNames(file: Source): ReadonlySet<string> {
  const names = new Set<string>();
  const addPattern = (pattern: { readonly type: string }) => {
    if (pattern.type === "Identifier" && "name" in pattern && typeof pattern.name === "string") names.add(pattern.name);
  };
  const addParameters = (node: { readonly params: readonly { readonly type: string }[] }) =>
    node.params.forEach(addPattern);
  new Visitor({
    ImportSpecifier: (node) => addPattern(node.local),
    ImportNamespaceSpecifier: (node) => addPattern(node.local),
    VariableDeclarator: (node) => addPattern(node.id),
    FunctionDeclaration: addParameters,
    FunctionExpression: addParameters,
    ArrowFunctionExpression: addParameters,
  }).visit(file.parsed.program);
  return names;
}
