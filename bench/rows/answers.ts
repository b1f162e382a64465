/** Checks of responses, of genie and of its peers. */
export type Accepts = (stdout: string) => boolean;

/** The delegate's result. */
export const isResult: Accepts = (stdout) => stdout.includes('"10.1.2.3/24"');

export const isVersion: Accepts = (stdout) =>
  stdout.includes('"supportedVersions"');

export const isNothing: Accepts = (stdout) => stdout === "";

/** The error of the delegate that fails, handed through. */
export const isRefusal: Accepts = (stdout) =>
  stdout.includes("no address is left");

/** An error that names the delegate which was waited for. */
export const isTimeout: Accepts = (stdout) => stdout.includes("hanging");

/** The answer of a verb that succeeds. */
export function answerOf(verb: string): Accepts {
  return byVerb[verb] ?? isNothing;
}

const byVerb: Readonly<Record<string, Accepts>> = {
  ADD: isResult,
  VERSION: isVersion,
};
