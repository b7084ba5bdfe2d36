/** Durable before acknowledged (DESIGN part 3, rule 1), under kill -9 and under power cuts, beside what others call durable. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { bundleAgent } from "../lib/bundle.ts";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";
import { runAnchors } from "./intake-anchors.ts";
import { type CutCounts, type CutResult, cutPower } from "./intake-cuts.ts";
import { type KillCounts, killUnderLoad } from "./intake-kills.ts";
import { TestAuthority } from "./intake-site.ts";

export async function runIntakeChaos(options: CampaignOptions): Promise<CampaignResult> {
  const { show, quick } = options;
  const folder = mkdtempSync(join(tmpdir(), "doorlink-intake-"));
  const folderFor = (name: string): string => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const authority = await TestAuthority.open();
  const startedAt = performance.now();
  const secondsSince = (): number => Math.round((performance.now() - startedAt) / 100) / 10;
  try {
    // What is installed is what is killed, and one file starts sooner than two hundred.
    const program = join(folderFor("program"), "doorlink.cjs");
    await bundleAgent(dirname(program));
    const kills = options.kills ?? (quick ? QUICK_KILLS : KILLS);
    const killed = await killUnderLoad({
      program,
      folder: folderFor("lanes"),
      authority,
      lanes: LANES,
      kills,
      show,
    });
    const killSeconds = secondsSince();
    const cuts = options.cuts ?? (quick ? QUICK_CUTS : CUTS);
    const lives = quick ? QUICK_LIVES : LIVES;
    const cut = await cutPower({
      program,
      folder: folderFor("cuts"),
      authority,
      cuts,
      lives,
      show,
    });
    const anchors = await runAnchors({
      folder: folderFor("anchors"),
      kills: quick ? 1 : ANCHOR_KILLS,
      show,
    });
    const holds = killsHold(killed) && (cut === undefined || cutsHold(cut));
    const counts = {
      kills: killed.kills,
      cuts: cut?.counts.cuts ?? 0,
      acknowledged: killed.acknowledged + (cut?.counts.acknowledged ?? 0),
      lost: killed.lost + killed.upstream.lost + (cut?.counts.lost ?? 0),
      doubled: killed.doubled + killed.upstream.doubled,
      killed,
      powerCuts: cut === undefined ? "stood aside: no C compiler to record with" : withoutFailures(cut),
      anchors,
      seconds: { kills: killSeconds, all: secondsSince() },
      failures: [...killed.failures, ...(cut?.counts.failures ?? [])],
    };
    return { holds, counts, text: textOf(holds, counts) };
  } finally {
    show("");
    await authority.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function killsHold({ lost, doubled, spoilt, failedStarts, upstream, failures }: KillCounts): boolean {
  return lost + doubled + spoilt + failedStarts + upstream.lost + upstream.doubled + failures.length === 0;
}

function cutsHold({ counts, lyingDisk }: CutResult): boolean {
  // A campaign that sees no loss on a disk that lies would see none on an honest one either.
  return counts.lost + counts.spoilt + counts.broken === 0 && lyingDisk.lost + lyingDisk.broken > 0;
}

function withoutFailures({ counts, lyingDisk }: CutResult): Readonly<Record<"honestDisk" | "lyingDisk", object>> {
  const bare = ({ failures: _, ...rest }: CutCounts): object => rest;
  return { honestDisk: bare(counts), lyingDisk: bare(lyingDisk) };
}

function textOf(holds: boolean, counts: Readonly<Record<string, unknown>>): string {
  const { failures, ...rest } = counts;
  const found = Array.isArray(failures) ? failures.map((failure) => `FAILED: ${failure}\n`).join("") : "";
  const lines = Object.entries(rest).map(([name, value]) => `     ${name}: ${JSON.stringify(value)}\n`);
  return `${holds ? "ok  " : "MISS"} intake\n${lines.join("")}${found}`;
}

const KILLS = 1_000;
const QUICK_KILLS = 8;
const CUTS = 2_000;
const QUICK_CUTS = 40;
const LIVES = 6;
const QUICK_LIVES = 2;
const ANCHOR_KILLS = 10;
/** As many agents at once as this machine's cores can start without waiting for each other. */
const LANES = 2;
