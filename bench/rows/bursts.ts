/**
 * Many calls at once, as on a node that starts with all its pods, with enough memory
 * and with little.
 */
import type { Command } from "../child.ts";
import type { MemoryGroup } from "../memory-group.ts";
import type { Step, Unit } from "../step.ts";
import { answerOf } from "./answers.ts";
import {
  type Plugin,
  type Surroundings,
  commandOf,
  freshId,
  pair,
} from "./plugin.ts";

const atATime = 16;
const burst = 32;
/** They take long, and each is many processes. */
const every = 4;

/** Memory for all calls of a burst: the allowed peak of one, times their number. */
export const groupLimitMiB = atATime * 36;

/** Without a group, where none can be made, only the free one. */
export function burstsOf(
  plugin: Plugin,
  { node, api }: Surroundings,
  group?: MemoryGroup,
): Unit[] {
  const { program } = plugin;
  const stdin = plugin.config(api.kubeconfig(0));
  /** So many ADDs, by the step given, and their DELs. */
  const steps = (count: number, adding: (adds: Command[]) => Step): Step[] => {
    const requests = Array.from({ length: count }, () =>
      pair({ containerId: freshId(), stdin }),
    );
    const command = (request: (typeof requests)[number][0]) =>
      commandOf(plugin, node, request);
    return [
      adding(requests.map(([add]) => command(add))),
      {
        commands: requests.map(([, del]) => command(del)),
        accepts: answerOf("DEL"),
      },
    ];
  };

  const free: Unit = {
    every,
    steps: () =>
      steps(burst, (commands) => ({
        row: { program, call: `${burst} ADDs, ${atATime} at a time` },
        each: { program, call: "each of these" },
        commands,
        atATime,
        accepts: answerOf("ADD"),
      })),
  };
  if (!group) return [free];
  const limited: Unit = {
    every,
    steps: () =>
      steps(atATime, (commands) => ({
        row: { program, call: `${atATime} ADDs at once, ${groupLimitMiB} MiB` },
        commands: commands.map((command) => group.within(command)),
        atATime,
        accepts: answerOf("ADD"),
        mayFail: true,
      })),
  };
  return [free, limited];
}
