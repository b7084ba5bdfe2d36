/**
 * Who imports whom (DESIGN part 2): direction between rooms, circles between files, packages that are not declared.
 * Type-only, re-exporting and dynamic imports count like any other: a type is knowledge too.
 */
import { posix } from "node:path";
import { Visitor } from "oxc-parser";
import { type HouseFile, placeOf, type Source } from "./sources.ts";

export interface Import {
  readonly specifier: string;
  readonly offset: number;
}

/** Every import of a file whose target is written out, in the order of the text. */
export function listImports(file: Source): readonly Import[] {
  const imports: Import[] = [];
  const add = (node: { readonly value: string; readonly start: number } | null) => {
    if (node !== null) imports.push({ specifier: node.value, offset: node.start });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    ImportExpression: (node) => {
      if (node.source.type === "Literal" && typeof node.source.value === "string") {
        imports.push({ specifier: node.source.value, offset: node.source.start });
      }
    },
  }).visit(file.parsed.program);
  return imports.sort((left, right) => left.offset - right.offset);
}

/** Imports, and addresses of workers and assets, that reach where the file's room may not. */
export function directionFaults(files: readonly Source[]): readonly string[] {
  return files.flatMap((file) =>
    [...listImports(file), ...listAddresses(file)]
      .filter(({ specifier }) => specifier.startsWith("."))
      .flatMap(({ specifier, offset }) => {
        const target = resolve(file.path, specifier);
        const reason = whyForbidden(file.path, target);
        return reason === undefined ? [] : [`${placeOf(file, offset)}: imports ${target}: ${reason}`];
      }),
  );
}

/** A dynamic import whose target is computed: neither this check nor the build can follow it. */
export function computedImportFaults(files: readonly Source[]): readonly string[] {
  return files.flatMap((file) => {
    const faults: string[] = [];
    new Visitor({
      ImportExpression: (node) => {
        if (node.source.type !== "Literal") {
          faults.push(`${placeOf(file, node.start)}: computed import: write its target out, so that it can be checked`);
        }
      },
    }).visit(file.parsed.program);
    return faults;
  });
}

/** Each circle once, written as the way around it: `a.ts -> b.ts -> a.ts`. */
export function circleFaults(files: readonly Source[]): readonly string[] {
  const importsByPath = new Map(
    files.map((file) => [
      file.path,
      listImports(file)
        .filter(({ specifier }) => specifier.startsWith("."))
        .map(({ specifier }) => resolve(file.path, specifier)),
    ]),
  );
  const circles: string[] = [];
  const finished = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start >= 0) circles.push(`${[...way.slice(start), path].join(" -> ")}: a circle of imports`);
    if (start >= 0 || finished.has(path)) return;
    for (const next of importsByPath.get(path) ?? []) visit(next, [...way, path]);
    finished.add(path);
  };
  for (const path of importsByPath.keys()) visit(path, []);
  return circles;
}

/** Packages a file imports that an installed doorlink would not have; tests and scripts may use development ones. */
export function undeclaredPackageFaults(files: readonly Source[], manifest: Manifest): readonly string[] {
  const shipped = new Set(Object.keys(manifest.dependencies));
  const development = new Set([...shipped, ...Object.keys(manifest.devDependencies)]);
  return files.flatMap((file) => {
    const declared = shippedRooms.has(topOf(file.path)) ? shipped : development;
    const list = declared === shipped ? "dependencies" : "dependencies or devDependencies";
    return listImports(file)
      .filter(({ specifier }) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter(({ specifier }) => !declared.has(packageOf(specifier)))
      .map(
        ({ specifier, offset }) =>
          `${placeOf(file, offset)}: imports ${specifier}, and ${packageOf(specifier)} is not in ${list} of package.json`,
      );
  });
}

export interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** `new URL("./worker.ts", import.meta.url)` of the shipped rooms reaches a file as an import does. */
function listAddresses(file: Source): readonly Import[] {
  if (!shippedRooms.has(topOf(file.path))) return [];
  return [...file.text.matchAll(/new URL\(\s*["'](\.[^"']*)["'],\s*import\.meta\.url\s*\)/g)]
    .map((match) => ({ specifier: match[1] ?? "", offset: match.index }))
    .filter(({ specifier }) => !specifier.endsWith("/package.json"));
}

function whyForbidden(from: string, to: string): string | undefined {
  const [fromTop, toTop] = [topOf(from), topOf(to)];
  if (!(mayImport.get(fromTop) ?? []).includes(toTop)) {
    return `${fromTop} may import ${(mayImport.get(fromTop) ?? ["nothing"]).join(", ")} only`;
  }
  if (shippedRooms.has(fromTop) && /^[^/]+\/index\.ts$/.test(to)) {
    return "index.ts is the published face: import from the file that defines it";
  }
  return fromTop === "protocol" ? whyForbiddenInProtocol(from, to) : undefined;
}

function whyForbiddenInProtocol(from: string, to: string): string | undefined {
  const [fromRoom, toRoom] = [protocolRoomOf(from), protocolRoomOf(to)];
  if (fromRoom === toRoom || fromRoom === "index") return undefined;
  const [fromLevel, toLevel] = [protocolLevelOf(fromRoom), protocolLevelOf(toRoom)];
  if (fromLevel < 0)
    return `protocol/${fromRoom} is not a room of DESIGN part 2; give it a level in test/tidy/imports.ts`;
  if (toLevel >= 0 && toLevel < fromLevel) return undefined;
  return `protocol/${fromRoom} stands on ${protocolLevels.slice(0, fromLevel).flat().join(", ") || "nothing"}, and ${toRoom} is not below it`;
}

function protocolLevelOf(room: string): number {
  return protocolLevels.findIndex((level) => level.includes(room));
}

function protocolRoomOf(path: string): string {
  return (path.split("/")[1] ?? "").replace(/\.ts$/, "");
}

function topOf(path: string): string {
  return path.split("/")[0] ?? "";
}

function resolve(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier);
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** What an installed package brings along. */
const shippedRooms = new Set(["protocol", "agent", "emulator"]);

export function isShipped(file: HouseFile): boolean {
  return shippedRooms.has(topOf(file.path));
}

/** Tests and scripts stand on top; a test that needs a script runs it as a process. */
const mayImport: ReadonlyMap<string, readonly string[]> = new Map([
  ["protocol", ["protocol"]],
  ["agent", ["agent", "protocol"]],
  ["emulator", ["emulator", "protocol"]],
  ["scripts", ["scripts", "agent", "emulator", "protocol"]],
  ["test", ["test", "agent", "emulator", "protocol"]],
]);

/** From the ground up; rooms of one level do not know each other. */
const protocolLevels: readonly (readonly string[])[] = [
  ["base"],
  ["crypto"],
  // DESIGN names these three as one level; a decision recognises daily codes, and a model names the credentials it takes.
  ["doorcode"],
  ["access"],
  ["firmware"],
  ["site", "wire", "sticker"],
  ["session"],
  ["sync"],
  ["diagnosis"],
];
