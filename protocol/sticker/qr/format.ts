/**
 * Format information (level and mask) and version information: BCH codes of 15 and 18 bits, read by the smallest distance.
 * Source: ISO/IEC 18004 annexes C and D.
 */
import { type ErrorCorrectionLevel, type MaskPattern, versionInformationFrom, versionMax } from "./layout.ts";

/** `distance`: how many of the 15 bits had to be taken as wrong; up to 3 is certain. */
export type FormatReading = {
  readonly level: ErrorCorrectionLevel;
  readonly mask: MaskPattern;
  readonly distance: number;
};

/** `distance`: how many of the 18 bits had to be taken as wrong; up to 3 is certain. */
export type VersionReading = { readonly version: number; readonly distance: number };

/** The 15 bits as they are printed, the XOR mask applied. */
export function formatBits(level: ErrorCorrectionLevel, mask: MaskPattern): number {
  const data = (levelNumbers[level] << 3) | mask;
  return ((data << 10) | remainder(data << 10, formatGenerator, 10)) ^ formatXor;
}

/** The 18 bits of version information; for versions 7 and up. */
export function versionBits(version: number): number {
  return (version << 12) | remainder(version << 12, versionGenerator, 12);
}

/** All 32 formats, nearest first; equals in the order of level and mask. */
export function nearestFormats(bits: number): readonly FormatReading[] {
  const readings: FormatReading[] = [];
  for (const level of ["L", "M", "Q", "H"] as const) {
    for (const mask of maskPatterns) {
      readings.push({ level, mask, distance: bitsSet(formatBits(level, mask) ^ bits) });
    }
  }
  return readings.sort((a, b) => a.distance - b.distance);
}

/** The nearest version; the caller judges its distance. */
export function nearestVersion(bits: number): VersionReading {
  let nearest: VersionReading = { version: versionInformationFrom, distance: Number.POSITIVE_INFINITY };
  for (let version = versionInformationFrom; version <= versionMax; version++) {
    const distance = bitsSet(versionBits(version) ^ bits);
    if (distance < nearest.distance) nearest = { version, distance };
  }
  return nearest;
}

export const maskPatterns: readonly MaskPattern[] = [0, 1, 2, 3, 4, 5, 6, 7];

function remainder(value: number, generator: number, degree: number): number {
  let rest = value;
  for (let bit = 31 - Math.clz32(rest); rest !== 0 && bit >= degree; bit = 31 - Math.clz32(rest)) {
    rest ^= generator << (bit - degree);
  }
  return rest;
}

function bitsSet(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest &= rest - 1) count++;
  return count;
}

const levelNumbers = { L: 1, M: 0, Q: 3, H: 2 } as const;
const formatGenerator = 0b10100110111;
const formatXor = 0b101010000010010;
const versionGenerator = 0b1111100100101;
