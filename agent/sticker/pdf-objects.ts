/**
 * The objects of a PDF, read by our own hand within limits: names, numbers, dictionaries and streams, wherever in the file they
 * stand, also inside object streams.
 *
 * Rules: SPEC Q53. A reader that trusts the file unpacks what it is told to; here every unpacked byte is counted first, so a bomb
 * is a named fault. The cross-reference table is not needed: objects are found where they stand, and of two with one
 * number the later one counts, as updates are appended.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { type NotUnpacked, undoFilter } from "./pdf-filters.ts";
import {
  isDictionary,
  isReference,
  isStream,
  type Lexer,
  nameOf,
  nextToken,
  nextValue,
  type PdfDictionary,
  type PdfStream,
  type PdfValue,
} from "./pdf-words.ts";

export type PdfObjects = {
  readonly byNumber: ReadonlyMap<number, PdfValue>;
  readonly trailer: PdfDictionary;
  /** Bytes that may still be unpacked. */
  room: number;
};

export type PdfObjectsFault =
  | { readonly code: "pdf-damaged" }
  | { readonly code: "pdf-encrypted" }
  | { readonly code: "pdf-too-large"; readonly what: "content" | "objects"; readonly max: number };

export type UnpackedStream = {
  readonly bytes: Uint8Array;
  /** The filter that was not undone because it is a picture's own format; undefined when all were. */
  readonly left: string | undefined;
};

/**
 * Finds all objects. Faults: pdf-damaged (no object, no catalogue), pdf-encrypted, pdf-too-large (200,000 objects, or 32 MB
 * of unpacked object streams). Source: SPEC Q53.
 */
export function readPdfObjects(bytes: Uint8Array): Result<PdfObjects, PdfObjectsFault> {
  const scanned = scanFile(bytes);
  if (scanned === undefined) return failed({ code: "pdf-too-large", what: "objects", max: objectsMax });
  const { byNumber, dictionaries } = scanned;
  if (dictionaries.some((dictionary) => dictionary.has("Encrypt"))) return failed({ code: "pdf-encrypted" });
  const objects = { byNumber, trailer: new Map<string, PdfValue>(), room: contentBytesMax };
  for (const { value, at } of scanned.objectStreams) {
    if (!expandObjectStream(objects, scanned.placeByNumber, value, at)) {
      return failed({ code: "pdf-too-large", what: "content", max: contentBytesMax });
    }
    if (byNumber.size > objectsMax) return failed({ code: "pdf-too-large", what: "objects", max: objectsMax });
  }
  const trailer = dictionaries.findLast((each) => asDictionary(objects, each.get("Root")) !== undefined);
  if (trailer !== undefined) return ok({ ...objects, trailer });
  for (const [number, value] of byNumber) {
    const catalogue = isDictionary(value) && nameOf(value.get("Type")) === "Catalog";
    if (catalogue) return ok({ ...objects, trailer: new Map([["Root", { kind: "reference", number } as const]]) });
  }
  return failed({ code: "pdf-damaged" });
}

/** Follows references, to twenty of them; undefined at the end of a circle or of nothing. */
export function resolvePdf(objects: PdfObjects, value: PdfValue | undefined): PdfValue | undefined {
  let at = value;
  for (let hop = 0; hop < referencesMax; hop++) {
    if (!isReference(at)) return at;
    at = objects.byNumber.get(at.number);
  }
  return undefined;
}

/** A dictionary, or the dictionary of a stream. */
export function asDictionary(objects: PdfObjects, value: PdfValue | undefined): PdfDictionary | undefined {
  const found = resolvePdf(objects, value);
  if (isDictionary(found)) return found;
  return isStream(found) ? found.dictionary : undefined;
}

export function asStream(objects: PdfObjects, value: PdfValue | undefined): PdfStream | undefined {
  const found = resolvePdf(objects, value);
  return isStream(found) ? found : undefined;
}

export function asList(objects: PdfObjects, value: PdfValue | undefined): readonly PdfValue[] | undefined {
  const found = resolvePdf(objects, value);
  return Array.isArray(found) ? found : undefined;
}

export function asNumber(objects: PdfObjects, value: PdfValue | undefined): number | undefined {
  const found = resolvePdf(objects, value);
  return typeof found === "number" ? found : undefined;
}

export function asName(objects: PdfObjects, value: PdfValue | undefined): string | undefined {
  return nameOf(resolvePdf(objects, value));
}

/** All numbers of a list; undefined when one is none. */
export function asNumbers(objects: PdfObjects, value: PdfValue | undefined): readonly number[] | undefined {
  const numbers = asList(objects, value)?.map((each) => asNumber(objects, each));
  return numbers?.every((each) => each !== undefined) === true ? numbers : undefined;
}

/**
 * Undoes a stream's filters. `room`: the most bytes that may come out. Pictures' own filters (DCT, JPX, CCITT, JBIG2) are left to the caller.
 */
export function unpackStream(objects: PdfObjects, stream: PdfStream, room: number): UnpackedStream | NotUnpacked {
  const filter = resolvePdf(objects, stream.dictionary.get("Filter") ?? stream.dictionary.get("F"));
  const filters = filter === undefined || filter === null ? [] : Array.isArray(filter) ? filter : [filter];
  const parameters = resolvePdf(objects, stream.dictionary.get("DecodeParms") ?? stream.dictionary.get("DP"));
  if (filters.length > filtersMax) return "rubbish";
  let bytes = stream.packed;
  for (const [index, each] of filters.entries()) {
    const name = asName(objects, each) ?? "";
    if (pictureFilters.has(name)) return { bytes, left: name };
    const own = asDictionary(objects, Array.isArray(parameters) ? parameters[index] : parameters);
    const parameter = (key: string, otherwise: number) => asNumber(objects, own?.get(key)) ?? otherwise;
    const told = {
      predictor: parameter("Predictor", 1),
      colours: parameter("Colors", 1),
      bits: parameter("BitsPerComponent", 8),
      columns: parameter("Columns", 1),
      earlyChange: parameter("EarlyChange", 1),
    };
    const undone = undoFilter(name, bytes, told, room);
    if (typeof undone === "string") return undone;
    if (undone.length > room) return "too-large";
    bytes = undone;
  }
  return { bytes, left: undefined };
}

