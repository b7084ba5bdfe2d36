/** Other machines as trees of files: what each tells of itself, and what it does not. */
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readMachineFacts, unknownPower } from "../../../agent/machine/machine-facts.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "doorlink-machine-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

const read = () => readMachineFacts(root, root);
const throttled = "sys/devices/platform/soc/soc:firmware/get_throttled";

describe("a machine's word on itself", () => {
  it("[G30] a machine without any of these files is all unknown, and never zero", async () => {
    expect(await readMachineFacts(join(root, "not-there"), root)).toEqual({
      temperatureCelsius: null,
      power: unknownPower,
      time: { synchronised: null, source: null },
      disk: null,
      memory: null,
      uptimeSeconds: null,
    });
  });

  it("[G30] a Raspberry Pi 4", async () => {
    await write({
      "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
      "sys/class/thermal/thermal_zone0/temp": "48212\n",
      [throttled]: "50005\n",
      "run/systemd/timesync/synchronized": "",
      "proc/uptime": "90123.45 350000.00\n",
      "proc/meminfo": "MemTotal:        3884352 kB\nMemFree:          100000 kB\nMemAvailable:    3000000 kB\n",
    });
    const facts = await read();
    expect(facts).toMatchObject({
      temperatureCelsius: 48.212,
      power: { underVoltage: true, throttled: true, underVoltageSinceBoot: true, throttledSinceBoot: true },
      time: { synchronised: true, source: "systemd-timesyncd" },
      memory: { freeBytes: 3_000_000 * 1024, totalBytes: 3_884_352 * 1024 },
      uptimeSeconds: 90_123,
    });
    expect(facts.disk?.freeBytes).toBeGreaterThan(0);
  });

  it.each([
    ["0", [false, false, false, false]],
    ["10000", [false, false, true, false]],
    ["0x40000", [false, false, false, true]],
    ["1", [true, false, false, false]],
    ["4", [false, true, false, false]],
    ["", [null, null, null, null]],
    ["no such thing", [null, null, null, null]],
    ["fffffffff", [null, null, null, null]],
  ])("[G30] get_throttled %j", async (text, expected) => {
    await write({ [throttled]: `${text}\n` });
    const { underVoltage, throttled: slowed, underVoltageSinceBoot, throttledSinceBoot } = (await read()).power;
    expect([underVoltage, slowed, underVoltageSinceBoot, throttledSinceBoot]).toEqual(expected);
  });

  it("[G30] a Pi 5 names its bus by the address", async () => {
    await write({ "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0\n" });
    expect((await read()).power.underVoltage).toBe(false);
  });

  it.each([
    ["1", true],
    ["0", false],
    ["x", null],
  ])("[G30] only the kernel's voltage alarm is there: %s", async (alarm, underVoltage) => {
    await write({
      "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
      "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
      "sys/class/hwmon/hwmon1/in0_lcrit_alarm": `${alarm}\n`,
    });
    expect((await read()).power).toEqual({ ...unknownPower, underVoltage });
  });

  it("[G30] the processor's zone counts; without one the hottest; a sensor that is not connected does not", async () => {
    await write({
      "sys/class/thermal/thermal_zone0/type": "acpitz\n",
      "sys/class/thermal/thermal_zone0/temp": "61000\n",
      "sys/class/thermal/thermal_zone1/type": "wifi\n",
      "sys/class/thermal/thermal_zone1/temp": "70000\n",
      "sys/class/thermal/thermal_zone2/temp": "-274000\n",
      "sys/class/thermal/thermal_zone3/temp": "none\n",
    });
    expect((await read()).temperatureCelsius).toBe(70);
    await write({
      "sys/class/thermal/thermal_zone4/type": "x86_pkg_temp\n",
      "sys/class/thermal/thermal_zone4/temp": "55000\n",
    });
    expect((await read()).temperatureCelsius).toBe(55);
  });

  it("[G30] timesyncd that runs and has not set the clock yet", async () => {
    await write({ "run/systemd/timesync/other": "" });
    expect((await read()).time).toEqual({ synchronised: false, source: "systemd-timesyncd" });
  });

  it("[G30] chrony: a drift measured since the start says yes, an older one leaves it open", async () => {
    await write({
      "run/chrony/chronyd.pid": "1\n",
      "var/lib/chrony/chrony.drift": "1 2\n",
      "proc/uptime": "3600.00 1\n",
    });
    expect((await read()).time).toEqual({ synchronised: true, source: "chrony" });
    const old = new Date(Date.now() - 7_200_000);
    await utimes(join(root, "var/lib/chrony/chrony.drift"), old, old);
    expect((await read()).time).toEqual({ synchronised: null, source: "chrony" });
  });

  it("[G30] the machine that runs this test answers without a throw", async () => {
    const facts = await readMachineFacts(".");
    expect(facts.disk?.totalBytes).toBeGreaterThan(0);
  });
});
