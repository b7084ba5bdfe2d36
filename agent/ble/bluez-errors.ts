/**
 * From what the D-Bus library throws to one RadioError code. Errors are told apart by their D-Bus name, never by text.
 * BlueZ says org.bluez.Error.Failed for many things and a vanished object is "unknown" in several ways, so those take
 * the meaning of the step in which they came.
 */
import { RadioError, type RadioErrorCode } from "../ports/radio.ts";

/** Gives the error itself when it is a RadioError already; otherwise its code by D-Bus name, or `fallback`. */
export function toRadioError(error: unknown, operation: string, fallback: RadioErrorCode): RadioError {
  if (error instanceof RadioError) return error;
  const name = busErrorName(error);
  return new RadioError((name === undefined ? undefined : codeOf(name)) ?? fallback, operation, { cause: error });
}

/** The D-Bus name of an error that came as a reply from the bus, such as `org.bluez.Error.Failed`. */
export function busErrorName(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("type" in error)) return undefined;
  return typeof error.type === "string" ? error.type : undefined;
}

function codeOf(name: string): RadioErrorCode | undefined {
  const known = codeByName.get(name);
  if (known !== undefined) return known;
  return activationFailures.some((prefix) => name.startsWith(prefix)) ? "no-bluetooth" : undefined;
}

const codeByName: ReadonlyMap<string, RadioErrorCode> = new Map([
  ["org.freedesktop.DBus.Error.ServiceUnknown", "no-bluetooth"],
  ["org.freedesktop.DBus.Error.NameHasNoOwner", "no-bluetooth"],
  // The bus answers so in the name of a daemon that died with the call in its hands.
  ["org.freedesktop.DBus.Error.NoReply", "no-bluetooth"],
  ["org.freedesktop.DBus.Error.Disconnected", "no-bus"],
  ["org.freedesktop.DBus.Error.AccessDenied", "access-denied"],
  ["org.freedesktop.DBus.Error.TimedOut", "no-answer"],
  ["org.bluez.Error.NotReady", "adapter-off"],
  ["org.bluez.Error.InProgress", "busy"],
  // Another program holds the characteristic by a file descriptor.
  ["org.bluez.Error.NotPermitted", "busy"],
  ["org.bluez.Error.NotConnected", "link-lost"],
]);

/** The bus tried to start bluetoothd and could not. */
const activationFailures = ["org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1."];
