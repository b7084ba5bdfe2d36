/**
 * A YAML document against a schema: the value, or every mistake at once with its line (SPEC N4).
 *
 * A person repairs a file in one go only if all that is wrong is said in one go. What came is quoted, except where it may be a
 * code, a card number or somebody's e-mail: then only its kind and length are.
 */
import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument as parseYaml,
} from "yaml";
import type { z } from "zod";
import { failed, ok, type Result } from "../base/result.ts";

export type DocumentPath = readonly (string | number)[];

export interface Mistake {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `doors[2].kind`; empty for the document itself. */
  readonly path: string;
  readonly expected: string;
  readonly came: string;
}

export type DocumentFault = { readonly code: "document-mistakes"; readonly mistakes: readonly Mistake[] };

export interface Finding {
  readonly path: DocumentPath;
  readonly expected: string;
  /** Absent: what stands at the path is described. */
  readonly came?: string;
}

export interface ParsedDocument<Value> {
  readonly value: Value;
  /** What the file says before defaults, for checks that run on files with mistakes. */
  readonly raw: unknown;
  readonly mistakeAt: (finding: Finding) => Mistake;
}

/** Reads `text` (at most 2 MiB) against `schema`. Faults: document-mistakes, with every mistake in order of its line. */
export function parseDocument<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
): Result<ParsedDocument<z.output<Schema>>, DocumentFault> {
  const read = readYaml(text);
  if (!read.ok) return read;
  const checked = checkSchema(read.value, schema);
  if (checked.value === undefined) return failed(asFault(checked.mistakes));
  return ok({ value: checked.value, raw: read.value.raw, mistakeAt: read.value.mistakeAt });
}

/** One mistake on one line: `12:5 doors[2].kind: expected one of ..., came "LOBBY"`. */
export function formatMistake({ line, column, path, expected, came }: Mistake): string {
  const where = path === "" ? "" : ` ${path}:`;
  return `${line}:${column}${where} expected ${expected}, came ${came}`;
}

export type YamlText = { readonly raw: unknown; readonly mistakeAt: (finding: Finding) => Mistake };

/** The YAML alone: plain data and a way to say where a path stands. */
export function readYaml(text: string): Result<YamlText, DocumentFault> {
  if (text.length > documentCharactersMax) {
    const expected = `at most ${documentCharactersMax} characters`;
    return failed(asFault([{ line: 1, column: 1, path: "", expected, came: `${text.length}` }]));
  }
  const lines = new LineCounter();
  if (deepestNesting(text) > depthMax) {
    const expected = `nesting of at most ${depthMax} levels`;
    return failed(asFault([{ line: 1, column: 1, path: "", expected, came: "more" }]));
  }
  // Pretty errors quote their surroundings, in a time that grows with the square of the errors.
  const document = parseYaml(text, { lineCounter: lines, strict: true, uniqueKeys: true, prettyErrors: false });
  if (document.errors.length > 0) {
    return failed(
      asFault(
        document.errors.map(({ pos, message }) => ({
          ...lineAndColumn(lines, pos[0]),
          path: "",
          expected: "YAML",
          came: firstLine(message),
        })),
      ),
    );
  }
  const contents = document.contents;
  const aliases: DocumentPath[] = [];
  const raw = plainData(contents, [], aliases);
  const mistakeAt = ({ path, expected, came }: Finding): Mistake => ({
    ...lineAndColumn(lines, offsetOf(contents, path)),
    path: formatPath(path),
    expected,
    came: came ?? describe(valueAt(raw, path), isPrivatePath(path)),
  });
  if (aliases.length === 0) return ok({ raw, mistakeAt });
  const expected = "a value written out";
  return failed(asFault(aliases.map((path) => mistakeAt({ path, expected, came: "a YAML alias" }))));
}

/** The schema's verdict; the value is there only without mistakes. */
export function checkSchema<Schema extends z.ZodType>(
  { raw, mistakeAt }: YamlText,
  schema: Schema,
): { readonly value?: z.output<Schema>; readonly mistakes: readonly Mistake[] } {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return { value: parsed.data, mistakes: [] };
  return { mistakes: parsed.error.issues.flatMap((issue) => issueFindings(issue).map(mistakeAt)) };
}

/** Mistakes in the order of the file, the same place and words once. */
export function asFault(mistakes: readonly Mistake[]): DocumentFault {
  const byText = new Map(mistakes.map((mistake) => [formatMistake(mistake), mistake]));
  const sorted = [...byText.values()].sort((left, right) => left.line - right.line || left.column - right.column);
  return { code: "document-mistakes", mistakes: sorted };
}

export function formatPath(path: DocumentPath): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}

/** What stands at a path of plain data; undefined when nothing does. */
export function valueAt(raw: unknown, path: DocumentPath): unknown {
  let value = raw;
  for (const step of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined;
  }
  return value;
}

