/** The `d` of an SVG path, and the shapes that are short for one, as subpaths of straight lines. Source: SVG 1.1, 8.3 and 9. */
import type { Subpath } from "./paper-drawing.ts";
import { addArc, addCubic } from "./path-curves.ts";

/** What was read before a mistake; `complete` is false when there was one, or when `pointsMax` was reached. */
export type PathData = { readonly subpaths: readonly Subpath[]; readonly complete: boolean };

/** Reads path data. Any text gives what stands before its first mistake, as the standard wants it drawn. */
export function pathToSubpaths(data: string, pointsMax: number): PathData {
  const hand: PathInHand = { subpaths: [], points: [], x: 0, y: 0, startX: 0, startY: 0, control: undefined, total: 0 };
  const scanner = { text: data, at: 0 };
  let complete = true;
  let command = "";
  while (complete) {
    skipSeparators(scanner);
    if (scanner.at >= data.length) break;
    const letter = data[scanner.at] ?? "";
    if (/[a-zA-Z]/.test(letter)) {
      command = letter;
      scanner.at++;
    } else if (command === "" || command === "z" || command === "Z") {
      complete = false;
      break;
    } else if (command === "M") command = "L";
    else if (command === "m") command = "l";
    const values = readArguments(scanner, command);
    complete = values !== undefined && hand.total <= pointsMax && drawCommand(hand, command, values);
  }
  endSubpath(hand, false);
  return { subpaths: hand.subpaths, complete };
}

/** A rectangle, with rounded corners where the radii are not 0. */
export function rectangleToSubpath(
  x: number,
  y: number,
  width: number,
  height: number,
  radiusX: number,
  radiusY: number,
): Subpath {
  const rx = Math.min(radiusX, width / 2);
  const ry = Math.min(radiusY, height / 2);
  if (!(rx > 0 && ry > 0)) {
    return { points: [x, y, x + width, y, x + width, y + height, x, y + height], closed: true };
  }
  const points = [x + rx, y];
  const corner = (edgeX: number, edgeY: number, toX: number, toY: number) => {
    points.push(edgeX, edgeY);
    const arc = { radiusX: rx, radiusY: ry, turn: 0, large: false, sweep: true };
    addArc(points, { ...arc, fromX: edgeX, fromY: edgeY, toX, toY });
  };
  corner(x + width - rx, y, x + width, y + ry);
  corner(x + width, y + height - ry, x + width - rx, y + height);
  corner(x + rx, y + height, x, y + height - ry);
  corner(x, y + ry, x + rx, y);
  return { points, closed: true };
}

export function ellipseToSubpath(centreX: number, centreY: number, radiusX: number, radiusY: number): Subpath {
  const points = [centreX + radiusX, centreY];
  const half = { radiusX, radiusY, turn: 0, large: false, sweep: true };
  const [left, right] = [centreX - radiusX, centreX + radiusX];
  addArc(points, { ...half, fromX: right, fromY: centreY, toX: left, toY: centreY });
  addArc(points, { ...half, fromX: left, fromY: centreY, toX: right, toY: centreY });
  return { points, closed: true };
}

/** The numbers of `points="..."`; a last odd one is dropped. */
export function listToPoints(list: string): readonly number[] {
  const numbers = list.match(numberPattern)?.map(Number) ?? [];
  return numbers.slice(0, numbers.length - (numbers.length % 2));
}

type PathInHand = {
  readonly subpaths: Subpath[];
  points: number[];
  x: number;
  y: number;
  startX: number;
  startY: number;
  /** The last control point, for the smooth commands, and the kind of curve it belongs to. */
  control: { readonly x: number; readonly y: number; readonly kind: "cubic" | "quadratic" } | undefined;
  total: number;
};

type Scanner = { readonly text: string; at: number };

/** False for a letter that is no command. */
function drawCommand(hand: PathInHand, command: string, values: readonly number[]): boolean {
  const relative = command >= "a";
  const [originX, originY] = relative ? [hand.x, hand.y] : [0, 0];
  const [v0 = 0, v1 = 0] = values;
  const upper = command.toUpperCase();
  if (upper === "Z") {
    endSubpath(hand, true);
    return true;
  }
  if (upper === "M") {
    endSubpath(hand, false);
    [hand.x, hand.y] = [originX + v0, originY + v1];
    [hand.startX, hand.startY] = [hand.x, hand.y];
    return true;
  }
  if (hand.points.length === 0) hand.points.push(hand.x, hand.y);
  if (upper === "L") lineTo(hand, originX + v0, originY + v1);
  else if (upper === "H") lineTo(hand, originX + v0, hand.y);
  else if (upper === "V") lineTo(hand, hand.x, originY + v0);
  else if (upper === "C" || upper === "S") curveTo(hand, upper, values, originX, originY);
  else if (upper === "Q" || upper === "T") quadraticTo(hand, upper, values, originX, originY);
  else if (upper === "A") arcTo(hand, values, originX, originY);
  else return false;
  return true;
}

