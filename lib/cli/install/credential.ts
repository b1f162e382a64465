/**
 * The credential with which genie calls the API server. The first that exists: the
 * operator's options, the kubeconfig of an earlier run, the node's own, the service
 * account of the pod that installs. A pod prefers the node's own to the one that it wrote
 * earlier: the account's token is invalid once its pod is deleted, and genie could then read
 * no definitions. {@link writeCredential} writes it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CniError, invalidConfig } from "../../cni/error.ts";
import { openAccess } from "../../kube/access/access.ts";
import { readKubeconfig } from "../../kube/access/kubeconfig.ts";
import { inClusterServer } from "../../kube/access/server-url.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Env } from "../../cni/environment.ts";
import { attempt } from "../node/attempt.ts";
import type { Directories } from "../node/directories.ts";
import type { Host } from "../node/host.ts";
import { readTextIfAny } from "../node/read-file.ts";
import { makePrivateDirectory, putText } from "../node/replace-file.ts";
import type {
  Credential,
  CredentialRequest,
  WrittenCredential,
} from "./credential-options.ts";

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

/** The credential's directory, beside the networks: runtimes ignore subdirectories. */
export function credentialDirectory({ confDir }: Directories): string {
  return join(confDir, "genie.d");
}

/** `existing` is the kubeconfig of the present configuration, a path of the node. */
export function chooseCredential(
  { named, account: { directory: mounted, isRequired } }: CredentialRequest,
  existing: string | undefined,
  directories: Directories,
  env: Env,
): Credential {
  if (named) return named;
  const { host } = directories;
  const directory = credentialDirectory(directories);
  const account = serviceAccount(mounted, directory, env);
  if (isRequired) {
    if (account) return account;
    throw invalidConfig(
      `--service-account: no token and ca.crt in ${quote(mounted)}, or no KUBERNETES_SERVICE_HOST in the environment`,
    );
  }
  const isThere = (path: string) => existsSync(host.path(path));
  const written = join(directory, "kubeconfig");
  const before = [existing, written]
    .filter((path) => path !== undefined)
    .find((path) => isThere(path) && !(account && path === written));
  if (before !== undefined)
    return { kind: "given", kubeconfig: before, why: "as before" };
  const isUsable = account
    ? (path: string) => isKubeconfig(host.path(path))
    : isThere;
  const kubeconfig = nodeKubeconfigs.find(isUsable);
  if (kubeconfig !== undefined)
    return { kind: "given", kubeconfig, why: "the node's own" };
  return account ?? { kind: "none" };
}

/** Whether the file can be read: a node that is being set up may have an incomplete one. */
function isKubeconfig(path: string): boolean {
  return attempt(() => readKubeconfig(path)) !== undefined;
}

/**
 * The service account of this pod. The kubelet renews its token, so `--watch`
 * copies it repeatedly.
 */
function serviceAccount(
  mounted: string,
  directory: string,
  env: Env,
): Credential | undefined {
  const server = inClusterServer(env);
  const token = readTextIfAny(join(mounted, "token"));
  const authority = readTextIfAny(join(mounted, "ca.crt"));
  if (server === undefined || token === undefined || authority === undefined)
    return undefined;
  return {
    kind: "written",
    cluster: { server, "certificate-authority": join(directory, "ca.crt") },
    user: { tokenFile: join(directory, "token") },
    copies: { "ca.crt": authority, token },
  };
}

/**
 * Writes the files of a credential, the kubeconfig last. Returns its path, undefined
 * without a credential.
 */
export function writeCredential(
  credential: Credential,
  directories: Directories,
): { kubeconfig: string | undefined; changed: boolean } {
  if (credential.kind === "none")
    return { kubeconfig: undefined, changed: false };
  if (credential.kind === "given")
    return { kubeconfig: credential.kubeconfig, changed: false };
  const { host } = directories;
  const directory = credentialDirectory(directories);
  makePrivateDirectory(host.path(directory));
  const files = {
    ...credential.copies,
    kubeconfig: kubeconfigText(credential),
  };
  let changed = false;
  for (const [name, text] of Object.entries(files)) {
    const place = host.target(join(directory, name));
    if (putText(place, text, { mode: 0o600, secret: true })) changed = true;
  }
  return { kubeconfig: join(directory, "kubeconfig"), changed };
}

function kubeconfigText({ cluster, user }: WrittenCredential): string {
  const name = "genie";
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster }],
    users: [{ name, user }],
  };
  return `${Bun.YAML.stringify(kubeconfig, null, 2)}\n`;
}

/** The files that {@link writeCredential} writes. */
export const credentialFiles = ["kubeconfig", "token", "ca.crt"];

/**
 * Throws 7 for a kubeconfig that genie cannot use. Below another root it reads the
 * kubeconfig only: the files that it names are paths of the node.
 */
export async function requireUsableCredential(
  credential: Credential,
  host: Host,
  env: Env,
): Promise<void> {
  if (credential.kind !== "given") return;
  const path = host.path(credential.kubeconfig);
  if (!host.isOwnRoot) {
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
