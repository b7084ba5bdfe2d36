import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CheckoutHouse, post, runCommand, until } from "./checkout-house.ts";

/** Chromium as root on a machine without a network: the flags that keep it from trying to reach one. */
const chromiumFlags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

describe("the demo page in Chromium", () => {
  let house: CheckoutHouse;
  let browser: Browser;
  let page: Page;
  const pictures = mkdtempSync(join(tmpdir(), "doorlink-page-"));
  const complaints: string[] = [];

  beforeAll(async () => {
    house = await CheckoutHouse.create();
    await house.startCloud();
    await house.startSite();
    await house.startAgent();
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: chromiumFlags });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(house.siteUrl);
    await page.getByRole("heading", { name: "Maple Court" }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await house?.stopAll();
    rmSync(pictures, { recursive: true, force: true });
  });

  const card = (device: string) => page.locator(`[data-device="${device}"]`);
  const keypad = (device: string) => card(device).getByRole("group", { name: /Keypad/ });

  it("shows every door with its lock state, and a keypad for each offline lock", async () => {
    expect(await page.locator("[data-device]").count()).toBe(8);
    expect(await page.getByRole("group", { name: /Keypad/ }).count()).toBe(3);
    expect(await page.locator(".bolt").allTextContents()).toEqual(Array(8).fill("Locked"));
  });

  it("[G34] shows what needs a person in the groups of the gateway's own status", async () => {
    const groups = page.locator("#attention dt");
    await until("the agent's word", async () => (await page.locator("#attention li").count()) > 0);
    expect(await groups.allTextContents()).toEqual(["Sync", "Upgrade", "Low battery", "Stickers", "Alerts"]);
    const upgrades = page.locator("#attention div", { hasText: "Upgrade" }).locator("li");
    await until("the panel below its floor", async () =>
      (await upgrades.allTextContents()).some((text) => text.startsWith("garage-panel: 320.30.12.15 is below")),
    );
  });

  it("syncs a lock by its button, and says what the visit brought", async () => {
    await until("the agent's certificate and the visit", async () => {
      await card("lobby-lock").getByRole("button", { name: "Sync now" }).click();
      await card("lobby-lock")
        .getByText(/Synced in|The visit failed/)
        .waitFor();
      return (await card("lobby-lock").textContent())?.includes("Synced in") === true;
    });
    await card("lobby-lock").getByText("in sync", { exact: true }).waitFor();
    expect(await card("lobby-lock").textContent()).toMatch(/clock set by -4\d s/);
  });

  it("ticks what happened at a home as well, once the cloud has it: this page is the bench's, not a manager's", async () => {
    await page.locator("#try-person").selectOption({ label: "Chloe Martin" });
    await page.locator("#try-device").selectOption("apartment-2a-lock");
    await page.getByRole("button", { name: "Try the door" }).click();
    const line = page
      .locator("#log li", { hasText: /Chloe Martin .* at 2A lock|Chloe Martin .* opened 2A lock/ })
      .first();
    await line.waitFor();
    await until("the cloud's record", async () => {
      await card("apartment-2a-lock").getByRole("button", { name: "Sync now" }).click();
      return (await line.textContent())?.includes("✓") === true;
    });
  });

  it("wakes the keypad and types a wrong code with the mouse: the digits blink and the reason stands there", async () => {
    await keypad("lobby-lock").getByRole("button", { name: "5", exact: true }).click();
    await keypad("lobby-lock").getByText("Awake: type the code").waitFor();
    for (const digit of "1029384") await keypad("lobby-lock").getByRole("button", { name: digit, exact: true }).click();
    await keypad("lobby-lock").getByText("Denied: credential unknown").waitFor();
    await page.locator("#log").getByText("was denied at Lobby lock").first().waitFor();
  });

  it("goes from the sticker to an open door: photograph, directory, call, code, keyboard", async () => {
    await post(`${house.cloudUrl}/api/panels/lobby-link/rotate`, {});
    await until("the agent's panel list", async () => {
      const panels = await (await fetch(`${house.agentUrl}/api/panels`)).text();
      return panels.includes('"epoch":2');
    });
    const made = await runCommand("agent/front.js", [
      "sticker",
      "make",
      "lobby-link",
      "--agent",
      house.agentUrl,
      "--out",
      pictures,
      "--json",
    ]);
    expect(made.exitCode).toBe(0);
    const png = readFileSync(join(pictures, "lobby-link-2.png"));
    await fetch(`${house.siteUrl}/api/panels/lobby-link/mount`, {
      method: "POST",
      headers: { "content-type": "image/png" },
      body: png,
    });
    const panel = page.locator('[data-panel="lobby-link"]');
    await panel.getByAltText("QR sticker of the Lobby").waitFor();
    await panel.getByRole("button", { name: "Photograph and open" }).click();
    await panel.getByText("The directory opened").waitFor();
    expect(await panel.locator(".residents li > span").allTextContents()).toEqual([
      "Ana Reyes, 1A",
      "Ben Okafor, 1B",
      "Chloe Martin, 2A",
      "Grace Kim, 3B",
    ]);
    await panel.getByRole("button", { name: "Call Ana Reyes" }).click();
    const code = await panel.locator(".code").textContent();
    expect(code).toMatch(/^\d{7}$/);
    await keypad("lobby-lock").getByRole("button", { name: "1", exact: true }).focus();
    // The first key only wakes the keypad.
    await page.keyboard.type(`5${code ?? ""}`);
    await keypad("lobby-lock").getByText("Opened").waitFor();
    await card("lobby-lock").getByText("Unlocked").waitFor();
    for (const text of house.stderr.values()) expect(text).not.toContain(code);
  });

  it("revokes somebody, shows who is still let in where, and closes that by a sync", async () => {
    await page.getByRole("button", { name: "Revoke Hugo Silva" }).click();
    await card("lobby-lock")
      .getByText(/Hugo Silva was revoked .* and still gets in here/)
      .waitFor();
    await page.getByLabel("Who").selectOption("hugo-silva");
    await page.getByLabel("Where").selectOption("lobby-lock");
    await page.getByRole("button", { name: "Try the door" }).click();
    await page.locator("#try-says").getByText("Opened").waitFor();
    await card("lobby-lock").getByRole("button", { name: "Sync now" }).click();
    await card("lobby-lock")
      .getByText(/Synced in .* policy 1 to 2/)
      .waitFor();
    await page.getByRole("button", { name: "Try the door" }).click();
    await page.locator("#try-says").getByText("Denied: credential revoked").waitFor();
    await until(
      "the end of the exposure",
      async () => (await card("lobby-lock").locator(".exposure").textContent()) === "",
    );
  });

  it("cuts and restores the link upstream", async () => {
    await page.getByRole("button", { name: "Cut the link upstream" }).click();
    await page.locator("#peers").getByText("down").waitFor();
    await page.getByRole("button", { name: "Restore the link upstream" }).click();
    await page.locator("#peers").getByText("up", { exact: true }).waitFor();
  });

  it("fits a phone, dark and light, and complains of nothing", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const narrow = await browser.newPage({ viewport: { width: 360, height: 740 }, colorScheme });
      await narrow.goto(house.siteUrl);
      await narrow.locator('[data-device="lobby-lock"] .facts dd').first().waitFor();
      expect(await narrow.evaluate("document.documentElement.scrollWidth")).toBe(360);
      const unnamed = await narrow.evaluate(
        "[...document.querySelectorAll('button, select, img')].filter((each) => !(each.textContent || each.getAttribute('aria-label') || each.alt || each.labels?.length)).length",
      );
      expect(unnamed).toBe(0);
      await narrow.close();
    }
    expect(complaints).toEqual([]);
  });
});
