/**
 * Reed-Solomon over GF(256) with the polynomial of QR codes (x^8 + x^4 + x^3 + x^2 + 1, first root 2^0): encoding, and decoding
 * of errors (place unknown) together with erasures (place known), 2 * errors + erasures <= error correction codewords.
 * Source: ISO/IEC 18004 clause 7.5 and annex B; the decoding is Berlekamp-Massey started from the erasure locator,
 * Chien's search and Forney's formula (Blahut, Algebraic Codes for Data Transmission, 7.4).
 */

/** `errors` are wrong codewords that nobody had pointed out; `erasures` were pointed out, whether wrong or not. */
export type CorrectedBlock = {
  /** Data and error correction codewords, all right. */
  readonly codewords: Uint8Array;
  readonly errors: number;
  readonly erasures: number;
};

/** The error correction codewords of a block of data codewords. */
export function encodeBlock(data: Uint8Array, correctionCodewords: number): Uint8Array {
  const generator = generatorOf(correctionCodewords);
  const rest = new Uint8Array(correctionCodewords);
  for (const codeword of data) {
    const factor = codeword ^ (rest[0] ?? 0);
    rest.copyWithin(0, 1);
    rest[correctionCodewords - 1] = 0;
    if (factor === 0) continue;
    for (let at = 0; at < correctionCodewords; at++) {
      rest[at] = (rest[at] ?? 0) ^ multiply(generator[at + 1] ?? 0, factor);
    }
  }
  return rest;
}

/**
 * Corrects a block (data, then `correctionCodewords` of error correction). `erasures` are indexes of codewords that are not to be
 * trusted; each once. Undefined when the block holds more than can be corrected; a block that is corrected is a true codeword,
 * but beyond the limit it may be another than was printed: the caller confirms.
 */
export function decodeBlock(
  received: Uint8Array,
  correctionCodewords: number,
  erasures: readonly number[],
): CorrectedBlock | undefined {
  const length = received.length;
  if (erasures.length > correctionCodewords) return undefined;
  const codewords = Uint8Array.from(received);
  const syndromes = syndromesOf(codewords, correctionCodewords);
  if (syndromes.every((value) => value === 0)) return { codewords, errors: 0, erasures: erasures.length };
  const locator = locateErrors(syndromes, erasures, length);
  if (locator === undefined) return undefined;
  const places = findPlaces(locator, length);
  if (places === undefined) return undefined;
  repair(codewords, syndromes, locator, places);
  if (syndromesOf(codewords, correctionCodewords).some((value) => value !== 0)) return undefined;
  const erased = new Set(erasures);
  const errors = places.filter((place) => !erased.has(place)).length;
  if (2 * errors + erasures.length > correctionCodewords) return undefined;
  return { codewords, errors, erasures: erasures.length };
}

/** Values of the received polynomial at the roots; the first codeword is the highest power. */
function syndromesOf(codewords: Uint8Array, count: number): Uint8Array {
  const syndromes = new Uint8Array(count);
  for (let root = 0; root < count; root++) {
    let sum = 0;
    for (let at = 0; at < codewords.length; at++) {
      if (sum !== 0) sum = powers[(logarithms[sum] ?? 0) + root] ?? 0;
      sum ^= codewords[at] ?? 0;
    }
    syndromes[root] = sum;
  }
  return syndromes;
}

