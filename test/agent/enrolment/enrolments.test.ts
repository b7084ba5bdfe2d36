/** Claims, issuance, renewal and revocation, as a device and an operator meet them; the sockets are in `tls-broker.test.ts`. */
import { createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseEnrolment } from "../../../agent/enrolment/enrolment-document.ts";
import { judgeCertificate } from "../../../agent/enrolment/judge-certificate.ts";
import { parsePrivateKey } from "../../../agent/enrolment/key-file.ts";
import { parseAuthorityCertificate } from "../../../agent/enrolment/site-authority.ts";
import { readSigningRequest } from "../../../agent/enrolment/x509.ts";
import { StoreError } from "../../../agent/ports/store.ts";
import { makeSigningRequest } from "../../../emulator/device/signing-request.ts";
import { bytesToHex, utf8 } from "../../../protocol/base/bytes.ts";
import { type DeviceId, unixMs } from "../../../protocol/base/units.ts";
import { sha256 } from "../../../protocol/crypto.ts";
import { formatClaim, parseClaim } from "../../../protocol/wire/claim-string.ts";
import { EnrolmentBench, newKey, otherPanelId, panelId, readAnswer } from "../../world/enrolment-bench.ts";

const DAY_MS = 86_400_000;
let bench: EnrolmentBench;
beforeEach(async () => {
  bench = await new EnrolmentBench().open();
});
afterEach(() => bench.close());

