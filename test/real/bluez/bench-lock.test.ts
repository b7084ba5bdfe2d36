import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { type BenchLockSettings, startBenchLock } from "../../../emulator/bench-lock.ts";
import { benchPairing } from "../../../emulator/bench-pairing.ts";
import { bytesToBase64 } from "../../../protocol/base/bytes.ts";
import { parseDeviceId } from "../../../protocol/base/units.ts";
import { modelByName } from "../../../protocol/firmware/models.ts";
import { until } from "../radio/air.ts";
import { adapterAddress, BluezSide } from "./bluez-side.ts";

const benchDevice = parseDeviceId("bench-lock") ?? failHere();
const bond = benchPairing(7, benchDevice);

let stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

function settingsOn(side: BluezSide, changes: Partial<BenchLockSettings> = {}): BenchLockSettings {
  return {
    adapter: "hci0",
    model: modelByName.C1,
    device: benchDevice,
    door: "communal",
    seed: 7,
    stateFolder: undefined,
    cloudUrl: undefined,
    busAddress: side.address,
    ...changes,
  };
}

async function startSide(): Promise<BluezSide> {
  const side = await BluezSide.start();
  stops.push(() => side.stop());
  return side;
}

async function start(settings: BenchLockSettings) {
  const lines: Record<string, unknown>[] = [];
  const started = await startBenchLock(settings, (line) => lines.push({ ...line }));
  if (started.ok) stops.push(() => started.value.stop());
  return { started, lines };
}

/** A cloud that knows one answer. */
async function startCloud(answer: object): Promise<{ readonly url: string; readonly asked: unknown[] }> {
  const asked: unknown[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => {
      asked.push({ path: request.url, ...JSON.parse(body) });
      response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked };
}

describe("a lock on the bench", () => {
  it("says what a courier needs, and nothing secret", async () => {
    const { started, lines } = await start(settingsOn(await startSide()));
    expect(started.ok).toBe(true);
    expect(lines).toEqual([
      {
        ready: "lock",
        device: "bench-lock",
        model: "C1",
        adapter: "hci0",
        address: adapterAddress,
        staticPublicKey: bytesToBase64(bond.lockStaticPublicKey),
        pairingId: bytesToBase64(bond.record.pairingId),
        authority: { fromSeed: 7 },
        bootCount: 1,
        state: null,
      },
    ]);
  });

  it("obeys lines, and never says a typed code", async () => {
    const { started, lines } = await start(settingsOn(await startSide()));
    if (!started.ok) throw new Error(started.fault.code);
    const input = new PassThrough();
    const served = started.value.serve(input);
    input.write("type 8642097\ncard 0A1B2C3D\nstate\nopen sesame\ntype half-a-code\n\n");
    await until("all answered", () => lines.length === 6);
    expect(lines.slice(1)).toEqual(
      expect.arrayContaining([
        { event: "attempt", granted: false, reason: "CREDENTIAL_UNKNOWN", sequence: 2 },
        expect.objectContaining({ event: "state", epoch: 0, version: 0, stagedBytes: 0, clock: "set" }),
        expect.objectContaining({ event: "not-understood" }),
      ]),
    );
    expect(JSON.stringify(lines)).not.toMatch(/8642097|0A1B2C3D|sesame|half/);
    input.write("quit\n");
    expect(await served).toBeUndefined();
  });

  it("keeps its pairing and its log in its state folder", async () => {
    const stateFolder = await mkdtemp(join(tmpdir(), "doorlink-bench-"));
    stops.push(() => rm(stateFolder, { recursive: true, force: true }));
    const first = await start(settingsOn(await startSide(), { stateFolder }));
    if (!first.started.ok) throw new Error(first.started.fault.code);
    await first.started.value.stop();
    // Another authority is asked for, and the pairing that is there stays.
    const again = await start(settingsOn(await startSide(), { stateFolder, cloudUrl: "http://127.0.0.1:9" }));
    expect(again.lines[0]).toMatchObject({ bootCount: 2, pairingId: bytesToBase64(bond.record.pairingId) });
  });

  it("is paired by a cloud when one is named", async () => {
    const key = bytesToBase64(new Uint8Array(32).fill(9));
    const pairingId = bytesToBase64(new Uint8Array(16).fill(8));
    const { root, keyset } = benchPairing(8, benchDevice).record;
    const offered = { bytes: bytesToBase64(keyset.bytes), signature: bytesToBase64(keyset.signature) };
    const dailyKeys = [{ door: "lobby", key }];
    const cloud = await startCloud({
      pairingId,
      root: bytesToBase64(root),
      keyset: offered,
      dailyKeys,
      keyEpoch: 3,
      firstSequence: 1,
    });
    const { lines } = await start(settingsOn(await startSide(), { cloudUrl: cloud.url }));
    expect(lines[0]).toMatchObject({ ready: "lock", pairingId, authority: { cloud: cloud.url } });
    expect(cloud.asked).toEqual([
      {
        path: "/bench/pair",
        device: "bench-lock",
        staticPublicKey: bytesToBase64(bond.lockStaticPublicKey),
        address: adapterAddress,
      },
    ]);
  });

  it("leaves the air again when the cloud cannot be reached", async () => {
    const side = await startSide();
    const { started, lines } = await start(settingsOn(side, { cloudUrl: "http://127.0.0.1:9" }));
    expect(started).toMatchObject({ ok: false, fault: { code: "cloud-unreachable" } });
    expect([lines, side.calls]).toEqual([[], []]);
  });
});

function failHere(): never {
  throw new Error("bench-lock is a device id");
}
