/**
 * Noise handshakes (noiseprotocol.org, revision 34) for the patterns that doorlink speaks, both ends:
 * `IK` for every visit and `XXpsk3` for pairing, over 25519, ChaChaPoly and SHA256.
 *
 * Theory of operation: a handshake is a list of messages, a message a list of tokens (`messagesByPattern`). Both ends walk the
 * same list, one writing what the other reads, and mix every key agreement into a chaining key and every byte that crossed
 * into a hash. When the list is done, both hold the same two keys and the same hash. Ephemeral keys come in as arguments.
 *
 * Reading works on a copy: a message that does not fit leaves the handshake as it was, so that garbage on the air cannot spoil
 * a handshake whose true message arrives a moment later (SPEC S3).
 */
import { concatBytes, utf8 } from "../base/bytes.ts";
import { assert, failed, ok, type Result } from "../base/result.ts";
import { chachaOpen, chachaSeal, hkdfSha256, sha256, x25519, x25519PublicKey } from "../crypto.ts";

export type NoisePattern = "IK" | "XXpsk3";
export type NoiseRole = "initiator" | "responder";

export type NoiseHandshakeOptions = {
  readonly pattern: NoisePattern;
  readonly role: NoiseRole;
  /** Known to both ends beforehand; a difference makes the first encrypted message unreadable. */
  readonly prologue: Uint8Array;
  readonly staticPrivateKey: Uint8Array;
  /** 32 random bytes, used for this handshake and never again. */
  readonly ephemeralPrivateKey: Uint8Array;
  /** The responder's public key, which an IK initiator knows beforehand. Nobody else gives one. */
  readonly remoteStaticPublicKey?: Uint8Array;
  /** 32 bytes for XXpsk3, none for IK. */
  readonly presharedKey?: Uint8Array;
};

/** `message` counts from 0. A tag that does not fit says that a key, the prologue or a byte on the way differs. */
export type NoiseFault =
  | { readonly code: "wrong-length"; readonly message: number; readonly expected: number; readonly found: number }
  | { readonly code: "low-order-point"; readonly message: number }
  | { readonly code: "tag-mismatch"; readonly message: number; readonly part: "static-key" | "payload" };

/** What a finished handshake gives each end. */
export type NoiseOutcome = {
  readonly send: NoiseCipher;
  readonly receive: NoiseCipher;
  readonly remoteStaticPublicKey: Uint8Array;
  /** 32 bytes, the same at both ends and different for every handshake. */
  readonly handshakeHash: Uint8Array;
};

export class NoiseHandshake {
  readonly #options: NoiseHandshakeOptions;
  #state: HandshakeState;

  constructor(options: NoiseHandshakeOptions) {
    const { pattern, role, remoteStaticPublicKey, presharedKey, ephemeralPrivateKey } = options;
    const knowsResponder = pattern === "IK" && role === "initiator";
    assert(
      (remoteStaticPublicKey !== undefined) === knowsResponder,
      "an IK initiator, and nobody else, knows a remote key",
    );
    assert(
      (presharedKey?.length === keyLength) === (pattern === "XXpsk3"),
      "XXpsk3, and nothing else, has a 32-byte key",
    );
    this.#options = options;
    this.#state = startOf(options, x25519PublicKey(ephemeralPrivateKey));
  }

