/**
 * A pod for each way to choose networks: what it gets, whom it reaches, and how
 * often genie asked the API server for it. All of them are gone afterwards.
 */
import { expectAddresses, expectEqual, expectMatch } from "../expect.ts";
import { account } from "../genie.ts";
import { prefixes } from "../networks.ts";
import { type Cluster, expectRequests, leftovers, nothing } from "../node.ts";
import {
  type Annotations,
  type Pod,
  addresses,
  createPods,
  deletePods,
  multiIp,
  networkStatus,
  networks,
  ping,
  statusOf,
  table,
} from "../pod.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";

interface Case {
  name: string;
  annotations: Annotations;
  interfaces: Record<string, string>;
  /** genie's own, `verb resource`. */
  requests: string[];
}

const { flannel, canal, extra } = prefixes;

const cases: readonly Case[] = [
  {
    name: "flannel",
    annotations: { cni: "flannel" },
    interfaces: { eth0: flannel },
    requests: [],
  },
  {
    name: "canal",
    annotations: { cni: "canal" },
    interfaces: { eth0: canal },
    requests: [],
  },
  {
    name: "both",
    annotations: { cni: "flannel,canal" },
    interfaces: { eth0: flannel, eth1: canal },
    // Nothing is looked up; two networks are written back.
    requests: ["patch pods/status"],
  },
  {
    name: "none",
    annotations: {},
    interfaces: { eth0: flannel },
    requests: [],
  },
  {
    name: "npwg",
    annotations: { [networks]: "extra" },
    interfaces: { eth0: flannel, net1: extra },
    requests: ["patch pods/status"],
  },
];

export async function checkPods(
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { kubectl, auditLog, directory } = cluster;
  const since = new Date();
  report.heading("Pods and their networks");
  await report.check(
    "a pod for each kind of annotation is Running",
    async () => {
      await createPods(
        kubectl,
        Object.fromEntries(
          cases.map(({ name, annotations }) => [name, annotations]),
        ),
      );
      return table(kubectl);
    },
  );

  for (const { name, annotations, interfaces } of cases)
    await report.check(
      `${name}: ${JSON.stringify(annotations)} gives ${Object.keys(interfaces).join(", ")}`,
      async () => {
        const seen = await addresses(kubectl, name);
        expectAddresses(seen, interfaces);
        const pod = await kubectl.get<Pod>("pod", name);
        // One network's addresses only, whatever else the pod has.
        expectEqual("podIPs", pod.status.podIPs, [{ ip: seen["eth0"] }]);
        return kubectl.run("exec", name, "--", "ip", "-o", "-4", "address");
      },
    );

  await report.check(
    "pods reach each other within and across networks",
    async () => {
      const both = await addresses(kubectl, "both");
      const none = await addresses(kubectl, "none");
      const said = [
        await ping(kubectl, "flannel", none["eth0"] ?? ""),
        await ping(kubectl, "flannel", both["eth0"] ?? ""),
        await ping(kubectl, "canal", both["eth1"] ?? ""),
        await ping(kubectl, "canal", none["eth0"] ?? ""),
      ];
      return said.join("\n");
    },
  );

  await report.check("what is written back says what the pod got", async () => {
    const seen = await addresses(kubectl, "both");
    const { metadata } = await until("the annotation", 10, async () => {
      const pod = await kubectl.get<Pod>("pod", "both");
      return pod.metadata.annotations?.[multiIp] !== undefined && pod;
    });
    expectEqual(multiIp, JSON.parse(metadata.annotations?.[multiIp] ?? "{}"), {
      multi_entry: 2,
      ips: {
        ip1: { ip: seen["eth0"], interface: "eth0" },
        ip2: { ip: seen["eth1"], interface: "eth1" },
      },
    });
    const status = await statusOf(kubectl, "npwg");
    expectMatch(networkStatus, status, /"default\/extra"/);
    return `${multiIp}: ${metadata.annotations?.[multiIp]}\n${networkStatus}: ${status}`;
  });

  await report.check(
    "the API server saw no request of genie that was not needed",
    async () => {
      const all = [
        ...cases,
        { name: "extra", requests: ["get network-attachment-definitions"] },
      ];
      for (const { name, requests } of all)
        await expectRequests(
          requests.map((request) => `${request} ${account} 200`),
          auditLog,
          name,
          since,
        );
      return all
        .map(
          ({ name, requests }) =>
            `${name.padEnd(8)} ${requests.join(", ") || "none"}`,
        )
        .join("\n");
    },
  );

  await report.check("deleted pods leave nothing on the node", async () => {
    await deletePods(kubectl, ...cases.map(({ name }) => name));
    await expectNothing(directory);
  });
}

/** Waits for it, because the kubelet removes a pod's groups and namespaces in its own time. */
export async function expectNothing(directory: string): Promise<void> {
  await until("nothing to be left", 60, async () => {
    expectEqual("left", await leftovers(directory), nothing);
    return true;
  });
}
