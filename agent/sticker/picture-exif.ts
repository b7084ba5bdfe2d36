/**
 * Whether a picture was taken by a camera: its EXIF states an exposure. A scanner's EXIF may name a maker, but no exposure.
 * Source: EXIF 2.32, tags 0x829A (exposure time) and 0x829D (aperture). Any bytes give an answer.
 */

/** `exif`: a TIFF directory, with or without JPEG's `Exif\0\0` before it. */
export function isCameraExif(exif: Uint8Array): boolean {
  const hasPrefix = String.fromCharCode(...exif.subarray(0, 4)) === "Exif";
  const tiff = hasPrefix ? exif.subarray(6) : exif;
  if (tiff.length < 14) return false;
  const little = tiff[0] === 0x49;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const inner = findTag(view, view.getUint32(4, little), exifDirectoryTag, little);
  if (inner === undefined) return false;
  return [exposureTimeTag, apertureTag].some((tag) => findTag(view, inner, tag, little) !== undefined);
}

/** The value field of a tag, or undefined. */
function findTag(view: DataView, directory: number, wanted: number, little: boolean): number | undefined {
  if (directory + 2 > view.byteLength) return undefined;
  const entries = Math.min(view.getUint16(directory, little), entriesMax);
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + 12 * entry;
    if (at + 12 > view.byteLength) return undefined;
    if (view.getUint16(at, little) === wanted) return view.getUint32(at + 8, little);
  }
  return undefined;
}

const exifDirectoryTag = 0x8769;
const exposureTimeTag = 0x829a;
const apertureTag = 0x829d;
const entriesMax = 1_000;