type ScannedFile = {
  readonly byNumber: Map<number, PdfValue>;
  readonly placeByNumber: Map<number, number>;
  /** Trailers, and the dictionaries of cross-reference streams, which are trailers too; in their order. */
  readonly dictionaries: PdfDictionary[];
  readonly objectStreams: { readonly value: PdfStream; readonly at: number }[];
};

/** Undefined with more objects than are read. */
function scanFile(bytes: Uint8Array): ScannedFile | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const file: ScannedFile = { byNumber: new Map(), placeByNumber: new Map(), dictionaries: [], objectStreams: [] };
  const pattern = /(\d{1,10})[\0\s]{1,20}\d{1,5}[\0\s]{1,20}obj|trailer/g;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const lexer = { text, at: pattern.lastIndex };
    const read = nextValue(lexer);
    if (read === undefined || !("value" in read)) continue;
    pattern.lastIndex = lexer.at;
    if (found[1] === undefined) {
      if (isDictionary(read.value)) file.dictionaries.push(read.value);
      continue;
    }
    const stream = isDictionary(read.value) ? readStream(file, bytes, lexer, read.value) : undefined;
    if (stream !== undefined) pattern.lastIndex = lexer.at;
    file.byNumber.set(Number(found[1]), stream ?? read.value);
    file.placeByNumber.set(Number(found[1]), found.index);
    if (file.byNumber.size > objectsMax) return undefined;
    if (stream === undefined) continue;
    const type = nameOf(stream.dictionary.get("Type"));
    if (type === "XRef") file.dictionaries.push(stream.dictionary);
    if (type === "ObjStm") file.objectStreams.push({ value: stream, at: found.index });
  }
  return file;
}

/** The stream that follows its dictionary, with `lexer` moved behind it; undefined when none follows. */
function readStream(
  file: ScannedFile,
  bytes: Uint8Array,
  lexer: Lexer,
  dictionary: PdfDictionary,
): PdfStream | undefined {
  const before = lexer.at;
  const token = nextToken(lexer);
  if (token === undefined || typeof token === "number" || token.kind !== "word" || token.word !== "stream") {
    lexer.at = before;
    return undefined;
  }
  let start = lexer.at;
  if (lexer.text[start] === "\r") start++;
  if (lexer.text[start] === "\n") start++;
  const stated = dictionary.get("Length");
  const length = isReference(stated) ? file.byNumber.get(stated.number) : stated;
  const end = streamEnd(lexer.text, start, typeof length === "number" ? length : undefined);
  lexer.at = end;
  return { kind: "stream", dictionary, packed: bytes.subarray(start, end) };
}

/** The stated length if `endstream` follows it, else where `endstream` stands, else the end of the file. */
function streamEnd(text: string, start: number, length: number | undefined): number {
  if (length !== undefined && length >= 0 && start + length <= text.length) {
    if (/^[\0\s]{0,4}endstream/.test(text.slice(start + length, start + length + 16))) return start + length;
  }
  const found = text.indexOf("endstream", start);
  if (found < 0) return text.length;
  if (text[found - 1] === "\n") return Math.max(start, found - (text[found - 2] === "\r" ? 2 : 1));
  return text[found - 1] === "\r" ? Math.max(start, found - 1) : found;
}

/** False when it would take more room than there is. One that cannot be read gives no objects. */
function expandObjectStream(
  objects: { readonly byNumber: Map<number, PdfValue>; readonly trailer: PdfDictionary; room: number },
  placeByNumber: Map<number, number>,
  stream: PdfStream,
  at: number,
): boolean {
  const unpacked = unpackStream(objects, stream, objects.room);
  if (unpacked === "too-large") return false;
  if (unpacked === "rubbish" || unpacked.left !== undefined) return true;
  objects.room -= unpacked.bytes.length;
  const text = Buffer.from(unpacked.bytes).toString("latin1");
  const count = asNumber(objects, stream.dictionary.get("N")) ?? 0;
  const first = asNumber(objects, stream.dictionary.get("First")) ?? 0;
  const header = { text: text.slice(0, first), at: 0 };
  for (let index = 0; index < Math.min(count, objectsMax); index++) {
    const [number, offset] = [nextToken(header), nextToken(header)];
    if (typeof number !== "number" || typeof offset !== "number") return true;
    const read = nextValue({ text, at: first + offset });
    if (read === undefined || !("value" in read) || (placeByNumber.get(number) ?? -1) > at) continue;
    objects.byNumber.set(number, read.value);
    placeByNumber.set(number, at);
    if (objects.byNumber.size > objectsMax) return true;
  }
  return true;
}

const pictureFilters: ReadonlySet<string> = new Set([
  "DCTDecode",
  "DCT",
  "JPXDecode",
  "CCITTFaxDecode",
  "CCF",
  "JBIG2Decode",
]);
/** Content streams and object streams of a file, unpacked. */
export const contentBytesMax = 32_000_000;
const objectsMax = 200_000;
const referencesMax = 20;
const filtersMax = 4;
