/**
 * How a gateway knows a networked device by its MQTT password without being told the password: a salted hash, made by the authority.
 * The password is 32 random bytes in hex, so one HMAC is enough; a slow hash would only help a password that somebody chose.
 * Source: SPEC B7.
 */
import { equalBytes, utf8 } from "../base/bytes.ts";
import { hmacSha256 } from "../crypto.ts";

export const LOGIN_SALT_BYTES = 16;

export interface DeviceLogin {
  readonly salt: Uint8Array;
  /** HMAC-SHA-256 under the salt, 32 bytes. */
  readonly hash: Uint8Array;
}

export function makeDeviceLogin(salt: Uint8Array, password: string): DeviceLogin {
  return { salt, hash: hmacSha256(salt, utf8(password)) };
}

/** In the same time for every password of a length. */
export function isDevicePassword({ salt, hash }: DeviceLogin, password: Uint8Array): boolean {
  return equalBytes(hmacSha256(salt, password), hash);
}
