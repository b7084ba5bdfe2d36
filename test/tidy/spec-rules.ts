/** SPEC.md and the tests name the same rules: each rule has a test, and no test or comment names a rule that is not there. */
import { Visitor } from "oxc-parser";
import { type HouseFile, placeOf, type Source } from "./sources.ts";

const specPath = "protocol/SPEC.md";
const testFunctions = new Set(["it", "test"]);
const groupFunctions = new Set(["describe", "suite"]);

export function specRuleFaults(spec: HouseFile, sources: readonly Source[]): readonly string[] {
  const rules = listRules(spec);
  const known = new Set(rules.map((rule) => rule.id));
  const titles = sources.filter(({ path }) => path.startsWith("test/")).flatMap(listTitles);
  const tested = new Set(titles.filter((title) => title.isTest).flatMap((title) => title.ids));
  const citations = sources.flatMap(listCitations);
  return [
    ...rules
      .filter(({ id }, at) => rules.findIndex((rule) => rule.id === id) < at)
      .map(({ id, place }) => `${place}: rule ${id} is there twice`),
    ...rules
      .filter(({ id }) => !tested.has(id))
      .map(({ id, place }) => `${place}: rule ${id} has no test whose title starts with [${id}]`),
    ...titles.flatMap(({ ids, place }) =>
      ids.filter((id) => !known.has(id)).map((id) => `${place}: a title names rule ${id}, which is not in ${specPath}`),
    ),
    ...citations
      .filter(({ id }) => !known.has(id))
      .map(({ id, place }) => `${place}: cites rule ${id}, which is not in ${specPath}`),
  ];
}

interface Rule {
  readonly id: string;
  readonly place: string;
}

interface Title {
  readonly ids: readonly string[];
  readonly isTest: boolean;
  readonly place: string;
}

/** A rule is a line that starts with its id in bold: `**[S12]** A dropped link ...`. */
function listRules(spec: HouseFile): readonly Rule[] {
  return [...spec.text.matchAll(/^\*\*\[([A-Z]{1,2}\d{1,3})\]\*\*/gm)].map((match) => ({
    id: match[1] ?? "",
    place: placeOf(spec, match.index),
  }));
}

/** Comments that cite a rule: the word SPEC, a space and its id, as at each security check (STYLE.md). */
function listCitations(file: Source): readonly Rule[] {
  return file.parsed.comments.flatMap((comment) =>
    [...comment.value.matchAll(/\bSPEC ([A-Z]{1,2}\d{1,3})\b/g)].map((match) => ({
      id: match[1] ?? "",
      place: placeOf(file, comment.start + match.index),
    })),
  );
}

/** Titles of `it(...)`, `describe(...)`, `it.each(table)(...)` with the ids they start with: `[S12] [S13] a dropped link`. */
function listTitles(file: Source): readonly Title[] {
  const titles: Title[] = [];
  new Visitor({
    CallExpression: (node) => {
      const name = calledName(node.callee);
      const title = literalStart(node.arguments[0]);
      if (title === undefined || !(testFunctions.has(name) || groupFunctions.has(name))) return;
      const leading = /^(?:\[[A-Z]{1,2}\d{1,3}\][\s,]*)+/.exec(title)?.[0] ?? "";
      const ids = [...leading.matchAll(/[A-Z]{1,2}\d{1,3}/g)].map((match) => match[0]);
      if (ids.length > 0) titles.push({ ids, isTest: testFunctions.has(name), place: placeOf(file, node.start) });
    },
  }).visit(file.parsed.program);
  return titles;
}

/** `it` of `it(...)`, `it.concurrent(...)` and `it.each(table)(...)`. */
function calledName(callee: object): string {
  if ("name" in callee && typeof callee.name === "string") return callee.name;
  const inner = "object" in callee ? callee.object : "callee" in callee ? callee.callee : undefined;
  return typeof inner === "object" && inner !== null ? calledName(inner) : "";
}

/** The text of a string, or the part of a template before its first `${`. */
function literalStart(node: object | undefined): string | undefined {
  if (node === undefined) return undefined;
  if ("value" in node && typeof node.value === "string") return node.value;
  if (!("quasis" in node) || !Array.isArray(node.quasis)) return undefined;
  return node.quasis[0]?.value?.cooked ?? undefined;
}
