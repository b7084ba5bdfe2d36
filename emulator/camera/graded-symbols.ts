/**
 * Symbols with defects that are known exactly, printed and scanned without a lens: every module's reflectance, lines that slipped,
 * paper that stretched, ink that grew. For the proof of graders: what was injected is the truth, `graded-truth.ts` works from it.
 *
 * The plane of the print is measured in modules of the ideal grid. A place on it is first moved back by the smooth stretch, then
 * found between the slipped lines; ink of the neighbours may reach over the line. Pixels are means of 16 places, no two of which
 * share a column or a row, so an edge along the pixels is good to a sixteenth.
 */
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import type { Point, SymbolMap } from "../../protocol/sticker/plane.ts";
import type { SeededRandom } from "../world/random.ts";

export type InjectedSymbol = {
  readonly version: number;
  readonly level: "L" | "M" | "Q" | "H";
  readonly mask: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
  /** The true modules, 1 dark, row by row. */
  readonly dark: Uint8Array;
  readonly modules: number;
  /** Reflectance 0..1 of each cell as printed, quiet zone included, row by row, (modules + 8) a side. */
  readonly reflectance: Float64Array;
  /** 1 where the cell was printed as ink, right or wrong; ink grows. */
  readonly inked: Uint8Array;
  /** Where lines 0..modules really run, less their number, in modules. */
  readonly columnSlip: Float64Array;
  readonly rowSlip: Float64Array;
  readonly stretch: Stretch;
  /** Ink is wider by this share of a module, narrower below 0. */
  readonly growth: { readonly across: number; readonly down: number };
  readonly inverted: boolean;
};

/** A smooth shift of the paper: `amount` modules at most, in waves about the symbol's size. */
export type Stretch = { readonly acrossAmount: number; readonly downAmount: number; readonly phase: number };

export type Scan = {
  readonly pixelsAcross: number;
  readonly pixelsDown: number;
  /** Radians. */
  readonly turn: number;
  /** Where the symbol's outer corner is beyond the quiet zone, in fractions of a pixel. */
  readonly offset: Point;
  /** Standard deviation in steps of luma. */
  readonly noise: number;
};

/** Modules around the symbol that are rendered: the quiet zone and a little more paper. */
const renderedMargin = 5;

/** The map of the ideal grid: what a locator should hand over. */
export function idealMap(modules: number, scan: Scan): SymbolMap {
  const { cos, sin, origin } = placement(modules, scan);
  return {
    modules,
    toPicture: (column, row) => {
      const x = (column + renderedMargin) * scan.pixelsAcross;
      const y = (row + renderedMargin) * scan.pixelsDown;
      return { x: origin.x + x * cos - y * sin, y: origin.y + x * sin + y * cos };
    },
  };
}

/** Scans a symbol. The random source is drawn from for noise only. A pixel well inside a module is looked at once. */
export function scanSymbol(symbol: InjectedSymbol, scan: Scan, random: SeededRandom): GreyPicture {
  const { cos, sin, origin, width, height } = placement(symbol.modules, scan);
  const luma = new Uint8Array(width * height);
  const ink = Math.max(Math.abs(symbol.growth.across), Math.abs(symbol.growth.down)) / 2;
  const clearance = ink + 0.85 / Math.min(scan.pixelsAcross, scan.pixelsDown);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = (inX: number, inY: number): Point => {
        const x = column + inX - origin.x;
        const y = row + inY - origin.y;
        return {
          x: (x * cos + y * sin) / scan.pixelsAcross - renderedMargin,
          y: (y * cos - x * sin) / scan.pixelsDown - renderedMargin,
        };
      };
      let reflectance = plainReflectance(symbol, at(0.5, 0.5), clearance);
      if (reflectance === undefined) {
        reflectance = 0;
        for (const [inX, inY] of pixelPlaces) {
          const { x, y } = at(inX, inY);
          reflectance += printedReflectance(symbol, x, y) / pixelPlaces.length;
        }
      }
      const value = 255 * reflectance + (scan.noise === 0 ? 0 : scan.noise * random.gaussian());
      luma[row * width + column] = Math.min(Math.max(Math.round(value), 0), 255);
    }
  }
  return { width, height, luma };
}

/** The reflectance at a place of the print, in modules of the ideal grid. */
export function printedReflectance(symbol: InjectedSymbol, across: number, down: number): number {
  const back = unstretched(symbol, { x: across, y: down });
  const { modules, growth } = symbol;
  const column = cellOf(symbol.columnSlip, modules, back.x);
  const row = cellOf(symbol.rowSlip, modules, back.y);
  const own = isInked(symbol, column, row);
  const left = back.x - lineAt(symbol.columnSlip, modules, column);
  const right = lineAt(symbol.columnSlip, modules, column + 1) - back.x;
  const above = back.y - lineAt(symbol.rowSlip, modules, row);
  const below = lineAt(symbol.rowSlip, modules, row + 1) - back.y;
  // Ink reaches over a line by half the growth; where it shrank, the paper beside it does.
  const dx = reachingFrom(left, right, growth.across, own);
  const dy = reachingFrom(above, below, growth.down, own);
  if (dx !== 0 && isInked(symbol, column + dx, row) !== own) return reflectanceOf(symbol, column + dx, row);
  if (dy !== 0 && isInked(symbol, column, row + dy) !== own) return reflectanceOf(symbol, column, row + dy);
  if (dx !== 0 && dy !== 0 && isInked(symbol, column + dx, row + dy) !== own) {
    return reflectanceOf(symbol, column + dx, row + dy);
  }
  return reflectanceOf(symbol, column, row);
}

