/**
 * A whole house at work, real processes: afterwards every secret that anybody in it knows is looked for in the agent's log and in the
 * archive that `doorlink bundle` packs.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import mqtt from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { bytesToHex } from "../../protocol/base/bytes.ts";
import { CheckoutHouse, mapleCourtFile, post, runCommand, until } from "./checkout-house.ts";

/** What only a person or a device should know, by the name of its field, wherever it stands. */
const secretField = /^(password|secret|token|code|pin|number|text|template|plate|email|phone)$/i;
const personField = /^(name|id)$/;

let house: CheckoutHouse;
beforeAll(async () => {
  house = await CheckoutHouse.create();
  await house.startCloud();
  await house.startSite();
  await house.startAgent();
}, 60_000);
afterAll(() => house.stopAll());

/** Every string of 6 characters or more under such a field. Shorter ones stand in other words by chance. */
function collect(value: unknown, field: RegExp, found: Set<string>): Set<string> {
  if (Array.isArray(value)) for (const each of value) collect(each, field, found);
  else if (typeof value === "object" && value !== null) {
    for (const [key, below] of Object.entries(value)) {
      if (field.test(key) && typeof below === "string" && below.length >= 6) found.add(below);
      else collect(below, field, found);
    }
  }
  return found;
}

/** What the devices of the house were given when they were enrolled, and the keys of the cards: all of it, but for what names them. */
function collectState(file: string, found: Set<string>): void {
  const { enrolments, cards } = z
    .object({ enrolments: z.record(z.string(), z.unknown()), cards: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(file, "utf8")));
  collect(enrolments, /^(?!(pairingId|door)$)/, found);
  for (const card of Object.values(cards)) found.add(card);
}

describe("what leaves the agent", () => {
  it("[G36] [G37] no secret of the whole house is in its log or its bundle, and no person in the bundle", async () => {
    const status = z.object({ upstream: z.object({ connected: z.boolean() }), devices: z.array(z.unknown()) });
    await until("the site at the agent", async () => {
      const { upstream, devices } = status.parse(await (await fetch(`${house.agentUrl}/api/status`)).json());
      return upstream.connected && devices.length >= 10;
    });
    // A visit, a code for a visitor, cards and wrong passwords: everything that has to do with secrets, well done and badly.
    await until("a visit that went through", async () => {
      const answer = await post(`${house.agentUrl}/api/sync`, { device: "lobby-lock" });
      return z.object({ outcome: z.string() }).safeParse(answer).success;
    });
    const wrongCard = "DOORLINK:0-A-CARD-OF-SOMEBODY";
    await post(`${house.agentUrl}/api/pair`, { device: "roof-lock", code: wrongCard });
    const to = { kind: "sms", to: "+15550123" };
    await post(`${house.cloudUrl}/api/doorcodes`, { door: "lobby", issuer: "kira-lund", deliver: to });
    let doorcode = "";
    await until("the doorcode", async () => {
      const mailbox = JSON.stringify(await post(`${house.cloudUrl}/bench/mailbox`, to));
      doorcode = /(?<![0-9])[0-9]{7}(?![0-9])/.exec(mailbox)?.[0] ?? "";
      return doorcode !== "";
    });
    const tried = await post(`${house.siteUrl}/api/people/ben-okafor/try`, {
      device: "gate-panel",
      credential: "ben-rf",
    });
    expect(tried).toMatchObject({ granted: expect.any(Boolean) });
    await post(`${house.cloudUrl}/api/people/hugo-silva/revoke`, {});
    const wrongPassword = "the wrong password of a panel";
    await new Promise<void>((resolve) => {
      const options = { clientId: "gate-panel", username: "gate-panel", password: wrongPassword, reconnectPeriod: 0 };
      const client = mqtt.connect(`mqtt://127.0.0.1:${house.port(4)}`, options);
      client.once("error", () => client.end(true, () => resolve()));
    });
    await until("the exposure at the agent", async () => {
      const { exposures } = z
        .object({ exposures: z.array(z.unknown()) })
        .parse(await (await fetch(`${house.agentUrl}/api/exposure`)).json());
      return exposures.length > 0;
    });

    const file = join(house.folder, "bundle.tar.gz");
    const config = join(house.folder, "agent", "gateway.yaml");
    const bundled = await runCommand("agent/front.js", [
      "bundle",
      "--out",
      file,
      "--config",
      config,
      "--agent",
      house.agentUrl,
    ]);
    expect(bundled).toMatchObject({ exitCode: 0, stderr: "" });
    const bundle = execFileSync("tar", ["-xzOf", file], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
    await house.stop("agent");
    const log = house.stderr.get("agent") ?? "";
    expect(log.split("\n").length).toBeGreaterThan(10);
    for (const line of log.trimEnd().split("\n")) expect(JSON.parse(line)).toMatchObject({ msg: expect.any(String) });

    const yaml: unknown = parse(readFileSync(mapleCourtFile, "utf8"));
    const secrets = collect(yaml, secretField, new Set<string>());
    expect(secrets).toContain("4815162");
    collectState(join(house.folder, "site", "site.json"), secrets);
    const courierKey = readFileSync(join(house.folder, "agent", "state", "courier.key"), "utf8").trim();
    for (const one of [doorcode, courierKey, bytesToHex(Buffer.from(courierKey, "base64")), wrongCard, wrongPassword])
      secrets.add(one);
    secrets.add("a password of this test alone");
    secrets.add("+15550123");
    // Devices' passwords, daily keys and the like of a whole house.
    expect(secrets.size).toBeGreaterThan(60);
    // Asked the other way round the message would print what it must not.
    expect([...secrets].filter((secret) => log.includes(secret)).length, "secrets in the log").toBe(0);
    expect([...secrets].filter((secret) => bundle.includes(secret)).length, "secrets in the bundle").toBe(0);

    const { people } = z.object({ people: z.array(z.record(z.string(), z.unknown())) }).parse(yaml);
    const names = collect(people, personField, new Set<string>());
    expect(names).toContain("Hugo Silva");
    expect([...names].filter((name) => bundle.includes(name))).toEqual([]);
    expect([...names].filter((name) => log.includes(name))).toEqual([]);
    // What is looked for is in there, under another name.
    expect(bundle).toMatch(/still lets person-[0-9a-f]{8} in/);
  }, 60_000);
});
