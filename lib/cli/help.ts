/**
 * `genie help [COMMAND]`, `genie version`, and the help texts, generated from the
 * table of commands and their options.
 */
import {
  type Command,
  type Commands,
  unknownCommand,
} from "./command/command.ts";
import { UsageError } from "./command/input.ts";
import { type Option, helpOption } from "./command/options.ts";
import { columns } from "./command/table.ts";

export const help: Command = {
  operand: { name: "COMMAND", optional: true },
  options: {},
  async run({ operand }, { stdout }, commands) {
    if (operand === undefined) {
      await stdout(usage(commands));
      return 0;
    }
    const entry = commands.get(operand);
    if (!entry) throw new UsageError(unknownCommand(operand, commands));
    await stdout(commandUsage(operand, entry.summary, await entry.load()));
    return 0;
  },
};

export function usage(commands: Commands): string {
  const rows = [...commands].flatMap(([name, { summary, hidden }]) =>
    hidden ? [] : [[`  ${name}`, summary]],
  );
  return [
    "genie lets every Kubernetes pod choose its network. A container runtime executes",
    "it as a CNI plugin; these commands are for operators:",
    "",
    columns(rows),
    "`genie <command> --help` has the options of a command.",
    "`kubectl genie explain POD` works anywhere, by a link called kubectl-genie.",
    "Exit codes: 0 success, 1 failure or finding, 2 usage error.",
    "",
  ].join("\n");
}

export function commandUsage(
  name: string,
  summary: string,
  { operand, secondOperand, options, about }: Command,
): string {
  const given = operand?.optional ? `[${operand.name}]` : operand?.name;
  const line = ["genie", name, given, secondOperand?.name, "[options]"]
    .filter(Boolean)
    .join(" ");
  const rows = Object.entries({ ...options, help: helpOption }).map(
    ([option, spec]) => [optionText(option, spec), spec.about],
  );
  return [
    `${line}: ${summary}`,
    "",
    ...(about === undefined ? [] : [about, ""]),
    columns(rows),
  ].join("\n");
}

function optionText(name: string, { value, short }: Option): string {
  const names =
    short === undefined ? `      --${name}` : `  -${short}, --${name}`;
  return value === undefined ? names : `${names} ${value}`;
}

/** Set by the build; "" without git. */
declare const GENIE_COMMIT: string | undefined;

export const version: Command = {
  options: {},
  async run(_, { version: text, stdout }) {
    const commit = typeof GENIE_COMMIT === "string" ? GENIE_COMMIT : "";
    const from = commit === "" ? "" : ` (commit ${commit.slice(0, 12)})`;
    await stdout(`genie ${text}${from}\n`);
    return 0;
  },
};
