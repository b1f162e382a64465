/**
 * The parts of `genie agent` in the DaemonSet: each switch has the agent's name, and a
 * right exists only while its part is on (agent.md).
 */
import type { V1PolicyRule } from "@kubernetes/client-node";
import { parseAddress, parts } from "../../agent/parts.ts";
import {
  chosenParts,
  partOptions,
  switchesOf,
} from "../agent/agent-switches.ts";
import { UsageError } from "../command/input.ts";
import { nodePolicy } from "./admission-policy.ts";
import { definitionGroup } from "./definition.ts";
import type { Feature } from "./feature.ts";

export const agent: Feature = {
  options: partOptions,
  contribute(input) {
    const chosen = chosenParts(input);
    const isNode = input.flag("node-credentials");
    const rules: V1PolicyRule[] = [];
    for (const name of chosen.keys()) {
      const { rights = [], needsAccount } = parts.get(name) ?? {};
      if (isNode && needsAccount)
        throw new UsageError(`--${name} needs the service account`);
      for (const rule of rights)
        if (!rules.some((other) => Bun.deepEquals(other, rule)))
          rules.push(rule);
    }
    // One order whatever parts are on: the chart is merged from all combinations.
    rules.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    const textfile = chosen.get("textfile");
    const address = chosen.get("metrics");
    const metrics = address === undefined ? undefined : parseAddress(address);
    if (metrics?.port === 0)
      throw new UsageError("--metrics: the DaemonSet needs a port, got 0");
    const hasTaint = chosen.has("taint");
    const hasLabels = chosen.has("labels") && !isNode;
    const isPrivileged = [...chosen.keys()].some(
      (name) => parts.get(name)?.isPrivileged,
    );
    return {
      args: switchesOf(chosen),
      ...(isNode
        ? // The node authorizer allows the others for the node's own pods.
          {
            nodeRules: rules.filter(({ apiGroups }) =>
              apiGroups?.includes(definitionGroup),
            ),
          }
        : { accountRules: rules }),
      ...((hasTaint || hasLabels) && {
        objects: nodePolicy(input.text("namespace") ?? "kube-system", {
          hasTaint,
          hasLabels,
        }),
      }),
      ...(textfile !== undefined && {
        directories: [{ name: "textfile", path: textfile }],
      }),
      ...(metrics && { metrics }),
      ...(isPrivileged && { privileged: true }),
    };
  },
};
