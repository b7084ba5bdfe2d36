/** Run as a process of its own and killed: appends without end and prints each sequence once its promise was fulfilled. */
import { openSqliteStore } from "../../../agent/store/sqlite-store.ts";
import type { DeviceId, UnixMs } from "../../../protocol/base/units.ts";

const [path = "", start = "0"] = process.argv.slice(2);
const store = await openSqliteStore(path, () => process.exit(9));

/** Ten appends are always under way, so that the kill falls into a group as well as between two. */
async function appendFrom(first: number): Promise<void> {
  for (let sequence = first; ; sequence += 10) {
    const events = [{ boot: 1, sequence, body: "x".repeat(300) }];
    await store.appendEvents({ device: "lock-c1" as DeviceId, receivedAtMs: 0 as UnixMs, events });
    process.stdout.write(`${sequence}\n`);
  }
}
await Promise.all(Array.from({ length: 10 }, (_, lane) => appendFrom(Number(start) + lane)));
