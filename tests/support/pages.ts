/**
 * The pages of the documentation, their examples and their sections.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");

export const pages = [
  ...new Bun.Glob("*.md").scanSync(root),
  ...new Bun.Glob("{docs,tests}/**/*.md").scanSync(root),
].toSorted();

/** A fenced block, also inside of a list; the mark follows the language. */
export const fence =
  /^[ \t]*```([^\s`]*)[ \t]*([^\n]*?)[ \t]*\n(.*?)^[ \t]*```[ \t]*$/gms;

export interface Block {
  /** `README.md:42` */
  where: string;
  language: string;
  /** The kind of the example; "" for a block without a mark. */
  mark: string;
  text: string;
}

/** The text of a file of the repository. */
export function textOf(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

export function blocks(): Block[] {
  return pages.flatMap((page) => {
    const text = textOf(page);
    return [...text.matchAll(fence)].map((match) => {
      const [, language = "", mark = "", content = ""] = match;
      const line = text.slice(0, match.index).split("\n").length;
      return { where: `${page}:${line}`, language, mark, text: content };
    });
  });
}

/** The code spans of a text, each in one line. */
export function codeSpans(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span = ""]) =>
    span.replaceAll(/\s+/g, " "),
  );
}

/** The text of a section of README.md, up to the next of its level. */
export function sectionOf(heading: string): string {
  const text = textOf("README.md");
  const [, section = ""] =
    new RegExp(`^## ${heading}\\n(.*?)^## `, "ms").exec(text) ?? [];
  return section;
}

/** The code spans of a section of README.md. */
export function spansOf(heading: string): ReadonlySet<string> {
  const spans = sectionOf(heading)
    .replaceAll(fence, "")
    .matchAll(/`([^`]+)`/g);
  return new Set([...spans].map(([, span = ""]) => span));
}
