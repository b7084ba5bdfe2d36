import { describe, expect, it } from "vitest";
import { acceptKeyset } from "../../../protocol/sync/keyset.ts";
import { parseTopic } from "../../../protocol/wire/topics.ts";
import { gateway, json, noon, PairedLock, plainEvent, siteText, startCloud, type TestCloud } from "./fixture.ts";

const acceptJson = { accept: "application/json" };

async function get(cloud: TestCloud, url: string, headers: Record<string, string> = acceptJson) {
  const answer = await cloud.http.inject({ method: "GET", url, headers });
  return { status: answer.statusCode, text: answer.body, headers: answer.headers, json: () => answer.json() };
}

async function post(cloud: TestCloud, url: string, payload?: unknown, headers: Record<string, string> = acceptJson) {
  const body = payload === undefined ? {} : { payload: payload as object };
  const answer = await cloud.http.inject({ method: "POST", url, headers, ...body });
  return { status: answer.statusCode, text: answer.body, headers: answer.headers, json: () => answer.json() };
}

function directoryPath(cloud: TestCloud, panel: string): string {
  const payload = cloud.authority.stickersOf(panel)?.current ?? "";
  return payload.slice(payload.indexOf("/L/"));
}

function publish(cloud: TestCloud, topic: string, message: unknown): void {
  const parsed = parseTopic(`dl/1/maple-court/${topic}`);
  if (parsed === undefined || !cloud.intake.receive(gateway, parsed, json(message)))
    throw new Error(`refused: ${topic}`);
}

/** A phone of this person, as the app: calls with its bearer token. */
async function phoneOf(cloud: TestCloud, person: string) {
  const registered = await post(cloud, "/bench/phones", { phone: `${person}-phone`, person });
  const headers = { ...acceptJson, authorization: `Bearer ${registered.json().token}` };
  return {
    calls: async (wait = 0) => (await get(cloud, `/app/calls?wait=${wait}`, headers)).json().calls,
    post: (path: string) => post(cloud, `/app/calls/${path}`, {}, headers),
    codes: async () => (await get(cloud, "/app/codes", headers)).json().codes,
  };
}

async function ring(cloud: TestCloud, panel = "lobby-link", resident = "alice"): Promise<string> {
  const called = await post(cloud, `${directoryPath(cloud, panel)}/call`, { resident });
  return called.json().call;
}

