/** For the tests of `install`: capabilities, credentials of a pod and of a node. */
import type { NodeDirectory } from "../fixtures.ts";
import { kubeconfigJson } from "../../support/kubeconfig.ts";

export const capabilities = {
  "io.kubernetes.cri.pod-annotations": true,
  portMappings: true,
  bandwidth: true,
  dns: true,
  cgroupPath: true,
};

export const inCluster = {
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
  KUBERNETES_SERVICE_PORT: "443",
  PATH: process.env["PATH"],
};

export const kubeletConf = "/etc/kubernetes/kubelet.conf";

export const plainKubeconfig = kubeconfigJson(
  { server: "http://127.0.0.1:1" },
  { token: "t" },
);

export function account(node: NodeDirectory, token = "token-1"): string {
  node.write("account/token", token);
  return node
    .write("account/ca.crt", "the authority")
    .replace(/\/ca\.crt$/, "");
}
