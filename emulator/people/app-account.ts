/**
 * One person's account in the app on one phone: signed in or not, the phone's own keys for it, and its certificate from the cloud
 * with the locks it may try. A second handset (a neighbour's, row 73) is another one of these.
 *
 * Whatever this phone holds goes when it is signed out, by its user or by a password reset that it hears of (row 77). What it
 * holds meanwhile works without the cloud until it ends: that is what the 72 hours are for.
 */
import { z } from "zod";
import { appCertificateSecondsMax } from "../../protocol/access/decide.ts";
import { bytesToBase64, bytesToHex, utf8 } from "../../protocol/base/bytes.ts";
import { failed, ok, type Result } from "../../protocol/base/result.ts";
import { ed25519PublicKey, sha256, x25519PublicKey } from "../../protocol/crypto.ts";
import type { AppKey } from "../../protocol/sync/phone-access.ts";
import { base64Field, deviceId, unixTime } from "../../protocol/wire/messages/fields.ts";
import type { WorldClock } from "../world/clock.ts";
import type { SeededRandom } from "../world/random.ts";
import { type CloudFault, type CloudRequest, callCloud } from "./cloud-client.ts";

export interface AppAccountOptions {
  readonly phone: string;
  readonly person: string;
  readonly cloudUrl: string;
  readonly clock: WorldClock;
  /** Starts a stream of its own for each name. */
  readonly randomFor: (name: string) => SeededRandom;
  readonly signal: AbortSignal;
}

/** `signed-out`: by its user or by a password reset, until somebody signs in. `forgotten`: never signed in, or the cloud lost it. */
export type AccountState = "signed-in" | "signed-out" | "forgotten";

/** What opening one lock takes. */
export interface LockKey {
  readonly staticPrivateKey: Uint8Array;
  readonly ephemeralPrivateKey: Uint8Array;
  readonly appKey: AppKey;
  readonly lock: { readonly staticPublicKey: Uint8Array; readonly pairingId: Uint8Array };
}

export type AccountFault =
  | CloudFault
  | { readonly code: "phone-signed-out" }
  /** The app shows no such lock: no key to its door, or it is not paired. */
  | { readonly code: "no-such-lock-in-app" };

/** One sign-in as a courier. Its keys are none of the app key's, and what is asked by it ends with the sign-in. */
export interface CourierIdentity {
  readonly phone: string;
  readonly staticPrivateKey: Uint8Array;
  /** 32 fresh bytes each time. */
  readonly ephemeralKey: () => Uint8Array;
  readonly call: AppAccount["call"];
}

/** One sign-in: its token and keys are never used for another. */
interface SignIn {
  readonly courier: CourierIdentity;
  readonly token: string;
  readonly random: SeededRandom;
  readonly staticPrivateKey: Uint8Array;
  readonly signingPrivateKey: Uint8Array;
  certified: z.output<typeof certificateAnswer> | undefined;
}

export class AppAccount {
  readonly #options: AppAccountOptions;
  #signIn: SignIn | undefined;
  #signingIn: Promise<Result<undefined, CloudFault>> | undefined;
  #signedOut = false;

  #isDoubted = false;

  constructor(options: AppAccountOptions) {
    this.#options = options;
  }

