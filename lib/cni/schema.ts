/**
 * One wording for wrong values from outside:
 * `<path>: expected <what>, got <what>`. valibot validates; this module words
 * its issues. It changes nothing: a valid value is returned as it is, with the keys
 * that the schema does not know. On the hot path it is imported only to word an
 * error (docs/architecture.md).
 *
 * Go programs read null as absent: a key that may be absent is `v.nullish(…)`.
 */
import * as v from "valibot";
import { plain, quote } from "../linux/text.ts";
import {
  type JsonObject,
  type RawNumber,
  describeJson,
  isObject,
} from "./json.ts";

interface Wording {
  /**
   * The values that may be secrets: all, or those below these keys. Messages show
   * only their kind.
   */
  secret?: boolean | readonly string[];
}

type Schema = v.GenericSchema;
type Issue = v.BaseIssue<unknown>;

/** Any object; valibot's own schemas accept an array too, and drop a key such as `constructor`. */
export const jsonObject = v.custom<JsonObject>(isObject, "an object");

/** An object with these keys and any others. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
) {
  const schema = v.looseObject(entries, (issue) =>
    expectedOfKey(entries, issue),
  );
  return v.pipe(
    v.custom<v.InferInput<v.ObjectSchema<Entries, undefined>>>(
      isObject,
      "an object",
    ),
    schema,
  );
}

/** An object whose values are all of one kind. */
export function map<const Value extends Schema>(value: Value) {
  return v.pipe(
    v.custom<Record<string, v.InferInput<Value>>>(isObject, "an object"),
    v.lazy((input) => {
      const keys = isObject(input) ? Object.keys(input) : [];
      return v.looseObject(Object.fromEntries(keys.map((key) => [key, value])));
    }),
  );
}

/**
 * An array whose items are all of one kind. After {@link maxProblems} the rest is not
 * looked at: issues are expensive. `problemWith` compares an item with the valid ones
 * before it.
 */
export function list<const Item extends Schema>(
  item: Item,
  problemWith: (
    value: v.InferInput<Item>,
    earlier: readonly v.InferInput<Item>[],
  ) => string | undefined = () => undefined,
) {
  return v.pipe(
    v.custom<v.InferInput<Item>[]>(Array.isArray, "an array"),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const all = dataset.value;
      const valid: v.InferInput<Item>[] = [];
      let count = 0;
      for (const [key, value] of all.entries()) {
        const issues: Pick<Issue, "message" | "input" | "expected" | "path">[] =
          v.safeParse(item, value).issues ?? [];
        const message = issues.length === 0 && problemWith(value, valid);
        if (message) issues.push({ message, input: value, expected: null });
        if (issues.length === 0) valid.push(value);
        for (const issue of issues) {
          const at = { type: "array", origin: "value", input: all } as const;
          addIssue({
            ...issue,
            expected: issue.expected ?? "",
            path: [{ ...at, key, value }, ...(issue.path ?? [])],
          });
        }
        count += issues.length;
        if (count >= maxProblems) return;
      }
    }),
  );
}

/** A string that `isValid` accepts; `expected` describes it: `an absolute path`. */
export function text(isValid: (value: string) => boolean, expected: string) {
  return v.custom<string>(
    (value) => typeof value === "string" && isValid(value),
    expected,
  );
}

/** A number, as parseJson returns it; `isValid` gets its value. */
export function number(
  isValid: (value: number) => boolean = () => true,
  expected = "a number",
) {
  return v.custom<number | RawNumber>((value) => {
    if (JSON.isRawJSON(value)) return isValid(Number(value.rawJSON));
    return typeof value === "number" && isValid(value);
  }, expected);
}

/** Returns the value itself. Throws `fail` of the first problem. */
export function parse<S extends Schema>(
  schema: S,
  value: unknown,
  fail: (problem: string) => Error,
  wording?: Wording,
): v.InferInput<S> {
  if (v.is(schema, value)) return value;
  const [problem = "invalid"] = problemsIn(schema, value, wording);
  throw fail(problem);
}

/** Limit of problems: more would not fit into a message of 8 KiB. */
const maxProblems = 500;

/** The problems in a value, in the order of the schema; empty for a valid one. */
export function problemsIn(
  schema: Schema,
  value: unknown,
  wording: Wording = {},
): string[] {
  const { issues = [] } = v.safeParse(schema, value);
  return issues.slice(0, maxProblems).map((issue) => problemOf(issue, wording));
}

/** `plugins.0.type: expected a string, got the number 5`. */
function problemOf(issue: Issue, wording: Wording, above = ""): string {
  const path = [
    above,
    ...(issue.path ?? []).map(({ key }) => plain(String(key))),
  ]
    .filter((key) => key !== "")
    .join(".");
  // Of alternatives, the one of the right kind: `binDir.0: expected a string`.
  const inner = issue.issues?.find((alternative) => alternative.path);
  if (inner) return problemOf(inner, wording, path);
  const got = gotOf(issue, isSecret(path, wording));
  const problem = `expected ${expectedOf(issue)}, got ${got}`;
  return path === "" ? problem : `${path}: ${problem}`;
}

function isSecret(path: string, { secret = false }: Wording): boolean {
  if (typeof secret === "boolean") return secret;
  return secret.some((key) => path === key || path.startsWith(`${key}.`));
}

/** For an absent key: the expectation of its own schema. */
function expectedOfKey(entries: v.ObjectEntries, { path }: Issue): string {
  const key = path?.at(-1)?.key;
  const schema = typeof key === "string" ? entries[key] : undefined;
  const [issue] = (schema && v.safeParse(schema, undefined).issues) ?? [];
  return issue ? expectedOf(issue) : "a value";
}

const words: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "a bool",
  Object: "an object",
  Array: "an array",
};

/** valibot's own messages begin so; any other message is an expectation of ours. */
const defaultMessage = /^Invalid /;

function expectedOf({ message, expected }: Issue): string {
  if (!defaultMessage.test(message)) return message;
  const alternatives = (expected ?? "something else")
    .replace(/^\((.*)\)$/, "$1")
    .split(" | ")
    .map((word) => words[word] ?? word);
  const last = alternatives.pop() ?? "";
  return alternatives.length === 0
    ? last
    : `${alternatives.join(", ")} or ${last}`;
}

function gotOf({ received, input }: Issue, secret: boolean): string {
  // For a wrong length valibot reports the length.
  if (Array.isArray(input) && received !== "Array") return received;
  if (typeof input === "string" && !secret) return quote(input);
  return describeJson(input, secret);
}
