/**
 * What hangs where: a wall, what it is made of, and flat things on it, each with its height above its surface in mm. A scene
 * is made once from an order and can be photographed many times.
 */
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { lookUpMirrored, rectangle } from "./canvas.ts";
import { layeredNoise } from "./noise.ts";
import {
  type Bezel,
  bezelLip,
  bezelPlate,
  bezelSide,
  type Card,
  cardFace,
  cardSide,
  type Drawing,
  drawingFace,
  idCard,
  type Paint,
  type PrintedPicture,
  printedFace,
} from "./references.ts";
import { type MountedCode, makeFace, type StickerFace } from "./sticker-face.ts";
import { crumpledSurface, cylinderSurface, flatSurface, foldedSurface, type Lamp, type Surface } from "./surface.ts";
import { paintWall, type WallKind } from "./walls.ts";

export type SurfaceOrder =
  | { readonly kind: "flat" }
  /** A pipe of `radiusMm`, its axis turned by radians from upright. */
  | { readonly kind: "cylinder"; readonly radiusMm: number; readonly turn: number; readonly bulge: "out" | "in" }
  | { readonly kind: "crumpled"; readonly heightMm: number; readonly lengthMm: number }
  | {
      readonly kind: "folded";
      readonly xMm: number;
      readonly yMm: number;
      readonly turn: number;
      readonly angle: number;
    };

export type SceneOrder = {
  readonly seed: number;
  readonly wall: WallKind;
  /** Mean reflectance of the wall. */
  readonly wallTone: number;
  /** How much of the wall is painted before it repeats; about what the picture shows. */
  readonly wallMm: number;
  readonly wallTexels: number;
  /** What the codes stick to, in front of the flat wall. */
  readonly surface: SurfaceOrder;
  readonly codes: readonly MountedCode[];
  /** A sheet of paper the codes are printed on: half sizes about the origin; its shade. */
  readonly sheet?: { readonly widthMm: number; readonly heightMm: number; readonly shade: number };
  readonly bezel?: Bezel;
  readonly cards: readonly Card[];
  readonly drawings: readonly Drawing[];
  readonly prints: readonly PrintedPicture[];
  /** The codes are shown on a screen of this pixel pitch instead of paper. */
  readonly screenPitchMm?: number;
  readonly lamp: Lamp;
};

/** One flat thing. */
export type Item = {
  readonly name: string;
  readonly surface: Surface;
  readonly heightMm: number;
  readonly xMm: number;
  readonly yMm: number;
  /** Radians. */
  readonly turn: number;
  readonly halfWidthMm: number;
  readonly halfHeightMm: number;
  /** At mm from its middle; negative where it is not. */
  readonly paint: Paint;
  /** Red, green and blue of its light, about 1 each. */
  readonly tint: readonly [number, number, number];
  readonly gloss: number;
  /** Nothing smaller than this is painted on it, so one ray is enough where pixels see less. Unknown: many rays. */
  readonly finestMm?: number;
};

export type PlacedCode = { readonly face: StickerFace; readonly item: Item };

export type Scene = {
  readonly order: SceneOrder;
  /** From the farthest to the nearest. */
  readonly items: readonly Item[];
  readonly codes: readonly PlacedCode[];
};

/** A plain wall with nothing on it; tests and sets say what differs. */
export function orderScene(order: Partial<SceneOrder> & Pick<SceneOrder, "seed">): SceneOrder {
  return {
    ...{ wall: "plaster", wallTone: 0.55, wallMm: 300, wallTexels: 640, surface: { kind: "flat" }, codes: [] },
    ...{ cards: [], drawings: [], prints: [], lamp: { towards: [-0.4, -0.6, -0.7], share: 0.5 } },
    ...order,
  };
}

export function buildScene(order: SceneOrder): Scene {
  const random = (part: string) => seededRandom(order.seed, `camera/scene/${part}`);
  const surface = makeSurface(order.surface, order.lamp, random("surface"));
  const ground = flatSurface(groundDepthMm(order.surface));
  const items: Item[] = [];
  if (order.bezel !== undefined) items.push(...bezelItems(order.bezel, random("bezel")));
  if (order.sheet !== undefined) items.push(sheetItem(order.sheet, surface, random("sheet")));
  const codes = order.codes.map((code, index): PlacedCode => {
    const face = makeFace(code, random(`code/${index}`));
    return { face, item: codeItem(face, surface, order.screenPitchMm) };
  });
  items.push(...codes.map(({ item }) => item));
  for (const drawing of order.drawings) items.push(drawingItem(drawing));
  for (const print of order.prints) items.push(printItem(print));
  for (const [index, card] of order.cards.entries()) items.push(...cardItems(card, random(`card/${index}`)));
  const wall = wallItem(order, ground, random("wall"));
  return { order, items: [wall, ...items.toSorted((one, other) => one.heightMm - other.heightMm)], codes };
}

