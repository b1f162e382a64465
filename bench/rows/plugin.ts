/**
 * The rows of every CNI plugin that chooses networks: genie and its peers. All of them
 * get the same pods, the same delegates and the same API server.
 */
import type { NoopNode } from "../../scripts/noop-node.ts";
import { type Api, distances } from "../api.ts";
import type { Command } from "../child.ts";
import { definitions } from "../cluster.ts";
import type { Step, Unit } from "../step.ts";
import { answerOf } from "./answers.ts";

export interface Plugin {
  /** The group of its rows. */
  program: string;
  /** The path of its executable. */
  binary: string;
  /** Its configuration as the runtime passes it: the pod is read from the API server of this kubeconfig. */
  config(kubeconfig: string): string;
  /** Its pod of one network. Default: the node's. */
  pod?: Pod;
  /** Verbs that it does not know. */
  lacks?: readonly string[];
  /** Does not know network attachment definitions. */
  narrow?: true;
  /** Reaches the API server by a process of its own: no other distance can be set. */
  resident?: true;
}

export interface Surroundings {
  node: NoopNode;
  api: Api;
}

interface Pod {
  namespace: string;
  name: string;
  uid: string;
}

/** One process of a plugin. */
export interface Request {
  verb: string;
  containerId: string;
  stdin: string;
  pod?: Pod;
  /** How many it executes. Default: not checked. */
  delegates?: number;
}

export const wideAdd = "ADD, default + 3 definitions";

/** Verb → row. */
const lifecycle = { ADD: "ADD, one GET", CHECK: "CHECK", DEL: "DEL" };

/** The rows of every plugin, one call at a time. */
export function unitsOf(plugin: Plugin, around: Surroundings): Unit[] {
  const near = plugin.config(around.api.kubeconfig(0));
  const step = (request: Request, call?: string) =>
    stepOf(plugin, around.node, request, call);

  const attachment = (): Step[] => {
    const containerId = freshId();
    return Object.entries(lifecycle)
      .filter(([verb]) => plugin.lacks?.includes(verb) !== true)
      .map(([verb, call]) =>
        step({ verb, containerId, stdin: near, delegates: 1 }, call),
      );
  };

  const units: Unit[] = [
    {
      steps: () => [
        step({ verb: "VERSION", containerId: "", stdin: near }, "VERSION"),
      ],
    },
    { steps: attachment },
  ];
  if (plugin.narrow !== true)
    units.push({
      steps: () =>
        pair({
          containerId: freshId(),
          stdin: near,
          pod: around.api.pods.wide,
          delegates: 1 + definitions.length,
        }).map((request) => step(request, nameOf(request, wideAdd))),
    });
  if (plugin.resident !== true)
    for (const roundTripMs of distances) {
      const far = plugin.config(around.api.kubeconfig(roundTripMs));
      units.push({
        steps: () => {
          const [add, del] = pair({ containerId: freshId(), stdin: far });
          const call = `ADD, one GET, ${roundTripMs} ms away`;
          return [step(add, call), step({ ...del, stdin: near })];
        },
      });
    }
  return units;
}

/** ADD and the DEL that cleans up after it. */
export function pair(
  request: Omit<Request, "verb">,
): [add: Request, del: Request] {
  return [
    { ...request, verb: "ADD" },
    { ...request, verb: "DEL" },
  ];
}

/** A DEL that only cleans up has no row. */
export function nameOf({ verb }: Request, call: string): string | undefined {
  return verb === "ADD" ? call : undefined;
}

export function stepOf(
  plugin: Plugin,
  node: NoopNode,
  request: Request,
  call?: string,
): Step {
  return {
    ...(call !== undefined && { row: { program: plugin.program, call } }),
    commands: [commandOf(plugin, node, request)],
    // The delegates of a shim are its daemon's.
    ...(request.delegates !== undefined &&
      plugin.resident !== true && { programs: 1 + request.delegates }),
    accepts: answerOf(request.verb),
  };
}

export function commandOf(
  { binary, pod: ofPlugin }: Plugin,
  node: NoopNode,
  { verb, containerId, stdin, pod = ofPlugin }: Request,
): Command {
  return { argv: [binary], env: node.env(verb, containerId, pod), stdin };
}

/** As containerd makes them: 64 hexadecimal digits. */
export function freshId(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}
