/**
 * The demo's networks: the files of the configuration directory, and genie's
 * configuration in the runtime. Any subnets will do: see `private`.
 */

/** A pod's interface is in the subnet of its network. */
export const subnets = { canal: "10.11.0", weave: "10.22.0" } as const;

export type NetworkName = keyof typeof subnets;

export const canalBridge = "canal0";

/** The node's port that is forwarded to a pod's. */
export const mapping = {
  hostPort: 18080,
  containerPort: 80,
  protocol: "tcp",
} as const;

/** Directories and files that the configurations name. */
export interface Places {
  confDir: string;
  /** The directory of genie's records. */
  dataDir: string;
  /** The directory of host-local's leases. */
  leases: string;
  kubeconfig: string;
}

/** One file for each network, of different kinds and versions on purpose. */
export function networkFiles({
  leases,
}: Places): { file: string; content: object }[] {
  const ipam = (network: NetworkName, rest: object = {}) => ({
    type: "host-local",
    ranges: [[{ subnet: `${subnets[network]}.0/24` }]],
    dataDir: leases,
    ...rest,
  });
  return [
    {
      file: "10-canal.conflist",
      content: {
        cniVersion: "1.0.0",
        name: "canal",
        plugins: [
          {
            type: "bridge",
            bridge: canalBridge,
            isDefaultGateway: true,
            ipam: ipam("canal"),
          },
          { type: "portmap", capabilities: { portMappings: true } },
        ],
      },
    },
    {
      file: "10-weave.conf",
      content: {
        cniVersion: "0.4.0",
        name: "weave",
        type: "ptp",
        ipam: ipam("weave", { routes: [{ dst: "0.0.0.0/0" }] }),
      },
    },
  ];
}

/** The first file of the directory, by which a runtime comes to genie; its name is the default network's. */
export function genieFile({ confDir, dataDir, kubeconfig }: Places) {
  return {
    file: "00-genie.conflist",
    content: {
      cniVersion: "1.0.0",
      name: "canal",
      loadOnlyInlinedPlugins: true,
      plugins: [
        {
          type: "genie",
          capabilities: { portMappings: true },
          confDir,
          dataDir,
          kubernetes: { kubeconfig },
        },
      ],
    },
  };
}
