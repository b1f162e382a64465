/**
 * The kubelet of a node: cgroupfs, no systemd, everything that a small
 * machine lacks switched off.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import type { ControlPlane } from "./control-plane.ts";
import { socket } from "./containerd.ts";
import { Daemon } from "./daemon.ts";
import type { Parts } from "./parts.ts";
import { type Place, daemonName, firstNode, nodeAddress } from "./place.ts";

export { nodeName } from "./place.ts";

/** Its own kubeconfig, where kubeadm has it. */
export const kubeletConf = "/etc/kubernetes/kubelet.conf";

export const staticPods = "/etc/kubernetes/manifests";

/** Not started yet. */
export async function kubelet(
  parts: Parts,
  directory: string,
  {
    pki,
    kubeconfig,
    kubectl,
  }: Pick<ControlPlane, "pki" | "kubeconfig" | "kubectl">,
  place: Place = firstNode(directory),
  options: readonly string[] = [],
): Promise<Daemon> {
  const { root, name, address, group, server } = place;
  mkdirSync(root + staticPods, { recursive: true });
  const pair = pki.client(`system:node:${name}`, ["system:nodes"]);
  kubeconfig(root + kubeletConf, pair, server);
  const file = "/var/lib/kubelet/config.yaml";
  writeFileSync(
    root + file,
    JSON.stringify(configuration(group, pki.ca.certFile)),
  );
  return new Daemon(directory, {
    name: daemonName(place, "kubelet"),
    cmd: place.command([
      parts("kubelet"),
      `--config=${file}`,
      `--kubeconfig=${kubeletConf}`,
      `--hostname-override=${name}`,
      `--node-ip=${address}`,
      "--cert-dir=/var/lib/kubelet/pki",
      ...options,
    ]),
    ready: async () =>
      (await kubectl.attempt("get", "node", name)).exitCode === 0,
    seconds: 60,
  });
}

function configuration(group: string, clientCa: string): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${socket}`,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${group}`,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    failCgroupV1: false,
    oomScoreAdj: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: clientCa },
    },
    authorization: { mode: "AlwaysAllow" },
    staticPodPath: staticPods,
    fileCheckFrequency: "1s",
    syncFrequency: "5s",
    nodeStatusUpdateFrequency: "2s",
    resolvConf: "",
    clusterDNS: [nodeAddress],
    volumePluginDir: "/var/lib/kubelet/volumeplugins",
    localStorageCapacityIsolation: false,
    // However full this machine's disk is.
    evictionHard: {
      "memory.available": "0%",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
    },
    imageGCHighThresholdPercent: 100,
    readOnlyPort: 0,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
  };
}
