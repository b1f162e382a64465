/**
 * The DaemonSet that installs genie on every node, renews its credential and runs the
 * agent's other parts. Pods do not need it. Pure.
 */
import type {
  V1Container,
  V1DaemonSet,
  V1HostPathVolumeSource,
  V1PodSpec,
  V1Probe,
  V1Volume,
  V1VolumeMount,
} from "@kubernetes/client-node";
import { dirname, join } from "node:path";
import { argsOf } from "../command/options.ts";
import {
  type Directories,
  defaultDirectories,
  directoryArgs,
} from "../node/directories.ts";
import type { Contribution } from "./feature.ts";
import { objectName } from "./rbac.ts";
import { serviceAccountDirectory } from "../../kube/access/access.ts";

/** The default is the kubelet's credential, or the account where there is none. */
type CredentialMode = "default" | "node" | "account";

export interface DaemonSetOptions {
  image: string;
  namespace: string;
  credential: CredentialMode;
  /** Whether the pods run under genie's account. */
  hasAccount: boolean;
  defaultNetwork: string | undefined;
  directories: Directories;
  /** Removes genie from the nodes in place of installing it. */
  isUninstall: boolean;
}

const labels = { "app.kubernetes.io/name": objectName };

/** Mount path of the node's file system in the container. */
const root = "/host";

/** Under one name, so that the one that removes genie replaces the one that installs it. */
export function daemonSet(
  options: DaemonSetOptions,
  contributions: readonly Contribution[],
): V1DaemonSet {
  const { namespace, isUninstall } = options;
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: objectName, namespace, labels },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: {
        type: "RollingUpdate",
        // A node whose pods still need genie must not stop the others.
        ...(isUninstall && { rollingUpdate: { maxUnavailable: "100%" } }),
      },
      template: {
        metadata: { labels },
        spec: podSpec(options, contributions),
      },
    },
  };
}

function podSpec(
  options: DaemonSetOptions,
  contributions: readonly Contribution[],
): V1PodSpec {
  const { image, hasAccount, directories, isUninstall } = options;
  const isPrivileged = contributions.some(({ privileged }) => privileged);
  const mounts = mountsOf(options, contributions);
  const metrics = contributions.find((one) => one.metrics)?.metrics;
  const container: V1Container = {
    name: objectName,
    image,
    args: [
      ...(isUninstall ? ["uninstall"] : agentArgs(options)),
      `--root=${root}`,
      ...directoryArgs(directories),
      ...(isUninstall ? ["--watch"] : []),
      `--health=${healthFile}`,
      ...contributions.flatMap(({ args = [] }) => args),
    ],
    env: [
      {
        name: "NODE_NAME",
        valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } },
      },
    ],
    ...(metrics && {
      ports: [{ name: metricsPort, containerPort: metrics.port }],
    }),
    securityContext: isPrivileged ? privileged : restricted,
    resources: { requests: { cpu: "10m", memory: "128Mi" } },
    // The first round takes as long as the copy of the executable.
    startupProbe: probe(healthOf(), 1, 180),
    readinessProbe: probe(
      metrics ? readyz(metrics) : healthOf("--ready"),
      10,
      3,
    ),
    livenessProbe: probe(healthOf(), 60, 3),
    volumeMounts: mounts.map(({ volume, ...mount }) => ({
      name: volume.name,
      ...mount,
    })),
  };
  return {
    ...(hasAccount && { serviceAccountName: objectName }),
    automountServiceAccountToken: hasAccount,
    // It must run before the pod network exists.
    hostNetwork: true,
    ...(isPrivileged && { hostPID: true }),
    priorityClassName: "system-node-critical",
    nodeSelector: { "kubernetes.io/os": "linux" },
    tolerations: [{ operator: "Exists" }],
    terminationGracePeriodSeconds: 5,
    containers: [container],
    volumes: mounts.map(({ volume }) => volume),
  };
}

/** A volume of the pod, and its place in the container. */
type Mount = { volume: V1Volume } & Omit<V1VolumeMount, "name">;

function mountsOf(
  { directories, isUninstall }: DaemonSetOptions,
  contributions: readonly Contribution[],
): Mount[] {
  const { binDir, confDir, dataDir } = directories;
  return [
    {
      volume: hostPath("root", "/", "Directory"),
      mountPath: root,
      readOnly: true,
      // Network namespaces of pods are mounts that appear and disappear.
      mountPropagation: "HostToContainer",
    },
    directoryMount({ name: "plugins", path: binDir }),
    directoryMount({ name: "networks", path: confDir }),
    // `install` keeps the copy of the last valid configuration here.
    directoryMount({
      name: "records",
      path: dataDir ?? defaultDirectories.dataDir,
    }),
    ...contributions
      .flatMap((one) => one.directories ?? [])
      .map(directoryMount),
    health,
    ...(isUninstall ? [] : [settings]),
  ];
}

/** A directory of the node, at the same path below the mounted root. */
function directoryMount(directory: { name: string; path: string }): Mount {
  return {
    volume: hostPath(directory.name, directory.path, "DirectoryOrCreate"),
    mountPath: join(root, directory.path),
  };
}

const healthFile = "/run/genie/health";

const health: Mount = {
  volume: { name: "health", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  mountPath: dirname(healthFile),
};

/** One file for each key; the kubelet renews them, and each round reads them. */
const settings: Mount = {
  volume: { name: "settings", configMap: { name: objectName, optional: true } },
  mountPath: "/etc/genie",
};

type Action = Pick<V1Probe, "exec" | "httpGet">;

function probe(
  action: Action,
  periodSeconds: number,
  failureThreshold: number,
): V1Probe {
  return { ...action, periodSeconds, timeoutSeconds: 10, failureThreshold };
}

/** Ready: installed, with this version and these settings. Alive: it makes rounds. */
function healthOf(...args: string[]): Action {
  return { exec: { command: ["/genie", "health", healthFile, ...args] } };
}

const metricsPort = "metrics";

/** Ready: installed as well, and the agent's watches are in sync. */
function readyz({ hostname }: { hostname: string }): Action {
  return { httpGet: { path: "/readyz", port: metricsPort, host: hostname } };
}

const common = {
  readOnlyRootFilesystem: true,
  runAsUser: 0,
  seLinuxOptions: { type: "spc_t" },
};

// CHOWN: files keep their owner. SYS_CHROOT: the copy is executed below the node's
// root.
const restricted = {
  ...common,
  capabilities: { drop: ["ALL"], add: ["CHOWN", "DAC_OVERRIDE", "SYS_CHROOT"] },
  allowPrivilegeEscalation: false,
};

const privileged = { ...common, privileged: true };

function hostPath(
  volume: string,
  path: string,
  type: V1HostPathVolumeSource["type"] & string,
): V1Volume {
  return { name: volume, hostPath: { path, type } };
}

function agentArgs({ credential, defaultNetwork }: DaemonSetOptions): string[] {
  return [
    "agent",
    ...argsOf({
      "service-account":
        credential === "account" ? serviceAccountDirectory : undefined,
      default: defaultNetwork,
      settings: settings.mountPath,
    }),
  ];
}
