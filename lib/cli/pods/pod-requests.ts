/**
 * The capability arguments that a runtime derives from a pod, in containerd's
 * spelling (container-runtimes.md §1). Pure.
 */
import { own } from "../../cni/json.ts";
import type { Annotations } from "../../select/attachment.ts";
import type { PodSpec } from "./pod-schema.ts";

/** The host ports of every container, as the kubelet passes them to the runtime. */
export function portMappingsOf(spec: PodSpec): object[] {
  return (spec?.containers ?? [])
    .flatMap(({ ports }) => ports ?? [])
    .flatMap(({ hostPort, containerPort, protocol, hostIP }) =>
      typeof hostPort === "number" && hostPort > 0
        ? {
            HostPort: hostPort,
            ContainerPort: containerPort,
            Protocol: protocol?.toLowerCase() ?? "tcp",
            HostIP: hostIP ?? "",
          }
        : [],
    );
}

/** The rates of the annotations; containerd's burst is 2^32 − 1 if a rate is set. */
export function bandwidthOf(annotations: Annotations): object | undefined {
  const rate = (key: string): number =>
    quantity(own(annotations, `kubernetes.io/${key}-bandwidth`));
  const ingress = rate("ingress");
  const egress = rate("egress");
  if (ingress === 0 && egress === 0) return undefined;
  const burst = (of: number) => (of === 0 ? 0 : 2 ** 32 - 1);
  return {
    IngressRate: ingress,
    IngressBurst: burst(ingress),
    EgressRate: egress,
    EgressBurst: burst(egress),
  };
}

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** A Kubernetes quantity; 0 for none and for an invalid one. */
function quantity(text: unknown): number {
  if (typeof text !== "string") return 0;
  const [, digits = "", suffix = ""] =
    /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text.trim()) ?? [];
  return Math.ceil(Number(digits) * (suffixes[suffix] ?? 0));
}
