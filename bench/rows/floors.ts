/**
 * Lower bounds: the delegates alone, Bun alone, one request to the API server alone.
 */
import { distances } from "../api.ts";
import type { Command } from "../child.ts";
import type { Step, Unit } from "../step.ts";
import { isNothing, isResult } from "./answers.ts";
import { type Surroundings, freshId } from "./plugin.ts";
import { curlCommand } from "./curl.ts";

const program = "floors";

export const emptyRow = { program, call: "empty Bun program" };
/** The DEL of a rollback. */
export const shellRow = { program, call: "a shell delegate alone" };

export async function floorUnitsOf(
  empty: string,
  { node, api }: Surroundings,
): Promise<Unit[]> {
  const stdin = node.withAnnotations();
  const delegate = (type: string, verb = "ADD"): Command => ({
    argv: [`${node.binDir}/${type}`],
    env: node.env(verb, freshId()),
    stdin,
  });
  const unit = (
    call: string,
    commands: () => Command[],
    accepts: Step["accepts"],
  ): Unit => ({
    steps: () => [{ row: { program, call }, commands: commands(), accepts }],
  });

  const pod = api.pods.plain;
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`;
  const gets: Unit[] = [];
  for (const roundTripMs of [0, ...distances]) {
    const command = await curlCommand(api.kubeconfig(roundTripMs), path);
    const away = roundTripMs === 0 ? "" : `, ${roundTripMs} ms away`;
    if (command)
      gets.push(
        unit(
          `one TLS GET by curl${away}`,
          () => [command],
          (stdout) => stdout.includes(pod.uid),
        ),
      );
  }
  return [
    unit(
      emptyRow.call,
      () => [{ argv: [empty], env: {}, stdin: "" }],
      isNothing,
    ),
    unit("one delegate alone", () => [delegate("noop")], isResult),
    unit(
      "4 delegates alone",
      () => Array.from({ length: 4 }, () => delegate("noop")),
      isResult,
    ),
    unit(shellRow.call, () => [delegate("shell", "DEL")], isNothing),
    ...gets,
  ];
}