/** The reflectance of the cell around a place when no line is nearer than `clearance`, so that all of a pixel is alike. */
function plainReflectance(symbol: InjectedSymbol, place: Point, clearance: number): number | undefined {
  const { x, y } = unstretched(symbol, place);
  const { modules, columnSlip, rowSlip } = symbol;
  const column = cellOf(columnSlip, modules, x);
  const row = cellOf(rowSlip, modules, y);
  const isClear =
    x - lineAt(columnSlip, modules, column) > clearance &&
    lineAt(columnSlip, modules, column + 1) - x > clearance &&
    y - lineAt(rowSlip, modules, row) > clearance &&
    lineAt(rowSlip, modules, row + 1) - y > clearance;
  return isClear ? reflectanceOf(symbol, column, row) : undefined;
}

/** Where the middle of a module really is, in modules of the ideal grid. */
export function truePlace(symbol: InjectedSymbol, column: number, row: number): Point {
  const middle = (slip: Float64Array, at: number): number =>
    (lineAt(slip, symbol.modules, at) + lineAt(slip, symbol.modules, at + 1)) / 2;
  return stretched(symbol, { x: middle(symbol.columnSlip, column), y: middle(symbol.rowSlip, row) });
}

function placement(modules: number, { pixelsAcross, pixelsDown, turn, offset }: Scan) {
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const [x, y] = [(modules + 2 * renderedMargin) * pixelsAcross, (modules + 2 * renderedMargin) * pixelsDown];
  const corners = [
    [0, 0],
    [x, 0],
    [0, y],
    [x, y],
  ].map(([u = 0, v = 0]) => [u * cos - v * sin, u * sin + v * cos] as const);
  const least = [Math.min(...corners.map(([u]) => u)), Math.min(...corners.map(([, v]) => v))];
  const most = [Math.max(...corners.map(([u]) => u)), Math.max(...corners.map(([, v]) => v))];
  const origin = { x: offset.x - (least[0] ?? 0), y: offset.y - (least[1] ?? 0) };
  const width = Math.ceil((most[0] ?? 0) - (least[0] ?? 0) + offset.x) + 1;
  const height = Math.ceil((most[1] ?? 0) - (least[1] ?? 0) + offset.y) + 1;
  return { cos, sin, origin, width, height };
}

/** Which neighbour's ink or paper could reach here: -1, 1, or 0 for none. */
function reachingFrom(before: number, after: number, growth: number, own: boolean): number {
  const reach = (own ? -growth : growth) / 2;
  if (before < reach) return -1;
  return after < reach ? 1 : 0;
}

function cellOf(slip: Float64Array, modules: number, place: number): number {
  let cell = Math.floor(place);
  while (place < lineAt(slip, modules, cell)) cell--;
  while (place >= lineAt(slip, modules, cell + 1)) cell++;
  return cell;
}

/** Lines outside the symbol move with its border. */
function lineAt(slip: Float64Array, modules: number, line: number): number {
  return line + (slip[Math.min(Math.max(line, 0), modules)] ?? 0);
}

function isInked({ inked, modules }: InjectedSymbol, column: number, row: number): boolean {
  const side = modules + 8;
  if (column < -4 || row < -4 || column >= modules + 4 || row >= modules + 4) return false;
  return inked[(row + 4) * side + column + 4] === 1;
}

/** Beyond the quiet zone the border's cell goes on. */
function reflectanceOf({ reflectance, modules }: InjectedSymbol, column: number, row: number): number {
  const side = modules + 8;
  const x = Math.min(Math.max(column + 4, 0), side - 1);
  const y = Math.min(Math.max(row + 4, 0), side - 1);
  return reflectance[y * side + x] ?? 0;
}

function stretched({ stretch, modules }: InjectedSymbol, { x, y }: Point): Point {
  const wave = (place: number): number => Math.sin((Math.PI * place) / modules + stretch.phase);
  return { x: x + stretch.acrossAmount * wave(y) * wave(x + y), y: y + stretch.downAmount * wave(x) };
}

/** Fixed point: the stretch is small and smooth, so a few turns are exact to a thousandth. */
function unstretched(symbol: InjectedSymbol, seen: Point): Point {
  const { acrossAmount, downAmount } = symbol.stretch;
  if (acrossAmount === 0 && downAmount === 0) return seen;
  let place = seen;
  for (let turn = 0; turn < 4; turn++) {
    const there = stretched(symbol, place);
    place = { x: place.x + seen.x - there.x, y: place.y + seen.y - there.y };
  }
  return place;
}

/** Sixteen places in a pixel, each in a column and a row of its own (a lattice of step 5 in 16). */
const pixelPlaces = Array.from({ length: 16 }, (_, at) => [(at + 0.5) / 16, (((5 * at + 3) % 16) + 0.5) / 16] as const);
