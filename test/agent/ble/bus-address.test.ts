import { afterEach, describe, expect, it } from "vitest";
import { useSystemBus } from "../../../agent/ble/bus-address.ts";

const before = process.env["DBUS_SYSTEM_BUS_ADDRESS"];

afterEach(() => {
  if (before === undefined) delete process.env["DBUS_SYSTEM_BUS_ADDRESS"];
  else process.env["DBUS_SYSTEM_BUS_ADDRESS"] = before;
});

describe("useSystemBus", () => {
  it("[R12] sets a plain address", () => {
    expect(useSystemBus("unix:path=/run/dbus/system_bus_socket")).toEqual({ ok: true, value: undefined });
    expect(process.env["DBUS_SYSTEM_BUS_ADDRESS"]).toBe("unix:path=/run/dbus/system_bus_socket");
  });

  it.each([
    "",
    "/run/dbus/socket",
    "unix:path=relative",
    "unix:path=/a,guid=1",
    "unix:path=/a b",
    "unix:path=/a;unix:path=/b",
    "tcp:host=x,port=1",
    "unix:path=/%61",
  ])("[R12] refuses %j and leaves the environment alone", (address) => {
    process.env["DBUS_SYSTEM_BUS_ADDRESS"] = "untouched";
    expect(useSystemBus(address)).toMatchObject({ ok: false, fault: { code: "bad-bus-address", actual: address } });
    expect(process.env["DBUS_SYSTEM_BUS_ADDRESS"]).toBe("untouched");
  });

  it("[R12] refuses a path that no socket can have", () => {
    expect(useSystemBus(`unix:path=/${"x".repeat(106)}`).ok).toBe(true);
    expect(useSystemBus(`unix:path=/${"x".repeat(107)}`)).toEqual({
      ok: false,
      fault: { code: "socket-path-too-long", limit: 107, actual: 108 },
    });
  });
});
