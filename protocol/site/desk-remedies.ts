/**
 * What an operator at the desk does about a denial (SPEC D19, D20): the remedy of each failed check with its steps, a fix that is
 * proved by deciding again on a copy of the site, and, where every check passes and the door still stayed shut, UNEXPLAINED with
 * the evidence and no guess (rows 93-118, 124).
 */
import {
  denialReasons,
  detailLabelByKind,
  detailToReasons,
  type ReasonCode,
  type WarningCode,
} from "../access/reasons.ts";
import { type Remedy, type RemedyFacts, remedyFor } from "../access/remedies.ts";
import { ok, type Result } from "../base/result.ts";
import type { UnixSeconds } from "../base/units.ts";
import { modelByName } from "../firmware/models.ts";
import { groupsThatWouldLetIn } from "./alternatives.ts";
import { type DeskDecision, type DeskFault, decideAtDesk } from "./desk-decision.ts";
import { hasKey, isInForce, keysOf, personById } from "./rights.ts";
import type { AccessGroup, Site } from "./site.ts";
import { applyChange, replacementId, type SiteChange } from "./site-change.ts";

export interface DeskQuestion {
  readonly door: string;
  readonly credential: string;
  readonly at: UnixSeconds;
  /** For whom a credential of nobody is meant: a person of the site, or somebody who is not in it yet. */
  readonly assignTo?: string;
  /** Of whoever asks; it varies by role. */
  readonly paymentPermission?: boolean;
  /** The door was tried then and stayed shut; the Detail text of its log, where it has one. */
  readonly stayedShut?: { readonly detail?: string };
}

export interface DeskExplanation extends DeskDecision {
  readonly verdict: "granted" | "denied" | "unexplained";
  /** Of a fix that opens, those of its changes in their order; else one for each failed check, also for what shows up once others are mended. */
  readonly remedies: readonly Remedy[];
  /** Of a denial. */
  readonly fix?: Fix;
  /** When what happened does not follow from the site as it is known here. */
  readonly evidence?: Evidence;
}

export interface Fix {
  /** In their order; empty when they would not make the door open. */
  readonly changes: readonly SiteChange[];
  /** Decided again after all of them: it would open. */
  readonly opens: boolean;
  /** Against what no change at the desk helps. */
  readonly left: readonly ReasonCode[];
  /** Doors to which the person would gain the key by the way. */
  readonly gains: readonly string[];
}

/** What support needs. Neither a code nor a card number stands in it. */
export interface Evidence {
  readonly site: { readonly id: string; readonly name: string; readonly timeZone: string };
  readonly door: string;
  readonly device: { readonly id: string; readonly model: string; readonly serial: string };
  readonly credential: { readonly id: string; readonly kind: string };
  readonly person: { readonly name: string; readonly email: string } | null;
  readonly at: UnixSeconds;
  readonly checks: DeskDecision["checks"];
  readonly warnings: readonly WarningCode[];
  /** What the device's log said, and what that text can mean. */
  readonly observed: { readonly detail: string | null; readonly mayMean: readonly string[] };
  /** What a desk cannot know, so that nobody takes a pass of the checks for a pass of these. */
  readonly notKnownHere: readonly string[];
  readonly sendTo: readonly string[];
}

/** One explanation for each device of the door. Faults: those of `decideAtDesk`. */
export function explainAtDesk(site: Site, question: DeskQuestion): Result<readonly DeskExplanation[], DeskFault> {
  const decided = decideAtDesk(site, question.door, question.credential, question.at);
  return decided.ok ? ok(decided.value.map((one) => explanationOf(site, question, one))) : decided;
}

/**
 * Mends one failed check after the other on a copy of the site, in the documented order, and decides again after each. Stops when the
 * device opens, or when nothing that an operator does at the desk helps against what is left. The remedies are made on the way, so
 * that whoever carries them out has made the changes that were proved.
 */
function mend(
  site: Site,
  deviceId: string,
  question: DeskQuestion,
): { readonly fix: Fix; readonly remedies: readonly Remedy[] } {
  let [mended, credential] = [site, question.credential];
  const changes: SiteChange[] = [];
  const remedies: Remedy[] = [];
  for (;;) {
    const asked = { ...question, credential };
    const decided = decisionOf(mended, deviceId, asked);
    if (decided?.decision.granted === true) return { fix: provedFix(site, mended, question, changes), remedies };
    const left = decided?.reasons ?? [];
    const facts = factsFor(mended, deviceId, asked, decided?.decision.holidayId);
    const next = left
      .map((reason) => ({ reason, made: changesFor(reason, mended, asked, decided?.decision.holidayId) }))
      .find(({ made }) => made.length > 0);
    // What was tried once and did not help will not help again.
    if (next === undefined || next.made.some((change) => changes.some((made) => sameChange(made, change)))) {
      const others = left.filter((one) => remedies.every(({ reason }) => reason !== one));
      const all = [...remedies, ...others.map((reason) => remedyFor(reason, facts))];
      return {
        fix: { changes: [], opens: false, left, gains: [] },
        remedies: all.toSorted((one, other) => rankOf(one.reason) - rankOf(other.reason)),
      };
    }
    remedies.push(remedyFor(next.reason, facts));
    for (const change of next.made) {
      mended = applyChange(mended, change);
      changes.push(change);
      if (change.kind === "replace-credential") credential = replacementId(change.credential);
    }
  }
}

