/** The node's name in the API, which devices and the agent need (configuration.md, `nodeName`). */
import { X509Certificate } from "node:crypto";
import { hostname } from "node:os";
import { readKubeconfig } from "../../kube/access/kubeconfig.ts";
import { type PemSource, readPem } from "../../kube/access/pem.ts";
import type { GenieConfig } from "../../select/config.ts";
import type { Input } from "../command/input.ts";
import type { Env } from "../../cni/environment.ts";
import { attempt } from "./attempt.ts";
import type { Host } from "./host.ts";

/** The option `node`, else the name that the agent uses. */
export function apiNodeName(
  input: Input,
  env: Env,
  { nodeName }: Pick<GenieConfig, "nodeName">,
): string {
  return input.text("node") || env["NODE_NAME"] || nodeName || hostNodeName();
}

/** The kubelet's default: the host's name in lower case. */
export function hostNodeName(host = hostname()): string {
  return host.trim().toLowerCase();
}

/**
 * From the DaemonSet's environment, else from a kubelet's certificate; undefined if
 * neither has it.
 */
export function nodeNameOf(
  kubeconfig: string | undefined,
  host: Host,
  env: Env,
): string | undefined {
  return env["NODE_NAME"] || certifiedName(kubeconfig, host);
}

/** The subject of a kubelet is `system:node:<name>` of the group `system:nodes`. */
function certifiedName(
  kubeconfig: string | undefined,
  host: Host,
): string | undefined {
  if (kubeconfig === undefined) return undefined;
  // Another check validates the credential; the node's name is optional.
  const certificate = attempt(() => {
    const { clientCertificate } = readKubeconfig(host.path(kubeconfig)).user;
    return clientCertificate && readCertificate(clientCertificate, host);
  });
  const subject = certificate?.subject ?? "";
  return /^CN=system:node:(\S+)$/m.exec(subject)?.[1];
}

/** The client certificate of a kubeconfig of the node. Throws Error if it cannot be read. */
export function readCertificate(
  source: PemSource,
  host: Host,
): X509Certificate {
  const onNode =
    "file" in source ? { ...source, file: host.path(source.file) } : source;
  return new X509Certificate(readPem(onNode, "CERTIFICATE"));
}
