/** The keys of the emulated authority. All of them derive from one seed, so that a run can be repeated; a real authority has none of this. */
import { bytesToHex, utf8 } from "../../protocol/base/bytes.ts";
import { hkdfSha256 } from "../../protocol/crypto.ts";
import { type AuthorityKeys, authorityKeysFromSeed, rootKeyFromSeed } from "../../protocol/sync/authority.ts";
import { LOGIN_SALT_BYTES } from "../../protocol/wire/device-login.ts";

export interface CloudKeys {
  /** The keys of the first epoch: what networked devices were enrolled with and keep until they are enrolled again. */
  readonly roles: AuthorityKeys;
  /** The keys of a keyset's epoch, from 1. */
  readonly rolesOf: (epoch: number) => AuthorityKeys;
  /** Seed of the root that signs keysets. A real one is offline; the emulator's is only this far away. */
  readonly root: Uint8Array;
  readonly sticker: Uint8Array;
  /** From which each keycard's own key is made. */
  readonly cardSecret: Uint8Array;
  /** The daily key of a door; the authority and the locks of that door share it. */
  readonly dailyKey: (door: string, keyEpoch: number) => Uint8Array;
  /** Under which a networked device, which has no pairing, tags entries that matched nothing. */
  readonly enrolledEntryTagKey: (device: string) => Uint8Array;
  readonly enrolledPassword: (device: string) => string;
  /** Of the hash by which a gateway knows that password: 16 bytes. */
  readonly enrolledLoginSalt: (device: string) => Uint8Array;
  /** By what unlock commands name a networked device: 16 bytes. */
  readonly enrolledPairingId: (device: string) => Uint8Array;
  /** Under which a networked device MACs its boot reports and what it says it holds. */
  readonly enrolledReportKey: (device: string) => Uint8Array;
  /** Under which the codes of a networked device's policies are hashed. */
  readonly enrolledCodeHashKey: (device: string) => Uint8Array;
  /** Under which recipients of doorcodes are tagged in the record. */
  readonly deliveryAudit: Uint8Array;
  /** From which the faults of the emulated outbox follow. */
  readonly outbox: Uint8Array;
}

export function cloudKeysFromSeed(seed: Uint8Array): CloudKeys {
  const derive = (use: string): Uint8Array => hkdfSha256(seed, new Uint8Array(0), utf8(`doorlink/1/cloud/${use}`), 32);
  return {
    roles: authorityKeysFromSeed(seed),
    rolesOf: (epoch) => authorityKeysFromSeed(seed, epoch),
    root: rootKeyFromSeed(seed),
    sticker: derive("sticker"),
    cardSecret: derive("card"),
    dailyKey: (door, keyEpoch) => derive(`daily/${door}/${keyEpoch}`),
    enrolledEntryTagKey: (device) => derive(`entry-tag/${device}`),
    enrolledPassword: (device) => bytesToHex(derive(`password/${device}`)),
    enrolledLoginSalt: (device) => derive(`login-salt/${device}`).subarray(0, LOGIN_SALT_BYTES),
    enrolledPairingId: (device) => derive(`pairing-id/${device}`).subarray(0, 16),
    enrolledReportKey: (device) => derive(`report/${device}`),
    enrolledCodeHashKey: (device) => derive(`code-hash/${device}`),
    deliveryAudit: derive("delivery-audit"),
    outbox: derive("outbox"),
  };
}
