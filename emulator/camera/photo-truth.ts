/** What is true about a photograph of a scene: where everything is and what became of every module. */
import type { Point, SymbolMap } from "../../protocol/sticker/plane.ts";
import type { Damage } from "./condition.ts";
import type { Camera } from "./lens.ts";
import type { Light, LightField } from "./light.ts";
import { idCard } from "./references.ts";
import type { Item, PlacedCode, Scene } from "./scene.ts";
import { levelOfLight, type Sensor } from "./sensor.ts";

/** What a module's state says; damage that leaves most of a module to be seen leaves it intact. */
export const moduleState = {
  intact: 0,
  /** Printed the other way round, or shows the other shade. */
  flipped: 1,
  /** More than half of it lies under something or is gone, and it happens to show its own shade still (or none). */
  covered: 2,
  /** Light or fade leaves less than 8 levels between ink and paper. */
  washed: 3,
} as const;

export type CodeTruth = {
  readonly text: string;
  readonly version: number;
  readonly errorCorrectionLevel: "L" | "M" | "Q" | "H";
  readonly maskPattern: number;
  readonly modules: number;
  /** The true symbol, 1 dark, row by row; and what was printed of it (`flip` damage). */
  readonly symbol: Uint8Array;
  readonly printed: Uint8Array;
  /** Module units to the picture, through lens, surface and all. */
  readonly map: SymbolMap;
  /** Top left, top right, bottom right, bottom left as the symbol was made (a mirrored one goes the other way round). */
  readonly corners: readonly [Point, Point, Point, Point];
  /** Smallest, mean and largest distance between neighbouring module corners. */
  readonly pxPerModule: { readonly least: number; readonly mean: number; readonly most: number };
  /** All of the symbol is inside the picture. */
  readonly whole: boolean;
  /** True size of the print. */
  readonly moduleXMm: number;
  readonly moduleYMm: number;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly inverted: boolean;
  readonly mirrored: boolean;
  readonly paperReflectance: number;
  readonly inkReflectance: number;
  /** Of the print after all damage, mean over the middle of each module; before any light. */
  readonly reflectance: Float32Array;
  /** A `moduleState` for each module. */
  readonly states: Uint8Array;
  /** Share of modules that are not intact. */
  readonly destroyed: number;
  readonly damage: readonly Damage[];
};

export type OutlineTruth = {
  readonly name: string;
  /** Top left, top right, bottom right, bottom left in the picture; of round corners the point where the sides would meet. */
  readonly corners: readonly [Point, Point, Point, Point];
  readonly widthMm: number;
  readonly heightMm: number;
  /** How far its face stands before the plane of the wall. */
  readonly proudMm: number;
};

export type PhotoTruth = {
  readonly width: number;
  readonly height: number;
  readonly codes: readonly CodeTruth[];
  readonly bezel: OutlineTruth | undefined;
  readonly cards: readonly OutlineTruth[];
  readonly drawings: readonly OutlineTruth[];
  readonly prints: readonly OutlineTruth[];
  /** Shadows, spots and glares with their places on the wall in mm. */
  readonly light: Light;
  /** mm on the wall (as the light's places are) to the picture. */
  readonly wallToPicture: (xMm: number, yMm: number) => Point;
};

export function tellTruth(scene: Scene, camera: Camera, light: Light, field: LightField, sensor: Sensor): PhotoTruth {
  const outlines = (name: string, widthMm?: number) =>
    scene.items.filter((item) => item.name === name).map((item) => outlineTruth(item, camera, widthMm));
  const wall = scene.items[0];
  return {
    width: camera.width,
    height: camera.height,
    codes: scene.codes.map((code) => codeTruth(code, scene, camera, field, sensor)),
    bezel: outlines("bezel")[0],
    cards: outlines("card", idCard.widthMm),
    drawings: scene.order.drawings.flatMap(({ name }) => outlines(name)),
    prints: scene.order.prints.flatMap(({ name }) => outlines(name)),
    light,
    wallToPicture: (xMm, yMm) => (wall === undefined ? nowhere : itemToPicture(wall, camera, xMm, yMm)),
  };
}

function outlineTruth(item: Item, camera: Camera, widthMm = 2 * item.halfWidthMm): OutlineTruth {
  const corner = (x: number, y: number) => itemToPicture(item, camera, x * item.halfWidthMm, y * item.halfHeightMm);
  return {
    name: item.name,
    corners: [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)],
    widthMm,
    heightMm: 2 * item.halfHeightMm,
    proudMm: item.heightMm,
  };
}

/** Own coordinates of an item (mm from its middle) to the picture. Behind the lens: far outside. */
function itemToPicture(item: Item, camera: Camera, x: number, y: number): Point {
  const [cosine, sine] = [Math.cos(item.turn), Math.sin(item.turn)];
  const u = item.xMm + x * cosine - y * sine;
  const v = item.yMm + x * sine + y * cosine;
  return camera.project(item.surface.lift(u, v, item.heightMm)) ?? nowhere;
}

