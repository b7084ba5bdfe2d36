/** The keys of the emulated authority. All of them derive from one seed, so that a run can be repeated; a real authority has none of this. */
import { bytesToHex, utf8 } from "../../protocol/base/bytes.ts";
import { hkdfSha256 } from "../../protocol/crypto.ts";
import { type AuthorityKeys, authorityKeysFromSeed } from "../../protocol/sync/authority.ts";

export interface CloudKeys {
  readonly roles: AuthorityKeys;
  readonly sticker: Uint8Array;
  /** The daily key of a door; the authority and the locks of that door share it. */
  readonly dailyKey: (door: string, keyEpoch: number) => Uint8Array;
  /** Under which a networked device, which has no pairing, tags entries that matched nothing. */
  readonly enrolledEntryTagKey: (device: string) => Uint8Array;
  readonly enrolledPassword: (device: string) => string;
}

export function cloudKeysFromSeed(seed: Uint8Array): CloudKeys {
  const derive = (use: string): Uint8Array => hkdfSha256(seed, new Uint8Array(0), utf8(`doorlink/1/cloud/${use}`), 32);
  return {
    roles: authorityKeysFromSeed(seed),
    sticker: derive("sticker"),
    dailyKey: (door, keyEpoch) => derive(`daily/${door}/${keyEpoch}`),
    enrolledEntryTagKey: (device) => derive(`entry-tag/${device}`),
    enrolledPassword: (device) => bytesToHex(derive(`password/${device}`)),
  };
}
