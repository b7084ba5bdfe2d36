/**
 * The words and values of PDF: numbers, names, strings, lists, dictionaries and references, in files and in content alike.
 * Any text gives tokens and values or an end: nothing here throws, and nesting is bounded. Source: PDF 32000-1, 7.2 and 7.3.
 */

export type PdfName = { readonly kind: "name"; readonly name: string };
export type PdfString = { readonly kind: "string"; readonly text: string };
export type PdfReference = { readonly kind: "reference"; readonly number: number };
export type PdfDictionary = ReadonlyMap<string, PdfValue>;
export type PdfStream = { readonly kind: "stream"; readonly dictionary: PdfDictionary; readonly packed: Uint8Array };
export type PdfValue =
  | number
  | boolean
  | null
  | PdfName
  | PdfString
  | PdfReference
  | PdfStream
  | PdfDictionary
  | readonly PdfValue[];

export type Lexer = { readonly text: string; at: number };

/** A number, a name, a string, or anything else as a word: `[`, `<<`, `obj`, `re`. */
export type PdfToken = number | PdfName | PdfString | { readonly kind: "word"; readonly word: string };

/** The next token; undefined at the end. Any text gives tokens: what is no PDF becomes words. */
export function nextToken(lexer: Lexer): PdfToken | undefined {
  skipSpace(lexer);
  const { text, at } = lexer;
  const first = text[at];
  if (first === undefined) return undefined;
  if (first === "/") {
    const raw = readRegular(lexer, at + 1);
    const name = raw.includes("#") ? raw.replaceAll(/#([0-9a-fA-F]{2})/g, (_, hex) => hexCharacter(hex)) : raw;
    return { kind: "name", name };
  }
  if (first === "(") return readString(lexer);
  if (first === "<" && text[at + 1] !== "<") return readHexString(lexer);
  if ((first === "<" || first === ">") && text[at + 1] === first) {
    lexer.at = at + 2;
    return { kind: "word", word: first + first };
  }
  if ("[]{})>".includes(first)) {
    lexer.at = at + 1;
    return { kind: "word", word: first };
  }
  const word = readRegular(lexer, at);
  const number = /^[+-]*(?:\d+\.?\d*|\.\d+)/.exec(word);
  if (number !== null) return readNumber(number[0]);
  return { kind: "word", word };
}

/** The next value; `word` holds what stood there when it was none. */
export function nextValue(
  lexer: Lexer,
  depth = 0,
): { readonly value: PdfValue } | { readonly word: string } | undefined {
  const token = nextToken(lexer);
  if (token === undefined) return undefined;
  if (typeof token === "number") return { value: readReference(lexer, token) ?? token };
  if (token.kind !== "word") return { value: token };
  if (depth > nestingMax) return undefined;
  if (token.word === "[") return readList(lexer, depth);
  if (token.word === "<<") return readDictionary(lexer, depth);
  if (token.word === "true" || token.word === "false") return { value: token.word === "true" };
  return token.word === "null" ? { value: null } : { word: token.word };
}

function readList(lexer: Lexer, depth: number): { readonly value: PdfValue } | undefined {
  const list: PdfValue[] = [];
  for (;;) {
    const next = nextValue(lexer, depth + 1);
    if (next === undefined) return undefined;
    if ("value" in next) list.push(next.value);
    else if (next.word === "]") return { value: list };
    else if (structural.has(next.word)) return undefined;
  }
}

function readDictionary(lexer: Lexer, depth: number): { readonly value: PdfDictionary } | undefined {
  const dictionary = new Map<string, PdfValue>();
  for (;;) {
    const key = nextValue(lexer, depth + 1);
    if (key === undefined) return undefined;
    if ("word" in key) {
      if (key.word === ">>") return { value: dictionary };
      if (structural.has(key.word)) return undefined;
      continue;
    }
    const name = nameOf(key.value);
    if (name === undefined) continue;
    const next = nextValue(lexer, depth + 1);
    if (next === undefined) return undefined;
    if ("value" in next) dictionary.set(name, next.value);
    else if (next.word === ">>") return { value: dictionary };
    else if (structural.has(next.word)) return undefined;
  }
}

/** `12 0 R` after its first number was read. */
function readReference(lexer: Lexer, number: number): PdfReference | undefined {
  if (!Number.isInteger(number) || number < 0) return undefined;
  referencePattern.lastIndex = lexer.at;
  const rest = referencePattern.exec(lexer.text);
  if (rest === null) return undefined;
  lexer.at += rest[0].length;
  return { kind: "reference", number };
}

function readString(lexer: Lexer): PdfString {
  let depth = 0;
  for (let at = lexer.at; at < lexer.text.length; at++) {
    const letter = lexer.text[at];
    if (letter === "\\") at++;
    else if (letter === "(") depth++;
    else if (letter === ")" && --depth === 0) {
      const text = lexer.text.slice(lexer.at + 1, at);
      lexer.at = at + 1;
      return { kind: "string", text: text.includes("\\") ? unescapeString(text) : text };
    }
  }
  lexer.at = lexer.text.length;
  return { kind: "string", text: "" };
}

function readHexString(lexer: Lexer): PdfString {
  const end = lexer.text.indexOf(">", lexer.at);
  const digits = lexer.text.slice(lexer.at + 1, end < 0 ? lexer.text.length : end).replaceAll(/[^0-9a-fA-F]/g, "");
  lexer.at = end < 0 ? lexer.text.length : end + 1;
  const even = digits.length % 2 === 0 ? digits : `${digits}0`;
  return { kind: "string", text: Buffer.from(even, "hex").toString("latin1") };
}

function unescapeString(text: string): string {
  return text.replaceAll(/\\(?:([0-7]{1,3})|(\r\n|[\s\S]))/g, (_, octal?: string, letter?: string) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    const known = letter === undefined ? undefined : escapes.get(letter);
    return known ?? letter ?? "";
  });
}

