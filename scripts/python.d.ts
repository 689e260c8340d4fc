/** Null when none is found and none can be installed. */
export declare function torchPython(install: boolean): string | null;
