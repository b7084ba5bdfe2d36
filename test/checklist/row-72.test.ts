/**
 * Row 72, what needs no house: everything that the other end of a secure session can say to a lock, and that a gateway has nothing to sign
 * with. HTTP, MQTT and the command lines are walked in test/real/row-72.test.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { LockVisit } from "../../emulator/device/lock-visit.ts";
import { utf8 } from "../../protocol/base/bytes.ts";
import { encodeCbor } from "../../protocol/base/cbor.ts";
import { unixSeconds } from "../../protocol/base/units.ts";
import { x25519PublicKey } from "../../protocol/crypto.ts";
import { Session } from "../../protocol/session/session.ts";
import { issueCourierCertificate } from "../../protocol/sync/authority.ts";
import { type Desired, desiredSchema } from "../../protocol/wire/messages/desired.ts";
import { type CourierMessage, courierMessage, lockMessage } from "../../protocol/wire/sync-message.ts";
import { LockBench, START } from "../emulator/device/lock-bench.ts";

/** Each kind of message that a courier or phone can send: its number in the union, what it is to a door, and forms of it. */
const courierEntries: Readonly<Record<CourierMessage["kind"], { readonly type: number; readonly is: string }>> = {
  greet: { type: 1, is: "who carries" },
  time: { type: 2, is: "the authority's time" },
  manifest: { type: 3, is: "the authority's policy, announced" },
  page: { type: 4, is: "a part of it" },
  release: { type: 5, is: "log that may be overwritten" },
  "read-log": { type: 6, is: "a question" },
  finish: { type: 7, is: "the end" },
  "app-greet": { type: 8, is: "a phone with its certificate: somebody who presents a credential" },
  "access-request": { type: 9, is: "the phone's proof: the credential itself" },
  keyset: { type: 10, is: "the root's word about who may sign" },
};

const bytesOf = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);
const courierKey = bytesOf(32, 13);
const lockPublicKey = x25519PublicKey(bytesOf(32, 11));
const junk = { signature: bytesOf(64, 1) };

function messagesOf(kind: CourierMessage["kind"]): readonly CourierMessage[] {
  switch (kind) {
    case "greet":
    case "app-greet":
      return [bytesOf(0, 0), utf8("master"), bytesOf(200, 7)].map((certificate) => ({ kind, certificate, ...junk }));
    case "time":
      return [bytesOf(0, 0), utf8("open")].map((answer) => ({ kind, answer, ...junk }));
    case "manifest":
      return [bytesOf(0, 0), bytesOf(300, 7)].flatMap((manifest) => [
        { kind, manifest, ...junk },
        { kind, manifest, bundle: bytesOf(100, 7), ...junk },
      ]);
    case "page":
      return [0, 2048].map((offset) => ({ kind, offset, bytes: bytesOf(64, 7) }));
    case "release":
      return [bytesOf(0, 0), utf8("release the bolt")].map((release) => ({ kind, release, ...junk }));
    case "read-log":
      return [0, 1, 0xffffffff].map((from) => ({ kind, from }));
    case "finish":
      return [{ kind }];
    case "access-request":
      return [bytesOf(64, 0), bytesOf(64, 1)].map((signature) => ({ kind, signature }));
    case "keyset":
      return [bytesOf(0, 0), bytesOf(220, 7)].map((keyset) => ({ kind, keyset, ...junk }));
  }
}

/** A lock with a policy that a courier brought, as it hangs on a door. */
function syncedLock(): LockBench {
  const bench = new LockBench();
  bench.pair();
  expect(bench.visit({ policy: bench.policy(1) }).ended).toBe("finished");
  return bench;
}

/** One visit that says these things one after the other; gives the kinds of what the lock answered. */
function say(bench: LockBench, messages: readonly Uint8Array[]): readonly string[] {
  const now = () => bench.clock.monotonicMs();
  let drawn = 0;
  const random = (length: number): Uint8Array => bytesOf(length, 100 + drawn++);
  const courier = new Session({
    role: "courier",
    staticPrivateKey: courierKey,
    ephemeralPrivateKey: random(32),
    remoteStaticPublicKey: lockPublicKey,
    prologue: bench.pairingId,
    nowMs: now(),
  });
  const lock = new LockVisit(bench.firmware, bench.pairingId, random, now());
  const answers: string[] = [];
  for (let round = 0; round < 60; round++) {
    courier.wake(now());
    lock.wake(now());
    for (const event of courier.takeEvents()) {
      if (event.kind === "established") for (const message of messages) courier.send(message);
      if (event.kind !== "message") continue;
      const read = lockMessage.decode(event.bytes);
      if (read.ok) answers.push(read.value.kind);
    }
    for (const frame of courier.takeFrames(now())) lock.receive(frame, now());
    for (const frame of lock.takeFrames(now())) courier.receive(frame, now());
    bench.clock.advance(10);
  }
  return answers;
}

