/**
 * A kubeconfig: the cluster and the user of its current context (configuration.md,
 * `kubernetes.kubeconfig`). It does not read the files that the kubeconfig names.
 * Messages quote nothing but names.
 */
import { quote } from "../linux/text.ts";
import {
  type ClusterEntry,
  type UserEntry,
  parseKubeconfig,
} from "./kubeconfig-file.ts";
import { type Material, invalid, readText } from "./pem.ts";
import { nonBlank, omitUndefined } from "./options.ts";

export interface Cluster {
  server?: string;
  certificateAuthority?: Material;
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
  clientCertificate?: Material;
  clientKey?: Material;
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

/** Throws 7 naming the path and the dot path of the fault. */
export function readKubeconfig(path: string): { cluster: Cluster; user: User } {
  const where = `kubeconfig ${quote(path)}`;
  const config = parseKubeconfig(readText(path, "kubeconfig"), where);
  const contextName = nonBlank(config["current-context"]);
  if (contextName === undefined)
    throw invalid(
      `${where}: current-context: expected the name of a context, got nothing`,
    );
  const { entry, key } = find(
    config.contexts,
    contextName,
    "context",
    `${where}: current-context`,
  );
  const { cluster, user } = entry.context;
  const at = `${where}: ${key}.context`;
  const directory = directoryOf(path);
  const clusterEntry = find(
    config.clusters,
    cluster,
    "cluster",
    `${at}.cluster`,
  );
  const userEntry =
    nonBlank(user) && find(config.users, user, "user", `${at}.user`);
  return {
    cluster: clusterOf(clusterEntry.entry.cluster, {
      where: `${where}: ${clusterEntry.key}.cluster`,
      directory,
    }),
    user: userEntry
      ? userOf(userEntry.entry.user ?? {}, {
          where: `${where}: ${userEntry.key}.user`,
          directory,
        })
      : {},
  };
}

/** The first entry of that name, as in client-go, and its key in the file. */
function find<T extends { name: string }>(
  entries: readonly T[] | null | undefined,
  name: string | null | undefined,
  kind: "context" | "cluster" | "user",
  where: string,
): { entry: T; key: string } {
  let index = 0;
  for (const entry of entries ?? []) {
    if (entry.name === name) return { entry, key: `${kind}s.${index}` };
    index++;
  }
  throw invalid(`${where}: no ${kind} is named ${quote(name ?? "")}`);
}

/** Name for messages, and base directory of relative paths. */
interface Place {
  where: string;
  directory: string;
}

/** client-go's place for the data of `provideClusterInfo`. */
const execExtension = "client.authentication.k8s.io/exec";

function clusterOf(cluster: ClusterEntry, place: Place): Cluster {
  return omitUndefined<Cluster>({
    server: nonBlank(cluster.server),
    certificateAuthority: materialOf(cluster, "certificate-authority", place),
    insecure: cluster["insecure-skip-tls-verify"] ?? false,
    tlsServerName: nonBlank(cluster["tls-server-name"]),
    proxyUrl: nonBlank(cluster["proxy-url"]),
    execConfig: cluster.extensions?.find(({ name }) => name === execExtension)
      ?.extension,
  });
}

/** Keys of client-go for impersonation: refused, never ignored (configuration.md). */
const impersonation = [
  "as",
  "as-uid",
  "as-groups",
  "as-user-extra",
] as const satisfies (keyof UserEntry)[];

function refuseImpersonation(user: UserEntry, where: string): void {
  for (const key of impersonation) {
    const value = user[key] ?? "";
    const isStated =
      typeof value === "string" ? value !== "" : Object.keys(value).length > 0;
    if (isStated)
      throw invalid(`${where}.${key}: impersonation is not supported`);
  }
}

function userOf(user: UserEntry, place: Place): User {
  refuseImpersonation(user, place.where);
  const tokenFile = nonBlank(user.tokenFile);
  const { exec, "auth-provider": provider } = user;
  return omitUndefined<User>({
    token: nonBlank(user.token),
    tokenFile: tokenFile && resolvePath(place.directory, tokenFile),
    username: nonBlank(user.username),
    password: user.password ?? undefined,
    clientCertificate: materialOf(user, "client-certificate", place),
    clientKey: materialOf(user, "client-key", place),
    exec: exec ? execOf(exec, place) : undefined,
    authProvider: provider
      ? { name: provider.name, config: provider.config ?? {} }
      : undefined,
  });
}

function execOf(
  exec: NonNullable<UserEntry["exec"]>,
  { where, directory }: Place,
): ExecConfig {
  const { apiVersion, command, interactiveMode } = exec;
  if (interactiveMode === "Always")
    throw invalid(
      `${where}.exec.interactiveMode: "Always" is not supported: there is no terminal`,
    );
  return {
    apiVersion,
    command: command.includes("/") ? resolvePath(directory, command) : command,
    args: exec.args ?? [],
    env: Object.fromEntries(
      exec.env?.map(({ name, value }) => [name, value]) ?? [],
    ),
    provideClusterInfo: exec.provideClusterInfo ?? false,
  };
}

/** `-data` has precedence over the file, as in client-go. */
function materialOf<K extends string>(
  entry: { [key in K | `${K}-data`]?: string | null | undefined },
  key: K,
  { where, directory }: Place,
): Material | undefined {
  const base64 = nonBlank(entry[`${key}-data`]);
  if (base64 !== undefined) return { where: `${where}.${key}-data`, base64 };
  const file = nonBlank(entry[key]);
  return file === undefined
    ? undefined
    : { where: `${where}.${key}`, file: resolvePath(directory, file) };
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