function codeTruth(
  { face, item }: PlacedCode,
  scene: Scene,
  camera: Camera,
  field: LightField,
  sensor: Sensor,
): CodeTruth {
  const { code, moduleXMm, moduleYMm } = face;
  const { modules, version, errorCorrectionLevel, maskPattern, text, dark } = code.symbol;
  const flip = code.mirrored ? -1 : 1;
  const toPicture = (column: number, row: number) =>
    itemToPicture(item, camera, flip * (column - modules / 2) * moduleXMm, (row - modules / 2) * moduleYMm);
  const corners = [toPicture(0, 0), toPicture(modules, 0), toPicture(modules, modules), toPicture(0, modules)] as const;
  const reflectance = reflectances(face.reflectanceOfModule, modules);
  const lightOf = (column: number, row: number) => lightAtModule(scene, camera, field, toPicture(column, row));
  const states = moduleStates({ face, reflectance, lightOf, sensor });
  const { paperReflectance, inkReflectance, inverted, mirrored, damage } = code;
  return {
    ...{ text, version, errorCorrectionLevel, maskPattern, modules, symbol: dark, printed: face.printed },
    ...{ map: { modules, toPicture }, corners, pxPerModule: modulePitch(toPicture, modules) },
    whole: isWhole(toPicture, modules, camera),
    ...{ moduleXMm, moduleYMm, widthMm: modules * moduleXMm, heightMm: modules * moduleYMm },
    ...{ inverted, mirrored, paperReflectance, inkReflectance, reflectance, states, damage },
    destroyed: states.reduce((sum, state) => sum + (state === moduleState.intact ? 0 : 1), 0) / states.length,
  };
}

/** Where the paper is gone the wall below counts as mid grey: nobody knows what a reader will make of it. */
function reflectances(at: (column: number, row: number) => number, modules: number): Float32Array {
  return Float32Array.from({ length: modules * modules }, (_, index) => {
    const [column, row] = [index % modules, Math.floor(index / modules)];
    let sum = 0;
    for (let sample = 0; sample < 25; sample++) {
      const [dx, dy] = [(sample % 5) - 2, Math.floor(sample / 5) - 2];
      const shade = at(column + 0.5 + 0.18 * dx, row + 0.5 + 0.18 * dy);
      sum += shade < 0 ? 0.4 : shade;
    }
    return sum / 25;
  });
}

function moduleStates(seen: {
  readonly face: PlacedCode["face"];
  readonly reflectance: Float32Array;
  readonly lightOf: (column: number, row: number) => { readonly lit: number; readonly shine: number };
  readonly sensor: Sensor;
}): Uint8Array {
  const { code, hiddenAt, condition } = seen.face;
  const { modules, dark } = code.symbol;
  const middle = (code.paperReflectance + code.inkReflectance) / 2;
  return Uint8Array.from({ length: modules * modules }, (_, index) => {
    const [column, row] = [(index % modules) + 0.5, Math.floor(index / modules) + 0.5];
    const { lit, shine } = seen.lightOf(column, row);
    const level = (reflectance: number) => levelOfLight(reflectance * lit + shine * code.gloss, seen.sensor.gamma);
    const contrast = level(code.paperReflectance) - level(code.inkReflectance);
    const faded = condition.fade === undefined ? 0 : fadeAt(seen.face, column, row);
    if (contrast * (1 - faded) < washedLevels) return moduleState.washed;
    const shouldBeDark = (dark[index] === 1) !== code.inverted;
    // Fade moves every shade towards the paper, and a reader's threshold with them.
    const threshold = middle + ((code.inverted ? code.inkReflectance : code.paperReflectance) - middle) * faded;
    if ((seen.reflectance[index] ?? 0) < threshold !== shouldBeDark) return moduleState.flipped;
    return hiddenShare(hiddenAt, column, row) > 0.5 ? moduleState.covered : moduleState.intact;
  });
}

function fadeAt({ condition: { fade } }: PlacedCode["face"], column: number, row: number): number {
  if (fade === undefined) return 0;
  const x = Math.max(0, Math.min(fade.width - 1, Math.floor(column - fade.left)));
  const y = Math.max(0, Math.min(fade.height - 1, Math.floor(row - fade.top)));
  return fade.shade[y * fade.width + x] ?? 0;
}

function hiddenShare(hiddenAt: (column: number, row: number) => number, column: number, row: number): number {
  let sum = 0;
  for (let sample = 0; sample < 9; sample++) {
    sum += hiddenAt(column + 0.3 * ((sample % 3) - 1), row + 0.3 * (Math.floor(sample / 3) - 1));
  }
  return sum / 9;
}

/** The renderer lights a pixel by the place where its ray meets the wall; so does the truth. */
function lightAtModule(
  scene: Scene,
  camera: Camera,
  field: LightField,
  place: Point,
): { readonly lit: number; readonly shine: number } {
  const wall = scene.items[0];
  const { origin, direction } = camera.ray(place.x, place.y);
  const met = wall?.surface.meet(origin, direction, wall.heightMm);
  if (met === undefined) return { lit: 1, shine: 0 };
  return { lit: field.lightAt(met.u, met.v), shine: field.glareAt(met.u, met.v) };
}

function modulePitch(toPicture: SymbolMap["toPicture"], modules: number): CodeTruth["pxPerModule"] {
  let [least, most, sum, count] = [Number.POSITIVE_INFINITY, 0, 0, 0];
  for (let row = 0; row <= modules; row += modules / 8) {
    for (let column = 0; column <= modules; column += modules / 8) {
      const here = toPicture(column, row);
      for (const next of [toPicture(column + 1, row), toPicture(column, row + 1)]) {
        const step = Math.hypot(next.x - here.x, next.y - here.y);
        least = Math.min(least, step);
        most = Math.max(most, step);
        sum += step;
        count++;
      }
    }
  }
  return { least, mean: sum / count, most };
}

function isWhole(toPicture: SymbolMap["toPicture"], modules: number, camera: Camera): boolean {
  for (let step = 0; step <= 16; step++) {
    const along = (modules * step) / 16;
    const border = [toPicture(along, 0), toPicture(along, modules), toPicture(0, along), toPicture(modules, along)];
    if (border.some(({ x, y }) => x < 0 || y < 0 || x > camera.width || y > camera.height)) return false;
  }
  return true;
}

const washedLevels = 8;
const nowhere: Point = { x: -1e6, y: -1e6 };
