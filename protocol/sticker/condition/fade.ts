/** Whether a print fades: its contrast now, and where the earlier scans say it is going. Rules: SPEC Q80. */

/** One earlier scan of the same sticker: when, and its contrast (white - black) / white in percent. */
export type EarlierScan = { readonly atMs: number; readonly contrastPercent: number };

export type FadeJudgement = {
  readonly contrastPercent: number;
  /** Percent points a 30 days, negative when it fades; undefined with fewer than three scans over `trendDaysMin` days. */
  readonly perMonth: number | undefined;
  /** Days until the minimum is reached; 0 when it is below; undefined when it will not be within `horizonDays`. */
  readonly daysLeft: number | undefined;
};

const horizonDays = 365;
const trendDaysMin = 30;

/** Judges the contrast of today; `nowMs` undefined: no trend can be told. Earlier scans may be in any order. */
export function judgeFade(
  contrastPercent: number,
  minimumPercent: number,
  earlier: readonly EarlierScan[],
  nowMs: number | undefined,
): FadeJudgement {
  const perDay = nowMs === undefined ? undefined : slopePerDay([...earlier, { atMs: nowMs, contrastPercent }]);
  const about = { contrastPercent, perMonth: perDay === undefined ? undefined : 30 * perDay };
  if (contrastPercent < minimumPercent) return { ...about, daysLeft: 0 };
  if (perDay === undefined || perDay >= -slopeMin) return { ...about, daysLeft: undefined };
  const days = (contrastPercent - minimumPercent) / -perDay;
  return { ...about, daysLeft: days <= horizonDays ? days : undefined };
}

/** Least squares over the scans. */
function slopePerDay(scans: readonly EarlierScan[]): number | undefined {
  const times = scans.map(({ atMs }) => atMs / msPerDay);
  if (scans.length < scansMin || Math.max(...times) - Math.min(...times) < trendDaysMin) return undefined;
  const meanTime = times.reduce((sum, time) => sum + time, 0) / times.length;
  const meanContrast = scans.reduce((sum, { contrastPercent }) => sum + contrastPercent, 0) / scans.length;
  let [above, below] = [0, 0];
  for (const [at, { contrastPercent }] of scans.entries()) {
    const time = (times[at] ?? 0) - meanTime;
    above += time * (contrastPercent - meanContrast);
    below += time * time;
  }
  return above / below;
}

const msPerDay = 86_400_000;
const scansMin = 3;
// Two photos of one sticker differ by a few points: less than a third of a point a month is no trend.
const slopeMin = 0.01;
