/** Habits biome has no rule for: tests that do not run, and types given up by way of `unknown`. */
import { Visitor } from "oxc-parser";
import { placeOf, type Source } from "./sources.ts";

const testFunctions = new Set(["it", "test", "describe", "suite"]);
const switchesOff = new Set(["skip", "only", "todo", "skipIf", "runIf", "fails"]);
const contextNames = new Set(["context", "ctx", "task", "t"]);
const switchedOffNames = new Set(["xit", "xtest", "xdescribe", "fit", "fdescribe"]);

/**
 * Tests that vitest would pass over: `.skip`, `.only`, `.todo`, `.skipIf`, `.runIf`, `.fails`, `context.skip()`, `xit`.
 * One condition is allowed: vectors that nobody here wrote lie beside the checkout, and their tests stand aside where
 * that folder is absent (`test/shared-folder.ts`).
 */
export function unrunTestFaults(files: readonly Source[]): readonly string[] {
  return files.filter(isTest).flatMap((file) => {
    const faults: string[] = [];
    const report = (what: string, offset: number) =>
      faults.push(`${placeOf(file, offset)}: ${what}: a test runs always or is deleted`);
    new Visitor({
      MemberExpression: (node) => {
        if (node.property.type !== "Identifier" || !switchesOff.has(node.property.name)) return;
        const root = rootName(node.object);
        if (file.text.startsWith("(sharedFolder() !== undefined)", node.end)) return;
        const isSkipInside = contextNames.has(root) && node.property.name === "skip";
        if (testFunctions.has(root) || isSkipInside) report(`${root}.${node.property.name}`, node.start);
      },
      CallExpression: (node) => {
        if (node.callee.type === "Identifier" && switchedOffNames.has(node.callee.name)) {
          report(node.callee.name, node.start);
        }
      },
    }).visit(file.parsed.program);
    return faults;
  });
}

/** `value as unknown as Type`, which asserts anything to be anything. */
export function doubleAssertionFaults(files: readonly Source[]): readonly string[] {
  return files.flatMap((file) => {
    const faults: string[] = [];
    new Visitor({
      TSAsExpression: (node) => {
        if (node.expression.type === "TSAsExpression" && node.expression.typeAnnotation.type === "TSUnknownKeyword") {
          faults.push(
            `${placeOf(file, node.start)}: as unknown as: parse the value, or give it its type where it is made`,
          );
        }
      },
    }).visit(file.parsed.program);
    return faults;
  });
}

export function isTest(file: { readonly path: string }): boolean {
  return file.path.startsWith("test/") && file.path.endsWith(".test.ts");
}

/** The leftmost name of `it.concurrent.skip` is `it`. */
function rootName(node: { readonly type: string }): string {
  if (node.type === "Identifier" && "name" in node && typeof node.name === "string") return node.name;
  if (node.type === "MemberExpression" && "object" in node) return rootName(node.object as { readonly type: string });
  return "";
}
