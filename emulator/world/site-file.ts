/**
 * The emulator's site file: the site as its manager writes it (`protocol/site`), and under `world:` the truth about its
 * devices, phones and pockets. One file, one list of mistakes, each with its line.
 */
import { z } from "zod";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import type { UnixSeconds } from "../../protocol/base/units.ts";
import { modelByName, modelNames } from "../../protocol/firmware/models.ts";
import type { CallOption } from "../../protocol/site/call-screen.ts";
import { compileLockPolicy } from "../../protocol/site/compile-lock-policy.ts";
import { asFault, type DocumentFault, type Finding, readYaml } from "../../protocol/site/document.ts";
import { parseSiteWith } from "../../protocol/site/parse-site.ts";
import { type Site, siteFileSchema } from "../../protocol/site/site.ts";

export interface World {
  readonly devices: readonly WorldDevice[];
  readonly phones: readonly WorldPhone[];
  readonly pockets: readonly { readonly person: string; readonly credentials: readonly string[] }[];
}

/** What a device is when the world starts; the rest of it is in `site.devices`. */
export interface WorldDevice {
  readonly id: string;
  /** What it reports; null: nothing. */
  readonly firmware: string | null;
  readonly hardware: string;
  /** Battery locks only. */
  readonly batteryPercent?: number | undefined;
  /** How much its crystal runs fast (+) or slow (-), in parts per million. */
  readonly driftPpm: number;
  /** How far its clock is off when the bench has set it: seconds ahead (+) or behind (-). */
  readonly clockErrorSeconds: number;
}

export interface WorldPhone {
  readonly id: string;
  readonly person: string;
  readonly model: string;
  readonly os: string;
  readonly app: {
    readonly installed: boolean;
    readonly version?: string | undefined;
    readonly notifications: boolean;
    /** A fault of this phone alone: call-screen options that do not appear though they should (row 33). */
    readonly hiddenOptions: readonly CallOption[];
  };
  readonly doNotDisturb: boolean;
}

export interface WorldSite {
  readonly site: Site;
  readonly world: World;
}

/** Reads a site file. Faults: document-mistakes with every mistake of both parts, in the order of their lines. */
export function readSiteFile(text: string, start: UnixSeconds): Result<WorldSite, DocumentFault> {
  const yaml = readYaml(text);
  if (!yaml.ok) return yaml;
  const parsed = parseSiteWith(text, worldFileSchema, { start });
  // The references are looked up in the file as it stands, so that a mistake in a door hides none in a phone.
  const findings = worldFindings(yaml.value.raw).map(yaml.value.mistakeAt);
  const mistakes = [...(parsed.ok ? [] : parsed.fault.mistakes), ...findings];
  if (!parsed.ok || mistakes.length > 0) return failed(asFault(mistakes));
  const unfit = policyFindings(parsed.value.site, start).map(yaml.value.mistakeAt);
  if (unfit.length > 0) return failed(asFault(unfit));
  return ok({ site: parsed.value.site, world: parsed.value.file.world });
}

const idText = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "an id of 1-32 characters a-z 0-9 -");
const shortText = z.string().min(1).max(64);

const deviceSchema = z.strictObject({
  id: idText,
  firmware: z.string().min(1).max(64).nullable(),
  hardware: shortText,
  batteryPercent: z.number().min(0).max(100).optional(),
  driftPpm: z.number().min(-500).max(500).default(0),
  clockErrorSeconds: z.number().min(-86_400).max(86_400).default(0),
});

const phoneSchema = z.strictObject({
  id: idText,
  person: idText,
  model: shortText,
  os: shortText,
  app: z.strictObject({
    installed: z.boolean(),
    version: z
      .string()
      .regex(/^\d+(\.\d+){1,3}$/, "a version such as 5.4.0")
      .optional(),
    notifications: z.boolean().default(true),
    hiddenOptions: z
      .array(z.enum(["generate-doorcode"]))
      .max(8)
      .default([]),
  }),
  doNotDisturb: z.boolean().default(false),
});

const worldSchema = z.strictObject({
  devices: z.array(deviceSchema).max(1_000),
  phones: z.array(phoneSchema).max(10_000),
  pockets: z
    .array(z.strictObject({ person: idText, credentials: z.array(idText).max(32) }))
    .max(10_000)
    .default([]),
});

export const worldFileSchema = siteFileSchema.extend({ world: worldSchema });

