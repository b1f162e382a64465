/**
 * The name of this node in the API, if the node has it: devices and the agent need
 * it (configuration.md, `nodeName`).
 */
import { X509Certificate } from "node:crypto";
import { readKubeconfig } from "../kube/kubeconfig.ts";
import { readPem } from "../kube/pem.ts";
import type { Host } from "./host.ts";
import type { Env } from "./terminal.ts";

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
  try {
    const { user } = readKubeconfig(host.path(kubeconfig));
    const { clientCertificate } = user;
    if (!clientCertificate) return undefined;
    const onNode =
      "file" in clientCertificate
        ? { ...clientCertificate, file: host.path(clientCertificate.file) }
        : clientCertificate;
    const { subject } = new X509Certificate(readPem(onNode, "CERTIFICATE"));
    return /^CN=system:node:(\S+)$/m.exec(subject)?.[1];
  } catch {
    // Another check validates the credential; the node's name is optional.
    return undefined;
  }
}
