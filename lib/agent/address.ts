/** The address of `--metrics`. */

/** A port alone is one of a loopback address: metrics are nobody else's by default. */
export function parseAddress(text: string): { hostname: string; port: number } {
  const [, host, digits = ""] =
    /^(?:(\[[\da-fA-F:.]+\]|[^\s:[\]]*):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port > 65_535)
    throw new Error(
      `--metrics: expected [HOST:]PORT, got ${JSON.stringify(text)}`,
    );
  return { hostname: host?.replace(/^\[|\]$/g, "") || "127.0.0.1", port };
}
