/** The tree as the tidy checks see it: every file that belongs to the house, and a parsed form of those in TypeScript. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ParseResult, parseSync } from "oxc-parser";

/** A file of the tree; `path` is relative to its top and written with "/". */
export interface HouseFile {
  readonly path: string;
  readonly text: string;
}

export interface Source extends HouseFile {
  readonly parsed: ParseResult;
}

/** What .gitignore names, and git itself: made by tools, on this machine only. */
const notOurs = new Set([".git", "node_modules", "dist", ".tools", ".doorlink", ".vitest", "coverage"]);

/** Reads every text file below `top`. A file with a zero byte (a picture) is listed with an empty text. */
export function readHouse(top: string, folder = ""): readonly HouseFile[] {
  return readdirSync(join(top, folder), { withFileTypes: true }).flatMap((entry): readonly HouseFile[] => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (notOurs.has(entry.name) || entry.name.endsWith(".tgz")) return [];
    if (entry.isDirectory()) return readHouse(top, path);
    const text = readFileSync(join(top, path), "utf8");
    return [{ path, text: text.includes("\0") ? "" : text }];
  });
}

export function parseSources(files: readonly HouseFile[]): readonly Source[] {
  return files.filter((file) => file.path.endsWith(".ts")).map((file) => source(file.path, file.text));
}

export function source(path: string, text: string): Source {
  return { path, text, parsed: parseSync(path, text, { lang: "ts", sourceType: "module" }) };
}

/** `path:line` of a character offset, as an editor and a terminal understand it. */
export function placeOf(file: HouseFile, offset: number): string {
  return `${file.path}:${file.text.slice(0, offset).split("\n").length}`;
}