function issueFindings(issue: z.core.$ZodIssue): readonly Finding[] {
  const path = issue.path.filter((step) => typeof step !== "symbol");
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: [...path, key], expected: "no such key", came: `the key "${key}"` }));
    case "invalid_type":
      return [{ path, expected: article(issue.expected) }];
    case "invalid_value":
      return [{ path, expected: `one of ${issue.values.join(", ")}` }];
    case "too_small":
      return [{ path, expected: `at least ${issue.minimum} ${unitOf(issue.origin)}`.trim() }];
    case "too_big":
      return [{ path, expected: `at most ${issue.maximum} ${unitOf(issue.origin)}`.trim() }];
    case "invalid_union":
      return unionFindings(issue, path);
    case "invalid_format":
      return [{ path, expected: issue.format === "email" ? "an e-mail address" : issue.message }];
    default:
      return [{ path, expected: issue.message }];
  }
}

/** A union told apart by a key complains about that key; one that is not shows what each of its members wants. */
function unionFindings(issue: z.core.$ZodIssueInvalidUnion, path: DocumentPath): readonly Finding[] {
  if (issue.discriminator !== undefined) {
    const options =
      "options" in issue && Array.isArray(issue.options) ? `one of ${issue.options.join(", ")}` : "a kind";
    return [
      { path: [...path, issue.discriminator].filter((step, at, all) => step !== all[at - 1]), expected: options },
    ];
  }
  const members = issue.errors.flat().flatMap((member) => issueFindings(member).map(({ expected }) => expected));
  return [{ path, expected: [...new Set(members)].join(" or ") }];
}

function unitOf(origin: string): string {
  if (origin === "string") return "characters";
  return origin === "array" ? "entries" : "";
}

function article(type: string): string {
  if (type === "int") return "a whole number";
  if (type === "record" || type === "object") return "a map";
  return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}

/** Plain data of a parsed node. Aliases are noted, not followed: a few of them can stand for more than memory holds. */
function plainData(node: ParsedNode | null, path: DocumentPath, aliases: DocumentPath[]): unknown {
  if (node === null) return null;
  if (isScalar(node)) return node.value;
  if (isSeq(node)) return node.items.map((item, index) => plainData(item, [...path, index], aliases));
  if (isMap(node)) {
    const entries = node.items.map(({ key, value }) => {
      const name = keyText(key);
      return [name, plainData(value, [...path, name], aliases)] as const;
    });
    return Object.fromEntries(entries);
  }
  aliases.push(path);
  return null;
}

/**
 * A bound on how deep the text can nest, seen without parsing it, because the parser calls itself for each level: brackets
 * that are open at once, and the deepest indentation or row of dashes.
 */
function deepestNesting(text: string): number {
  let open = 0;
  let deepest = 0;
  for (const line of text.split("\n")) {
    // Block structure needs a column for each level at least; a site file indents by two.
    const lead = /^[ -]*/.exec(line)?.[0].length ?? 0;
    deepest = Math.max(deepest, Math.floor(lead / 2));
    for (const character of line) {
      if (character === "[" || character === "{") open++;
      else if (character === "]" || character === "}") open = Math.max(0, open - 1);
      deepest = Math.max(deepest, open);
    }
  }
  return deepest;
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : "?";
}

/** Where a path begins in the text: its value if it is there, else its key, else the nearest that holds it. */
function offsetOf(contents: ParsedNode | null, path: DocumentPath): number {
  let node: Node | null = contents;
  let offset = contents?.range?.[0] ?? 0;
  for (const step of path) {
    if (isSeq(node) && typeof step === "number") node = asNode(node.items[step]);
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => keyText(key) === String(step));
      if (pair === undefined) return offset;
      offset = rangeStart(pair.key) ?? offset;
      node = asNode(pair.value);
    } else return offset;
    if (node === null) return offset;
    offset = node.range?.[0] ?? offset;
  }
  return offset;
}

function asNode(value: unknown): Node | null {
  return isNode(value) ? value : null;
}

function rangeStart(value: unknown): number | undefined {
  return asNode(value)?.range?.[0];
}

function lineAndColumn(lines: LineCounter, offset: number): { readonly line: number; readonly column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

function describe(value: unknown, isPrivate: boolean): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "a map";
  if (isPrivate) return `a ${typeof value} of ${String(value).length} characters (not shown)`;
  const text = JSON.stringify(value);
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters)}...`;
}

function isPrivatePath(path: DocumentPath): boolean {
  return path.some((step) => typeof step === "string" && privateNames.has(step));
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** Fields whose content is never repeated in a message. */
const privateNames: ReadonlySet<string> = new Set([
  "code",
  "number",
  "text",
  "template",
  "plate",
  "email",
  "phone",
  "pin",
  "key",
  "secret",
  "password",
]);
const shownCharacters = 60;
const documentCharactersMax = 2_097_152;
/** A site file nests five deep; deeper than this is no site file. */
const depthMax = 32;
