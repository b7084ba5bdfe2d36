/**
 * How SVG says what a shape looks like: presentation attributes, `style`, and simple style sheets (elements, classes, ids).
 * Rules: SPEC Q51. What is not understood is named by the caller; nothing outside the file is ever asked for.
 */
import type { Matrix, Paint } from "./paper-drawing.ts";
import { multiplyMatrices } from "./paper-drawing.ts";

/** What shapes inherit; `alpha` is the product of all opacities above. */
export type SvgStyle = {
  readonly fill: string;
  readonly fillOpacity: number;
  readonly fillRule: "nonzero" | "evenodd";
  readonly stroke: string;
  readonly strokeOpacity: number;
  readonly strokeWidth: number;
  readonly cap: "butt" | "round" | "square";
  readonly dashed: boolean;
  readonly colour: string;
  readonly alpha: number;
  readonly visible: boolean;
};

export type SvgAttributes = Readonly<Record<string, string>>;

/** One rule of a style sheet: `name` of an element, `.class` or `#id`, or several joined (`rect.dark`). */
export type StyleRule = {
  readonly selector: { readonly element?: string; readonly id?: string; readonly classes: readonly string[] };
  readonly declarations: SvgAttributes;
};

export const initialStyle: SvgStyle = {
  fill: "black",
  fillOpacity: 1,
  fillRule: "nonzero",
  stroke: "none",
  strokeOpacity: 1,
  strokeWidth: 1,
  cap: "butt",
  dashed: false,
  colour: "black",
  alpha: 1,
  visible: true,
};

/** The attributes with style sheet and `style` put over them, in the order of the cascade. */
export function cascade(name: string, attributes: SvgAttributes, rules: readonly StyleRule[]): SvgAttributes {
  if (rules.length === 0 && attributes["style"] === undefined) return attributes;
  const classes = new Set((attributes["class"] ?? "").split(/\s+/));
  const matching = rules
    .filter(({ selector }) => {
      const element = selector.element === undefined || selector.element === name;
      const id = selector.id === undefined || selector.id === attributes["id"];
      return element && id && selector.classes.every((each) => classes.has(each));
    })
    .toSorted((one, other) => weight(one) - weight(other));
  const sheet = Object.assign({}, ...matching.map((rule) => rule.declarations));
  return { ...attributes, ...sheet, ...readDeclarations(attributes["style"] ?? "") };
}

/** What an element of these (cascaded) attributes hands down to its children. */
export function inheritStyle(parent: SvgStyle, attributes: SvgAttributes): SvgStyle {
  const taken = (name: string): string | undefined => {
    const value = attributes[name]?.trim();
    return value === undefined || value === "inherit" ? undefined : value;
  };
  const cap = taken("stroke-linecap");
  const dashes = taken("stroke-dasharray");
  const visibility = taken("visibility");
  const rule = taken("fill-rule");
  return {
    fill: taken("fill") ?? parent.fill,
    fillOpacity: fraction(taken("fill-opacity")) ?? parent.fillOpacity,
    fillRule: rule === "evenodd" || rule === "nonzero" ? rule : parent.fillRule,
    stroke: taken("stroke") ?? parent.stroke,
    strokeOpacity: fraction(taken("stroke-opacity")) ?? parent.strokeOpacity,
    strokeWidth: plainNumber(taken("stroke-width")) ?? parent.strokeWidth,
    cap: cap === "butt" || cap === "round" || cap === "square" ? cap : parent.cap,
    dashed: dashes === undefined ? parent.dashed : dashes !== "none",
    colour: taken("color") ?? parent.colour,
    alpha: parent.alpha * (fraction(taken("opacity")) ?? 1),
    visible: visibility === undefined ? parent.visible : visibility === "visible",
  };
}

/** Luma and cover of a colour; `none` where nothing is painted, undefined for what is no colour that we know. */
export function colourToPaint(colour: string, current: string, opacity: number): Paint | "none" | undefined {
  const word = colour.trim().toLowerCase();
  if (word === "none" || word === "transparent") return "none";
  if (word === "currentcolor") return current === "currentcolor" ? undefined : colourToPaint(current, "black", opacity);
  const named = Object.hasOwn(namedColours, word) ? namedColours[word] : undefined;
  const channels = hexChannels(word) ?? functionChannels(word) ?? named;
  if (channels === undefined) return undefined;
  const [red = 0, green = 0, blue = 0, alpha = 1] = channels;
  return { light: (0.299 * red + 0.587 * green + 0.114 * blue) / 255, alpha: alpha * opacity };
}

/** Undefined when a part of it is not understood. */
export function readTransform(text: string): Matrix | undefined {
  let matrix: Matrix = [1, 0, 0, 1, 0, 0];
  const rest = text.replaceAll(/([a-zA-Z]+)\s*\(([^()]*)\)/g, (_, name: string, list: string) => {
    const numbers = list.split(/[\s,]+/).filter((each) => each !== "");
    const one = transformMatrix(name, numbers.map(Number));
    if (one === undefined) return "?";
    matrix = multiplyMatrices(one, matrix);
    return "";
  });
  return /[^\s,]/.test(rest) || !matrix.every(Number.isFinite) ? undefined : matrix;
}

