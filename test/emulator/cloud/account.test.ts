import { describe, expect, it } from "vitest";
import { makeCardKey } from "../../../protocol/access/card-key.ts";
import { decodePolicy } from "../../../protocol/access/policy.ts";
import { base64ToBytes, bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { verifyTyped } from "../../../protocol/crypto.ts";
import { authorityPublicKeys } from "../../../protocol/sync/authority.ts";
import { appCertificate } from "../../../protocol/wire/signed-objects.ts";
import { noon, PairedLock, siteText, startCloud, type TestCloud } from "./fixture.ts";

const siteWithCard = siteText.replace(
  "credentials:",
  'credentials:\n  - {id: alice-card, kind: keycard, person: alice, number: "04a1b2c3d4e501"}',
);

const keys = {
  staticPublicKey: bytesToBase64(new Uint8Array(32).fill(1)),
  signingPublicKey: bytesToBase64(new Uint8Array(32).fill(2)),
};

async function signedIn(cloud: TestCloud, person = "alice", phone = `${person}-phone`): Promise<string> {
  const answer = await cloud.http.inject({ method: "POST", url: "/bench/phones", payload: { phone, person } });
  return String(answer.json().token);
}

function post(cloud: TestCloud, url: string, token?: string, payload: object = {}) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return cloud.http.inject({ method: "POST", url, headers, payload });
}

describe("app certificates", () => {
  it("[Y10] are signed for the phone's two keys and the person's app key, for 72 hours, with the locks of their doors", async () => {
    const { cloud } = await startCloud();
    const lobby = PairedLock.pair(cloud, "lobby-lock");
    PairedLock.pair(cloud, "garage-lock");
    const answer = await post(cloud, "/app/certificate", await signedIn(cloud, "bob"), keys);
    const body = answer.json();
    const [bytes, signature] = [body.certificate.bytes, body.certificate.signature].map(
      (text: string) => base64ToBytes(text) ?? new Uint8Array(0),
    );
    if (bytes === undefined || signature === undefined) throw new Error("no certificate");
    const { courier } = authorityPublicKeys(cloud.authority.keys.roles);
    expect(verifyTyped(courier, "doorlink/1/app", bytes, signature)).toBe(true);
    expect(appCertificate.decode(bytes)).toMatchObject({
      ok: true,
      value: { credential: "bob-app", issuedAt: noon, notAfter: noon + 72 * 3_600, locks: [] },
    });
    // Bob has no key to the garage.
    expect(body.locks.map(({ device }: { device: string }) => device)).toEqual(["lobby-lock"]);
    expect(body.locks[0].pairingId).toBe(bytesToBase64(lobby.pairingId));
    expect(answer.headers["cache-control"]).toBe("no-store");
    await cloud.close();
  });

  it("are given to nobody without a token, without an app key or without 32-byte keys, and to nobody who was revoked", async () => {
    const { cloud } = await startCloud();
    const bob = await signedIn(cloud, "bob");
    expect((await post(cloud, "/app/certificate", undefined, keys)).statusCode).toBe(401);
    expect((await post(cloud, "/app/certificate", "f".repeat(64), keys)).json()).toEqual({ code: "no-such-phone" });
    expect((await post(cloud, "/app/certificate", await signedIn(cloud, "carl"), keys)).json()).toEqual({
      code: "NO_APP_KEY",
    });
    expect((await post(cloud, "/app/certificate", bob, { ...keys, staticPublicKey: "AAAA" })).statusCode).toBe(422);
    await post(cloud, "/api/people/bob/revoke");
    expect((await post(cloud, "/app/certificate", bob, keys)).json()).toEqual({ code: "ACCOUNT_REVOKED" });
    await cloud.close();
  });
});

