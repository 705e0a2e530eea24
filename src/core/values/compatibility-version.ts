/** Behaviour of earlier releases that a build may ask for (BuildKit solver/llbsolver/compat/compat.go). */
export const compatibilityVersions: readonly number[] = [10, 20, 30];

/** Release 0.13 and before. */
export const compatibilityVersion013 = 10;

export const currentCompatibilityVersion = 30;
