/** The formats of output, as kubectl has them. */
import { escapeControls } from "../../linux/text.ts";
import { oneOf } from "./input.ts";
import type { Option } from "./options.ts";

/** `-o json` and `-o yaml`. */
export const structuredFormats = ["json", "yaml"] as const;

/** The option of a command that has these formats; the first one is the default. */
export function outputOption(...formats: string[]): Option {
  return {
    value: "FORMAT",
    short: "o",
    choices: formats,
    about: `${oneOf(formats)} (default ${formats[0]})`,
  };
}

/** Escapes control characters, which would control the terminal; line feeds stay. */
export function printable(text: string): string {
  return text.split("\n").map(escapeControls).join("\n");
}

/** The value in one of {@link structuredFormats}; undefined for another one. */
export function structured(
  value: unknown,
  format: string | undefined,
): string | undefined {
  if (format === "json") return jsonOf(value);
  return format === "yaml" ? yamlOf(value) : undefined;
}

/** Without YAML anchors: shared parts of objects are repeated. */
export function yamlOf(...documents: unknown[]): string {
  return documents
    .map((document): unknown => JSON.parse(JSON.stringify(document)))
    .map(documentOf)
    .join("---\n");
}

function documentOf(document: unknown): string {
  const text = `${Bun.YAML.stringify(document, null, 2)}\n`;
  // Bun leaves characters as they are that YAML does not allow: JSON is YAML, too.
  return printable(text) === text
    ? text.replace(plainValue, '$<before>"$<value>"')
    : jsonOf(document);
}

function jsonOf(value: unknown): string {
  return printable(`${JSON.stringify(value, null, 2)}\n`);
}

/**
 * A string without quotes that YAML 1.1 reads as a time, a number or a merge: `2026-01-31`, the
 * MAC `11:22:33:44:55:50`, `1_000`, `0b1`, `=`. Bun quotes by the rules of YAML 1.2 only.
 */
const plainValue =
  /^(?<before> *(?:- )*(?:(?:"(?:[^"\\]|\\.)*"|[^\s"'].*?): )?)(?!-?[\d.]+$)(?<value>[+-]?\d[\d_:.TtZz +-]*|0b[01_]+|=)$/gm;
