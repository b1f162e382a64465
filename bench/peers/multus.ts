/**
 * Multus as one executable ("thin"), and as a shim with its daemon ("thick"). The
 * default network is given inline: so Multus neither asks the API server for it
 * nor reads a directory.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { NoopNode } from "../../scripts/noop-node.ts";
import { readAccess } from "../access.ts";
import { nodeName } from "../cluster.ts";
import type { Plugin } from "../rows/plugin.ts";
import { cover } from "./mounts.ts";

/** CHECK is not compared: it depends on a cache of results below /var/lib/cni. */
const lacks = ["CHECK"];

export function multusAt(binary: string, node: NoopNode): Plugin {
  return {
    program: "Multus",
    binary,
    lacks,
    config: (kubeconfig) =>
      JSON.stringify({ ...multusConfig(node), kubeconfig }),
  };
}

function multusConfig(node: NoopNode) {
  return {
    cniVersion: "1.0.0",
    name: "multus",
    type: "multus",
    cniDir: join(node.directory, "multus"),
    binDir: node.binDir,
    delegates: [
      { cniVersion: "1.0.0", name: "noop", plugins: [{ type: "noop" }] },
    ],
  };
}

export interface Daemon extends AsyncDisposable {
  plugin: Plugin;
  /** Its present memory. */
  residentMiB(): Promise<number>;
}

/** Where a pod's credential is, and the daemon takes its own from there. */
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Starts the daemon. Rejects when its configuration for the runtime does not appear within ten seconds. */
export async function startMultusDaemon(
  shim: string,
  daemon: string,
  node: NoopNode,
  kubeconfig: string,
): Promise<Daemon> {
  const directory = join(node.directory, "multus-daemon");
  const socketDir = join(directory, "run");
  const credential = join(directory, "credential");
  for (const path of [directory, credential, join(directory, "net.d")])
    mkdirSync(path, { recursive: true });
  const { url, token, ca } = await readAccess(kubeconfig);
  const files = { token, "ca.crt": ca, namespace: "kube-system" };
  for (const [name, content] of Object.entries(files))
    await Bun.write(join(credential, name), content);
  using stack = new DisposableStack();
  stack.use(cover(serviceAccount, credential));

  // The daemon makes the runtime's configuration from that of the cluster's network.
  const { delegates, ...common } = multusConfig(node);
  const networks = join(directory, "networks");
  const cniConfigDir = join(directory, "net.d");
  await Bun.write(
    join(networks, "10-noop.conflist"),
    JSON.stringify(delegates[0]),
  );
  const file = join(directory, "daemon-config.json");
  const config = {
    ...common,
    socketDir,
    daemonSocketDir: socketDir,
    multusConfigFile: "auto",
    multusAutoconfigDir: networks,
    cniConfigDir,
  };
  await Bun.write(file, JSON.stringify(config));
  const child = Bun.spawn([daemon, "-config", file], {
    env: {
      KUBERNETES_SERVICE_HOST: url.hostname,
      KUBERNETES_SERVICE_PORT: url.port,
      MULTUS_NODE_NAME: nodeName,
    },
    stdio: ["ignore", "ignore", Bun.file(join(directory, "log"))],
  });
  stack.defer(() => child.kill("SIGKILL"));
  const deadline = Date.now() + 10_000;
  const generated = join(cniConfigDir, "00-multus.conf");
  while (!existsSync(generated)) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(
        `the daemon of Multus is not ready: ${await Bun.file(join(directory, "log")).text()}`,
      );
    await Bun.sleep(50);
  }
  const owned = stack.move();
  const stdin = await Bun.file(generated).text();
  return {
    plugin: {
      program: "Multus shim",
      binary: shim,
      lacks,
      resident: true,
      config: () => stdin,
    },
    async residentMiB() {
      const status = await Bun.file(`/proc/${child.pid}/status`).text();
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
    },
    async [Symbol.asyncDispose]() {
      owned.dispose();
      await child.exited;
    },
  };
}