/** Signs may be doubled by careless writers; every reader takes the number for what it was meant to be. */
function readNumber(text: string): number {
  const value = Number(text.replace(/^[+-]+/, ""));
  return text.startsWith("-") ? -value : value;
}

function skipSpace(lexer: Lexer): void {
  const { text } = lexer;
  while (lexer.at < text.length) {
    const code = text.charCodeAt(lexer.at);
    if (code === 0x25) {
      while (lexer.at < text.length && text[lexer.at] !== "\n" && text[lexer.at] !== "\r") lexer.at++;
    } else if (code === 32 || (code >= 9 && code <= 13) || code === 0) lexer.at++;
    else return;
  }
}

/** Regular characters from `from`; at least one character is used up. */
function readRegular(lexer: Lexer, from: number): string {
  regularPattern.lastIndex = from;
  const word = regularPattern.exec(lexer.text)?.[0] ?? "";
  lexer.at = Math.max(from + word.length, lexer.at + 1);
  return word;
}

export function isDictionary(value: PdfValue | undefined): value is PdfDictionary {
  return value instanceof Map;
}

export function isStream(value: PdfValue | undefined): value is PdfStream {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "stream";
}

export function nameOf(value: PdfValue | undefined): string | undefined {
  const isName = typeof value === "object" && value !== null && "kind" in value && value.kind === "name";
  return isName ? value.name : undefined;
}

export function isReference(value: PdfValue | undefined): value is PdfReference {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "reference";
}

function hexCharacter(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

/** Words that can stand in no list and no dictionary: the file is broken there. */
const structural: ReadonlySet<string> = new Set([
  "obj",
  "endobj",
  "stream",
  "endstream",
  "xref",
  "trailer",
  "startxref",
]);
const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["b", "\b"],
  ["f", "\f"],
  ["\n", ""],
  ["\r", ""],
  ["\r\n", ""],
]);
const regularPattern = /[^\0\s()<>[\]{}/%]*/y;
const referencePattern = /[\0\s]{1,20}\d{1,5}[\0\s]{1,20}R(?![^\0\s()<>[\]{}/%])/y;
const nestingMax = 64;
