/**
 * Merges variants of one document into a Helm template. A variant is the document with
 * some switches on; what only some of them have is enclosed in a condition. The
 * conditions are found, not written, from the combinations that the caller gives: one of
 * several switches, none of several, or both within another one. Another condition is an
 * error.
 */
import { isObject } from "../lib/cni/json.ts";

export interface Switch {
  /** Template expression, true while it is on. */
  expression: string;
}

/** The switches that are on. */
export type Combination = ReadonlySet<Switch>;

/** A value for each combination that has it. */
type Variants = ReadonlyMap<Combination, unknown>;

/** A text of the document in place of which the template has a value. */
export interface Placeholder {
  text: string;
  expression: string;
}

/** Template lines of a value that is the same for all: they are taken as they are. */
export class Template {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    this.lines = lines;
  }
}

/** The template of an object. Throws Error if a condition cannot be expressed. */
export function templateOf(
  variants: ReadonlyMap<Combination, object>,
  placeholders: readonly Placeholder[],
): string {
  const lines = new Merger(placeholders).map(variants, "");
  return lines.map((line) => `${line}\n`).join("");
}

/** The template, in `{{ if }}` unless it belongs to all combinations. */
export function enclose(
  lines: readonly string[],
  present: ReadonlySet<Combination>,
  all: ReadonlySet<Combination>,
  indent = "",
): string[] {
  const condition = conditionOf(present, all);
  if (condition === undefined) return [...lines];
  return [`${indent}{{- if ${condition} }}`, ...lines, `${indent}{{- end }}`];
}

class Merger {
  readonly #placeholders: readonly Placeholder[];

  constructor(placeholders: readonly Placeholder[]) {
    this.#placeholders = placeholders;
  }

  map(variants: Variants, indent: string): string[] {
    const all = new Set(variants.keys());
    const keys = union([...variants.values()].map((value) => keysOf(value)));
    return keys.flatMap((key) => {
      const values = new Map<Combination, unknown>();
      for (const [combination, value] of variants)
        if (isObject(value) && Object.hasOwn(value, key))
          values.set(combination, value[key]);
      const lines = this.#entry(`${indent}${key}:`, values, indent);
      return enclose(lines, new Set(values.keys()), all, indent);
    });
  }

  #entry(prefix: string, variants: Variants, indent: string): string[] {
    const values = [...variants.values()];
    const [first] = values;
    if (first instanceof Template)
      return [prefix, ...first.lines.map((line) => `${indent}  ${line}`)];
    if (values.every((value) => Array.isArray(value) && value.length > 0))
      return [prefix, ...this.#list(variants, `${indent}  `)];
    if (values.every((value) => keysOf(value).length > 0))
      return [prefix, ...this.map(variants, `${indent}  `)];
    return this.#scalars(prefix, variants, indent);
  }

  /** One line for each of the values, in a condition if there are several. */
  #scalars(prefix: string, variants: Variants, indent: string): string[] {
    const byText = new Map<string, Set<Combination>>();
    for (const [combination, value] of variants) {
      const text = this.#scalar(value);
      byText.set(text, (byText.get(text) ?? new Set()).add(combination));
    }
    const all = new Set(variants.keys());
    const lines = [...byText].map(([text, present]) =>
      enclose([`${prefix} ${text}`], present, all, indent),
    );
    const [first = [], second] = lines;
    return second && lines.length === 2
      ? [...first.slice(0, -1), `${indent}{{- else }}`, ...second.slice(1)]
      : lines.flat();
  }

  #list(variants: Variants, indent: string): string[] {
    const all = new Set(variants.keys());
    const items = new Map<string, Map<Combination, unknown>>();
    const order = union(
      [...variants.values()].map((value) => listOf(value).map(identity)),
    );
    for (const id of order) items.set(id, new Map());
    for (const [combination, value] of variants)
      for (const item of listOf(value))
        items.get(identity(item))?.set(combination, item);
    return [...items.values()].flatMap((values) => {
      const [first] = values.values();
      const lines = isObject(first)
        ? withDash(this.map(values, `${indent}  `), indent)
        : this.#scalars(`${indent}-`, values, indent);
      return enclose(lines, new Set(values.keys()), all, indent);
    });
  }

  /** Quoted by the template where a value is in it. */
  #scalar(value: unknown): string {
    if (typeof value !== "string") return Bun.YAML.stringify(value);
    const used = this.#placeholders.filter(({ text }) => value.includes(text));
    if (value.includes("{{"))
      throw new Error(`the template would execute ${JSON.stringify(value)}`);
    if (used.length === 0) return Bun.YAML.stringify(value);
    const places = used
      .flatMap((placeholder) =>
        [
          ...value.matchAll(new RegExp(RegExp.escape(placeholder.text), "g")),
        ].map(({ index }) => ({ index, ...placeholder })),
      )
      .toSorted((a, b) => a.index - b.index);
    let format = value.replaceAll("%", "%%");
    for (const { text } of used) format = format.replaceAll(text, "%v");
    const [only] = places;
    if (format === "%v" && only) return `{{ ${only.expression} | quote }}`;
    const values = places.map(({ expression }) => `(${expression})`).join(" ");
    return `{{ printf ${JSON.stringify(format)} ${values} | quote }}`;
  }
}

