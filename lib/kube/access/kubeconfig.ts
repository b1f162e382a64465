/**
 * A kubeconfig: the cluster and the user of its current context (configuration.md,
 * `kubernetes.kubeconfig`). It does not read the files that the kubeconfig names.
 * Messages quote nothing but names. Plain reads: a value of another type than
 * expected is left to `kubeconfig-schema`, which words the fault.
 */
import {
  type JsonObject,
  isObject,
  omitUndefined,
  own,
} from "../../cni/json.ts";
import { nonBlank, quote } from "../../linux/text.ts";
import type * as schema from "./kubeconfig-schema.ts";
import { type PemSource, readText } from "./pem.ts";
import { invalidConfig } from "../../cni/error.ts";

export interface Cluster {
  server?: string;
  certificateAuthority?: PemSource;
  insecure: boolean;
  tlsServerName?: string;
  proxyUrl?: string;
  /** The cluster's data for credential plugins: `spec.cluster.config` of KUBERNETES_EXEC_INFO. */
  execConfig?: unknown;
}

export interface User {
  token?: string;
  tokenFile?: string;
  username?: string;
  password?: string;
  clientCertificate?: PemSource;
  clientKey?: PemSource;
  exec?: ExecConfig;
  authProvider?: AuthProvider;
}

/** A credential plugin, client-go's `exec`. */
export interface ExecConfig {
  apiVersion: string;
  /** A bare name is looked up in PATH. */
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  provideClusterInfo: boolean;
}

/** An auth provider of @kubernetes/client-node: OIDC, Azure, GCP. */
export interface AuthProvider {
  name: string;
  config: Record<string, unknown>;
}

export interface Kubeconfig {
  cluster: Cluster;
  user: User;
  /** The namespace of the context. */
  namespace?: string;
}

/**
 * Throws 7 naming the path and the dot path of the fault. `place` is where this process
 * sees a file of the node, this one and those that it names: a container has them below
 * another root. Of several files, as in $KUBECONFIG, the first that sets the current
 * context or has an entry of a name counts, as in client-go.
 */
export function readKubeconfig(
  path: string,
  place: (path: string) => string = (same) => same,
  more: readonly string[] = [],
): Kubeconfig {
  const files: File[] = [];
  for (const one of [path, ...more]) {
    const where = `kubeconfig ${quote(one)}`;
    const value = decode(readText(place(one), "kubeconfig"), where);
    const origin = { where, directory: directoryOf(one), place };
    // One of several may be empty.
    files.push({ value: more.length > 0 ? (value ?? {}) : value, origin });
  }
  try {
    return currentOf(files);
  } catch (error) {
    if (!(error instanceof UnexpectedType)) throw error;
    throw invalidConfig(lazySchema().describeFault(files));
  }
}

/** A decoded file. */
interface File {
  value: unknown;
  origin: Origin;
}

function currentOf(files: readonly File[]): Kubeconfig {
  const { name, where } = currentContext(files);
  const context = find(files, "context", name, `${where}: current-context`);
  const { where: at } = context.origin;
  const clusterName = requiredText(context.value, "cluster");
  const cluster = find(files, "cluster", clusterName, `${at}.cluster`);
  const userName = textAt(context.value, "user");
  const user =
    userName === undefined
      ? undefined
      : find(files, "user", userName, `${at}.user`);
  return omitUndefined<Kubeconfig>({
    cluster: clusterOf(cluster.value, cluster.origin),
    user: user ? userOf(user.value, user.origin) : {},
    namespace: textAt(context.value, "namespace"),
  });
}

function currentContext(files: readonly File[]) {
  for (const { value, origin } of files) {
    const name = textAt(asObject(value), "current-context");
    if (name !== undefined) return { name, where: origin.where };
  }
  throw invalidConfig(
    `${files[0]?.origin.where}: current-context: expected the name of a context, got nothing`,
  );
}

/** An entry of a list; its origin names its key in the file. */
interface Entry {
  value: JsonObject;
  origin: Origin;
}

/** The first entry of that name, as in client-go. */
function find(
  files: readonly File[],
  kind: "context" | "cluster" | "user",
  name: string,
  where: string,
): Entry {
  for (const { value: file, origin } of files) {
    const entries = objectsAt(asObject(file), `${kind}s`);
    for (const entry of entries) {
      if (requiredText(entry, "name") !== name) continue;
      const value = objectAt(entry, kind);
      if (!value && kind !== "user") throw new UnexpectedType();
      const at = `${origin.where}: ${kind}s.${entries.indexOf(entry)}.${kind}`;
      return { value: value ?? {}, origin: { ...origin, where: at } };
    }
  }
  throw invalidConfig(`${where}: no ${kind} is named ${quote(name)}`);
}

/** Name for messages, base directory of relative paths, and where this process sees a file. */
interface Origin {
  where: string;
  directory: string;
  place(path: string): string;
}

/** client-go's place for the data of `provideClusterInfo`. */
const execExtension = "client.authentication.k8s.io/exec";

function clusterOf(cluster: JsonObject, origin: Origin): Cluster {
  let extension: JsonObject | undefined;
  for (const entry of objectsAt(cluster, "extensions"))
    if (requiredText(entry, "name") === execExtension) extension ??= entry;
  return omitUndefined<Cluster>({
    server: textAt(cluster, "server"),
    certificateAuthority: pemSourceOf(cluster, "certificate-authority", origin),
    insecure: flagAt(cluster, "insecure-skip-tls-verify"),
    tlsServerName: textAt(cluster, "tls-server-name"),
    proxyUrl: textAt(cluster, "proxy-url"),
    execConfig: extension?.["extension"],
  });
}

