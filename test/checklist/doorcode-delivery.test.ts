/** Rows 32, 33, 38 and 80-82: what a call screen offers, and doorcodes that travel by e-mail or text message and are issued again. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { AppAccount } from "../../emulator/people/app-account.ts";
import { ResidentPhone } from "../../emulator/people/resident-phone.ts";
import { realClock } from "../../emulator/world/clock.ts";
import { seededRandom } from "../../emulator/world/random.ts";
import { readSiteFile } from "../../emulator/world/site-file.ts";
import { remedyOf } from "../../protocol/access/remedies.ts";
import { appKnows, appMinimumByCapability, callScreen, callScreenAsShown } from "../../protocol/site/call-screen.ts";
import { noon, PairedLock, siteText, startCloud, type TestCloud } from "../emulator/cloud/fixture.ts";
import { LockBench, START } from "../emulator/device/lock-bench.ts";

const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

type Headers = Record<string, string>;
const json = { accept: "application/json" };

async function ask(cloud: TestCloud, method: "GET" | "POST", url: string, payload?: object, headers: Headers = {}) {
  const body = payload === undefined ? {} : { payload };
  const answer = await cloud.http.inject({ method, url, headers: { ...json, ...headers }, ...body });
  return { status: answer.statusCode, text: answer.body, json: answer.json() };
}

async function bearerOf(cloud: TestCloud, person: string): Promise<Headers> {
  const { token } = (await ask(cloud, "POST", "/bench/phones", { phone: `${person}-phone`, person })).json;
  return { authorization: `Bearer ${token}` };
}

async function ring(cloud: TestCloud, resident = "alice"): Promise<string> {
  const payload = cloud.authority.stickersOf("lobby-link")?.current ?? "";
  const path = payload.slice(payload.indexOf("/L/"));
  return (await ask(cloud, "POST", `${path}/call`, { resident })).json.call;
}

/** A cloud whose lobby has a lock in service. */
async function cloudWithLock(order: Parameters<typeof startCloud>[0] = {}) {
  const { cloud, clock } = await startCloud(order);
  ends.push(() => cloud.close());
  PairedLock.pair(cloud, "lobby-lock");
  return { cloud, clock };
}

