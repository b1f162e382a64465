/**
 * The DaemonSet that installs genie on every node and renews its token. Pods do not
 * need it. Pure.
 */
import { join } from "node:path";
import { type Directories, defaultDirectories } from "./node.ts";

export interface ManifestOptions {
  image: string;
  namespace: string;
  /** The node's own credential; undefined: the service account. */
  kubeconfig: string | undefined;
  defaultNetwork: string | undefined;
  directories: Directories;
}

const name = "genie";
const labels = { "app.kubernetes.io/name": name };

/** Mount path of the node's file system in the container. */
const root = "/host";

export function daemonSet(options: ManifestOptions): object {
  const { image, namespace, kubeconfig, directories } = options;
  const byAccount = kubeconfig === undefined;
  const container = {
    image,
    env: [
      {
        name: "NODE_NAME",
        valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } },
      },
    ],
    securityContext: {
      // CHOWN: files keep their owner. SYS_CHROOT: the copy is executed below
      // the node's root.
      capabilities: {
        drop: ["ALL"],
        add: ["CHOWN", "DAC_OVERRIDE", "SYS_CHROOT"],
      },
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      seLinuxOptions: { type: "spc_t" },
    },
    resources: {
      requests: { cpu: "10m", memory: "64Mi" },
    },
    volumeMounts: [
      {
        name: "root",
        mountPath: root,
        readOnly: true,
        // Network namespaces of pods are mounts that appear and disappear.
        mountPropagation: "HostToContainer",
      },
      { name: "plugins", mountPath: join(root, directories.binDir) },
      { name: "networks", mountPath: join(root, directories.confDir) },
      // Has the copy of the last valid configuration.
      { name: "records", mountPath: join(root, dataDirOf(directories)) },
    ],
  };
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name, namespace, labels },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: "RollingUpdate" },
      template: {
        metadata: { labels },
        spec: {
          ...(byAccount && { serviceAccountName: name }),
          automountServiceAccountToken: byAccount,
          // It must run before the pod network exists.
          hostNetwork: true,
          priorityClassName: "system-node-critical",
          nodeSelector: { "kubernetes.io/os": "linux" },
          tolerations: [{ operator: "Exists" }],
          terminationGracePeriodSeconds: 5,
          initContainers: [
            { name: "install", ...container, args: installArgs(options) },
          ],
          containers: [
            {
              name: "watch",
              ...container,
              args: [...installArgs(options), "--watch"],
            },
          ],
          volumes: [
            { name: "root", hostPath: { path: "/", type: "Directory" } },
            {
              name: "plugins",
              hostPath: { path: directories.binDir, type: "DirectoryOrCreate" },
            },
            {
              name: "networks",
              hostPath: {
                path: directories.confDir,
                type: "DirectoryOrCreate",
              },
            },
            {
              name: "records",
              hostPath: {
                path: dataDirOf(directories),
                type: "DirectoryOrCreate",
              },
            },
          ],
        },
      },
    },
  };
}

function dataDirOf({ dataDir }: Directories): string {
  return dataDir ?? defaultDirectories.dataDir;
}

function installArgs({
  kubeconfig,
  defaultNetwork,
  directories,
}: ManifestOptions): string[] {
  const { confDir, binDir, dataDir } = directories;
  const given: [option: string, value: string | undefined][] = [
    ["root", root],
    ["kubeconfig", kubeconfig],
    ["default", defaultNetwork],
    ["conf-dir", confDir === defaultDirectories.confDir ? undefined : confDir],
    ["bin-dir", binDir === defaultDirectories.binDir ? undefined : binDir],
    ["data-dir", dataDir],
  ];
  return [
    "install",
    ...given.flatMap(([option, value]) =>
      value === undefined ? [] : [`--${option}=${value}`],
    ),
  ];
}
