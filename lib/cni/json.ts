/**
 * JSON as the CNI tools read and write it: strict, errors in the words of Go's
 * encoding/json (kubelet embeds them), numbers that come out as they went in.
 * It owns no schema. Read values by key with `own`: a key such as `constructor` or
 * `__proto__` is then ordinary data.
 */
import { cut } from "../linux/text.ts";
import type * as jsonError from "./json-error.ts";

export type JsonObject = Record<string, unknown>;

declare global {
  interface JSON {
    /** A value that JSON.stringify prints as `source`. */
    rawJSON(source: string): RawNumber;
    isRawJSON(value: unknown): value is RawNumber;
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: Source) => unknown,
    ): unknown;
  }
}

interface Source {
  /** Only numbers and the other primitives have one. */
  source?: string;
}

/** A number whose text would change if it were kept as a `number`: `1.0`, `1e3`, 2^53 + 1. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** Limit of nesting of input (state.md "What ADD writes, DEL reads"). */
export const maxDepth = 100;

/** Why a text is refused: `reason` in the words of Go's encoding/json, and the place after it in the message. */
export class JsonError extends SyntaxError {
  readonly reason: string;

  constructor(reason: string, place: string, cause: unknown) {
    super(`${reason} at ${place}`, { cause });
    this.reason = reason;
  }
}

/**
 * The value of a JSON text of at most `depth` levels. Throws a JsonError. A number
 * that would be printed differently is a `RawNumber`.
 */
export function parseJson(text: string, depth = maxDepth): unknown {
  if (hasMoreBrackets(text, depth) && nestsDeeper(text, depth))
    throw refusal(text, depth);
  try {
    return mayChange(text) ? JSON.parse(text, lossless) : JSON.parse(text);
  } catch (cause) {
    throw refusal(text, depth, cause);
  }
}

function refusal(text: string, depth: number, cause?: unknown): JsonError {
  // Loaded for a refused text only; the function is synchronous.
  // oxlint-disable-next-line no-unsafe-assignment -- a require() has no types, the import above has
  const { explainJson }: typeof jsonError = require("./json-error.ts");
  const { reason, place } = explainJson(text, depth);
  return new JsonError(reason, place, cause);
}

/** Fast path: a text with few brackets cannot be deep. */
function hasMoreBrackets(text: string, levels: number): boolean {
  let left = levels;
  for (const bracket of ["{", "["]) {
    let at = text.indexOf(bracket);
    while (at >= 0) {
      if (--left < 0) return true;
      at = text.indexOf(bracket, at + 1);
    }
  }
  return false;
}

/** Whether brackets outside of strings exceed the depth. Reads each character once, also of a hostile text. */
function nestsDeeper(text: string, levels: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) inString = !inString;
    else if (inString) {
      if (code === 0x5c) at++; // a backslash and what it escapes
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > levels) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

/** `expected a string, got the number 5`: the wording of every wrong value. */
export function mismatch(
  expected: string,
  value: unknown,
  isSecret = false,
): string {
  return `expected ${expected}, got ${describeJson(value, isSecret)}`;
}

/** The kind of a decoded value; for a number that is not secret also the value. */
export function describeJson(value: unknown, isSecret = false): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return "a string";
  if (typeof value === "boolean") return "a bool";
  if (Array.isArray(value)) return "an array";
  if (isObject(value)) return "an object";
  return isSecret
    ? "a number"
    : `the number ${cut(JSON.stringify(value), 128)}`;
}

/** Whether a decoded value is an object: not null, not an array, not a `RawNumber`. */
export function isObject(value: unknown): value is JsonObject {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !JSON.isRawJSON(value)
  );
}

/** The own property of a decoded object; undefined for anything else. */
export function own(object: unknown, key: string): unknown {
  return isObject(object) && Object.hasOwn(object, key)
    ? object[key]
    : undefined;
}

/** {@link own}, if the value is a string. */
export function ownText(object: unknown, key: string): string | undefined {
  const value = own(object, key);
  return typeof value === "string" ? value : undefined;
}

/** The value of a JSON text; undefined for any other: the parser's message would quote it. */
export function jsonIfAny(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * A key as Go's encoding/json compares it: letters in lower case. It also takes
 * U+017F for s and U+212A for k, which JavaScript does for the latter alone.
 */
export function foldKey(key: string): string {
  const lower = key.toLowerCase();
  return lower.includes("\u017f") ? lower.replaceAll("\u017f", "s") : lower;
}

/** Whether a Go program reads the key as `name`. */
export function isKey(key: string, name: string): boolean {
  return key === name || foldKey(key) === name.toLowerCase();
}

/** The value that a Go program reads for a key: of several spellings the last one, null being none. */
export function goField(object: unknown, name: string): unknown {
  let found: unknown;
  if (!isObject(object)) return found;
  for (const [key, value] of Object.entries(object))
    if (value !== null && isKey(key, name)) found = value;
  return found;
}

/** Sets an own property; an assignment to `__proto__` would change the prototype. */
export function setOwn(object: JsonObject, key: string, value: unknown): void {
  if (key === "__proto__") {
    const property = { value, enumerable: true, configurable: true };
    Object.defineProperty(object, key, { ...property, writable: true });
  } else object[key] = value;
}

/**
 * Whether there may be a number that String() prints differently. It may say yes
 * for the inside of a string, never no for such a number. Without a regular
 * expression: the first of a process costs an ADD 0.1 ms and 0.9 MiB
 * (docs/performance.md).
 */
function mayChange(text: string): boolean {
  if (changesAt(text, 0)) return true;
  for (const before of [":", ",", "["]) {
    let at = text.indexOf(before);
    while (at >= 0) {
      // A time of day, say, in a string: a key ends with a quotation mark.
      const inText = before === ":" && text.charCodeAt(at - 1) > 0x22;
      if (!inText && changesAt(text, at + 1)) return true;
      at = text.indexOf(before, at + 1);
    }
  }
  return false;
}

/** Whether there, after blanks, is `-0`, a number with a fraction or an exponent, or one of 16 digits. */
function changesAt(text: string, from: number): boolean {
  let at = from;
  let code = text.charCodeAt(at);
  while (code === 0x20 || (code >= 0x09 && code <= 0x0d))
    code = text.charCodeAt(++at);
  if (code === 0x2d) {
    code = text.charCodeAt(++at);
    if (code === 0x30) return true;
  }
  const first = at;
  while (code >= 0x30 && code <= 0x39) code = text.charCodeAt(++at);
  if (at === first) return false;
  const goesOn = code === 0x2e || code === 0x45 || code === 0x65; // . E e
  return goesOn || at - first >= 16;
}

function lossless(_key: string, value: unknown, { source }: Source): unknown {
  if (
    typeof value !== "number" ||
    source === undefined ||
    String(value) === source
  )
    return value;
  return JSON.rawJSON(source);
}

/** Omits undefined values: `exactOptionalPropertyTypes` distinguishes them from absent ones. */
export function omitUndefined<T extends object>(object: {
  [K in keyof T]: T[K] | undefined;
}): T;
export function omitUndefined(object: object): object {
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    if (value !== undefined) rest[key] = value;
  }
  return rest;
}
