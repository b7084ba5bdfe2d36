/**
 * A resident's phone: while it is ready (app installed, notifications on, not in do-not-disturb) it answers calls and
 * generates a doorcode whenever the app offers that. How long the resident takes comes from the seed.
 * The code is shown on the phone and goes to the visitor through the cloud; it is kept and logged nowhere here.
 */
import { z } from "zod";
import type { SeededRandom } from "../world/random.ts";
import type { WorldPhone } from "../world/site-file.ts";
import type { AccountFault, AccountState, AppAccount } from "./app-account.ts";

export interface PhoneStateNow {
  readonly appInstalled: boolean;
  readonly notifications: boolean;
  readonly doNotDisturb: boolean;
  readonly ready: boolean;
  readonly account: AccountState;
  /** What the resident did last, for the page. */
  readonly last: "nothing" | "answered" | "generated-doorcode" | "no-doorcode-offered" | "doorcode-refused";
}

export interface PhoneOptions {
  readonly phone: WorldPhone;
  /** Its owner's. */
  readonly account: AppAccount;
  readonly random: SeededRandom;
  readonly pause: (ms: number) => Promise<void>;
  readonly onChange: () => void;
  readonly log: (line: { readonly phone: string; readonly what: string; readonly code?: string }) => void;
}

export class ResidentPhone {
  readonly #options: PhoneOptions;
  readonly #stop = new AbortController();
  readonly #taken = new Set<string>();
  #last: PhoneStateNow["last"] = "nothing";
  #done: Promise<void> = Promise.resolve();

  constructor(options: PhoneOptions) {
    this.#options = options;
  }

  get state(): PhoneStateNow {
    const { app, doNotDisturb } = this.#options.phone;
    const ready = app.installed && app.notifications && !doNotDisturb;
    const account = this.#options.account.state;
    return {
      appInstalled: app.installed,
      notifications: app.notifications,
      doNotDisturb,
      ready,
      account,
      last: this.#last,
    };
  }

  /** Signs the app in, and listens for calls. Without the app there is nothing to do. */
  start(): void {
    if (this.#options.phone.app.installed) this.#done = this.#live();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #live(): Promise<void> {
    let failures = 0;
    const { account, pause } = this.#options;
    while (!this.#stop.signal.aborted) {
      // Who was signed out stays so until a person signs in; a cloud that has forgotten the phone is signed in to again.
      if (account.state === "signed-out") {
        await pause(SIGNED_OUT_PAUSE_MS);
        continue;
      }
      const fault = account.state === "forgotten" ? await this.#signIn() : await this.#listen();
      if (fault === undefined) {
        failures = 0;
        continue;
      }
      failures += 1;
      await pause(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 5)));
    }
  }

  async #signIn(): Promise<AccountFault | undefined> {
    const signedIn = await this.#options.account.signIn();
    this.#options.onChange();
    return signedIn.ok ? undefined : signedIn.fault;
  }

  async #listen(): Promise<AccountFault | undefined> {
    const calls = await this.#app("GET", "/app/calls", callsAnswer, { timeoutMs: LONG_POLL_MS });
    if (!calls.ok) return calls.fault;
    for (const { call } of calls.value.calls) {
      if (this.#taken.has(call) || !this.state.ready) continue;
      this.#taken.add(call);
      await this.#answer(call);
    }
    // A call that this phone lets ring is offered again at once; asking without a pause would be a busy loop.
    if (calls.value.calls.length > 0) await this.#options.pause(UNANSWERED_PAUSE_MS);
    return undefined;
  }

  async #answer(call: string): Promise<void> {
    const { random, pause, phone, log } = this.#options;
    await pause(ANSWER_MIN_MS + random.integer(ANSWER_SPREAD_MS));
    const answered = await this.#app("POST", `/app/calls/${encodeURIComponent(call)}/answer`, optionsAnswer);
    if (!answered.ok) return log({ phone: phone.id, what: "answer a call", code: answered.fault.code });
    this.#did("answered");
    const hidden: readonly string[] = phone.app.hiddenOptions;
    const shown = answered.value.options.filter((option) => !hidden.includes(option));
    if (!shown.includes("generate-doorcode")) {
      this.#did("no-doorcode-offered");
      // There is nothing else to do for the visitor, who would wait for minutes otherwise.
      await this.#app("POST", `/app/calls/${encodeURIComponent(call)}/decline`, z.unknown(), { body: { shown } });
      return;
    }
    await pause(ANSWER_MIN_MS + random.integer(ANSWER_SPREAD_MS));
    const code = await this.#app("POST", `/app/calls/${encodeURIComponent(call)}/doorcode`, z.unknown());
    if (!code.ok) log({ phone: phone.id, what: "generate a doorcode", code: code.fault.code });
    this.#did(code.ok ? "generated-doorcode" : "doorcode-refused");
  }

  #app<Schema extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: Schema,
    { body = {}, timeoutMs }: { readonly body?: unknown; readonly timeoutMs?: number } = {},
  ) {
    const { account, phone } = this.#options;
    const { version } = phone.app;
    return account.call({
      what: "use the app",
      method,
      path,
      schema,
      ...(version === undefined ? {} : { headers: { "x-app-version": version } }),
      signal: this.#stop.signal,
      ...(method === "POST" ? { body } : {}),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  #did(last: PhoneStateNow["last"]): void {
    this.#last = last;
    this.#options.onChange();
  }
}

const callsAnswer = z.object({ calls: z.array(z.object({ call: z.string() })) });
const optionsAnswer = z.object({ options: z.array(z.string()) });

/** The cloud holds the question for at most 25 s. */
const LONG_POLL_MS = 30_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 3_000;
const SIGNED_OUT_PAUSE_MS = 500;
const UNANSWERED_PAUSE_MS = 500;
/** A resident in the emulator is quick: a demo has seconds, not minutes. */
const ANSWER_MIN_MS = 80;
const ANSWER_SPREAD_MS = 160;
