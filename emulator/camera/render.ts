/**
 * Looks at a scene through a camera: linear light at every pixel, each pixel the mean of several rays.
 *
 * Theory: rays are followed exactly only at the corners of tiles of a few pixels, once for each surface and height that
 * something lies on; inside a tile the meeting points are interpolated. So the work of a ray inside is a few multiplications
 * and a look at the few things that reach into the tile. Interpolation is off by at most 0.05 px on flat things (seen at
 * 60 degrees through a bent lens) and 0.2 px on bent ones, which get smaller tiles.
 */

import type { Camera } from "./lens.ts";
import type { LightField } from "./light.ts";
import type { Item, Scene } from "./scene.ts";
import type { Surface } from "./surface.ts";

/** One plane of light for a grey picture, three (red, green, blue) for a coloured one. */
export type LightPlanes = { readonly width: number; readonly height: number; readonly planes: readonly Float32Array[] };

/** `raysAcross` is how many rays a pixel gets across and down, 1..6. */
export function renderLight(
  scene: Scene,
  camera: Camera,
  field: LightField,
  channels: 1 | 3,
  raysAcross: number,
): LightPlanes {
  const { width, height } = camera;
  const planes = Array.from({ length: channels }, () => new Float32Array(width * height));
  const tileSide = scene.items.every(({ surface }) => surface.flat) ? flatTileSide : bentTileSide;
  const lattices = layLattices(scene, camera, tileSide);
  const wall = lattices[0];
  const nearestFirst = scene.items.map((item, index) => ({ item, lattice: lattices[index] })).toReversed();
  const target: Target = { width, height, planes, raysAcross, field };
  for (let top = 0; top < height; top += tileSide) {
    for (let left = 0; left < width; left += tileSide) {
      const tile = { left, top, side: tileSide };
      const seen: Patch[] = [];
      for (const { item, lattice } of nearestFirst) {
        const patch = lattice === undefined ? undefined : patchOf(item, lattice, tile);
        if (patch !== undefined) seen.push(patch);
      }
      const ground = wall === undefined ? undefined : lightPatch(wall, tile);
      renderTile(target, tile, seen, ground);
    }
  }
  return { width, height, planes };
}

type Target = {
  readonly width: number;
  readonly height: number;
  readonly planes: readonly Float32Array[];
  readonly raysAcross: number;
  readonly field: LightField;
};

type Tile = { readonly left: number; readonly top: number; readonly side: number };

/** Where the rays of the tile corners meet one shell of one surface. NaN where they pass by. */
type Lattice = {
  readonly columns: number;
  readonly u: Float64Array;
  readonly v: Float64Array;
  readonly shade: Float32Array;
};

/** One lattice an item; items on the same surface at the same height share it. */
function layLattices(scene: Scene, camera: Camera, tileSide: number): readonly Lattice[] {
  const made: { readonly surface: Surface; readonly heightMm: number; readonly lattice: Lattice }[] = [];
  return scene.items.map(({ surface, heightMm }) => {
    const known = made.find((one) => one.surface === surface && one.heightMm === heightMm);
    if (known !== undefined) return known.lattice;
    const lattice = layLattice(surface, heightMm, camera, tileSide);
    made.push({ surface, heightMm, lattice });
    return lattice;
  });
}

function layLattice(surface: Surface, heightMm: number, camera: Camera, tileSide: number): Lattice {
  const columns = Math.ceil(camera.width / tileSide) + 1;
  const rows = Math.ceil(camera.height / tileSide) + 1;
  const u = new Float64Array(columns * rows).fill(Number.NaN);
  const v = new Float64Array(columns * rows).fill(Number.NaN);
  const shade = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const { origin, direction } = camera.ray(column * tileSide, row * tileSide);
      const met = surface.meet(origin, direction, heightMm);
      if (met === undefined) continue;
      const at = row * columns + column;
      u[at] = met.u;
      v[at] = met.v;
      shade[at] = met.shade;
    }
  }
  return { columns, u, v, shade };
}

/** An item as one tile sees it: its own coordinates as bilinear forms of the place inside the tile (0..1). */
type Patch = {
  readonly item: Item;
  readonly x: Bilinear;
  readonly y: Bilinear;
  readonly shade: Bilinear;
};

/** value = base + across * fx + down * fy + both * fx * fy. */
type Bilinear = { readonly base: number; readonly across: number; readonly down: number; readonly both: number };

/** Undefined where no ray of the tile can meet the item. */
function patchOf(item: Item, lattice: Lattice, tile: Tile): Patch | undefined {
  const { u, v, shade, columns } = lattice;
  const at = (tile.top / tile.side) * columns + tile.left / tile.side;
  const [cosine, sine] = [Math.cos(item.turn), Math.sin(item.turn)];
  const ownX = (index: number) => ((u[index] ?? 0) - item.xMm) * cosine + ((v[index] ?? 0) - item.yMm) * sine;
  const ownY = (index: number) => ((v[index] ?? 0) - item.yMm) * cosine - ((u[index] ?? 0) - item.xMm) * sine;
  const x = bilinear(ownX(at), ownX(at + 1), ownX(at + columns), ownX(at + columns + 1));
  const y = bilinear(ownY(at), ownY(at + 1), ownY(at + columns), ownY(at + columns + 1));
  if (!reaches(x, item.halfWidthMm) || !reaches(y, item.halfHeightMm)) return undefined;
  const shadeAt = (index: number) => shade[index] ?? 1;
  return {
    item,
    x,
    y,
    shade: bilinear(shadeAt(at), shadeAt(at + 1), shadeAt(at + columns), shadeAt(at + columns + 1)),
  };
}

