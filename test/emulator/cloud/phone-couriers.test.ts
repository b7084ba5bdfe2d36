import { describe, expect, it } from "vitest";
import { base64ToBytes, bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { verifyTyped } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { receiptSchema } from "../../../protocol/wire/messages/receipt.ts";
import { courierCertificate, signedTypes, timeAnswer } from "../../../protocol/wire/signed-objects.ts";
import { catchMessages, gateway, json, noon, PairedLock, siteText, startCloud, type TestCloud } from "./fixture.ts";

const site = siteText.replace(
  "  - {id: carl,",
  "  - {id: mona, name: Mona Manager, email: mona@maple.example, role: MANAGER}\n  - {id: carl,",
);
const key = bytesToBase64(new Uint8Array(32).fill(9));

async function withLock() {
  const { cloud, clock } = await startCloud({ site });
  const lock = PairedLock.pair(cloud, "lobby-lock");
  return { cloud, clock, lock, mona: await signedIn(cloud, "mona") };
}

async function signedIn(cloud: TestCloud, person: string, phone = `${person}-phone`): Promise<string> {
  const answer = await cloud.http.inject({ method: "POST", url: "/bench/phones", payload: { phone, person } });
  return String(answer.json().token);
}

async function post(cloud: TestCloud, path: string, token: string | undefined, payload: object) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await cloud.http.inject({ method: "POST", url: `/app/courier/${path}`, headers, payload });
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
}

function bytes(text: string): Uint8Array {
  return base64ToBytes(text) ?? new Uint8Array(0);
}

/** The batch of an event as a phone brings it. */
const raw = (event: { readonly raw: string }): string => event.raw;

describe("what a phone is given to carry", () => {
  it("[Y18] [O2] a certificate for that lock's pairing alone, at least 7 days and at most 8, with the phone as its holder", async () => {
    const { cloud, lock, mona } = await withLock();
    PairedLock.pair(cloud, "garage-lock");
    const { status, body, headers } = await post(cloud, "lobby-lock", mona, { staticPublicKey: key });
    expect(status).toBe(200);
    expect(headers["cache-control"]).toBe("no-store");
    const { courier } = authorityPublicKeys(cloud.authority.roles);
    const [certificate, signature] = [bytes(body.certificate.bytes), bytes(body.certificate.signature)];
    expect(verifyTyped(courier, signedTypes.courier, certificate, signature)).toBe(true);
    const read = courierCertificate.decode(certificate);
    expect(read).toMatchObject({ value: { holder: "mona-phone", role: "courier", notAfter: noon + 8 * 86_400 } });
    expect(read).toMatchObject({ value: { locks: [lock.pairingId], staticPublicKey: new Uint8Array(32).fill(9) } });
    expect(body).toMatchObject({ pairingId: bytesToBase64(lock.pairingId), logFrom: 1, release: null });
    expect(body.policy.version).toBe(cloud.authority.state.policies["lobby-lock"]?.version);
    await cloud.close();
  });

  it("[Y18] nobody without a token, no resident, nobody who was revoked, and for no device that is not a paired lock", async () => {
    const { cloud, mona } = await withLock();
    const asked = { staticPublicKey: key };
    for (const path of ["lobby-lock", "lobby-lock/time", "lobby-lock/log"]) {
      const input = path.endsWith("time")
        ? { nonce: key.slice(0, 22).concat("==") }
        : path.endsWith("log")
          ? {}
          : asked;
      expect(await post(cloud, path, undefined, input)).toMatchObject({ status: 401, body: { code: "no-such-phone" } });
      for (const person of ["alice", "carl"]) {
        const body = { code: "ROLE_MAY_NOT_CARRY" };
        expect(await post(cloud, path, await signedIn(cloud, person), input)).toMatchObject({ status: 403, body });
      }
      const unnamed = await signedIn(cloud, "mona", "m");
      expect((await post(cloud, path, unnamed, input)).body).toEqual({ code: "not-a-holder-name" });
    }
    const refused = async (device: string) => (await post(cloud, device, mona, asked)).body.code;
    expect([await refused("garage-lock"), await refused("gate-r29"), await refused("nowhere")]).toEqual([
      "not-paired",
      "not-a-ble-lock",
      "no-such-device",
    ]);
    cloud.authority.revoke("mona");
    expect(await post(cloud, "lobby-lock", mona, asked)).toMatchObject({
      status: 403,
      body: { code: "ACCOUNT_REVOKED" },
    });
    expect(await post(cloud, "lobby-lock/log", mona, {})).toMatchObject({ status: 403 });
    cloud.authority.resetPassword("mona");
    expect(await post(cloud, "lobby-lock", mona, asked)).toMatchObject({ status: 401, body: { code: "signed-out" } });
    await cloud.close();
  });

  it("a time for the lock's nonce alone", async () => {
    const { cloud, lock, mona } = await withLock();
    const nonce = bytesToBase64(new Uint8Array(16).fill(3));
    const { body } = await post(cloud, "lobby-lock/time", mona, { nonce });
    const answer = bytes(body.answer.bytes);
    const { time } = authorityPublicKeys(cloud.authority.roles);
    expect(verifyTyped(time, signedTypes.time, answer, bytes(body.answer.signature))).toBe(true);
    expect(timeAnswer.decode(answer)).toMatchObject({
      value: { pairingId: lock.pairingId, nonce: new Uint8Array(16).fill(3), unixMs: noon * 1000 },
    });
    await cloud.close();
  });

  it("bodies have limits, and what is no input is named", async () => {
    const { cloud, mona } = await withLock();
    expect(await post(cloud, "lobby-lock", mona, { staticPublicKey: "AAAA" })).toMatchObject({ status: 422 });
    expect(await post(cloud, "lobby-lock/time", mona, { nonce: key })).toMatchObject({ status: 422 });
    expect(await post(cloud, "lobby-lock/log", mona, { report: key })).toMatchObject({ status: 422 });
    expect(await post(cloud, "lobby-lock/log", mona, { batches: Array(65).fill("AAAA") })).toMatchObject({
      status: 422,
    });
    const large = await post(cloud, "lobby-lock", mona, { staticPublicKey: "A".repeat(2_000) });
    expect(large).toMatchObject({ status: 413, body: { code: "body-too-large" } });
    const log = await post(cloud, "lobby-lock/log", mona, { batches: ["A".repeat(600_000)] });
    expect(log).toMatchObject({ status: 413, body: { code: "body-too-large" } });
    await cloud.close();
  });
});