/** The polynomial whose roots are the inverse places of all wrong codewords; lowest power first. */
function locateErrors(syndromes: Uint8Array, erasures: readonly number[], length: number): Uint8Array | undefined {
  const size = syndromes.length + 1;
  let locator = new Uint8Array(size);
  locator[0] = 1;
  let degree = 0;
  for (const place of erasures) {
    const x = powerOf(length - 1 - place);
    degree++;
    for (let at = degree; at >= 1; at--) locator[at] = (locator[at] ?? 0) ^ multiply(locator[at - 1] ?? 0, x);
  }
  const previous = Uint8Array.from(locator);
  let spare = new Uint8Array(size);
  for (let step = erasures.length; step < syndromes.length; step++) {
    let discrepancy = 0;
    const last = Math.min(step, degree);
    for (let at = 0; at <= last; at++) discrepancy ^= multiply(locator[at] ?? 0, syndromes[step - at] ?? 0);
    previous.copyWithin(1, 0);
    previous[0] = 0;
    if (discrepancy === 0) continue;
    const grows = 2 * degree <= step + erasures.length;
    const next = spare;
    for (let at = 0; at < size; at++) next[at] = (locator[at] ?? 0) ^ multiply(discrepancy, previous[at] ?? 0);
    if (grows) {
      const inverse = inverseOf(discrepancy);
      for (let at = 0; at < size; at++) previous[at] = multiply(locator[at] ?? 0, inverse);
      degree = step + 1 + erasures.length - degree;
    }
    spare = locator;
    locator = next;
  }
  return 2 * degree - erasures.length <= syndromes.length ? locator : undefined;
}

/** Undefined when the locator has not as many places inside the block as its degree. */
function findPlaces(locator: Uint8Array, length: number): readonly number[] | undefined {
  let degree = locator.length - 1;
  while (degree > 0 && locator[degree] === 0) degree--;
  const places: number[] = [];
  for (let place = 0; place < length && places.length <= degree; place++) {
    if (evaluate(locator, powerOf(-(length - 1 - place))) === 0) places.push(place);
  }
  return places.length === degree ? places : undefined;
}

function repair(codewords: Uint8Array, syndromes: Uint8Array, locator: Uint8Array, places: readonly number[]): void {
  const evaluator = new Uint8Array(syndromes.length);
  for (let at = 0; at < evaluator.length; at++) {
    let sum = 0;
    for (let part = 0; part <= at; part++) sum ^= multiply(locator[part] ?? 0, syndromes[at - part] ?? 0);
    evaluator[at] = sum;
  }
  for (const place of places) {
    const power = codewords.length - 1 - place;
    const inverse = powerOf(-power);
    // The derivative of a polynomial over GF(2^n) keeps the odd powers only.
    let slope = 0;
    for (let at = 1; at < locator.length; at += 2) slope ^= multiply(locator[at] ?? 0, powerTo(inverse, at - 1));
    if (slope === 0) return;
    const magnitude = multiply(multiply(evaluate(evaluator, inverse), inverseOf(slope)), powerOf(power));
    codewords[place] = (codewords[place] ?? 0) ^ magnitude;
  }
}

function evaluate(polynomial: Uint8Array, x: number): number {
  let sum = 0;
  for (let at = polynomial.length - 1; at >= 0; at--) sum = multiply(sum, x) ^ (polynomial[at] ?? 0);
  return sum;
}

function generatorOf(degree: number): Uint8Array {
  const known = generators.get(degree);
  if (known !== undefined) return known;
  let generator = Uint8Array.of(1);
  for (let root = 0; root < degree; root++) {
    const next = new Uint8Array(generator.length + 1);
    for (const [at, value] of generator.entries()) {
      next[at] = (next[at] ?? 0) ^ value;
      next[at + 1] = (next[at + 1] ?? 0) ^ multiply(value, powerOf(root));
    }
    generator = next;
  }
  generators.set(degree, generator);
  return generator;
}

function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : (powers[(logarithms[a] ?? 0) + (logarithms[b] ?? 0)] ?? 0);
}

function inverseOf(value: number): number {
  return powerOf(-(logarithms[value] ?? 0));
}

function powerTo(value: number, exponent: number): number {
  return value === 0 ? (exponent === 0 ? 1 : 0) : powerOf((logarithms[value] ?? 0) * exponent);
}

/** 2 to any whole power. */
function powerOf(exponent: number): number {
  const wrapped = exponent % 255;
  return powers[wrapped < 0 ? wrapped + 255 : wrapped] ?? 0;
}

const generators = new Map<number, Uint8Array>();
const fieldPolynomial = 0x11d;
// Twice around, so that the sum of two logarithms needs no wrapping.
const powers = new Uint8Array(510);
const logarithms = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  powers[exponent] = value;
  powers[exponent + 255] = value;
  logarithms[value] = exponent;
  value <<= 1;
  if (value > 255) value ^= fieldPolynomial;
}