describe("the directory behind a sticker", () => {
  it("row 16: lists exactly the residents with a unit, a key to the paired door and Show in intercom", async () => {
    const { cloud } = await startCloud();
    const answer = await get(cloud, directoryPath(cloud, "lobby-link"));
    expect(answer.status).toBe(200);
    expect(answer.json()).toEqual({
      panel: "lobby-link",
      doorName: "Lobby",
      residents: [
        { id: "alice", name: "Alice Ames", unit: "1A" },
        { id: "bob", name: "Bob <i>Barker</i>", unit: "2B" },
      ],
    });
  });

  it.each([
    ["row 17: a unit", "nora-no-unit", "no-unit", "{id: nora-no-unit, ", "{id: nora-no-unit, unit: unit-1a, "],
    [
      "row 19: a key to the paired door",
      "ned-no-key",
      "no-key",
      "members: [alice, bob, ",
      "members: [alice, bob, ned-no-key, ",
    ],
    ["row 20: Show in intercom", "hana-hidden", "not-shown", "showInIntercom: false", "showInIntercom: true"],
  ])(
    "%s: is named while it is missing, and the resident is listed once they have it",
    async (_row, person, gap, before, after) => {
      const { cloud } = await startCloud();
      const explain = async () => {
        const { people } = (await get(cloud, "/api/panels/lobby-link/directory")).json();
        return people.find(({ id }: { id: string }) => id === person);
      };
      const listed = async () => {
        const { residents } = (await get(cloud, directoryPath(cloud, "lobby-link"))).json();
        return residents.some(({ id }: { id: string }) => id === person);
      };
      expect(await explain()).toMatchObject({
        listed: false,
        missing: [gap],
        // Row 18: with the way to mend it.
        remedies: [{ gap, text: expect.stringMatching(/^People > .+ > (Edit|Account settings): [a-z]/) }],
      });
      expect(await listed()).toBe(false);
      const changed = siteText.replace(before, after);
      const put = await cloud.http.inject({
        method: "PUT",
        url: "/api/site",
        headers: { "content-type": "application/yaml", "x-start": String(noon) },
        payload: changed,
      });
      expect(put.json()).toEqual({ site: "maple-court", doors: 3, people: 6, devices: 4 });
      expect(await explain()).toMatchObject({ listed: true, missing: [] });
      expect(await listed()).toBe(true);
    },
  );

  it("shows each person's three conditions at a panel to the manager", async () => {
    const { cloud } = await startCloud();
    const people = (await get(cloud, "/api/people?panel=lobby-link")).json();
    const intercom = Object.fromEntries(people.map((one: { id: string; intercom: object }) => [one.id, one.intercom]));
    expect(intercom).toMatchObject({
      alice: { unit: true, key: true, shown: true },
      "nora-no-unit": { unit: false, key: true, shown: true },
      "ned-no-key": { unit: true, key: false, shown: true },
      "hana-hidden": { unit: true, key: true, shown: false },
    });
    expect((await get(cloud, "/api/people?panel=no-link")).status).toBe(404);
  });

  it("is a page for people: escaped, self-contained, not cached, nothing foreign in it", async () => {
    const { cloud } = await startCloud();
    const page = await get(cloud, directoryPath(cloud, "lobby-link"), { accept: "text/html" });
    expect(page.status).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(page.text).toContain("Bob &#60;i&#62;Barker&#60;/i&#62;");
    expect(page.text).not.toContain("<i>Barker");
    expect(page.text).not.toMatch(/(src|href)="https?:/);
    expect(page.headers).toMatchObject({ "cache-control": "no-store", "referrer-policy": "no-referrer" });
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect(page.text).not.toContain("ned-no-key");
  });

  it("row 51: after a rotation the old sticker answers 410 with a page that names nobody, the new one opens", async () => {
    const { cloud } = await startCloud();
    const old = directoryPath(cloud, "lobby-link");
    const rotated = (await post(cloud, "/api/panels/lobby-link/rotate")).json();
    expect(rotated).toMatchObject({ panel: "lobby-link", rotation: 2 });
    expect(rotated.payload.endsWith(directoryPath(cloud, "lobby-link"))).toBe(true);
    const page = await get(cloud, old, { accept: "text/html" });
    expect(page.status).toBe(410);
    expect(page.text).toContain("no longer valid");
    expect(page.text).not.toMatch(/Alice|Lobby|Maple|1A/);
    expect((await get(cloud, old)).json()).toEqual({ code: "sticker-retired" });
    expect((await post(cloud, `${old}/call`, { resident: "alice" })).status).toBe(410);
    expect((await get(cloud, directoryPath(cloud, "lobby-link"))).status).toBe(200);
  });

  it("row 8: a token that this site never minted answers 404 and tells nothing", async () => {
    const { cloud } = await startCloud();
    const current = directoryPath(cloud, "lobby-link");
    const altered = current.slice(0, -1) + (current.endsWith("0") ? "1" : "0");
    for (const path of [altered, "/L/AAAA", `/L/${"0".repeat(24)}`, "/L/%00%ff", `/L/${"A".repeat(190)}`]) {
      const page = await get(cloud, path, { accept: "text/html" });
      expect([path, page.status]).toEqual([path, path.includes("%ff") ? 400 : 404]);
      expect(page.text).not.toMatch(/Alice|Lobby|Maple/);
    }
  });
});

describe("calls", () => {
  it("row 30: locks assigned to a door are counted, and those on which a doorcode can work are named", async () => {
    const { cloud } = await startCloud();
    const doors = async () => (await get(cloud, "/api/doors")).json();
    const assigned = [{ device: "lobby-lock", model: "C2", state: "active" }];
    expect((await doors())[0]).toMatchObject({ id: "lobby", locks: assigned, doorcodeLocks: [] });
    PairedLock.pair(cloud, "lobby-lock");
    expect((await doors())[0]).toMatchObject({ id: "lobby", locks: assigned, doorcodeLocks: ["lobby-lock"] });
  });

  it("go from the button to the code on the visitor's page", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const phone = await phoneOf(cloud, "alice");
    const call = await ring(cloud);
    expect((await get(cloud, `/calls/${call}`)).json()).toEqual({ state: "ringing" });
    expect(await phone.calls()).toEqual([
      { call, panel: "lobby-link", doorName: "Lobby", visitor: "Visitor at Lobby" },
    ]);
    expect((await phone.post(`${call}/answer`)).json()).toEqual({ options: ["generate-doorcode"], missing: [] });
    expect((await get(cloud, `/calls/${call}`)).json()).toEqual({ state: "answered" });
    expect(await phone.calls()).toEqual([]);
    const given = (await phone.post(`${call}/doorcode`)).json();
    expect(given).toEqual({ code: expect.stringMatching(/^[0-9]{7}$/), door: "lobby", validOn: "2026-12-24" });
    expect((await get(cloud, `/calls/${call}`)).json()).toEqual({ state: "code", ...given, doorName: "Lobby" });
    const page = await get(cloud, `/calls/${call}`, { accept: "text/html" });
    for (const digit of given.code) expect(page.text).toContain(`<span>${digit}</span>`);
    expect(page.text).toContain("Valid today only");
  });

  it("row 31: a door with no lock in service offers no code, refuses one, and the visitor learns why", async () => {
    const { cloud } = await startCloud();
    PairedLock.pair(cloud, "roof-lock");
    const phone = await phoneOf(cloud, "alice");
    const call = await ring(cloud, "roof-link");
    expect((await phone.post(`${call}/answer`)).json()).toMatchObject({
      options: [],
      missing: [{ option: "generate-doorcode", reason: "NO_ACTIVE_DEVICE" }],
    });
    const refused = await phone.post(`${call}/doorcode`);
    expect([refused.status, refused.json()]).toEqual([409, { code: "NO_ACTIVE_DEVICE" }]);
    expect((await get(cloud, `/calls/${call}`)).json()).toEqual({ state: "failed", reason: "NO_ACTIVE_DEVICE" });
    const another = await ring(cloud, "roof-link");
    await phone.post(`${another}/answer`);
    await phone.post(`${another}/decline`);
    expect((await get(cloud, `/calls/${another}`)).json()).toEqual({ state: "failed", reason: "NO_ACTIVE_DEVICE" });
    const roof = (await get(cloud, "/api/doors")).json().find(({ id }: { id: string }) => id === "roof");
    // Assigned and active are two things: the lock is there, and it is not in service.
    expect(roof).toMatchObject({ locks: [{ device: "roof-lock", state: "assigned" }], doorcodeLocks: [] });
  });

  it("rings nobody who is not listed, and nobody's phone but the resident's", async () => {
    const { cloud } = await startCloud();
    for (const resident of ["ned-no-key", "hana-hidden", "nobody"]) {
      const called = await post(cloud, `${directoryPath(cloud, "lobby-link")}/call`, { resident });
      expect([called.status, called.json().code]).toEqual([404, "not-listed"]);
    }
    const alice = await phoneOf(cloud, "alice");
    const bob = await phoneOf(cloud, "bob");
    const call = await ring(cloud);
    expect(await bob.calls()).toEqual([]);
    expect((await bob.post(`${call}/answer`)).status).toBe(404);
    expect(await alice.calls()).toHaveLength(1);
  });

  it("ends a call without a phone, without an answer, by a refusal, and each at once for the visitor", async () => {
    const { cloud, clock } = await startCloud();
    const stateOf = async (call: string) => (await get(cloud, `/calls/${call}`)).json();
    expect(await stateOf(await ring(cloud))).toEqual({ state: "failed", reason: "no-phone" });
    const phone = await phoneOf(cloud, "alice");
    const unanswered = await ring(cloud);
    clock.advance(60_000);
    expect(await stateOf(unanswered)).toEqual({ state: "failed", reason: "no-answer" });
    expect((await phone.post(`${unanswered}/answer`)).json()).toMatchObject({
      code: "call-not-in-state",
      came: "failed",
    });
    const declined = await ring(cloud);
    await phone.post(`${declined}/decline`);
    expect(await stateOf(declined)).toEqual({ state: "refused", reason: "declined" });
    expect((await phone.post(`${declined}/doorcode`)).status).toBe(409);
    const silent = await ring(cloud);
    await phone.post(`${silent}/answer`);
    clock.advance(180_000);
    expect(await stateOf(silent)).toEqual({ state: "failed", reason: "no-code-in-time" });
  });

  it("row 36: shows the code no more when its day is over", async () => {
    const { cloud, clock } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const phone = await phoneOf(cloud, "alice");
    const call = await ring(cloud);
    await phone.post(`${call}/answer`);
    const { code } = (await phone.post(`${call}/doorcode`)).json();
    clock.advance(12 * 3_600_000 - 1);
    expect((await get(cloud, `/calls/${call}`)).json()).toMatchObject({ code });
    clock.advance(1);
    expect((await get(cloud, `/calls/${call}`)).json()).toEqual({ state: "code", expired: true });
    expect((await get(cloud, `/calls/${call}`, { accept: "text/html" })).text).toContain("expired");
  });

  it("holds a phone's question until it rings or the time is over", async () => {
    const { cloud, clock } = await startCloud();
    const phone = await phoneOf(cloud, "alice");
    const asked = phone.calls(25);
    // The question is inside when a health check that came after it is answered.
    await get(cloud, "/healthz");
    const call = await ring(cloud);
    expect(await asked).toMatchObject([{ call }]);
    await phone.post(`${call}/decline`);
    const inVain = phone.calls(25);
    await get(cloud, "/healthz");
    clock.advance(25_000);
    expect(await inVain).toEqual([]);
  });

  it("lets a browser without scripts call: a form is answered with the way to the call", async () => {
    const { cloud } = await startCloud();
    const answer = await cloud.http.inject({
      method: "POST",
      url: `${directoryPath(cloud, "lobby-link")}/call`,
      headers: { "content-type": "application/x-www-form-urlencoded", accept: "text/html" },
      payload: "resident=alice",
    });
    expect(answer.statusCode).toBe(303);
    expect(answer.headers.location).toMatch(/^\/calls\/[0-9a-f]{32}$/);
  });

  it("limits the calls of one panel", async () => {
    const { cloud, clock } = await startCloud();
    const path = `${directoryPath(cloud, "lobby-link")}/call`;
    for (let count = 0; count < 30; count++) expect((await post(cloud, path, { resident: "alice" })).status).toBe(200);
    expect((await post(cloud, path, { resident: "alice" })).status).toBe(429);
    clock.advance(60_000);
    expect((await post(cloud, path, { resident: "alice" })).status).toBe(200);
  });

  it("gives a resident's own permanent codes to their phone alone, and none when they are revoked", async () => {
    const { cloud } = await startCloud();
    const phone = await phoneOf(cloud, "alice");
    expect(await phone.codes()).toEqual([{ doors: ["lobby"], code: "4815162" }]);
    expect((await get(cloud, "/app/codes")).status).toBe(401);
    expect((await get(cloud, "/app/calls", { authorization: "Bearer wrong" })).status).toBe(401);
    await post(cloud, "/api/people/alice/revoke", {});
    expect(await phone.codes()).toEqual([]);
  });
});

