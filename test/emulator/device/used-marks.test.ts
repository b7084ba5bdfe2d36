import { describe, expect, it } from "vitest";
import { MemoryFlash } from "../../../emulator/device/flash.ts";
import { LockStore } from "../../../emulator/device/lock-store.ts";
import { USED_SLOTS_LIMIT, USES_KEPT_LIMIT, UsedMarks } from "../../../emulator/device/used-marks.ts";
import { policyOf } from "../../world/sync-pair.ts";

const used = (nth: number) => ({ kind: "daily-code-used", name: `1/20000/single-use/${nth}` }) as const;
const spent = (nth: number) =>
  ({ kind: "use-spent", credentialId: `credential-with-a-long-id-${String(nth).padStart(6, "0")}`, spent: 1 }) as const;

describe("marks beyond what a lock has room for", () => {
  it("[L13] a lock without the authority's time that has no room for one more takes no single-use code, and does not stop", () => {
    const flash = new MemoryFlash();
    const marks = new UsedMarks(new LockStore(flash));
    marks.keep(Array.from({ length: USED_SLOTS_LIMIT }, (_, nth) => used(nth)));
    expect(marks.areSlotsLost).toBe(false);
    marks.keep([used(USED_SLOTS_LIMIT)]);
    expect(marks.usedSlots.has("1/20001/single-use/0")).toBe(true);
    expect(new UsedMarks(new LockStore(flash)).areSlotsLost).toBe(true);
  });

  it("[L14] uses of credentials that are gone are forgotten when there is no room beside those that are here", () => {
    const flash = new MemoryFlash();
    const marks = new UsedMarks(new LockStore(flash));
    const policy = policyOf(1, 10);
    const [here] = policy.credentials.map(({ id }) => id);
    expect(here).toBeDefined();
    marks.keep([{ kind: "use-spent", credentialId: here ?? "", spent: 3 }]);
    marks.keep(Array.from({ length: USES_KEPT_LIMIT - 20 }, (_, nth) => spent(nth)));
    marks.policyHeld(policy);
    expect(marks.usesSpent.size).toBe(USES_KEPT_LIMIT - 19);
    marks.keep(Array.from({ length: 19 }, (_, nth) => spent(USES_KEPT_LIMIT + nth)));
    marks.policyHeld(policy);
    expect([...marks.usesSpent]).toEqual([[here, 3]]);
  });
});
