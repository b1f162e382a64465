/**
 * A plugin like Calico's: a routed link with one address, the gateway 169.254.1.1 behind
 * a link-scope route. Its ADD fails when another default route exists. It logs its calls.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Node } from "./node.ts";

export interface Insisting {
  type: string;
  /** The pod's address. */
  address: string;
  /** As Calico, which names the host's end after the pod: a second ADD removes the first one's interface. */
  namedAfterPod?: boolean;
  /** Its result, of 1.1.0, has the default route. */
  tellsRoute?: boolean;
  /** One more interface that its result has in the pod. */
  alsoNames?: string;
  /** Only the link-scope route is made, and nothing is insisted on. */
  withoutDefault?: boolean;
  /** Says "file exists" in other words. */
  failure?: object;
  /** Shell text that DEL begins with. */
  del?: string;
  /** Shell text that a successful ADD ends with. */
  add?: string;
}

/** Installs it, with a network of its name; the calls so far: `ADD eth1`. */
export function insist(
  node: Node,
  {
    type,
    address,
    namedAfterPod,
    withoutDefault,
    alsoNames,
    tellsRoute,
    failure = {
      code: 999,
      msg: "failed to add IPv4 route for 0.0.0.0/0 via 169.254.1.1: file exists",
    },
    del = "",
    add = "",
  }: Insisting,
): () => string[] {
  const log = join(node.directory, `${type}.calls`);
  writeFileSync(log, "");
  const addDefault = withoutDefault
    ? ":"
    : 'ip -n "$pod" route add default via 169.254.1.1 dev "$CNI_IFNAME"';
  const cniVersion = tellsRoute ? "1.1.0" : "1.0.0";
  const route = tellsRoute
    ? ',"routes":[{"dst":"0.0.0.0/0","gw":"169.254.1.1"},{"dst":"169.254.1.1/32","scope":253}]'
    : "";
  const also = alsoNames
    ? `,{"name":"${alsoNames}","sandbox":"'$CNI_NETNS'"}`
    : "";
  const seed = namedAfterPod ? "" : "$CNI_IFNAME";
  node.plugin(
    type,
    `#!/bin/sh
[ "$1" ] || exec nsenter --net=${node.netns.path} "$0" inside
cat >/dev/null
echo "$CNI_COMMAND $CNI_IFNAME" >>${log}
pod=\${CNI_NETNS##*/}
host=c$(printf %s "$CNI_CONTAINERID${seed}" | cksum | cut -d' ' -f1)
case $CNI_COMMAND in
ADD)
  ip link delete "$host" 2>/dev/null
  ip link add "$CNI_IFNAME" netns "$pod" type veth peer name "$host" || exit 1
  echo 1 >/proc/sys/net/ipv4/conf/$host/proxy_arp
  echo 0 >/proc/sys/net/ipv4/neigh/$host/proxy_delay
  ip link set "$host" up
  ip route add ${address}/32 dev "$host"
  ip -n "$pod" link set "$CNI_IFNAME" up
  ip -n "$pod" address add ${address}/32 dev "$CNI_IFNAME"
  if ip -n "$pod" route add 169.254.1.1 dev "$CNI_IFNAME" scope link &&
    ${addDefault}; then
    ${add || ":"}
    echo '{"cniVersion":"${cniVersion}","interfaces":[{"name":"'$host'"},{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}${also}],"ips":[{"address":"${address}/32","interface":1}]${route}}'
  else
    echo '${JSON.stringify({ cniVersion: "1.0.0", ...failure })}'
    exit 1
  fi ;;
DEL)
  ${del || ":"}
  ip link delete "$host" 2>/dev/null
  : ;;
esac
`,
  );
  node.network(`${type}.conf`, {
    cniVersion,
    name: `${type}-net`,
    type,
  });
  return () => readFileSync(log, "utf8").split("\n").filter(Boolean);
}
