import { Buffer } from "node:buffer";
import fastify, { type FastifyInstance } from "fastify";
import QRCode from "qrcode";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { AppAccount } from "../../../emulator/people/app-account.ts";
import { callCloud, fetchText } from "../../../emulator/people/cloud-client.ts";
import { ResidentPhone } from "../../../emulator/people/resident-phone.ts";
import { takePhoto } from "../../../emulator/people/take-photo.ts";
import { Visitor } from "../../../emulator/people/visitor.ts";
import { realClock } from "../../../emulator/world/clock.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import type { WorldPhone } from "../../../emulator/world/site-file.ts";

const code = "5279567";

/** A cloud in this process: one call that rings for whoever asks, and a note of what was done with it. */
class StubCloud {
  readonly server: FastifyInstance = fastify();
  readonly did: string[] = [];
  readonly polls: string[] = [];
  state = "ringing";
  offers = true;
  url = "";

  async listen(): Promise<void> {
    const { server } = this;
    server.post("/bench/phones", async () => ({ token: "t" }));
    server.get("/app/calls", async (request) => {
      this.polls.push(String(request.headers.authorization));
      if (this.state !== "ringing") await new Promise((resolve) => setTimeout(resolve, 20));
      return { calls: this.state === "ringing" ? [{ call: "c1", panel: "p", doorName: "Lobby", visitor: "v" }] : [] };
    });
    server.post("/app/calls/c1/answer", async () => {
      this.did.push("answer");
      this.state = "answered";
      return { options: this.offers ? ["generate-doorcode"] : [] };
    });
    server.post("/app/calls/c1/doorcode", async () => {
      this.did.push("doorcode");
      this.state = "code";
      return { code, door: "lobby", validOn: "2026-11-20" };
    });
    server.post("/app/calls/c1/decline", async () => {
      this.did.push("decline");
      this.state = "refused";
      return { state: "refused" };
    });
    server.get("/L/CURRENT", async () => ({
      panel: "lobby-link",
      doorName: "Lobby",
      residents: [{ id: "ana", name: "Ana", unit: "1A" }],
    }));
    server.get("/L/RETIRED", async (_request, reply) => reply.code(410).send({ code: "sticker-retired" }));
    server.get("/big", async () => ({ right: true, rest: "x".repeat(5_000_000) }));
    server.post("/L/CURRENT/call", async () => ({ call: "c1" }));
    server.get("/calls/c1", async () =>
      this.state === "code"
        ? { state: "code", code, door: "lobby", doorName: "Lobby", validOn: "2026-11-20" }
        : { state: this.state },
    );
    this.url = await server.listen({ host: "127.0.0.1", port: 0 });
  }
}

