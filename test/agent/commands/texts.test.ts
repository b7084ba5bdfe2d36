/** What the commands show to people, from fixed answers of the agent. */
import { describe, expect, it } from "vitest";
import { createAgentClient } from "../../../agent/commands/agent-client.ts";
import type { CommandContext } from "../../../agent/commands/command.ts";
import { runExposure } from "../../../agent/commands/exposure.ts";
import { runFirmware } from "../../../agent/commands/firmware.ts";
import { runLog } from "../../../agent/commands/log.ts";
import { ageText, alignRows, versionText } from "../../../agent/commands/output.ts";
import { runStatus } from "../../../agent/commands/status.ts";
import { type Patience, runSync } from "../../../agent/commands/sync.ts";
import { openHttpServer } from "../../../agent/http/listen.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { type GatewayWorld, lockDesired, lockId, site, startGateway, tellSite } from "../../world/gateway-builder.ts";

/** Nobody looks at the progress, and nobody stops the command. */
const patience = (): Patience => ({ progress: () => undefined, stop: new AbortController().signal });

async function withAgent(
  work: (context: CommandContext, world: GatewayWorld, written: () => string) => Promise<void>,
): Promise<void> {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  const server = await openHttpServer(0, world);
  let text = "";
  const write = (more: string): void => {
    text += more;
  };
  const context = {
    client: createAgentClient(`http://127.0.0.1:${server.port}`),
    json: false,
    write,
    warn: write,
  };
  try {
    await work(context, world, () => {
      const written = text;
      text = "";
      return written;
    });
  } finally {
    await server.close();
  }
}

describe("commands for people", () => {
  it("row 61: status, exposure and sync tell one story, and the exit codes go with it", () =>
    withAgent(async (context, world, written) => {
      const revocations = [{ person: "bob", since: world.clock.nowMs() / 1000 - 600, version: 2 }];
      world.upstream.say(`dl/1/${site}/${lockId}/desired`, lockDesired({ version: 2, revocations }));
      await world.clock.advance(0);
      expect(await runExposure(context)).toBe(1);
      expect(written()).toBe(
        "PERSON     LOCK     DOOR  WAS      SINCE (UTC)          FOR     THE LOCK HOLDS\n" +
          "Bob Boone  lock-c1  1A    revoked  2026-11-20 07:50:00  10 min  never reported\n",
      );
      expect(await runStatus(context)).toBe(1);
      const screen = written();
      expect(screen.split("\n").slice(0, 5)).toEqual([
        "Sync         lock-c1 (1A)      waits to be asked for: never-met   0 s     doorlink sync lock-c1",
        "Upgrade      panel-r20 (Gate)  firmware not known                 -       connect it to this gateway once",
        "Low battery  lock-c1 (1A)      battery not known                  -       read it by a visit: doorlink sync lock-c1",
        "Stickers     nothing",
        "Alerts       lock-c1 (1A)      still lets Bob Boone in (revoked)  10 min  doorlink sync lock-c1",
      ]);
      expect(screen).toMatch(/^machine +not measured$/m);
      expect(screen).toMatch(
        /^lock-c1 +C1 +1A +no +never +pending +never +\?\/2 +unknown +no floor known +Bob Boone$/m,
      );
      // The scripted lock reports version 1, so the visit goes through and the lock is still behind.
      expect(await runSync({ device: lockId }, context, patience())).toBe(1);
      expect(written()).toBe(
        "lock      lock-c1: pending\n" +
          "policy    none -> 1 (epoch 1)\n" +
          "clock     set, was off by 90.0 s\n" +
          "log       0 entries fetched\n" +
          "battery   71 % (5800 mV)\n" +
          "firmware  2.0.8\n" +
          "visit     0.9 s, 4096 bytes on the air\n" +
          "report    the lock's own, 2026-11-20 08:00:00 UTC\n",
      );
      expect(await runSync({ device: "nobody" }, context, patience())).toBe(2);
      expect(written()).toBe("doorlink: unknown-device\ndoorlink: doorlink status lists the locks of this gateway\n");
    }));

  it("rows 84-89: firmware is shown with its verdict, and what is not at its floor is a finding", () =>
    withAgent(async (context, _world, written) => {
      expect(await runFirmware(context)).toBe(1);
      expect(written()).toBe(
        "DEVICE      MODEL      REPORTED      AGE  FLOOR         VERDICT         SHORT CODES\n" +
          "lock-c1     C1         not reported  -    -             no floor known  unknown (2.0.7)\n" +
          "panel-r20   R20        not reported  -    320.30.12.16  unknown         -\n" +
          "lobby-link  DOOR Link  not reported  -    -             not applicable  -\n",
      );
    }));

  it("the log shows why, or that this firmware does not say", () =>
    withAgent(async (context, world, written) => {
      const device = "panel-r20" as DeviceId;
      const at = { unixSeconds: null, quality: "unset" };
      const birth = { v: 1, device, model: "R20", bootCount: 1, firmware: "320.30.12.15", hardware: null };
      await world.gateway.intake.take(device, "birth", utf8(JSON.stringify(birth)));
      const events = [{ boot: 1, sequence: 1, at, kind: "access-denied", person: "bob" }];
      await world.gateway.intake.take(device, "event", utf8(JSON.stringify({ v: 1, device, events })));
      expect(await runLog({ words: {}, limit: "50", csv: false }, context)).toBe(0);
      expect(written().split("\n")[1]).toBe(
        "2026-11-20 08:00:00  clock unset           panel-r20  1    Gate  access-denied  Bob Boone  (not reported by this firmware)  -",
      );
    }));

  it("columns line up and ages are in words", () => {
    expect(
      alignRows([
        ["a", "bb", "c"],
        ["aaa", "b", ""],
      ]),
    ).toBe("a    bb  c\naaa  b\n");
    expect([null, 0, 119, 120, 7_199, 7_200, 172_800].map(ageText)).toEqual([
      "never",
      "0 s",
      "119 s",
      "2 min",
      "119 min",
      "2 h",
      "2 d",
    ]);
  });

  it("a version that nobody signs is none", () => {
    expect([0, 1, 70_000].map((version) => versionText({ version }))).toEqual(["none", "1", "70000"]);
  });
});
