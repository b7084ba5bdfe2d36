/** A gateway's broker with TLS, its root and its enrolments on a real socket of this machine, with a wall clock that can be turned. */
import { generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { openAedesBroker } from "../../agent/broker/aedes-broker.ts";
import type { GateRules } from "../../agent/broker/connect-gate.ts";
import { Intake } from "../../agent/broker/intake.ts";
import { DeviceTable } from "../../agent/devices.ts";
import { Enrolments } from "../../agent/enrolment/enrolments.ts";
import { ServerCertificate } from "../../agent/enrolment/server-certificate.ts";
import { SiteAuthority } from "../../agent/enrolment/site-authority.ts";
import { BUILD_TIME, type SystemClockState, TrustedTime } from "../../agent/enrolment/trusted-time.ts";
import type { Clock } from "../../agent/ports/clock.ts";
import type { SiteBroker } from "../../agent/ports/site-broker.ts";
import { DeviceIdentity } from "../../emulator/device/device-identity.ts";
import { makeSigningRequest } from "../../emulator/device/signing-request.ts";
import { bytesToBase64, utf8 } from "../../protocol/base/bytes.ts";
import { type DeviceId, monotonicMs, unixMs } from "../../protocol/base/units.ts";
import { parseClaim } from "../../protocol/wire/claim-string.ts";
import { claimClient, formatEnrolmentTopic } from "../../protocol/wire/enrolment-topic.ts";
import {
  type EnrolmentAnswer,
  enrolmentAnswerSchema,
  enrolmentRequestSchema,
} from "../../protocol/wire/messages/enrolment.ts";
import { formatPayload, parsePayload } from "../../protocol/wire/payload.ts";
import { gatewayDesired, gatewayId, memoryLog, panel, site } from "./gateway-builder.ts";
import { MemoryStore } from "./memory-store.ts";

export const panelId = "panel-r20" as DeviceId;
export const otherPanelId = "panel-r29" as DeviceId;
export const serverName = "gateway.test";

/** Real timers, and a wall clock that stands where a test puts it. */
export class TurnedClock implements Clock {
  offsetMs = 0;
  readonly #waiting = new Set<{ readonly delayMs: number; readonly run: () => void }>();
  readonly after = (delayMs: number, action: () => void): (() => void) => {
    const run = (): void => {
      cancel();
      action();
    };
    const waiting = { delayMs, run };
    const timer = setTimeout(run, delayMs).unref();
    const cancel = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(waiting);
    };
    this.#waiting.add(waiting);
    return cancel;
  };
  /** Has what waits for this long happen now. */
  fire(delayMs: number): void {
    for (const waiting of [...this.#waiting]) if (waiting.delayMs === delayMs) waiting.run();
  }
  nowMs() {
    return unixMs(Date.now() + this.offsetMs);
  }
  monotonicMs() {
    return monotonicMs(performance.now());
  }
  turnTo(moment: number): void {
    this.offsetMs = moment - Date.now();
  }
}

export class EnrolmentBench {
  readonly folder = mkdtempSync(join(tmpdir(), "enrolment-"));
  readonly store = new MemoryStore();
  readonly clock = new TurnedClock();
  readonly logged: { level: string; text: string }[] = [];
  readonly clients: MqttClient[] = [];
  systemClock: SystemClockState = "synchronised";
  lifeMs = 90 * 86_400_000;
  gate: GateRules | undefined;
  // Set by `open`, which every test calls first.
  authority!: SiteAuthority;
  enrolments!: Enrolments;
  time!: TrustedTime;
  intake!: Intake;
  broker!: SiteBroker;

  async open(): Promise<this> {
    const { store, clock, logged, folder } = this;
    const log = memoryLog(logged);
    const table = new DeviceTable(store, gatewayId);
    const { login: _login, ...withoutLogin } = panel({ id: otherPanelId, model: "R29" });
    const desired = gatewayDesired({ devices: [panel(), withoutLogin] });
    await table.takeDesired(gatewayId, utf8(JSON.stringify(desired)), clock.nowMs());
    this.intake = new Intake({
      ...{ store, table, clock, log },
      sendReceipt: () => undefined,
      onStored: () => undefined,
      onWords: () => undefined,
      onUnlockResult: () => undefined,
    });
    this.time = new TrustedTime({ clock, store, gateway: gatewayId, systemClock: () => this.systemClock });
    await this.time.load();
    const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0.5 };
    this.authority = await SiteAuthority.open(folder, site, random);
    this.enrolments = new Enrolments({
      ...{ site, store, random, log, authority: this.authority, lifeMs: this.lifeMs },
      now: () => this.time.now(),
      isListed: (device) => this.intake.admits(device),
      onRevoked: (device) => this.broker.disconnect(device),
    });
    await this.enrolments.load();
    const server = new ServerCertificate(folder, this.authority, [serverName, "127.0.0.1"]);
    this.broker = await openAedesBroker(
      {
        ...{ site, port: 0, clock },
        ...(this.gate === undefined ? {} : { gate: this.gate }),
        enrolment: this.enrolments.forBroker(),
        tls: {
          credentials: () => server.credentials(this.time.now()),
          judge: (der) => this.enrolments.judge(der),
        },
      },
      this.intake,
    );
    return this;
  }

  /** Stops the broker and all that lives in memory, and opens it again on the same disk. */
  async restart(): Promise<this> {
    await this.stop();
    return this.open();
  }

  async stop(): Promise<void> {
    for (const client of this.clients.splice(0)) client.end(true);
    await this.broker.close();
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get url(): string {
    return `mqtts://127.0.0.1:${this.broker.port}`;
  }

  /** A claim string, opened for an hour. */
  async openClaim(device: DeviceId = panelId, serial = "R20-7714"): Promise<string> {
    const opened = await this.enrolments.openClaim(device, serial, 3_600_000);
    if (!opened.ok) throw new Error(opened.fault.code);
    return opened.value.claim;
  }

  /** What a device has in the end: its key and certificate. */
  async enrol(device: DeviceId = panelId, serial = "R20-7714"): Promise<Enrolled> {
    const key = newKey();
    const answer = await this.claimDirectly(await this.openClaim(device, serial), key);
    if (answer.state !== "issued") throw new Error(answer.reason);
    return { key: pemOf(key), cert: derToPem(answer.certificate), answer };
  }

  /** Asks as a claim connection would, without the socket. */
  async claimDirectly(claim: string, key: KeyObject, request?: Uint8Array): Promise<EnrolmentAnswer> {
    const parsed = parseClaim(claim);
    if (!parsed.ok) throw new Error(parsed.fault.code);
    const payload = formatPayload(enrolmentRequestSchema, {
      ...{ v: 1, ask: "claim", id: "00".repeat(8), serial: parsed.value.serial },
      code: bytesToBase64(parsed.value.code),
      request: bytesToBase64(request ?? (await makeSigningRequest(key, "whatever"))),
    });
    return readAnswer(await this.enrolments.answer({ kind: "claim" }, utf8(payload)));
  }

  async renewDirectly(device: DeviceId, key: KeyObject): Promise<EnrolmentAnswer> {
    const request = bytesToBase64(await makeSigningRequest(key, "whatever"));
    const payload = formatPayload(enrolmentRequestSchema, { v: 1, ask: "renew", id: "01".repeat(8), request });
    return readAnswer(await this.enrolments.answer({ kind: "device", device }, utf8(payload)));
  }

  /** Connects as a device; rejected with why it was not let in. */
  connect(clientId: string, options: IClientOptions): Promise<MqttClient> {
    const client = mqtt.connect(this.url, {
      ...{ clientId, clean: true, reconnectPeriod: 0, queueQoSZero: false, connectTimeout: 8_000 },
      ca: this.authority.certificatePem,
      ...options,
    });
    this.clients.push(client);
    return new Promise<MqttClient>((resolve, reject) => {
      client.once("connect", () => resolve(client));
      client.once("error", reject);
      client.once("close", () => reject(new Error("closed")));
    }).finally(() => client.on("error", () => undefined));
  }

  connectClaim(options: IClientOptions = {}): Promise<MqttClient> {
    return this.connect(claimClient(randomBytes(8)), options);
  }

  identity(name = "device"): DeviceIdentity {
    return new DeviceIdentity(join(this.folder, `${name}.identity.json`));
  }
}

export interface Enrolled {
  readonly key: string;
  readonly cert: string;
  readonly answer: Extract<EnrolmentAnswer, { state: "issued" }>;
}

export function readAnswer(payload: string | Uint8Array): EnrolmentAnswer {
  const read = parsePayload(enrolmentAnswerSchema, typeof payload === "string" ? utf8(payload) : payload);
  if (!read.ok) throw new Error(read.fault.code);
  return read.value;
}

export function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey;
}

export function pemOf(key: KeyObject): string {
  return key.export({ format: "pem", type: "pkcs8" }).toString();
}

export function derToPem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

export function requestTopic(client: string): string {
  return formatEnrolmentTopic({ client, end: "request" });
}

export function answerTopic(client: string): string {
  return formatEnrolmentTopic({ client, end: "answer" });
}

/** Polls until the condition holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

export { BUILD_TIME };
