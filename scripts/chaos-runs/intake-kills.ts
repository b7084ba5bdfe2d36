/**
 * kill -9 under load. Each lane is an agent with devices that always have messages under way; it is killed at a random moment, in its start
 * as well as in its work, started again, and every event that was ever acknowledged is looked for in its database. At the end everything
 * is let through, and what the authority has is compared with what the devices said, name by name.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { DatabaseWitness, databasePath, KillableAgent } from "./intake-agent.ts";
import { siteDesired, type TestAuthority, TestDevice } from "./intake-site.ts";

export interface KillCounts {
  kills: number;
  /** Of them: before the agent was ready. */
  killsInStart: number;
  acknowledged: number;
  lost: number;
  doubled: number;
  /** Events that stood in the database with another text than was sent. */
  spoilt: number;
  /** Starts that failed, with the agent's own words in `failures`. */
  failedStarts: number;
  upstream: { kept: number; lost: number; doubled: number; resent: number };
  readonly failures: string[];
}

export interface KillOptions {
  readonly program: string;
  readonly folder: string;
  readonly authority: TestAuthority;
  readonly lanes: number;
  readonly kills: number;
  readonly show: (line: string) => void;
}

export async function killUnderLoad(options: KillOptions): Promise<KillCounts> {
  const counts: KillCounts = {
    kills: 0,
    killsInStart: 0,
    acknowledged: 0,
    lost: 0,
    doubled: 0,
    spoilt: 0,
    failedStarts: 0,
    upstream: { kept: 0, lost: 0, doubled: 0, resent: 0 },
    failures: [],
  };
  let begun = 0;
  const mayKill = (): boolean => begun++ < options.kills;
  const startedAt = performance.now();
  const noted = (): void => {
    const perSecond = counts.kills / ((performance.now() - startedAt) / 1000);
    options.show(
      `${counts.kills} of ${options.kills} kills (${perSecond.toFixed(1)}/s), ${counts.acknowledged} acknowledged, ${counts.lost} lost`,
    );
  };
  await Promise.all(
    Array.from({ length: options.lanes }, (_, index) => new Lane(options, index, counts).run(mayKill, noted)),
  );
  return counts;
}

class Lane {
  readonly #options: KillOptions;
  readonly #counts: KillCounts;
  readonly #site: string;
  readonly #folder: string;
  readonly #devices: readonly TestDevice[];
  /** By device: everything that was acknowledged up to here was found in the database. */
  readonly #foundThrough: number[];
  #acknowledgedNow = 0;
  #onEnough: () => void = () => undefined;
  #enoughAt = Number.POSITIVE_INFINITY;
  #messageId = 1;
  #rounds = 0;

