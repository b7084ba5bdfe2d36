import { describe, expect, it } from "vitest";
import { createAgentClient } from "../../../agent/commands/agent-client.ts";
import { type IsSure, runPersonErase } from "../../../agent/commands/person-erase.ts";
import { openHttpServer } from "../../../agent/http/listen.ts";
import { utf8 } from "../../../protocol/base/bytes.ts";
import type { DeviceId } from "../../../protocol/base/units.ts";
import { startGateway, tellSite } from "../../world/gateway-builder.ts";

const device = "panel-r20" as DeviceId;

async function run(isSure: IsSure, person = "bob", json = false) {
  const world = await startGateway({ automatic: false });
  await tellSite(world);
  const at = { unixSeconds: null, quality: "unset" };
  const events = [{ boot: 1, sequence: 1, at, kind: "access-granted", person: "bob" }];
  await world.gateway.intake.take(device, "event", utf8(JSON.stringify({ v: 1, device, events })));
  const server = await openHttpServer(0, world);
  let written = "";
  const write = (text: string): void => {
    written += text;
  };
  const client = createAgentClient(`http://127.0.0.1:${server.port}`);
  try {
    const exitCode = await runPersonErase({ person }, { client, json, write, warn: write }, isSure);
    return { exitCode, written, shown: JSON.stringify((await world.store.readLog({ limit: 10 })).events) };
  } finally {
    await server.close();
  }
}

describe("doorlink person erase", () => {
  it("[M30] asks first, and erases nothing without a yes", async () => {
    const asked: string[] = [];
    const no = await run(async (question) => {
      asked.push(question);
      return false;
    });
    expect(no).toMatchObject({ exitCode: 1, written: "doorlink: nothing was erased\n" });
    expect(no.shown).toContain("bob");
    expect(asked).toEqual(["Erase bob from this gateway's door log and documents? This cannot be undone."]);
    const nobody = await run(async () => undefined);
    expect(nobody.exitCode).toBe(2);
    expect(nobody.written).toContain("--yes");
    expect(nobody.shown).toContain("bob");
  });

  it("[M30] says what was erased, what waits, and that the authority's record stays", async () => {
    const done = await run(async () => true);
    expect(done.exitCode).toBe(0);
    expect(done.shown).not.toContain("bob");
    expect(done.written).toBe(
      "erased    0 entries of the door log, and every document\n" +
        "waiting   1 entries until the authority has them; they are not shown any more\n" +
        "authority its own record stays: ask for the erasure there too\n",
    );
    const json = await run(async () => true, "bob", true);
    expect(JSON.parse(json.written)).toEqual({ events: 0, waiting: 1, signed: 0 });
  });

  it("a name that is no id is the caller's mistake", async () => {
    expect((await run(async () => true, "Bob Boone")).exitCode).toBe(2);
  });
});
