/**
 * The credential with which genie calls the API server. The first that exists: the
 * operator's options, the service account of the pod that installs, the credential
 * of an earlier run, the node's own. {@link writeCredential} writes it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Code, CniError } from "../cni/error.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { openAccess } from "../kube/access.ts";
import { readKubeconfig } from "../kube/kubeconfig.ts";
import { omitUndefined } from "../kube/options.ts";
import {
  inClusterServer,
  readServerUrl,
  withoutSecrets,
} from "../kube/server-url.ts";
import type { Input, Options } from "./command.ts";
import { UsageError } from "./command.ts";
import type { Host } from "./host.ts";
import { kubeconfigText } from "./kubeconfig-text.ts";
import { keepDamaged, makeDirectory, putText, textOf } from "./replace-file.ts";
import type { Env } from "./terminal.ts";

export type Credential =
  /** An existing kubeconfig, used as it is. */
  | { kind: "given"; kubeconfig: string; why: string }
  | { kind: "written"; cluster: object; user: object; copies: Copies }
  | { kind: "none" };

/** Content of files to copy from the pod to the node, by base name. */
type Copies = Readonly<Record<string, string>>;

/** The operator's options. */
export interface Wishes {
  kubeconfig?: string;
  server?: string;
  certificateAuthority?: string;
  tokenFile?: string;
  clientCertificate?: string;
  clientKey?: string;
  insecure: boolean;
  /** Mount path of the pod's service account. */
  serviceAccount: string;
}

export const credentialOptions = {
  kubeconfig: {
    value: "FILE",
    path: "file",
    about:
      "use this kubeconfig as it is, for instance /etc/kubernetes/kubelet.conf",
  },
  server: {
    value: "URL",
    about: "make a kubeconfig for this API server",
  },
  "certificate-authority": {
    value: "FILE",
    path: "file",
    about: "CA certificate of --server",
  },
  "token-file": {
    value: "FILE",
    path: "file",
    about: "bearer token for --server, read at every use",
  },
  "client-certificate": {
    value: "FILE",
    path: "file",
    about: "client certificate for --server, in place of a token",
  },
  "client-key": {
    value: "FILE",
    path: "file",
    about: "private key of --client-certificate",
  },
  "insecure-skip-tls-verify": {
    about:
      "do not verify the certificate of --server: another server can impersonate it",
  },
  "service-account": {
    value: "DIR",
    path: "directory",
    about:
      "service account of the pod that runs install (default /var/run/secrets/kubernetes.io/serviceaccount)",
  },
} as const satisfies Options;

/** Throws UsageError for contradicting options. */
export function wishesOf(input: Input): Wishes {
  const wishes = omitUndefined<Wishes>({
    kubeconfig: input.path("kubeconfig"),
    server: input.text("server"),
    certificateAuthority: input.path("certificate-authority"),
    tokenFile: input.path("token-file"),
    clientCertificate: input.path("client-certificate"),
    clientKey: input.path("client-key"),
    insecure: input.flag("insecure-skip-tls-verify"),
    serviceAccount:
      input.path("service-account") ??
      "/var/run/secrets/kubernetes.io/serviceaccount",
  });
  const { kubeconfig, server, clientCertificate, clientKey, tokenFile } =
    wishes;
  const parts = [tokenFile, clientCertificate, clientKey];
  if (kubeconfig !== undefined && server !== undefined)
    throw new UsageError("--kubeconfig and --server exclude each other");
  if (server === undefined && parts.some((part) => part !== undefined))
    throw new UsageError("--server is missing");
  if (server !== undefined) requireUrl(server);
  if ((clientCertificate === undefined) !== (clientKey === undefined))
    throw new UsageError(
      "--client-certificate and --client-key need each other",
    );
  if (server !== undefined && parts.every((part) => part === undefined))
    throw new UsageError(
      "--server: --token-file or --client-certificate is missing",
    );
  return wishes;
}

function requireUrl(server: string): void {
  const url = readServerUrl(server, { isRoot: false });
  if ("problem" in url)
    throw new UsageError(
      `--server ${quote(withoutSecrets(server))}: ${url.problem}`,
    );
}

/** Kubeconfigs of the node's own kubelet, by distribution. */
const nodeKubeconfigs = [
  "/etc/kubernetes/kubelet.conf",
  "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
  "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
  "/var/lib/k0s/kubelet.conf",
  "/var/snap/microk8s/current/credentials/kubelet.config",
  // Talos, Bottlerocket; GKE, OpenShift, EKS and AKS.
  "/etc/kubernetes/kubeconfig-kubelet",
  "/etc/kubernetes/kubelet/kubeconfig",
  "/var/lib/kubelet/kubeconfig",
];

/**
 * `directory` is where genie writes, `existing` the kubeconfig of the present
 * configuration; both are paths of the node.
 */
