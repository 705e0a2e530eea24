/** Version of this build; kept equal to package.json by a test. */
export const version = "0.1.0";

/** The BuildKit release whose API and behaviour are matched; clients show and compare it. */
export const buildkitVersion = "v0.32.2";

/** The Dockerfile frontend of that release, which the built-in one matches. */
export const dockerfileVersion = "1.26.0-dev";

/** `package` of the version that clients are told. */
export const packageName = "github.com/buildfleet/buildfleet";
