/**
 * How long a device waits before it tries to connect again. When a broker starts again all of a site's devices have lost it in the same
 * instant; they must not come back in the same second, however many they are. SPEC B20.
 */
export interface ReconnectRules {
  /** Networked devices of the site, this one included. */
  readonly siteDevices: number;
}

/** Milliseconds; `failures` counts from 1, `fraction` is 0 <= f < 1. */
export function reconnectPauseMs({ siteDevices }: ReconnectRules, failures: number, fraction: number): number {
  const backoffMs = Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, DOUBLINGS_MAX));
  const windowMs = Math.max(backoffMs, siteDevices * DEVICE_SHARE_MS);
  return Math.floor(PAUSE_MIN_MS + windowMs * fraction);
}

const PAUSE_MIN_MS = 100;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_CAP_MS = 5_000;
const DOUBLINGS_MAX = 6;
/** A thousand devices are spread over 20 s: in no second a tenth of them, and all are back within half a minute. */
const DEVICE_SHARE_MS = 20;
