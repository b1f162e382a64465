/**
 * The form of a kubeconfig file, as client-go's `clientcmd/api/v1`, and the wording
 * of its faults. No message quotes anything of the content: it is full of secrets.
 * Loaded only for a file that `kubeconfig` cannot read.
 */
import * as v from "valibot";
import { explainJson } from "../../cni/json-error.ts";
import { jsonObject, object, problemsIn } from "../../cni/schema.ts";

const text = v.nullish(v.string());
const flag = v.nullish(v.boolean());
const texts = v.nullish(v.array(v.string()));

const cluster = object({
  server: text,
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": flag,
  "tls-server-name": text,
  "proxy-url": text,
  extensions: v.nullish(v.array(object({ name: v.string() }))),
});

const exec = object({
  apiVersion: v.string(),
  command: v.string(),
  args: texts,
  env: v.nullish(v.array(object({ name: v.string(), value: v.string() }))),
  provideClusterInfo: flag,
  interactiveMode: text,
});

const user = object({
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  exec: v.nullish(exec),
  "auth-provider": v.nullish(
    object({ name: v.string(), config: v.nullish(jsonObject) }),
  ),
  as: text,
  "as-uid": text,
  "as-groups": texts,
  "as-user-extra": v.nullish(jsonObject),
});

const context = object({ cluster: v.string(), user: text });

const kubeconfig = object({
  "current-context": text,
  contexts: v.nullish(v.array(object({ name: v.string(), context }))),
  clusters: v.nullish(v.array(object({ name: v.string(), cluster }))),
  users: v.nullish(
    v.array(object({ name: v.string(), user: v.nullish(user) })),
  ),
});

/** `kubeconfig "/a": users.0.user.token: expected a string, got a number`, of the first file with a fault. */
export function describeFault(
  files: readonly { value: unknown; origin: { where: string } }[],
): string {
  for (const { value, origin } of files) {
    const [problem] = problemsIn(kubeconfig, value, { secret: true });
    if (problem !== undefined) return `${origin.where}: ${problem}`;
  }
  return `${files[0]?.origin.where}: expected a kubeconfig`;
}

/** Levels of nesting that are parsed. */
const depth = 1000;

/** Lines of YAML that are tried: each is parsed with all lines before it. */
const maxLines = 2000;

/** `is not JSON at line 2, column 5`, `is not YAML at line 3`. */
export function describeSyntaxError(content: string): string {
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

function isYaml(content: string): boolean {
  try {
    Bun.YAML.parse(content);
    return true;
  } catch {
    return false;
  }
}
