/**
 * The text of a kubeconfig file as typed data: JSON or YAML, validated whole so
 * that a mistake is told by its place. No message quotes anything of the content.
 * By a table of our own: valibot's schema would cost every pod 0.4 ms.
 */
import { invalid } from "./material.ts";

type Text = string | null;

export interface KubeconfigFile {
  "current-context"?: Text;
  contexts?: ContextEntry[] | null;
  clusters?: { name: string; cluster: ClusterEntry }[] | null;
  users?: { name: string; user?: UserEntry | null }[] | null;
}

interface ContextEntry {
  name: string;
  context: { cluster: string; user?: Text };
}

export interface ClusterEntry {
  server?: Text;
  "certificate-authority"?: Text;
  "certificate-authority-data"?: Text;
  "insecure-skip-tls-verify"?: boolean | null;
  "tls-server-name"?: Text;
  "proxy-url"?: Text;
}

export interface UserEntry {
  token?: Text;
  tokenFile?: Text;
  username?: Text;
  password?: Text;
  "client-certificate"?: Text;
  "client-certificate-data"?: Text;
  "client-key"?: Text;
  "client-key-data"?: Text;
  exec?: ExecEntry | null;
  "auth-provider"?: ProviderEntry | null;
}

interface ExecEntry {
  apiVersion: string;
  command: string;
  args?: string[] | null;
  env?: { name: string; value: string }[] | null;
  provideClusterInfo?: boolean | null;
}

interface ProviderEntry {
  name: string;
  config?: Record<string, unknown> | null;
}

/** Throws 7: `where`, then the dot path and what was expected there. */
export function parseKubeconfig(
  content: string,
  where: string,
): KubeconfigFile {
  const value = decode(content, where);
  const found: Problem = {};
  if (isKubeconfig(value, found)) return value;
  const { path = "", text = "" } = found;
  throw invalid(`${where}: ${path === "" ? "" : `${path}: `}${text}`);
}

/** What a key holds: a kind, a list of shapes, or keys with their shapes. */
type Shape =
  | "string"
  | "boolean"
  | "object"
  | readonly [Shape]
  | { readonly [key: string]: Shape };

/** The interfaces above, key by key; a key that ends with `?` may be absent or null. */
const shape: Shape = {
  "current-context?": "string",
  "contexts?": [
    { name: "string", context: { cluster: "string", "user?": "string" } },
  ],
  "clusters?": [
    {
      name: "string",
      cluster: {
        "server?": "string",
        "certificate-authority?": "string",
        "certificate-authority-data?": "string",
        "insecure-skip-tls-verify?": "boolean",
        "tls-server-name?": "string",
        "proxy-url?": "string",
      },
    },
  ],
  "users?": [
    {
      name: "string",
      "user?": {
        "token?": "string",
        "tokenFile?": "string",
        "username?": "string",
        "password?": "string",
        "client-certificate?": "string",
        "client-certificate-data?": "string",
        "client-key?": "string",
        "client-key-data?": "string",
        "exec?": {
          apiVersion: "string",
          command: "string",
          "args?": ["string"],
          "env?": [{ name: "string", value: "string" }],
          "provideClusterInfo?": "boolean",
        },
        "auth-provider?": { name: "string", "config?": "object" },
      },
    },
  ],
};

/** The first mistake: the kind that was expected and never what was there, it may be a secret. */
interface Problem {
  path?: string;
  text?: string;
}

function isKubeconfig(value: unknown, found: Problem): value is KubeconfigFile {
  return fits(value, shape, "", found);
}

function fits(
  value: unknown,
  expected: Shape,
  path: string,
  found: Problem,
): boolean {
  if (typeof expected === "string" && expected !== "object") {
    // oxlint-disable-next-line valid-typeof
    return typeof value === expected || failed(found, path, value, expected);
  }
  if (isList(expected)) {
    if (!Array.isArray(value)) return failed(found, path, value, "array");
    for (const [i, item] of value.entries()) {
      if (!fits(item, expected[0], dotted(path, `${i}`), found)) return false;
    }
    return true;
  }
  if (typeof value !== "object" || value === null)
    return failed(found, path, value, "object");
  if (expected === "object") return true;
  for (const [name, inner] of Object.entries(expected)) {
    const optional = name.endsWith("?");
    const key = optional ? name.slice(0, -1) : name;
    const item: unknown = Reflect.get(value, key);
    if (optional && (item === undefined || item === null)) continue;
    if (!fits(item, inner, dotted(path, key), found)) return false;
  }
  return true;
}

function isList(expected: Shape): expected is readonly [Shape] {
  return Array.isArray(expected);
}

function dotted(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function failed(
  found: Problem,
  path: string,
  value: unknown,
  expected: string,
): false {
  found.path = path;
  found.text = value === undefined ? "is missing" : `expected ${expected}`;
  return false;
}

function decode(content: string, where: string): unknown {
  try {
    // JSON may be indented by tabs, which YAML forbids.
    return /^\s*\{/.test(content)
      ? decodeJson(content)
      : Bun.YAML.parse(content);
  } catch {
    // The message of the parser may quote the file.
    throw invalid(`${where}: is neither YAML nor JSON`);
  }
}

/** `{a: b}` is YAML and not JSON. */
function decodeJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return Bun.YAML.parse(content);
  }
}
