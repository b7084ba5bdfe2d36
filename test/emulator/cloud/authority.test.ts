import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { desiredOfGateway, desiredOfLock, desiredOfPanel } from "../../../emulator/cloud/desired.ts";
import { issueDailyCode } from "../../../emulator/cloud/doorcodes.ts";
import { exposureView } from "../../../emulator/cloud/exposure.ts";
import { revocationsToSend } from "../../../emulator/cloud/pending-revocations.ts";
import { permanentCodesAmong } from "../../../emulator/cloud/permanent-codes.ts";
import { decodePolicy } from "../../../protocol/access/policy.ts";
import { base64ToBytes, utf8 } from "../../../protocol/base/bytes.ts";
import { unixMs, unixSeconds } from "../../../protocol/base/units.ts";
import { verifyTyped } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { lockDesiredSchema, panelDesiredSchema, REVOCATIONS_LIMIT } from "../../../protocol/wire/messages/desired.ts";
import { parsePayload } from "../../../protocol/wire/payload.ts";
import { policyManifest, signedTypes } from "../../../protocol/wire/signed-objects.ts";
import { deviceId, gateway, noon, PairedLock, siteText, startCloud, type TestCloud } from "./fixture.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function lockDesired(cloud: TestCloud, device: string) {
  const message = desiredOfLock(cloud.authority, deviceId(device), null);
  const read = parsePayload(lockDesiredSchema, utf8(message?.payload ?? ""));
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}

function panelDesired(cloud: TestCloud, panel: string) {
  const message = desiredOfPanel(cloud.authority, deviceId(panel));
  const read = parsePayload(panelDesiredSchema, utf8(message?.payload ?? ""));
  if (!read.ok) throw new Error(JSON.stringify(read.fault));
  return read.value;
}

/** The bytes and the MAC of a report. */
function reportOf(lock: PairedLock, version: number): [Uint8Array, Uint8Array] {
  const { report, mac } = lock.report(version);
  return [base64ToBytes(report) ?? new Uint8Array(0), base64ToBytes(mac) ?? new Uint8Array(0)];
}

function states(bundle: Uint8Array): Readonly<Record<string, string>> {
  const policy = decodePolicy(bundle);
  if (!policy.ok) throw new Error(policy.fault.code);
  return Object.fromEntries(policy.value.credentials.map(({ id, state }) => [id, state]));
}