describe("a claim", () => {
  it("[I4] gives the key of the request a certificate whose name, use and life are the gateway's", async () => {
    const key = newKey();
    const request = await makeSigningRequest(key, "gateway-main, O=the owner of everything");
    const answer = await bench.claimDirectly(await bench.openClaim(), key, request);
    if (answer.state !== "issued") throw new Error(answer.reason);
    const certificate = new X509Certificate(answer.certificate);
    expect(certificate.subject).toBe(`CN=${panelId}`);
    expect(certificate.subjectAltName).toBe(`DNS:${panelId}`);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(certificate.ca).toBe(false);
    expect(certificate.checkPrivateKey(key)).toBe(true);
    expect(certificate.verify(bench.authority.publicKey)).toBe(true);
    expect(answer).toMatchObject({ device: panelId, site: "maple-court" });
    const lifeMs = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
    expect(lifeMs).toBe(bench.lifeMs + 5 * 60_000);
    expect(answer.renewAt).toBeCloseTo((certificate.validFromDate.getTime() + (lifeMs * 2) / 3) / 1000, -1);
    expect(
      sha256(
        new Uint8Array(
          createPublicKey(
            new X509Certificate(answer.authority).publicKey.export({ format: "pem", type: "spki" }),
          ).export({ format: "der", type: "spki" }),
        ),
      ),
    ).toEqual(bench.authority.keyHash);
  });

  it("[I4] the same code with the same key gives the same certificate, also after a restart; with another it is refused and counted", async () => {
    const claim = await bench.openClaim();
    const key = newKey();
    const first = await bench.claimDirectly(claim, key);
    await bench.restart();
    const again = await bench.claimDirectly(claim, key);
    expect(again).toEqual(first);
    expect(await bench.claimDirectly(claim, newKey())).toMatchObject({ state: "refused", reason: "claim-used" });
    expect(bench.enrolments.enrolment(panelId)?.claim).toMatchObject({ otherKeys: 1, tries: 3 });
    expect(bench.enrolments.enrolment(panelId)?.certificates).toHaveLength(1);
  });

  it("[I4] is used up in the write that keeps the certificate: power that goes at any write leaves neither or both", async () => {
    const claim = await bench.openClaim();
    const put = bench.store.putDocuments.bind(bench.store);
    for (const failing of [1, 2]) {
      let writes = 0;
      bench.store.putDocuments = async (documents) => {
        writes += 1;
        if (writes === failing) throw new StoreError("failed", "no power");
        return put(documents);
      };
      const key = newKey();
      await expect(bench.claimDirectly(claim, key)).rejects.toThrow("no power");
      bench.store.putDocuments = put;
      await bench.restart();
      const kept = bench.enrolments.enrolment(panelId);
      expect(kept?.certificates).toEqual([]);
      expect(kept?.claim?.usedBy).toBeNull();
    }
    const answer = await bench.claimDirectly(claim, newKey());
    expect(answer.state).toBe("issued");
    const kept = bench.enrolments.enrolment(panelId);
    expect([kept?.certificates.length, kept?.claim?.usedBy === null]).toEqual([1, false]);
  });

  it("[I4] a request that does not prove its key, or is for another kind of key, is refused", async () => {
    const claim = await bench.openClaim();
    const request = await makeSigningRequest(newKey(), "x");
    const broken = request.map((byte, index) => (index === request.length - 3 ? byte ^ 1 : byte));
    expect(await bench.claimDirectly(claim, newKey(), broken)).toMatchObject({ reason: "bad-signing-request" });
    expect(await readSigningRequest(broken)).toEqual({ ok: false, fault: { code: "request-signature" } });
    expect(await readSigningRequest(utf8("nothing"))).toEqual({ ok: false, fault: { code: "request-unreadable" } });
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).publicKey.export({
      format: "der",
      type: "spki",
    });
    expect((await readSigningRequest(new Uint8Array(p384))).ok).toBe(false);
    // None of that used the code up.
    expect((await bench.claimDirectly(claim, newKey())).state).toBe("issued");
  });

  it("[I5] each try counts on the disk before its code is compared, and too many have to wait", async () => {
    const parsed = parseClaim(await bench.openClaim());
    if (!parsed.ok) throw new Error();
    const wrong = formatClaim({ ...parsed.value, code: new Uint8Array(16).fill(7) });
    const right = formatClaim(parsed.value);
    for (let tries = 0; tries < 5; tries++) {
      expect(await bench.claimDirectly(wrong, newKey())).toMatchObject({ state: "refused", reason: "not-claimable" });
    }
    await bench.restart();
    expect(await bench.claimDirectly(wrong, newKey())).toMatchObject({ reason: "throttled", retryAfterSeconds: 30 });
    expect(await bench.claimDirectly(right, newKey())).toMatchObject({ reason: "throttled" });
    // A clock that is set back adds none.
    bench.clock.offsetMs = -3_600_000;
    expect(await bench.claimDirectly(right, newKey())).toMatchObject({ reason: "throttled" });
    bench.clock.offsetMs = 31_000;
    expect((await bench.claimDirectly(right, newKey())).state).toBe("issued");
    expect(bench.enrolments.enrolment(panelId)?.claim?.tries).toBe(6);
  });

  it("[I5] no claim, an ended one and a wrong code are answered alike", async () => {
    const claim = await bench.openClaim();
    const parsed = parseClaim(claim);
    if (!parsed.ok) throw new Error();
    const nobody = await bench.claimDirectly(formatClaim({ ...parsed.value, serial: "NOBODY" }), newKey());
    const wrong = await bench.claimDirectly(formatClaim({ ...parsed.value, code: new Uint8Array(16) }), newKey());
    bench.clock.offsetMs = 3_601_000;
    const ended = await bench.claimDirectly(claim, newKey());
    expect(new Set([nobody, wrong, ended].map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(ended).toMatchObject({ reason: "not-claimable" });
  });

  it("[I5] no part of a code is on the disk or in the log", async () => {
    const parsed = parseClaim(await bench.openClaim());
    if (!parsed.ok) throw new Error();
    await bench.claimDirectly(formatClaim(parsed.value), newKey());
    const stored = JSON.stringify(await bench.store.readDocuments("enrolment"));
    const { code } = parsed.value;
    for (const text of [Buffer.from(code).toString("base64"), bytesToHex(code)]) {
      expect(stored).not.toContain(text);
      expect(JSON.stringify(bench.logged)).not.toContain(text);
    }
  });

  it("[I5] is for a listed networked device, one serial each, and a newer one closes the older", async () => {
    expect(await bench.enrolments.openClaim("master" as DeviceId, "X", 1)).toMatchObject({
      fault: { code: "not-a-networked-device" },
    });
    expect(await bench.enrolments.openClaim(panelId, "with space", 1)).toMatchObject({ fault: { code: "bad-serial" } });
    const older = await bench.openClaim();
    expect(await bench.enrolments.openClaim(otherPanelId, "R20-7714", 1)).toMatchObject({
      fault: { code: "serial-taken" },
    });
    const newer = await bench.openClaim();
    expect(await bench.claimDirectly(older, newKey())).toMatchObject({ reason: "not-claimable" });
    expect((await bench.claimDirectly(newer, newKey())).state).toBe("issued");
  });

  it("[I3] a claim is heard on claim connections alone, a renewal on a device's own alone", async () => {
    const payload = JSON.stringify({ v: 1, ask: "renew", id: "00".repeat(8), request: "AAAA" });
    const asClaim = readAnswer(await bench.enrolments.answer({ kind: "claim" }, utf8(payload)));
    expect(asClaim).toMatchObject({ reason: "wrong-connection" });
    const claim = {
      v: 1,
      ask: "claim",
      id: "00".repeat(8),
      serial: "X",
      code: "A".repeat(22).concat("=="),
      request: "AAAA",
    };
    const device = { kind: "device", device: panelId } as const;
    const asDevice = readAnswer(await bench.enrolments.answer(device, utf8(JSON.stringify(claim))));
    expect(asDevice).toMatchObject({ reason: "wrong-connection" });
  });

  it("[I10] is neither opened, tried nor used while nobody knows the time, and the device is told to come again", async () => {
    const claim = await bench.openClaim();
    bench.clock.turnTo(0);
    const answer = await bench.claimDirectly(claim, newKey());
    expect(answer).toMatchObject({ state: "refused", reason: "clock-not-trusted", retryAfterSeconds: 60 });
    expect(bench.enrolments.enrolment(panelId)?.claim?.tries).toBe(0);
    expect(await bench.enrolments.openClaim(panelId, "X", 1)).toMatchObject({ fault: { code: "clock-not-trusted" } });
    expect(await bench.renewDirectly(panelId, newKey())).toMatchObject({ reason: "clock-not-trusted" });
  });

  it("[I3] any payload is answered, and none throws", async () => {
    const peer = fc.constantFrom({ kind: "claim" } as const, { kind: "device", device: panelId } as const);
    const claimLike = fc.record({
      v: fc.constantFrom(1, 2),
      ask: fc.constantFrom("claim", "renew", "open"),
      id: fc.constantFrom("00".repeat(8), "zz"),
      serial: fc.constantFrom("R20-7714", "x", ""),
      code: fc.base64String({ minLength: 24, maxLength: 24 }),
      request: fc.base64String({ maxLength: 400 }),
    });
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      claimLike.map((value) => utf8(JSON.stringify(value))),
    );
    await fc.assert(
      fc.asyncProperty(peer, payload, async (who, bytes) => {
        expect(readAnswer(await bench.enrolments.answer(who, bytes)).state).toBe("refused");
      }),
      { numRuns: 200 },
    );
  });
});

