/**
 * One wording for values from outside that are not what they must be:
 * `<path>: expected <what>, got <what>`. valibot validates; this module words
 * its issues. The message of a schema or of an action is what is expected:
 * `v.check(isMac, "a MAC address")`. On the hot path it is imported only to word
 * an error (docs/architecture.md).
 */
import * as v from "valibot";
import { quote } from "../linux/text.ts";
import { describeJson, isObject } from "./json.ts";

export interface Wording {
  /** The value may be a secret: only its kind is shown. */
  secret?: boolean;
}

type Schema = v.GenericSchema;
type Issue = v.BaseIssue<unknown>;

const isDecodedObject = v.custom<object>(isObject, "an object");

/** An object with these keys and any others; valibot's own accepts an array too. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
) {
  return v.pipe(isDecodedObject, v.looseObject(entries));
}

/** An object whose values are all of one kind. */
export function map<const Value extends Schema>(value: Value) {
  return v.pipe(isDecodedObject, v.record(v.string(), value));
}

/** The validated value. Throws what `fail` makes of the first problem. */
export function parse<S extends Schema>(
  schema: S,
  value: unknown,
  fail: (problem: string) => Error,
  wording?: Wording,
): v.InferOutput<S> {
  const { success, output, issues } = v.safeParse(schema, value, {
    abortEarly: true,
  });
  if (success) return output;
  throw fail(problemOf(issues[0], wording));
}

/** Every problem in a value, in the order of the schema; empty for a valid one. */
export function problemsIn(
  schema: Schema,
  value: unknown,
  wording?: Wording,
): string[] {
  const { issues } = v.safeParse(schema, value);
  return (issues ?? []).map((issue) => problemOf(issue, wording));
}

/** `plugins.0.type: expected a string, got the number 5`. */
function problemOf(issue: Issue, wording: Wording = {}): string {
  const path = v.getDotPath(issue);
  const at = path === null ? "" : `${path}: `;
  if (isMissing(issue)) return `${at}is missing`;
  return `${at}expected ${expectedOf(issue)}, got ${gotOf(issue.input, wording)}`;
}

/** A key that the object must have; whatever valibot expected of its value is not in the issue. */
function isMissing({ kind, type, input }: Issue): boolean {
  return kind === "schema" && type.endsWith("object") && input === undefined;
}

const words: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  Object: "an object",
  Array: "a list",
  null: "null",
};

/** valibot's own messages begin so; any other message says what is expected. */
const defaultMessage = /^Invalid /;

function expectedOf({ message, expected }: Issue): string {
  if (!defaultMessage.test(message)) return message;
  const alternatives = (expected ?? "something else")
    .replace(/^\((.*)\)$/, "$1")
    .split(" | ")
    .map((word) => words[word] ?? word);
  return alternatives.join(" or ");
}

function gotOf(input: unknown, { secret = false }: Wording): string {
  if (typeof input === "string" && !secret) return quote(input);
  if (typeof input === "number" && secret) return "a number";
  return describeJson(input);
}
