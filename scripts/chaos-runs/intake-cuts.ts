/**
 * Power cuts. The agent runs once under load with all that it tells its disk and its devices recorded in one order, through several lives;
 * then the power is cut at thousands of places of that record, and what a disk may hold after each is opened with the agent's own store. Whatever was
 * acknowledged before the cut, by PUBACK or by receipt, must be there.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { loadCourierKey } from "../../agent/courier-key.ts";
import type { Store } from "../../agent/ports/store.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { buildDiskShim, readShimLog, recordingEnvironment, type ShimRecord } from "../lib/disk-shim.ts";
import { KillableAgent, statePath } from "./intake-agent.ts";
import { siteDesired, type TestAuthority, TestDevice } from "./intake-site.ts";
import { type CutWay, PowerCutDisk } from "./power-cut-disk.ts";

export interface CutCounts {
  cuts: number;
  /** Acknowledged in the recorded run. */
  acknowledged: number;
  /** Over all cuts: what had been acknowledged before it and was not there after it. */
  lost: number;
  spoilt: number;
  /** Databases that the store would not open, or that were not sound, or had no key. */
  broken: number;
  /** Cuts with a loss. */
  cutsWithLoss: number;
  readonly failures: string[];
}

export interface CutOptions {
  readonly program: string;
  readonly folder: string;
  readonly authority: TestAuthority;
  readonly cuts: number;
  readonly lives: number;
  readonly show: (line: string) => void;
}

export interface CutResult {
  readonly counts: CutCounts;
  /** The same record cut again, on a disk whose last sync did nothing: it must lose, or the campaign is blind. */
  readonly lyingDisk: CutCounts;
}

/** Undefined: no C compiler here, so nothing can be recorded. */
export async function cutPower(options: CutOptions): Promise<CutResult | undefined> {
  const library = buildDiskShim(options.folder);
  if (library === undefined) return undefined;
  const recording = await record(options, library);
  const counts = await replay(options, recording, {
    cuts: options.cuts,
    lies: false,
  });
  const lyingDisk = await replay(options, recording, {
    cuts: Math.max(20, options.cuts / 20),
    lies: true,
  });
  return { counts, lyingDisk };
}

interface Acknowledgement {
  /** Index of the record before which it was sent. */
  readonly at: number;
  readonly device: string;
  readonly sequences: readonly number[];
}

interface Recording {
  readonly state: string;
  readonly records: readonly ShimRecord[];
  readonly acknowledgements: readonly Acknowledgement[];
  readonly textsByDevice: ReadonlyMap<string, readonly string[]>;
}

async function record({ program, folder, authority, lives, show }: CutOptions, library: string): Promise<Recording> {
  const site = "site-cut";
  const home = join(folder, site);
  mkdirSync(home, { recursive: true });
  const state = statePath(home);
  const log = join(home, "disk.log");
  const sentById = new Map<number, { readonly device: string; readonly first: number; readonly last: number }>();
  const port = await freePort();
  let lastId = 0;
  let acknowledged = 0;
  const devices = Array.from({ length: DEVICES }, (_, index) => {
    const id = `panel-cut-${index}`;
    return new TestDevice(site, id, {
      // Never twice in the whole record, so that a PUBACK's id says of which message it is.
      nextId: () => ++lastId,
      onSent: (messageId, first, last) => sentById.set(messageId, { device: id, first, last }),
      onAcknowledged: (count) => {
        acknowledged += count;
      },
    });
  });
  authority.say(
    `dl/1/${site}/gateway-main/desired`,
    siteDesired(
      site,
      devices.map(({ id }) => id),
    ),
    true,
  );
  for (let life = 1; life <= lives; life++) {
    show(`recording life ${life} of ${lives}`);
    const environment = recordingEnvironment(library, log, state, port);
    const agent = new KillableAgent({
      program,
      folder: home,
      site,
      upstreamPort: authority.port,
      port,
      environment,
    });
    if ((await agent.ready) === undefined) throw new Error(`the agent does not start: ${agent.said}`);
    const goal = acknowledged + EVENTS_A_LIFE;
    const giveUpAt = performance.now() + PATIENCE_MS;
    for (const device of devices) {
      while (!(await device.connect(port)) && performance.now() < giveUpAt) await pause(10);
    }
    while (acknowledged < goal && performance.now() < giveUpAt) await pause(1);
    if (acknowledged < goal) throw new Error(`too few were acknowledged: ${agent.said}`);
    // The last life but one ends in order, so that closing is in the record as well.
    await agent.end(life === lives - 1 ? "SIGTERM" : "SIGKILL");
    for (const device of devices) device.disconnect();
  }
  const records = readShimLog(readFileSync(log));
  const acknowledgements = acknowledgementsIn(records, sentById);
  if (acknowledgements.length === 0) throw new Error("no acknowledgement is in the record");
  return {
    state,
    records,
    acknowledgements,
    textsByDevice: new Map(devices.map(({ id, texts }) => [id, texts])),
  };
}