describe("a renewal", () => {
  it("[I8] gives the next certificate, keeps the one before good to its end, and repeats a lost answer", async () => {
    const { key, cert } = await bench.enrol();
    bench.clock.offsetMs = (bench.lifeMs * 2) / 3 + DAY_MS;
    const fresh = newKey();
    const renewed = await bench.renewDirectly(panelId, fresh);
    expect(renewed.state).toBe("issued");
    expect(await bench.renewDirectly(panelId, fresh)).toMatchObject({ reason: "throttled", retryAfterSeconds: 1 });
    bench.clock.offsetMs += 1_000;
    expect(await bench.renewDirectly(panelId, fresh)).toEqual(renewed);
    const judged = bench.enrolments.judge(new Uint8Array(new X509Certificate(cert).raw));
    expect(judged).toMatchObject({ ok: true, value: { device: panelId } });
    expect(key).toContain("PRIVATE KEY");
  });

  it("[I8] another key within ten minutes has to wait", async () => {
    await bench.enrol();
    bench.clock.offsetMs = DAY_MS;
    expect((await bench.renewDirectly(panelId, newKey())).state).toBe("issued");
    bench.clock.offsetMs += 1_000;
    const { retryAfterSeconds } = { retryAfterSeconds: 0, ...(await bench.renewDirectly(panelId, newKey())) };
    expect(retryAfterSeconds).toBeGreaterThan(200);
    // However often: the device never has more than four, and the oldest is good no more.
    for (let times = 2; times < 8; times++) {
      bench.clock.offsetMs = times * DAY_MS;
      expect((await bench.renewDirectly(panelId, newKey())).state).toBe("issued");
    }
    expect(bench.enrolments.enrolment(panelId)?.certificates).toHaveLength(4);
  });

  it("[I8] a device that has no certificate gets none by it", async () => {
    expect(await bench.renewDirectly(panelId, newKey())).toMatchObject({ reason: "revoked" });
  });
});

