/**
 * Photographs of one mounted sticker of a trial site after one kind of mishap, with known truth: what identity, condition and the whole photo
 * check are tried on. Seeded: the same mishap and seed give the same picture.
 */
import { assert } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { payloadToSymbol } from "../../protocol/sticker/symbol.ts";
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { aimShot, renderGrey } from "./camera.ts";
import type { Damage } from "./condition.ts";
import { fitInPicture } from "./fit.ts";
import { evenLight, type Glare } from "./light.ts";
import type { PhotoTruth } from "./photo-truth.ts";
import { buildScene, orderScene } from "./scene.ts";
import { mountCode } from "./sticker-face.ts";
import { inventText, makeSymbol, type PrintedSymbol } from "./symbol-maker.ts";

/** `sound`: nothing happened. The others as their names say; `cover` is a blank sheet, `overlay` one with a code. */
const mishaps = ["sound", "scratch", "dirt", "tear", "peel", "fade", "overlay", "cover", "frame", "glare"] as const;

export type Mishap = (typeof mishaps)[number];

export type StickerPhoto = {
  readonly mishap: Mishap;
  readonly picture: GreyPicture;
  readonly truth: PhotoTruth;
};

/** Photographs `payload` (version 4, level Q) as somebody in front of the panel would. `severity` 0..1. */
export function photographMishap(payload: string, mishap: Mishap, seed: number, severity = 0.5): StickerPhoto {
  const random = seededRandom(seed, `camera/sticker-photos/${mishap}`);
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const symbol = symbolOf(payload);
  const damage = damageOf(mishap, symbol.modules, severity, random);
  const code = mountCode({ symbol, damage, gloss: 0.9, turnDegrees: between(-3, 3) });
  const scene = buildScene(orderScene({ seed, wall: "plaster", codes: [code] }));
  const turn = { yaw: between(-12, 12), pitch: between(-12, 12), roll: between(-8, 8) };
  const pose = { distanceMm: 200, aimXMm: 0, aimYMm: 0, ...turn };
  const glares = mishap === "glare" ? [glareOf(symbol.modules, severity, random)] : [];
  const shot = aimShot({ seed, width: 900, height: 700, pose, light: { ...evenLight, exposure: 0.75, glares } });
  return { mishap, ...renderGrey(scene, fitInPicture(scene, shot, 0.75)) };
}

function damageOf(mishap: Mishap, modules: number, severity: number, random: SeededRandom): readonly Damage[] {
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const place = () => [between(0.25, 0.75) * modules, between(0.25, 0.75) * modules] as const;
  switch (mishap) {
    case "sound":
    case "glare":
      return [];
    case "scratch": {
      const turn = between(0, Math.PI);
      const middle = place();
      const [x, y] = [Math.cos(turn) * 0.45 * modules, Math.sin(turn) * 0.45 * modules];
      const line = { from: [middle[0] - x, middle[1] - y], to: [middle[0] + x, middle[1] + y] } as const;
      return [{ kind: "scratch", ...line, width: 0.6 + 1.4 * severity, shade: 0.8 }];
    }
    case "dirt":
      return [{ kind: "dirt", at: place(), radius: (0.06 + 0.18 * severity) * modules, shade: 0.08, opacity: 1 }];
    case "tear":
      return [{ kind: "tear", at: place(), radius: (0.06 + 0.18 * severity) * modules }];
    case "peel":
      return [{ kind: "peel", corner: corners[random.integer(4)] ?? 0, reach: (0.25 + 0.5 * severity) * modules }];
    case "fade":
      return [{ kind: "fade", amount: 0.5 + 0.42 * severity, uneven: 0.1, turn: between(0, 3) }];
    case "overlay":
    case "cover": {
      const side = (0.3 + 0.3 * severity) * modules;
      const sheet = { middle: place(), size: [side, side] as const, turn: between(-0.3, 0.3), shade: 0.8 };
      const foreign = makeSymbol(inventText(random, 4), "L", 3);
      return [{ kind: "overlay", ...sheet, ...(mishap === "overlay" ? { symbol: foreign } : {}) }];
    }
    case "frame":
      return [{ kind: "frame", gap: 1.5 - 2 * severity, shade: 0.1 }];
  }
}

function glareOf(modules: number, severity: number, random: SeededRandom): Glare {
  const radius = modules * (0.08 + 0.2 * severity);
  const place = () => modules * 0.3 * (2 * random.next() - 1);
  const at = { x: place(), y: place(), radiusX: radius, radiusY: radius * (0.6 + 0.4 * random.next()) };
  return { ...at, turn: 3 * random.next(), strength: 3, evenness: 0.4 };
}

function symbolOf(payload: string): PrintedSymbol {
  const symbol = payloadToSymbol(payload, { symbolVersion: 4, errorCorrectionLevel: "Q" });
  assert(symbol.ok, "a trial's payload fits its symbol");
  return { ...symbol.value, text: payload };
}

const corners = [0, 1, 2, 3] as const;