describe("the manager's API", () => {
  it("row 131: shows health and firmware of every device with its age, and unknown as unknown", async () => {
    const { cloud, clock } = await startCloud();
    const version = (text: string) => ({ version: text, at: noon });
    const health = {
      v: 1,
      battery: null,
      firmwareVerdict: null,
      clock: null,
      uptimeSeconds: null,
      bootCount: null,
      lastSyncAt: null,
      at: noon,
    };
    publish(cloud, "gate-r29/birth", {
      v: 1,
      device: "gate-r29",
      model: "R29",
      via: gateway,
      bootCount: 3,
      firmware: "29.30.10.711",
      hardware: null,
    });
    publish(cloud, "gate-r29/health", {
      ...health,
      device: "gate-r29",
      firmware: version("29.30.10.712"),
      firmwareVerdict: "ok",
    });
    publish(cloud, "gate-r29/state", { v: 1, device: "gate-r29", online: true, heardAt: noon });
    const battery = { millivolts: 5600, percent: 71, at: noon - 300 };
    publish(cloud, "lobby-lock/health", {
      ...health,
      device: "lobby-lock",
      battery,
      firmware: version("1.2.3"),
      lastSyncAt: noon - 300,
    });
    clock.advance(90_000);
    const rows = (await get(cloud, "/api/devices")).json();
    const row = (device: string) => rows.find((one: { device: string }) => one.device === device);
    expect(row("gate-r29")).toMatchObject({
      via: gateway,
      online: true,
      heardAgeSeconds: 90,
      bootCount: 3,
      firmware: {
        version: "29.30.10.712",
        verdict: "ok",
        floor: "29.30.10.712",
        reportedVerdict: "ok",
        ageSeconds: 90,
      },
      health: { ageSeconds: 90 },
      battery: null,
      sync: null,
    });
    expect(row("lobby-lock")).toMatchObject({
      firmware: { version: "1.2.3", verdict: "no floor known" },
      battery: { millivolts: 5600, percent: 71, ageSeconds: 390 },
      online: null,
      lastSyncAt: noon - 300,
    });
    expect(row("garage-lock")).toMatchObject({
      online: null,
      health: null,
      firmware: { version: null, ageSeconds: null },
    });
    expect(row("lobby-link")).toMatchObject({
      firmware: { verdict: "not applicable" },
      sticker: { rotation: 1, openedAt: null },
    });
    expect(row(gateway)).toMatchObject({ health: null });
    // The gateway's last will: it is gone, and what was known of the others keeps its age.
    publish(cloud, `${gateway}/state`, { v: 1, device: gateway, online: false, heardAt: null });
    const after = (await get(cloud, "/api/devices")).json();
    expect(after.find((one: { device: string }) => one.device === gateway)).toMatchObject({
      online: false,
      heardAt: null,
    });
    expect(after.find((one: { device: string }) => one.device === "gate-r29")).toMatchObject({ online: true });
  });

  it("row 131: judges firmware by itself: below its floor, not comparable, unknown", async () => {
    const { cloud } = await startCloud();
    const birth = { v: 1, device: "gate-r29", model: "R29", via: gateway, bootCount: 1, hardware: null };
    const verdictOf = async (firmware: string | null) => {
      publish(cloud, "gate-r29/birth", { ...birth, firmware });
      const rows = (await get(cloud, "/api/devices")).json();
      return rows.find((one: { device: string }) => one.device === "gate-r29").firmware.verdict;
    };
    expect(await verdictOf(null)).toBe("unknown");
    expect(await verdictOf("29.30.10.711")).toBe("below floor");
    expect(await verdictOf("320.30.12.16")).toBe("not comparable");
    expect(await verdictOf("29.30.10.712")).toBe("ok");
  });

  it("shows an exposure until the lock itself reports the version that ends it", async () => {
    const { cloud, clock } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    publish(cloud, "lobby-lock/reported", lock.report(1));
    clock.advance(10_000);
    expect((await post(cloud, "/api/people/bob/revoke", {})).json()).toMatchObject({ person: "bob", since: noon + 10 });
    clock.advance(5_000);
    const holds = { epoch: 1, version: 1 };
    publish(cloud, `${gateway}/reported`, {
      v: 1,
      gateway,
      at: noon + 12,
      exposures: [{ device: "lobby-lock", person: "bob", since: noon + 10, holds }],
    });
    const view = (await get(cloud, "/api/exposure")).json();
    expect(view.exposures).toEqual([
      { gateway, device: "lobby-lock", person: "bob", since: noon + 10, what: "revoked", holds },
    ]);
    expect(view.reckoned).toEqual([
      {
        device: "lobby-lock",
        person: "bob",
        name: "Bob <i>Barker</i>",
        what: "revoked",
        since: noon + 10,
        ageSeconds: 5,
        holds,
        endsWith: { epoch: 1, version: 2 },
        certificatesEnd: null,
      },
    ]);
    const sync = async () => (await get(cloud, "/api/devices")).json()[0].sync;
    expect(await sync()).toMatchObject({
      state: "pending",
      desired: { version: 2 },
      reported: { version: 1, ageSeconds: 15 },
    });
    publish(cloud, "lobby-lock/reported", lock.report(2));
    expect((await get(cloud, "/api/exposure")).json().reckoned).toEqual([]);
    expect(await sync()).toMatchObject({ state: "in-sync" });
  });

  it("shows the record, and what was refused", async () => {
    const { cloud } = await startCloud();
    const lock = PairedLock.pair(cloud, "lobby-lock");
    publish(cloud, "gate-r29/event", { v: 1, device: "gate-r29", events: [plainEvent(1), plainEvent(3)] });
    publish(cloud, "lobby-lock/event", { v: 1, device: "lobby-lock", events: [lock.log({ kind: "boot" })] });
    publish(cloud, "lobby-lock/reported", lock.report(1));
    const refused = parseTopic("dl/1/maple-court/gate-r29/event");
    if (refused !== undefined) cloud.intake.receive(gateway, refused, json({ code: "1234567" }));
    expect((await get(cloud, "/api/record/summary")).json()).toEqual({
      events: 3,
      duplicates: 0,
      redelivered: 0,
      conflicting: 0,
      gaps: 1,
      refused: 1,
      devices: [
        {
          device: "gate-r29",
          events: 2,
          first: 1,
          last: 3,
          boots: 1,
          gaps: 1,
          chainChecked: null,
          chainBrokenAt: null,
          chainUnchecked: null,
        },
        {
          device: "lobby-lock",
          events: 1,
          first: 1,
          last: 1,
          boots: 1,
          gaps: 0,
          chainChecked: 1,
          chainBrokenAt: null,
          chainUnchecked: 0,
        },
      ],
    });
    const { events } = (await get(cloud, "/api/record/events?device=gate-r29&after=1")).json();
    expect(events).toMatchObject([
      { device: "gate-r29", boot: 1, sequence: 3, kind: "access-granted", person: "alice" },
    ]);
    expect((await get(cloud, "/api/record/events?after=x")).status).toBe(422);
    cloud.authority.revoke("bob");
    const late = lock.log({ kind: "access-granted", credential: "bob-app" });
    publish(cloud, "lobby-lock/event", { v: 1, device: "lobby-lock", events: [late] });
    const grants = (await get(cloud, "/api/record/events?device=lobby-lock&kind=access-granted")).json();
    expect(grants.events).toMatchObject([{ authorityWarnings: ["REVOKED_NOT_SYNCED", "POLICY_STALE"] }]);
    const refusals = await get(cloud, "/api/record/refusals");
    expect(refusals.json().refusals).toMatchObject([{ code: "payload-bad-shape", from: gateway }]);
    expect(refusals.text).not.toContain("1234567");
  });

  it("answers this machine alone, also when it listens for phones", async () => {
    const { cloud } = await startCloud();
    const fromPhone = async (url: string, headers = {}) =>
      (await cloud.http.inject({ url, headers, remoteAddress: "192.168.1.20" })).statusCode;
    expect(await fromPhone("/api/devices")).toBe(403);
    expect(await fromPhone("/world/link")).toBe(403);
    expect(await fromPhone(directoryPath(cloud, "lobby-link"))).toBe(200);
    const foreign = await cloud.http.inject({
      method: "POST",
      url: "/api/people/bob/revoke",
      headers: { "sec-fetch-site": "cross-site", "content-type": "text/plain" },
      payload: "x",
    });
    expect(foreign.statusCode).toBe(403);
    expect(cloud.authority.state.revokedSince).toEqual({});
  });
});