/** What the agent told its devices, read out of the bytes that it sent them. */
function acknowledgementsIn(
  records: readonly ShimRecord[],
  sentById: ReadonlyMap<number, { readonly device: string; readonly first: number; readonly last: number }>,
): readonly Acknowledgement[] {
  const found: Acknowledgement[] = [];
  const restByDescriptor = new Map<number, Buffer>();
  for (const [at, record] of records.entries()) {
    if (record.kind === "begun") restByDescriptor.clear();
    if (record.kind !== "sent") continue;
    const bytes = Buffer.concat([restByDescriptor.get(record.descriptor) ?? Buffer.alloc(0), record.bytes]);
    const { packets, rest } = packetsIn(bytes);
    restByDescriptor.set(record.descriptor, rest);
    for (const { first, body } of packets) {
      const type = first >> 4;
      if (type === 4) {
        const sent = sentById.get(body.readUInt16BE(0));
        if (sent !== undefined)
          found.push({
            at,
            device: sent.device,
            sequences: range(sent.first, sent.last),
          });
      } else if (type === 3) {
        const topicEnd = 2 + body.readUInt16BE(0);
        const [, , , device = "", channel] = body.toString("latin1", 2, topicEnd).split("/");
        if (channel !== "receipt") continue;
        const payload = body.toString("utf8", topicEnd + ((first & 0b110) === 0 ? 0 : 2));
        const { through } = JSON.parse(payload) as {
          readonly through: number | null;
        };
        if (through !== null) found.push({ at, device, sequences: range(1, through) });
      }
    }
  }
  return found;
}

/** The whole packets at the beginning of `bytes` (`first`: type and flags), and what is left: a broker may write a packet in pieces. */
function packetsIn(bytes: Buffer): {
  readonly packets: readonly {
    readonly first: number;
    readonly body: Buffer;
  }[];
  readonly rest: Buffer;
} {
  const packets: { readonly first: number; readonly body: Buffer }[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    let length = 0;
    let lengthBytes = 0;
    for (let more = true; more && lengthBytes < 4; lengthBytes++) {
      const byte = bytes[at + 1 + lengthBytes] ?? 0x80;
      length += (byte & 0x7f) * 128 ** lengthBytes;
      more = byte >= 0x80;
    }
    const start = at + 1 + lengthBytes;
    if (start + length > bytes.length) break;
    packets.push({
      first: bytes[at] ?? 0,
      body: bytes.subarray(start, start + length),
    });
    at = start + length;
  }
  return { packets, rest: bytes.subarray(at) };
}

