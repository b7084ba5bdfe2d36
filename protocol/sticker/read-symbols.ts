/**
 * Reads every QR symbol of a picture. Finders are looked for in ever more black and white copies, joined to triples, and each
 * triple is followed down to codewords; a symbol counts as read only when its error correction and its fixed patterns prove it.
 *
 * Rules: SPEC Q26-Q35. Theory of operation: `locate/`, a file a step.
 */
import type { GreyPicture } from "./grey-picture.ts";
import { arrangeFinders, pairFinders } from "./locate/arrange-finders.ts";
import {
  type BitPicture,
  binariseByMean,
  binariseByMiddle,
  binariseByOtsu,
  blurred,
  inverted,
  sharpened,
} from "./locate/binarise.ts";
import { type FinderFrame, fitFinder } from "./locate/fit-finder.ts";
import { mapModule, symbolMapOf } from "./locate/module-map.ts";
import { factorFor, type Level, Pyramid } from "./locate/pyramid.ts";
import {
  type Candidate,
  type FoundModules,
  type Reader,
  readPair,
  readThoroughly,
  readTriple,
} from "./locate/read-triple.ts";
import { scanFinders } from "./locate/scan-finders.ts";
import { settleSymbol } from "./locate/settle-symbol.ts";
import { readMessage } from "./message-text.ts";
import { distance, type Point, type SymbolMap, symbolCorners } from "./plane.ts";
import type { ErrorCorrectionLevel, MaskPattern } from "./qr/layout.ts";

export type SymbolReading = {
  readonly text: string;
  /** The message's bytes as they stand in the symbol, all segments. */
  readonly bytes: Uint8Array;
  readonly version: number;
  readonly modules: number;
  readonly errorCorrectionLevel: ErrorCorrectionLevel;
  readonly maskPattern: MaskPattern;
  readonly map: SymbolMap;
  /** Top left, top right, bottom right, bottom left as the symbol was printed. */
  readonly corners: readonly [Point, Point, Point, Point];
  /** Light on dark. */
  readonly inverted: boolean;
  readonly mirrored: boolean;
  /** The true modules, 1 dark, row by row, as printed. */
  readonly symbol: Uint8Array;
  /** Luma of each module as sampled, row by row as printed (of the inverted picture when `inverted`). */
  readonly sampled: Float32Array;
  /** How dark each module looks beside its surroundings: 1 as dark ones, -1 as light ones. */
  readonly darkness: Float32Array;
  /** Share of the modules, weighed by certainty, that look as they should: 0..1. */
  readonly agreement: number;
  readonly codewordErrors: number;
  readonly erasures: number;
};

export type ReadOptions = {
  /** Asked between attempts; when it says true, what was read so far is given. Without it the work is bounded by counts alone. */
  readonly isOutOfTime?: (() => boolean) | undefined;
  /** Told of each symbol when it is read. */
  readonly onReading?: ((reading: SymbolReading) => void) | undefined;
  /** Ends when so many are read. */
  readonly symbolsMax?: number | undefined;
};

/** Reads all symbols, the most certain triples first. Never throws; the work is bounded. */
export function readSymbols(picture: GreyPicture, options: ReadOptions = {}): readonly SymbolReading[] {
  const search = new Search(picture, options);
  search.run();
  return search.readings;
}

/** Where a symbol seems to be, whether or not it can be read. */
export type LocatedSymbol = {
  readonly map: SymbolMap;
  readonly version: number;
  readonly inverted: boolean;
  /** Share of the fixed modules that look as they must, 0..1. */
  readonly score: number;
};

/** Places of symbols, best first, at most `locatedMax`. Never throws; the work is bounded. */
export function locateSymbols(picture: GreyPicture, options: ReadOptions = {}): readonly LocatedSymbol[] {
  const search = new Search(picture, options);
  search.run();
  return search.located();
}

type Pass = {
  readonly sidePx: number;
  readonly light: boolean;
  readonly binarise: (picture: GreyPicture) => BitPicture;
  /** Made of the copy before finders are looked for and measured in it. */
  readonly prepare?: (picture: GreyPicture) => GreyPicture;
  /** Finders may lack their quiet zone. */
  readonly open?: boolean;
};

