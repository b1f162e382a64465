/**
 * The arguments of a command: util.parseArgs, with errors (exit code 2) that suggest the
 * nearest valid word.
 */
import { resolve } from "node:path";
import { type ParseArgsOptionDescriptor, parseArgs } from "node:util";
import { quote } from "../../linux/text.ts";
import { nearest } from "../../select/nearest-key.ts";
import {
  type Arguments,
  type Option,
  type Options,
  helpOption,
} from "./options.ts";

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
    if (text === undefined) return byDefault;
    const value = Number(text);
    if (Number.isFinite(value) && value >= 0 && text.trim() !== "")
      return value;
    throw new UsageError(`--${name}: expected seconds, got ${quote(text)}`);
  }

  /** An absolute path: other processes read it from the configuration. */
  path(name: string): string | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : resolve(text);
  }

  /** Throws UsageError if both options are given. */
  exclude(one: string, other: string): void {
    if (this.#has(one) && this.#has(other))
      throw new UsageError(`--${one} and --${other} exclude each other`);
  }

  /** Throws UsageError if the option is given without the other one, which it needs. */
  need(option: string, other: string): void {
    if (this.#has(option) && !this.#has(other))
      throw new UsageError(`--${option} needs --${other}`);
  }

  #has(name: string): boolean {
    return this.#values[name] !== undefined;
  }
}

type Values = ReturnType<typeof parse>["values"];

/** Throws UsageError that names the argument and the nearest valid one. */
export function readInput(command: Arguments, words: readonly string[]): Input {
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

/** kubectl accepts `-o=json`; parseArgs would take `=json` as the value. */
function longForm(word: string, options: Options): string {
  const [, letter, value] = /^-(\w)=(.*)$/s.exec(word) ?? [];
  if (letter === undefined) return word;
  const [name] =
    Object.entries(options).find(([, { short }]) => short === letter) ?? [];
  return name === undefined ? word : `--${name}=${value}`;
}

/** The error of parseArgs in our words; its message quotes the option: `'-o, --output <value>'`. */
function usageError(error: unknown, options: Options): unknown {
  if (!(error instanceof TypeError)) return error;
  const [, typed = ""] = /'(?:-\w, )?([^\s']+)/.exec(error.message) ?? [];
  // For `-hx` the message has `x`.
  const option = typed.startsWith("-") ? typed : `-${typed}`;
  const known = Object.entries(options).find(
    ([name, { short }]) => option === `--${name}` || option === `-${short}`,
  );
  if (!known) {
    const names = Object.keys(options).map((name) => `--${name}`);
    return new UsageError(
      `unknown option ${option}${suggestion(option, names)}`,
    );
  }
  const [name, { value }] = known;
  return new UsageError(
    value === undefined
      ? `--${name} takes no value`
      : `--${name} expects a value: ${value}`,
  );
}

/** `; did you mean list?`, or "" if no known word is near. */
export function suggestion(
  word: string,
  known: readonly string[],
  show: (word: string) => string = String,
): string {
  const near = nearest(word, known);
  return near === undefined ? "" : `; did you mean ${show(near)}?`;
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
      `--${name}: expected ${oneOf(choices)}, got ${quote(value)}`,
    );
}

function checkOperands(
  { operand, secondOperand }: Arguments,
  operands: readonly string[],
): void {
  const known = [operand, secondOperand].filter((one) => one !== undefined);
  const extra = operands[known.length];
  if (extra !== undefined)
    throw new UsageError(`unexpected argument ${quote(extra)}`);
  const missing = known[operands.length];
  if (missing && !("optional" in missing))
    throw new UsageError(`${missing.name} is missing`);
  const [given] = operands;
  const { choices } = operand ?? {};
  if (given !== undefined && choices && !choices.includes(given))
    throw new UsageError(`expected ${oneOf(choices)}, got ${quote(given)}`);
}

/** `a, b or c` */
export function oneOf(words: readonly string[]): string {
  return words.join(", ").replace(/, ([^,]*)$/, " or $1");
}