function lineTo(hand: PathInHand, x: number, y: number): void {
  hand.points.push(x, y);
  moveTo(hand, x, y, undefined, 1);
}

function curveTo(hand: PathInHand, upper: "C" | "S", values: readonly number[], ox: number, oy: number): void {
  const smooth = hand.control?.kind === "cubic" ? hand.control : hand;
  const first = upper === "C" ? values.slice(0, 2) : [2 * hand.x - smooth.x - ox, 2 * hand.y - smooth.y - oy];
  const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, x = 0, y = 0] = [...first, ...(upper === "C" ? values.slice(2) : values)];
  addCubic(hand.points, [hand.x, hand.y, ox + x1, oy + y1, ox + x2, oy + y2, ox + x, oy + y]);
  moveTo(hand, ox + x, oy + y, { x: ox + x2, y: oy + y2, kind: "cubic" }, 16);
}

function quadraticTo(hand: PathInHand, upper: "Q" | "T", values: readonly number[], ox: number, oy: number): void {
  const smooth = hand.control?.kind === "quadratic" ? hand.control : hand;
  const [cx, cy] =
    upper === "Q" ? [ox + (values[0] ?? 0), oy + (values[1] ?? 0)] : [2 * hand.x - smooth.x, 2 * hand.y - smooth.y];
  const [x = 0, y = 0] = values.slice(-2);
  const [toX, toY] = [ox + x, oy + y];
  const between = (from: number, control: number) => from + (2 / 3) * (control - from);
  addCubic(hand.points, [
    hand.x,
    hand.y,
    between(hand.x, cx),
    between(hand.y, cy),
    between(toX, cx),
    between(toY, cy),
    toX,
    toY,
  ]);
  moveTo(hand, toX, toY, { x: cx, y: cy, kind: "quadratic" }, 16);
}

function arcTo(hand: PathInHand, values: readonly number[], originX: number, originY: number): void {
  const [radiusX = 0, radiusY = 0, turn = 0, large = 0, sweep = 0, x = 0, y = 0] = values;
  const [toX, toY] = [originX + x, originY + y];
  const flags = { large: large !== 0, sweep: sweep !== 0 };
  addArc(hand.points, { fromX: hand.x, fromY: hand.y, radiusX, radiusY, turn, ...flags, toX, toY });
  moveTo(hand, toX, toY, undefined, 16);
}

function moveTo(hand: PathInHand, x: number, y: number, control: PathInHand["control"], points: number): void {
  hand.x = x;
  hand.y = y;
  hand.control = control;
  hand.total += points;
}

function endSubpath(hand: PathInHand, closed: boolean): void {
  if (hand.points.length >= 4) hand.subpaths.push({ points: hand.points, closed });
  hand.points = [];
  hand.control = undefined;
  if (closed) [hand.x, hand.y] = [hand.startX, hand.startY];
}

/** Undefined when a number is missing. */
function readArguments(scanner: Scanner, command: string): readonly number[] | undefined {
  const upper = command.toUpperCase();
  const count = argumentCounts[upper];
  if (count === undefined) return undefined;
  const values: number[] = [];
  for (let index = 0; index < count; index++) {
    skipSeparators(scanner);
    // The two flags of an arc may be written without anything between them: `a1 1 0 01.5.5`.
    const isFlag = upper === "A" && (index === 3 || index === 4);
    const pattern = isFlag ? flagPattern : stickyNumberPattern;
    pattern.lastIndex = scanner.at;
    const found = pattern.exec(scanner.text);
    if (found === null) return undefined;
    scanner.at += found[0].length;
    values.push(Number(found[0]));
  }
  return values;
}

function skipSeparators(scanner: Scanner): void {
  while (scanner.at < scanner.text.length && " \t\r\n\f,".includes(scanner.text[scanner.at] ?? "")) scanner.at++;
}

const argumentCounts: Readonly<Record<string, number>> = {
  M: 2,
  L: 2,
  H: 1,
  V: 1,
  C: 6,
  S: 4,
  Q: 4,
  T: 2,
  A: 7,
  Z: 0,
};
const numberPattern = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/g;
const stickyNumberPattern = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const flagPattern = /[01]/y;
