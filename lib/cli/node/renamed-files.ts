/** Files of the directory of networks that another CNI renamed, so that no runtime reads them. */

/** The names with a suffix of Cilium and others, sorted. */
export function renamedFiles(names: readonly string[]): string[] {
  return names
    .filter((name) =>
      /\.(?:cilium_bak|bak|backup|old|orig|disabled|renamed)$/.test(name),
    )
    .toSorted();
}

export function renamedAdvice(files: readonly string[], then: string): string {
  return files.some((file) => file.endsWith(".cilium_bak"))
    ? `set Cilium's Helm value cni.exclusive to false, then ${then}`
    : then;
}