/** The documented order; the wrong lock stands where the rights do. */
function rankOf(reason: ReasonCode): number {
  const wanted = reason === "WRONG_LOCK" ? "NO_ACCESS_RIGHTS" : reason;
  return (denialReasons as readonly ReasonCode[]).indexOf(wanted);
}

function sameChange(left: SiteChange, right: SiteChange): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

function explanationOf(site: Site, question: DeskQuestion, decided: DeskDecision): DeskExplanation {
  const { granted, failedChecks } = decided.decision;
  const { reasons, deviceSays } = decided;
  const { stayedShut } = question;
  const evidence = evidenceOf(site, question, decided);
  if (granted) {
    const base = { ...decided, remedies: [] };
    return stayedShut === undefined
      ? { ...base, verdict: "granted" }
      : { ...base, verdict: "unexplained", remedy: unexplainedRemedy(evidence), evidence };
  }
  const { fix, remedies } = mend(site, decided.deviceId, question);
  const named = detailToReasons(stayedShut?.detail ?? "")?.reasons;
  const said = [...reasons, ...failedChecks, ...(deviceSays === undefined ? [] : [deviceSays])];
  const agrees = named === undefined || said.some((reason) => named.includes(reason));
  return { ...decided, verdict: "denied", remedies, fix, ...(agrees ? {} : { evidence }) };
}

function decisionOf(site: Site, deviceId: string, { door, credential, at }: DeskQuestion): DeskDecision | undefined {
  const decided = decideAtDesk(site, door, credential, at);
  return decided.ok ? decided.value.find((one) => one.deviceId === deviceId) : undefined;
}

/** What an operator would do against one reason; nothing where it is not theirs to do, or not at a desk. */
function changesFor(
  reason: ReasonCode,
  site: Site,
  question: DeskQuestion,
  holiday: string | undefined,
): readonly SiteChange[] {
  const { door, credential, at, assignTo } = question;
  const holder = site.credentials.find(({ id }) => id === credential)?.person;
  switch (reason) {
    case "CREDENTIAL_UNASSIGNED":
      return assignTo === undefined || personById(site, assignTo) === undefined
        ? []
        : [{ kind: "assign-credential", credential, person: assignTo }];
    case "CREDENTIAL_DISABLED":
      return [{ kind: "enable-credential", credential }];
    case "CREDENTIAL_LOST":
    case "CREDENTIAL_STOLEN":
    case "CREDENTIAL_EXPIRED":
    case "CREDENTIAL_USES_EXHAUSTED":
      return [{ kind: "replace-credential", credential, from: at }];
    case "CREDENTIAL_NOT_YET_ACTIVE":
      return [{ kind: "begin-credential", credential, from: at }];
    case "DOOR_NOT_ACTIVATED":
    case "DOOR_LICENSE_EXPIRED":
      return [{ kind: "license-door", door, from: at }];
    case "DOOR_NOT_ASSIGNED":
      return [{ kind: "assign-door", door }];
    case "NO_ACCESS_RIGHTS":
    case "OUT_OF_SCHEDULE":
      return holder === undefined ? [] : [joiningOf(site, question, holder)];
    case "HOLIDAY_RESTRICTED":
      return holiday === undefined ? [] : [{ kind: "open-holiday", holiday, at }];
    default:
      return [];
  }
}

/** A group that lets in by decision, or a new one where none would. */
function joiningOf(site: Site, { door, credential, at }: DeskQuestion, person: string): SiteChange {
  const [group] = suggestedGroups(site, door, credential, at);
  return group === undefined
    ? { kind: "create-group", door, person, at }
    : { kind: "join-group", group: group.id, person };
}

