/**
 * What this machine tells of itself, read from files alone: temperature, supply voltage and throttling, time source, memory, uptime; and
 * the free space where the state lies. A file that is not there, or says something else than it should, is null: nothing is guessed
 * and nothing here throws. `root` stands for `/`, so that tests can show other machines.
 *
 * Sources: the kernel's Documentation/ABI/testing/sysfs-class-thermal and sysfs-class-hwmon; drivers/firmware/raspberrypi.c
 * (`get_throttled`, hexadecimal; bits by the firmware's `vcgencmd get_throttled`); systemd-timesyncd.service(8) (`/run/systemd/timesync`);
 * chrony.conf(5) (`driftfile`).
 */
import { readdir, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";

export interface MachineFacts {
  /** Of the processor, degrees Celsius. */
  readonly temperatureCelsius: number | null;
  readonly power: PowerFacts;
  readonly time: TimeFacts;
  readonly disk: SpaceFacts | null;
  readonly memory: SpaceFacts | null;
  readonly uptimeSeconds: number | null;
}

/** Each null where this machine does not tell. */
export interface PowerFacts {
  readonly underVoltage: boolean | null;
  readonly throttled: boolean | null;
  /** At any time since the machine started. */
  readonly underVoltageSinceBoot: boolean | null;
  readonly throttledSinceBoot: boolean | null;
}

export interface TimeFacts {
  /** Whether somebody keeps this clock right; null: not known. */
  readonly synchronised: boolean | null;
  readonly source: "systemd-timesyncd" | "chrony" | null;
}

export interface SpaceFacts {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export async function readMachineFacts(stateDir: string, root = "/"): Promise<MachineFacts> {
  const uptimeSeconds = await readUptime(root);
  const [temperatureCelsius, power, time, disk, memory] = await Promise.all([
    readTemperature(root),
    readPower(root),
    readTime(root, uptimeSeconds),
    readDisk(stateDir),
    readMemory(root),
  ]);
  return { temperatureCelsius, power, time, disk, memory, uptimeSeconds };
}

export const unknownPower: PowerFacts = {
  underVoltage: null,
  throttled: null,
  underVoltageSinceBoot: null,
  throttledSinceBoot: null,
};

/** The zone that names itself the processor's, else the hottest: what overheats first is what a person must know. */
async function readTemperature(root: string): Promise<number | null> {
  const folder = join(root, "sys/class/thermal");
  const zones = (await namesIn(folder)).filter((name) => name.startsWith("thermal_zone"));
  const readings = await Promise.all(
    zones.map(async (zone) => ({
      isProcessor: /cpu|soc|x86_pkg/.test((await textOf(join(folder, zone, "type"))) ?? ""),
      milli: integerOf(await textOf(join(folder, zone, "temp"))),
    })),
  );
  const known = readings.flatMap(({ isProcessor, milli }) =>
    milli !== null && Math.abs(milli) <= SANE_MILLIDEGREES ? [{ isProcessor, milli }] : [],
  );
  const chosen = known.some(({ isProcessor }) => isProcessor) ? known.filter(({ isProcessor }) => isProcessor) : known;
  return chosen.length === 0 ? null : Math.max(...chosen.map(({ milli }) => milli)) / 1000;
}

/** A Raspberry Pi's firmware says all four; where its file is missing, the kernel's voltage alarm says one. */
async function readPower(root: string): Promise<PowerFacts> {
  for (const path of await throttledFiles(root)) {
    const text = await textOf(path);
    if (text === null || !/^(0x)?[0-9a-f]{1,8}$/i.test(text)) continue;
    const bits = Number.parseInt(text.replace(/^0x/i, ""), 16);
    const has = (mask: number): boolean => (bits & mask) !== 0;
    return {
      underVoltage: has(UNDER_VOLTAGE),
      throttled: has(THROTTLED),
      underVoltageSinceBoot: has(UNDER_VOLTAGE << SINCE_BOOT_SHIFT),
      throttledSinceBoot: has(THROTTLED << SINCE_BOOT_SHIFT),
    };
  }
  const alarm = await readVoltageAlarm(root);
  return { ...unknownPower, underVoltage: alarm };
}

/** `soc/soc:firmware/get_throttled` on a Pi 3 and 4; later ones name the bus by its address. */
async function throttledFiles(root: string): Promise<readonly string[]> {
  const platform = join(root, "sys/devices/platform");
  const buses = (await namesIn(platform)).filter((name) => name === "soc" || name.startsWith("soc@"));
  const paths = await Promise.all(
    buses.map(async (bus) => {
      const firmware = (await namesIn(join(platform, bus))).filter((name) => name.includes("firmware"));
      return firmware.map((name) => join(platform, bus, name, "get_throttled"));
    }),
  );
  return paths.flat();
}

async function readVoltageAlarm(root: string): Promise<boolean | null> {
  const folder = join(root, "sys/class/hwmon");
  for (const name of await namesIn(folder)) {
    if ((await textOf(join(folder, name, "name"))) !== "rpi_volt") continue;
    const alarm = await textOf(join(folder, name, "in0_lcrit_alarm"));
    if (alarm === "0" || alarm === "1") return alarm === "1";
  }
  return null;
}

/**
 * timesyncd touches `synchronized` when it has set the clock. chrony has no such file; it writes its drift file once it has measured one, so
 * a drift file from after the start says yes, and an older one leaves it open. Node reads no adjtimex().
 */
async function readTime(root: string, uptimeSeconds: number | null): Promise<TimeFacts> {
  const timesync = join(root, "run/systemd/timesync");
  if (await isThere(join(timesync, "synchronized"))) return { synchronised: true, source: "systemd-timesyncd" };
  if (await isThere(join(root, "run/chrony/chronyd.pid"))) {
    const driftAgeMs = await ageOf(join(root, "var/lib/chrony/chrony.drift"), join(root, "var/lib/chrony/drift"));
    const isFresh = driftAgeMs !== null && uptimeSeconds !== null && driftAgeMs < uptimeSeconds * 1000;
    return { synchronised: isFresh ? true : null, source: "chrony" };
  }
  return (await isThere(timesync))
    ? { synchronised: false, source: "systemd-timesyncd" }
    : { synchronised: null, source: null };
}

async function readDisk(stateDir: string): Promise<SpaceFacts | null> {
  try {
    const { bavail, blocks, bsize } = await statfs(stateDir);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    // No such folder, or a file system that does not tell: not known.
    return null;
  }
}

async function readMemory(root: string): Promise<SpaceFacts | null> {
  const text = (await textOf(join(root, "proc/meminfo"))) ?? "";
  const kilobytes = (name: string): number | null =>
    integerOf(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(text)?.[1] ?? null);
  const [total, available] = [kilobytes("MemTotal"), kilobytes("MemAvailable")];
  return total === null || available === null ? null : { freeBytes: available * 1024, totalBytes: total * 1024 };
}

async function readUptime(root: string): Promise<number | null> {
  const first = /^([0-9]{1,12})(\.[0-9]+)? /.exec(`${await textOf(join(root, "proc/uptime"))} `)?.[1];
  return integerOf(first ?? null);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  // Not there, or not for this user: nothing is known of what would be in it.
  return (await readdir(folder).catch(() => [])).sort();
}

async function textOf(path: string): Promise<string | null> {
  try {
    return (await readFile(path, "utf8")).slice(0, FILE_LIMIT_CHARACTERS).trim();
  } catch {
    // Not there, not for this user, or the device behind it did not answer: not known.
    return null;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Of the first of these that is there. */
async function ageOf(...paths: readonly string[]): Promise<number | null> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) return Math.max(0, Date.now() - found.mtimeMs);
  }
  return null;
}

function integerOf(text: string | null): number | null {
  return text !== null && /^-?[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

const UNDER_VOLTAGE = 1 << 0;
const THROTTLED = 1 << 2;
const SINCE_BOOT_SHIFT = 16;
/** A sensor that says more is not connected. */
const SANE_MILLIDEGREES = 200_000;
const FILE_LIMIT_CHARACTERS = 16 * 1024;
