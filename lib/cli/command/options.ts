/** The arguments that a command takes: operands and options. */

export interface Option {
  /** Name of the value in the help text; absent for a flag. See {@link isPath}. */
  value?: string;
  short?: string;
  about: string;
  /** The only valid values; shell completion offers them. */
  choices?: readonly string[];
  /** May be given more than once. */
  repeated?: true;
}

export type Options = Readonly<Record<string, Option>>;

export interface Arguments {
  /** One operand, required or in brackets: `POD`. */
  operand?: { name: string; optional?: true; choices?: readonly string[] };
  /** A second one, required: `NETWORK`. */
  secondOperand?: { name: string };
  options: Options;
}

/** Whether the value is the path of a FILE or of a directory (DIR). */
export function isPath({ value }: Option): boolean {
  return value === "FILE" || value === "DIR";
}

/** Every command has this option. */
export const helpOption: Option = { short: "h", about: "print this text" };
