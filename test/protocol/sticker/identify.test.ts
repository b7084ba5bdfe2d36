import { describe, expect, it } from "vitest";
import {
  falseAcceptKinds,
  judgedKinds,
  judgedWear,
  makeTrialSite,
  runIdentityTrial,
  tallyIdentity,
} from "../../../emulator/camera/identity-trials.ts";
import { layOver, wearModules } from "../../../emulator/camera/worn-modules.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import { assert } from "../../../protocol/base/result.ts";
import { identifyModules, type SeenModules } from "../../../protocol/sticker/identify.ts";
import { bookCandidates, freeBits, payloadToCodewords } from "../../../protocol/sticker/identity/candidates.ts";
import { withoutCovered } from "../../../protocol/sticker/identity/samples.ts";
import { modulesToCodewords } from "../../../protocol/sticker/qr/codewords.ts";
import { maskPatterns } from "../../../protocol/sticker/qr/format.ts";
import { payloadToSymbol, type SymbolMatrix } from "../../../protocol/sticker/symbol.ts";

const site = makeTrialSite(40, 4, seededRandom(1, "test/identify"));
const [first, second] = site.panels;
assert(first !== undefined && second !== undefined && first.current !== null, "the site has two panels");
const current = first.current;

function symbolOf(payload: string, mask?: SymbolMatrix["maskPattern"]): SymbolMatrix {
  const known = maskPatterns.find((each) => each === mask);
  const made = payloadToSymbol(payload, { symbolVersion: 4, errorCorrectionLevel: "Q" }, known);
  assert(made.ok, "the test's payload fits");
  return made.value;
}

function seenAs(dark: Uint8Array): SeenModules {
  return { version: 4, dark, known: withoutCovered(dark, new Uint8Array(dark.length).fill(1), 4) };
}

describe("candidates", () => {
  it.each([
    [1, "L"],
    [3, "M"],
    [4, "Q"],
    [5, "H"],
    [7, "Q"],
    [10, "M"],
  ] as const)(
    "[Q70] codewords of version %d, level %s are those of the symbol that is printed, without its mask",
    (symbolVersion, errorCorrectionLevel) => {
      const payload = "HTTPS://A.EXAMPLE/L/04002003DEQMRYA5CSV2EGC5".slice(0, symbolVersion === 1 ? 25 : 44);
      const made = payloadToSymbol(payload, { symbolVersion, errorCorrectionLevel });
      assert(made.ok, "the payload fits");
      const mask = maskPatterns.find((each) => each === made.value.maskPattern) ?? 0;
      const codewords = payloadToCodewords(payload, symbolVersion, errorCorrectionLevel);
      assert(codewords.ok, "the payload fits");
      expect(codewords.value).toEqual(modulesToCodewords(made.value.dark, symbolVersion, mask));
    },
  );

  it("[Q70] a payload that does not fit, or is not alphanumeric, is a fault and stands in no book", () => {
    expect(payloadToCodewords("a", 4, "Q")).toMatchObject({ fault: { code: "payload-not-alphanumeric", at: 0 } });
    expect(payloadToCodewords("A".repeat(68), 4, "Q")).toMatchObject({ fault: { code: "payload-too-long" } });
    expect(bookCandidates(site.panels, 1, "H").candidates).toEqual([]);
  });

  it("[Q71] only what another token would set anew counts as proof: MAC and error correction, each block by its MAC bits", () => {
    const { blocks, shared } = freeBits(site.book, current);
    expect(blocks.map(({ macBits }) => macBits).reduce((sum, bits) => sum + bits, 0)).toBe(88);
    const count = (words: Uint32Array) =>
      [...words].reduce((sum, word) => sum + word.toString(2).replaceAll("0", "").length, 0);
    expect(blocks.map(({ correction }) => count(correction))).toEqual([208, 208]);
    // Host, path and the token's first eight characters, at 5.5 bits each.
    expect(count(shared)).toBe(5.5 * (current.length - "HTTPS://".length - 16));
  });
});

describe("sound symbols", () => {
  it.each([undefined, ...maskPatterns])("[Q70] are recognised whichever mask the printer chose: %s", (mask) => {
    const identity = identifyModules(seenAs(symbolOf(current, mask).dark), site.book, first.panel);
    expect(identity).toMatchObject({ verdict: "current", reason: "proved", agreement: 1 });
    // A mask that the penalties would not choose leaves a few places of one colour, which say nothing.
    expect(identity.destroyed).toBeLessThan(0.01);
    expect(identity.candidate).toMatchObject({ panel: first.panel, payload: current });
  });

  it("[Q70] retired comes before misplaced, and misplaced needs an expected panel", () => {
    const [retired = ""] = first.retired;
    expect(identifyModules(seenAs(symbolOf(retired).dark), site.book, second.panel)).toMatchObject({
      verdict: "retired",
      candidate: { panel: first.panel, epoch: 1 },
    });
    expect(identifyModules(seenAs(symbolOf(current).dark), site.book, second.panel).verdict).toBe("misplaced");
    expect(identifyModules(seenAs(symbolOf(current).dark), site.book).verdict).toBe("current");
  });

  it("[Q75] another host, another token and a changed character are foreign, each with its reason", () => {
    const hosted = current.replace("DOORS.EXAMPLE", "ROODS.EXAMPLE");
    const otherToken = `${current.slice(0, -16)}0123456789ABCDEF`;
    const changed = `${current.slice(0, -1)}${current.endsWith("0") ? "1" : "0"}`;
    const look = (payload: string) => identifyModules(seenAs(symbolOf(payload).dark), site.book);
    expect(look(hosted)).toMatchObject({ verdict: "foreign" });
    expect(look(otherToken)).toMatchObject({ verdict: "foreign", reason: "another-token", candidate: undefined });
    expect(look(changed)).toMatchObject({ verdict: "foreign", candidate: undefined });
    expect(look("HTTPS://PARKING.EXAMPLE/PAY/HERE/NOW/1234567890")).toMatchObject({
      verdict: "foreign",
      reason: "another-code",
    });
  });

  it("[Q76] without lists nothing is recognised and nothing called foreign", () => {
    const book = bookCandidates([], 4, "Q");
    expect(identifyModules(seenAs(symbolOf(current).dark), book)).toMatchObject({
      verdict: "unreadable",
      reason: "no-list",
    });
  });
});

