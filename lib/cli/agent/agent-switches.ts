/** The switches of the agent's parts, the same ones for `genie agent` and `genie manifest`. */
import { parts } from "../../agent/parts.ts";
import { messageOf } from "../../linux/errno.ts";
import { type Input, UsageError } from "../command/input.ts";
import type { Option, Options } from "../command/options.ts";

/** `--gc`, `--metrics ADDRESS`, and for a part that is on by default `--no-cache` too. */
export const partOptions: Options = switches();

function switches(): Options {
  const options: Record<string, Option> = {};
  for (const [name, { value, about, byDefault }] of parts) {
    options[name] = {
      ...(value !== undefined && { value }),
      about: byDefault ? `${about} (default)` : about,
    };
    if (byDefault) options[`no-${name}`] = { about: `turn --${name} off` };
  }
  return options;
}

/** The parts that are on, with the values of their switches. Throws UsageError. */
export function chosenParts(input: Input): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  for (const [name, { value, byDefault, check }] of parts) {
    input.exclude(name, `no-${name}`);
    const text = input.text(name);
    const isOn =
      value === undefined
        ? input.flag(name) || (byDefault && !input.flag(`no-${name}`))
        : text !== undefined;
    if (isOn && text !== undefined) requireValid(check, text);
    if (isOn) chosen.set(name, text ?? "");
  }
  return chosen;
}

function requireValid(
  check: ((value: string) => void) | undefined,
  value: string,
): void {
  try {
    check?.(value);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** The same as arguments; those of `--no-…` too. */
export function switchesOf(chosen: ReadonlyMap<string, string>): string[] {
  return [...parts].flatMap(([name, { byDefault, value }]) => {
    const text = chosen.get(name);
    if (text === undefined) return byDefault ? [`--no-${name}`] : [];
    if (byDefault) return [];
    return [value === undefined ? `--${name}` : `--${name}=${text}`];
  });
}
