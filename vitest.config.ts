import { defineConfig } from "vitest/config";

/** The packed install, and the longest tests with real programs: CI runs them beside the others, so that both cores have their share. */
const besideReal = ["packed", "demo", "row-72", "chaos-intake", "bench-store"].map(
  (name) => `test/real/${name}.test.ts`,
);

/**
 * Timeouts catch what hangs, they do not judge speed: the longest (whole pictures) takes 8 s on a busy 2-core machine.
 * Three projects. `fast` needs Node only and is what `npm run check` runs; `real` meets programs of the machine
 * (dbus-daemon, Mosquitto, Chromium) and whole processes; `packed` builds, packs and installs, so it runs by itself.
 */
export default defineConfig({
  test: {
    // Left alone, one of two cores would be kept free for a watcher that CI does not have.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "fast", include: ["test/**/*.test.ts"], exclude: ["test/real/**"], testTimeout: 30_000 },
      },
      {
        extends: true,
        test: {
          name: "real",
          include: ["test/real/**/*.test.ts"],
          exclude: besideReal,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Each of these files starts several processes; side by side on two cores they would miss their deadlines.
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: "packed",
          include: besideReal,
          testTimeout: 60_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