describe("worn symbols", () => {
  it("[Q72] are named rightly in at least 99 of 100 trials with up to two fifths destroyed, and never wrongly accepted", () => {
    const tallies = tallyIdentity({ site, kinds: judgedKinds, wear: judgedWear, trials: 15, shareMax: 0.4, seed: 11 });
    const sum = (what: "trials" | "right" | "falseAccepts") => tallies.reduce((all, tally) => all + tally[what], 0);
    expect(sum("trials")).toBe(315);
    expect(sum("right") / sum("trials")).toBeGreaterThanOrEqual(0.99);
    expect(sum("falseAccepts")).toBe(0);
  });

  it("[Q70] are named rightly from pictures too: tilted, unevenly lit, noisy, by a map that is a little off", () => {
    const order = { site, kinds: judgedKinds, wear: judgedWear, trials: 3, shareMax: 0.4, seed: 13 };
    const tallies = tallyIdentity({ ...order, through: "picture" });
    const right = tallies.reduce((all, tally) => all + tally.right, 0);
    expect(right).toBeGreaterThanOrEqual(62);
    expect(tallies.filter(({ falseAccepts }) => falseAccepts > 0)).toEqual([]);
  });

  it("[Q71] nothing that is not listed, and nothing retired, passes for a current sticker", () => {
    const order = { site, kinds: falseAcceptKinds, wear: judgedWear, trials: 40, shareMax: 0.4, seed: 12 };
    const tallies = tallyIdentity(order);
    expect(tallies.filter(({ falseAccepts }) => falseAccepts > 0)).toEqual([]);
  });

  it("[Q72] a spot that takes the whole left side, error correction and all, is left out at the price of having chosen it", () => {
    const symbol = symbolOf(current);
    const random = seededRandom(3, "test/identify/left");
    const dark = symbol.dark.map((module, at) => (at % 33 < 13 ? random.integer(2) : module));
    const identity = identifyModules(seenAs(dark), site.book);
    expect(identity.strength).toBeGreaterThan(identity.required);
    expect(identity.candidate?.payload).toBe(current);
  });

  it("[Q73] a symbol of which one block is another's is no sticker of ours, although it agrees in nine tenths", () => {
    const other = `${current.slice(0, -1)}${current.endsWith("0") ? "1" : "0"}`;
    for (let trial = 0; trial < 20; trial++) {
      const random = seededRandom(trial, "test/identify/character");
      const worn = wearModules(symbolOf(other), "strewn", 0.3 * random.next(), random);
      expect(identifyModules(seenAs(worn.dark), site.book)).toMatchObject({ verdict: "foreign", candidate: undefined });
    }
  });

  it("[Q74] another code on top is an overlay with its place; a blank label, dirt and scratches are not", () => {
    const upper = symbolOf("HTTPS://PARKING.EXAMPLE/PAY/HERE/NOW/1234567890");
    const covered = layOver(symbolOf(current), upper, { middle: [20, 14], size: 15, turn: 0.2 });
    const identity = identifyModules(seenAs(covered.dark), site.book);
    expect(identity).toMatchObject({ verdict: "overlay", reason: "two-regions", candidate: { payload: current } });
    expect(identity.region?.column).toBeLessThan(16);
    expect(identity.region?.row).toBeLessThan(10);
    const blank = { modules: 33, dark: new Uint8Array(33 * 33) };
    const labelled = layOver(symbolOf(current), blank, { middle: [20, 14], size: 15, turn: 0.2 });
    expect(identifyModules(seenAs(labelled.dark), site.book)).toMatchObject({ verdict: "current" });
  });

  it("[Q75] coins, blank paper and a symbol of which hardly anything is left are unreadable", () => {
    const random = seededRandom(4, "test/identify/coins");
    const coins = Uint8Array.from({ length: 33 * 33 }, () => random.integer(2));
    expect(identifyModules(seenAs(coins), site.book)).toMatchObject({ verdict: "unreadable", reason: "no-structure" });
    expect(identifyModules(seenAs(new Uint8Array(33 * 33)), site.book).verdict).toBe("unreadable");
    const gone = wearModules(symbolOf(current), "strewn", 0.95, random);
    expect(identifyModules(seenAs(gone.dark), site.book).verdict).toBe("unreadable");
  });

  it("[Q70] the same trial gives the same answer", () => {
    const run = () => runIdentityTrial(site, "overlay", "blob", 0.4, seededRandom(9, "test/identify/same"));
    expect(run()).toEqual(run());
  });
});
