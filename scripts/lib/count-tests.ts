/**
 * Reads the results that vitest's JSON reporter left in a folder and prints one line, `N passed, M failed`.
 * A test file that could not be run at all counts as one failure, because its tests are missing from the numbers.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const vitestResults = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

function countTests(folder: string): string {
  let passed = 0;
  let failed = 0;
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
    const results = vitestResults.parse(JSON.parse(readFileSync(join(folder, name), "utf8")));
    passed += results.numPassedTests;
    failed += results.numFailedTests;
    failed += results.testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
    ).length;
  }
  return `${passed} passed, ${failed} failed`;
}

process.stdout.write(`${countTests(process.argv[2] ?? ".")}\n`);