/** Impersonation is refused, never ignored (configuration.md). */
function refuseImpersonation(user: JsonObject, where: string): void {
  for (const key of ["as", "as-uid", "as-groups", "as-user-extra"]) {
    const value = own(user, key) ?? "";
    const isEmpty =
      typeof value === "object"
        ? Object.keys(value).length === 0
        : value === "";
    if (!isEmpty)
      throw invalidConfig(`${where}.${key}: impersonation is not supported`);
  }
}

function userOf(user: JsonObject, origin: Origin): User {
  refuseImpersonation(user, origin.where);
  const tokenFile = textAt(user, "tokenFile");
  const exec = objectAt(user, "exec");
  const provider = objectAt(user, "auth-provider");
  return omitUndefined<User>({
    token: textAt(user, "token"),
    tokenFile: tokenFile && fileOf(origin, tokenFile),
    username: textAt(user, "username"),
    password: optionalText(user, "password"),
    clientCertificate: pemSourceOf(user, "client-certificate", origin),
    clientKey: pemSourceOf(user, "client-key", origin),
    exec: exec && execOf(exec, origin),
    authProvider: provider && {
      name: requiredText(provider, "name"),
      config: objectAt(provider, "config") ?? {},
    },
  });
}

/** Those of client-go; v1alpha1 has been removed from it. */
const execVersions = [
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
];

function execOf(exec: JsonObject, { where, directory }: Origin): ExecConfig {
  const command = requiredText(exec, "command");
  const apiVersion = requiredText(exec, "apiVersion");
  if (!execVersions.includes(apiVersion))
    throw invalidConfig(
      `${where}.exec.apiVersion: expected ${execVersions.join(" or ")}, got ${quote(apiVersion)}`,
    );
  if (optionalText(exec, "interactiveMode") === "Always")
    throw invalidConfig(
      `${where}.exec.interactiveMode: "Always" is not supported: there is no terminal`,
    );
  return {
    apiVersion,
    command: command.includes("/") ? resolvePath(directory, command) : command,
    args: listAt(exec, "args").map(asText),
    env: Object.fromEntries(
      objectsAt(exec, "env").map((entry) => [
        requiredText(entry, "name"),
        requiredText(entry, "value"),
      ]),
    ),
    provideClusterInfo: flagAt(exec, "provideClusterInfo"),
  };
}

/** `-data` has precedence over the file, as in client-go; kubectl refuses both. */
function pemSourceOf(
  entry: JsonObject,
  key: string,
  origin: Origin,
): PemSource | undefined {
  const where = `${origin.where}.${key}`;
  const base64 = textAt(entry, `${key}-data`);
  const file = textAt(entry, key);
  if (base64 !== undefined) return { where: `${where}-data`, base64 };
  return file === undefined ? undefined : { where, file: fileOf(origin, file) };
}

function fileOf({ directory, place }: Origin, path: string): string {
  return place(resolvePath(directory, path));
}

/** A value has another type than a kubeconfig has there; the schema says which. */
class UnexpectedType extends Error {}

/** The trimmed text; undefined for an absent key, null and a blank text. */
function textAt(object: JsonObject, key: string): string | undefined {
  return nonBlank(optionalText(object, key));
}

function optionalText(object: JsonObject, key: string): string | undefined {
  const value = own(object, key) ?? undefined;
  return value === undefined ? undefined : asText(value);
}

function requiredText(object: JsonObject, key: string): string {
  return asText(own(object, key));
}

function asText(value: unknown): string {
  if (typeof value === "string") return value;
  throw new UnexpectedType();
}

function flagAt(object: JsonObject, key: string): boolean {
  const value = own(object, key) ?? false;
  if (typeof value === "boolean") return value;
  throw new UnexpectedType();
}

function objectAt(object: JsonObject, key: string): JsonObject | undefined {
  const value = own(object, key) ?? undefined;
  return value === undefined ? undefined : asObject(value);
}

function asObject(value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new UnexpectedType();
}

function objectsAt(object: JsonObject, key: string): JsonObject[] {
  const objects: JsonObject[] = [];
  for (const value of listAt(object, key)) objects.push(asObject(value));
  return objects;
}

function listAt(object: JsonObject, key: string): unknown[] {
  const value = own(object, key) ?? [];
  if (Array.isArray(value)) return value;
  throw new UnexpectedType();
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
    throw invalidConfig(
      `${where}: ${lazySchema().describeSyntaxError(content)}`,
    );
  }
}

function lazySchema(): typeof schema {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("./kubeconfig-schema.ts");
}

/** The working directory for a bare file name. */
function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash);
}

/**
 * Relative to the kubeconfig's directory. Joined as text, as in client-go: `..`
 * does not follow a symbolic link.
 */
function resolvePath(directory: string, path: string): string {
  if (path.startsWith("/")) return path;
  const joined = `${directory}/${path}`;
  const parts: string[] = [];
  for (const part of joined.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && (parts.at(-1) ?? "..") !== "..") parts.pop();
    // The root has no parent.
    else if (part !== ".." || !joined.startsWith("/")) parts.push(part);
  }
  return `${joined.startsWith("/") ? "" : "."}/${parts.join("/")}`;
}
