/**
 * Trials of identity with known truth: a site's stickers, foreign ones and overlays, each after a hard life. Run as a sample by the tests
 * and as whole campaigns by `scripts/bench sticker`.
 */
import { assert } from "../../protocol/base/result.ts";
import {
  type IdentityVerdict,
  identifyModules,
  type SeenModules,
  type SymbolIdentity,
} from "../../protocol/sticker/identify.ts";
import { bookCandidates, type CandidateBook } from "../../protocol/sticker/identity/candidates.ts";
import { sampleModules, withoutCovered } from "../../protocol/sticker/identity/samples.ts";
import { payloadToSymbol } from "../../protocol/sticker/symbol.ts";
import { mintStickerPayload } from "../../protocol/sticker/token.ts";
import type { PanelRecord } from "../../protocol/sticker/verdict.ts";
import { type SeededRandom, seededRandom } from "../world/random.ts";
import { type Grid, layOver, photographGrid, type WearKind, wearModules } from "./worn-modules.ts";

export type TrialSite = {
  readonly panels: readonly PanelRecord[];
  readonly book: CandidateBook;
  readonly key: Uint8Array;
};

export type TrialKind =
  | "current"
  | "retired"
  | "misplaced"
  /** A sheet with a code of its own, 8 % of the symbol and more, and little wear beside. */
  | "overlay"
  /** The same, worn since, dirt on the sheet too. */
  | "worn-overlay"
  /** Another host's code of the same size. */
  | "foreign-host"
  /** Our address with a token that is on no list. */
  | "foreign-token"
  /** A listed payload with one character changed. */
  | "foreign-character"
  /** Coins. */
  | "noise";

export type Trial = {
  readonly kind: TrialKind;
  readonly wear: WearKind;
  readonly share: number;
  readonly identity: SymbolIdentity;
  readonly isRight: boolean;
  /** Something that is not on the list, or is retired, was taken for a current sticker, or for one that it is not. */
  readonly isFalseAccept: boolean;
};

/** What the share of right answers is counted over, and on which kinds of wear. The others are harder and counted apart. */
export const judgedKinds: readonly TrialKind[] = [
  "current",
  "retired",
  "misplaced",
  "overlay",
  "foreign-host",
  "foreign-token",
  "foreign-character",
];
export const judgedWear: readonly WearKind[] = ["strewn", "blob", "line"];
/** What must never be taken for a current sticker: codes that nobody listed, retired ones, and coins. */
export const falseAcceptKinds: readonly TrialKind[] = [
  "foreign-host",
  "foreign-token",
  "foreign-character",
  "retired",
  "noise",
];
const trialVersion = 4;
const trialLevel = "Q";

/** A site of `panelCount` panels whose stickers were rotated `epochs - 1` times. */
export function makeTrialSite(panelCount: number, epochs: number, random: SeededRandom): TrialSite {
  const key = random.bytes(16);
  const panels = Array.from({ length: panelCount }, (_, panelNumber): PanelRecord => {
    const payloads = Array.from({ length: epochs }, (_, at) => payloadOf(key, trialHost, panelNumber, at + 1));
    const about = { doorName: `Door ${panelNumber}`, epoch: epochs, listedAtMs: 0, ageMs: 0 };
    const current = payloads.at(-1) ?? null;
    return { panel: `panel-${panelNumber}`, panelNumber, ...about, current, retired: payloads.slice(0, -1) };
  });
  return { panels, book: bookCandidates(panels, trialVersion, trialLevel), key };
}

/** One trial: a symbol, its wear up to `share` of its modules, and what is made of it. */
export function runIdentityTrial(
  site: TrialSite,
  kind: TrialKind,
  wear: WearKind,
  share: number,
  random: SeededRandom,
  through: "modules" | "picture" = "modules",
): Trial {
  const mounted = mount(site, kind, random);
  const isOverlaid = kind === "overlay" || kind === "worn-overlay";
  const covered = isOverlaid ? Math.max(overlayShareMin, share * random.next()) : 0;
  const grid = isOverlaid ? cover(mounted.grid, covered, random) : mounted.grid;
  const wearMax = kind === "overlay" ? wearBesideMax : 1;
  const worn = wearModules(grid, wear, Math.min(wearMax, Math.max(0, share - covered)), random);
  const seen = through === "modules" ? seeModules(worn) : seePicture(worn, random);
  const identity = identifyModules(seen, site.book, mounted.expectedPanel);
  const { verdict, candidate } = identity;
  const isNamed = candidate?.payload === mounted.payload;
  const isRight = verdict === mounted.verdict && (mounted.payload === undefined || isNamed);
  const names = verdict !== "foreign" && verdict !== "unreadable";
  return { kind, wear, share, identity, isRight, isFalseAccept: names && !isNamed };
}

/** As a perfect camera and map would see it. */
function seeModules({ dark }: Grid): SeenModules {
  return {
    version: trialVersion,
    dark,
    known: withoutCovered(dark, new Uint8Array(dark.length).fill(1), trialVersion),
  };
}

function seePicture(grid: Grid, random: SeededRandom): SeenModules {
  const { picture, map } = photographGrid(grid, random);
  return sampleModules(picture, map, trialVersion);
}

