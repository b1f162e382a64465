/**
 * The networks of the node, as its operators would have put them there: flannel
 * by its own plugin, and "canal". All addresses are below 10.240.0.0/12.
 */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Parts, referencePlugins } from "./parts.ts";
import type { Place } from "./place.ts";

export const confDir = "/etc/cni/net.d";
export const binDir = "/opt/cni/bin";

/** The beginning of every address of a network. */
export const prefixes = {
  flannel: "10.244.1.",
  canal: "10.245.1.",
  extra: "10.246.1.",
} as const;

/** The former network of a node: flannel as kube-flannel.yml installs it. */
const flannel = {
  name: "cbr0",
  cniVersion: "0.3.1",
  plugins: [
    {
      type: "flannel",
      delegate: { hairpinMode: true, isDefaultGateway: true },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};

// The file that flanneld writes.
const subnetEnv = (subnet: number) => `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.${subnet}.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

/** Routed, not bridged: as canal does it, with the reference plugins. */
const canal = (node: number) => ({
  name: "k8s-pod-network",
  cniVersion: "1.1.0",
  plugins: [
    {
      type: "ptp",
      mtu: 1450,
      ipam: {
        type: "host-local",
        subnet: `10.245.${node}.0/24`,
        routes: [{ dst: "10.240.0.0/12" }],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
});

/** A network attachment definition. */
export const extra = {
  apiVersion: "k8s.cni.cncf.io/v1",
  kind: "NetworkAttachmentDefinition",
  metadata: { name: "extra", namespace: "default" },
  spec: {
    config: JSON.stringify({
      cniVersion: "1.1.0",
      type: "bridge",
      bridge: "extra0",
      ipam: { type: "host-local", subnet: "10.246.1.0/24" },
    }),
  },
};

/** Plugins and configurations. */
export function installNetworks(parts: Parts, place: Place): void {
  const { root, subnet } = place;
  const plugins = root + binDir;
  mkdirSync(plugins, { recursive: true });
  for (const name of readdirSync("/usr/lib/cni"))
    copyFileSync(join("/usr/lib/cni", name), join(plugins, name));
  for (const name of [...referencePlugins, "flannel"])
    copyFileSync(parts(name), join(plugins, name));
  mkdirSync(`${root}/run/flannel`, { recursive: true });
  writeFileSync(`${root}/run/flannel/subnet.env`, subnetEnv(subnet));
  const networks = root + confDir;
  mkdirSync(networks, { recursive: true });
  write(join(networks, "10-flannel.conflist"), flannel);
  write(join(networks, "20-canal.conflist"), canal(subnet));
}

function write(path: string, content: object): void {
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`);
}
