/** What stands in the tree at all: the top-level names of DESIGN part 2, and nothing that is true of one machine only. */
import { type HouseFile, placeOf } from "./sources.ts";

/** A new name here is a new room of the house: it wants its place in DESIGN and in the README first. */
const topLevel = new Set([
  "README.md",
  "LICENSE",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
  "biome.json",
  "vitest.config.ts",
  ".npmrc",
  ".gitignore",
  ".editorconfig",
  ".ci",
  "protocol",
  "agent",
  "emulator",
  "scripts",
  "test",
]);

export function topLevelFaults(files: readonly HouseFile[]): readonly string[] {
  return [...new Set(files.map(({ path }) => path.split("/")[0] ?? ""))]
    .filter((name) => !topLevel.has(name))
    .map((name) => `${name}: no such name at the top of the house (DESIGN part 2)`);
}

/** An absolute path below one of these belongs to somebody's machine; `pi` is the user of every Raspberry Pi. */
const localPath = /(?<![\w.~)}\]/-])\/(?:root|home|work|tmp|Users)\/(?!pi\b)[A-Za-z0-9]/g;
/** Packages come through npm and apt-get, which know where from; a host name here would bind us to one of many mirrors. */
const registryHost =
  /\b(?:registry|npm|pypi|deb|security|static|files|proxy)\.(?:npmjs|yarnpkg|debian|crates|pythonhosted|pypi|golang)\.\w+/gi;

export function machineTraceFaults(files: readonly HouseFile[]): readonly string[] {
  return files.flatMap((file) => [
    ...[...file.text.matchAll(localPath)].map(
      (match) => `${placeOf(file, match.index)}: a path of one machine: use a relative path, mktemp or os.tmpdir()`,
    ),
    ...[...file.text.matchAll(registryHost)].map(
      (match) =>
        `${placeOf(file, match.index)}: names the package host ${match[0]}: leave it to the machine's npm or apt-get`,
    ),
  ]);
}
