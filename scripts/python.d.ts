/** Finds a Python with torch; null if there is none and none can be installed. */
export declare function torchPython(install: boolean): string | null;
