/**
 * The name of this node in the API, as far as the node says it: devices and the
 * agent need it (configuration.md, `nodeName`).
 */
import { X509Certificate } from "node:crypto";
import { readKubeconfig } from "../kube/kubeconfig.ts";
import { readPem } from "../kube/pem.ts";
import type { Host } from "./host.ts";
import type { Env } from "./terminal.ts";

/** From the environment of our DaemonSet, else from a kubelet's certificate; undefined when neither knows. */
export function nodeNameOf(
  kubeconfig: string | undefined,
  host: Host,
  env: Env,
): string | undefined {
  return env["NODE_NAME"] || certifiedName(kubeconfig, host);
}

/** A kubelet signs in as `system:node:<name>` of the group `system:nodes`. */
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
    // The credential itself is checked elsewhere; without the name nothing is worse than before.
    return undefined;
  }
}
