/**
 * From pixels to reflectances: what a luma stands for, and the mean under the round aperture of a verifier, laid on a module
 * through the symbol's map.
 *
 * Rules: SPEC Q38. Everything here is as if the symbol were dark on light: a symbol printed light on dark is turned over at
 * the table, so nobody after it needs to know.
 */
import type { GreyPicture } from "../grey-picture.ts";
import type { Point, SymbolMap } from "../plane.ts";

/** `linear`: luma / 255 is reflectance, as in print files and verifiers. `srgb`: a camera's or scanner's curve is undone first. */
export type PictureTone = "linear" | "srgb";

/** A picture and the reflectance 0..1 of each luma. */
export type ReflectancePicture = { readonly picture: GreyPicture; readonly table: Float64Array };

/** Offsets from a module's middle, in modules: x and y in turns. */
export type ApertureDisc = Float64Array;

export function reflectancePicture(picture: GreyPicture, tone: PictureTone, inverted: boolean): ReflectancePicture {
  const table = Float64Array.from({ length: 256 }, (_, luma) => {
    const share = luma / 255;
    const reflectance = tone === "linear" ? share : linearOfSrgb(share);
    return inverted ? 1 - reflectance : reflectance;
  });
  return { picture, table };
}

/** Bilinear between the middles of pixels; the border goes on outside. */
export function reflectanceAt({ picture, table }: ReflectancePicture, x: number, y: number): number {
  const { width, height, luma } = picture;
  const fromLeft = Math.min(Math.max(x - 0.5, 0), width - 1);
  const fromTop = Math.min(Math.max(y - 0.5, 0), height - 1);
  const left = Math.floor(fromLeft);
  const top = Math.floor(fromTop);
  const right = left + 1 < width ? left + 1 : left;
  const bottom = top + 1 < height ? top + 1 : top;
  const across = fromLeft - left;
  const down = fromTop - top;
  const at = (column: number, row: number): number => table[luma[row * width + column] ?? 0] ?? 0;
  const above = at(left, top) * (1 - across) + at(right, top) * across;
  const below = at(left, bottom) * (1 - across) + at(right, bottom) * across;
  return above * (1 - down) + below * down;
}

/**
 * A disc of `diameter` modules, filled with places that stand for equal areas. They lie on a sunflower's spiral: no row of them runs along
 * an edge, so what of the disc an edge cuts off is measured however little it is.
 */
export function apertureDisc(diameter: number, places = discPlaces): ApertureDisc {
  const disc = new Float64Array(2 * places);
  for (let at = 0; at < places; at++) {
    const radius = (diameter / 2) * Math.sqrt((at + 0.5) / places);
    disc[2 * at] = radius * Math.cos(at * goldenAngle);
    disc[2 * at + 1] = radius * Math.sin(at * goldenAngle);
  }
  return disc;
}

/**
 * The mean reflectance under an aperture at (column, row) in modules. NaN when the middle is outside the picture. `ideal` gives the
 * aperture its size: an aperture does not shrink where a module did.
 */
export function apertureMean(
  source: ReflectancePicture,
  map: SymbolMap,
  column: number,
  row: number,
  disc: ApertureDisc,
  ideal: SymbolMap = map,
): number {
  const centre = map.toPicture(column, row);
  if (!isInside(source.picture, centre)) return Number.NaN;
  const across = stepOf(ideal.toPicture(column - 0.5, row), ideal.toPicture(column + 0.5, row));
  const down = stepOf(ideal.toPicture(column, row - 0.5), ideal.toPicture(column, row + 0.5));
  let sum = 0;
  for (let at = 0; at < disc.length; at += 2) {
    const x = disc[at] ?? 0;
    const y = disc[at + 1] ?? 0;
    sum += insidePixel(source, centre.x + x * across.x + y * down.x, centre.y + x * across.y + y * down.y);
  }
  return sum / (disc.length / 2);
}

/**
 * The reflectance at a place within a pixel. A pixel between light and dark neighbours saw an edge run through it: its value says
 * how much of it is light, its neighbours say on which side. The two parts keep the pixel's mean, so a blurred picture loses
 * nothing, and an aperture that ends beside an edge does not see what lies behind it.
 */
function insidePixel({ picture, table }: ReflectancePicture, x: number, y: number): number {
  const { width, height, luma } = picture;
  const column = Math.min(Math.max(Math.floor(x), 0), width - 1);
  const row = Math.min(Math.max(Math.floor(y), 0), height - 1);
  const at = row * width + column;
  const own = table[luma[at] ?? 0] ?? 0;
  const left = column === 0 ? own : (table[luma[at - 1] ?? 0] ?? 0);
  const right = column === width - 1 ? own : (table[luma[at + 1] ?? 0] ?? 0);
  const above = row === 0 ? own : (table[luma[at - width] ?? 0] ?? 0);
  const below = row === height - 1 ? own : (table[luma[at + width] ?? 0] ?? 0);
  const low = Math.min(own, left, right, above, below);
  const high = Math.max(own, left, right, above, below);
  const [across, down] = [right - left, below - above];
  const slope = Math.hypot(across, down);
  if (!(slope > edgeSlopeMin)) return own;
  const lightShare = (own - low) / (high - low);
  const reach = (Math.abs(across) + Math.abs(down)) / slope;
  const place = ((x - column - 0.5) * across + (y - row - 0.5) * down) / slope;
  return place > (0.5 - lightShare) * reach ? high : low;
}

export function isInside({ width, height }: GreyPicture, { x, y }: Point): boolean {
  return x >= 0 && y >= 0 && x < width && y < height;
}

function stepOf(from: Point, to: Point): Point {
  return { x: to.x - from.x, y: to.y - from.y };
}

/** Source: IEC 61966-2-1. */
function linearOfSrgb(share: number): number {
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

/** Reflectance; less is noise, and no edge. */
const edgeSlopeMin = 0.05;
const discPlaces = 256;
const goldenAngle = Math.PI * (3 - Math.sqrt(5));
