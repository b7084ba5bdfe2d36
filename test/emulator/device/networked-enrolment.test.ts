/** An emulated networked device that enrols for real: TLS, a claim string, its own key, renewal, and who it is after a restart. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CertificateRenewal } from "../../../emulator/device/certificate-renewal.ts";
import { claimCertificate } from "../../../emulator/device/claim-visit.ts";
import { Enrolling } from "../../../emulator/device/enrolling.ts";
import { EventJournal } from "../../../emulator/device/event-journal.ts";
import { MqttLink } from "../../../emulator/device/mqtt-link.ts";
import { formatClaim, parseClaim } from "../../../protocol/wire/claim-string.ts";
import { EnrolmentBench, newKey, otherPanelId, panelId, until } from "../../world/enrolment-bench.ts";
import { site } from "../../world/gateway-builder.ts";

let bench: EnrolmentBench;
let links: MqttLink[];
beforeEach(async () => {
  bench = await new EnrolmentBench().open();
  links = [];
});
afterEach(async () => {
  for (const link of links) await link.stop();
  await bench.close();
});

function linkOf(renewal: CertificateRenewal, events: string[] = []): MqttLink {
  const { clock } = bench;
  const link = new MqttLink({
    ...{ url: bench.url, site, device: panelId, password: null, renewal, clock, jitter: () => 0 },
    journal: new EventJournal(join(bench.folder, "journal")),
    birth: () => ({
      v: 1,
      device: panelId,
      model: "R20",
      bootCount: 1,
      serial: "R20-7714",
      firmware: null,
      hardware: "1",
    }),
    health: () => ({
      ...{ v: 1, device: panelId, battery: null, firmware: null, firmwareVerdict: null, clock: null },
      ...{ uptimeSeconds: 1, bootCount: 1, lastSyncAt: null, at: 1 },
    }),
    reported: () => undefined,
    onDesired: () => undefined,
    onUnlock: () => [],
    onChange: ({ connected }) => events.push(connected ? "online" : "offline"),
  });
  links.push(link);
  return link;
}

describe("an emulated networked device", () => {
  it("[I7] [I2] makes its own key, gets its certificate for a claim string, and is who it was after a restart", async () => {
    const identity = bench.identity();
    identity.takeClaim(await bench.openClaim());
    expect(await claimCertificate({ url: bench.url, identity, limitMs: 5_000 })).toEqual({
      ok: true,
      value: undefined,
    });
    const held = identity.held;
    expect(held).toMatchObject({ device: panelId, site });
    expect(identity.claim).toBeNull();
    const path = join(bench.folder, "device.identity.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    // The key is in the device's own memory and nowhere on the gateway.
    const keyBody = held?.key.split("\n")[1] ?? "none";
    expect(readFileSync(path, "utf8")).toContain(keyBody);
    expect(JSON.stringify([await bench.store.readDocuments("enrolment"), bench.logged])).not.toContain(keyBody);
    const again = bench.identity();
    expect(again.held).toEqual(held);
    const link = linkOf(new CertificateRenewal({ identity: again, clock: bench.clock, onAnswer: () => undefined }));
    link.start();
    await until(() => link.connected);
    expect(bench.broker.connected()).toEqual([panelId]);
  });

  it("[I7] an answer that was lost is asked for again with the same key, also after a restart", async () => {
    const claim = await bench.openClaim();
    const first = bench.identity();
    first.takeClaim(claim);
    const before = first.pendingKey().export({ format: "pem", type: "pkcs8" });
    const lost = await bench.claimDirectly(claim, first.pendingKey());
    const again = bench.identity();
    expect(again.pendingKey().export({ format: "pem", type: "pkcs8" })).toBe(before);
    expect((await claimCertificate({ url: bench.url, identity: again, limitMs: 5_000 })).ok).toBe(true);
    expect(bench.enrolments.enrolment(panelId)?.certificates).toHaveLength(1);
    expect(lost.state).toBe("issued");
  });

  it("[I2] says nothing to a gateway that is not the one of its claim string, nor to one of its devices", async () => {
    const parsed = parseClaim(await bench.openClaim());
    if (!parsed.ok) throw new Error();
    const identity = bench.identity();
    identity.takeClaim(formatClaim({ ...parsed.value, authorityHash: new Uint8Array(32).fill(9) }));
    const visit = { url: bench.url, identity, limitMs: 5_000 };
    expect(await claimCertificate(visit)).toEqual({ ok: false, fault: { code: "another-authority" } });
    expect(bench.enrolments.enrolment(panelId)?.claim?.tries).toBe(0);
    // A device of the same site that plays the gateway, with a certificate of the very root.
    const other = await bench.enrol(otherPanelId, "R29-1");
    let heard = 0;
    const chain = other.cert + bench.authority.certificatePem;
    const impostor = createTlsServer({ key: other.key, cert: chain }, (socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => {
        heard += 1;
      });
    });
    await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
    const address = impostor.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const second = bench.identity("second");
    second.takeClaim(formatClaim(parsed.value));
    const fooled = await claimCertificate({ url: `mqtts://127.0.0.1:${port}`, identity: second, limitMs: 5_000 });
    expect(fooled).toEqual({ ok: false, fault: { code: "another-authority" } });
    expect(heard).toBe(0);
    await new Promise<void>((resolve) => impostor.close(() => resolve()));
  });

  it("[I8] renews over its own connection when two thirds are over, and comes back with the new certificate", async () => {
    const identity = bench.identity();
    identity.takeClaim(await bench.openClaim());
    await claimCertificate({ url: bench.url, identity, limitMs: 5_000 });
    const first = identity.held;
    const answers: (string | undefined)[] = [];
    const events: string[] = [];
    const renewal = new CertificateRenewal({ identity, clock: bench.clock, onAnswer: (fault) => answers.push(fault) });
    const link = linkOf(renewal, events);
    link.start();
    await until(() => link.connected);
    link.renewIfDue();
    bench.clock.turnTo((first?.renewAt ?? 0) * 1000 + 60_000);
    link.renewIfDue();
    await until(() => answers.length > 0);
    expect(answers).toEqual([undefined]);
    expect(identity.held?.certificate).not.toBe(first?.certificate);
    expect(identity.held?.key).not.toBe(first?.key);
    bench.broker.disconnect(panelId);
    await until(() => events.filter((event) => event === "online").length === 2);
    expect(bench.enrolments.enrolment(panelId)?.certificates).toHaveLength(2);
  });

  it("[I7] waits for a claim, asks again after what passes, and gives up on what will not", async () => {
    const identity = bench.identity();
    const faults: string[] = [];
    let enrolled = 0;
    const enrolling = new Enrolling({
      ...{ url: bench.url, identity, clock: bench.clock, jitter: () => 0 },
      onEnrolled: () => {
        enrolled += 1;
      },
      onFault: (code) => faults.push(code),
    });
    // Without a claim it has nothing to ask with.
    enrolling.start();
    const claim = await bench.openClaim();
    bench.systemClock = "not-synchronised";
    identity.takeClaim(claim);
    enrolling.start();
    await until(() => faults.length === 1);
    expect(faults).toEqual(["clock-not-trusted"]);
    bench.systemClock = "synchronised";
    bench.clock.fire(60_000);
    await until(() => enrolled === 1);
    // A claim that another key has used.
    const used = await bench.openClaim();
    await bench.claimDirectly(used, newKey());
    identity.takeClaim(used);
    enrolling.start();
    await until(() => faults.length === 2);
    expect(faults[1]).toBe("claim-used");
    expect(identity.held).not.toBeNull();
    enrolling.stop();
  });
});