function phoneOf(changes: Partial<WorldPhone["app"]> & { doNotDisturb?: boolean } = {}): WorldPhone {
  const { doNotDisturb = false, ...app } = changes;
  return {
    id: "ana-phone",
    person: "ana",
    model: "Pixel 8",
    os: "Android 15",
    app: { installed: true, version: "5.4.0", notifications: true, hiddenOptions: [], ...app },
    doNotDisturb,
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come in time`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let cloud: StubCloud;
const lines: unknown[] = [];
let phone: ResidentPhone | undefined;

beforeEach(async () => {
  cloud = new StubCloud();
  await cloud.listen();
});
afterEach(async () => {
  await phone?.stop();
  phone = undefined;
  await cloud.server.close();
});

function startPhone(changes: Parameters<typeof phoneOf>[0] = {}): ResidentPhone {
  const handset = phoneOf(changes);
  const account = new AppAccount({
    phone: handset.id,
    person: handset.person,
    cloudUrl: cloud.url,
    clock: realClock,
    randomFor: (name) => seededRandom(1, name),
    signal: new AbortController().signal,
  });
  phone = new ResidentPhone({
    phone: handset,
    account,
    random: seededRandom(1, "phone"),
    // A resident in a test does not think; a pause only lets others run.
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    onChange: () => undefined,
    log: (line) => lines.push(line),
  });
  phone.start();
  return phone;
}

describe("a resident's phone", () => {
  it("answers a call and generates a doorcode, which stays in no log", async () => {
    const resident = startPhone();
    await until("the doorcode", () => resident.state.last === "generated-doorcode");
    expect(cloud.did).toEqual(["answer", "doorcode"]);
    expect(JSON.stringify(lines)).not.toContain(code);
  });

  it("row 30: declines when the app offers no doorcode, so that the visitor does not wait", async () => {
    cloud.offers = false;
    const resident = startPhone();
    await until("the decline", () => cloud.did.includes("decline"));
    expect(cloud.did).toEqual(["answer", "decline"]);
    expect(resident.state.last).toBe("no-doorcode-offered");
  });

  it("does not answer with notifications off or in do-not-disturb, and is not there without the app", async () => {
    for (const changes of [{ notifications: false }, { doNotDisturb: true }]) {
      const resident = startPhone(changes);
      const before = cloud.polls.length;
      await until("a few polls", () => cloud.polls.length >= before + 3);
      expect(resident.state).toMatchObject({ ready: false, last: "nothing" });
      await resident.stop();
    }
    const before = cloud.polls.length;
    const none = startPhone({ installed: false });
    await none.stop();
    expect(cloud.polls.length).toBe(before);
    expect(cloud.did).toEqual([]);
  });
});

describe("a visitor", () => {
  const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
  const sticker = async (text: string) =>
    new Uint8Array(await QRCode.toBuffer(text, { type: "png", width: 600, margin: 4, errorCorrectionLevel: "Q" }));

  it("photographs the sticker, opens the directory, calls, and reads the code off the screen", async () => {
    const visitor = new Visitor({ seed: 1, pause });
    const wall = { panel: "lobby-link", stickers: [await sticker(`${cloud.url.toUpperCase()}/L/CURRENT`)] };
    const scanned = await visitor.scan(wall);
    expect(scanned).toMatchObject({ ok: true, value: { status: 200, residents: [{ id: "ana" }], sticker: 0 } });
    if (scanned.ok) expect(visitor.photo(scanned.value.photo)?.length).toBeGreaterThan(10_000);
    startPhone();
    expect(await visitor.call("lobby-link", "ana")).toEqual({
      ok: true,
      value: { state: "code", code, door: "lobby", validOn: "2026-11-20" },
    });
    expect(visitor.readCode()).toEqual({ ok: true, value: code });
  });

  it("gets nothing out of a retired sticker, a sticker of something else, or a bare wall", async () => {
    const visitor = new Visitor({ seed: 1, pause });
    const current = await sticker(`${cloud.url.toUpperCase()}/L/CURRENT`);
    const retired = await sticker(`${cloud.url.toUpperCase()}/L/RETIRED`);
    const stickers = [retired, await sticker("WIFI:S:GUEST;;"), current];
    await visitor.scan({ panel: "lobby-link", stickers });
    expect(await visitor.scan({ panel: "lobby-link", stickers }, 0)).toMatchObject({
      ok: true,
      value: { status: 410, problem: "page-refused", sticker: 0 },
    });
    expect(await visitor.call("lobby-link", "ana")).toEqual({ ok: false, fault: { code: "not-scanned" } });
    expect(await visitor.scan({ panel: "lobby-link", stickers }, 1)).toMatchObject({
      ok: true,
      value: { problem: "not-a-web-address" },
    });
    expect(await visitor.scan({ panel: "lobby-link", stickers: [] })).toEqual({
      ok: false,
      fault: { code: "no-sticker" },
    });
    expect(visitor.readCode()).toEqual({ ok: false, fault: { code: "no-code" } });
  });

  it("the same seed takes the same picture, another seed another one", async () => {
    const face = await sticker("HTTP://EXAMPLE.ORG/L/X");
    const shots = await Promise.all([takePhoto(face, 5), takePhoto(face, 5), takePhoto(face, 6)]);
    const [first, second, third] = shots.map((shot) =>
      shot.ok ? Buffer.from(shot.value.jpeg).toString("base64") : "",
    );
    expect(first?.length).toBeGreaterThan(1_000);
    expect(first).toBe(second);
    expect(first).not.toBe(third);
  });

  it("a picture that is none is a fault of the camera, not a crash", async () => {
    const taken = await takePhoto(new Uint8Array([1, 2, 3]), 1);
    expect(taken).toMatchObject({ ok: false, fault: { code: "camera-failed" } });
  });
});

describe("calls to the cloud", () => {
  it("are values whatever happens: nobody there, a refusal, an odd answer, an endless one", async () => {
    const closed = fastify();
    const closedUrl = await closed.listen({ host: "127.0.0.1", port: 0 });
    await closed.close();
    const call = (path: string, url = cloud.url) =>
      callCloud(url, { what: "test", method: "GET", path, schema: z.object({ right: z.boolean() }) });
    expect(await call("/x", closedUrl)).toMatchObject({
      ok: false,
      fault: { code: "cloud-unreachable", systemCode: "ECONNREFUSED" },
    });
    expect(await call("/L/RETIRED")).toMatchObject({
      ok: false,
      fault: { code: "cloud-refused", status: 410, reason: "sticker-retired" },
    });
    expect(await call("/L/CURRENT")).toMatchObject({ ok: false, fault: { code: "cloud-bad-answer", path: "right" } });
    expect(await call("/big")).toMatchObject({
      ok: false,
      fault: { code: "cloud-unreachable", systemCode: "ANSWER_TOO_LONG" },
    });
  });

  it("end at their deadline", async () => {
    const stalled = fastify();
    stalled.get("/", () => new Promise(() => undefined));
    const url = await stalled.listen({ host: "127.0.0.1", port: 0 });
    const answered = await fetchText(new URL(url), { method: "GET", timeoutMs: 50 });
    expect(answered).toEqual({ ok: false, fault: { code: "unreachable", systemCode: "TimeoutError" } });
    stalled.server.closeAllConnections();
    await stalled.close();
  });
});