  constructor(options: KillOptions, index: number, counts: KillCounts) {
    this.#options = options;
    this.#counts = counts;
    this.#site = `site-${index}`;
    this.#folder = join(options.folder, this.#site);
    mkdirSync(this.#folder, { recursive: true });
    const deviceOptions = {
      // 16 bits, and 0 is none.
      nextId: () => (this.#messageId = (this.#messageId % 65_535) + 1),
      onAcknowledged: (count: number) => this.#acknowledged(count),
    };
    this.#devices = Array.from(
      { length: DEVICES },
      (_, device) => new TestDevice(this.#site, `panel-${index}-${device}`, deviceOptions),
    );
    this.#foundThrough = this.#devices.map(() => 0);
    const desired = siteDesired(
      this.#site,
      this.#devices.map(({ id }) => id),
    );
    options.authority.say(`dl/1/${this.#site}/gateway-main/desired`, desired, true);
  }

  async run(mayKill: () => boolean, noted: () => void): Promise<void> {
    // The first life is let be until it knows its site: before that it lets nobody in.
    await this.#untilSiteIsKnown();
    while (mayKill()) {
      await this.#round();
      noted();
    }
    await this.#finish();
  }

  async #untilSiteIsKnown(): Promise<void> {
    const agent = this.#startAgent();
    const port = await agent.ready;
    if (port === undefined) throw new Error(`the agent does not start: ${agent.said}`);
    const giveUpAt = performance.now() + PATIENCE_MS;
    while (!(await this.#devices[0]?.connect(port))) {
      if (performance.now() > giveUpAt) throw new Error(`the agent lets nobody in: ${agent.said}`);
      await pause(10);
    }
    // In order, because only then Node leaves the compiled program behind, with which later lives start sooner.
    await agent.end("SIGTERM");
  }

  async #round(): Promise<void> {
    const agent = this.#startAgent();
    const inStart = this.#rounds++ % ROUNDS_A_START === 3;
    if (inStart) {
      await Promise.race([pause(Math.random() * START_MS), agent.ready]);
    } else {
      const port = await agent.ready;
      if (port === undefined) return this.#failedStart(agent);
      await this.#load(port);
    }
    if (!(await agent.end("SIGKILL"))) return this.#failedStart(agent);
    for (const device of this.#devices) device.disconnect();
    this.#counts.kills += 1;
    if (inStart) this.#counts.killsInStart += 1;
  }

  /** Connects the devices, and comes back at the moment of the kill. While the load runs, what was acknowledged before is looked for. */
  async #load(port: number): Promise<void> {
    this.#acknowledgedNow = 0;
    this.#enoughAt = 1 + Math.floor(Math.random() ** 2 * ACKNOWLEDGED_MOST);
    const enough = new Promise<void>((resolve) => {
      this.#onEnough = resolve;
    });
    this.#lookForAcknowledged();
    for (const device of this.#devices) device.connect(port).catch(() => false);
    await Promise.race([enough, pause(PATIENCE_MS, undefined, { ref: false })]);
    // Up to 4 ms, finer than a timer: kills fall between a commit and its PUBACK as well as between two.
    if (Math.random() < 0.5) await pause(Math.random() * 4);
  }

  #acknowledged(count: number): void {
    this.#counts.acknowledged += count;
    this.#acknowledgedNow += count;
    if (this.#acknowledgedNow >= this.#enoughAt) this.#onEnough();
  }

  /** Every event that was acknowledged in an earlier life and was not looked for yet. */
  #lookForAcknowledged(everything = false): void {
    const witness = new DatabaseWitness(databasePath(this.#folder));
    try {
      for (const [index, device] of this.#devices.entries()) {
        const first = everything ? 1 : (this.#foundThrough[index] ?? 0) + 1;
        const last = device.acknowledged.length;
        this.#lookFor(witness, device, first, last);
        // A message behind the window may be acknowledged later; the receipt says below which all are.
        this.#foundThrough[index] = device.receiptedThrough;
      }
      if (everything && !witness.isSound()) this.#fail("integrity_check says that the database is not sound");
    } finally {
      witness.close();
    }
  }

  #lookFor(witness: DatabaseWitness, device: TestDevice, first: number, last: number): void {
    const timesBySequence = new Map<number, number>();
    for (const { sequence, detail } of witness.rows(device.id, first, last)) {
      timesBySequence.set(sequence, (timesBySequence.get(sequence) ?? 0) + 1);
      if (detail !== device.texts[sequence - 1]) {
        this.#counts.spoilt += 1;
        this.#fail(`${device.id} ${sequence} says another thing than was sent`);
      }
    }
    for (let sequence = first; sequence <= last; sequence++) {
      const times = timesBySequence.get(sequence) ?? 0;
      if (times > 1) this.#counts.doubled += 1;
      if (times > 0 || device.acknowledged[sequence - 1] !== true) continue;
      this.#counts.lost += 1;
      this.#fail(`${device.id} ${sequence} was acknowledged and is not there`);
    }
  }

  /** No more kills: everything that was made arrives, and is compared with what the devices said. */
  async #finish(): Promise<void> {
    const { authority } = this.#options;
    const agent = this.#startAgent();
    const port = await agent.ready;
    if (port === undefined) return this.#failedStart(agent);
    for (const device of this.#devices) {
      device.drain();
      device.connect(port).catch(() => false);
    }
    const kept = authority.kept(this.#site);
    const isAllThere = (): boolean =>
      this.#devices.every((device) => device.isDrained && kept.throughByDevice.get(device.id) === device.texts.length);
    const giveUpAt = performance.now() + FINISH_MS;
    while (!isAllThere() && performance.now() < giveUpAt) await pause(20);
    if (!isAllThere()) this.#fail(`${this.#site}: not everything had arrived after ${FINISH_MS} ms ${agent.said}`);
    this.#lookForAcknowledged(true);
    for (const device of this.#devices) this.#compareUpstream(device);
    this.#counts.upstream.kept += kept.textByName.size;
    this.#counts.upstream.doubled += kept.conflicting;
    this.#counts.upstream.resent += kept.resent;
    await agent.end("SIGTERM");
  }

  #compareUpstream(device: TestDevice): void {
    const { textByName } = this.#options.authority.kept(this.#site);
    for (const [index, text] of device.texts.entries()) {
      if (device.acknowledged[index] === true && textByName.get(`${device.id}/1/${index + 1}`) !== text) {
        this.#counts.upstream.lost += 1;
        this.#fail(`${device.id} ${index + 1} was acknowledged and is not upstream`);
      }
    }
  }

  #failedStart(agent: KillableAgent): void {
    this.#counts.failedStarts += 1;
    this.#fail(`the agent did not start or ended by itself: ${agent.said.slice(0, 300)}`);
  }

  #fail(what: string): void {
    if (this.#counts.failures.length < FAILURES_KEPT) this.#counts.failures.push(what);
  }

  #startAgent(): KillableAgent {
    const { program, authority } = this.#options;
    return new KillableAgent({
      program,
      folder: this.#folder,
      site: this.#site,
      upstreamPort: authority.port,
      environment: { NODE_COMPILE_CACHE: join(this.#folder, "compiled") },
    });
  }
}

const DEVICES = 6;
/** A kill in ten falls into the first moments of a life: opening, recovery, reading back. */
const ROUNDS_A_START = 10;
const START_MS = 250;
/** Events that are acknowledged in a life before it ends: mostly few, so that lives are short. */
const ACKNOWLEDGED_MOST = 400;
const PATIENCE_MS = 20_000;
const FINISH_MS = 120_000;
const FAILURES_KEPT = 20;
