/**
 * The position of a syntax error in a kubeconfig. Quotes nothing, not even a
 * character: the file is full of secrets. Pure.
 */
import { explainJson } from "../cni/json-error.ts";

/** Levels of nesting that are parsed. */
const depth = 1000;

/** Lines of YAML that are tried: each is parsed with all lines before it. */
const maxLines = 2000;

/** `is not JSON at line 2, column 5`, `is not YAML at line 3`. */
export function placeOfFault(content: string): string {
  if (content.trimStart().startsWith("{"))
    return `is not JSON at ${explainJson(content, depth).place}`;
  const line = lineOfFault(content.split("\n"));
  return line === undefined ? "is not YAML" : `is not YAML at line ${line}`;
}

/**
 * The first line that is invalid YAML together with the lines before it; Bun's
 * parser does not tell.
 */
function lineOfFault(lines: readonly string[]): number | undefined {
  if (lines.length > maxLines) return undefined;
  for (let count = lines.length - 1; count > 0; count--) {
    if (isYaml(lines.slice(0, count).join("\n"))) return count + 1;
  }
  return 1;
}

function isYaml(text: string): boolean {
  try {
    Bun.YAML.parse(text);
    return true;
  } catch {
    return false;
  }
}
