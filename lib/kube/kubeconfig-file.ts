/**
 * The text of a kubeconfig file as typed data: JSON or YAML, validated whole so
 * that a mistake is told by its place. No message quotes anything of the content.
 */
import * as v from "valibot";
import { invalid } from "./material.ts";

export type KubeconfigFile = v.InferOutput<typeof schema>;
export type ClusterEntry = v.InferOutput<typeof clusterSchema>;
export type UserEntry = v.InferOutput<typeof userSchema>;

/** Throws 7: `where`, then the dot path and what was expected there. */
export function parseKubeconfig(
  content: string,
  where: string,
): KubeconfigFile {
  const parsed = v.safeParse(schema, decode(content, where));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const key = v.getDotPath(issue);
  throw invalid(
    `${where}: ${key === null ? "" : `${key}: `}${expectation(issue)}`,
  );
}

const text = v.nullish(v.string());

const clusterSchema = v.looseObject({
  server: text,
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": v.nullish(v.boolean()),
  "tls-server-name": text,
  "proxy-url": text,
});

const userSchema = v.looseObject({
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  exec: v.nullish(
    v.looseObject({
      apiVersion: v.string(),
      command: v.string(),
      args: v.nullish(v.array(v.string())),
      env: v.nullish(
        v.array(v.looseObject({ name: v.string(), value: v.string() })),
      ),
      provideClusterInfo: v.nullish(v.boolean()),
    }),
  ),
  "auth-provider": v.nullish(
    v.looseObject({
      name: v.string(),
      config: v.nullish(v.record(v.string(), v.unknown())),
    }),
  ),
});

const schema = v.looseObject({
  "current-context": text,
  contexts: v.nullish(
    v.array(
      v.looseObject({
        name: v.string(),
        context: v.looseObject({ cluster: v.string(), user: text }),
      }),
    ),
  ),
  clusters: v.nullish(
    v.array(v.looseObject({ name: v.string(), cluster: clusterSchema })),
  ),
  users: v.nullish(
    v.array(v.looseObject({ name: v.string(), user: v.nullish(userSchema) })),
  ),
});

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

/** The kind that was expected and never what was there: it may be a secret. */
function expectation(issue: v.BaseIssue<unknown>): string {
  if (issue.received === "undefined") return "is missing";
  return `expected ${issue.expected?.toLowerCase() ?? issue.type}`;
}
