/** The levels of the log, and its interface (configuration.md "log_level"). */

const levels = ["error", "warn", "info", "debug"] as const;

export type Level = (typeof levels)[number];

export type Fields = Readonly<Record<string, unknown>>;

export type Log = Record<Level, (message: string, fields?: Fields) => void>;

/** Whether `log_level` has the lines of a level. */
export function logs(logLevel: string, level: Level): boolean {
  return levels.indexOf(level) <= levels.indexOf(levelOf(logLevel));
}

/** CNI-Genie's samples spell levels in several ways; an unknown one is the default. */
function levelOf(text: string): Level {
  const name = text.toLowerCase();
  for (const level of levels) if (name.startsWith(level)) return level;
  return "warn";
}
