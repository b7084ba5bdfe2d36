/**
 * Where everything stands in a QR symbol: which modules are finders, timing, alignment, format, version and data, what the
 * fixed ones look like, and in which order data bits are placed. Source: ISO/IEC 18004 (QR Code model 2), versions 1..40.
 */
import { assert } from "../../base/result.ts";

/** What a module is for; one of these numbers a module in `SymbolLayout.roles`. */
export const moduleRole = {
  data: 0,
  finder: 1,
  separator: 2,
  timing: 3,
  alignment: 4,
  format: 5,
  version: 6,
  /** The one module beside the lower left finder that is always dark. */
  dark: 7,
} as const;

export type ErrorCorrectionLevel = "L" | "M" | "Q" | "H";

export type MaskPattern = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export type ModulePlace = { readonly column: number; readonly row: number };

/** All arrays of modules are row by row, `modules` x `modules`. */
export type SymbolLayout = {
  readonly version: number;
  readonly modules: number;
  /** A `moduleRole` for each module. */
  readonly roles: Uint8Array;
  /** 1 where a function module is dark; 0 for light ones and for format, version and data modules. */
  readonly functionDark: Uint8Array;
  /** Module index of each data bit, in the order of placement; the few remainder bits are at its end. */
  readonly bitOrder: Uint16Array;
  /** Data and error correction together, at any level. */
  readonly codewords: number;
  /** Middles of the alignment patterns, row by row. */
  readonly alignmentCentres: readonly ModulePlace[];
};

export const versionMax = 40;

/** Modules a side: 21 for version 1, 4 more for each next, 177 for version 40. */
export function modulesOfVersion(version: number): number {
  return 17 + 4 * version;
}

/** The layout of a version 1..40; made once a version. */
export function symbolLayout(version: number): SymbolLayout {
  assert(Number.isInteger(version) && version >= 1 && version <= versionMax, "a QR version is 1..40");
  const known = layouts.get(version);
  if (known !== undefined) return known;
  const made = makeLayout(version);
  layouts.set(version, made);
  return made;
}

/** Whether the data module at (column, row) is inverted by a mask. Source: ISO/IEC 18004 table 10. */
export function isMasked(mask: MaskPattern, column: number, row: number): boolean {
  switch (mask) {
    case 0:
      return (row + column) % 2 === 0;
    case 1:
      return row % 2 === 0;
    case 2:
      return column % 3 === 0;
    case 3:
      return (row + column) % 3 === 0;
    case 4:
      return (Math.floor(row / 2) + Math.floor(column / 3)) % 2 === 0;
    case 5:
      return ((row * column) % 2) + ((row * column) % 3) === 0;
    case 6:
      return (((row * column) % 2) + ((row * column) % 3)) % 2 === 0;
    case 7:
      return (((row + column) % 2) + ((row * column) % 3)) % 2 === 0;
  }
}

const layouts = new Map<number, SymbolLayout>();

function makeLayout(version: number): SymbolLayout {
  const modules = modulesOfVersion(version);
  const roles = new Uint8Array(modules * modules);
  const functionDark = new Uint8Array(modules * modules);
  const put = (column: number, row: number, role: number, dark: boolean): void => {
    if (column < 0 || row < 0 || column >= modules || row >= modules) return;
    roles[row * modules + column] = role;
    functionDark[row * modules + column] = dark ? 1 : 0;
  };
  putTiming(modules, put);
  for (const [column, row] of [
    [3, 3],
    [modules - 4, 3],
    [3, modules - 4],
  ] as const) {
    putFinder(column, row, put);
  }
  const alignmentCentres = alignmentPlaces(version);
  for (const centre of alignmentCentres) putAlignment(centre, put);
  putFormat(modules, put);
  if (version >= versionInformationFrom) putVersion(modules, put);
  const bitOrder = placeBits(modules, roles);
  const codewords = Math.floor(bitOrder.length / 8);
  return { version, modules, roles, functionDark, bitOrder, codewords, alignmentCentres };
}

type Put = (column: number, row: number, role: number, dark: boolean) => void;

function putTiming(modules: number, put: Put): void {
  for (let at = 8; at < modules - 8; at++) {
    put(at, 6, moduleRole.timing, at % 2 === 0);
    put(6, at, moduleRole.timing, at % 2 === 0);
  }
}