  /** Whose turn it is: ours to write, ours to read, or nobody's because the handshake is done. */
  turn(): "write" | "read" | "done" {
    const index = this.#state.message;
    if (index >= messagesByPattern[this.#options.pattern].length) return "done";
    return (index % 2 === 0) === (this.#options.role === "initiator") ? "write" : "read";
  }

  /** The next message, with a payload. Faults: low-order-point, when the other end's key makes no agreement possible. */
  writeMessage(payload: Uint8Array): Result<Uint8Array, NoiseFault> {
    assert(this.turn() === "write", "it is our turn to write");
    const state = copyOf(this.#state);
    const parts: Uint8Array[] = [];
    for (const token of this.#tokens()) {
      if (token === "e") parts.push(this.#writeEphemeral(state));
      else if (token === "s") parts.push(state.symmetric.seal(x25519PublicKey(this.#options.staticPrivateKey)));
      else if (!this.#mixToken(state, token)) return failed({ code: "low-order-point", message: state.message });
    }
    parts.push(state.symmetric.seal(payload));
    state.message += 1;
    this.#state = state;
    return ok(concatBytes(...parts));
  }

  /** Reads the other end's next message and gives its payload. After a fault the handshake stands where it stood. */
  readMessage(message: Uint8Array): Result<Uint8Array, NoiseFault> {
    assert(this.turn() === "read", "it is our turn to read");
    const state = copyOf(this.#state);
    const expected = this.#leastLength(state);
    if (message.length < expected || message.length > messageLengthMax) {
      return failed({ code: "wrong-length", message: state.message, expected, found: message.length });
    }
    let at = 0;
    for (const token of this.#tokens()) {
      if (token === "e") {
        this.#readEphemeral(state, message.slice(at, at + keyLength));
        at += keyLength;
      } else if (token === "s") {
        const sealedLength = keyLength + (state.symmetric.hasKey() ? tagLength : 0);
        const key = state.symmetric.open(message.subarray(at, at + sealedLength));
        if (key === undefined) return failed({ code: "tag-mismatch", message: state.message, part: "static-key" });
        state.remoteStatic = key;
        at += sealedLength;
      } else if (!this.#mixToken(state, token)) {
        return failed({ code: "low-order-point", message: state.message });
      }
    }
    const payload = state.symmetric.open(message.subarray(at));
    if (payload === undefined) return failed({ code: "tag-mismatch", message: state.message, part: "payload" });
    state.message += 1;
    this.#state = state;
    return ok(payload);
  }

  /** The length of the next message if its payload is empty. */
  emptyMessageLength(): number {
    return this.#leastLength(this.#state);
  }

  /** The keys of both directions; only after the last message. */
  outcome(): NoiseOutcome {
    assert(this.turn() === "done", "the handshake is done");
    const { symmetric, remoteStatic } = this.#state;
    assert(remoteStatic !== undefined, "both patterns show the other end's static key");
    const [fromInitiator, fromResponder] = symmetric.split();
    const isInitiator = this.#options.role === "initiator";
    return {
      send: isInitiator ? fromInitiator : fromResponder,
      receive: isInitiator ? fromResponder : fromInitiator,
      remoteStaticPublicKey: remoteStatic,
      handshakeHash: symmetric.handshakeHash(),
    };
  }

  #tokens(): readonly Token[] {
    return messagesByPattern[this.#options.pattern][this.#state.message] ?? [];
  }

  #writeEphemeral(state: HandshakeState): Uint8Array {
    state.symmetric.mixHash(state.ownEphemeralPublic);
    if (this.#options.pattern === "XXpsk3") state.symmetric.mixKey(state.ownEphemeralPublic);
    return state.ownEphemeralPublic;
  }

  /** With a preshared key, ephemeral keys are mixed into the chaining key too (Noise part 9.2). */
  #readEphemeral(state: HandshakeState, key: Uint8Array): void {
    state.remoteEphemeral = key;
    state.symmetric.mixHash(key);
    if (this.#options.pattern === "XXpsk3") state.symmetric.mixKey(key);
  }

  /** Mixes a key agreement or the preshared key; false for a low-order point. */
  #mixToken(state: HandshakeState, token: Exclude<Token, "e" | "s">): boolean {
    if (token === "psk") {
      const { presharedKey } = this.#options;
      assert(presharedKey !== undefined, "XXpsk3 has a preshared key");
      state.symmetric.mixKeyAndHash(presharedKey);
      return true;
    }
    const [initiatorKey, responderKey] = keysOfAgreement[token];
    const isInitiator = this.#options.role === "initiator";
    const ownKey = isInitiator ? initiatorKey : responderKey;
    const remoteKey = isInitiator ? responderKey : initiatorKey;
    const own = ownKey === "e" ? this.#options.ephemeralPrivateKey : this.#options.staticPrivateKey;
    const remote = remoteKey === "e" ? state.remoteEphemeral : state.remoteStatic;
    assert(remote !== undefined, "the pattern has shown the key before it is used");
    const shared = x25519(own, remote);
    if (shared === undefined) return false;
    state.symmetric.mixKey(shared);
    return true;
  }

  /** The length of the next message with an empty payload. */
  #leastLength(state: HandshakeState): number {
    let hasKey = state.symmetric.hasKey();
    let length = 0;
    for (const token of this.#tokens()) {
      if (token === "e") {
        length += keyLength;
        hasKey ||= this.#options.pattern === "XXpsk3";
      } else if (token === "s") length += keyLength + (hasKey ? tagLength : 0);
      else hasKey = true;
    }
    return length + (hasKey ? tagLength : 0);
  }
}

/** One direction after the handshake. The nonce is explicit (Noise part 11.4); whoever calls uses each one once. */
export class NoiseCipher {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(nonce: number, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return chachaSeal(this.#key, nonceBytes(nonce), associatedData, plaintext);
  }

  /** The plaintext, or undefined when key, nonce, associated data or bytes do not fit together. */
  open(nonce: number, associatedData: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    return chachaOpen(this.#key, nonceBytes(nonce), associatedData, sealed);
  }
}

type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

type HandshakeState = {
  readonly symmetric: SymmetricState;
  readonly ownEphemeralPublic: Uint8Array;
  remoteEphemeral: Uint8Array | undefined;
  remoteStatic: Uint8Array | undefined;
  message: number;
};

function startOf(options: NoiseHandshakeOptions, ownEphemeralPublic: Uint8Array): HandshakeState {
  const symmetric = SymmetricState.named(`Noise_${options.pattern}_25519_ChaChaPoly_SHA256`);
  symmetric.mixHash(options.prologue);
  if (options.pattern === "IK") {
    // The pre-message of IK: the responder's static key, known to both before the first byte.
    symmetric.mixHash(options.remoteStaticPublicKey ?? x25519PublicKey(options.staticPrivateKey));
  }
  return {
    symmetric,
    ownEphemeralPublic,
    remoteEphemeral: undefined,
    remoteStatic: options.remoteStaticPublicKey,
    message: 0,
  };
}

function copyOf(state: HandshakeState): HandshakeState {
  return { ...state, symmetric: state.symmetric.copy() };
}

/** Chaining key, hash and cipher of a handshake (Noise part 5.2). */
class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #cipher: NoiseCipher | undefined;
  #nonce = 0;

  constructor(chainingKey: Uint8Array, hash: Uint8Array) {
    this.#chainingKey = chainingKey;
    this.#hash = hash;
  }

  static named(protocolName: string): SymmetricState {
    const name = utf8(protocolName);
    const hash = name.length <= hashLength ? concatBytes(name, new Uint8Array(hashLength - name.length)) : sha256(name);
    return new SymmetricState(hash, hash);
  }

  copy(): SymmetricState {
    const copy = new SymmetricState(this.#chainingKey, this.#hash);
    copy.#cipher = this.#cipher;
    copy.#nonce = this.#nonce;
    return copy;
  }

  hasKey(): boolean {
    return this.#cipher !== undefined;
  }

  handshakeHash(): Uint8Array {
    return this.#hash;
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = sha256(this.#hash, bytes);
  }

  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = this.#derive(secret, 2);
    this.#chainingKey = chainingKey;
    this.#setKey(key);
  }

  mixKeyAndHash(secret: Uint8Array): void {
    const [chainingKey, hashed, key] = this.#derive(secret, 3);
    this.#chainingKey = chainingKey;
    this.mixHash(hashed);
    this.#setKey(key);
  }

  /** Encrypts once there is a key, and mixes what crosses the wire into the hash. */
  seal(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#cipher === undefined ? plaintext : this.#cipher.seal(this.#nonce++, this.#hash, plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext =
      this.#cipher === undefined ? sealed.slice() : this.#cipher.open(this.#nonce++, this.#hash, sealed);
    this.mixHash(sealed);
    return plaintext;
  }

  split(): readonly [NoiseCipher, NoiseCipher] {
    const [fromInitiator, fromResponder] = this.#derive(new Uint8Array(0), 2);
    return [new NoiseCipher(fromInitiator), new NoiseCipher(fromResponder)];
  }

  #setKey(key: Uint8Array): void {
    this.#cipher = new NoiseCipher(key);
    this.#nonce = 0;
  }

  /** HKDF of Noise part 4.3, which is that of RFC 5869 with the chaining key as salt and no info. */
  #derive(secret: Uint8Array, count: 2 | 3): readonly [Uint8Array, Uint8Array, Uint8Array] {
    const bytes = hkdfSha256(secret, this.#chainingKey, new Uint8Array(0), count * hashLength);
    return [bytes.slice(0, 32), bytes.slice(32, 64), bytes.slice(64, 96)];
  }
}

/** ChaChaPoly's nonce (Noise part 12.3): four zero bytes, then the counter as 64 bits, least byte first. */
function nonceBytes(nonce: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(nonce), true);
  return bytes;
}

const keyLength = 32;
const hashLength = 32;
const tagLength = 16;
/** Noise part 3: no message is longer. */
const messageLengthMax = 65_535;

/** Initiator first, then in turns (Noise parts 7.5 and 9.4). */
const messagesByPattern: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  IK: [
    ["e", "es", "s", "ss"],
    ["e", "ee", "se"],
  ],
  XXpsk3: [["e"], ["e", "ee", "s", "es"], ["s", "se", "psk"]],
};

/** Which key each end brings to an agreement: the initiator's first (Noise part 7.1). */
const keysOfAgreement = {
  ee: ["e", "e"],
  es: ["e", "s"],
  se: ["s", "e"],
  ss: ["s", "s"],
} as const;
