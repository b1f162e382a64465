/**
 * The help texts, generated from the table of commands and their options.
 */
import {
  type Command,
  type Commands,
  type Option,
  helpOption,
} from "./command.ts";

/** The help of genie. */
export function usage(commands: Commands): string {
  const rows = [...commands].flatMap(([name, { summary, hidden }]) =>
    hidden ? [] : [[name, summary] as const],
  );
  return [
    "genie lets every Kubernetes pod choose its network. A container runtime executes it",
    "as a CNI plugin; these commands are for operators:",
    "",
    ...table(rows),
    "",
    "`genie <command> --help` has the options of a command.",
    "Exit codes: 0 success, 1 failure or finding, 2 usage error.",
    "",
  ].join("\n");
}

/** The help of one command. */
export function commandUsage(
  name: string,
  summary: string,
  { operand, options, about }: Command,
): string {
  const given = operand?.optional ? `[${operand.name}]` : operand?.name;
  const line = ["genie", name, given, "[options]"].filter(Boolean).join(" ");
  const rows = Object.entries({ ...options, help: helpOption }).map(
    ([option, spec]) => [optionText(option, spec), spec.about] as const,
  );
  return [
    `${line}: ${summary}`,
    "",
    ...(about === undefined ? [] : [about, ""]),
    ...table(rows),
    "",
  ].join("\n");
}

function optionText(name: string, { value, short }: Option): string {
  const names = short === undefined ? `    --${name}` : `-${short}, --${name}`;
  return value === undefined ? names : `${names} ${value}`;
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`);
}