/** With its separator: what of the 9 x 9 lies outside the symbol is quiet zone and left out by `put`. */
function putFinder(column: number, row: number, put: Put): void {
  for (let down = -4; down <= 4; down++) {
    for (let across = -4; across <= 4; across++) {
      const ring = Math.max(Math.abs(down), Math.abs(across));
      put(column + across, row + down, ring === 4 ? moduleRole.separator : moduleRole.finder, ring !== 2 && ring !== 4);
    }
  }
}

function putAlignment({ column, row }: ModulePlace, put: Put): void {
  for (let down = -2; down <= 2; down++) {
    for (let across = -2; across <= 2; across++) {
      const ring = Math.max(Math.abs(down), Math.abs(across));
      put(column + across, row + down, moduleRole.alignment, ring !== 1);
    }
  }
}

function putFormat(modules: number, put: Put): void {
  for (const { column, row } of [...formatPlaces(modules).first, ...formatPlaces(modules).second]) {
    put(column, row, moduleRole.format, false);
  }
  put(8, modules - 8, moduleRole.dark, true);
}

function putVersion(modules: number, put: Put): void {
  for (const { column, row } of [...versionPlaces(modules).first, ...versionPlaces(modules).second]) {
    put(column, row, moduleRole.version, false);
  }
}

/** The 15 modules of each copy of the format information, bit 14 (most significant) first. Source: ISO/IEC 18004 figure 25. */
export function formatPlaces(modules: number): {
  readonly first: readonly ModulePlace[];
  readonly second: readonly ModulePlace[];
} {
  const first: ModulePlace[] = [];
  for (const column of [0, 1, 2, 3, 4, 5, 7, 8]) first.push({ column, row: 8 });
  for (const row of [7, 5, 4, 3, 2, 1, 0]) first.push({ column: 8, row });
  const second: ModulePlace[] = [];
  for (let at = 0; at < 7; at++) second.push({ column: 8, row: modules - 1 - at });
  for (let at = 0; at < 8; at++) second.push({ column: modules - 8 + at, row: 8 });
  return { first, second };
}

/** The 18 modules of each copy of the version information, bit 17 first; versions 7 and up. Source: ISO/IEC 18004 figure 26. */
export function versionPlaces(modules: number): {
  readonly first: readonly ModulePlace[];
  readonly second: readonly ModulePlace[];
} {
  const first: ModulePlace[] = [];
  const second: ModulePlace[] = [];
  for (let bit = 17; bit >= 0; bit--) {
    const along = Math.floor(bit / 3);
    const across = modules - 11 + (bit % 3);
    first.push({ column: across, row: along });
    second.push({ column: along, row: across });
  }
  return { first, second };
}

/**
 * Alignment patterns stand where these columns and rows cross, but for the three crossings on finders.
 * Source: ISO/IEC 18004 annex E, whose table this formula gives (checked against it in the tests).
 */
function alignmentPlaces(version: number): readonly ModulePlace[] {
  const lines = alignmentLines(version);
  const last = lines.length - 1;
  const places: ModulePlace[] = [];
  for (const [rowAt, row] of lines.entries()) {
    for (const [columnAt, column] of lines.entries()) {
      const onFinder =
        (rowAt === 0 && columnAt === 0) || (rowAt === 0 && columnAt === last) || (rowAt === last && columnAt === 0);
      if (!onFinder) places.push({ column, row });
    }
  }
  return places;
}

function alignmentLines(version: number): readonly number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const last = modulesOfVersion(version) - 7;
  const step = version === 32 ? 26 : Math.ceil((last - 6) / (count - 1) / 2) * 2;
  const lines: number[] = [];
  for (let at = 0; at < count - 1; at++) lines.unshift(last - at * step);
  return [6, ...lines];
}

/** Two columns at a time from the right, up and down in turns; the timing column is stepped over. */
function placeBits(modules: number, roles: Uint8Array): Uint16Array {
  const order: number[] = [];
  let upward = true;
  for (let right = modules - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < modules; step++) {
      const row: number = upward ? modules - 1 - step : step;
      for (const column of [right, right - 1]) {
        const index = row * modules + column;
        if (roles[index] === moduleRole.data) order.push(index);
      }
    }
    upward = !upward;
  }
  return Uint16Array.from(order);
}

export const versionInformationFrom = 7;
