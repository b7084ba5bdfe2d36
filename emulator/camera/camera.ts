/** One photograph of a scene, grey or in three colours, with its truth. The same scene and shot give the same bytes. */
import { assert } from "../../protocol/base/result.ts";
import type { GreyPicture } from "../../protocol/sticker/grey-picture.ts";
import { seededRandom } from "../world/random.ts";
import { loseAsJpeg } from "./jpeg-loss.ts";
import { aimCamera, aimScanner, type Camera, type Lens, type Pose } from "./lens.ts";
import { evenLight, type Light, lightField } from "./light.ts";
import { type PhotoTruth, tellTruth } from "./photo-truth.ts";
import { renderLight } from "./render.ts";
import type { Scene } from "./scene.ts";
import { blurLight, developLight, phoneSensor, type Sensor } from "./sensor.ts";

export type Shot = {
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly pose: Pose;
  readonly lens: Lens;
  /** A flat-bed scanner of this density instead of pose and lens. */
  readonly scanPixelsPerMm?: number;
  readonly light: Light;
  readonly sensor: Sensor;
  /** Rays a pixel across and down, 1..6; 2 serves unless modules are small. */
  readonly raysAcross: number;
};

/** Straight in front, 200 mm away, 640 x 480, a good phone, even light; a test says what differs. */
export function aimShot(shot: { readonly seed: number } & Partial<Shot>): Shot {
  return {
    ...{ width: 640, height: 480, lens: { focalRatio: 0.78, k1: 0, k2: 0 }, light: evenLight, sensor: phoneSensor },
    ...{ pose: { distanceMm: 200, yaw: 0, pitch: 0, roll: 0, aimXMm: 0, aimYMm: 0 }, raysAcross: 2 },
    ...shot,
  };
}

export type RenderedPhoto = { readonly picture: GreyPicture; readonly truth: PhotoTruth };

export function renderGrey(scene: Scene, shot: Shot): RenderedPhoto {
  const { camera, field } = setUp(shot);
  const { width, height, planes } = renderLight(scene, camera, field, 1, shot.raysAcross);
  const [light = new Float32Array(0)] = planes;
  const blurred = blurLight({ width, height, light }, shot.sensor);
  const luma = developLight(blurred, shot.sensor, seededRandom(shot.seed, "camera/noise"));
  const { jpegQuality } = shot.sensor;
  const developed = { width, height, luma };
  return {
    picture: jpegQuality === undefined ? developed : loseAsJpeg(developed, jpegQuality),
    truth: tellTruth(scene, camera, shot.light, field, shot.sensor),
  };
}

export type ColourPhoto = {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel; not yet a JPEG, whose losses its encoder makes. */
  readonly rgb: Uint8ClampedArray;
  readonly truth: PhotoTruth;
};

/** `warmth` is how much redder and less blue the lamp is than daylight, -0.1..0.1. */
export function renderColour(scene: Scene, shot: Shot, warmth: number): ColourPhoto {
  const { camera, field } = setUp(shot);
  const { width, height, planes } = renderLight(scene, camera, field, 3, shot.raysAcross);
  const [red = new Float32Array(0), green = red, blue = red] = planes;
  const blurred = blurLight({ width, height, light: green }, shot.sensor);
  // One development for all three: after a phone's own smoothing, sharpness and noise are in brightness, not in colour.
  const levels = developLight(blurred, shot.sensor, seededRandom(shot.seed, "camera/noise"));
  const rgb = new Uint8ClampedArray(3 * width * height);
  const { gamma } = shot.sensor;
  for (let at = 0; at < levels.length; at++) {
    const level = levels[at] ?? 0;
    const light = Math.max(green[at] ?? 0, 1e-6);
    // Colours here are faint, so the tone curve's slope serves for the curve.
    rgb[3 * at] = level * (1 + (((red[at] ?? 0) / light) * (1 + warmth) - 1) / gamma);
    rgb[3 * at + 1] = level;
    rgb[3 * at + 2] = level * (1 + (((blue[at] ?? 0) / light) * (1 - warmth) - 1) / gamma);
  }
  return { width, height, rgb, truth: tellTruth(scene, camera, shot.light, field, shot.sensor) };
}

function setUp(shot: Shot) {
  assert(
    shot.width >= 1 && shot.height >= 1 && shot.width * shot.height <= pixelsMax,
    "a picture has 1..50 million pixels",
  );
  assert(Number.isInteger(shot.raysAcross) && shot.raysAcross >= 1 && shot.raysAcross <= 6, "1..6 rays across a pixel");
  const camera: Camera =
    shot.scanPixelsPerMm === undefined
      ? aimCamera(shot, shot.pose, shot.lens)
      : aimScanner(shot, shot.scanPixelsPerMm, shot.pose);
  return { camera, field: lightField(shot.light) };
}

const pixelsMax = 50_000_000;