/** Groups that would let in, by decision; first those that give the fewest other doors, and last those that give somebody's home. */
function suggestedGroups(site: Site, door: string, credential: string, at: UnixSeconds): readonly AccessGroup[] {
  const holder = site.credentials.find(({ id }) => id === credential)?.person;
  if (holder === undefined) return [];
  const extra = ({ doors }: AccessGroup) =>
    site.doors.filter(({ id }) => id !== door && doors.includes(id) && !hasKey(site, holder, id, at));
  const cost = (group: AccessGroup): number =>
    extra(group).reduce((sum, { kind }) => sum + (kind === "RESIDENCE" ? homeCost : 1), 0);
  return groupsThatWouldLetIn(site, door, credential, at).toSorted((left, right) => cost(left) - cost(right));
}

/** A fix that opens, with what it changes at other doors. */
function provedFix(
  site: Site,
  mended: Site,
  { door, credential, at, assignTo }: DeskQuestion,
  changes: readonly SiteChange[],
): Fix {
  const person = site.credentials.find(({ id }) => id === credential)?.person ?? assignTo;
  const doorsIn = (which: Site): readonly string[] =>
    person === undefined ? [] : which.doors.filter((one) => hasKey(which, person, one.id, at)).map(({ id }) => id);
  const [before, after] = [doorsIn(site), doorsIn(mended)];
  return {
    changes,
    opens: true,
    left: [],
    gains: after.filter((id) => id !== door && !before.includes(id)),
  };
}

function factsFor(site: Site, deviceId: string, question: DeskQuestion, holidayId: string | undefined): RemedyFacts {
  const { door, at, assignTo, paymentPermission } = question;
  const device = site.devices.find(({ id }) => id === deviceId);
  const model = modelByName[device?.model ?? "R29"];
  const credential = site.credentials.find(({ id }) => id === question.credential);
  const person = personById(site, credential?.person ?? assignTo ?? "");
  const userGroupName = (id: string) => site.userGroups.find((one) => one.id === id)?.name ?? id;
  const memberships = person === undefined ? [] : keysOf(site, person.id, door);
  const holiday = site.holidays.find(({ id }) => id === holidayId)?.name;
  return {
    maker: model.maker,
    offline: model.network === "ble",
    door: doorName(site, door),
    credential: credential === undefined ? "credential" : detailLabelByKind[credential.kind],
    ...(person === undefined ? {} : { user: person.name }),
    ...(assignTo === undefined ? {} : { meantFor: person === undefined ? "new user" : "current user" }),
    ...(paymentPermission === undefined ? {} : { paymentPermission }),
    memberships: memberships
      .filter(({ group }) => isInForce(group, at))
      .map(({ group, inheritedFrom }) => ({
        group: group.name,
        ...(inheritedFrom === undefined ? {} : { inheritedFrom: userGroupName(inheritedFrom) }),
      })),
    groupsThatOpen: suggestedGroups(site, door, question.credential, at).map(({ name }) => name),
    ...(holiday === undefined ? {} : { holiday }),
    visitor: credential?.kind === "temp-key",
    ...(credential?.doors === undefined ? {} : { madeFor: credential.doors.map((id) => doorName(site, id)) }),
    reads: model.takes.map((kind) => detailLabelByKind[kind]),
  };
}

function doorName(site: Site, doorId: string): string {
  return site.doors.find(({ id }) => id === doorId)?.name ?? doorId;
}

function evidenceOf(site: Site, question: DeskQuestion, decided: DeskDecision): Evidence {
  const device = site.devices.find(({ id }) => id === decided.deviceId);
  const credential = site.credentials.find(({ id }) => id === question.credential);
  const person = personById(site, credential?.person ?? "");
  const detail = question.stayedShut?.detail ?? null;
  const { name, phone, email } = site.propertyManager;
  const manager = [name, phone, email].filter((one) => one !== undefined).join(", ");
  const isDoor = device !== undefined && modelByName[device.model].maker === "DOOR";
  return {
    site: { id: site.id, name: site.name, timeZone: site.timeZone },
    door: doorName(site, question.door),
    device: { id: decided.deviceId, model: decided.model, serial: device?.serial ?? "" },
    credential: { id: question.credential, kind: credential?.kind ?? "" },
    person: person === undefined ? null : { name: person.name, email: person.email },
    at: question.at,
    checks: decided.checks,
    warnings: decided.decision.warnings,
    observed: { detail, mayMean: detailToReasons(detail ?? "")?.reasons ?? [] },
    notKnownHere: [
      "whether the device holds the newest data",
      "the device's clock and battery",
      "the bolt, the wiring and the door itself",
    ],
    sendTo: isDoor ? [manager, "support@door.com"] : [manager],
  };
}

function unexplainedRemedy({ sendTo }: Evidence): string {
  return `UNEXPLAINED: no check fails for the site as it is known here. Send the evidence to ${sendTo.join(" or ")}.`;
}

/** More than all the other doors of a site together. */
const homeCost = 10_000;