describe("pairing and policies", () => {
  it("signs a lock's policy so that the lock's pinned key verifies it", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const { manifest, bundle, policy } = lockDesired(cloud, "lobby-lock");
    const { policy: key } = authorityPublicKeys(cloud.authority.keys.roles);
    expect(verifyTyped(key, signedTypes.policy, manifest.bytes, manifest.signature)).toBe(true);
    const read = policyManifest.decode(manifest.bytes);
    expect(read).toMatchObject({ ok: true, value: { pairingId: lock.pairingId, to: 1, length: bundle.length } });
    expect(policy).toEqual({ epoch: 1, version: 1 });
    expect(states(bundle)).toMatchObject({ "alice-app": "active", "bob-app": "active" });
  });

  it("keeps a lock's pairing when it pairs again with its key, and makes a new one for another key", async () => {
    const { cloud } = await startCloud();
    const first = PairedLock.pair(cloud, "lobby-lock");
    expect(PairedLock.pair(cloud, "lobby-lock").pairingId).toEqual(first.pairingId);
    expect(lockDesired(cloud, "lobby-lock").policy.version).toBe(1);
    const other = cloud.authority.pairLock({
      device: "lobby-lock",
      staticPublicKey: new Uint8Array(32).fill(9),
      address: "C0:FF:EE:00:00:02",
    });
    expect(other.ok && other.value.pairingId).not.toEqual(first.pairingId);
  });

  it("refuses to pair what is no BLE lock, is not there, or has a worthless key", async () => {
    const { cloud } = await startCloud();
    const pair = (device: string, staticPublicKey = new Uint8Array(32).fill(9)) =>
      cloud.authority.pairLock({ device, staticPublicKey, address: "C0:FF:EE:00:00:02" });
    expect(pair("gate-r29")).toMatchObject({ fault: { code: "not-a-ble-lock" } });
    expect(pair("no-such-lock")).toMatchObject({ fault: { code: "no-such-device" } });
    expect(pair("lobby-lock", new Uint8Array(32))).toMatchObject({ fault: { code: "bad-public-key" } });
    expect(cloud.authority.state.pairings).toEqual({});
  });

  it("revokes a person in a new policy version of every lock and says where they may still get in", async () => {
    const { cloud, clock } = await startCloud();
    for (const lock of ["lobby-lock", "garage-lock"]) PairedLock.pair(cloud, lock);
    clock.advance(60_000);
    const revoked = cloud.authority.revoke("bob");
    expect(revoked).toEqual({
      ok: true,
      value: {
        person: "bob",
        since: noon + 60,
        locks: [
          { device: "lobby-lock", epoch: 1, version: 2 },
          { device: "garage-lock", epoch: 1, version: 2 },
        ],
      },
    });
    expect(states(lockDesired(cloud, "lobby-lock").bundle)).toMatchObject({
      "bob-app": "revoked",
      "alice-app": "active",
    });
    expect(lockDesired(cloud, "lobby-lock").revocations).toEqual([
      { person: "bob", since: noon + 60, epoch: 1, version: 2 },
    ]);
    // Bob never had a key to the garage: there is nothing that its lock could still let in.
    expect(lockDesired(cloud, "garage-lock").revocations).toEqual([]);
  });

  describe("[P8] a new site file that takes something away gives the exposure that a revocation gives", () => {
    const text = (from: string | RegExp, to: string): string => {
      const changed = siteText.replace(from, to);
      expect(changed).not.toBe(siteText);
      return changed;
    };
    const bob = (more: string) =>
      text("showInIntercom: true}\n  - {id: nora", `showInIntercom: true, ${more}}\n  - {id: nora`);
    const withoutBob = siteText
      .split("\n")
      .filter((line) => !line.includes("id: bob"))
      .join("\n")
      .replace("[alice, bob, nora", "[alice, nora");

    it.each([
      ["a person revoked in it", bob("revokedAt: start"), noon],
      [
        "a credential lost",
        text("{id: bob-app, kind: app-key, person: bob}", "{id: bob-app, kind: app-key, person: bob, state: lost}"),
        noon + 60,
      ],
      [
        "a credential given to somebody else",
        text("{id: bob-app, kind: app-key, person: bob}", "{id: bob-app, kind: app-key, person: carl}"),
        noon + 60,
      ],
      ["a person out of the group", text("[alice, bob, nora", "[alice, nora"), noon + 60],
      ["a person out of the site", withoutBob, noon + 60],
    ])("%s", async (_, changed, since) => {
      const { cloud, clock } = await startCloud();
      const lock = PairedLock.pair(cloud, "lobby-lock");
      PairedLock.pair(cloud, "garage-lock");
      clock.advance(60_000);
      expect(cloud.authority.importSite(changed, noon)).toMatchObject({ ok: true });
      const { revocations, policy } = lockDesired(cloud, "lobby-lock");
      expect(policy.version).toBe(2);
      expect(revocations).toEqual([{ person: "bob", since, epoch: 1, version: 2 }]);
      expect(lockDesired(cloud, "garage-lock").revocations).toEqual([]);
      const exposed = { device: "lobby-lock", person: "bob", name: "Bob <i>Barker</i>", holds: null };
      expect(exposureView(cloud).reckoned).toMatchObject([exposed]);
      // The gateway has a name for whoever it is to name, also when the site has forgotten them.
      const gatewayWord = JSON.parse(desiredOfGateway(cloud.authority, gateway)?.payload ?? "{}");
      expect(gatewayWord.people).toContainEqual({ id: "bob", name: "Bob <i>Barker</i>" });
      cloud.chains.reportCame(lock.device, ...reportOf(lock, 1), unixMs(noon * 1000));
      expect(exposureView(cloud).reckoned).toMatchObject([{ ...exposed, holds: { epoch: 1, version: 1 } }]);
      cloud.chains.reportCame(lock.device, ...reportOf(lock, 2), unixMs(noon * 1000));
      expect(exposureView(cloud).reckoned).toEqual([]);
    });
  });

  it("[P8] an exposure ends when the right is given back in a later version, or when another lock hangs there", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const without = siteText.replace("[alice, bob, nora", "[alice, nora");
    cloud.authority.importSite(without, noon);
    expect(lockDesired(cloud, "lobby-lock").revocations).toMatchObject([{ person: "bob", version: 2 }]);
    cloud.authority.importSite(siteText, noon);
    expect(lockDesired(cloud, "lobby-lock")).toMatchObject({ policy: { version: 3 }, revocations: [] });
    cloud.authority.importSite(without, noon);
    expect(lockDesired(cloud, "lobby-lock").revocations).toMatchObject([{ person: "bob", version: 4 }]);
    const staticPublicKey = new Uint8Array(32).fill(9);
    cloud.authority.pairLock({ device: "lobby-lock", staticPublicKey, address: "C0:FF:EE:00:00:02" });
    expect(lockDesired(cloud, "lobby-lock")).toMatchObject({ policy: { version: 5 }, revocations: [] });
  });

  it("[P8] a password reset is one too: a phone of before is let in until the lock hears of it", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    cloud.authority.resetPassword("alice");
    expect(lockDesired(cloud, "lobby-lock").revocations).toMatchObject([{ person: "alice", version: 2 }]);
  });

  it("[G3] keeps no revocation that the lock has confirmed, a few for each person, and sends the latest that a message holds", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const kept = () => cloud.authority.state.policies["lobby-lock"]?.revocations.map(({ version }) => version);
    const without = siteText.replace("[alice, bob, nora", "[alice, nora");
    const later = (until: number) =>
      siteText.replace("kind: app-key, person: bob}", `kind: app-key, person: bob, until: start+${until}d}`);
    for (let days = 40; days > 28; days--) cloud.authority.importSite(later(days), noon);
    expect(kept()).toHaveLength(8);
    expect(kept()?.at(-1)).toBe(13);
    expect(exposureView(cloud).reckoned).toMatchObject([{ person: "bob", since: noon, endsWith: { version: 13 } }]);
    cloud.chains.reportCame(lock.device, ...reportOf(lock, 11), unixMs(noon * 1000));
    expect(kept()).toEqual([12, 13]);
    cloud.chains.reportCame(lock.device, ...reportOf(lock, 13), unixMs(noon * 1000));
    expect(kept()).toEqual([]);
    cloud.authority.importSite(without, noon);
    expect(kept()).toEqual([14]);
  });

  it("[G3] never refuses a desired document because more people lost a way in than it has room for", () => {
    const pending = Array.from({ length: REVOCATIONS_LIMIT + 5 }, (_, index) => ({
      person: `p-${index}`,
      since: noon,
      epoch: 1,
      version: index + 2,
      lost: [],
    }));
    const sent = revocationsToSend(pending);
    expect(sent).toHaveLength(REVOCATIONS_LIMIT);
    expect(sent.at(-1)).toEqual({
      person: `p-${REVOCATIONS_LIMIT + 4}`,
      since: noon,
      epoch: 1,
      version: REVOCATIONS_LIMIT + 6,
    });
    expect(sent.map(({ person }) => person)).not.toContain("p-0");
  });

  it("revokes once: asked again, the time and the versions stay", async () => {
    const { cloud, clock } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const first = cloud.authority.revoke("bob");
    clock.advance(60_000);
    expect(cloud.authority.revoke("bob")).toEqual(first);
    expect(cloud.authority.revoke("nobody")).toEqual({ ok: false, fault: { code: "no-such-person", came: "nobody" } });
  });

  it("takes the same site again without new versions, a changed one with them, another site not at all", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    cloud.authority.revoke("bob");
    expect(cloud.authority.importSite(siteText, noon).ok).toBe(true);
    expect(lockDesired(cloud, "lobby-lock").policy.version).toBe(2);
    const changed = siteText.replace('code: "4815162"', 'code: "4815163"');
    expect(cloud.authority.importSite(changed, noon).ok).toBe(true);
    expect(lockDesired(cloud, "lobby-lock").policy.version).toBe(3);
    expect(states(lockDesired(cloud, "lobby-lock").bundle)["bob-app"]).toBe("revoked");
    const other = siteText.replace("id: maple-court", "id: oak-court");
    expect(cloud.authority.importSite(other, noon)).toMatchObject({
      fault: { code: "another-site", came: "oak-court" },
    });
  });

  it("names every mistake of a site file with its line", async () => {
    const { cloud } = await startCloud();
    const wrong = siteText
      .replace("door: garage, serial: M2-0001", "door: nowhere, serial: M2-0001")
      .replace("kind: app-key, person: bob", "kind: app-kye, person: bob");
    const imported = cloud.authority.importSite(wrong, noon);
    expect(imported.ok).toBe(false);
    if (imported.ok || imported.fault.code !== "document-mistakes") throw new Error("expected mistakes");
    expect(imported.fault.mistakes.map(({ line }) => line)).toEqual([10, 30]);
  });
});

