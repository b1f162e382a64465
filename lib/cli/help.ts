/**
 * `genie help [COMMAND]`.
 */
import { type Command, UsageError, namesOf } from "./command.ts";
import { nearest } from "../select/nearest.ts";
import { commandUsage, usage } from "./usage.ts";

export const help: Command = {
  operand: { name: "COMMAND", optional: true },
  options: {},
  async run({ operand }, { stdout }, commands) {
    if (operand === undefined) {
      await stdout(usage(commands));
      return 0;
    }
    const entry = commands.get(operand);
    if (!entry) {
      const near = nearest(operand, namesOf(commands));
      const hint = near === undefined ? "" : `; did you mean "${near}"?`;
      throw new UsageError(`unknown command ${JSON.stringify(operand)}${hint}`);
    }
    await stdout(commandUsage(operand, entry.summary, await entry.load()));
    return 0;
  },
};
