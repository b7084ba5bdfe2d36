/**
 * SVG text as a tree, and nothing more dangerous than that: no entity is expanded, nothing is executed, nothing outside the
 * file is asked for. The one file that knows `saxes`.
 *
 * Rules: SPEC Q52. What could act or reach out is a named fault even where a viewer would ignore it.
 */
import { SaxesParser } from "saxes";
import { failed, ok, type Result } from "../../protocol/base/result.ts";

export type SvgNode = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: SvgNode[];
  /** Text inside, of `style` only. */
  text: string;
};

export type SvgTreeFault =
  | { readonly code: "svg-damaged"; readonly line: number }
  | { readonly code: "svg-active"; readonly what: "script" | "event-handler" | "foreign-object" | "animation" }
  | { readonly code: "svg-outside-link"; readonly where: string }
  | { readonly code: "svg-entities" }
  | { readonly code: "svg-too-large"; readonly what: "text" | "elements" | "depth"; readonly max: number };

/** Whether bytes look like an SVG: text that begins with `<` and soon says `<svg`. */
export function looksLikeSvg(bytes: Uint8Array): boolean {
  const text = decodeText(bytes.subarray(0, sniffBytes)).trimStart();
  return text.startsWith("<") && /<(?:\w+:)?svg[\s>]/.test(text);
}

/**
 * Reads the whole tree. Faults: svg-damaged (not well-formed, or another root), svg-active, svg-outside-link,
 * svg-entities (a document type that defines anything), svg-too-large (16 MB, 200,000 elements, 100 deep).
 */
export function readSvgTree(bytes: Uint8Array): Result<SvgNode, SvgTreeFault> {
  if (bytes.length > svgBytesMax) return failed({ code: "svg-too-large", what: "text", max: svgBytesMax });
  const text = decodeText(bytes);
  let fault: SvgTreeFault | undefined;
  let root: SvgNode | undefined;
  let elements = 0;
  const open: SvgNode[] = [];
  const parser = new SaxesParser();
  const stop = (reason: SvgTreeFault) => {
    fault ??= reason;
  };
  parser.on("error", () => stop({ code: "svg-damaged", line: parser.line }));
  parser.on("doctype", (doctype) => {
    if (doctype.includes("[")) stop({ code: "svg-entities" });
  });
  parser.on("processinginstruction", ({ target }) => {
    if (target.startsWith("xml-stylesheet")) stop({ code: "svg-outside-link", where: target });
  });
  parser.on("opentag", ({ name, attributes }) => {
    const node: SvgNode = { name: localName(name), attributes: localAttributes(attributes), children: [], text: "" };
    const found = nodeFault(node);
    if (found !== undefined) stop(found);
    if (++elements > elementsMax) stop({ code: "svg-too-large", what: "elements", max: elementsMax });
    if (open.length >= depthMax) stop({ code: "svg-too-large", what: "depth", max: depthMax });
    open.at(-1)?.children.push(node);
    root ??= node;
    open.push(node);
  });
  parser.on("closetag", () => {
    open.pop();
  });
  const addText = (part: string) => {
    const node = open.at(-1);
    if (node?.name === "style") node.text += part;
  };
  parser.on("text", addText);
  parser.on("cdata", addText);
  try {
    // In pieces, so that a fault ends the reading soon.
    for (let at = 0; at < text.length && fault === undefined; at += pieceCharacters) {
      parser.write(text.slice(at, at + pieceCharacters));
    }
    if (fault === undefined) parser.close();
  } catch {
    // saxes throws on input that even its error handler cannot go on from; to the reader it is the same: not well-formed.
    stop({ code: "svg-damaged", line: parser.line });
  }
  if (fault !== undefined) return failed(fault);
  return root?.name === "svg" ? ok(root) : failed({ code: "svg-damaged", line: 1 });
}

function nodeFault({ name, attributes }: SvgNode): SvgTreeFault | undefined {
  if (name === "script") return { code: "svg-active", what: "script" };
  if (name === "foreignObject" || name === "iframe") return { code: "svg-active", what: "foreign-object" };
  if (animations.has(name)) return { code: "svg-active", what: "animation" };
  for (const [key, value] of Object.entries(attributes)) {
    if (/^on[a-z]/i.test(key)) return { code: "svg-active", what: "event-handler" };
    const isLink = key === "href" || key === "src";
    // A link that waits for a click (`a`) loads nothing; even so it must not be a script.
    if (isLink && /^\s*(?:javascript|vbscript):/i.test(value)) return { code: "svg-active", what: "script" };
    if (isLink && name !== "a" && !isInside(value)) return { code: "svg-outside-link", where: name };
    if (hasOutsideUrl(value)) return { code: "svg-outside-link", where: key };
  }
  return undefined;
}

/** Whether a style sheet or a value asks for something outside: `url(...)` but of `#id` and pictures inside, or `@import`. */
export function hasOutsideUrl(text: string): boolean {
  if (/@import/i.test(text)) return true;
  return [...text.matchAll(/url\(\s*["']?\s*([^"')]*)/gi)].some(([, target = ""]) => !isInside(target));
}

function isInside(target: string): boolean {
  const trimmed = target.trim();
  return trimmed === "" || trimmed.startsWith("#") || /^data:image\//i.test(trimmed);
}

/** `svg:rect` is `rect`; names of editors (`inkscape:...`) keep their prefix and so are no shapes. */
function localName(name: string): string {
  return name.startsWith("svg:") ? name.slice(4) : name;
}

function localAttributes(attributes: Readonly<Record<string, string | { readonly value: string }>>) {
  const local: Record<string, string> = {};
  for (const [key, value] of Object.entries(attributes)) {
    const name = key.startsWith("xlink:") || key.startsWith("svg:") ? key.slice(key.indexOf(":") + 1) : key;
    local[name] = typeof value === "string" ? value : value.value;
  }
  return local;
}

function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

const animations: ReadonlySet<string> = new Set(["animate", "animateTransform", "animateMotion", "set"]);
const svgBytesMax = 16_000_000;
const elementsMax = 200_000;
const depthMax = 100;
const pieceCharacters = 65_536;
const sniffBytes = 4_096;