describe("the bench", () => {
  it("names every mistake of a site file with its line, and takes nothing of it", async () => {
    const { cloud } = await startCloud();
    const put = async (payload: string | object, headers: Record<string, string>) =>
      cloud.http.inject({ method: "PUT", url: "/api/site", headers, payload });
    const yaml = { "content-type": "application/yaml", "x-start": String(noon) };
    const wrong = siteText.replace("door: garage, serial: M2-0001", "door: nowhere, serial: M2-0001");
    const answer = await put(wrong, yaml);
    expect(answer.statusCode).toBe(422);
    expect(answer.json().mistakes).toMatchObject([{ line: 10, path: "devices[1].door" }]);
    expect((await put("site: [", yaml)).statusCode).toBe(422);
    expect((await put(siteText, { "content-type": "application/yaml" })).json().mistakes[0].expected).toContain(
      "x-start",
    );
    expect((await put({}, { ...yaml, "content-type": "application/json" })).statusCode).toBe(422);
    expect((await put(siteText.replace("id: maple-court", "id: oak-court"), yaml)).statusCode).toBe(409);
    expect(cloud.authority.site?.id).toBe("maple-court");
  });

  it("pairs, enrols and registers, and answers what does not fit with what was expected", async () => {
    const { cloud } = await startCloud();
    const staticPublicKey = Buffer.from(new Uint8Array(32).fill(9)).toString("base64");
    const address = "C0:FF:EE:00:00:02";
    const paired = (await post(cloud, "/bench/pair", { device: "lobby-lock", staticPublicKey, address })).json();
    const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
    const offered = { bytes: bytesOf(paired.keyset.bytes), signature: bytesOf(paired.keyset.signature) };
    const accepted = acceptKeyset(bytesOf(paired.root), undefined, offered, noon);
    expect(accepted).toMatchObject({ ok: true, value: { keyset: { epoch: 1 } } });
    expect(Buffer.from(paired.pairingId, "base64")).toHaveLength(16);
    expect(paired).toMatchObject({ dailyKeys: [{ door: "lobby" }], keyEpoch: 1 });
    const enrolled = (await post(cloud, "/bench/enrol", { device: "gate-r29" })).json();
    expect(enrolled).toMatchObject({ mqttPassword: expect.stringMatching(/^[0-9a-f]{64}$/), dailyKeys: [] });
    const status = async (path: string, body: object) => {
      const answer = await post(cloud, path, body);
      return [answer.status, answer.json().code];
    };
    expect(await status("/bench/pair", { device: "nope", staticPublicKey, address })).toEqual([404, "no-such-device"]);
    expect(await status("/bench/pair", { device: "gate-r29", staticPublicKey, address })).toEqual([
      409,
      "not-a-ble-lock",
    ]);
    expect(await status("/bench/pair", { device: "lobby-lock", staticPublicKey: "AAAA", address })).toEqual([
      422,
      "bad-input",
    ]);
    expect(await status("/bench/enrol", { device: "lobby-lock" })).toEqual([409, "not-a-networked-device"]);
    expect(await status("/bench/gateways", { gateway: "lobby-lock", password: "x".repeat(20) })).toEqual([
      422,
      "bad-input",
    ]);
    expect(await status("/bench/gateways", { gateway: "gateway-b", password: "short" })).toEqual([422, "bad-input"]);
    expect(await status("/bench/phones", { phone: "p1", person: "nobody" })).toEqual([404, "no-such-person"]);
  });

  it("answers broken requests with a status and a code", async () => {
    const { cloud } = await startCloud();
    const send = async (payload: string, type: string) => {
      const headers = { "content-type": type };
      const answer = await cloud.http.inject({ method: "POST", url: "/bench/pair", headers, payload });
      return [answer.statusCode, answer.json().code];
    };
    expect(await send("{no", "application/json")).toEqual([400, "body-not-json"]);
    expect(await send("x", "image/png")).toEqual([415, "unsupported-media-type"]);
    expect(await send("x".repeat(9 * 1024 * 1024), "text/plain")).toEqual([413, "body-too-large"]);
    expect((await get(cloud, "/no/such/route")).status).toBe(404);
    expect((await post(cloud, "/L/x/open")).status).toBe(404);
  });

  it("cuts and restores the link upstream", async () => {
    const { cloud } = await startCloud();
    expect((await cloud.broker.listen(0)).ok).toBe(true);
    expect((await get(cloud, "/world/link")).json()).toEqual({ up: true });
    expect((await post(cloud, "/world/link", { up: false })).json()).toEqual({ up: false });
    expect((await get(cloud, "/healthz")).json()).toEqual({ ok: true, site: "maple-court", link: false });
    expect((await post(cloud, "/world/link", { up: true })).json()).toEqual({ up: true });
    expect((await post(cloud, "/world/link", {})).status).toBe(422);
    await cloud.close();
  });
});
