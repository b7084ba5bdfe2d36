/**
 * Where the system bus is. node-ble takes no address: its D-Bus library reads the process environment each time it
 * connects, so the composition root sets it there, once, before the radio is made.
 */
import { failed, ok, type Result } from "../../protocol/base/result.ts";

export type BusAddressFault =
  | { readonly code: "bad-bus-address"; readonly expected: string; readonly actual: string }
  | { readonly code: "socket-path-too-long"; readonly limit: number; readonly actual: number };

/**
 * Makes every later radio session use this bus. Shape: `unix:path=/absolute/path`.
 * Faults: bad-bus-address (another shape, or a character that D-Bus addresses escape), socket-path-too-long.
 */
export function useSystemBus(address: string): Result<void, BusAddressFault> {
  const path = addressShape.exec(address)?.groups?.["path"];
  if (path === undefined) {
    return failed({ code: "bad-bus-address", expected: "unix:path=/absolute/path", actual: address.slice(0, 200) });
  }
  if (path.length > SOCKET_PATH_LIMIT_BYTES) {
    return failed({ code: "socket-path-too-long", limit: SOCKET_PATH_LIMIT_BYTES, actual: path.length });
  }
  process.env["DBUS_SYSTEM_BUS_ADDRESS"] = address;
  return ok(undefined);
}

/** Linux: sun_path holds 108 bytes with the closing zero. */
const SOCKET_PATH_LIMIT_BYTES = 107;
/** The library splits the address at `:` `;` `,` and `=` without decoding `%`, so these cannot stand in the path. */
const addressShape = /^unix:path=(?<path>\/[A-Za-z0-9_./-]+)$/;
