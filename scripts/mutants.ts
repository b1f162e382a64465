/**
 * The mutants of a source file: the same text with one operator or constant changed,
 * or without one statement. Comments, strings and regular expressions stay unchanged;
 * a mutant that compiles to the same JavaScript (a type) is left out.
 */

export interface Mutant {
  /** 1-based. */
  line: number;
  from: string;
  to: string;
  source: string;
}

const swaps: ReadonlyMap<string, string> = new Map([
  ["===", "!=="],
  ["!==", "==="],
  ["<=", "<"],
  [">=", ">"],
  ["<", "<="],
  [">", ">="],
  ["&&", "||"],
  ["||", "&&"],
  ["??", "&&"],
  ["+", "-"],
  ["-", "+"],
  ["*", "/"],
  ["/", "*"],
  ["true", "false"],
  ["false", "true"],
]);

/**
 * Comments, strings, templates and regular expressions are one token each, so
 * that nothing inside of them is changed; a template's expressions count as text.
 */
const tokens =
  /\/\/.*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|(?<=[(,=:?&|!{;]\s*|return\s+)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|=>|===|!==|<=|>=|&&=|\|\|=|\?\?=|&&|\|\||\?\?|\+\+|--|[+\-*/]=|[+\-*/<>](?=\s)|[A-Za-z_$][\w$]*|\d[\d_]*(?:\.\d+)?|![\w(]/g;

interface Edit {
  /** Indexes of the text that is replaced. */
  start: number;
  end: number;
  from: string;
  to: string;
}

export function mutantsOf(source: string): Mutant[] {
  const transpiler = new Bun.Transpiler({ loader: "ts", target: "bun" });
  const original = transpiler.transformSync(source);
  const mutants: Mutant[] = [];
  for (const { start, end, from, to } of [
    ...changes(source),
    ...removals(source),
  ]) {
    const mutated = source.slice(0, start) + to + source.slice(end);
    const text = compiled(transpiler, mutated);
    if (text === undefined || text === original) continue;
    const line = source.slice(0, start).split("\n").length;
    mutants.push({ line, from, to, source: mutated });
  }
  return mutants;
}

function* changes(source: string): Generator<Edit> {
  for (const { 0: from, index: start } of source.matchAll(tokens)) {
    const to = mutationOf(from);
    if (to !== undefined) yield { start, end: start + from.length, from, to };
  }
}

/**
 * Each statement but declarations, by its indentation, which `bun fmt` makes: its first
 * line, the lines that stand further right, and those that close a bracket or go on
 * with a keyword. In a lookahead, so that statements inside of it are found too.
 */
const statements =
  /^(?=( *)((?!(?:const|let|else|case|import|export|function|async|readonly)\b)[\w#$].*(?:\n+(?:\1 .*|\1(?:[)\]}]|else\b).*))*))/gm;

function* removals(source: string): Generator<Edit> {
  for (const { 1: indent = "", 2: text = "", index } of source.matchAll(
    statements,
  )) {
    const isBlock = /^(?:if|for|while|try|switch)\b/.test(text);
    if (!text.endsWith(";") && !(isBlock && text.endsWith("}"))) continue;
    const start = index + indent.length;
    // The one statement of an `if` or a loop goes with it.
    if (source.slice(0, start).trimEnd().endsWith(")")) continue;
    const from = text.replace(/\s+/g, " ");
    yield { start, end: start + text.length, from, to: ";" };
  }
}

function mutationOf(token: string): string | undefined {
  if (/^\d/.test(token)) return `${Number(token.replaceAll("_", "")) + 1}`;
  if (/^![\w(]$/.test(token)) return token.slice(1);
  return swaps.get(token);
}

/** undefined for a text that is not TypeScript. */
function compiled(
  transpiler: Bun.Transpiler,
  source: string,
): string | undefined {
  try {
    return transpiler.transformSync(source);
  } catch {
    return undefined;
  }
}