describe("row 32: the app is up to date", () => {
  const facts = {
    doorName: "Lobby",
    resident: { name: "Alice Ames", email: "alice@maple.example" },
    doorcodeLocks: 1,
    appVersion: "5.4.0",
  };

  it.each([
    ["5.1.9", false],
    ["5.2.0", true],
    ["5.10.0", true],
    ["4.99.99", false],
    [undefined, undefined],
    ["beta", undefined],
    ["5.2", undefined],
  ])("[N9] row 32: an app of version %s knows doorcodes: %s", (appVersion, knows) => {
    expect(appKnows("generate-doorcode", appVersion)).toBe(knows);
    // What is not known to be old is not called old.
    expect(callScreen({ ...facts, appVersion }).options).toEqual(knows === false ? [] : ["generate-doorcode"]);
  });

  it("row 32: every capability has its version, where it comes from and when", () => {
    for (const { version, source, setOn } of Object.values(appMinimumByCapability)) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
      expect([source.length > 20, /^\d{4}-\d{2}$/.test(setOn)]).toEqual([true, true]);
    }
  });

  it("[N9] row 32: the door comes before the app, as S0 asks", () => {
    const { missing } = callScreen({ ...facts, doorcodeLocks: 0, appVersion: "5.0.0" });
    expect(missing.map(({ reason }) => reason)).toEqual(["NO_ACTIVE_DEVICE", "APP_TOO_OLD"]);
  });

  it("row 32: below its version the app gets no option and no code, and the visitor and the manager learn why", async () => {
    const { cloud } = await cloudWithLock();
    const headers = { ...(await bearerOf(cloud, "alice")), "x-app-version": "5.1.0" };
    const call = await ring(cloud);
    const screen = (await ask(cloud, "POST", `/app/calls/${call}/answer`, {}, headers)).json;
    expect(screen).toMatchObject({
      options: [],
      missing: [{ reason: "APP_TOO_OLD", minimum: { version: "5.2.0" } }],
    });
    expect(screen.missing[0].remedy).toMatch(/Alice Ames updates the app: it is 5\.1\.0, .* 5\.2\.0/);
    const refused = await ask(cloud, "POST", `/app/calls/${call}/doorcode`, {}, headers);
    expect([refused.status, refused.json]).toEqual([409, { code: "APP_TOO_OLD" }]);
    expect((await ask(cloud, "GET", `/calls/${call}`)).json).toEqual({ state: "failed", reason: "APP_TOO_OLD" });
    const { calls } = (await ask(cloud, "GET", "/api/calls")).json;
    expect(calls[0]).toMatchObject({ reason: "APP_TOO_OLD", appVersion: "5.1.0", missing: screen.missing });
    // The same call from an app that is up to date.
    const another = await ring(cloud);
    const updated = { ...headers, "x-app-version": "5.2.0" };
    expect((await ask(cloud, "POST", `/app/calls/${another}/answer`, {}, updated)).json.options).toEqual([
      "generate-doorcode",
    ]);
    expect((await ask(cloud, "POST", `/app/calls/${another}/doorcode`, {}, updated)).status).toBe(200);
  });

  it("row 33: where everything holds and the option does not appear, support is asked, with what S0 wants to know", () => {
    expect(callScreenAsShown(facts, ["generate-doorcode"])).toEqual({ options: ["generate-doorcode"], missing: [] });
    const [lost] = callScreenAsShown(facts, []).missing;
    expect(lost).toMatchObject({ reason: "UNEXPLAINED", escalation: { to: "support@door.com" } });
    const include = Object.fromEntries((lost?.escalation?.include ?? []).map(({ what, value }) => [what, value]));
    expect(include).toEqual({
      "the door name in DOOR OS": "Lobby",
      "the resident's email": "alice@maple.example",
      "the version of the app": "5.4.0",
      "a description of what happens when the QR code is scanned": null,
    });
    // Where something is missing it is that, and nobody is sent to support.
    const old = callScreenAsShown({ ...facts, appVersion: "5.0.0" }, []).missing;
    expect(old.map(({ reason }) => reason)).toEqual(["APP_TOO_OLD"]);
  });
});

describe("an emulated phone at a real cloud", () => {
  async function answerWith(app: { version: string; hiddenOptions: readonly "generate-doorcode"[] }) {
    const { cloud } = await cloudWithLock();
    const cloudUrl = await cloud.http.listen({ host: "127.0.0.1", port: 0 });
    const phone = new ResidentPhone({
      phone: {
        id: "alice-phone",
        person: "alice",
        model: "Pixel 8",
        os: "Android 15",
        app: { installed: true, notifications: true, ...app },
        doNotDisturb: false,
      },
      account: new AppAccount({
        phone: "alice-phone",
        person: "alice",
        cloudUrl,
        clock: realClock,
        randomFor: (name) => seededRandom(1, name),
        signal: new AbortController().signal,
      }),
      random: seededRandom(1, "phone"),
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      onChange: () => undefined,
      log: () => undefined,
    });
    phone.start();
    ends.push(() => phone.stop());
    const giveUpAt = performance.now() + 10_000;
    const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await holds())) {
        if (performance.now() > giveUpAt) throw new Error("waited 10 s in vain");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await until(() => cloud.authority.phonesOf("alice") > 0);
    const call = await ring(cloud);
    const look = async () => (await ask(cloud, "GET", `/calls/${call}`)).json;
    await until(async () => ["code", "failed", "refused"].includes((await look()).state));
    return { ended: await look(), manager: await ask(cloud, "GET", "/api/calls"), call, last: phone.state.last };
  }

  it("row 32: reports its version, and an old one ends the call with APP_TOO_OLD", async () => {
    const { ended, manager, last } = await answerWith({ version: "5.1.0", hiddenOptions: [] });
    expect([ended, last]).toEqual([{ state: "failed", reason: "APP_TOO_OLD" }, "no-doorcode-offered"]);
    expect(manager.json.calls[0]).toMatchObject({ appVersion: "5.1.0" });
  });

  it("row 33: whose option does not appear ends the call as not shown, and the manager has the way to support", async () => {
    const { ended, manager, call } = await answerWith({ version: "5.4.0", hiddenOptions: ["generate-doorcode"] });
    expect(ended).toEqual({ state: "failed", reason: "OPTION_NOT_SHOWN" });
    expect(manager.json.calls[0].missing).toMatchObject([
      { reason: "UNEXPLAINED", escalation: { to: "support@door.com" } },
    ]);
    expect(manager.text).not.toContain(call);
  });

  it("row 33: and with the option it ends with a code, which the manager's list does not have", async () => {
    const { ended, manager } = await answerWith({ version: "5.4.0", hiddenOptions: [] });
    expect(ended.state).toBe("code");
    expect(manager.text).not.toContain(ended.code);
  });
});