export type TrialTally = {
  readonly kind: TrialKind;
  readonly wear: WearKind;
  readonly trials: number;
  readonly right: number;
  readonly falseAccepts: number;
};

/** Runs `trials` of each kind under each wear, the destroyed share even over 0..`shareMax`. */
export function tallyIdentity(order: {
  readonly site: TrialSite;
  readonly kinds: readonly TrialKind[];
  readonly wear: readonly WearKind[];
  readonly trials: number;
  readonly shareMax: number;
  readonly seed: number;
  /** `picture`: rendered and sampled again. */
  readonly through?: "modules" | "picture";
}): readonly TrialTally[] {
  const { site, kinds, trials, shareMax, seed, through } = order;
  return kinds.flatMap((kind) =>
    order.wear.map((wear): TrialTally => {
      const random = seededRandom(seed, `camera/identity-trials/${kind}/${wear}`);
      let [right, falseAccepts] = [0, 0];
      for (let trial = 0; trial < trials; trial++) {
        const share = shareMax * random.next();
        const { isRight, isFalseAccept } = runIdentityTrial(site, kind, wear, share, random, through);
        if (isRight) right++;
        if (isFalseAccept) falseAccepts++;
      }
      return { kind, wear, trials, right, falseAccepts };
    }),
  );
}

type Mounted = {
  readonly grid: Grid;
  readonly verdict: IdentityVerdict;
  /** Undefined: none of ours. */
  readonly payload: string | undefined;
  readonly expectedPanel: string | undefined;
};

function mount(site: TrialSite, kind: TrialKind, random: SeededRandom): Mounted {
  const at = random.integer(site.panels.length);
  const record = site.panels[at];
  const other = site.panels[(at + 1 + random.integer(site.panels.length - 1)) % site.panels.length];
  assert(record !== undefined && other !== undefined, "a trial site has two panels");
  const retired = record.retired[random.integer(record.retired.length)] ?? "";
  const listed = kind === "retired" ? retired : (record.current ?? "");
  const own = { grid: gridOf(listed, random), payload: listed, expectedPanel: record.panel };
  switch (kind) {
    case "current":
    case "retired":
      return { ...own, verdict: kind };
    case "overlay":
    case "worn-overlay":
      return { ...own, verdict: "overlay" };
    case "misplaced":
      return { ...own, verdict: kind, expectedPanel: other.panel };
    case "noise": {
      const dark = Uint8Array.from({ length: own.grid.dark.length }, () => random.integer(2));
      return { ...own, grid: { ...own.grid, dark }, verdict: "unreadable", payload: undefined };
    }
    default: {
      const grid = gridOf(foreignPayload(site, kind, record, random), random);
      return { ...own, grid, verdict: "foreign", payload: undefined };
    }
  }
}

function foreignPayload(site: TrialSite, kind: TrialKind, record: PanelRecord, random: SeededRandom): string {
  const epoch = 1 + random.integer(60_000);
  if (kind === "foreign-token") return payloadOf(random.bytes(16), trialHost, record.panelNumber, record.epoch);
  if (kind === "foreign-host") return payloadOf(site.key, foreignHost(random), record.panelNumber, epoch);
  const payload = record.current ?? "";
  const at = payload.length - 1 - random.integer(16);
  const character = crockford[random.integer(crockford.length)] ?? "0";
  // The change may have hit upon the same character.
  const changed = character === payload[at] ? (character === "0" ? "1" : "0") : character;
  return payload.slice(0, at) + changed + payload.slice(at + 1);
}

function cover(grid: Grid, share: number, random: SeededRandom): Grid {
  const size = Math.sqrt(share) * grid.modules;
  const place = () => size / 2 + random.next() * (grid.modules - size);
  const turn = (random.next() - 0.5) * 0.6;
  const upper = gridOf(payloadOf(random.bytes(16), foreignHost(random), 1, 1), random);
  // A sheet of so few modules can only show a part of a code: what counts is that it is two-coloured.
  return layOver(grid, upper, { middle: [place(), place()], size, turn });
}

function foreignHost(random: SeededRandom): string {
  const letters = Array.from({ length: trialHost.length - ".example".length - "https://".length }, () =>
    String.fromCharCode(97 + random.integer(26)),
  );
  return `https://${letters.join("")}.example`;
}

function payloadOf(key: Uint8Array, publicUrl: string, panelNumber: number, epoch: number): string {
  const minted = mintStickerPayload({ key, publicUrl, panelNumber, epoch });
  assert(minted.ok, "a trial's payload can be minted");
  return minted.value.payload;
}

/** Half of the printers choose the mask by the standard's penalties, the others as they like. */
function gridOf(payload: string, random: SeededRandom): Grid {
  const masks = [0, 1, 2, 3, 4, 5, 6, 7] as const;
  const mask = random.next() < 0.5 ? undefined : masks[random.integer(8)];
  const symbol = payloadToSymbol(payload, { symbolVersion: trialVersion, errorCorrectionLevel: trialLevel }, mask);
  assert(symbol.ok, "a trial's payload fits its symbol");
  return symbol.value;
}

const overlayShareMin = 0.08;
const wearBesideMax = 0.05;
const trialHost = "https://doors.example";
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
