/**
 * The mutants of a source file: the same text with one operator or constant
 * changed. Comments, strings and regular expressions stay unchanged; a mutant that
 * compiles to the same JavaScript (a type) is left out.
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

export function mutantsOf(source: string): Mutant[] {
  const transpiler = new Bun.Transpiler({ loader: "ts", target: "bun" });
  const original = transpiler.transformSync(source);
  const mutants: Mutant[] = [];
  for (const match of source.matchAll(tokens)) {
    const [from] = match;
    const to = mutationOf(from);
    if (to === undefined) continue;
    const end = match.index + from.length;
    const mutated = source.slice(0, match.index) + to + source.slice(end);
    if (compiled(transpiler, mutated) === original) continue;
    if (compiled(transpiler, mutated) === undefined) continue;
    const line = source.slice(0, match.index).split("\n").length;
    mutants.push({ line, from, to, source: mutated });
  }
  return mutants;
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