type FoundCandidate = Candidate & { readonly inverted: boolean };

class Search {
  readonly readings: SymbolReading[] = [];
  readonly #options: ReadOptions;
  readonly #normal: Pyramid;
  #light: Pyramid | undefined;
  readonly #frames: [FinderFrame[], FinderFrame[]] = [[], []];
  readonly #tried = new Set<string>();
  readonly #ids = new Map<FinderFrame, number>();
  readonly #candidates: FoundCandidate[] = [];
  readonly #finished = new Set<FoundCandidate>();

  constructor(picture: GreyPicture, options: ReadOptions) {
    this.#options = options;
    this.#normal = new Pyramid(picture);
  }

  run(): void {
    const [likely, unlikely] = passesFor(this.#normal.full);
    for (const passes of [likely, unlikely]) {
      for (const pass of passes) {
        if (this.#isDone()) return;
        this.#runPass(pass);
        if (this.readings.length > 0 && this.#allClaimed()) return;
      }
      // What was found so far is finished before pictures are taken apart in ways that rarely help.
      for (const polarity of [0, 1] as const) {
        this.#readTriples(polarity, triplesMax);
        this.#readPairs(polarity);
        this.#readThoroughly(polarity);
      }
      if (this.readings.length > 0) return;
    }
  }

  located(): readonly LocatedSymbol[] {
    const read = this.readings.map(({ map, version, inverted, agreement }) => ({
      map,
      version,
      inverted,
      score: agreement,
    }));
    const best = this.#candidates.sort((a, b) => b.score - a.score).slice(0, locatedMax);
    const rest = best.map(({ map, version, inverted, score }) => ({
      map: symbolMapOf(map, false),
      version,
      inverted,
      score,
    }));
    return [...read, ...rest].slice(0, locatedMax);
  }

  #isDone(): boolean {
    return this.#options.isOutOfTime?.() === true || this.readings.length >= (this.#options.symbolsMax ?? readingsMax);
  }

  #pyramid(light: 0 | 1): Pyramid {
    if (light === 0) return this.#normal;
    this.#light ??= new Pyramid(inverted(this.#normal.full));
    return this.#light;
  }

  #runPass({ sidePx, light, binarise, prepare, open }: Pass): void {
    const polarity = light ? 1 : 0;
    const { picture: copy, scale } = levelOf(this.#pyramid(polarity), sidePx);
    const picture = prepare === undefined ? copy : prepare(copy);
    const rowStep = Math.max(picture.height, picture.width) > 1000 ? 2 : 1;
    for (const spot of scanFinders(binarise(picture), rowStep, open)) {
      const frame = fitFinder(picture, scale, spot.x, spot.y, spot.module);
      if (frame !== undefined) this.#keepFrame(polarity, frame);
    }
    this.#readTriples(polarity, passTriplesMax);
  }

  /** A finder that is known already stays as it was measured best. */
  #keepFrame(polarity: 0 | 1, frame: FinderFrame): void {
    const frames = this.#frames[polarity];
    const size = Math.hypot(frame.ux, frame.uy);
    for (const [at, known] of frames.entries()) {
      const knownSize = Math.hypot(known.ux, known.uy);
      if (Math.hypot(known.x - frame.x, known.y - frame.y) > Math.min(size, knownSize) * 1.5) continue;
      if (size > 1.6 * knownSize || knownSize > 1.6 * size) continue;
      if (frame.doubt < known.doubt * 0.8) frames[at] = frame;
      return;
    }
    frames.push(frame);
  }

