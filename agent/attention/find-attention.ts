/**
 * What needs a person, out of all that is known: who, what, since when, and what to do about it. A pure judgement of the same view that
 * the API shows, so that the screen, the exit code, the page and the metrics cannot disagree. What only takes time is not here; what is
 * not known is here when somebody can make it known. SPEC G34, G35.
 */
import type { AttentionItem, AttentionView } from "../http/health-views.ts";
import type { DeviceView } from "../http/views.ts";
import { findAlerts } from "./alerts.ts";
import type { AttentionInput, PanelFacts } from "./attention-input.ts";
import { findSyncs } from "./syncs.ts";

export function findAttention(input: AttentionInput): AttentionView {
  const { status, panels } = input;
  return {
    sync: status.devices.flatMap((device) => findSyncs(device, status)),
    upgrade: status.devices.flatMap(upgradeItems),
    lowBattery: status.devices.flatMap(batteryItems),
    stickers: panels.flatMap((panel) => stickerItems(panel, status.at)),
    alerts: [...findAlerts(input), ...input.further],
  };
}

export function countAttention(attention: AttentionView): number {
  return Object.values(attention).reduce((sum, items) => sum + items.length, 0);
}

function upgradeItems(view: DeviceView): readonly AttentionItem[] {
  const { device, doorName, model, firmware, online } = view;
  const item = (what: string, remedy: string): AttentionItem => ({
    ...{ who: device, doorName, what, ageSeconds: firmware.ageSeconds, remedy },
  });
  const items: AttentionItem[] = [];
  const { version, verdict, floor } = firmware;
  if (verdict === "below floor") {
    items.push(item(`${version} is below ${floor}: it gives no reasons`, "update its firmware"));
  } else if (verdict === "not comparable") {
    items.push(item(`${version} is no firmware of model ${model}`, "mend its model in the site, or its firmware"));
  } else if (verdict === "unknown") {
    const what = version === null ? "firmware not known" : `${version} cannot be compared with ${floor}`;
    items.push(
      item(
        what,
        version === null && online !== true ? "connect it to this gateway once" : "read its version on the device",
      ),
    );
  }
  for (const gate of firmware.gates) {
    if (gate.wanted !== true || gate.verdict === "able") continue;
    const has = version === null ? "its firmware is not known" : `it runs ${version}`;
    items.push(item(`short doorcodes need ${gate.version}, and ${has}`, "update it, or give its door 7 digits"));
  }
  return items;
}

/** The makers' own limits: a red dot below 15 %, and "unknown" when nothing was read for a month. */
function batteryItems(view: DeviceView): readonly AttentionItem[] {
  const { device, doorName, battery, power } = view;
  if (power !== "battery") return [];
  const read = `read it by a visit: doorlink sync ${device}`;
  if (battery === null) {
    return [{ who: device, doorName, what: "battery not known", ageSeconds: null, remedy: read }];
  }
  const { percent, millivolts, ageSeconds } = battery;
  if (percent < LOW_BATTERY_PERCENT) {
    const remedy = `change the batteries, then sync straight after: doorlink sync ${device}`;
    return [{ who: device, doorName, what: `${percent} % (${(millivolts / 1000).toFixed(1)} V)`, ageSeconds, remedy }];
  }
  if (ageSeconds <= STALE_BATTERY_SECONDS) return [];
  return [{ who: device, doorName, what: `battery not read for long, was ${percent} %`, ageSeconds, remedy: read }];
}

function stickerItems(panel: PanelFacts, now: number): readonly AttentionItem[] {
  const { panel: who, doorName, current, rotatedAt, seenAt, check } = panel;
  const item = (what: string, since: number, remedy: string): AttentionItem => ({
    ...{ who, doorName, what, ageSeconds: Math.max(0, now - since), remedy },
  });
  if (current === null) return [item("no valid sticker", rotatedAt, `mint one: doorlink sticker rotate ${who}`)];
  const photo = `check a photo: doorlink sticker check PHOTO --panel ${who}`;
  // A check from before the rotation was of the sticker that is retired now.
  const last = check !== null && check.at >= rotatedAt ? check : null;
  if (last !== null && last.verdict === "fail") {
    const grade = last.letter === null ? "" : `, grade ${last.letter}`;
    const remedy = `replace it: doorlink sticker make --panel ${who}, then ${photo}`;
    return [item(`last check failed: ${last.identity.replaceAll("-", " ")}${grade}`, last.at, remedy)];
  }
  if (seenAt === null) return [item("new sticker not seen on the wall", rotatedAt, `print and hang it, then ${photo}`)];
  if (last === null) return [item("never checked", rotatedAt, photo)];
  if (last.verdict === "not-measurable") return [item("last check could not judge it", last.at, photo)];
  const isOld = now - last.at > STALE_CHECK_SECONDS;
  return isOld ? [item(`not checked for long, was grade ${last.letter ?? "unknown"}`, last.at, photo)] : [];
}

const LOW_BATTERY_PERCENT = 15;
const STALE_BATTERY_SECONDS = 31 * 86_400;
/** Paper in the sun fades within a season. */
const STALE_CHECK_SECONDS = 183 * 86_400;
