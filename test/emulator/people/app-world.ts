/**
 * A cloud that listens, two locks that it paired, and phones, on one stepped clock: what the app's scenarios need. HTTP is real,
 * the air and the days are not.
 */
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { LockFirmware } from "../../../emulator/device/lock.ts";
import { LockHost } from "../../../emulator/device/lock-host.ts";
import { Handsets } from "../../../emulator/people/handsets.ts";
import { seededRandom } from "../../../emulator/world/random.ts";
import type { WorldPhone } from "../../../emulator/world/site-file.ts";
import { unixSeconds } from "../../../protocol/base/units.ts";
import { x25519PublicKey } from "../../../protocol/crypto.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { answerTime, issueCourierCertificate } from "../../../protocol/sync/authority.ts";
import { CourierSync } from "../../../protocol/sync/courier-sync.ts";
import { LockSync } from "../../../protocol/sync/lock-sync.ts";
import { deviceId, startCloud } from "../cloud/fixture.ts";

export const phone = (id: string, person: string, os: string): WorldPhone => ({
  id,
  person,
  model: "a phone",
  os,
  app: { installed: true, version: "5.4.0", notifications: true, hiddenOptions: [] },
  doNotDisturb: false,
});

export const phones = [
  phone("alice-phone", "alice", "iOS 18"),
  phone("bob-phone", "bob", "Android 15"),
  phone("carl-phone", "carl", "KaiOS 3"),
];

export type AppWorld = Awaited<ReturnType<typeof startAppWorld>>;

/** `site` and `morePhones` instead of and beside those of the fixture. */
export async function startAppWorld({
  site,
  morePhones = [],
}: {
  readonly site?: string;
  readonly morePhones?: readonly WorldPhone[];
} = {}) {
  const { cloud, clock } = await startCloud(site === undefined ? {} : { site });
  const cloudUrl = await cloud.http.listen({ host: "127.0.0.1", port: 0 });
  const stopping = new AbortController();
  const handsets = new Handsets({
    phones: [...phones, ...morePhones],
    cloudUrl,
    seed: 1,
    clock,
    signal: stopping.signal,
    pause: (ms) => new Promise((resolve) => void clock.after(ms, resolve)),
  });
  for (const each of [...phones, ...morePhones]) handsets.accountOn(each);
  const locks = { lobby: hostLock("lobby-lock"), garage: hostLock("garage-lock") };

  function hostLock(id: "lobby-lock" | "garage-lock"): LockHost {
    const device = deviceId(id);
    const random = seededRandom(7, id);
    const staticPrivateKey = random.bytes(32);
    const firmware = new LockFirmware(
      {
        device,
        model: modelByName[id === "lobby-lock" ? "C2" : "M2"],
        firmware: "2.3.1",
        hardware: "rev-c",
        door: "communal",
        driftPpm: 0,
        battery: undefined,
        factoryKey: staticPrivateKey,
      },
      new MemoryFlash(),
      clock.monotonicMs(),
    );
    const address = "C0:FF:EE:00:00:02";
    const staticPublicKey = x25519PublicKey(staticPrivateKey);
    const paired = cloud.authority.pairLock({ device, staticPublicKey, address });
    if (!paired.ok) throw new Error(paired.fault.code);
    const host = new LockHost({
      firmware,
      address,
      clock,
      random: (length) => random.bytes(length),
      onChange: () => undefined,
      onTimeout: () => undefined,
      onVisit: () => undefined,
    });
    const { pairingId, root, keyset, dailyKeys, keyEpoch } = paired.value;
    const keys = dailyKeys.map(({ key }) => ({ keyId: keyEpoch, key }));
    host.pair({ pairingId, root, keyset, dailyKeys: keys }, clock.nowMs());
    return host;
  }

  /** A courier brings the lock the time and what the cloud wants it to hold. Gives the lock's report, for who brings it back. */
  function sync(host: LockHost): { readonly report: Uint8Array; readonly mac: Uint8Array } | undefined {
    const { firmware } = host;
    const { authority } = cloud;
    const { device } = firmware.hardware;
    const [policy, [known], pairing] = [
      authority.state.policies[device],
      authority.pairingsOf(device),
      firmware.pairing,
    ];
    if (policy === undefined || known === undefined || pairing === undefined) throw new Error("nothing to sync");
    const { roles } = authority;
    const { pairingId } = pairing;
    const courierPublicKey = x25519PublicKey(new Uint8Array(32).fill(2));
    const certificate = issueCourierCertificate(roles, {
      staticPublicKey: courierPublicKey,
      holder: "gateway-main",
      role: "courier",
      locks: [],
      notAfter: unixSeconds(clock.nowMs() / 1000 + 3_600),
    });
    const { epoch, version } = policy;
    const bundles = authority.bundles.of(roles, known, policy);
    const courier = new CourierSync({ certificate, policy: { epoch, version, bundles }, logFrom: 1 });
    const lock = new LockSync(pairing, courierPublicKey, new Uint8Array(16).fill(4));
    let reported: ReturnType<typeof sync>;
    for (let moved = true; moved; ) {
      moved = false;
      for (const event of courier.takeEvents()) {
        moved = true;
        if (event.kind === "time-wanted") {
          const { nonce } = event;
          courier.provideTime(answerTime(roles, { pairingId, nonce, unixMs: clock.nowMs(), radiusMs: 1 }));
        } else if (event.kind === "entries") courier.entriesStored();
        else if (event.kind === "report") reported = event;
        else if (event.kind === "refused") throw new Error(event.refusal);
      }
      for (const message of courier.takeMessages()) {
        moved = true;
        lock.receive(message, firmware.facts(clock.monotonicMs()), clock.monotonicMs());
        for (const action of lock.takeActions()) firmware.perform(action, lock, clock.monotonicMs());
      }
      for (const answer of lock.takeMessages()) courier.receive(answer);
    }
    return reported;
  }

  /** Lets the clock run by little steps while something real is under way. */
  async function whileRunning<Value>(work: Promise<Value>): Promise<Value> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    while (!done) {
      clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return settled;
  }

  return {
    cloud,
    cloudUrl,
    clock,
    handsets,
    locks,
    sync,
    whileRunning,
    peripheral: (host: LockHost) => ({ device: host.firmware.hardware.device, peripheral: host.peripheral }),
    /** `on`: another phone than the person's own. */
    carry: (
      person: string,
      host: LockHost,
      { on, isOffline }: { readonly on?: string; readonly isOffline?: boolean } = {},
    ) =>
      whileRunning(
        handsets.sync(
          person,
          { device: host.firmware.hardware.device, peripheral: host.peripheral },
          { phone: on, isOffline },
        ),
      ),
    open: (person: string, host: LockHost, on?: string) =>
      whileRunning(handsets.open(person, { device: host.firmware.hardware.device, peripheral: host.peripheral }, on)),
    resetPassword: async (person: string) => {
      const answer = await fetch(`${cloudUrl}/api/people/${person}/password-reset`, { method: "POST" });
      return { status: answer.status, body: (await answer.json()) as unknown };
    },
    hours: (count: number) => clock.advance(count * 3_600_000),
    stop: async () => {
      stopping.abort();
      for (const host of Object.values(locks)) host.stop();
      await cloud.close();
    },
  };
}
