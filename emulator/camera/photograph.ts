/**
 * The camera in a visitor's phone: photographs a sticker that hangs on a panel on a wall. Everything that differs from shot
 * to shot (pose, light, focus, noise, the wall) comes from one seed; the same seed gives the same bytes, and the truth of
 * the shot comes with the picture. Knows sharp: short-lived processes only.
 *
 * Theory: the scene is flat (wall, plate and sticker in one plane), so a homography is the whole camera: the plane is turned
 * about three axes, set at a distance and projected through a pinhole. Light, blur, noise and JPEG follow in the order
 * in which a real phone gets them.
 */
import sharp from "sharp";
import { type SeededRandom, seededRandom } from "../world/random.ts";

export type PhotoOrder = {
  /** The sticker's face as PNG. */
  readonly sticker: Uint8Array;
  /** How wide it was printed. Default 50 mm. */
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

/** Takes one photograph. Faults of the sticker file are our own mistake and throw. */
export async function photographSticker(order: PhotoOrder): Promise<Photograph> {
  const random = seededRandom(order.seed, "camera/photograph");
  const shot = chooseShot(random, order.widthPx ?? 1280, order.heightPx ?? 960);
  const scene = await buildScene(order.sticker, order.stickerWidthMm ?? 50, random);
  const exposed = exposeScene(scene, shot);
  const blurred = await sharp(exposed, { raw: { width: shot.width, height: shot.height, channels: 3 } })
    .blur(shot.blurPx)
    .raw()
    .toBuffer();
  addNoise(blurred, shot.noise, random);
  const developed = sharp(blurred, { raw: { width: shot.width, height: shot.height, channels: 3 } });
  const picture = await (order.format === "png"
    ? developed.png({ compressionLevel: 6 })
    : developed.jpeg({ quality: 82 })
  ).toBuffer();
  const { distanceMm, yaw, pitch, roll, blurPx, noise, exposure } = shot;
  const halfHeight = scene.stickerHeightMm / 2;
  const halfWidth = scene.stickerWidthMm / 2;
  const corner = (x: number, y: number) => projectPoint(shot.planeToPhoto, x, y);
  return {
    picture: new Uint8Array(picture),
    truth: {
      ...{ distanceMm, yaw, pitch, roll, blurPx, noise, exposure },
      stickerCorners: [
        corner(-halfWidth, -halfHeight),
        corner(halfWidth, -halfHeight),
        corner(halfWidth, halfHeight),
        corner(-halfWidth, halfHeight),
      ],
    },
  };
}

/** Row by row, 3 x 3. */
type Homography = readonly [number, number, number, number, number, number, number, number, number];

type Shot = {
  readonly width: number;
  readonly height: number;
  readonly distanceMm: number;
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  readonly blurPx: number;
  readonly noise: number;
  readonly exposure: number;
  /** mm on the plane, from the sticker's middle, to pixels of the photo; and back. */
  readonly planeToPhoto: Homography;
  readonly photoToPlane: Homography;
  /** Where the lamp is: direction of the light's fall-off in the picture, and how much of it is lost across. */
  readonly lampAngle: number;
  readonly lampLoss: number;
  readonly warmth: number;
};

function chooseShot(random: SeededRandom, width: number, height: number): Shot {
  const between = (low: number, high: number) => low + (high - low) * random.next();
  const distanceMm = between(130, 205);
  const yaw = between(-24, 24);
  const pitch = between(-20, 20);
  const roll = between(-14, 14);
  const shiftX = between(-0.1, 0.1) * width;
  const shiftY = between(-0.07, 0.07) * height;
  const planeToPhoto = aimCamera({ width, height, distanceMm, yaw, pitch, roll, shiftX, shiftY });
  return {
    ...{ width, height, distanceMm, yaw, pitch, roll, planeToPhoto },
    photoToPlane: invertHomography(planeToPhoto),
    blurPx: between(0.5, 1.3),
    noise: between(1.5, 4.5),
    exposure: between(0.72, 1.04),
    lampAngle: between(0, 2 * Math.PI),
    lampLoss: between(0.15, 0.5),
    warmth: between(-0.05, 0.09),
  };
}

/** Pinhole: plane point -> turned by yaw, pitch, roll -> set at the distance -> pixel. */
function aimCamera(pose: {
  readonly width: number;
  readonly height: number;
  readonly distanceMm: number;
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
  readonly shiftX: number;
  readonly shiftY: number;
}): Homography {
  const [yaw, pitch, roll] = [pose.yaw, pose.pitch, pose.roll].map((degrees) => (degrees * Math.PI) / 180);
  const [cy, sy] = [Math.cos(yaw ?? 0), Math.sin(yaw ?? 0)];
  const [cp, sp] = [Math.cos(pitch ?? 0), Math.sin(pitch ?? 0)];
  const [cr, sr] = [Math.cos(roll ?? 0), Math.sin(roll ?? 0)];
  // The first two columns of Rz * Rx * Ry: the plane has no depth of its own.
  const xColumn = [cr * cy - sr * sp * sy, sr * cy + cr * sp * sy, -cp * sy] as const;
  const yColumn = [-sr * cp, cr * cp, sp] as const;
  // A phone's main camera sees about 65 degrees across.
  const focal = pose.width * 0.78;
  const [centreX, centreY] = [pose.width / 2 + pose.shiftX, pose.height / 2 + pose.shiftY];
  return [
    focal * xColumn[0] + centreX * xColumn[2],
    focal * yColumn[0] + centreX * yColumn[2],
    centreX * pose.distanceMm,
    focal * xColumn[1] + centreY * xColumn[2],
    focal * yColumn[1] + centreY * yColumn[2],
    centreY * pose.distanceMm,
    xColumn[2],
    yColumn[2],
    pose.distanceMm,
  ];
}

type Colour = readonly [number, number, number];

type Scene = {
  /** Four bytes a pixel; the plate is rounded, and its clear corners let the wall through. */
  readonly rgba: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly stickerWidthMm: number;
  readonly stickerHeightMm: number;
  readonly wall: { readonly colour: Colour; readonly grain: Float32Array };
};

/** Plate with bezel, screws and sticker, at `scenePixelsPerMm`; the wall around it has no end and is made while exposing. */
async function buildScene(sticker: Uint8Array, stickerWidthMm: number, random: SeededRandom): Promise<Scene> {
  const { width, height } = await sharp(sticker).metadata();
  const stickerHeightMm = (stickerWidthMm * height) / width;
  const plateWidthMm = stickerWidthMm + 2 * plateBorderMm;
  const plateHeightMm = stickerHeightMm + 2 * plateBorderMm;
  const px = (mm: number) => Math.round(mm * scenePixelsPerMm);
  const wallColour = pick(random, wallColours);
  const plate = plateSvg(px(plateWidthMm), px(plateHeightMm), pick(random, plateColours));
  // A sticker's file is grey with one channel; paper and ink have a colour, which needs three before the curve is applied.
  const coloured = await sharp(sticker).toColourspace("srgb").png().toBuffer();
  const face = await sharp(coloured)
    .resize({ width: px(stickerWidthMm), height: px(stickerHeightMm), fit: "fill", kernel: "lanczos3" })
    .linear([0.95, 0.94, 0.92], [9, 9, 10])
    .png()
    .toBuffer();
  const { data, info } = await sharp(Buffer.from(plate))
    .composite([{ input: face, left: px(plateBorderMm), top: px(plateBorderMm) }])
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const grain = Float32Array.from({ length: grainSide * grainSide }, () => random.gaussian());
  return {
    rgba: new Uint8Array(data),
    width: info.width,
    height: info.height,
    stickerWidthMm,
    stickerHeightMm,
    wall: { colour: wallColour, grain },
  };
}

function plateSvg(width: number, height: number, plate: Colour): string {
  const rgb = (colour: Colour, by = 0) =>
    `rgb(${colour.map((part) => Math.max(0, Math.min(255, part + by))).join(",")})`;
  const screw = (x: number, y: number) =>
    `<circle cx="${x}" cy="${y}" r="26" fill="${rgb(plate, -38)}"/><circle cx="${x}" cy="${y}" r="22" fill="${rgb(plate, 14)}"/>` +
    `<path d="M${x - 14} ${y - 9}L${x + 14} ${y + 9}" stroke="${rgb(plate, -60)}" stroke-width="6"/>`;
  const inset = plateBorderMm * scenePixelsPerMm * 0.4;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<defs><linearGradient id="sheen" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="${rgb(plate, 22)}"/>` +
    `<stop offset="0.5" stop-color="${rgb(plate)}"/><stop offset="1" stop-color="${rgb(plate, -16)}"/></linearGradient></defs>` +
    `<rect x="2" y="2" width="${width - 4}" height="${height - 4}" rx="60" fill="url(#sheen)" stroke="${rgb(plate, -70)}" stroke-width="5"/>` +
    screw(inset, inset) +
    screw(width - inset, inset) +
    screw(inset, height - inset) +
    screw(width - inset, height - inset) +
    `</svg>`
  );
}

/** Looks up every pixel of the photo on the plane (bilinear), lights it, and gives 8-bit RGB. */
function exposeScene(scene: Scene, shot: Shot): Buffer {
  const { width, height, photoToPlane: h } = shot;
  const out = Buffer.alloc(width * height * 3);
  const [lampX, lampY] = [Math.cos(shot.lampAngle), Math.sin(shot.lampAngle)];
  const tint = [1 + shot.warmth, 1, 1 - shot.warmth] as const;
  const reach = Math.hypot(width, height) / 2;
  const seen = new Float64Array(3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const depth = h[6] * (x + 0.5) + h[7] * (y + 0.5) + h[8];
      const planeX = (h[0] * (x + 0.5) + h[1] * (y + 0.5) + h[2]) / depth;
      const planeY = (h[3] * (x + 0.5) + h[4] * (y + 0.5) + h[5]) / depth;
      const [dx, dy] = [(x - width / 2) / reach, (y - height / 2) / reach];
      const vignette = 1 - 0.22 * (dx * dx + dy * dy);
      const light = shot.exposure * vignette * (1 - shot.lampLoss * (0.5 + 0.5 * (dx * lampX + dy * lampY)));
      lookAtScene(scene, planeX, planeY, seen);
      for (let channel = 0; channel < 3; channel++) {
        const lit = (seen[channel] ?? 0) * light * (tint[channel] ?? 1);
        out[(y * width + x) * 3 + channel] = Math.max(0, Math.min(255, lit));
      }
    }
  }
  return out;
}

/** Writes the plane's colour at one point (mm from the sticker's middle) into `seen`: three numbers of 0..255. */
function lookAtScene(scene: Scene, planeX: number, planeY: number, seen: Float64Array): void {
  const { rgba, width, height } = scene;
  const x = planeX * scenePixelsPerMm + width / 2 - 0.5;
  const y = planeY * scenePixelsPerMm + height / 2 - 0.5;
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < 0 || top < 0 || left >= width - 1 || top >= height - 1) {
    lookAtWall(scene, planeX, planeY, seen);
    return;
  }
  const at = (top * width + left) * 4;
  const below = at + width * 4;
  const opacity = (rgba[at + 3] ?? 0) / 255;
  if (opacity < 1) lookAtWall(scene, planeX, planeY, seen);
  const fx = x - left;
  const fy = y - top;
  for (let channel = 0; channel < 3; channel++) {
    const upper = (rgba[at + channel] ?? 0) * (1 - fx) + (rgba[at + 4 + channel] ?? 0) * fx;
    const lower = (rgba[below + channel] ?? 0) * (1 - fx) + (rgba[below + 4 + channel] ?? 0) * fx;
    const plate = upper * (1 - fy) + lower * fy;
    seen[channel] = plate * opacity + (seen[channel] ?? 0) * (1 - opacity);
  }
}

/** Plaster: two scales of smooth bumps, and a soft shadow around and below the plate. */
function lookAtWall(scene: Scene, planeX: number, planeY: number, seen: Float64Array): void {
  const { colour, grain } = scene.wall;
  const bumps = 5 * grainAt(grain, planeX / 9, planeY / 9) + 4 * grainAt(grain, planeX / 1.6, planeY / 1.6);
  const outX = Math.max(0, Math.abs(planeX) - scene.width / 2 / scenePixelsPerMm);
  const outY = Math.max(0, Math.abs(planeY - 2) - scene.height / 2 / scenePixelsPerMm);
  const shadow = 1 - 0.35 * Math.exp(-Math.hypot(outX, outY) / 3);
  for (let channel = 0; channel < 3; channel++) seen[channel] = ((colour[channel] ?? 0) + bumps) * shadow;
}

function grainAt(grain: Float32Array, x: number, y: number): number {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const fx = x - left;
  const fy = y - top;
  const [left0, left1] = [wrap(left), wrap(left + 1)];
  const [row0, row1] = [wrap(top) * grainSide, wrap(top + 1) * grainSide];
  const upper = (grain[row0 + left0] ?? 0) * (1 - fx) + (grain[row0 + left1] ?? 0) * fx;
  const lower = (grain[row1 + left0] ?? 0) * (1 - fx) + (grain[row1 + left1] ?? 0) * fx;
  return upper * (1 - fy) + lower * fy;
}

/** Sensor noise: mostly the same on all three channels, as after a phone's own smoothing. */
function addNoise(rgb: Buffer, noise: number, random: SeededRandom): void {
  const table = Float32Array.from({ length: noiseTableLength }, () => random.gaussian() * noise);
  for (let at = 0; at < rgb.length; at += 3) {
    const shared = table[random.integer(noiseTableLength)] ?? 0;
    for (let channel = 0; channel < 3; channel++) {
      const own = table[(at + channel * 37) % noiseTableLength] ?? 0;
      rgb[at + channel] = Math.max(0, Math.min(255, (rgb[at + channel] ?? 0) + 0.9 * shared + 0.35 * own));
    }
  }
}

function projectPoint(h: Homography, x: number, y: number): readonly [number, number] {
  const depth = h[6] * x + h[7] * y + h[8];
  return [(h[0] * x + h[1] * y + h[2]) / depth, (h[3] * x + h[4] * y + h[5]) / depth];
}

/** The adjugate: a homography has no scale of its own, so dividing by the determinant would change nothing. */
function invertHomography(h: Homography): Homography {
  const [a, b, c, d, e, f, g, i, j] = h;
  return [
    e * j - f * i,
    c * i - b * j,
    b * f - c * e,
    f * g - d * j,
    a * j - c * g,
    c * d - a * f,
    d * i - e * g,
    b * g - a * i,
    a * e - b * d,
  ];
}

function wrap(index: number): number {
  // A power of two, so that the mask also wraps what is below zero.
  return index & (grainSide - 1);
}

function pick<Value>(random: SeededRandom, values: readonly [Value, ...Value[]]): Value {
  return values[random.integer(values.length)] ?? values[0];
}

const scenePixelsPerMm = 12;
const plateBorderMm = 14;
const grainSide = 128;
const noiseTableLength = 4093;
const wallColours: readonly [Colour, ...Colour[]] = [
  [206, 200, 188],
  [186, 190, 192],
  [168, 140, 122],
  [214, 208, 204],
];
const plateColours: readonly [Colour, ...Colour[]] = [
  [178, 181, 184],
  [62, 66, 71],
  [150, 138, 120],
];