describe("what a phone brings back", () => {
  it("[Y18] is recorded, chained and released as a gateway's, and its receipt goes to the gateways too", async () => {
    const { cloud, lock, mona } = await withLock();
    const messages = catchMessages(cloud);
    const entries = [lock.log({ kind: "boot" }), lock.log({ kind: "access-granted", person: "alice" })];
    const { report, mac } = lock.report(1);
    const brought = await post(cloud, "lobby-lock/log", mona, { batches: entries.map(raw), report, mac });
    expect(brought).toMatchObject({
      status: 200,
      body: { device: "lobby-lock", through: 2, missing: [], releasable: 2 },
    });
    const receipts = messages.filter(({ topic }) => topic.channel === "receipt");
    expect(receiptSchema.parse(JSON.parse(receipts.at(-1)?.payload ?? "{}"))).toMatchObject({
      through: 2,
      missing: [],
    });
    expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: 2, brokenAt: null });
    expect((await post(cloud, "lobby-lock", mona, { staticPublicKey: key })).body).toMatchObject({ logFrom: 3 });
    // The gateway comes later with the same, and with one more.
    const later = [...entries, lock.log({ kind: "boot" })];
    const message = { v: 1, device: "lobby-lock", events: later };
    const topic = { site: "maple-court", device: lock.device, channel: "event" } as const;
    expect(cloud.intake.receive(gateway, topic, json(message))).toBe(true);
    expect(cloud.record.summary()).toMatchObject({
      events: 3,
      duplicates: 0,
      redelivered: 2,
      conflicting: 0,
      refused: 0,
    });
    await cloud.close();
  });

  it("[Y17] what is not the lock's is refused by name, counted, and takes nothing good with it", async () => {
    const { cloud, lock, mona } = await withLock();
    const other = PairedLock.pair(cloud, "garage-lock");
    const boot = raw(lock.log({ kind: "boot" }));
    const { report, mac } = lock.report(1);
    const flipped = bytesToBase64(bytes(boot).with(-1, (bytes(boot).at(-1) ?? 0) ^ 1));
    for (const [batches, code] of [
      [["AAAA"], "batch-malformed"],
      [[flipped], "batch-does-not-open"],
      [[raw(other.log({ kind: "boot" }))], "batch-of-another-pairing"],
    ] as const) {
      expect((await post(cloud, "lobby-lock/log", mona, { batches: [...batches, boot], report, mac })).body.code).toBe(
        code,
      );
    }
    expect(cloud.chains.state("lobby-lock")).toMatchObject({ through: 1, brokenAt: null });
    const theirs = other.report(1);
    for (const [said, code] of [
      [{ report, mac: theirs.mac }, "report-not-verified"],
      [{ report: theirs.report, mac: theirs.mac }, "report-not-verified"],
      [{ report: "AAAA", mac }, "report-not-verified"],
    ] as const) {
      expect((await post(cloud, "lobby-lock/log", mona, said)).body).toEqual({ code });
    }
    expect(cloud.record.summary()).toMatchObject({ events: 1, duplicates: 0, refused: 6 });
    expect(cloud.record.refusals(1)[0]).toMatchObject({ from: "mona-phone", topic: "courier/lobby-lock/log" });
    await cloud.close();
  });
});

describe("what a gateway tells of a lock's report", () => {
  it("[M10] is taken only as the lock said it and from the courier that it names, and an older one is not shown again", async () => {
    const { cloud, lock } = await withLock();
    const say = (said: object): unknown => {
      const topic = { site: "maple-court", device: lock.device, channel: "reported" } as const;
      return cloud.intake.receive(gateway, topic, json(said)) || cloud.record.refusals(1)[0]?.["code"];
    };
    const first = lock.report(1);
    expect(say({ ...first, policy: { epoch: 1, version: 1_001 } })).toBe("report-not-as-said");
    expect(say({ ...first, logNext: first.logNext + 1 })).toBe("report-not-as-said");
    expect(say({ ...first, clock: "unset" })).toBe("report-not-as-said");
    expect(say({ ...first, courier: "gateway-two" })).toBe("gateway-mismatch");
    expect(cloud.table.latest("lobby-lock", "reported")).toBeUndefined();
    expect(say(first)).toBe(true);
    lock.log({ kind: "policy-committed" });
    cloud.authority.revoke("bob");
    expect(say(lock.report(2))).toBe(true);
    expect(say(first)).toBe(true);
    expect(cloud.table.latest("lobby-lock", "reported")?.body.policy).toEqual({ epoch: 1, version: 2 });
    expect(cloud.chains.state("lobby-lock")?.report).toMatchObject({ version: 2 });
    await cloud.close();
  });
});
