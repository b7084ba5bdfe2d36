/** Rows 73-78: another phone, codes without a lock, signing out, and the password reset that ends every phone's access. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keysOfCode } from "../../emulator/device/keypad.ts";
import { canRunApp } from "../../emulator/people/handsets.ts";
import { openByApp } from "../../emulator/people/open-by-app.ts";
import { DEFAULT_AIR_PROFILE } from "../../emulator/radio/air-profile.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { type AppWorld, phones, startAppWorld } from "../emulator/people/app-world.ts";

const granted = { ok: true, value: { kind: "granted" } };
const sessionExpired = { ok: true, value: { kind: "denied", reason: "APP_SESSION_EXPIRED" } };

describe("S1: access without one's own phone", () => {
  let world: AppWorld;
  beforeEach(async () => {
    world = await startAppWorld();
    world.sync(world.locks.lobby);
    world.sync(world.locks.garage);
  });
  afterEach(async () => {
    await world.stop();
  });

  const signIn = (person: string, phone: string) => world.whileRunning(world.handsets.signIn(person, phone));
  const signOut = (person: string, phone: string) => world.whileRunning(world.handsets.signOut(person, phone));

  it("row 73: on a neighbour's phone the same account opens the same door, and the neighbour stays signed in", async () => {
    expect(await world.open("alice", world.locks.lobby, "bob-phone")).toMatchObject({
      fault: { code: "not-signed-in-there" },
    });
    expect(await signIn("alice", "bob-phone")).toMatchObject({ ok: true });
    expect(await world.open("alice", world.locks.lobby, "bob-phone")).toMatchObject(granted);
    expect(await world.open("bob", world.locks.lobby)).toMatchObject(granted);
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
    expect(world.handsets.phonesOf("alice")).toEqual(["alice-phone", "bob-phone"]);
  });

  it("row 74: any iOS or Android phone that can run the app, and no other", async () => {
    expect(phones.map(canRunApp)).toEqual([true, true, false]);
    expect(
      ["iOS 15", "iOS 14", "Android 9", "Android 8", "Android", "Windows 11"].map((os) => canRunApp({ os })),
    ).toEqual([true, false, true, false, false, false]);
    expect(await signIn("alice", "carl-phone")).toEqual({ ok: false, fault: { code: "phone-cannot-run-app" } });
    expect(await signIn("alice", "no-phone")).toEqual({ ok: false, fault: { code: "no-such-phone" } });
  });

  it("row 75: one's codes are seen on it without a lock near, and typed they open", async () => {
    await signIn("alice", "bob-phone");
    const codes = await world.whileRunning(world.handsets.codes("alice", "bob-phone"));
    if (!codes.ok) throw new Error(codes.fault.code);
    expect(codes.value).toEqual([{ doors: ["lobby"], code: "4815162" }]);
    const keys = keysOfCode(codes.value[0]?.code ?? "", world.locks.lobby.keypadAsleep) ?? [];
    const outcomes = keys.flatMap((key) => world.locks.lobby.pressOne(key));
    expect(outcomes).toMatchObject([{ granted: true }]);
  });

  it("row 77: signed out, the phone holds nothing: it opens no door, shows no codes, and its token is worth nothing", async () => {
    await signIn("alice", "bob-phone");
    await world.open("alice", world.locks.lobby, "bob-phone");
    const account = world.handsets.accountOn({ id: "bob-phone", person: "alice" });
    expect(await signOut("alice", "bob-phone")).toMatchObject({ ok: true });
    expect(account.state).toBe("signed-out");
    expect(await account.keyTo("lobby-lock")).toEqual({ ok: false, fault: { code: "phone-signed-out" } });
    expect(await world.handsets.codes("alice", "bob-phone")).toMatchObject({ fault: { code: "phone-signed-out" } });
    expect(await signOut("alice", "bob-phone")).toMatchObject({ fault: { code: "not-signed-in-there" } });
    // Only this phone: the resident's own goes on.
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
  });

  it("row 78: a password reset ends what a thief copied: at a synced lock with the sync, at another within 72 hours", async () => {
    await signIn("alice", "bob-phone");
    const stolenFrom = world.handsets.accountOn({ id: "bob-phone", person: "alice" });
    const copies = {
      lobby: await stolenFrom.keyTo("lobby-lock"),
      garage: await stolenFrom.keyTo("garage-lock"),
    };
    const random = seededRandom(9, "thief");
    const steal = async (at: keyof typeof copies) => {
      const copy = copies[at];
      if (!copy.ok) throw new Error(copy.fault.code);
      // Past its app, which would obey; with what the phone held.
      const key = { ...copy.value, ephemeralPrivateKey: random.bytes(32) };
      const { peripheral } = world.locks[at];
      const { clock } = world;
      const air = { clock, profile: DEFAULT_AIR_PROFILE, random: () => random.next() };
      return world.whileRunning(openByApp({ peripheral, key, ...air }));
    };
    expect([await steal("lobby"), await steal("garage")]).toMatchObject([granted, granted]);

    const reset = await world.resetPassword("alice");
    expect(reset).toMatchObject({ status: 200, body: { person: "alice", phones: 1 } });
    world.sync(world.locks.lobby);
    expect(await steal("lobby")).toMatchObject(sessionExpired);
    expect(await steal("garage")).toMatchObject(granted);
    // The phone itself learns of it with its next question, and drops all it has.
    world.hours(37);
    expect(await world.whileRunning(stolenFrom.keyTo("lobby-lock"))).toMatchObject({
      fault: { code: "phone-signed-out" },
    });
    expect(stolenFrom.state).toBe("signed-out");

    world.hours(34);
    expect(await steal("garage")).toMatchObject(granted);
    world.hours(2);
    expect(await steal("garage")).toMatchObject(sessionExpired);
  });

  it("row 78: whoever signs in after the reset opens at once, at the synced lock too", async () => {
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
    await world.resetPassword("alice");
    world.sync(world.locks.lobby);
    expect(await signIn("alice", "alice-phone")).toMatchObject({ ok: true });
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
    expect(await world.open("bob", world.locks.lobby)).toMatchObject(granted);
  });

  it("row 59: a phone that cannot reach the cloud opens with what it holds, until that ends", async () => {
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
    world.cloud.http.server.closeAllConnections();
    await world.cloud.http.close();
    world.hours(71);
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(granted);
    world.hours(2);
    expect(await world.open("alice", world.locks.lobby)).toMatchObject(sessionExpired);
  });
});
