/**
 * Where a node's daemons and files are: the first node is the machine itself, the second
 * one a machine inside of it (`second-node.ts`).
 */
import { groupName } from "./private.ts";

export interface Place {
  /** The node's name; also in the names of its daemons' logs, unless it is the first. */
  name: string;
  address: string;
  /** The URL of the API server. */
  server: string;
  /** Before the paths of its files, as seen from the first node. */
  root: string;
  /** Its control group, in every hierarchy. */
  group: string;
  /** The number in its pods' addresses: 10.244.1.0/24. */
  subnet: number;
  /** A command that runs there. */
  command(cmd: readonly string[]): string[];
}

export const nodeName = "node1";

/** The first node's own address; the control plane is on it as well. */
export const nodeAddress = "192.168.77.10";

export const server = "https://127.0.0.1:443";

export function firstNode(directory: string): Place {
  return {
    name: nodeName,
    address: nodeAddress,
    server,
    root: "",
    group: groupName(directory),
    subnet: 1,
    command: (cmd) => [...cmd],
  };
}

/** `kubelet`, `kubelet-node2` */
export function daemonName({ name }: Place, daemon: string): string {
  return name === nodeName ? daemon : `${daemon}-${name}`;
}
