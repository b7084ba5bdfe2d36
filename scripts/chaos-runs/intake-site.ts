/**
 * What stands around the agent in an intake campaign: devices that note every acknowledgement, and an authority that keeps what it is sent.
 * All of it lives in the campaign's process, which is never killed, so what it knows is what the agent gave its word for.
 */
import { createServer } from "node:net";
import { Aedes } from "aedes";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import { hmacSha256 } from "../../protocol/crypto.ts";
import { LeanClient } from "../lib/lean-mqtt.ts";

export interface DeviceOptions {
  /** Of the next message, 1 to 65,535. */
  readonly nextId: () => number;
  readonly onSent?: (id: number, first: number, last: number) => void;
  readonly onAcknowledged: (count: number) => void;
}

/** A device with a journal that begins at sequence 1. It sends again what no receipt covers, as every device of the protocol does. */
export class TestDevice {
  readonly id: string;
  /** By sequence - 1: the text that the event carries, which no other event has. */
  readonly texts: string[] = [];
  /** By sequence - 1: a PUBACK or a receipt said that it is kept. */
  readonly acknowledged: boolean[] = [];
  receiptedThrough = 0;
  readonly #site: string;
  readonly #options: DeviceOptions;
  readonly #inFlight = new Map<number, { readonly first: number; readonly last: number }>();
  #sentThrough = 0;
  #client: LeanClient | undefined;
  #draining = false;

  constructor(site: string, id: string, options: DeviceOptions) {
    this.#site = site;
    this.id = id;
    this.#options = options;
  }

  /** Fulfilled when it is connected and sends, or could not be. */
  async connect(port: number): Promise<boolean> {
    this.#inFlight.clear();
    this.#sentThrough = this.receiptedThrough;
    const client = new LeanClient({
      port,
      clientId: this.id,
      password: DEVICE_PASSWORD,
      onPuback: (id) => this.#puback(id),
      onPublish: (_topic, payload) => this.#receipt(payload),
    });
    this.#client = client;
    if ((await client.connected) !== 0) return false;
    client.subscribe(1, [`dl/1/${this.#site}/${this.id}/receipt`]);
    this.#fillWindow();
    return true;
  }

  get connected(): boolean {
    return this.#client?.open ?? false;
  }

  disconnect(): void {
    this.#client?.destroy();
  }

  /** Makes no new events from now on. */
  drain(): void {
    this.#draining = true;
  }

  get isDrained(): boolean {
    return this.receiptedThrough === this.texts.length;
  }

  #fillWindow(): void {
    while (this.#inFlight.size < WINDOW_MESSAGES) {
      const first = this.#sentThrough + 1;
      const last = this.#draining ? Math.min(first + 5, this.texts.length) : first + (first % 4);
      if (last < first) return;
      while (this.texts.length < last) this.texts.push(eventText(this.id, this.texts.length + 1));
      const id = this.#options.nextId();
      this.#options.onSent?.(id, first, last);
      this.#inFlight.set(id, { first, last });
      this.#client?.publish(id, `dl/1/${this.#site}/${this.id}/event`, this.#batch(first, last));
      this.#sentThrough = last;
    }
  }

  #batch(first: number, last: number): string {
    const events = this.texts.slice(first - 1, last).map((detail, index) => eventOf(first + index, detail));
    return JSON.stringify({ v: 1, device: this.id, events });
  }

  #puback(id: number): void {
    const range = this.#inFlight.get(id);
    if (range === undefined) return;
    this.#inFlight.delete(id);
    this.#note(range.first, range.last);
    this.#fillWindow();
  }

  #receipt(payload: Buffer): void {
    const { through } = JSON.parse(payload.toString()) as {
      readonly through: number | null;
    };
    if (through === null || through <= this.receiptedThrough) return;
    this.#note(this.receiptedThrough + 1, through);
    this.receiptedThrough = through;
    // What was sent and covered by nothing is sent again: a PUBACK frees no journal.
    if (this.#inFlight.size === 0 && this.#sentThrough < this.texts.length) this.#fillWindow();
  }

  #note(first: number, last: number): void {
    let fresh = 0;
    for (let sequence = first; sequence <= last; sequence++) {
      if (this.acknowledged[sequence - 1] === true) continue;
      this.acknowledged[sequence - 1] = true;
      fresh += 1;
    }
    if (fresh > 0) this.#options.onAcknowledged(fresh);
  }
}

export function eventText(device: string, sequence: number): string {
  const mark = (((sequence * 2_654_435_761) >>> 0) + device.length).toString(36);
  return `${device} ${sequence} ${mark.repeat(12)}`.slice(0, 110);
}

