/** The parts of `noise-c.wasm` (rweather/noise-c compiled to WebAssembly) that the interoperation test uses. */
declare module "noise-c.wasm" {
  interface CipherState {
    SetNonce(nonce: number): void;
    EncryptWithAd(associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array;
    /** Throws when the tag does not fit. */
    DecryptWithAd(associatedData: Uint8Array, ciphertext: Uint8Array): Uint8Array;
  }
  interface HandshakeState {
    Initialize(
      prologue: Uint8Array | null,
      staticPrivateKey: Uint8Array | null,
      remoteStaticPublicKey: Uint8Array | null,
    ): void;
    WriteMessage(payload: Uint8Array): Uint8Array;
    ReadMessage(message: Uint8Array, payloadNeeded: boolean): Uint8Array;
    GetHandshakeHash(): Uint8Array;
    GetRemotePublicKey(): Uint8Array;
    /** Sending, receiving. */
    Split(): [CipherState, CipherState];
  }
  interface Noise {
    readonly constants: { readonly NOISE_ROLE_INITIATOR: number; readonly NOISE_ROLE_RESPONDER: number };
    readonly HandshakeState: new (protocolName: string, role: number) => HandshakeState;
  }
  function createNoise(options: { readonly wasmBinary: Uint8Array }, ready: (noise: Noise) => void): void;
  export = createNoise;
}
