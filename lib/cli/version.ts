/**
 * `genie version`.
 */
import type { Command } from "./command.ts";

export const version: Command = {
  options: {},
  async run(_, { version: text, stdout }) {
    await stdout(`genie ${text}\n`);
    return 0;
  },
};
