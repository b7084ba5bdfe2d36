/** The house of the sync world as a site file: doors and locks that stay, people and cards that come and go. */
import type { SeededRandom } from "../../emulator/world/random.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { ModelName } from "../../protocol/firmware/models.ts";

export interface PlannedLock {
  readonly device: DeviceId;
  readonly model: ModelName;
  readonly address: string;
  readonly door: string;
  readonly kind: "COMMUNAL" | "RESIDENCE";
}

export interface PlannedPerson {
  readonly id: string;
  /** Number of the keycard; the next card of the same person has another. */
  card: string;
  readonly code?: string;
  readonly doors: readonly string[];
  /** In the site file at all: people move in and out. */
  isListed: boolean;
  isRevoked: boolean;
}

export interface HousePlan {
  readonly locks: readonly PlannedLock[];
  readonly people: readonly PlannedPerson[];
  /** Further app keys at every door, so that a policy has a size: they cost the authority nothing to make. */
  readonly crowd: number;
}

const allLocks: readonly PlannedLock[] = [
  { device: "lobby-lock" as DeviceId, model: "C2", address: "C0:FF:EE:00:00:02", door: "lobby", kind: "COMMUNAL" },
  { device: "roof-lock" as DeviceId, model: "M2", address: "C0:FF:EE:00:00:03", door: "roof", kind: "COMMUNAL" },
  {
    device: "home-lock" as DeviceId,
    model: "Interconnect",
    address: "C0:FF:EE:00:00:04",
    door: "home",
    kind: "RESIDENCE",
  },
];

export function planHouse(random: SeededRandom, crowd: number): HousePlan {
  const locks = random.next() < 0.6 ? allLocks.slice(0, 2) : allLocks;
  const doors = locks.map(({ door }) => door);
  const people = Array.from({ length: PEOPLE }, (_, index): PlannedPerson => {
    const some = doors.filter(() => random.next() < 0.7);
    const code = index < CODES ? { code: String(2_000_003 + index * 700_001 + random.integer(600_000)) } : {};
    return {
      id: `person-${index}`,
      card: cardNumber(index, 0),
      ...code,
      // The first of them lives here all along, with every door: somebody must always be able to come in.
      doors: index === 0 || some.length === 0 ? doors : some,
      isListed: index < PEOPLE - NEWCOMERS,
      isRevoked: false,
    };
  });
  return { locks, people, crowd };
}

/** `generation` counts the cards of one person. */
export function cardNumber(person: number, generation: number): string {
  return `04a1${hex(person, 4)}${hex(generation, 6)}`;
}

export function siteText({ locks: planned, people, crowd }: HousePlan): string {
  const listed = people.filter(({ isListed }) => isListed);
  const lines = [
    "site: {id: maple-court, name: Maple Court, timeZone: America/New_York, doorcodeDigits: 7, propertyManager: {name: M, phone: '1', email: desk@maple.example}}",
    "doors:",
    "  - {id: home-door, name: Spare, kind: RESIDENCE, unit: unit-1a}",
    ...planned.map(({ door, kind }) =>
      kind === "RESIDENCE"
        ? `  - {id: ${door}, name: ${door}, kind: ${kind}, unit: unit-1a}`
        : `  - {id: ${door}, name: ${door}, kind: ${kind}, company: maple}`,
    ),
    "devices:",
    ...planned.map(
      ({ device, model, door, address }) =>
        `  - {id: ${device}, model: ${model}, door: ${door}, serial: S-${door}, address: "${address}"}`,
    ),
    "units: [{id: unit-1a, name: 1A}]",
    "people:",
    ...listed.map(({ id }) => `  - {id: ${id}, name: ${id}, email: ${id}@maple.example, role: RESIDENT}`),
    "  - {id: manager, name: Manager, email: manager@maple.example, role: MANAGER}",
    "  - {id: crowd, name: Crowd, email: crowd@maple.example, role: NON_RESIDENT}",
    "accessGroups:",
    ...planned.map(({ door }) => {
      const members = listed.filter(({ doors }) => doors.includes(door)).map(({ id }) => id);
      return `  - {id: at-${door}, name: ${door}, doors: [${door}], members: [${[...members, "crowd"].join(", ")}]}`;
    }),
    "credentials:",
    ...listed.map(({ id, card }) => `  - {id: ${id}-card, kind: keycard, person: ${id}, number: "${card}"}`),
    ...listed.flatMap(({ id, code, doors }) =>
      code === undefined
        ? []
        : [`  - {id: ${id}-code, kind: permanent-doorcode, person: ${id}, code: "${code}", doors: [${doors}]}`],
    ),
    ...Array.from({ length: crowd }, (_, index) => `  - {id: crowd-${index}, kind: app-key, person: crowd}`),
  ];
  return `${lines.join("\n")}\n`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

const PEOPLE = 8;
const NEWCOMERS = 2;
/** Few permanent codes: each makes guessing easier, and the site has a bound for that. */
const CODES = 3;