/** A pipe bulges towards us, and its wall is behind its middle; anything else lies on the wall. */
function groundDepthMm(surface: SurfaceOrder): number {
  if (surface.kind === "cylinder" && surface.bulge === "out") return surface.radiusMm;
  return surface.kind === "flat" ? 0 : 4;
}

function makeSurface(order: SurfaceOrder, lamp: Lamp, random: SeededRandom): Surface {
  switch (order.kind) {
    case "flat":
      return flatSurface();
    case "cylinder":
      return cylinderSurface(order.radiusMm, order.turn, order.bulge, lamp);
    case "crumpled":
      return crumpledSurface(layeredNoise(random, 3), order.heightMm, order.lengthMm, lamp);
    case "folded":
      return foldedSurface(order.xMm, order.yMm, order.turn, order.angle, lamp);
  }
}

function wallItem(order: SceneOrder, surface: Surface, random: SeededRandom): Item {
  const canvas = paintWall(order.wall, order.wallMm, order.wallTexels, order.wallTone, random);
  const raised = [
    ...(order.bezel === undefined ? [] : [{ ...order.bezel, height: order.bezel.proudMm }]),
    ...order.cards.map((card) => ({ ...card, ...idCard, height: idCard.thicknessMm + card.heldOffMm })),
  ];
  const shadows = raised.map((thing) => contactShadow(thing, order.lamp));
  return {
    ...{ name: "wall", surface, heightMm: 0, xMm: 0, yMm: 0, turn: 0 },
    // Wider than any picture shows, so that it never ends.
    ...{ halfWidthMm: 1e6, halfHeightMm: 1e6, tint: [1, 0.97, 0.92], gloss: 0.15 },
    finestMm: order.wallMm / order.wallTexels,
    paint: (x, y) => {
      let shade = lookUpMirrored(canvas, canvas.shade, x, y);
      for (const shadow of shadows) shade *= shadow(x, y);
      return shade;
    },
  };
}

type Raised = {
  readonly xMm: number;
  readonly yMm: number;
  readonly turnDegrees: number;
  readonly widthMm: number;
  readonly heightMm: number;
  readonly height: number;
  readonly cornerMm: number;
};

/** The soft dark seam beside what stands proud, deeper on the side away from the lamp. */
function contactShadow(thing: Raised, lamp: Lamp): Paint {
  const reach = 0.6 + thing.height;
  const x0 = thing.xMm - lamp.towards[0] * thing.height;
  const y0 = thing.yMm - lamp.towards[1] * thing.height;
  const turn = (thing.turnDegrees * Math.PI) / 180;
  const { distance } = rectangle(x0, y0, thing.widthMm, thing.heightMm, turn, thing.cornerMm);
  return (x, y) => {
    const away = distance(x, y);
    return away > 6 * reach ? 1 : 1 - 0.5 * Math.exp(-Math.max(0, away) / reach);
  };
}

function bezelItems(bezel: Bezel, random: SeededRandom): readonly Item[] {
  const place = {
    ...{ surface: flatSurface(), xMm: bezel.xMm, yMm: bezel.yMm, turn: (bezel.turnDegrees * Math.PI) / 180 },
    ...{ halfWidthMm: bezel.widthMm / 2, halfHeightMm: bezel.heightMm / 2, gloss: 0.5 },
  };
  const tint = [0.98, 1, 1.02] as const;
  const plate: Item = { ...place, name: "plate", heightMm: -0.01, paint: bezelPlate(bezel, random), tint };
  const side = bezelSide(bezel);
  const slices = Math.min(8, Math.max(0, Math.ceil(bezel.proudMm * 2)));
  const wall = Array.from({ length: slices }, (_, slice): Item => {
    const heightMm = (bezel.proudMm * slice) / slices;
    return { ...place, name: "bezel side", heightMm, paint: side, tint };
  });
  return [plate, ...wall, { ...place, name: "bezel", heightMm: bezel.proudMm + 0.001, paint: bezelLip(bezel), tint }];
}

