/**
 * The kubeconfig that `install` writes. Pure. In an existing one, only genie's
 * entries change: `proxy-url`, `tls-server-name` and other contexts stay.
 */
import { messageOf } from "../linux/errno.ts";
import { isObject, mismatch, own } from "../cni/json.ts";

const name = "genie";

/** The text; `existing` unchanged if it is equivalent. Throws Error for an invalid one. */
export function kubeconfigText(
  existing: string | undefined,
  cluster: object,
  user: object,
): string {
  const value = existing === undefined ? {} : parsed(existing);
  const kubeconfig = {
    ...value,
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: withEntry(value, "contexts", "context", (context) => ({
      ...context,
      cluster: name,
      user: name,
    })),
    clusters: withEntry(value, "clusters", "cluster", (before) => ({
      ...without(before, clusterKeys),
      ...cluster,
    })),
    // A user is replaced as a whole: it is one credential.
    users: withEntry(value, "users", "user", () => user),
  };
  if (existing !== undefined && Bun.deepEquals(kubeconfig, value))
    return existing;
  return `${Bun.YAML.stringify(kubeconfig, null, 2)}\n`;
}

/** The keys of a cluster that `install` sets: the server and its verification. */
const clusterKeys = new Set([
  "server",
  "certificate-authority",
  "certificate-authority-data",
  "insecure-skip-tls-verify",
]);

function parsed(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Error(`not YAML: ${messageOf(cause)}`, { cause });
  }
  if (value === null || value === undefined) return {};
  if (!isObject(value)) throw new Error(mismatch("an object", value, true));
  return value;
}

/** The list `key` with genie's entry replaced at its position, or appended. */
function withEntry(
  kubeconfig: object,
  key: string,
  kind: string,
  edit: (before: Record<string, unknown>) => object,
): unknown[] {
  const given = own(kubeconfig, key) ?? [];
  if (!Array.isArray(given))
    throw new Error(`${key}: ${mismatch("an array", given, true)}`);
  const entries: unknown[] = given;
  const at = entries.findIndex((entry) => own(entry, "name") === name);
  const before = own(entries[at], kind);
  const rest = entries[at];
  const edited = {
    ...(isObject(rest) ? rest : { name }),
    [kind]: edit(isObject(before) ? before : {}),
  };
  return at < 0 ? [...entries, edited] : entries.with(at, edited);
}

function without(
  object: Record<string, unknown>,
  keys: ReadonlySet<string>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).filter(([key]) => !keys.has(key)),
  );
}