function withDash(lines: readonly string[], indent: string): string[] {
  const [first = "", ...rest] = lines;
  if (first.trimStart().startsWith("{{"))
    throw new Error(`the first key of a list's item is optional: ${first}`);
  return [`${indent}- ${first.trimStart()}`, ...rest];
}

/** Named items are the same item in all variants, others only if they are equal. */
function identity(item: unknown): string {
  if (!isObject(item)) return JSON.stringify(item);
  const { name } = item;
  return typeof name === "string" ? name : JSON.stringify(item);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function keysOf(value: unknown): string[] {
  return isObject(value) ? Object.keys(value) : [];
}

/** Every text once, in an order that agrees with all lists. */
export function union(lists: readonly (readonly string[])[]): string[] {
  const rest = new Set(lists.flat());
  const found: string[] = [];
  while (rest.size > 0) {
    const next = [...rest].find((text) =>
      lists.every((list) => {
        const at = list.indexOf(text);
        return at < 0 || !list.slice(0, at).some((one) => rest.has(one));
      }),
    );
    if (next === undefined)
      throw new Error(
        `the lists have no common order: ${[...rest].join(", ")}`,
      );
    rest.delete(next);
    found.push(next);
  }
  return found;
}

/** A combination without the switches that the condition has already. */
interface Case {
  on: Combination;
  isPresent: boolean;
}

/** True exactly for those that are present; undefined: always. */
function conditionOf(
  present: ReadonlySet<Combination>,
  all: ReadonlySet<Combination>,
): string | undefined {
  if (present.size === all.size) return undefined;
  const cases = [...all].map((on) => ({ on, isPresent: present.has(on) }));
  return unwrapped(expressionOf(cases));
}

function expressionOf(cases: readonly Case[]): string {
  if (cases.every(({ isPresent }) => isPresent)) return "true";
  const switches = [...new Set(cases.flatMap(({ on }) => [...on]))];
  const enabling = switches.filter((one) =>
    cases.every(({ on, isPresent }) => isPresent || !on.has(one)),
  );
  const disabling = switches.filter((one) =>
    cases.some(
      ({ on, isPresent }) => on.size === 1 && on.has(one) && !isPresent,
    ),
  );
  const has = (on: Combination, some: readonly Switch[]) =>
    some.some((one) => on.has(one));
  const agrees = (test: (on: Combination) => boolean) =>
    cases.every(({ on, isPresent }) => test(on) === isPresent);
  const enabled = enabling.map(({ expression }) => expression);
  const notDisabled = join("and", disabling.map(negated));
  if (agrees((on) => has(on, enabling))) return join("or", enabled);
  if (agrees((on) => !has(on, disabling))) return notDisabled;
  if (agrees((on) => !has(on, disabling) || has(on, enabling)))
    return join("or", [notDisabled, ...enabled]);
  for (const one of switches) {
    const on = cases.filter((each) => each.on.has(one));
    const off = cases.filter((each) => !each.on.has(one));
    if (off.every(({ isPresent }) => !isPresent))
      return join("and", [one.expression, expressionOf(without(one, on))]);
    if (on.every(({ isPresent }) => !isPresent))
      return join("and", [negated(one), expressionOf(off)]);
  }
  throw new Error(
    `no condition of ${switches.map(({ expression }) => expression).join(", ")}`,
  );
}

function without(one: Switch, cases: readonly Case[]): Case[] {
  return cases.map(({ on, isPresent }) => ({
    on: new Set([...on].filter((other) => other !== one)),
    isPresent,
  }));
}

function negated({ expression }: Switch): string {
  const [, positive] = /^\(not (.*)\)$/.exec(expression) ?? [];
  return positive ?? `(not ${expression})`;
}

/** In brackets if there are several. */
function join(operator: "and" | "or", terms: readonly string[]): string {
  const flat = terms.filter((term) => term !== "true");
  return flat.length > 1
    ? `(${operator} ${flat.join(" ")})`
    : (flat[0] ?? "true");
}

function unwrapped(expression: string): string {
  return expression.startsWith("(") ? expression.slice(1, -1) : expression;
}