describe("signing out", () => {
  it("row 77: ends one phone's token on every route, and says so", async () => {
    const { cloud } = await startCloud();
    const [own, other] = [await signedIn(cloud), await signedIn(cloud, "alice", "bob-phone")];
    expect(cloud.authority.phonesOf("alice")).toBe(2);
    expect((await post(cloud, "/app/sign-out", other)).json()).toEqual({ signedOut: true });
    for (const [method, url] of [
      ["GET", "/app/codes"],
      ["GET", "/app/calls?wait=0"],
      ["POST", "/app/certificate"],
      ["POST", "/app/sign-out"],
    ] as const) {
      const answer = await cloud.http.inject({ method, url, headers: { authorization: `Bearer ${other}` } });
      expect([url, answer.statusCode, answer.json()]).toEqual([url, 401, { code: "signed-out" }]);
    }
    expect((await post(cloud, "/app/certificate", own, keys)).statusCode).toBe(200);
    expect(cloud.authority.phonesOf("alice")).toBe(1);
    await cloud.close();
  });

  it("row 78: a password reset ends every phone's token, and every lock's next policy refuses certificates of before", async () => {
    const { cloud, clock } = await startCloud();
    PairedLock.pair(cloud, "lobby-lock");
    const tokens = [await signedIn(cloud), await signedIn(cloud, "alice", "bob-phone")];
    const bob = await signedIn(cloud, "bob");
    const before = cloud.authority.state.policies["lobby-lock"]?.version ?? 0;
    const reset = await post(cloud, "/api/people/alice/password-reset");
    expect(reset.json()).toMatchObject({ person: "alice", since: noon + 1, phones: 2 });
    for (const token of tokens) expect((await post(cloud, "/app/certificate", token, keys)).statusCode).toBe(401);
    expect((await post(cloud, "/app/certificate", bob, keys)).statusCode).toBe(200);
    const policy = cloud.authority.state.policies["lobby-lock"];
    const held = decodePolicy(policy?.bundle ?? new Uint8Array(0));
    expect(policy?.version).toBe(before + 1);
    const from = held.ok ? held.value.credentials.map(({ id, certificatesFrom }) => [id, certificatesFrom]) : [];
    expect(from).toContainEqual(["alice-app", noon + 1]);
    expect(from).toContainEqual(["bob-app", undefined]);
    // A certificate of the very second of the reset is of after it.
    const again = await post(cloud, "/app/certificate", await signedIn(cloud), keys);
    const issued = appCertificate.decode(base64ToBytes(again.json().certificate.bytes) ?? new Uint8Array(0));
    expect(issued).toMatchObject({ value: { issuedAt: noon + 1 } });
    expect(clock.nowMs()).toBe(noon * 1000);
    expect((await post(cloud, "/api/people/nobody/password-reset")).statusCode).toBe(404);
    await cloud.close();
  });

  it("row 77: a phone that waits for calls when it is signed out hears of none any more", async () => {
    const { cloud } = await startCloud();
    const token = await signedIn(cloud);
    const waiting = cloud.http.inject({
      method: "GET",
      url: "/app/calls?wait=20",
      headers: { authorization: `Bearer ${token}` },
    });
    await new Promise((resolve) => setImmediate(resolve));
    await post(cloud, "/app/sign-out", token);
    expect((await waiting).json()).toEqual({ code: "signed-out" });
    await cloud.close();
  });
});

describe("keycards", () => {
  it("the desk writes each card's own key, which is the one that the policies hold", async () => {
    const { cloud } = await startCloud({ site: siteWithCard });
    PairedLock.pair(cloud, "lobby-lock");
    const answer = await post(cloud, "/bench/cards");
    const [{ credential, key }] = answer.json().cards;
    const expected = makeCardKey(cloud.authority.keys.cardSecret, "04a1b2c3d4e501", 1);
    expect([credential, key]).toEqual(["alice-card", bytesToBase64(expected)]);
    const held = decodePolicy(cloud.authority.state.policies["lobby-lock"]?.bundle ?? new Uint8Array(0));
    const card = held.ok ? held.value.credentials.find(({ id }) => id === "alice-card") : undefined;
    expect(card?.cardKey).toEqual(expected);
    await cloud.close();
  });
});
