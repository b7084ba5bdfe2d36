/** The cloud as a phone that carries sees it: what to take to a lock, the time while it is there, and where to bring what it said. */
import { z } from "zod";
import { bytesToBase64 } from "../../protocol/base/bytes.ts";
import { ok, type Result } from "../../protocol/base/result.ts";
import type { DeviceId } from "../../protocol/base/units.ts";
import type { CourierLoad } from "../../protocol/sync/courier-sync.ts";
import { base64Exactly, base64Field, deviceId, uint32, unixTime } from "../../protocol/wire/messages/fields.ts";
import { BUNDLE_LIMIT_BYTES, type SignedBlob } from "../../protocol/wire/signed-objects.ts";
import type { AccountFault, AppAccount } from "./app-account.ts";

/** What a phone takes to one lock. */
export interface LockLoad {
  readonly lock: { readonly staticPublicKey: Uint8Array; readonly pairingId: Uint8Array };
  readonly load: CourierLoad;
}

/** What a phone brings back of one lock: batches as the lock sealed them, oldest first, and the lock's last word. */
export interface LockDelivery {
  readonly batches: readonly Uint8Array[];
  readonly report?: { readonly report: Uint8Array; readonly mac: Uint8Array };
}

/** Each call ends by itself within seconds. */
export interface CourierCloud {
  readonly load: (device: DeviceId, staticPublicKey: Uint8Array) => Promise<Result<LockLoad, AccountFault>>;
  readonly time: (device: DeviceId, nonce: Uint8Array) => Promise<SignedBlob | undefined>;
  /** Gives up to which sequence the authority now has the lock's log; null: nothing yet. */
  readonly deliver: (
    device: DeviceId,
    delivery: LockDelivery,
  ) => Promise<Result<{ readonly through: number | null }, AccountFault>>;
}

/** Over HTTP, as the account that `call` speaks for. */
export function courierCloudOf(call: AppAccount["call"]): CourierCloud {
  const path = (device: DeviceId): string => `/app/courier/${encodeURIComponent(device)}`;
  return {
    load: async (device, staticPublicKey) => {
      const body = { staticPublicKey: bytesToBase64(staticPublicKey) };
      const what = "fetch what a lock is to get";
      const answer = await call({ what, method: "POST", path: path(device), schema: loadAnswer, body });
      return answer.ok ? ok(lockLoad(answer.value)) : answer;
    },
    time: async (device, nonce) => {
      const body = { nonce: bytesToBase64(nonce) };
      const what = "ask the time for a lock";
      const answer = await call({ what, method: "POST", path: `${path(device)}/time`, schema: timeAnswer, body });
      return answer.ok ? answer.value.answer : undefined;
    },
    deliver: async (device, { batches, report: said }) => {
      const body = {
        batches: batches.map(bytesToBase64),
        ...(said === undefined ? {} : { report: bytesToBase64(said.report), mac: bytesToBase64(said.mac) }),
      };
      const what = "bring what a lock said";
      return call({ what, method: "POST", path: `${path(device)}/log`, schema: receiptAnswer, body });
    },
  };
}

function lockLoad(answer: z.output<typeof loadAnswer>): LockLoad {
  const { staticPublicKey, pairingId, certificate, keyset, policy, release, logFrom } = answer;
  return {
    lock: { staticPublicKey, pairingId },
    load: {
      certificate,
      logFrom,
      ...(keyset === null ? {} : { keyset }),
      ...(policy === null ? {} : { policy }),
      ...(release === null ? {} : { release }),
    },
  };
}

const blob = (limitBytes: number) => z.object({ bytes: base64Field(limitBytes), signature: base64Exactly(64) });
const signedLimitBytes = 2_048;
const manifestLimitBytes = 4 * 1_024;
const bundlesLimit = 8;
const loadAnswer = z.object({
  device: deviceId,
  address: z.string(),
  staticPublicKey: base64Exactly(32),
  pairingId: base64Exactly(16),
  certificate: blob(signedLimitBytes),
  notAfter: unixTime,
  keyset: z.object({ epoch: uint32, blob: blob(signedLimitBytes) }).nullable(),
  policy: z
    .object({
      epoch: uint32,
      version: uint32,
      bundles: z
        .array(z.object({ from: uint32, manifest: blob(manifestLimitBytes), bytes: base64Field(BUNDLE_LIMIT_BYTES) }))
        .max(bundlesLimit),
    })
    .nullable(),
  release: blob(signedLimitBytes).nullable(),
  logFrom: uint32,
});
const timeAnswer = z.object({ answer: blob(signedLimitBytes) });
const receiptAnswer = z.object({ device: deviceId, through: uint32.nullable() });