/** About 290 bytes on the wire, which is what a denied entry takes. */
export function eventOf(sequence: number, detail: string): object {
  return {
    boot: 1,
    sequence,
    at: { unixSeconds: 1_795_000_000 + sequence, quality: "set" },
    kind: "access-denied",
    credentialType: "keycard",
    reason: "CREDENTIAL_UNKNOWN",
    failedChecks: ["CREDENTIAL_UNKNOWN"],
    detail,
  };
}

/** The authority's word on a site: networked devices, all with the same password. */
export function siteDesired(site: string, devices: readonly string[]): string {
  const salt = new Uint8Array(16).fill(6);
  const login = {
    salt: bytesToBase64(salt),
    hash: bytesToBase64(hmacSha256(salt, utf8(DEVICE_PASSWORD))),
  };
  return JSON.stringify({
    v: 1,
    kind: "gateway",
    revision: 1,
    site: { id: site, name: site, timeZone: "America/New_York" },
    courierCertificate: null,
    devices: devices.map((id) => ({
      id,
      model: "R20",
      network: "mqtt",
      door: "gate",
      doorName: "Gate",
      login,
    })),
    people: [],
  });
}

export interface KeptBySite {
  /** The text of each event by `device/boot/sequence`. */
  readonly textByName: Map<string, string>;
  readonly sequencesByDevice: Map<string, Set<number>>;
  readonly throughByDevice: Map<string, number>;
  /** Events that came again as they were. */
  resent: number;
  /** Events that came under a name that another event has. */
  conflicting: number;
}

/** An authority for any number of sites: keeps events by name, and loses one receipt in eight. */
export class TestAuthority {
  readonly port: number;
  readonly #aedes: Aedes;
  readonly #close: () => Promise<void>;
  readonly #keptBySite = new Map<string, KeptBySite>();
  /** Off: every receipt arrives. */
  losesReceipts = true;
  #receipts = 0;

  private constructor(port: number, aedes: Aedes, close: () => Promise<void>) {
    this.port = port;
    this.#aedes = aedes;
    this.#close = close;
  }

  static async open(): Promise<TestAuthority> {
    let authority: TestAuthority | undefined;
    const aedes = await Aedes.createBroker({
      authorizePublish: (_client, packet, done) => {
        const [, , site = "", device = "", channel] = packet.topic.split("/");
        if (channel === "event") authority?.keep(site, device, packet.payload.toString());
        done(null);
      },
    });
    const server = createServer((socket) => aedes.handle(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    authority = new TestAuthority(port, aedes, async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await closed;
    });
    return authority;
  }

  kept(site: string): KeptBySite {
    const known = this.#keptBySite.get(site);
    if (known !== undefined) return known;
    const fresh: KeptBySite = {
      textByName: new Map(),
      sequencesByDevice: new Map(),
      throughByDevice: new Map(),
      resent: 0,
      conflicting: 0,
    };
    this.#keptBySite.set(site, fresh);
    return fresh;
  }

  say(topic: string, payload: string, retain: boolean): void {
    this.#aedes.publish({ cmd: "publish", topic, payload, qos: 1, retain, dup: false }, () => undefined);
  }

  keep(site: string, device: string, payload: string): void {
    const kept = this.kept(site);
    const { events } = JSON.parse(payload) as {
      readonly events: readonly {
        readonly boot: number;
        readonly sequence: number;
        readonly detail: string;
      }[];
    };
    const sequences = kept.sequencesByDevice.get(device) ?? new Set<number>();
    kept.sequencesByDevice.set(device, sequences);
    for (const { boot, sequence, detail } of events) {
      const name = `${device}/${boot}/${sequence}`;
      const before = kept.textByName.get(name);
      if (before === undefined) kept.textByName.set(name, detail);
      else if (before === detail) kept.resent += 1;
      else kept.conflicting += 1;
      sequences.add(sequence);
    }
    let through = kept.throughByDevice.get(device) ?? 0;
    while (sequences.has(through + 1)) through += 1;
    kept.throughByDevice.set(device, through);
    this.#receipts += 1;
    if (this.losesReceipts && this.#receipts % 8 === 0) return;
    const receipt = {
      v: 1,
      device,
      through: through === 0 ? null : through,
      missing: [],
    };
    this.say(`dl/1/${site}/${device}/receipt`, JSON.stringify(receipt), false);
  }

  close(): Promise<void> {
    return this.#close();
  }
}

export const DEVICE_PASSWORD = "what enrolment gave this device";
/** Messages of one device without a PUBACK. */
const WINDOW_MESSAGES = 10;
