/**
 * The original CNI-Genie. It has two fixed directories, deletes only networks in
 * `.conf` files, and knows results up to CNI 0.3.1. So it gets directories of its own,
 * with the same network and a delegate that prints the same result in the older form.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { NoopNode } from "../../scripts/noop-node.ts";
import { printing } from "../noop.ts";
import type { Plugin } from "../rows/plugin.ts";
import { cover } from "./mounts.ts";

const cniVersion = "0.3.1";

export async function cniGenieAt(
  binary: string,
  node: NoopNode,
): Promise<{ plugin: Plugin } & Disposable> {
  const directory = join(node.directory, "cni-genie");
  const directories = {
    "/etc/cni/net.d": join(directory, "net.d"),
    "/opt/cni/bin": join(directory, "bin"),
  };
  using stack = new DisposableStack();
  for (const [place, own] of Object.entries(directories)) {
    mkdirSync(own, { recursive: true });
    stack.use(cover(place, own));
  }
  const network = { cniVersion, name: "noop", type: "noop" };
  await Bun.write(
    join(directories["/etc/cni/net.d"], "10-noop.conf"),
    JSON.stringify(network),
  );
  const result = {
    cniVersion,
    interfaces: [{ name: "eth0", sandbox: node.netns }],
    ips: [{ version: "4", address: "10.1.2.3/24", interface: 0 }],
  };
  const delegate = join(directories["/opt/cni/bin"], "noop");
  await Bun.write(delegate, printing(JSON.stringify(result)));
  chmodSync(delegate, 0o755);
  const owned = stack.move();
  return {
    plugin: {
      program: "CNI-Genie",
      binary,
      lacks: ["CHECK"],
      narrow: true,
      config: (kubeconfig) =>
        JSON.stringify({
          cniVersion,
          name: "genie",
          type: "genie",
          log_level: "error",
          kubernetes: { kubeconfig },
        }),
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