  #readTriples(polarity: 0 | 1, attemptsMax: number): void {
    const frames = this.#frames[polarity].filter((frame) => !this.#isClaimed(frame));
    frames.sort((a, b) => a.doubt - b.doubt);
    let attempts = 0;
    for (const triple of arrangeFinders(frames.slice(0, arrangedMax))) {
      if (this.#isDone() || attempts >= attemptsMax) return;
      const key = `${this.#id(triple.corner)} ${this.#id(triple.right)} ${this.#id(triple.below)}`;
      if (this.#tried.has(key)) continue;
      this.#tried.add(key);
      if ([triple.corner, triple.right, triple.below].some((frame) => this.#isClaimed(frame))) continue;
      attempts++;
      this.#keep(readTriple(this.#pyramid(polarity), triple, this.#reader(polarity)), polarity);
    }
  }

  /** Symbols of which one finder was not found. */
  #readPairs(polarity: 0 | 1): void {
    const good = this.#frames[polarity].filter((frame) => frame.doubt < pairDoubtMax && !this.#isClaimed(frame));
    good.sort((a, b) => a.doubt - b.doubt);
    for (const pair of pairFinders(good.slice(0, pairFramesMax))) {
      if (this.#isDone()) return;
      if (this.#isClaimed(pair.one) || this.#isClaimed(pair.other)) continue;
      const key = `${this.#id(pair.one)} ${this.#id(pair.other)} ${pair.missing}`;
      if (this.#tried.has(key)) continue;
      this.#tried.add(key);
      this.#keep(readPair(this.#pyramid(polarity), pair, this.#reader(polarity)), polarity);
    }
  }

  #reader(polarity: 0 | 1): Reader {
    return {
      isOutOfTime: () => this.#options.isOutOfTime?.() === true,
      onCandidate: (candidate) => {
        if (candidate.score >= candidateScoreMin) this.#candidates.push({ ...candidate, inverted: polarity === 1 });
      },
    };
  }

  /** Tries hard what looks most like a symbol. */
  #readThoroughly(polarity: 0 | 1): void {
    const mine = this.#candidates.filter((candidate) => candidate.inverted === (polarity === 1));
    mine.sort((a, b) => b.score - a.score);
    for (const candidate of mine.slice(0, thoroughMax)) {
      if (this.#isDone()) return;
      if (this.#finished.has(candidate)) continue;
      this.#finished.add(candidate);
      const middle = mapModule(candidate.map, candidate.map.modules / 2, candidate.map.modules / 2);
      if (this.readings.some(({ corners }) => isWithin(corners, middle))) continue;
      this.#keep(
        readThoroughly(candidate, () => this.#options.isOutOfTime?.() === true),
        polarity,
      );
    }
  }

  #keep(found: FoundModules | undefined, polarity: 0 | 1): void {
    if (found === undefined) return;
    const reading = readingOf(settleSymbol(found), polarity === 1);
    if (reading === undefined) return;
    this.readings.push(reading);
    this.#options.onReading?.(reading);
  }

  #id(frame: FinderFrame): number {
    const known = this.#ids.get(frame);
    if (known !== undefined) return known;
    this.#ids.set(frame, this.#ids.size);
    return this.#ids.size - 1;
  }

  /** It lies within a symbol that was read; unless its modules are much smaller: some symbols have another in their middle. */
  #isClaimed(frame: FinderFrame): boolean {
    const size = Math.hypot(frame.ux, frame.uy);
    return this.readings.some(
      ({ corners, modules }) =>
        isWithin(corners, frame) && size > nestedSizeMax * (distance(corners[0], corners[1]) / modules),
    );
  }

  /** No good finders are left over: nothing more is to be expected. */
  #allClaimed(): boolean {
    const left = this.#frames.flat().filter((frame) => isGood(frame) && !this.#isClaimed(frame));
    const outside = left.filter((frame) => !this.readings.some(({ corners }) => isWithin(corners, frame)));
    const nested = left.filter((frame) => frame.doubt < nestedDoubtMax);
    return outside.length < 2 && nested.length < 3;
  }
}

function isGood({ doubt }: FinderFrame): boolean {
  return doubt < 0.22;
}

function readingOf({ map, values, darkness, decoded }: FoundModules, isInverted: boolean): SymbolReading | undefined {
  const message = readMessage(decoded.data, decoded.version, decoded.dark, map.modules);
  if (message === undefined) return undefined;
  const { version, level, mask, mirrored, dark, agreement, errors, erasures } = decoded;
  const symbolMap = symbolMapOf(map, mirrored);
  return {
    text: message.text,
    bytes: message.bytes,
    version,
    modules: map.modules,
    errorCorrectionLevel: level,
    maskPattern: mask,
    map: symbolMap,
    corners: symbolCorners(symbolMap),
    inverted: isInverted,
    mirrored,
    symbol: dark,
    sampled: mirrored ? transposed(values, map.modules) : values,
    darkness: mirrored ? transposed(darkness, map.modules) : darkness,
    agreement,
    codewordErrors: errors,
    erasures,
  };
}

function transposed(values: Float32Array, modules: number): Float32Array {
  return values.map((_, at) => values[(at % modules) * modules + Math.floor(at / modules)] ?? 0);
}

function isWithin(corners: readonly Point[], { x, y }: Point): boolean {
  let sides = 0;
  for (const [at, one] of corners.entries()) {
    const next = corners[(at + 1) % corners.length] ?? one;
    sides += Math.sign((next.x - one.x) * (y - one.y) - (next.y - one.y) * (x - one.x));
  }
  return Math.abs(sides) === corners.length;
}

/** Two lists: what finds nearly all symbols, cheap first; and what may find the rest. */
function passesFor(picture: GreyPicture): readonly [readonly Pass[], readonly Pass[]] {
  const longest = Math.max(picture.width, picture.height);
  const first = longest > 1800 ? 1400 : longest;
  const isSmall = longest < smallPicturePx;
  const second = isSmall ? 2 * longest : first / 2;
  const third = isSmall ? 3 * longest : first / 4;
  const pass = (sidePx: number, share: number, light = false): Pass => ({ sidePx, light, binarise: windowed(share) });
  const likely = [
    pass(first, 0.1),
    pass(second, 0.1),
    pass(first, 0.04),
    pass(first, 0.1, true),
    pass(second, 0.1, true),
  ];
  if (!isSmall) likely.push(pass(third, 0.1));
  if (longest > 1800) likely.push(pass(2800, 0.03));
  const unlikely: Pass[] = [
    { ...pass(first, 0.1), open: true },
    { ...pass(second, 0.1), open: true },
  ];
  for (const sidePx of [first, second]) {
    for (const window of sharpenWindows) {
      unlikely.push({ ...pass(sidePx, 0.1), prepare: (copy) => sharpened(copy, window, 3) });
    }
  }
  for (const sidePx of [first, second, third]) {
    unlikely.push({ sidePx, light: false, binarise: middled });
    unlikely.push({ sidePx, light: false, binarise: binariseByOtsu });
    unlikely.push({ sidePx, light: false, binarise: (copy) => windowed(0.06)(blurred(copy)) });
    unlikely.push(pass(sidePx, 0.03), pass(sidePx, 0.3));
    unlikely.push({ sidePx, light: true, binarise: middled });
  }
  return [likely, unlikely];
}

/** `share`: the window's side as a share of the picture's longest. */
function windowed(share: number): (copy: GreyPicture) => BitPicture {
  return (copy) => binariseByMean(copy, Math.max(9, Math.round(Math.max(copy.width, copy.height) * share)), 3);
}

function middled(copy: GreyPicture): BitPicture {
  return binariseByMiddle(copy, Math.max(4, Math.round(Math.max(copy.width, copy.height) / 80)), 2);
}

function levelOf(pyramid: Pyramid, sidePx: number): Level {
  const longest = Math.max(pyramid.full.width, pyramid.full.height);
  return sidePx > longest
    ? pyramid.enlarged(Math.round(sidePx / longest))
    : pyramid.reduced(factorFor(pyramid.full, sidePx));
}

const nestedSizeMax = 0.6;
const nestedDoubtMax = 0.1;
const readingsMax = 400;
const locatedMax = 20;
const arrangedMax = 300;
const passTriplesMax = 12;
const triplesMax = 40;
const sharpenWindows = [7, 13];
const smallPicturePx = 500;
const thoroughMax = 10;
const candidateScoreMin = 0.76;
const pairDoubtMax = 0.34;
const pairFramesMax = 24;