describe("stickers", () => {
  it("row 8: the payload of the current print job opens; a foreign, altered or older one does not", async () => {
    const { cloud } = await startCloud();
    const { authority } = cloud;
    const printed = panelDesired(cloud, "lobby-link").current;
    const token = printed.slice(printed.lastIndexOf("/") + 1);
    expect(printed).toMatch(/^HTTP:\/\/127\.0\.0\.1:8701\/L\/[0-9A-HJKMNP-TV-Z]{24}$/);
    expect(authority.openToken(token)).toEqual({ verdict: "current", panel: "lobby-link" });
    expect(authority.openToken(token.toLowerCase())).toEqual({ verdict: "current", panel: "lobby-link" });
    const altered = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");
    expect(authority.openToken(altered).verdict).toBe("unknown");
    expect(authority.openToken("ABCDEF")).toEqual({ verdict: "unknown", why: "not-a-token" });
    const other = panelDesired(cloud, "roof-link").current;
    expect(authority.openToken(other.slice(other.lastIndexOf("/") + 1))).toEqual({
      verdict: "current",
      panel: "roof-link",
    });
  });

  it("row 14: rotation mints a new payload, retires the old one, and waits to see the new one on the wall", async () => {
    const { cloud, clock } = await startCloud();
    const { authority } = cloud;
    const before = panelDesired(cloud, "lobby-link");
    clock.advance(1_000);
    const rotated = authority.rotateSticker("lobby-link");
    if (!rotated.ok) throw new Error(rotated.fault.code);
    const after = panelDesired(cloud, "lobby-link");
    expect(after).toMatchObject({
      rotation: 2,
      current: rotated.value.payload,
      retired: [before.current],
      at: noon + 1,
    });
    expect(after.current).not.toBe(before.current);
    expect(authority.state.panels["lobby-link"]).toMatchObject({ rotation: 2, openedAt: null });
    clock.advance(9_000);
    authority.openToken(after.current.slice(-24));
    expect(authority.state.panels["lobby-link"]).toMatchObject({ openedAt: noon + 10 });
    expect(authority.rotateSticker("no-such-link")).toMatchObject({ fault: { code: "no-such-panel" } });
  });

  it("row 51: after each of many rotations every older sticker is dead and only the newest opens", async () => {
    const { cloud } = await startCloud();
    const payloads = [panelDesired(cloud, "lobby-link").current];
    for (let rotation = 2; rotation <= 6; rotation++) {
      const rotated = cloud.authority.rotateSticker("lobby-link");
      if (!rotated.ok) throw new Error(rotated.fault.code);
      payloads.push(rotated.value.payload);
      const verdicts = payloads.map((payload) => cloud.authority.openToken(payload.slice(-24)).verdict);
      expect(verdicts).toEqual([...payloads.slice(1).map(() => "retired"), "current"]);
      expect(panelDesired(cloud, "lobby-link").retired).toEqual(payloads.slice(0, -1));
    }
  });
});

