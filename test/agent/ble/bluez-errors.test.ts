import { describe, expect, it } from "vitest";
import { busErrorName, toRadioError } from "../../../agent/ble/bluez-errors.ts";
import { RadioError } from "../../../agent/ports/radio.ts";

/** As the D-Bus library throws: an Error with the error's D-Bus name in `type`. */
function busError(name: string): Error {
  return Object.assign(new Error("some text"), { type: name });
}

describe("toRadioError", () => {
  it.each([
    ["org.freedesktop.DBus.Error.ServiceUnknown", "no-bluetooth"],
    ["org.freedesktop.DBus.Error.NameHasNoOwner", "no-bluetooth"],
    ["org.freedesktop.DBus.Error.NoReply", "no-bluetooth"],
    ["org.freedesktop.DBus.Error.Spawn.ChildExited", "no-bluetooth"],
    ["org.freedesktop.systemd1.NoSuchUnit", "no-bluetooth"],
    ["org.freedesktop.DBus.Error.Disconnected", "no-bus"],
    ["org.freedesktop.DBus.Error.AccessDenied", "access-denied"],
    ["org.freedesktop.DBus.Error.TimedOut", "no-answer"],
    ["org.bluez.Error.NotReady", "adapter-off"],
    ["org.bluez.Error.InProgress", "busy"],
    ["org.bluez.Error.NotPermitted", "busy"],
    ["org.bluez.Error.NotConnected", "link-lost"],
    ["org.bluez.Error.Failed", "connect-failed"],
    ["org.freedesktop.DBus.Error.UnknownObject", "connect-failed"],
    ["org.example.SomethingElse", "connect-failed"],
  ])("[R8] %s is %s", (name, code) => {
    const cause = busError(name);
    expect(toRadioError(cause, "connect", "connect-failed")).toMatchObject({ code, operation: "connect", cause });
  });

  it("[R8] what has no D-Bus name takes the meaning of its step, whatever its text says", () => {
    for (const thrown of [new Error("org.bluez.Error.NotReady"), "text", undefined, { type: 7 }]) {
      expect(toRadioError(thrown, "write a frame", "link-lost").code).toBe("link-lost");
      expect(busErrorName(thrown)).toBeUndefined();
    }
  });

  it("[R8] a RadioError stays what it is", () => {
    const error = new RadioError("no-answer", "connect");
    expect(toRadioError(error, "another step", "link-lost")).toBe(error);
  });
});
