/**
 * The text of a kubeconfig file as typed data: JSON or YAML, validated whole so
 * that a mistake is told by its place. No message quotes anything of the content.
 * By a table of our own: valibot's schema would cost every pod 0.4 ms.
 */
import { mismatch, own } from "../cni/json.ts";
import type * as faults from "./kubeconfig-fault.ts";
import { invalid } from "./pem.ts";

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
  extensions?: { name: string; extension?: unknown }[] | null;
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
  as?: Text;
  "as-uid"?: Text;
  "as-groups"?: string[] | null;
  "as-user-extra"?: Record<string, unknown> | null;
}

interface ExecEntry {
  apiVersion: string;
  command: string;
  args?: string[] | null;
  env?: { name: string; value: string }[] | null;
  provideClusterInfo?: boolean | null;
  interactiveMode?: Text;
}

interface ProviderEntry {
  name: string;
  config?: Record<string, unknown> | null;
}

/** Throws 7 with `where`, the dot path and the expected type. */
export function parseKubeconfig(
  content: string,
  where: string,
): KubeconfigFile {
  const value = decode(content, where);
  const mistakes: Mistake[] = [];
  if (isKubeconfig(value, mistakes)) return value;
  const [{ path, text } = noMistake] = mistakes;
  const key = path.length === 0 ? "" : `${path.join(".")}: `;
  throw invalid(`${where}: ${key}${text}`);
}

/** The type of a key: a kind, a list of one shape, or an object. */
type Shape = "string" | "boolean" | "object" | readonly [Shape] | Keys;

/** Required keys, and keys that may be absent or null. */
interface Keys {
  must: Readonly<Record<string, Shape>>;
  may: Readonly<Record<string, Shape>>;
}

const cluster: Keys = {
  must: {},
  may: {
    server: "string",
    "certificate-authority": "string",
    "certificate-authority-data": "string",
    "insecure-skip-tls-verify": "boolean",
    "tls-server-name": "string",
    "proxy-url": "string",
    extensions: [{ must: { name: "string" }, may: {} }],
  },
};

const user: Keys = {
  must: {},
  may: {
    token: "string",
    tokenFile: "string",
    username: "string",
    password: "string",
    "client-certificate": "string",
    "client-certificate-data": "string",
    "client-key": "string",
    "client-key-data": "string",
    exec: {
      must: { apiVersion: "string", command: "string" },
      may: {
        args: ["string"],
        env: [{ must: { name: "string", value: "string" }, may: {} }],
        provideClusterInfo: "boolean",
        interactiveMode: "string",
      },
    },
    "auth-provider": { must: { name: "string" }, may: { config: "object" } },
    as: "string",
    "as-uid": "string",
    "as-groups": ["string"],
    "as-user-extra": "object",
  },
};

const context: Keys = { must: { cluster: "string" }, may: { user: "string" } };

/** The interfaces above, key by key. */
const file: Keys = {
  must: {},
  may: {
    "current-context": "string",
    contexts: [{ must: { name: "string", context }, may: {} }],
    clusters: [{ must: { name: "string", cluster }, may: {} }],
    users: [{ must: { name: "string" }, may: { user } }],
  },
};

interface Mistake {
  path: string[];
  /** Without a value: it may be a secret. */
  text: string;
}

const noMistake: Mistake = { path: [], text: "" };

function isKubeconfig(
  value: unknown,
  mistakes: Mistake[],
): value is KubeconfigFile {
  const found = mistakeIn(value, file);
  if (found) mistakes.push(found);
  return found === undefined;
}

/** The first one. Paths are made on the way back, because there is almost never one. */
function mistakeIn(value: unknown, shape: Shape): Mistake | undefined {
  if (shape === "string")
    return typeof value === shape ? undefined : mistake(value, "a string");
  if (shape === "boolean")
    return typeof value === shape ? undefined : mistake(value, "a bool");
  if (isList(shape)) {
    if (!Array.isArray(value)) return mistake(value, "an array");
    const items: unknown[] = value;
    let i = 0;
    for (const item of items) {
      const found = mistakeIn(item, shape[0]);
      if (found) return below(`${i}`, found);
      i++;
    }
    return undefined;
  }
  if (typeof value !== "object" || value === null)
    return mistake(value, "an object");
  if (shape === "object") return undefined;
  for (const [key, inner] of Object.entries(shape.must)) {
    const found = mistakeIn(own(value, key), inner);
    if (found) return below(key, found);
  }
  for (const [key, item] of Object.entries(value)) {
    const inner = Object.hasOwn(shape.may, key) ? shape.may[key] : undefined;
    if (inner === undefined || item === undefined || item === null) continue;
    const found = mistakeIn(item, inner);
    if (found) return below(key, found);
  }
  return undefined;
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function mistake(value: unknown, expected: string): Mistake {
  return { path: [], text: mismatch(expected, value, true) };
}

function below(key: string, { path, text }: Mistake): Mistake {
  return { path: [key, ...path], text };
}

function decode(content: string, where: string): unknown {
  // JSON may be indented by tabs, which YAML forbids, and `{a: b}` is YAML only.
  if (content.trimStart().startsWith("{")) {
    try {
      return JSON.parse(content);
    } catch {
      // The parser's message may quote the file.
    }
  }
  try {
    return Bun.YAML.parse(content);
  } catch {
    // Loaded only for a file that is neither.
    // oxlint-disable-next-line no-unsafe-assignment -- a require() has no types, the import above has
    const { placeOfFault }: typeof faults = require("./kubeconfig-fault.ts");
    throw invalid(`${where}: ${placeOfFault(content)}`);
  }
}