describe("daily doorcodes", () => {
  const forAlice = { door: "lobby", person: "alice" };

  it("gives each visitor a slot of their own and remembers the slots, not the codes", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const codes = Array.from({ length: 5 }, () => issueDailyCode(cloud.authority, forAlice));
    const digits = codes.map((issued) => (issued.ok ? issued.value.code : issued.fault.code));
    expect(new Set(digits).size).toBe(5);
    for (const code of digits) expect(code).toMatch(/^[0-9]{7}$/);
    expect(cloud.authority.state.allotments.map(({ slot }) => slot)).toEqual([0, 1, 2, 3, 4]);
    const stored = JSON.stringify(cloud.authority.state.allotments);
    for (const code of digits) expect(stored).not.toContain(code);
  });

  it("[C5] gives no code that is a permanent code of any version from the last confirmed to the newest signed", async () => {
    const first = await startCloud();
    PairedLock.pair(first.cloud, "lobby-lock");
    const issued = issueDailyCode(first.cloud.authority, forAlice);
    if (!issued.ok) throw new Error(issued.fault.code);
    const collides = siteText.replace('code: "4815162"', `code: "${issued.value.code}"`);

    const { cloud } = await startCloud({ site: collides });
    const lock = PairedLock.pair(cloud, "lobby-lock");
    const slot = () => {
      const again = issueDailyCode(cloud.authority, { ...forAlice });
      return again.ok ? again.value.slot.slot : again.fault.code;
    };
    expect(slot()).toBe(1);
    // A new site file has another code; the lock, not visited yet, would still take the old one for the resident's own.
    cloud.authority.importSite(siteText, noon);
    const firstFree = () => permanentCodesAmong(cloud.authority, "lobby", [issued.value.code, "0000000"]);
    expect(firstFree()).toContain(issued.value.code);
    expect(firstFree()).not.toContain("0000000");
    cloud.chains.reportCame(lock.device, ...reportOf(lock, 1), unixMs(noon * 1000));
    expect(firstFree()).toContain(issued.value.code);
    expect(slot()).toBe(2);
    cloud.chains.reportCame(lock.device, ...reportOf(lock, 2), unixMs(noon * 1000));
    expect(firstFree()).not.toContain(issued.value.code);
    expect(slot()).toBe(0);
    expect(JSON.stringify(cloud.authority.state.policies)).not.toContain(issued.value.code);
  });

  it("row 31: no code for a door whose lock is assigned but not in service, or not yet paired", async () => {
    const { cloud } = await startCloud();
    expect(issueDailyCode(cloud.authority, forAlice)).toEqual({ ok: false, fault: { code: "NO_ACTIVE_DEVICE" } });
    PairedLock.pair(cloud, "lobby-lock");
    expect(issueDailyCode(cloud.authority, forAlice).ok).toBe(true);
    PairedLock.pair(cloud, "roof-lock");
    const roof = issueDailyCode(cloud.authority, { door: "roof", person: "alice" });
    expect(roof).toEqual({ ok: false, fault: { code: "NO_ACTIVE_DEVICE" } });
  });

  it("gives no code to somebody without a key, without the right, or revoked", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const code = (person: string) => {
      const issued = issueDailyCode(cloud.authority, { door: "lobby", person });
      return issued.ok ? "issued" : issued.fault.code;
    };
    expect(code("ned-no-key")).toBe("NO_ACCESS");
    expect(code("carl")).toBe("ROLE_MAY_NOT_ISSUE");
    expect(code("bob")).toBe("issued");
    cloud.authority.revoke("bob");
    expect(code("bob")).toBe("NO_ACCESS");
  });

  it("row 36: a code is of the site's civil day: before midnight this day's, after it the next day's", async () => {
    const beforeMidnight = unixSeconds(Date.parse("2026-12-24T23:59:59-05:00") / 1000);
    const { cloud, clock } = await startCloud({ start: beforeMidnight });
    PairedLock.pair(cloud, "lobby-lock");
    const before = issueDailyCode(cloud.authority, forAlice);
    clock.advance(1_000);
    const after = issueDailyCode(cloud.authority, forAlice);
    expect(before).toMatchObject({ ok: true, value: { validOn: "2026-12-24", until: beforeMidnight + 1 } });
    expect(after).toMatchObject({ ok: true, value: { validOn: "2026-12-25", until: beforeMidnight + 1 + 86_400 } });
    expect(cloud.authority.state.allotments.map(({ localDay, slot }) => [localDay, slot])).toEqual([
      [20_811, 0],
      [20_812, 0],
    ]);
  });

  it("row 36: on the days when the clocks change, a code ends at the site's midnight: after 23 and after 25 hours", async () => {
    for (const [day, hours] of [
      ["2026-03-08", 23],
      ["2026-11-01", 25],
    ] as const) {
      const midnight = unixSeconds(Date.parse(`${day}T00:00:00${day === "2026-03-08" ? "-05:00" : "-04:00"}`) / 1000);
      const { cloud } = await startCloud({ start: midnight });
      PairedLock.pair(cloud, "lobby-lock");
      const issued = issueDailyCode(cloud.authority, forAlice);
      expect(issued).toMatchObject({ ok: true, value: { validOn: day, until: midnight + hours * 3600 } });
    }
  });
});

