/**
 * `genie <command>`: the entry of an operator's commands, never loaded for a pod. A
 * command returns its exit code; 2 is a usage error.
 */
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { unknownCommand } from "./command/command.ts";
import { UsageError, readInput, suggestion } from "./command/input.ts";
import {
  type Process,
  type Terminal,
  realTerminal,
} from "./command/terminal.ts";
import { commands } from "./commands.ts";

const aliases: Readonly<Record<string, string>> = {
  "--version": "version",
  "-v": "version",
  "--help": "help",
  "-h": "help",
};

/** Runs the command of these arguments; returns the exit code. */
export async function runCommand(
  words: readonly string[],
  process: Process & Partial<Terminal>,
): Promise<number> {
  const terminal = { ...realTerminal(process), ...process };
  const [word = "help", ...rest] = words;
  const name = Object.hasOwn(aliases, word) ? (aliases[word] ?? word) : word;
  const entry = commands.get(name);
  if (!entry) {
    terminal.stderr(
      `genie: ${word.startsWith("-") ? unknownOption(word) : unknownCommand(word, commands)}\n\`genie help\` lists the commands\n`,
    );
    return 2;
  }
  if (terminal.isKubectl && !entry.isRemote) {
    terminal.stderr(
      `kubectl genie: "${name}" needs the node: run \`genie ${name}\` there as root\n`,
    );
    return 1;
  }
  try {
    const command = await entry.load();
    const input = readInput(command, rest);
    if (!input.flag("help"))
      return await command.run(input, terminal, commands);
    const { commandUsage } = await import("./help.ts");
    await terminal.stdout(commandUsage(name, entry.summary, command));
    return 0;
  } catch (error) {
    terminal.progress();
    terminal.stderr(`genie ${name}: ${messageOf(error)}\n`);
    if (terminal.uid !== 0 && !terminal.isKubectl && isDenied(error))
      terminal.stderr(
        `user ${terminal.uid} may not do that: sudo genie ${name}\n`,
      );
    if (!(error instanceof UsageError)) return 1;
    terminal.stderr(`\`genie ${name} --help\` lists the options\n`);
    return 2;
  }
}

/**
 * Whether the system refused it, or genie does as the directory is root's: the errno or its
 * text is somewhere in the message.
 */
function isDenied(error: unknown): boolean {
  return /EACCES|EPERM|permission denied|context not permitted|belongs to user 0,/i.test(
    messageOf(error),
  );
}

function unknownOption(word: string): string {
  const known = Object.keys(aliases).filter((alias) => alias.startsWith("--"));
  return `unknown option ${quote(word)}${suggestion(word, known)}`;
}
