/** The versions of what is under the agent, for a diagnostic archive; each null where it cannot be read. */
import { readFile } from "node:fs/promises";
import { arch, cpus, release, totalmem } from "node:os";
import { join } from "node:path";

export interface SystemFacts {
  readonly node: string;
  readonly kernel: string;
  readonly architecture: string;
  readonly processor: string | null;
  readonly memoryBytes: number;
  /** Such as `Debian GNU/Linux 12 (bookworm)`. */
  readonly distribution: string | null;
  /** Such as `Raspberry Pi 4 Model B Rev 1.5`. */
  readonly board: string | null;
  /** By Debian's package list. */
  readonly packages: Readonly<Record<string, string | null>>;
}

export async function readSystemFacts(root = "/"): Promise<SystemFacts> {
  const textOf = (path: string): Promise<string> => readFile(join(root, path), "utf8").catch(() => "");
  const [osRelease, model, packages] = await Promise.all([
    textOf("etc/os-release"),
    textOf("proc/device-tree/model"),
    textOf("var/lib/dpkg/status"),
  ]);
  return {
    node: process.version,
    kernel: release(),
    architecture: arch(),
    processor: cpus()[0]?.model ?? null,
    memoryBytes: totalmem(),
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? null,
    board: model === "" ? null : model.replaceAll("\0", "").trim(),
    packages: Object.fromEntries(shownPackages.map((name) => [name, versionIn(packages, name)])),
  };
}

function versionIn(status: string, name: string): string | null {
  const entry = status.split("\n\n").find((each) => each.startsWith(`Package: ${name}\n`));
  return /^Version: (.{1,100})$/m.exec(entry ?? "")?.[1] ?? null;
}

const shownPackages = ["bluez", "dbus", "systemd", "mosquitto", "nats-server", "chrony", "systemd-timesyncd"];