function sheetItem(sheet: NonNullable<SceneOrder["sheet"]>, surface: Surface, random: SeededRandom): Item {
  const [halfWidthMm, halfHeightMm] = [sheet.widthMm / 2, sheet.heightMm / 2];
  const grain = layeredNoise(random, 2);
  return {
    ...{ name: "sheet", surface, heightMm: 0, xMm: 0, yMm: 0, turn: 0, halfWidthMm, halfHeightMm, gloss: 0.4 },
    tint: [1, 0.99, 0.96],
    paint: (x, y) =>
      Math.abs(x) > halfWidthMm || Math.abs(y) > halfHeightMm ? -1 : sheet.shade * (1 + 0.012 * grain(x / 2, y / 2)),
  };
}

function codeItem(face: StickerFace, surface: Surface, screenPitchMm: number | undefined): Item {
  const { code, halfWidthMm, halfHeightMm, reflectance } = face;
  return {
    ...{ name: "code", surface, heightMm: stickerHeightMm, xMm: code.xMm, yMm: code.yMm },
    turn: (code.turnDegrees * Math.PI) / 180,
    ...{ halfWidthMm, halfHeightMm, tint: [1, 0.99, 0.97], gloss: code.gloss },
    paint: screenPitchMm === undefined ? reflectance : screenPaint(reflectance, screenPitchMm),
  };
}

/** A screen shows square pixels with dark seams between them, wider across than down. */
function screenPaint(reflectance: Paint, pitch: number): Paint {
  return (x, y) => {
    const [column, row] = [Math.floor(x / pitch), Math.floor(y / pitch)];
    const shown = reflectance((column + 0.5) * pitch, (row + 0.5) * pitch);
    if (shown < 0) return shown;
    const [inX, inY] = [x / pitch - column, y / pitch - row];
    return inX < 0.22 || inY < 0.14 ? shown * 0.25 : shown * 1.15;
  };
}

function cardItems(card: Card, random: SeededRandom): readonly Item[] {
  const place = {
    ...{ surface: flatSurface(), xMm: card.xMm, yMm: card.yMm, turn: (card.turnDegrees * Math.PI) / 180 },
    ...{ halfWidthMm: idCard.widthMm / 2, halfHeightMm: idCard.heightMm / 2 },
  };
  const top = card.heldOffMm + idCard.thicknessMm;
  const tint = { bright: [1, 1, 1], dark: [0.9, 0.95, 1.2], patterned: [0.8, 0.95, 1.25] } as const;
  return [
    { ...place, name: "card side", heightMm: top - 0.5, paint: cardSide(), tint: [1, 1, 1], gloss: 0.1 },
    { ...place, name: "card side", heightMm: top - 0.25, paint: cardSide(), tint: [1, 1, 1], gloss: 0.1 },
    { ...place, name: "card", heightMm: top, paint: cardFace(card.look, random), tint: tint[card.look], gloss: 0.8 },
  ];
}

function drawingItem(drawing: Drawing): Item {
  return {
    ...{ name: drawing.name, surface: flatSurface(), heightMm: drawing.heightAboveMm, xMm: drawing.xMm },
    ...{ yMm: drawing.yMm, turn: (drawing.turnDegrees * Math.PI) / 180, halfWidthMm: drawing.widthMm / 2 },
    ...{ halfHeightMm: drawing.heightMm / 2, paint: drawingFace(drawing), tint: [1, 1, 1], gloss: 0.2 },
  };
}

function printItem(print: PrintedPicture): Item {
  return {
    ...{ name: print.name, surface: flatSurface(), heightMm: stickerHeightMm, xMm: print.xMm, yMm: print.yMm },
    ...{ turn: (print.turnDegrees * Math.PI) / 180, halfWidthMm: print.widthMm / 2, halfHeightMm: print.heightMm / 2 },
    ...{ paint: printedFace(print), tint: [1, 0.99, 0.97], gloss: 0.5 },
  };
}

// Thinner than anything the picture can show; it puts a code in front of the sheet or plate it lies on.
const stickerHeightMm = 0.002;
