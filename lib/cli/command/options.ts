/** The arguments that a command takes: operands and options. */
import { omitUndefined } from "../../cni/json.ts";

export interface Option {
  /** Name of the value in the help text; absent for a flag. See {@link takesPath}. */
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
export function takesPath({ value }: Option): boolean {
  return value === "FILE" || value === "DIR";
}

/** Every command has this option. */
export const helpOption: Option = { short: "h", about: "print this text" };

/** `namespace` of `-n, --namespace NS`. */
type NameIn<Row extends string> = Row extends `${string}--${infer Rest}`
  ? Rest extends `${infer Name} ${string}`
    ? Name
    : Rest
  : never;

/** Options in the notation of the help text: `"-n, --namespace NS": "only pods of this namespace"`. */
export function optionsOf<const Rows extends Readonly<Record<string, string>>>(
  rows: Rows,
): { [Row in keyof Rows & string as NameIn<Row>]: Option } {
  const options: Record<string, Option> = {};
  for (const [row, about] of Object.entries(rows)) {
    const [, short, name = "", value] =
      /^(?:-(\w), )?--(\S+)(?: (.+))?$/.exec(row) ?? [];
    options[name] = omitUndefined<Option>({ value, short, about });
  }
  // oxlint-disable-next-line no-unsafe-type-assertion -- the keys are the names in the rows
  return options as ReturnType<typeof optionsOf<Rows>>;
}

/** The words that give options these values. */
export function argsOf(
  values: Readonly<Record<string, string | undefined>>,
): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}=${value}`],
  );
}