  get state(): AccountState {
    if (this.#signIn !== undefined) return "signed-in";
    return this.#signedOut ? "signed-out" : "forgotten";
  }

  /** Signs in, with new keys. Who asks while it is under way gets that one's outcome. */
  signIn(): Promise<Result<undefined, CloudFault>> {
    this.#signingIn ??= this.#signInNow().finally(() => {
      this.#signingIn = undefined;
    });
    return this.#signingIn;
  }

  async #signInNow(): Promise<Result<undefined, CloudFault>> {
    const { phone, person, cloudUrl, signal, randomFor } = this.#options;
    const answer = await callCloud(cloudUrl, {
      what: "sign in a phone",
      method: "POST",
      path: "/bench/phones",
      schema: z.object({ token: z.string() }),
      body: { phone, person },
      signal,
    });
    if (!answer.ok) return answer;
    const { token } = answer.value;
    // The cloud gives a new token at each sign-in, so that no two of them have a key in common.
    const stream = `phone/${phone}/${person}/${bytesToHex(sha256(utf8(token)))}`;
    const random = randomFor(stream);
    this.#signIn = {
      courier: this.#courierOf(phone, token, randomFor(`${stream}/courier`)),
      token,
      random,
      staticPrivateKey: random.bytes(32),
      signingPrivateKey: random.bytes(32),
      certified: undefined,
    };
    this.#signedOut = false;
    return ok(undefined);
  }

  /** The same object for as long as one sign-in lasts; undefined while nobody is signed in. */
  get courier(): CourierIdentity | undefined {
    return this.#signIn?.courier;
  }

  #courierOf(phone: string, token: string, random: SeededRandom): CourierIdentity {
    return {
      phone,
      staticPrivateKey: random.bytes(32),
      ephemeralKey: () => random.bytes(32),
      call: async (request) =>
        this.#signIn?.token === token ? this.call(request) : failed({ code: "phone-signed-out" }),
    };
  }

  /** Signs this phone out. It forgets everything even if the cloud does not hear of it. */
  async signOut(): Promise<Result<undefined, AccountFault>> {
    const told = await this.call({
      what: "sign out",
      method: "POST",
      path: "/app/sign-out",
      schema: z.unknown(),
      body: {},
    });
    this.#forget(true);
    return told.ok ? ok(undefined) : told;
  }

  /** One call to the cloud as this account. A phone that the cloud has signed out drops all it has. */
  async call<Schema extends z.ZodType>(request: CloudRequest<Schema>): Promise<Result<z.output<Schema>, AccountFault>> {
    const { cloudUrl, signal } = this.#options;
    const signIn = this.#signIn;
    if (signIn === undefined) return failed({ code: "phone-signed-out" });
    const headers = { ...request.headers, authorization: `Bearer ${signIn.token}` };
    const answer = await callCloud(cloudUrl, { ...request, headers, signal: request.signal ?? signal });
    const refused = !answer.ok && answer.fault.code === "cloud-refused" && answer.fault.status === 401;
    if (!refused) return answer;
    // An answer to an earlier sign-in says nothing of this one.
    if (this.#signIn === signIn)
      this.#forget(answer.fault.code === "cloud-refused" && answer.fault.reason === "signed-out");
    return failed({ code: "phone-signed-out" });
  }

  /**
   * The key to one lock, its certificate renewed when half of its life is over. Without the cloud, or refused by it, the phone
   * goes on with what it has. Faults: as listed.
   */
  async keyTo(device: string): Promise<Result<LockKey, AccountFault>> {
    const now = this.#options.clock.nowMs() / 1000;
    const held = this.#signIn?.certified;
    const fresh = held !== undefined && held.notAfter - now > appCertificateSecondsMax / 2;
    const known = held?.locks.some((lock) => lock.device === device) ?? false;
    const renewed = fresh && known && !this.#isDoubted ? ok(undefined) : await this.#renew();
    const signIn = this.#signIn;
    if (signIn === undefined) return failed({ code: "phone-signed-out" });
    if (signIn.certified === undefined) return renewed.ok ? failed({ code: "no-such-lock-in-app" }) : renewed;
    const lock = signIn.certified.locks.find((each) => each.device === device);
    if (lock === undefined) return failed({ code: "no-such-lock-in-app" });
    const { staticPrivateKey, signingPrivateKey, random, certified } = signIn;
    return ok({
      staticPrivateKey,
      ephemeralPrivateKey: random.bytes(32),
      appKey: { signingPrivateKey, certificate: certified.certificate },
      lock,
    });
  }

  /** What the phone holds did not help at a lock: it is fetched anew before the next try, if the cloud can be reached. */
  doubt(): void {
    this.#isDoubted = true;
  }

  /** The account's own permanent codes, as the app shows them: no lock need be near (row 75). */
  async codes(): Promise<Result<z.output<typeof codesAnswer>["codes"], AccountFault>> {
    const answer = await this.call({
      what: "read one's codes",
      method: "GET",
      path: "/app/codes",
      schema: codesAnswer,
    });
    return answer.ok ? ok(answer.value.codes) : answer;
  }

  async #renew(): Promise<Result<undefined, AccountFault>> {
    const signIn = this.#signIn;
    if (signIn === undefined) return failed({ code: "phone-signed-out" });
    const answer = await this.call({
      what: "get an app certificate",
      method: "POST",
      path: "/app/certificate",
      schema: certificateAnswer,
      body: {
        staticPublicKey: bytesToBase64(x25519PublicKey(signIn.staticPrivateKey)),
        signingPublicKey: bytesToBase64(ed25519PublicKey(signIn.signingPrivateKey)),
      },
    });
    if (!answer.ok) return answer;
    signIn.certified = answer.value;
    this.#isDoubted = false;
    return ok(undefined);
  }

  #forget(signedOut: boolean): void {
    this.#signIn = undefined;
    this.#signedOut = signedOut;
  }
}

const certificateAnswer = z.object({
  certificate: z.object({ bytes: base64Field(2048), signature: base64Field(64) }),
  credential: z.string(),
  notAfter: unixTime,
  locks: z
    .array(
      z.object({
        device: deviceId,
        door: z.string(),
        doorName: z.string(),
        address: z.string(),
        staticPublicKey: base64Field(32),
        pairingId: base64Field(16),
      }),
    )
    .max(1_000),
});
const codesAnswer = z.object({ codes: z.array(z.object({ doors: z.array(z.string()), code: z.string() })) });
