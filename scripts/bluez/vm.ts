/** Packs our sources for the virtual machine, boots it under QEMU's software emulation, and gives what it said, in time or not. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { untilExit } from "./lines.ts";

export interface MachineOptions {
  readonly kernel: string;
  /** Uncompressed cpio archive that our own files are appended to. */
  readonly root: string;
  readonly processors: 1 | 2;
  readonly limitSeconds: number;
  readonly onLine: (text: string) => void;
}

export interface MachineRun {
  readonly end: "powered-off" | "interrupted" | "out-of-time" | "not-started";
  readonly packMs: number;
  readonly runMs: number;
  /** The end of what the kernel and the programs in there told people. */
  readonly console: string;
}

/** Runs the machine once. Leaves nothing behind. */
export async function runMachine(options: MachineOptions): Promise<MachineRun> {
  const directory = await mkdtemp(join(tmpdir(), "doorlink-bluez-"));
  try {
    const packStartedAt = performance.now();
    const initrd = await packRoot(directory, options.root);
    const packMs = performance.now() - packStartedAt;
    const consolePath = join(directory, "console.log");
    const runStartedAt = performance.now();
    const end = await boot({ ...options, root: initrd }, consolePath);
    const told = await readFile(consolePath, "latin1").catch(() => "");
    return { end, packMs, runMs: performance.now() - runStartedAt, console: told.slice(-CONSOLE_LIMIT_CHARACTERS) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The kernel unpacks archives that follow each other in one file, so the large one is made once and ours each time. */
async function packRoot(directory: string, root: string): Promise<string> {
  const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const files = join(directory, "files");
  await mkdir(join(files, "app"), { recursive: true });
  await build({
    entryPoints: [here("./courier.ts"), here("./lock.ts")],
    outdir: join(files, "app"),
    outExtension: { ".js": ".cjs" },
    bundle: true,
    minify: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    // node-ble's D-Bus library asks for them only where a session bus is found through X11 or file descriptors are passed.
    external: ["x11", "usocket"],
    logLevel: "error",
  });
  const names = "app\napp/courier.cjs\napp/lock.cjs\n";
  const packed = spawnSync("cpio", ["--quiet", "-o", "-H", "newc"], {
    cwd: files,
    input: names,
    maxBuffer: ARCHIVE_LIMIT_BYTES,
  });
  if (packed.status !== 0) throw new Error(`cpio failed: ${String(packed.stderr)}`);
  const initrd = join(directory, "root.cpio");
  await pipeline(createReadStream(root), createWriteStream(initrd));
  await pipeline([packed.stdout], createWriteStream(initrd, { flags: "a" }));
  return initrd;
}

async function boot(options: MachineOptions, consolePath: string): Promise<MachineRun["end"]> {
  const { limitSeconds, onLine } = options;
  // `timeout` holds the deadline even when we are killed ourselves and cannot.
  const child = spawn(
    "timeout",
    ["--kill-after=2", String(limitSeconds), "qemu-system-x86_64", ...machineArguments(options, consolePath)],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let complaint = "";
  child.stderr.on("data", (chunk) => {
    complaint = (complaint + String(chunk)).slice(-CONSOLE_LIMIT_CHARACTERS);
  });
  createInterface({ input: child.stdout }).on("line", onLine);
  const isInterrupted = stopOnSignal(child);
  const failedToStart = new Promise<null>((resolve) => child.once("error", () => resolve(null)));
  const code = await Promise.race([untilExit(child, (limitSeconds + 5) * 1000), failedToStart]);
  if (isInterrupted()) return "interrupted";
  if (code === 0) return "powered-off";
  if (code === TIMEOUT_EXIT_CODE) return "out-of-time";
  process.stderr.write(complaint);
  return "not-started";
}

function machineArguments({ kernel, root, processors }: MachineOptions, consolePath: string): readonly string[] {
  return [
    // No KVM: it may open and yet run no guest, and CI machines have none.
    ...["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", String(processors), "-m", "768"],
    ...["-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none"],
    ...["-serial", `file:${consolePath}`, "-serial", "stdio"],
    ...["-kernel", kernel, "-initrd", root],
    ...["-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on"],
  ];
}

function stopOnSignal(child: ChildProcess): () => boolean {
  let isInterrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      isInterrupted = true;
      child.kill("SIGTERM");
    });
  }
  return () => isInterrupted;
}

const TIMEOUT_EXIT_CODE = 124;
const CONSOLE_LIMIT_CHARACTERS = 20_000;
/** Both bundles take two million bytes. */
const ARCHIVE_LIMIT_BYTES = 64 * 1024 * 1024;