/** False also for NaN: a tile of which a corner passes by is not drawn. */
function reaches({ base, across, down, both }: Bilinear, half: number): boolean {
  const [one, two, three, four] = [base, base + across, base + down, base + across + down + both];
  return Math.min(one, two, three, four) <= half && Math.max(one, two, three, four) >= -half;
}

function lightPatch(lattice: Lattice, tile: Tile): { readonly u: Bilinear; readonly v: Bilinear } {
  const { u, v, columns } = lattice;
  const at = (tile.top / tile.side) * columns + tile.left / tile.side;
  const of = (plane: Float64Array) =>
    bilinear(plane[at] ?? 0, plane[at + 1] ?? 0, plane[at + columns] ?? 0, plane[at + columns + 1] ?? 0);
  return { u: of(u), v: of(v) };
}

function bilinear(topLeft: number, topRight: number, bottomLeft: number, bottomRight: number): Bilinear {
  return {
    base: topLeft,
    across: topRight - topLeft,
    down: bottomLeft - topLeft,
    both: bottomRight - topRight - bottomLeft + topLeft,
  };
}

function renderTile(
  target: Target,
  tile: Tile,
  seen: readonly Patch[],
  ground: { readonly u: Bilinear; readonly v: Bilinear } | undefined,
): void {
  const { width, height, planes, field } = target;
  const right = Math.min(tile.side, width - tile.left);
  const bottom = Math.min(tile.side, height - tile.top);
  const raysAcross = seen.length === 1 && isSmooth(seen[0], tile.side) ? 1 : target.raysAcross;
  const rays = { raysAcross, tileSide: tile.side, coloured: planes.length === 3 };
  for (let row = 0; row < bottom; row++) {
    for (let column = 0; column < right; column++) {
      sumRays(seen, rays, column, row);
      const [fx, fy] = [(column + 0.5) / tile.side, (row + 0.5) / tile.side];
      const u = ground === undefined ? 0 : valueAt(ground.u, fx, fy);
      const v = ground === undefined ? 0 : valueAt(ground.v, fx, fy);
      // Beyond the wall's horizon there is nothing to be lit at a place of its own.
      const isWall = Number.isFinite(u);
      const lit = isWall ? field.lightAt(u, v) : field.lightAt(0, 0);
      const shine = isWall ? field.glareAt(u, v) * seenGloss : 0;
      const at = (tile.top + row) * width + tile.left + column;
      for (const [channel, plane] of planes.entries()) plane[at] = (seenLight[channel] ?? 0) * lit + shine;
    }
  }
}

/** Means over the rays of one pixel: reflectance by channel into `seenLight`, gloss into `seenGloss`. */
function sumRays(
  seen: readonly Patch[],
  rays: { readonly raysAcross: number; readonly tileSide: number; readonly coloured: boolean },
  column: number,
  row: number,
): void {
  const { raysAcross, tileSide, coloured } = rays;
  const part = 1 / (raysAcross * tileSide);
  const share = 1 / (raysAcross * raysAcross);
  seenLight.fill(0);
  seenGloss = 0;
  let missed = 0;
  for (let ray = 0; ray < raysAcross * raysAcross; ray++) {
    const fx = column / tileSide + ((ray % raysAcross) + 0.5) * part;
    const fy = row / tileSide + (Math.floor(ray / raysAcross) + 0.5) * part;
    let met = false;
    for (const { item, x, y, shade } of seen) {
      const reflectance = item.paint(valueAt(x, fx, fy), valueAt(y, fx, fy));
      if (reflectance < 0) continue;
      const lit = reflectance * valueAt(shade, fx, fy) * share;
      seenGloss += item.gloss * share;
      seenLight[0] = (seenLight[0] ?? 0) + lit * (coloured ? item.tint[0] : 1);
      if (coloured) {
        seenLight[1] = (seenLight[1] ?? 0) + lit * item.tint[1];
        seenLight[2] = (seenLight[2] ?? 0) + lit * item.tint[2];
      }
      met = true;
      break;
    }
    if (!met) missed++;
  }
  if (missed > 0) for (let at = 0; at < 3; at++) seenLight[at] = (seenLight[at] ?? 0) + missed * share * farShade;
}

/** Pixels of this tile are no larger than the finest thing painted there. */
function isSmooth(patch: Patch | undefined, tileSide: number): boolean {
  if (patch?.item.finestMm === undefined) return false;
  const { x, y } = patch;
  const across = Math.hypot(Math.abs(x.across) + Math.abs(x.both), Math.abs(y.across) + Math.abs(y.both));
  const down = Math.hypot(Math.abs(x.down) + Math.abs(x.both), Math.abs(y.down) + Math.abs(y.both));
  return Math.max(across, down) / tileSide <= patch.item.finestMm;
}

function valueAt({ base, across, down, both }: Bilinear, fx: number, fy: number): number {
  return base + across * fx + fy * (down + both * fx);
}

// One picture is rendered at a time; sums of the pixel in hand live here so that none is allocated for each.
const seenLight = new Float64Array(3);
let seenGloss = 0;
const flatTileSide = 6;
const bentTileSide = 3;
// What is seen past everything that was put up: a grey day.
const farShade = 0.45;
