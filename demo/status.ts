/**
 * The annotations that genie writes to a pod: each address with its network (NPWG
 * network-status, and CNI-Genie's own).
 */
import { type Attached, expectEqual } from "./attach.ts";
import type { Node } from "./node.ts";
import { namespace } from "./pods.ts";
import type { Report } from "./report.ts";

const networkStatus = "k8s.v1.cni.cncf.io/network-status";
const multiIp = "multi-ip-preferences";

/** The status of every pod with more than one network; genie writes nothing to the others. */
export async function readWriteBack(
  node: Node,
  attached: readonly Attached[],
  report: Report,
): Promise<void> {
  for (const { pod, interfaces } of attached) {
    const annotations =
      node.api.pods.get(namespace, pod.name)?.metadata.annotations ?? {};
    if (interfaces.length < 2) continue;
    const entries = await report.step(
      `pod ${pod.name} has the annotation ${networkStatus}`,
      () => statusOf(annotations[networkStatus], interfaces),
    );
    for (const entry of entries) report.note(JSON.stringify(entry));
    const text = await report.step(
      `and ${multiIp}, as CNI-Genie wrote it`,
      () => multiIpOf(annotations[multiIp], interfaces),
    );
    report.note(text);
  }
}

/** The part of an entry that can be known beforehand. */
interface Status {
  name: string;
  interface: string;
  ips: string[];
  default: boolean;
}

function statusOf(text = "[]", interfaces: Attached["interfaces"]): Status[] {
  const entries = JSON.parse(text) as Status[];
  expectEqual(
    entries.map(({ name, interface: link, ips, default: primary }) => [
      name,
      link,
      ips,
      primary,
    ]),
    interfaces.map(({ name, address, network }, i) => [
      network,
      name,
      [address],
      i === 0,
    ]),
  );
  return entries;
}

function multiIpOf(text = "{}", interfaces: Attached["interfaces"]): string {
  const ips = new Map(
    interfaces.map(({ name, address }, i) => [
      `ip${i + 1}`,
      { ip: address, interface: name },
    ]),
  );
  expectEqual(JSON.parse(text) as unknown, {
    multi_entry: interfaces.length,
    ips: Object.fromEntries(ips) as object,
  });
  return text;
}
