/** A command, and the table of commands. */
import { quote } from "../../linux/text.ts";
import { type Input, suggestion } from "./input.ts";
import type { Arguments } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export interface Command extends Arguments {
  /** Text of `--help` beyond the summary. */
  about?: string;
  /** Returns the exit code. `commands` is the table, for commands that describe others. */
  run(input: Input, terminal: Terminal, commands: Commands): Promise<number>;
}

/** A row of the table of commands; a command is loaded when it is called. */
export interface Entry {
  summary: string;
  /** Works without a node: `kubectl genie` has it. */
  isRemote?: true;
  /** Genie calls it itself; `help` does not list it. */
  hidden?: true;
  load(): Promise<Command>;
}

export type Commands = ReadonlyMap<string, Entry>;

/** The names of listed commands. */
export function commandNames(commands: Commands): string[] {
  return [...commands].flatMap(([name, { hidden }]) => (hidden ? [] : [name]));
}

/** The message about a command that is not in the table. */
export function unknownCommand(word: string, commands: Commands): string {
  const known = commandNames(commands);
  return `unknown command ${quote(word)}${suggestion(word, known, quote)}`;
}
