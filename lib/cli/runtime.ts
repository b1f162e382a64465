/**
 * The container runtimes of a node, found by their files.
 */
import { existsSync } from "node:fs";
import type { Host } from "./host.ts";

export type Runtime = "containerd" | "crio";

const traces: Readonly<Record<Runtime, readonly string[]>> = {
  containerd: [
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
  ],
  crio: [
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d",
  ],
};

/** The installed runtimes, in this order. */
export function runtimesOf(host: Host): Runtime[] {
  return (["containerd", "crio"] as const).filter((runtime) =>
    traces[runtime].some((path) => existsSync(host.path(path))),
  );
}