async function replay(
  { folder, show }: CutOptions,
  recording: Recording,
  { cuts, lies }: { readonly cuts: number; readonly lies: boolean },
): Promise<CutCounts> {
  const { records, acknowledgements, state, textsByDevice } = recording;
  const all = new Set(acknowledgements.flatMap(({ device, sequences }) => sequences.map((one) => `${device} ${one}`)));
  const counts: CutCounts = {
    cuts: 0,
    acknowledged: all.size,
    lost: 0,
    spoilt: 0,
    broken: 0,
    cutsWithLoss: 0,
    failures: [],
  };
  // From the first acknowledgement on, or a little before it: what came earlier nobody was told anything about.
  const from = Math.max(0, (acknowledgements[0]?.at ?? 0) - RECORDS_BEFORE);
  const chance = randomFrom(lies ? 7 : 11);
  const anywhere = (): number => from + Math.floor(chance() * (records.length - from));
  // The control is cut where it hurts: right behind an acknowledgement.
  const toldAt = (): number => (acknowledgements[Math.floor(chance() * acknowledgements.length)]?.at ?? 0) + 1;
  const places = Array.from({ length: cuts }, lies ? toldAt : anywhere);
  places.sort((left, right) => left - right);
  const disk = new PowerCutDisk(state, { lies });
  const owedByDevice = new Map<string, Set<number>>();
  const running = new Set<Promise<void>>();
  let applied = 0;
  let told = 0;
  for (const place of places) {
    for (; applied < place; applied++) {
      const record = records[applied];
      if (record !== undefined) disk.apply(record);
    }
    for (; (acknowledgements[told]?.at ?? Number.POSITIVE_INFINITY) < place; told++) {
      const { device = "", sequences = [] } = acknowledgements[told] ?? {};
      const owed = owedByDevice.get(device) ?? new Set<number>();
      owedByDevice.set(device, owed);
      for (const sequence of sequences) owed.add(sequence);
    }
    const cutFolder = join(folder, `cut-${counts.cuts}`);
    mkdirSync(cutFolder);
    const way = lies ? "nothing" : (ways[Math.min(ways.length - 1, Math.floor(chance() * 5))] ?? "anything");
    for (const [name, bytes] of disk.image(way, chance)) writeFileSync(join(cutFolder, name), bytes, { flush: false });
    counts.cuts += 1;
    const owed = new Map([...owedByDevice].map(([device, sequences]) => [device, new Set(sequences)]));
    const checked = checkCut(cutFolder, owed, textsByDevice, counts, `cut before record ${place}, ${way} unsynced`)
      .catch((error: unknown) => noteBroken(counts, `cut before record ${place}, ${way} unsynced: ${error}`))
      .finally(() => {
        rmSync(cutFolder, { recursive: true, force: true });
        running.delete(checked);
      });
    running.add(checked);
    if (running.size >= AT_ONCE) await Promise.race(running);
    show(`${counts.cuts} of ${cuts} cuts${lies ? " on a lying disk" : ""}, ${counts.lost} lost`);
  }
  await Promise.all(running);
  return counts;
}

async function checkCut(
  folder: string,
  owedByDevice: ReadonlyMap<string, ReadonlySet<number>>,
  textsByDevice: ReadonlyMap<string, readonly string[]>,
  counts: CutCounts,
  where: string,
): Promise<void> {
  const path = join(folder, "agent.db");
  const store = await openSqliteStore(path, () => undefined);
  let lost = 0;
  try {
    for (const [device, owed] of owedByDevice) {
      const texts = textsByDevice.get(device) ?? [];
      const kept = await detailsBySequence(store, device as DeviceId);
      for (const sequence of owed) if (!kept.has(sequence)) lost += 1;
      for (const [sequence, detail] of kept) if (detail !== texts[sequence - 1]) counts.spoilt += 1;
      // A receipt is made from the coverage: what it covers must be there.
      for (const { first, last } of await store.coverage(device as DeviceId)) {
        if (range(first, last).some((sequence) => !kept.has(sequence)))
          noteBroken(counts, `${where}: covers what is not there`);
      }
    }
  } finally {
    await store.close();
  }
  await loadCourierKey(folder, {
    bytes: () => new Uint8Array(32).fill(1),
    fraction: () => 0,
  });
  const database = new DatabaseSync(path);
  const sound = database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
  database.close();
  if (sound !== "ok") noteBroken(counts, `${where}: ${sound}`);
  counts.lost += lost;
  if (lost > 0) {
    counts.cutsWithLoss += 1;
    if (counts.failures.length < FAILURES_KEPT) counts.failures.push(`${where}: ${lost} lost`);
  }
}

function noteBroken(counts: CutCounts, what: string): void {
  counts.broken += 1;
  if (counts.failures.length < FAILURES_KEPT) counts.failures.push(what);
}

async function detailsBySequence(store: Store, device: DeviceId): Promise<ReadonlyMap<number, string>> {
  const kept = new Map<number, string>();
  for (let after = -1; ; ) {
    const events = await store.readEvents(device, after, EVENTS_AT_ONCE);
    for (const { sequence, body } of events)
      kept.set(sequence, String((JSON.parse(body) as { detail?: unknown }).detail));
    after = events.at(-1)?.sequence ?? after;
    if (events.length < EVENTS_AT_ONCE) return kept;
  }
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

/** Marsaglia's xorshift of 32 bits: the same cuts for the same record. */
function randomFrom(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Three cuts in five are of the third kind. */
const ways: readonly CutWay[] = ["nothing", "everything", "anything"];
const DEVICES = 6;
const EVENTS_A_LIFE = 900;
const RECORDS_BEFORE = 50;
const AT_ONCE = 3;
const EVENTS_AT_ONCE = 1_000;
const PATIENCE_MS = 30_000;
const FAILURES_KEPT = 20;
