/** `-o json` and `-o yaml` of commands, as kubectl prints them. */
export const structuredFormats = ["json", "yaml"] as const;

/** The value in one of {@link structuredFormats}; undefined for another one. */
export function structured(
  value: unknown,
  format: string | undefined,
): string | undefined {
  const json = JSON.stringify(value, null, 2);
  if (format === "json") return `${json}\n`;
  // Without anchors: objects that share a part repeat it.
  const plain: unknown = JSON.parse(json);
  return format === "yaml"
    ? `${Bun.YAML.stringify(plain, null, 2)}\n`
    : undefined;
}