function grants(bench: LockBench): number {
  return bench.visit({}).entries.filter(({ kind }) => kind === "access-granted").length;
}

describe("what the other end of a session can say to a lock", () => {
  it("row 72: every kind that there is has been said what it is", () => {
    const known = Array.from({ length: 256 }, (_, type) => type).filter((type) => {
      const read = courierMessage.decode(encodeCbor(new Map([[0, type]])));
      return read.ok || read.fault.code !== "unknown-type";
    });
    const listed = Object.values(courierEntries).map(({ type }) => type);
    expect(known).toEqual(listed.toSorted((left, right) => left - right));
  });

  it("row 72: a daily code of the house does open this lock, so that an opening would be seen", () => {
    const bench = syncedLock();
    const typed = bench.type(bench.codeOfToday(1));
    expect(typed.granted).toBe(true);
    expect(bench.firmware.bolt).toBe("unlocked");
    expect(grants(bench)).toBe(1);
  });

  const kinds = Object.keys(courierEntries) as readonly CourierMessage["kind"][];
  it.each(kinds)("row 72: %s in any form, first or after a courier's true greeting, moves no bolt", (kind) => {
    const bench = syncedLock();
    const { bytes, signature } = issueCourierCertificate(bench.keys, {
      staticPublicKey: x25519PublicKey(courierKey),
      holder: "gateway-bench",
      role: "courier",
      locks: [],
      notAfter: unixSeconds(START + 86_400),
    });
    const greeting = courierMessage.encode({ kind: "greet", certificate: bytes, signature });
    for (const message of messagesOf(kind)) {
      const said = courierMessage.encode(message);
      // The lock closes a session that was ended; that is an answer too.
      const first = say(bench, [said]);
      const greeted = say(bench, [greeting, said]);
      expect(greeted[0]).toBe("hello");
      expect([...first, ...greeted]).not.toContain("access-result");
      expect(bench.firmware.bolt).toBe("locked");
    }
    expect(grants(bench)).toBe(0);
  });

  it("row 72: bytes that are no message move no bolt", () => {
    const bench = syncedLock();
    for (const bytes of [
      utf8("open"),
      utf8("master"),
      encodeCbor(new Map([[0, 10]])),
      bytesOf(1, 0),
      bytesOf(500, 0xff),
    ]) {
      say(bench, [bytes]);
      expect(bench.firmware.bolt).toBe("locked");
    }
    expect(grants(bench)).toBe(0);
  });
});

/** Each kind of `desired`, which brokers keep and say again: what it is to a door. */
const desiredEntries: Readonly<Record<Desired["kind"], string>> = {
  gateway: "who and what there is",
  lock: "a policy to carry",
  device: "a policy to decide by",
  panel: "what a sticker says",
};

describe("what the authority has brokers keep", () => {
  it("row 72: every kind that there is has been said what it is, and none has a word for opening", () => {
    const kinds = desiredSchema.options.map(({ shape }) => shape.kind.value);
    expect(kinds.toSorted()).toEqual(Object.keys(desiredEntries).toSorted());
    const names = desiredSchema.options.flatMap(({ shape }) => Object.keys(shape));
    expect(names.filter((name) => /open|unlock|command|action|master/i.test(name))).toEqual([]);
  });
});

describe("a gateway", () => {
  it("row 72: has nothing to sign a command with: nothing in its code signs, and its orders name no key that could", () => {
    const top = fileURLToPath(new URL("../../agent", import.meta.url));
    const files = readdirSync(top, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(50);
    const signing = files.filter((file) =>
      /\b(signUnlock|signTyped|ed25519Sign|authorityKeysFromSeed|AuthorityKeys)\b/.test(
        readFileSync(join(top, file), "utf8"),
      ),
    );
    expect(signing).toEqual([]);
    const desired = readFileSync(join(top, "../protocol/wire/messages/desired.ts"), "utf8");
    expect(desired).not.toMatch(/unlockKey|unlockSeed|master/i);
  });
});
