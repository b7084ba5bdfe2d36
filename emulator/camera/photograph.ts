/**
 * The camera in a visitor's phone: photographs a sticker that hangs on a panel on a wall. Everything that differs from shot
 * to shot (pose, light, focus, noise, the wall) comes from one seed; the same seed gives the same bytes, and the truth of
 * the shot comes with the picture. Knows sharp, alone among the camera's files: short-lived processes only.
 */
import sharp from "sharp";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { seededRandom } from "../world/random.ts";
import { renderColour, type Shot } from "./camera.ts";
import { evenLight } from "./light.ts";
import { buildScene, orderScene, type Scene } from "./scene.ts";
import { phoneSensor } from "./sensor.ts";

export type PhotoOrder = {
  /** The sticker's face as PNG. */
  readonly sticker: Uint8Array;
  /** How wide it was printed. Default: as its file's density says, 50 mm without one. */
  readonly stickerWidthMm?: number;
  readonly seed: number;
  readonly format?: "jpeg" | "png";
  readonly widthPx?: number;
  readonly heightPx?: number;
};

export type Photograph = {
  readonly picture: Uint8Array;
  readonly truth: {
    readonly distanceMm: number;
    /** Degrees: about the vertical, the horizontal and the viewing axis. */
    readonly yaw: number;
    readonly pitch: number;
    readonly roll: number;
    readonly blurPx: number;
    readonly noise: number;
    readonly exposure: number;
    /** The sticker's corners in the photo: top left, top right, bottom right, bottom left. */
    readonly stickerCorners: readonly (readonly [number, number])[];
  };
};

/** The front of every emulated panel, whatever hangs in it: its rim is what a photograph is measured against. */
export const emulatedBezel = { widthMm: 78, heightMm: 94, proudMm: 1.5, lipMm: 2 } as const;

/** Takes one photograph. Faults of the sticker file are our own mistake and throw. */
export async function photographSticker(order: PhotoOrder): Promise<Photograph> {
  const face = await readFace(order.sticker);
  const scene = hangSticker(face.picture, order.stickerWidthMm ?? face.widthMm ?? 50, order.seed);
  const { shot, warmth } = chooseShot(order);
  const { width, height, rgb, truth } = renderColour(scene, shot, warmth);
  const developed = sharp(rgb, { raw: { width, height, channels: 3 } });
  const picture = await (order.format === "png"
    ? developed.png({ compressionLevel: 6 })
    : developed.jpeg({ quality: 85 })
  ).toBuffer();
  const { distanceMm, yaw, pitch, roll } = shot.pose;
  const { blurPx, noise } = shot.sensor;
  const corners = truth.prints[0]?.corners ?? [];
  return {
    picture: new Uint8Array(picture),
    truth: {
      ...{ distanceMm, yaw, pitch, roll, blurPx, noise, exposure: shot.light.exposure },
      stickerCorners: corners.map(({ x, y }) => [x, y] as const),
    },
  };
}

async function readFace(png: Uint8Array): Promise<{ picture: GreyPicture; widthMm: number | undefined }> {
  const { width: widthPx, density } = await sharp(png).metadata();
  const { data, info } = await sharp(png)
    .flatten({ background: "#fff" })
    .toColourspace("b-w")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return {
    picture: { width: info.width, height: info.height, luma: new Uint8Array(data) },
    // The picture library says 72 where a file says nothing.
    widthMm: density === undefined || density <= 72 ? undefined : (25.4 * widthPx) / density,
  };
}

/** On a metal panel with a screw in each corner, in front of a plastered or brick wall. */
function hangSticker(face: GreyPicture, widthMm: number, seed: number): Scene {
  const random = seededRandom(seed, "camera/photograph/scene");
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const heightMm = (widthMm * face.height) / face.width;
  const plateShade = [0.42, 0.09, 0.3][random.integer(3)] ?? 0.42;
  return buildScene(
    orderScene({
      ...{ seed, wall: random.next() < 0.75 ? "plaster" : "brick", wallTone: between(0.3, 0.6), wallMm: 360 },
      ...{ wallTexels: 900 },
      bezel: {
        ...{ ...emulatedBezel, xMm: 0, yMm: 0 },
        ...{
          turnDegrees: 0,
          cornerMm: 5,
          lipShade: plateShade * 0.8,
          plateShade,
          screwsMm: 6.5,
        },
      },
      prints: [{ name: "sticker", picture: face, widthMm, heightMm, xMm: 0, yMm: 0, turnDegrees: 0 }],
    }),
  );
}

function chooseShot(order: PhotoOrder): { readonly shot: Shot; readonly warmth: number } {
  const random = seededRandom(order.seed, "camera/photograph");
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const [width, height] = [order.widthPx ?? 1280, order.heightPx ?? 960];
  const distanceMm = between(125, 185);
  const pose = { distanceMm, yaw: between(-20, 20), pitch: between(-16, 16), roll: between(-12, 12) };
  return {
    shot: {
      ...{ seed: order.seed, width, height, raysAcross: 2 },
      pose: { ...pose, aimXMm: 0.1 * distanceMm * between(-1, 1), aimYMm: 0.07 * distanceMm * between(-1, 1) },
      lens: { focalRatio: 0.78, k1: between(-0.04, 0.02), k2: 0 },
      light: {
        ...evenLight,
        ...{ exposure: between(0.55, 1.05), fall: between(0.1, 0.7), fallTurn: between(0, 2 * Math.PI) },
      },
      sensor: {
        ...phoneSensor,
        ...{ blurPx: between(0.5, 1), noise: between(1, 2.5), vignette: 0.2, jpegQuality: undefined },
      },
    },
    warmth: between(-0.05, 0.09),
  };
}
