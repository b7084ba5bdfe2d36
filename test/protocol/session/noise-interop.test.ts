import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import createNoise from "noise-c.wasm";
import { beforeAll, describe, expect, it } from "vitest";
import { bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { NoiseHandshake, type NoiseOutcome } from "../../../protocol/session/noise.ts";

/**
 * Our IK against an implementation that nobody here wrote: noise-c, in WebAssembly. Its ephemeral keys are its own random
 * ones, and so are ours here, so every run is another handshake. noise-c predates the psk modifiers of revision 33 and knows
 * no XXpsk3: that pattern is held to the published vectors alone.
 */
type NoiseLibrary = Parameters<Parameters<typeof createNoise>[1]>[0];
let library: NoiseLibrary;

beforeAll(async () => {
  // Given the bytes, the library does not try to fetch them by a URL, which fails under Node.
  const wasmBinary = readFileSync(new URL(import.meta.resolve("noise-c.wasm/src/noise-c.wasm")));
  library = await new Promise<NoiseLibrary>((resolve) => {
    // The library is a thenable that gives itself: handing it over as a plain copy keeps the promise from following it.
    createNoise({ wasmBinary }, (noise) => resolve({ ...noise }));
  });
}, 10_000);

const protocolName = "Noise_IK_25519_ChaChaPoly_SHA256";
const prologue = utf8("doorlink interoperation");

describe("IK against noise-c", () => {
  it("[S1] our courier opens a session with their lock", () => {
    const lockKey = randomBytes(32);
    const courierKey = randomBytes(32);
    const courier = new NoiseHandshake({
      pattern: "IK",
      role: "initiator",
      prologue,
      staticPrivateKey: courierKey,
      ephemeralPrivateKey: randomBytes(32),
      remoteStaticPublicKey: x25519PublicKey(lockKey),
    });
    const lock = new library.HandshakeState(protocolName, library.constants.NOISE_ROLE_RESPONDER);
    lock.Initialize(prologue, lockKey, null);
    expect(lock.ReadMessage(valueIn(courier.writeMessage(utf8("first"))), true)).toEqual(utf8("first"));
    expect(bytesToHex(lock.GetRemotePublicKey())).toBe(bytesToHex(x25519PublicKey(courierKey)));
    expect(valueIn(courier.readMessage(lock.WriteMessage(utf8("second"))))).toEqual(utf8("second"));
    expectSameSession(courier.outcome(), lock);
  });

  it("[S1] our lock opens a session with their courier", () => {
    const lockKey = randomBytes(32);
    const courierKey = randomBytes(32);
    const lock = new NoiseHandshake({
      pattern: "IK",
      role: "responder",
      prologue,
      staticPrivateKey: lockKey,
      ephemeralPrivateKey: randomBytes(32),
    });
    const courier = new library.HandshakeState(protocolName, library.constants.NOISE_ROLE_INITIATOR);
    courier.Initialize(prologue, courierKey, x25519PublicKey(lockKey));
    expect(valueIn(lock.readMessage(courier.WriteMessage(utf8("first"))))).toEqual(utf8("first"));
    expect(courier.ReadMessage(valueIn(lock.writeMessage(utf8("second"))), true)).toEqual(utf8("second"));
    expect(bytesToHex(lock.outcome().remoteStaticPublicKey)).toBe(bytesToHex(x25519PublicKey(courierKey)));
    expectSameSession(lock.outcome(), courier);
  });
});

/** Same hash, and both directions carry messages under the explicit nonces that sessions use. */
function expectSameSession(ours: NoiseOutcome, theirs: InstanceType<NoiseLibrary["HandshakeState"]>): void {
  expect(bytesToHex(theirs.GetHandshakeHash())).toBe(bytesToHex(ours.handshakeHash));
  const [theirSend, theirReceive] = theirs.Split();
  const header = utf8("header");
  // noise-c refuses a nonce below its own count, so the nonces go up, with a gap such as a lost frame makes.
  for (const nonce of [0, 1, 70_000]) {
    const text = utf8(`message ${nonce}`);
    theirReceive.SetNonce(nonce);
    expect(theirReceive.DecryptWithAd(header, ours.send.seal(nonce, header, text))).toEqual(text);
    theirSend.SetNonce(nonce);
    expect(ours.receive.open(nonce, header, theirSend.EncryptWithAd(header, text))).toEqual(text);
  }
}

function valueIn<Value>(result: { ok: true; value: Value } | { ok: false; fault: { code: string } }): Value {
  if (!result.ok) throw new Error(`fault ${result.fault.code}`);
  return result.value;
}