/** Networked devices get their policies from this file, so each must compile; the cloud finds out by itself for the others. */
function policyFindings(site: Site, start: UnixSeconds): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [index, { id }] of site.devices.entries()) {
    const compiled = compileLockPolicy(site, id, { epoch: 1, version: 1, now: start, codeHashKey: new Uint8Array(32) });
    if (compiled.ok) continue;
    const { code, ...facts } = compiled.fault;
    const came = `${code} (${Object.values(facts).join(", ")})`;
    findings.push({ path: ["devices", index, "id"], expected: "a device whose policy can be compiled", came });
  }
  return findings;
}

/** What the reference checks need of a file that may be wrong anywhere; what cannot be read is passed over. */
const looseList = <Item extends z.ZodType>(item: Item) => z.array(item.optional().catch(undefined)).catch([]);
const looseText = z.string().catch("");
const looseIds = looseList(z.object({ id: z.string() }));
const looseFile = z.object({
  devices: looseList(z.object({ id: z.string(), model: z.enum(modelNames) })),
  people: looseIds,
  credentials: looseIds,
  world: z.object({
    devices: looseList(z.object({ id: z.string(), batteryPercent: z.unknown().optional() })),
    phones: looseList(
      z.object({
        id: z.string(),
        person: looseText,
        app: z.object({ installed: z.boolean(), version: z.unknown().optional() }).optional().catch(undefined),
      }),
    ),
    pockets: looseList(z.object({ person: looseText, credentials: looseList(z.string()) })),
  }),
});
type LooseFile = z.output<typeof looseFile>;

/** References from the world into the site, and what only both together can say. */
function worldFindings(raw: unknown): readonly Finding[] {
  const file = looseFile.safeParse(raw);
  // Without a list of devices or a world there is nothing to look up; the schema has said so already.
  return file.success ? [...deviceFindings(file.data), ...phoneFindings(file.data), ...pocketFindings(file.data)] : [];
}

function deviceFindings({ devices, world }: LooseFile): readonly Finding[] {
  const findings: Finding[] = [];
  const modelById = new Map(devices.flatMap((device) => (device === undefined ? [] : [[device.id, device.model]])));
  const seen = new Set<string>();
  for (const [index, device] of world.devices.entries()) {
    if (device === undefined) continue;
    const path = ["world", "devices", index];
    const model = modelById.get(device.id);
    if (model === undefined) findings.push({ path: [...path, "id"], expected: "the id of one of devices" });
    if (seen.has(device.id)) findings.push({ path: [...path, "id"], expected: "each device once" });
    seen.add(device.id);
    const onBattery = model !== undefined && modelByName[model].power === "battery";
    if (model === undefined || onBattery === (device.batteryPercent !== undefined)) continue;
    findings.push({
      path: [...path, "batteryPercent"],
      expected: onBattery ? `a level, because ${model} runs on a battery` : `nothing, because ${model} has no battery`,
    });
  }
  for (const [index, device] of devices.entries()) {
    if (device === undefined || seen.has(device.id)) continue;
    findings.push({
      path: ["devices", index, "id"],
      expected: "an entry of the same id in world.devices",
      came: "none",
    });
  }
  return findings;
}

function phoneFindings({ people, world }: LooseFile): readonly Finding[] {
  const findings: Finding[] = [];
  const known = idsOf(people);
  const seen = new Set<string>();
  for (const [index, phone] of world.phones.entries()) {
    if (phone === undefined) continue;
    const path = ["world", "phones", index];
    if (seen.has(phone.id)) findings.push({ path: [...path, "id"], expected: "an id of its own" });
    seen.add(phone.id);
    if (!known.has(phone.person)) findings.push({ path: [...path, "person"], expected: "the id of one of people" });
    if (phone.app?.installed === true && phone.app.version === undefined) {
      findings.push({ path: [...path, "app", "version"], expected: "a version, because the app is installed" });
    }
  }
  return findings;
}

function pocketFindings({ people, credentials, world }: LooseFile): readonly Finding[] {
  const findings: Finding[] = [];
  const knownPeople = idsOf(people);
  const knownCredentials = idsOf(credentials);
  for (const [index, pocket] of world.pockets.entries()) {
    if (pocket === undefined) continue;
    const path = ["world", "pockets", index];
    if (!knownPeople.has(pocket.person))
      findings.push({ path: [...path, "person"], expected: "the id of one of people" });
    for (const [at, credential] of pocket.credentials.entries()) {
      if (credential === undefined || knownCredentials.has(credential)) continue;
      findings.push({ path: [...path, "credentials", at], expected: "the id of one of credentials" });
    }
  }
  return findings;
}

function idsOf(items: readonly ({ readonly id: string } | undefined)[]): ReadonlySet<string> {
  return new Set(items.flatMap((item) => (item === undefined ? [] : [item.id])));
}
