/**
 * The notes of a release: what the changelog has above the earlier version. Pure.
 */

/** Throws Error if the changelog has nothing about the version. */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog
    .split(/^(?=## )/m)
    .slice(1)
    .map((text) => {
      const [heading = "", ...rest] = text.split("\n");
      return { heading, body: rest.join("\n").trim() };
    });
  const at = sections.findIndex(({ heading }) =>
    heading.slice(3).replace(/^\[/, "").startsWith(version),
  );
  // This build contains the unreleased changes.
  const [first] = sections;
  const isUnreleased = /^## \[?Unreleased/.test(first?.heading ?? "");
  const notes = isUnreleased && first?.body ? first.body : sections[at]?.body;
  if (!notes) throw new Error(`the changelog has no section ${version}`);
  return `# genie ${version}\n\n${withoutLinksToFiles(notes)}\n`;
}

/** The notes are read where the repository's files are not beside them. */
function withoutLinksToFiles(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]+)\]\((?!https?:)[^)]*\)/g, "$1");
}
