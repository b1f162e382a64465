/**
 * The kubeconfig that `install` writes. Pure. In an existing one, only genie's
 * entries change: `proxy-url`, `tls-server-name` and other contexts stay.
 */
import * as v from "valibot";
import { isObject, own } from "../../cni/json.ts";
import { object, parse } from "../../cni/schema.ts";
import { messageOf } from "../../linux/errno.ts";

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

const entries = v.nullish(v.array(v.unknown()));
const schema = object({ contexts: entries, clusters: entries, users: entries });
type Kubeconfig = v.InferOutput<typeof schema>;

function parsed(text: string): Kubeconfig {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (cause) {
    throw new Error(`not YAML: ${messageOf(cause)}`, { cause });
  }
  return parse(schema, value ?? {}, Error, { secret: true });
}

/** The list `key` with genie's entry replaced at its position, or appended. */
function withEntry(
  kubeconfig: Kubeconfig,
  key: "contexts" | "clusters" | "users",
  kind: string,
  edit: (before: Record<string, unknown>) => object,
): unknown[] {
  const given = kubeconfig[key] ?? [];
  const at = given.findIndex((entry) => own(entry, "name") === name);
  const before = own(given[at], kind);
  const rest = given[at];
  const edited = {
    ...(isObject(rest) ? rest : { name }),
    [kind]: edit(isObject(before) ? before : {}),
  };
  return at < 0 ? [...given, edited] : given.with(at, edited);
}

function without(
  value: Record<string, unknown>,
  keys: ReadonlySet<string>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => !keys.has(key)),
  );
}
