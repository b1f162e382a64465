/**
 * Traffic over the networks: pings between pods of one network, and a port of the node
 * that is forwarded to a pod.
 */
import { join } from "node:path";
import type { Attached } from "./attach.ts";
import { type NetworkName, mapping, subnets } from "./networks.ts";
import type { Node } from "./node.ts";
import type { Report } from "./report.ts";
import { answerOf } from "./web.ts";

const pings: readonly { from: string; to: string; network: NetworkName }[] = [
  { from: "red", to: "plain", network: "canal" },
  { from: "red", to: "both", network: "canal" },
  { from: "both", to: "blue", network: "weave" },
];

export async function reachPods(
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  for (const { from, to, network } of pings) {
    const source = endOf(attached, from, network);
    const target = endOf(attached, to, network);
    await report.step(
      `${from} ${source.name} pings ${to} over ${network}`,
      () =>
        source.netns.run(
          "ping",
          "-n",
          "-c",
          "1",
          "-W",
          "5",
          "-I",
          source.name,
          target.address,
        ),
      (output) =>
        `${target.address} in ${/time=(\S+ ms)/.exec(output)?.[1] ?? "unknown time"}`,
    );
  }
}

/** A web server in the pod, asked by the node at the port that the runtime wants mapped. */
export async function reachPort(
  node: Node,
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  const mapped = attached.find(({ pod }) => pod.mapped);
  if (!mapped) throw new Error("no pod has a mapped port");
  const { pod, netns } = mapped;
  const { hostPort, containerPort } = mapping;
  if (!node.forwarding.possible) {
    report.note(
      `skipped: port ${hostPort} of the node, because ${node.forwarding.why}`,
    );
    return;
  }
  await report.step(
    `port ${hostPort} of the node is port ${containerPort} of pod ${pod.name}`,
    async () => {
      const program = join(import.meta.dir, "web.ts");
      await using server = Bun.spawn({
        cmd: [
          "ip",
          "netns",
          "exec",
          netns.name,
          process.execPath,
          program,
          pod.name,
        ],
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      // Its first word says that it listens.
      await server.stdout.getReader().read();
      const url = `http://${subnets.canal}.1:${hostPort}/`;
      const text = await (
        await fetch(url, { proxy: false, keepalive: false })
      ).text();
      if (text !== answerOf(pod.name))
        throw new Error(`${url} answers ${JSON.stringify(text)}`);
      return text;
    },
    (text) => JSON.stringify(text),
  );
}

function endOf(
  attached: readonly Attached[],
  pod: string,
  network: NetworkName,
) {
  for (const {
    pod: { name },
    interfaces,
    netns,
  } of attached) {
    const found = interfaces.find((link) => link.network === network);
    if (name === pod && found) return { ...found, netns };
  }
  throw new Error(`pod ${pod} is not in ${network}`);
}
