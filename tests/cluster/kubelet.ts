/**
 * The kubelet of the one node: cgroupfs, no systemd, everything that a small
 * machine lacks switched off.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { type ControlPlane, nodeAddress } from "./control-plane.ts";
import { socket } from "./containerd.ts";
import { Daemon } from "./daemon.ts";
import type { Parts } from "./parts.ts";

export const nodeName = "node1";

/** Its own kubeconfig, where kubeadm has it. */
export const kubeletConf = "/etc/kubernetes/kubelet.conf";

export const staticPods = "/etc/kubernetes/manifests";

/** Not started yet. */
export async function kubelet(
  parts: Parts,
  directory: string,
  group: string,
  { pki, kubeconfig, kubectl }: ControlPlane,
): Promise<Daemon> {
  mkdirSync(staticPods, { recursive: true });
  const pair = await pki.client(`system:node:${nodeName}`, ["system:nodes"]);
  kubeconfig(kubeletConf, pair);
  const file = "/var/lib/kubelet/config.yaml";
  writeFileSync(file, JSON.stringify(configuration(group, pki.ca.cert)));
  return new Daemon(directory, {
    name: "kubelet",
    cmd: [
      parts("kubelet"),
      `--config=${file}`,
      `--kubeconfig=${kubeletConf}`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${nodeAddress}`,
      "--cert-dir=/var/lib/kubelet/pki",
    ],
    ready: async () =>
      (await kubectl.attempt("get", "node", nodeName)).exitCode === 0,
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