const siteWithManager = siteText
  .replace(
    "accessGroups:\n",
    "  - {id: mia, name: Mia Manager, email: mia@maple.example, role: MANAGER}\naccessGroups:\n",
  )
  .replace("members: [alice, bob, ", "members: [mia, alice, bob, ");

const aunt = { kind: "email", to: "Aunt.May@example.org" };
const plumber = { kind: "sms", to: "+1 555 010042" };

async function mailbox(cloud: TestCloud, where: typeof aunt): Promise<readonly { text: string; delivery: string }[]> {
  return (await ask(cloud, "POST", "/bench/mailbox", where)).json.messages;
}

/** The digits in the last message there. */
async function receivedCode(cloud: TestCloud, where: typeof aunt): Promise<string> {
  const text = (await mailbox(cloud, where)).at(-1)?.text ?? "";
  const code = /: ([0-9]{7})\. /.exec(text)?.[1];
  if (code === undefined) throw new Error("no code arrived");
  return code;
}

describe("a doorcode by message", () => {
  it("row 80: the manager and whoever lives behind the door issue one, nobody else", async () => {
    const { cloud } = await cloudWithLock({ site: siteWithManager });
    const issue = (issuer: string, door = "lobby") =>
      ask(cloud, "POST", "/api/doorcodes", { issuer, door, deliver: aunt }).then(({ status, json: body }) => [
        status,
        body.code ?? body.status,
      ]);
    expect(await issue("mia")).toEqual([200, "pending"]);
    expect(await issue("alice")).toEqual([200, "pending"]);
    // A resident of the house without a key to this door, somebody who works there, and somebody nobody knows.
    expect(await issue("ned-no-key")).toEqual([403, "NO_ACCESS"]);
    expect(await issue("carl")).toEqual([403, "ROLE_MAY_NOT_ISSUE"]);
    expect(await issue("nobody")).toEqual([404, "no-such-person"]);
    expect(await issue("alice", "roof")).toEqual([409, "NO_ACTIVE_DEVICE"]);
    // From the app: in one's own name, whatever the body says.
    const bob = await bearerOf(cloud, "bob");
    const sent = await ask(cloud, "POST", "/app/doorcodes", { door: "lobby", deliver: plumber }, bob);
    expect([sent.status, sent.json.issuer]).toEqual([200, "bob"]);
    const asAlice = { issuer: "alice", door: "lobby", deliver: plumber };
    expect((await ask(cloud, "POST", "/app/doorcodes", asAlice, bob)).status).toBe(422);
    expect((await ask(cloud, "POST", "/app/doorcodes", { door: "lobby", deliver: plumber })).status).toBe(401);
    await ask(cloud, "POST", "/api/people/bob/revoke", {});
    const revoked = await ask(cloud, "POST", "/app/doorcodes", { door: "lobby", deliver: plumber }, bob);
    expect([401, 403]).toContain(revoked.status);
  });

  it("row 81: by e-mail and by text message, with the state of the delivery", async () => {
    const { cloud, clock } = await cloudWithLock();
    const bearer = await bearerOf(cloud, "alice");
    for (const deliver of [aunt, plumber]) {
      const { delivery } = (await ask(cloud, "POST", "/app/doorcodes", { door: "lobby", deliver }, bearer)).json;
      const status = async () => (await ask(cloud, "GET", `/app/doorcodes/${delivery}`, undefined, bearer)).json.status;
      expect([await status(), await mailbox(cloud, deliver)]).toEqual(["pending", []]);
      clock.advance(200);
      expect(await status()).toBe("delivered");
      const [message] = await mailbox(cloud, deliver);
      expect(message?.text).toMatch(
        /^Alice Ames sends you a doorcode for Lobby at Maple Court: [0-9]{7}\. It opens once, on 2026-12-24 only\.$/,
      );
      // Somebody else's delivery is none of theirs.
      const bob = await bearerOf(cloud, "bob");
      expect((await ask(cloud, "GET", `/app/doorcodes/${delivery}`, undefined, bob)).status).toBe(404);
    }
  });

  it("row 81: one that bounces and one that is stuck say so, by the seed", async () => {
    const fates = async () => {
      const { cloud, clock } = await cloudWithLock();
      await ask(cloud, "POST", "/bench/outbox", { bouncePercent: 30, stuckPercent: 30, delayMs: 1_000 });
      for (let count = 0; count < 20; count++) {
        await ask(cloud, "POST", "/api/doorcodes", { issuer: "alice", door: "lobby", deliver: aunt });
      }
      const states = async (): Promise<readonly string[]> =>
        (await ask(cloud, "GET", "/api/doorcodes")).json.deliveries.map((one: { status: string }) => one.status);
      clock.advance(999);
      expect(new Set(await states())).toEqual(new Set(["pending"]));
      clock.advance(1);
      const soon = await states();
      clock.advance(15 * 60_000);
      const { deliveries } = (await ask(cloud, "GET", "/api/doorcodes")).json;
      const whys = deliveries.map((one: { why: string | null }) => one.why);
      expect(await mailbox(cloud, aunt)).toHaveLength(whys.filter((why: string | null) => why === null).length);
      return { soon, whys };
    };
    const [first, second] = [await fates(), await fates()];
    expect(second).toEqual(first);
    expect(new Set(first.soon)).toEqual(new Set(["delivered", "bounced", "pending"]));
    expect(new Set(first.whys)).toEqual(new Set([null, "refused-by-recipient", "not-delivered-in-time"]));
  });

  it("row 82: to anybody; what is no address uses up no code", async () => {
    const { cloud } = await cloudWithLock();
    for (const to of ["not an address", "", "a@b", "12"]) {
      for (const kind of ["email", "sms"]) {
        const body = { issuer: "alice", door: "lobby", deliver: { kind, to } };
        expect((await ask(cloud, "POST", "/api/doorcodes", body)).status).toBe(422);
      }
    }
    expect(cloud.authority.state.allotments).toEqual([]);
    const people = JSON.stringify(cloud.authority.site?.people);
    expect(people).not.toContain(aunt.to);
    const sent = await ask(cloud, "POST", "/api/doorcodes", { issuer: "alice", door: "lobby", deliver: aunt });
    expect(sent.status).toBe(200);
  });

  it("[C12] row 82: the audit names the issuer and a redacted recipient; the code is in no answer, log or record", async () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-delivery-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const lines: string[] = [];
    const log = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
    const { cloud, clock } = await cloudWithLock({ stateDirectory: folder, log });
    const answers: string[] = [];
    for (const deliver of [aunt, plumber]) {
      const body = { issuer: "alice", door: "lobby", mode: "all-day", deliver };
      const sent = await ask(cloud, "POST", "/api/doorcodes", body);
      clock.advance(1_000);
      const seen = await ask(cloud, "GET", `/api/doorcodes/${sent.json.delivery}`);
      answers.push(sent.text, seen.text);
    }
    const audit = await ask(cloud, "GET", "/api/doorcodes");
    expect(audit.json.deliveries).toMatchObject([
      { issuer: "alice", door: "lobby", mode: "all-day", recipient: "A***@example.org", status: "delivered" },
      { issuer: "alice", door: "lobby", mode: "all-day", recipient: "***42", status: "delivered" },
    ]);
    const logged = lines.join("");
    expect(logged).toContain('"issuer":"alice"');
    const written = ["cloud.sqlite", "cloud.sqlite-wal"].map((name) => readIfThere(join(folder, name))).join();
    expect(written).toContain("A***@example.org");
    const secrets = [aunt.to, plumber.to, await receivedCode(cloud, aunt), await receivedCode(cloud, plumber)];
    for (const place of [...answers, audit.text, logged, written]) {
      for (const secret of secrets) expect(place.includes(secret)).toBe(false);
    }
  });

  it("[C12] what was on its way when the cloud stopped is said to be lost, and the record goes on", async () => {
    const folder = mkdtempSync(join(tmpdir(), "doorlink-delivery-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const { cloud } = await startCloud({ stateDirectory: folder });
    PairedLock.pair(cloud, "lobby-lock");
    await ask(cloud, "POST", "/api/doorcodes", { issuer: "alice", door: "lobby", deliver: aunt });
    await cloud.close();
    const again = await startCloud({ stateDirectory: folder });
    ends.push(() => again.cloud.close());
    const { deliveries } = (await ask(again.cloud, "GET", "/api/doorcodes")).json;
    expect(deliveries).toMatchObject([{ status: "bounced", why: "lost-at-restart", recipient: "A***@example.org" }]);
  });
});

describe("row 38: generate a new doorcode and try again", () => {
  /** The cloud and the firmware of its lobby lock, with one site, one day and one daily key. */
  async function houseWithLock() {
    const site = readFileSync(new URL("../../emulator/sites/maple-court.yaml", import.meta.url), "utf8");
    const { cloud, clock } = await cloudWithLock({ site, start: START });
    const bench = new LockBench();
    bench.dailyKey.set(cloud.authority.keys.dailyKey("lobby", 1));
    bench.pair();
    bench.visit({ policy: bench.policy(1) });
    clock.advance(bench.clock.nowMs() - clock.nowMs());
    const wait = (ms: number): void => {
      bench.clock.advance(ms);
      clock.advance(bench.clock.nowMs() - clock.nowMs());
    };
    /** A new code, as the visitor reads it in the message. */
    const issue = async (): Promise<string> => {
      const order = { issuer: "ana-reyes", door: "lobby", deliver: aunt };
      expect((await ask(cloud, "POST", "/api/doorcodes", order)).status).toBe(200);
      wait(1_000);
      return receivedCode(cloud, aunt);
    };
    return { bench, wait, issue };
  }

  it("row 38: yesterday's code is denied, and a new one opens the lock that nobody has visited since", async () => {
    const { bench, wait, issue } = await houseWithLock();
    const first = await issue();
    wait(86_400_000);
    expect(bench.type(first)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    expect(remedyOf("DOORCODE_EXPIRED")).toMatch(/^Generate a new doorcode/);
    const second = await issue();
    expect(second).not.toBe(first);
    expect(bench.type(second)).toMatchObject({ granted: true });
  });

  it("row 38: a code that was used is denied, and a new one opens, as often as one is asked for", async () => {
    const { bench, issue } = await houseWithLock();
    for (let round = 0; round < 3; round++) {
      const code = await issue();
      expect(bench.type(code)).toMatchObject({ granted: true });
      expect(bench.type(code)).toMatchObject({ granted: false, reason: "CREDENTIAL_UNKNOWN" });
    }
    expect(remedyOf("DOORCODE_ALREADY_USED")).toMatch(/^Generate a new doorcode/);
  });
});

it("row 33: a site file may hide an option on one phone", () => {
  const text = readFileSync(new URL("../../emulator/sites/maple-court.yaml", import.meta.url), "utf8");
  const hidden = text.replace("version: 5.4.0 }", "version: 5.4.0, hiddenOptions: [generate-doorcode] }");
  const read = readSiteFile(hidden, noon);
  expect(read.ok && read.value.world.phones.map(({ app }) => app.hiddenOptions.length).slice(0, 2)).toEqual([1, 0]);
  expect(readSiteFile(text.replace("version: 5.4.0 }", "version: 5.4.0, hiddenOptions: [all] }"), noon).ok).toBe(false);
});

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The write-ahead log is there only while something is in it.
    return "";
  }
}
