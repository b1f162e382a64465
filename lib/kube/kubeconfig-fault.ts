/**
 * Where a kubeconfig is neither JSON nor YAML. Nothing of the file is told, not
 * even the character at that place: it is full of secrets. Pure.
 */
import { explainJson } from "../cni/json-error.ts";

/** Levels of nesting that are looked into. */
const depth = 1000;

/** Lines of YAML that are looked at: each is parsed with all lines before it. */
const maxLines = 2000;

/** `is not JSON at line 2, column 5`, `is not YAML at line 3`. */
export function placeOfFault(content: string): string {
  if (content.trimStart().startsWith("{"))
    return `is not JSON at ${explainJson(content, depth).place}`;
  const line = lineOfFault(content.split("\n"));
  return line === undefined ? "is not YAML" : `is not YAML at line ${line}`;
}

/** The first line that no longer is YAML together with those before it; Bun's parser does not tell. */
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