export function chooseCredential(
  wishes: Wishes,
  { directory, existing }: { directory: string; existing: string | undefined },
  host: Host,
  env: Env,
): Credential {
  const { kubeconfig, server } = wishes;
  if (kubeconfig !== undefined) return { kind: "given", kubeconfig, why: "" };
  if (server !== undefined) return ofOptions(server, wishes);
  const account = serviceAccount(wishes, directory, env);
  if (account) return account;
  const there = [existing, join(directory, "kubeconfig")].find(
    (path) => path !== undefined && existsSync(host.path(path)),
  );
  if (there !== undefined)
    return { kind: "given", kubeconfig: there, why: "as before" };
  const node = nodeKubeconfigs.find((path) => existsSync(host.path(path)));
  return node === undefined
    ? { kind: "none" }
    : { kind: "given", kubeconfig: node, why: "the node's own" };
}

function ofOptions(server: string, wishes: Wishes): Credential {
  return {
    kind: "written",
    cluster: omitUndefined<object>({
      server,
      "certificate-authority": wishes.certificateAuthority,
      ...(wishes.insecure && { "insecure-skip-tls-verify": true }),
    }),
    user: omitUndefined<object>({
      tokenFile: wishes.tokenFile,
      "client-certificate": wishes.clientCertificate,
      "client-key": wishes.clientKey,
    }),
    copies: {},
  };
}

/**
 * The service account of this pod. The kubelet renews its token, so `--watch`
 * copies it repeatedly.
 */
function serviceAccount(
  { serviceAccount: mounted, insecure }: Wishes,
  directory: string,
  env: Env,
): Credential | undefined {
  const server = inClusterServer(env);
  const token = textOf(join(mounted, "token"));
  const authority = textOf(join(mounted, "ca.crt"));
  if (server === undefined || token === undefined || authority === undefined)
    return undefined;
  return {
    kind: "written",
    cluster: {
      server,
      ...(insecure
        ? { "insecure-skip-tls-verify": true }
        : { "certificate-authority": join(directory, "ca.crt") }),
    },
    user: { tokenFile: join(directory, "token") },
    copies: { "ca.crt": authority, token },
  };
}

export interface WrittenCredential {
  /** undefined: no credential. */
  kubeconfig: string | undefined;
  changed: boolean;
}

/**
 * Writes the files of a credential, the kubeconfig last. Throws 7 for an unreadable
 * kubeconfig, unless `force` is set.
 */
export function writeCredential(
  credential: Credential,
  directory: string,
  host: Host,
  force: boolean,
): WrittenCredential {
  if (credential.kind === "none")
    return { kubeconfig: undefined, changed: false };
  if (credential.kind === "given")
    return { kubeconfig: credential.kubeconfig, changed: false };
  makeDirectory(host.path(directory), 0o700);
  const put = (name: string, text: string): boolean => {
    const place = host.target(join(directory, name));
    return putText(place, text, { mode: 0o600, secret: true });
  };
  const changed = Object.entries(credential.copies).map(([name, text]) =>
    put(name, text),
  );
  changed.push(
    put("kubeconfig", writtenText(credential, directory, host, force)),
  );
  return {
    kubeconfig: join(directory, "kubeconfig"),
    changed: changed.includes(true),
  };
}

/**
 * The text of the kubeconfig; `force` renames an unreadable one. Throws 7 as {@link
 * writeCredential}.
 */
function writtenText(
  { cluster, user }: Extract<Credential, { kind: "written" }>,
  directory: string,
  host: Host,
  force: boolean,
): string {
  const path = join(directory, "kubeconfig");
  try {
    return kubeconfigText(textOf(host.target(path)), cluster, user);
  } catch (cause) {
    if (force) {
      keepDamaged(join(host.path(directory), "kubeconfig"));
      return kubeconfigText(undefined, cluster, user);
    }
    throw new CniError(
      Code.invalidNetworkConfig,
      `${path}: ${messageOf(cause)}: correct it, or use --force, which keeps a copy of it and writes it anew`,
      { cause },
    );
  }
}

/** The files that {@link writeCredential} writes. */
export const credentialFiles = ["kubeconfig", "token", "ca.crt"];

/**
 * Throws 7 for a kubeconfig that genie cannot use or cannot edit. Below another
 * root it reads the kubeconfig only: the files that it names are paths of the node.
 */
export async function requireUsable(
  credential: Credential,
  { directory, force }: { directory: string; force: boolean },
  host: Host,
  env: Env,
): Promise<void> {
  if (credential.kind === "written" && !force)
    writtenText(credential, directory, host, force);
  if (credential.kind !== "given") return;
  const path = host.path(credential.kubeconfig);
  if (!host.isOurs) {
    readKubeconfig(path);
    return;
  }
  try {
    await openAccess({ kubeconfig: path }, { env, serviceAccount: "" });
  } catch (cause) {
    throw new CniError(
      CniError.from(cause).code,
      `credential ${quote(path)}: ${messageOf(cause)}`,
      { cause },
    );
  }
}
