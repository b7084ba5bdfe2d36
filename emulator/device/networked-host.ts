/** Gives a networked device time and its place on the site's broker: joins the firmware to timers and to `mqtt-link.ts`. */
import type { Attempt } from "../../protocol/access/attempt.ts";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import type { Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import { parseClaim } from "../../protocol/wire/claim-string.ts";
import type { UnlockCommandMessage } from "../../protocol/wire/messages/command.ts";
import type { DeviceDesired } from "../../protocol/wire/messages/desired.ts";
import type { WorldClock } from "../world/clock.ts";
import { CertificateRenewal } from "./certificate-renewal.ts";
import type { DeviceIdentity } from "./device-identity.ts";
import { Enrolling } from "./enrolling.ts";
import type { KeypadKey } from "./keypad.ts";
import type { LockOutcome } from "./lock.ts";
import { MqttLink } from "./mqtt-link.ts";
import type {
  DeviceTime,
  Enrolment,
  HeldVersion,
  NetworkedDevice,
  PolicyRefusal,
  UnlockAnswer,
} from "./networked-device.ts";

export interface NetworkedHostOptions {
  readonly device: DeviceId;
  readonly site: string;
  readonly serial: string;
  readonly hardwareVersion: string;
  readonly firmware: NetworkedDevice;
  /** `mqtts:` has the device enrol with a claim string, and come with its certificate instead of a password. */
  readonly brokerUrl: string;
  /** Of a device that enrols. */
  readonly identity?: DeviceIdentity;
  readonly clock: WorldClock;
  readonly jitter: () => number;
  /** Networked devices of the site, as the link wants to know them. */
  readonly siteDevices?: number;
  readonly onChange: (device: DeviceId) => void;
  /** An entry was thrown away and nobody waits to hear it: the key by key typist has left. */
  readonly onTimeout: (device: DeviceId, outcome: LockOutcome) => void;
  /** An unlock command came, and this is how it ended. */
  readonly onUnlock: (device: DeviceId, answer: UnlockAnswer) => void;
  /** A policy came: the version that decides now, or why it was not taken. */
  readonly onPolicy: (device: DeviceId, came: Result<HeldVersion, PolicyRefusal>) => void;
  /** The device was given its certificate or the next one; or the code of why not. */
  readonly onCertificate?: (device: DeviceId, fault: string | undefined) => void;
  readonly onLink: (device: DeviceId, change: { readonly connected: boolean; readonly error?: string }) => void;
}

export class NetworkedHost {
  readonly firmware: NetworkedDevice;
  readonly #options: NetworkedHostOptions;
  #link: MqttLink | undefined;
  #enrolling: Enrolling | undefined;
  #cancelWake: () => void = () => undefined;
  #waiting: ((outcome: LockOutcome) => void)[] = [];
  /** As `onChange` last found the keypad: that it goes dark by itself is news too. */
  #toldAsleep: boolean;

  constructor(options: NetworkedHostOptions) {
    this.firmware = options.firmware;
    this.#options = options;
    this.#toldAsleep = this.keypadAsleep;
    this.#schedule();
  }

  /** Goes on the network with what enrolment gave. */
  connect(password: string, enrolment: Enrolment): void {
    if (this.#link !== undefined || this.#enrolling !== undefined) return;
    this.firmware.enrol(enrolment);
    const { device, brokerUrl: url, clock, jitter, identity, onCertificate = () => undefined } = this.#options;
    if (!this.#usesCertificate || identity === undefined) return this.#startLink({ password });
    const renewal = new CertificateRenewal({ identity, clock, onAnswer: (fault) => onCertificate(device, fault) });
    const startLink = (): void => {
      if (this.#link === undefined) this.#startLink({ password: null, renewal });
    };
    this.#enrolling = new Enrolling({
      ...{ url, identity, clock, jitter },
      onEnrolled: () => {
        onCertificate(device, undefined);
        startLink();
      },
      onFault: (code) => onCertificate(device, code),
    });
    if (identity.held !== null) startLink();
    this.#enrolling.start();
  }

  /** Somebody gives the device a claim string, by its set-up page or its camera. False: it is none, or this device needs none. */
  takeClaim(text: string): boolean {
    if (!this.#usesCertificate || !parseClaim(text).ok) return false;
    this.#options.identity?.takeClaim(text);
    this.#enrolling?.start();
    return true;
  }

  get #usesCertificate(): boolean {
    const { brokerUrl, identity } = this.#options;
    return brokerUrl.startsWith("mqtts:") && identity !== undefined;
  }

  #startLink(login: { readonly password: string | null; readonly renewal?: CertificateRenewal }): void {
    const { device, site, brokerUrl, clock, jitter, siteDevices, onLink } = this.#options;
    this.#link = new MqttLink({
      ...login,
      url: brokerUrl,
      site,
      device,
      journal: this.firmware.journal,
      clock,
      jitter,
      ...(siteDevices === undefined ? {} : { siteDevices }),
      birth: () => this.#birth(),
      health: () => this.#health(),
      reported: () => this.#reported(),
      onUnlock: (message) => this.#unlock(message),
      onDesired: (desired) => this.#desired(desired),
      onChange: (change) => {
        onLink(device, change);
        this.#changed();
      },
    });
    this.#link.start();
  }

  get connected(): boolean {
    return this.#link?.connected ?? false;
  }

  /** As somebody before the device sees it. */
  get keypadAsleep(): boolean {
    return this.firmware.isKeypadAsleep(this.#options.clock.monotonicMs());
  }

  press(keys: readonly KeypadKey[]): Promise<LockOutcome> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      for (const key of keys) this.#tell(this.firmware.press(key, this.#time()));
      this.#changed();
    });
  }

  pressOne(key: KeypadKey): readonly LockOutcome[] {
    const outcomes = this.firmware.press(key, this.#time());
    if (outcomes.length > 0) this.#link?.notify("event");
    this.#changed();
    return outcomes;
  }

  present(attempt: Exclude<Attempt, { kind: "code" }>): LockOutcome {
    const outcome = this.firmware.present(attempt, this.#time());
    this.#link?.notify("event");
    this.#changed();
    return outcome;
  }

  #unlock(message: UnlockCommandMessage): readonly UnlockAnswer[] {
    const answers = this.firmware.unlock(message, this.#time());
    const last = answers.at(-1);
    if (last !== undefined) this.#options.onUnlock(this.#options.device, last);
    if (last?.state === "done") this.#link?.notify("event");
    this.#changed();
    return answers;
  }

  #desired(desired: DeviceDesired): void {
    const taken = this.firmware.takePolicy(desired, this.#time());
    // What is held already comes again at every connection; that is no news.
    if (taken.ok || taken.fault.code !== "rollback") this.#options.onPolicy(this.#options.device, taken);
    this.#changed();
  }

  async stop(): Promise<void> {
    this.#enrolling?.stop();
    await this.#link?.stop();
    // After the link's last word, which would set the timer again.
    this.#cancelWake();
  }

  #birth() {
    const { device, serial, hardwareVersion, firmware } = this.#options;
    const { model, firmware: version } = firmware.hardware;
    return {
      v: 1 as const,
      device,
      model: model.name,
      bootCount: firmware.journal.boot,
      ...this.#boot(),
      serial,
      firmware: version,
      hardware: hardwareVersion,
    };
  }

  #health() {
    const { device, clock, firmware } = this.#options;
    const at = Math.floor(clock.nowMs() / 1000);
    const version = firmware.hardware.firmware;
    return {
      v: 1 as const,
      device,
      battery: null,
      firmware: version === null ? null : { version, at },
      firmwareVerdict: null,
      clock: { quality: "set" as const, driftMs: 0, at },
      uptimeSeconds: firmware.uptimeSeconds(clock.monotonicMs()),
      bootCount: firmware.journal.boot,
      ...this.#boot(),
      lastSyncAt: null,
      at,
    };
  }

  #reported() {
    const { device, clock, firmware } = this.#options;
    const made = firmware.policyReport(clock.monotonicMs());
    if (made === undefined) return undefined;
    const { epoch, version } = firmware.holds;
    return {
      v: 1 as const,
      device,
      policy: { epoch, version },
      clock: "set" as const,
      logNext: firmware.journal.next,
      report: bytesToBase64(made.report),
      mac: bytesToBase64(made.mac),
      at: Math.floor(clock.nowMs() / 1000),
    };
  }

  #boot() {
    const boot = this.firmware.bootFields(this.#options.clock.monotonicMs());
    return boot === undefined ? {} : { boot };
  }

  #time(): DeviceTime {
    const { clock } = this.#options;
    return { unixMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }

  #tell(outcomes: readonly LockOutcome[]): void {
    for (const outcome of outcomes) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#options.onTimeout(this.#options.device, outcome);
      else waiting(outcome);
    }
    if (outcomes.length > 0) this.#link?.notify("event");
  }

  #changed(): void {
    this.#toldAsleep = this.keypadAsleep;
    this.#schedule();
    this.#options.onChange(this.#options.device);
  }

  #schedule(): void {
    const { clock } = this.#options;
    this.#cancelWake();
    const idle = clock.monotonicMs() + IDLE_WAKE_MS;
    const due = Math.min(this.firmware.nextWakeMs() ?? idle, idle);
    this.#cancelWake = clock.after(Math.max(1, due - clock.monotonicMs()), () => this.#wake());
  }

  #wake(): void {
    const before = this.firmware.relay;
    const outcomes = this.firmware.wake(this.#time());
    this.#tell(outcomes);
    const wentDark = this.keypadAsleep !== this.#toldAsleep;
    if (outcomes.length > 0 || before !== this.firmware.relay || wentDark) this.#changed();
    else this.#schedule();
  }
}

/** An idle device counts its powered time this often. */
const IDLE_WAKE_MS = 60_000;