/** Rules in their order, and whether the sheet had more than the simple ones that are read here. */
export function readStyleSheet(text: string): { readonly rules: readonly StyleRule[]; readonly complete: boolean } {
  const rules: StyleRule[] = [];
  let complete = true;
  const plain = text.replaceAll(/\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\//g, " ").replaceAll(/<!--|-->/g, " ");
  const rest = plain.replaceAll(/([^{}]*)\{([^{}]*)\}/g, (_, selectors: string, body: string) => {
    const declarations = readDeclarations(body);
    for (const selector of selectors.split(",").slice(0, selectorsMax)) {
      const read = readSelector(selector.trim());
      if (read === undefined || rules.length >= selectorsMax) complete = false;
      else rules.push({ selector: read, declarations });
    }
    return "";
  });
  return { rules, complete: complete && rest.trim() === "" };
}

function readSelector(text: string): StyleRule["selector"] | undefined {
  const parts = /^(\*|[a-zA-Z][\w-]*)?((?:[.#][\w-]+)*)$/.exec(text);
  if (parts === null || text === "") return undefined;
  const [, element, marks = ""] = parts;
  const all = marks.match(/[.#][\w-]+/g) ?? [];
  const id = all.find((each) => each.startsWith("#"))?.slice(1);
  return {
    ...(element === undefined || element === "*" ? {} : { element }),
    ...(id === undefined ? {} : { id }),
    classes: all.filter((each) => each.startsWith(".")).map((each) => each.slice(1)),
  };
}

function readDeclarations(text: string): SvgAttributes {
  const declarations: Record<string, string> = {};
  for (const declaration of text.split(";")) {
    const colon = declaration.indexOf(":");
    if (colon < 0) continue;
    const value = declaration.slice(colon + 1).replace(/!\s*important/i, "");
    declarations[declaration.slice(0, colon).trim().toLowerCase()] = value.trim();
  }
  return declarations;
}

function weight({ selector }: StyleRule): number {
  return (
    (selector.id === undefined ? 0 : 10_000) + 100 * selector.classes.length + (selector.element === undefined ? 0 : 1)
  );
}

function transformMatrix(name: string, n: readonly number[]): Matrix | undefined {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = n;
  if (n.some(Number.isNaN) || n.length === 0) return undefined;
  if (name === "matrix" && n.length === 6) return [a, b, c, d, e, f];
  if (name === "translate" && n.length <= 2) return [1, 0, 0, 1, a, b];
  if (name === "scale" && n.length <= 2) return [a, 0, 0, n.length === 2 ? b : a, 0, 0];
  if (name === "skewX" && n.length === 1) return [1, 0, Math.tan((a * Math.PI) / 180), 1, 0, 0];
  if (name === "skewY" && n.length === 1) return [1, Math.tan((a * Math.PI) / 180), 0, 1, 0, 0];
  if (name !== "rotate" || (n.length !== 1 && n.length !== 3)) return undefined;
  // Quarter turns exactly: the cosine of a right angle is 6e-17 otherwise.
  const quarter = a % 90 === 0 ? (((a / 90) % 4) + 4) % 4 : undefined;
  const cos = quarter === undefined ? Math.cos((a * Math.PI) / 180) : ([1, 0, -1, 0][quarter] ?? 1);
  const sin = quarter === undefined ? Math.sin((a * Math.PI) / 180) : ([0, 1, 0, -1][quarter] ?? 0);
  const turned: Matrix = [cos, sin, -sin, cos, 0, 0];
  return multiplyMatrices(multiplyMatrices([1, 0, 0, 1, -b, -c], turned), [1, 0, 0, 1, b, c]);
}

function hexChannels(word: string): readonly number[] | undefined {
  if (!/^#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/.test(word)) return undefined;
  const digits = word.slice(1);
  const long = digits.length <= 4 ? Array.from(digits, (digit) => digit + digit).join("") : digits;
  const bytes = (long.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  return bytes.length === 4 ? [...bytes.slice(0, 3), (bytes[3] ?? 255) / 255] : bytes;
}

function functionChannels(word: string): readonly number[] | undefined {
  const parts = /^rgba?\(([^()]*)\)$/
    .exec(word)?.[1]
    ?.split(/[\s,/]+/)
    .filter((each) => each !== "");
  if (parts === undefined || (parts.length !== 3 && parts.length !== 4)) return undefined;
  const values = parts.map((part, index) => {
    const share = part.endsWith("%") ? Number(part.slice(0, -1)) / 100 : undefined;
    if (index === 3) return share ?? Number(part);
    return share === undefined ? Number(part) : 255 * share;
  });
  return values.some(Number.isNaN) ? undefined : values;
}

function fraction(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  return Number.isNaN(value) ? undefined : Math.min(1, Math.max(0, value));
}

function plainNumber(text: string | undefined): number | undefined {
  const value = text === undefined ? Number.NaN : Number(text.replace(/px$/, ""));
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

const selectorsMax = 200;
/** The colours of HTML 4 and the greys; others are named as not read. */
const namedColours: Readonly<Record<string, readonly number[]>> = {
  black: [0, 0, 0],
  white: [255, 255, 255],
  gray: [128, 128, 128],
  grey: [128, 128, 128],
  silver: [192, 192, 192],
  darkgray: [169, 169, 169],
  darkgrey: [169, 169, 169],
  dimgray: [105, 105, 105],
  dimgrey: [105, 105, 105],
  lightgray: [211, 211, 211],
  lightgrey: [211, 211, 211],
  gainsboro: [220, 220, 220],
  whitesmoke: [245, 245, 245],
  snow: [255, 250, 250],
  red: [255, 0, 0],
  maroon: [128, 0, 0],
  yellow: [255, 255, 0],
  olive: [128, 128, 0],
  lime: [0, 255, 0],
  green: [0, 128, 0],
  aqua: [0, 255, 255],
  cyan: [0, 255, 255],
  teal: [0, 128, 128],
  blue: [0, 0, 255],
  navy: [0, 0, 128],
  darkblue: [0, 0, 139],
  midnightblue: [25, 25, 112],
  fuchsia: [255, 0, 255],
  magenta: [255, 0, 255],
  purple: [128, 0, 128],
  orange: [255, 165, 0],
};