describe("a restart of the cloud", () => {
  it("[M12] goes on with greater revisions, also when the clock was set back meanwhile", async () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-cloud-"));
    folders.push(folder);
    const first = await startCloud({ stateDirectory: folder });
    const given = [first.cloud.authority.nextRevision(), first.cloud.authority.nextRevision()];
    await first.cloud.close();

    const second = await startCloud({ stateDirectory: folder, start: noon - 3_600 });
    const later = second.cloud.authority.nextRevision();
    await second.cloud.close();
    expect(given[1]).toBeGreaterThan(given[0] ?? 0);
    expect(later).toBeGreaterThan(given[1] ?? 0);
  });

  it("remembers site, pairings, versions, revocations, rotations, slots and phones, and no secret in plain text", async () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-cloud-"));
    folders.push(folder);
    const first = await startCloud({ stateDirectory: folder });
    PairedLock.pair(first.cloud, "lobby-lock");
    first.cloud.authority.revoke("bob");
    first.cloud.authority.rotateSticker("lobby-link");
    const issued = issueDailyCode(first.cloud.authority, { door: "lobby", person: "alice" });
    const phone = first.cloud.authority.registerPhone("alice-phone", "alice");
    if (!issued.ok || !phone.ok) throw new Error("expected a code and a phone");
    const before = first.cloud.authority.state;
    await first.cloud.close();

    const second = await startCloud({ stateDirectory: folder });
    expect(second.cloud.authority.state).toEqual(before);
    expect(second.cloud.authority.personOfToken(phone.value.token)).toBe("alice");
    await second.cloud.close();
    const written = readFileSync(join(folder, "cloud.sqlite"), "latin1");
    expect(written).not.toContain(issued.value.code);
    expect(written).not.toContain(phone.value.token);
  });
});
