/**
 * Whose code is this? Judges a text read from a symbol against the lists of payloads that the authority has published.
 *
 * Rules: SPEC Q6-Q11, in the order of the checks below. The lists decide, by comparison of whole payloads; the parts of a
 * token that is on no list are claims, good enough to name what probably happened but never to accept anything. The holder
 * of the key (the authority) passes it in and then a claim that the MAC does not bear out is `altered`.
 */
import { checkStickerMac, parseStickerUrl, type StickerUrl } from "./token.ts";

/**
 * What is known of one panel's stickers, and how old that knowledge is. `retired`: oldest first. `current` is null when the latest
 * one was retired and none has followed: the panel has no valid sticker (SPEC Q58). `seenAtMs`: since when the current one is known
 * to hang on the wall; null: not yet (SPEC Q60).
 */
export type PanelRecord = {
  readonly panel: string;
  readonly panelNumber: number;
  readonly doorName: string;
  readonly epoch: number;
  readonly current: string | null;
  readonly retired: readonly string[];
  readonly rotatedAtMs?: number | undefined;
  readonly seenAtMs?: number | null | undefined;
  readonly listedAtMs: number;
  readonly ageMs: number;
};

export type StickerVerdict =
  | "current"
  | "retired"
  | "misplaced"
  | "newer-than-known"
  | "foreign"
  | "altered"
  | "unreadable";

export type VerdictReason =
  | "on-the-list"
  | "another-panel"
  | "nothing-read"
  | "another-host"
  | "another-scheme"
  | "not-our-form"
  | "mac-differs"
  | "differs-from-listed"
  | "epoch-passed"
  | "epoch-ahead"
  | "format-ahead"
  | "panel-unknown"
  | "no-list";

/**
 * The judgement. `panel` and `epoch` name the sticker that the text is, or claims to be; `expectedPanel` where it should
 * hang, when that was asked. `listAgeMs` is the age of the list that decided, undefined when there is none.
 */
export type StickerJudgement = {
  readonly verdict: StickerVerdict;
  readonly reason: VerdictReason;
  readonly panel: string | undefined;
  readonly epoch: number | undefined;
  readonly currentEpoch: number | undefined;
  readonly expectedPanel: string | undefined;
  readonly listAgeMs: number | undefined;
};

export type KnownStickers = {
  readonly panels: readonly PanelRecord[];
  /** The panel that the sticker should belong to; undefined: any panel of the site will do. */
  readonly expectedPanel?: string | undefined;
  /** The site's sticker key, which only the authority holds. */
  readonly key?: Uint8Array | undefined;
};

/**
 * Judges `text` (undefined: nothing could be read). Never throws; each of the seven verdicts carries its reason.
 * A retired code is `retired` wherever it hangs: that it is dead matters before that it is misplaced.
 * Source: SPEC Q6-Q11.
 */
export function judgePayload(text: string | undefined, known: KnownStickers): StickerJudgement {
  if (text === undefined || text === "") return judgement(known, undefined, "unreadable", "nothing-read");
  // SPEC Q6: the lists come first; a payload that is on one needs no reading of its parts.
  for (const record of known.panels) {
    if (record.retired.includes(text)) return judgement(known, record, "retired", "on-the-list", epochOf(text));
  }
  for (const record of known.panels) {
    if (record.current !== text) continue;
    const misplaced = known.expectedPanel !== undefined && known.expectedPanel !== record.panel;
    return misplaced
      ? judgement(known, record, "misplaced", "another-panel", record.epoch)
      : judgement(known, record, "current", "on-the-list", record.epoch);
  }
  return judgeUnlisted(text, known);
}

function judgeUnlisted(text: string, known: KnownStickers): StickerJudgement {
  const parsed = parseStickerUrl(text);
  const origins = knownOrigins(known.panels);
  if (origins.size > 0) {
    // SPEC Q7: the address decides before anything that the text claims about itself.
    const address = compareAddress(text, origins);
    if (address === "another-host") return judgement(known, undefined, "foreign", address);
    if (address === "another-scheme") return judgement(known, undefined, "altered", address);
  }
  if (!parsed.ok) {
    const ahead = parsed.fault.code === "token-version" && parsed.fault.version > parsed.fault.expected;
    if (ahead && known.key === undefined) return judgement(known, undefined, "newer-than-known", "format-ahead");
    return judgement(known, undefined, origins.size > 0 ? "altered" : "foreign", "not-our-form");
  }
  return judgeClaim(parsed.value, known);
}

/** The text has our address and our form but is on no list: what it claims says what probably happened. */
function judgeClaim(url: StickerUrl, known: KnownStickers): StickerJudgement {
  const { panelNumber, epoch } = url.token;
  const record = known.panels.find((each) => each.panelNumber === panelNumber);
  // SPEC Q8: who holds the key believes no claim without its MAC.
  if (known.key !== undefined && checkStickerMac(known.key, url.token) === "mac-differs") {
    return judgement(known, record, "altered", "mac-differs", epoch);
  }
  if (known.panels.length === 0) return judgement(known, undefined, "newer-than-known", "no-list", epoch);
  if (record === undefined) return judgement(known, undefined, "newer-than-known", "panel-unknown", epoch);
  if (epoch > record.epoch) return judgement(known, record, "newer-than-known", "epoch-ahead", epoch);
  const listed = payloadsOf(record).some((payload) => epochOf(payload) === epoch);
  return listed
    ? judgement(known, record, "altered", "differs-from-listed", epoch)
    : judgement(known, record, "retired", "epoch-passed", epoch);
}

/** Compares everything before the first slash after `//`; letter case of the host names no other host (RFC 3986 3.2.2). */
function compareAddress(text: string, origins: ReadonlySet<string>): "known" | "another-host" | "another-scheme" {
  const [, scheme, authority] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/.exec(text) ?? [];
  if (scheme === undefined || authority === undefined) return "another-host";
  if (origins.has(`${scheme}://${authority}`.toUpperCase())) return "known";
  const sameHost = ["HTTP", "HTTPS"].some((other) => origins.has(`${other}://${authority}`.toUpperCase()));
  return sameHost ? "another-scheme" : "another-host";
}

function knownOrigins(panels: readonly PanelRecord[]): ReadonlySet<string> {
  const origins = new Set<string>();
  for (const record of panels) {
    for (const payload of payloadsOf(record)) {
      const parsed = parseStickerUrl(payload);
      if (parsed.ok) origins.add(parsed.value.origin);
    }
  }
  return origins;
}

/** All that were ever published of a panel, the valid one first. */
function payloadsOf({ current, retired }: PanelRecord): readonly string[] {
  return current === null ? retired : [current, ...retired];
}

function epochOf(payload: string): number | undefined {
  const parsed = parseStickerUrl(payload);
  return parsed.ok ? parsed.value.token.epoch : undefined;
}

function judgement(
  known: KnownStickers,
  record: PanelRecord | undefined,
  verdict: StickerVerdict,
  reason: VerdictReason,
  epoch?: number,
): StickerJudgement {
  const expected = known.panels.find((each) => each.panel === known.expectedPanel);
  return {
    verdict,
    reason,
    panel: record?.panel,
    epoch,
    currentEpoch: (record ?? expected)?.epoch,
    expectedPanel: known.expectedPanel,
    listAgeMs: (record ?? expected)?.ageMs ?? oldestAge(known.panels),
  };
}

function oldestAge(panels: readonly PanelRecord[]): number | undefined {
  return panels.length === 0 ? undefined : Math.max(...panels.map((each) => each.ageMs));
}
