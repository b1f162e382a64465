/**
 * The demo's node as a container runtime sees it: a directory of configurations,
 * the reference plugins, and calls of genie with the environment and the
 * request that containerd would make. It owns the files and the pods' network
 * namespaces.
 */
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { $ } from "bun";
import { tlsSessionFile } from "../lib/http/tls-session.ts";
import type { StoredObject } from "../tests/support/api-objects.ts";
import type { ApiServer } from "../tests/support/api-server.ts";
import { Netns } from "../tests/support/netns.ts";
import { type Answer, callPlugin } from "../tests/support/runtime.ts";
import { type Places, genieFile, mapping, networkFiles } from "./networks.ts";
import { type DemoPod, lost, namespace, pods } from "./pods.ts";
import { workDirectory } from "./private.ts";

/** A pod's sandbox: its container ID and its network namespace. */
export interface Sandbox {
  pod: DemoPod;
  containerId: string;
  uid: string;
  netns: Netns;
}

export interface Node extends AsyncDisposable {
  api: ApiServer;
  networks: { file: string }[];
  /** The directory of the reference plugins. */
  plugins: string;
  /** Whether the packet filter can forward a port; else why not. */
  forwarding: { possible: boolean; why: string };
  sandbox(pod: DemoPod): Promise<Sandbox>;
  /** Calls genie; `netns` is empty where a runtime has lost it. */
  call(
    command: "ADD" | "DEL",
    sandbox: Sandbox,
    netns?: string,
  ): Promise<Answer>;
  /** Files that genie and host-local have written and not removed. */
  leftOver(): string[];
  /** Takes the networks away; pods that are attached must not need them. */
  forgetNetworks(): void;
}

/** Writes the configurations and puts the pods into the API server. */
export async function createNode(
  api: ApiServer,
  binary: string,
): Promise<Node> {
  if (!statSync(binary, { throwIfNoEntry: false })) {
    throw new Error(`${binary} is missing: run make build`);
  }
  const places: Places = {
    confDir: workDirectory("net.d"),
    dataDir: workDirectory("genie"),
    leases: workDirectory("leases"),
    kubeconfig: api.kubeconfig(),
  };
  const plugins = pluginDirectory();
  const networks = networkFiles(places);
  const genie = genieFile(places);
  for (const { file, content } of [genie, ...networks]) {
    writeFileSync(join(places.confDir, file), JSON.stringify(content, null, 2));
  }
  for (const pod of [...pods, lost]) api.pods.put(podObject(pod));
  const forwarding = await forwardingOf(plugins);
  const namespaces = new AsyncDisposableStack();

  return {
    api,
    networks,
    plugins,
    forwarding,
    async sandbox(pod) {
      return {
        pod,
        containerId: new Bun.CryptoHasher("sha256")
          .update(pod.name)
          .digest("hex"),
        uid: api.pods.get(namespace, pod.name)?.metadata.uid ?? "",
        netns: namespaces.use(await Netns.create()),
      };
    },
    call(command, { pod, containerId, uid, netns }, path = netns.path) {
      const { plugins: list, name, cniVersion } = genie.content;
      const mapped = pod.mapped && forwarding.possible;
      return callPlugin({
        binary,
        env: {
          CNI_COMMAND: command,
          CNI_CONTAINERID: containerId,
          CNI_NETNS: path,
          CNI_IFNAME: "eth0",
          CNI_PATH: plugins,
          CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${containerId};K8S_POD_UID=${uid}`,
        },
        config: {
          ...list[0],
          name,
          cniVersion,
          ...(mapped && { runtimeConfig: { portMappings: [mapping] } }),
        },
      });
    },
    leftOver: () => [
      // The next pod resumes the TLS session with the API server.
      ...filesBelow(places.dataDir).filter(
        (file) => basename(file) !== tlsSessionFile,
      ),
      // host-local keeps its lock and the last address it gave.
      ...filesBelow(places.leases).filter(
        (file) => !/\/(?:lock|last_reserved_ip\.\d+)$/.test(file),
      ),
    ],
    forgetNetworks: () => rmSync(places.confDir, { recursive: true }),
    [Symbol.asyncDispose]: () => namespaces.disposeAsync(),
  };
}

function podObject({ name, cni }: DemoPod): StoredObject {
  const annotations = cni === undefined ? {} : { cni };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, annotations },
  };
}

/** Debian's, or where Kubernetes has them. */
function pluginDirectory(): string {
  const needed = ["bridge", "ptp", "host-local", "portmap"];
  const directories = ["/usr/lib/cni", "/opt/cni/bin"];
  const found = directories.find((directory) =>
    needed.every((type) =>
      statSync(join(directory, type), { throwIfNoEntry: false })?.isFile(),
    ),
  );
  if (found) return found;
  throw new Error(
    `no directory of ${directories.join(", ")} holds the plugins ${needed.join(", ")}`,
  );
}

async function forwardingOf(plugins: string): Promise<Node["forwarding"]> {
  if (!Bun.which("iptables"))
    return { possible: false, why: "iptables is not installed" };
  const listed = await $`iptables -w -t nat -S`.quiet().nothrow();
  if (listed.exitCode === 0)
    return { possible: true, why: `${plugins}/portmap` };
  return {
    possible: false,
    why: `iptables cannot be used: ${listed.stderr.toString().trim()}`,
  };
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}
