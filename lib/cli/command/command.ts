/**
 * The type of a command, and the parser of its arguments: usage errors (exit code
 * 2) and suggestions.
 */
import { resolve } from "node:path";
import { type ParseArgsOptionDescriptor, parseArgs } from "node:util";
import { nearest } from "../../select/nearest-key.ts";
import type { Terminal } from "./terminal.ts";

export interface Option {
  /** Name of the value in the help text; absent for a flag. */
  value?: string;
  short?: string;
  about: string;
  /** The only valid values; shell completion offers them. */
  choices?: readonly string[];
  /** The value is a path. */
  path?: "file" | "directory";
  /** May be given more than once. */
  repeated?: true;
}

export type Options = Readonly<Record<string, Option>>;

export interface Command {
  /** One operand, required or in brackets: `POD`. */
  operand?: { name: string; optional?: true; choices?: readonly string[] };
  /** A second one, required: `NETWORK`. */
  secondOperand?: { name: string };
  options: Options;
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
  /** Not listed: genie calls it itself. */
  hidden?: true;
  load(): Promise<Command>;
}

export type Commands = ReadonlyMap<string, Entry>;

/** The names of listed commands. */
export function namesOf(commands: Commands): string[] {
  return [...commands].flatMap(([name, { hidden }]) => (hidden ? [] : [name]));
}

/** The arguments are invalid: exit code 2. */
export class UsageError extends Error {}

/** The arguments after the command's name, parsed by its options. */
export class Input {
  readonly #values: Values;
  readonly operand: string | undefined;
  readonly secondOperand: string | undefined;

  constructor(values: Values, [operand, second]: readonly string[]) {
    this.#values = values;
    this.operand = operand;
    this.secondOperand = second;
  }

  /** The value of an option; undefined if it is absent. */
  text(name: string): string | undefined {
    return this.texts(name).at(-1);
  }

  /** All values of a repeated option. */
  texts(name: string): string[] {
    const given = [this.#values[name]].flat();
    return given.filter((one) => typeof one === "string");
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** A number of seconds, not negative. Throws UsageError. */
  seconds(name: string, byDefault: number): number {
    const text = this.text(name);
    const value = text === undefined ? byDefault : Number(text);
    if (Number.isFinite(value) && value >= 0 && text?.trim() !== "")
      return value;
    throw new UsageError(`--${name}: expected seconds, got ${quoted(text)}`);
  }

  /** An absolute path: other processes read it from the configuration. */
  path(name: string): string | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : resolve(text);
  }
}

type Values = ReturnType<typeof parse>["values"];

/** Every command has this option. */
export const helpOption: Option = { short: "h", about: "print this text" };

/** Throws UsageError that names the argument and the nearest valid one. */
export function readInput(command: Command, words: readonly string[]): Input {
  const options: Options = { ...command.options, help: helpOption };
  const { values, positionals } = parse(options, words);
  const input = new Input(values, positionals);
  for (const [name, option] of Object.entries(options))
    for (const text of input.texts(name)) checkValue(name, text, option);
  if (!input.flag("help")) checkOperands(command, positionals);
  return input;
}

function parse(options: Options, words: readonly string[]) {
  try {
    return parseArgs({
      args: words.map((word) => longForm(word, options)),
      strict: true,
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(options).map(([name, { value, short, repeated }]) => [
          name,
          {
            type: value === undefined ? "boolean" : "string",
            ...(short !== undefined && { short }),
            ...(repeated && { multiple: true }),
          } satisfies ParseArgsOptionDescriptor,
        ]),
      ),
    });
  } catch (error) {
    throw usageError(error, options);
  }
}

/** As kubectl takes it: `-o=json`; for parseArgs its value is `=json`. */
function longForm(word: string, options: Options): string {
  const [, letter, value] = /^-(\w)=(.*)$/s.exec(word) ?? [];
  const [name] =
    Object.entries(options).find(([, { short }]) => short === letter) ?? [];
  return letter === undefined || name === undefined
    ? word
    : `--${name}=${value}`;
}

/** The error of parseArgs in our words; its message quotes the option: `'-o, --output <value>'`. */
function usageError(error: unknown, options: Options): unknown {
  if (!(error instanceof TypeError)) return error;
  const [, typed = ""] = /'(?:-\w, )?([^\s']+)/.exec(error.message) ?? [];
  // Of `-hx` it names `x`.
  const option = typed.startsWith("-") ? typed : `-${typed}`;
  const known = Object.entries(options).find(
    ([name, { short }]) => option === `--${name}` || option === `-${short}`,
  );
  if (!known) return unknownOption(option, Object.keys(options));
  const [name, { value }] = known;
  return new UsageError(
    value === undefined
      ? `--${name} takes no value`
      : `--${name} expects a value: ${value}`,
  );
}

/** Throws UsageError for a value that is empty or not one of the choices. */
function checkValue(
  name: string,
  value: string,
  { value: expected, choices }: Option,
): void {
  if (value === "")
    throw new UsageError(`--${name} expects a value: ${expected}`);
  if (choices && !choices.includes(value))
    throw new UsageError(
      `--${name}: expected ${oneOf(choices)}, got ${quoted(value)}`,
    );
}

function checkOperands(
  { operand, secondOperand }: Command,
  operands: readonly string[],
): void {
  const known = [operand, secondOperand].filter((one) => one !== undefined);
  const extra = operands[known.length];
  if (extra !== undefined)
    throw new UsageError(`unexpected argument ${quoted(extra)}`);
  const missing = known[operands.length];
  if (missing && !("optional" in missing))
    throw new UsageError(`${missing.name} is missing`);
  const [given] = operands;
  const { choices } = operand ?? {};
  if (given !== undefined && choices && !choices.includes(given))
    throw new UsageError(`expected ${oneOf(choices)}, got ${quoted(given)}`);
}

function unknownOption(typed: string, names: readonly string[]): UsageError {
  const near = nearest(typed.replace(/^-+/, ""), names);
  const hint = near === undefined ? "" : `; did you mean --${near}?`;
  return new UsageError(`unknown option ${typed}${hint}`);
}

/** `a, b or c` */
function oneOf(words: readonly string[]): string {
  return words.join(", ").replace(/, ([^,]*)$/, " or $1");
}

function quoted(text: string | undefined): string {
  return JSON.stringify(text ?? "");
}