describe("what is kept", () => {
  it("[I6] the root's key is made once, for its owner alone, and never replaced", async () => {
    const path = join(bench.folder, "site-ca.key");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path, "utf8");
    const hash = bench.authority.keyHash;
    await bench.restart();
    expect(readFileSync(path, "utf8")).toBe(before);
    // The certificate alone can be made again, and is the same root to every device.
    rmSync(join(bench.folder, "site-ca.crt"));
    await bench.restart();
    expect(bench.authority.keyHash).toEqual(hash);
    expect(readdirSync(bench.folder).filter((name) => name.endsWith(".new"))).toEqual([]);
    await bench.broker.close();
    rmSync(path);
    await expect(bench.open()).rejects.toThrow(/site-ca.key is not: restore it/);
    writeFileSync(path, "not a key");
    await expect(bench.open()).rejects.toThrow(/site-ca.key .* is not a P-256 key; restore it/);
    writeFileSync(path, newKey().export({ format: "pem", type: "pkcs8" }));
    await expect(bench.open()).rejects.toThrow(/not-of-this-key/);
    writeFileSync(path, before);
    await bench.open();
  });

  it("[I6] the broker's certificate is renewed by itself at two thirds of its life, and made anew for other names", async () => {
    const path = join(bench.folder, "broker.crt");
    const first = new X509Certificate(readFileSync(path));
    const keyBefore = readFileSync(join(bench.folder, "broker.key"), "utf8");
    bench.clock.offsetMs = 200 * DAY_MS;
    await bench.restart();
    expect(new X509Certificate(readFileSync(path)).serialNumber).toBe(first.serialNumber);
    bench.clock.offsetMs = 250 * DAY_MS;
    await bench.restart();
    expect(new X509Certificate(readFileSync(path)).serialNumber).not.toBe(first.serialNumber);
    expect(readFileSync(join(bench.folder, "broker.key"), "utf8")).toBe(keyBefore);
    // A listener that runs for a year finds it by itself.
    const second = readFileSync(path, "utf8");
    bench.clock.offsetMs = 500 * DAY_MS;
    bench.clock.fire(3_600_000);
    while (readFileSync(path, "utf8") === second) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("[I9] a device whose record cannot be read is not let in, by certificate or password, until it has a new claim", async () => {
    const { cert } = await bench.enrol();
    await bench.store.putDocuments([{ kind: "enrolment", device: panelId, body: "{}" }]);
    await bench.restart();
    expect(bench.enrolments.isRevoked(panelId)).toBe(true);
    const der = new Uint8Array(new X509Certificate(cert).raw);
    expect(bench.enrolments.judge(der)).toMatchObject({ fault: { code: "certificate-revoked" } });
    await bench.enrol();
    expect(bench.enrolments.isRevoked(panelId)).toBe(false);
  });

  it("[I9] a revocation that cannot be kept is said to have failed, and is none", async () => {
    await bench.enrol();
    bench.store.failing = new StoreError("full", "no room");
    await expect(bench.enrolments.revoke(panelId)).rejects.toThrow("no room");
    bench.store.failing = undefined;
    expect(bench.enrolments.isRevoked(panelId)).toBe(false);
    expect(await bench.enrolments.revoke(otherPanelId)).toMatchObject({ fault: { code: "not-enrolled" } });
  });

  it("[I6] any bytes where a key, a certificate, a request or a record should be give a value or a fault", async () => {
    const { answer } = await bench.enrol();
    const record = JSON.stringify(await bench.store.readDocuments("enrolment"));
    const key = newKey();
    const request = await makeSigningRequest(key, "x");
    const rules = {
      authorityKey: bench.authority.publicKey,
      time: { trusted: true, now: unixMs(Date.now()), basis: "system-clock" } as const,
      standing: () => "unknown" as const,
    };
    const spoilt = (sound: Uint8Array) =>
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.tuple(fc.nat(sound.length - 1), fc.nat(255)).map(([at, byte]) => sound.with(at, byte)),
        fc.nat(sound.length).map((length) => sound.slice(0, length)),
      );
    await fc.assert(
      fc.asyncProperty(spoilt(answer.certificate), spoilt(request), spoilt(utf8(record)), async (der, asked, body) => {
        expect(judgeCertificate(der, rules).ok).toBe(false);
        const read = await readSigningRequest(asked);
        if (!read.ok) expect(read.fault.code).toMatch(/^request-/);
        const text = new TextDecoder().decode(body);
        expect(parseEnrolment(text).ok).toBe(false);
        expect(parsePrivateKey(text)).toBeUndefined();
        expect(parseAuthorityCertificate(text, key).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});
